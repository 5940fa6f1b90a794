# SPDX-License-Identifier: MIT
"""Batch: taken apart, or used and released as a whole."""

from __future__ import annotations

import ctypes
import os
import socket

import numpy
import pytest

import zcrx

DATA = bytes(range(256)) * 1024


def receive_all(rx: zcrx.Receiver, count: int) -> list[zcrx.Batch]:
    batches = []
    while count:
        batch = rx.receive(60)
        count -= batch.bytes
        batches.append(batch)
    return batches


@pytest.fixture
def batches(rx, pair):
    receiver, sender = pair
    rx.add(receiver)
    sender.sendall(DATA[:100000])
    return receive_all(rx, 100000)


def test_columns_are_read_where_they_are(rx, batches):
    lengths = numpy.concatenate([numpy.asarray(batch.lengths) for batch in batches])
    assert lengths.dtype == numpy.uint32
    assert lengths.sum() == 100000
    batch = batches[0]
    view = batch.offsets
    array = numpy.asarray(view)
    assert numpy.shares_memory(array, numpy.asarray(batch.offsets))
    assert array.strides == (64,)
    events = list(batch)
    assert list(view) == [event.buffer.offset for event in events]


def test_iovecs_are_for_writev(rx, batches):
    batch = batches[0]
    iovecs = batch.iovecs
    rows = numpy.asarray(iovecs)
    assert rows.shape == (len(batch), 2)
    start = b"".join(ctypes.string_at(int(address), int(length)) for address, length in rows)
    assert DATA.startswith(start)
    assert len(start) == batch.bytes
    with pytest.raises(BufferError, match="alive"):
        batch.release()
    with pytest.raises(BufferError):
        next(batch)
    del rows
    iovecs.release()
    batch.release()
    assert len(batch) == 0
    batch.release()


def test_release_is_one_call(rx, batches):
    assert rx.stats.outstanding > 0
    for batch in batches:
        with batch:
            pass
    assert rx.stats.outstanding == 0
    assert rx.stats.released == rx.stats.buffers


def test_taken_events_are_on_their_own(rx, batches):
    batch = batches[0]
    event = next(batch)
    batch.release()
    assert bytes(event.buffer) == DATA[: len(event.buffer)]
    assert list(batch) == []
    assert not event.buffer.released


def test_take(rx, batches):
    buffers = [buffer for batch in batches for buffer in batch.take()]
    assert b"".join(buffers) == DATA[:100000]


def test_write_to_a_file_and_a_full_socket(rx, batches, tmp_path):
    with open(tmp_path / "out", "wb") as file:
        assert sum(batch.write_to(file) for batch in batches) == 100000
    assert (tmp_path / "out").read_bytes() == DATA[:100000]
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        if os.fork() == 0:
            got = b""
            while len(got) < 100000:
                got += right.recv(1 << 16)
            os._exit(0 if got == DATA[:100000] else 1)
        assert sum(batch.write_to(left) for batch in batches) == 100000
        assert os.wait()[1] == 0


def test_write_to_comes_after_what_a_buffered_file_holds(rx, batches, tmp_path):
    with open(tmp_path / "out", "wb") as file:
        file.write(b"header")
        for batch in batches:
            batch.write_to(file)
        file.write(b"trailer")
    assert (tmp_path / "out").read_bytes() == b"header" + DATA[:100000] + b"trailer"


def test_iovecs_do_not_hide_what_a_with_block_raised(rx, batches):
    with pytest.raises(KeyError), batches[0] as batch:
        iovecs = batch.iovecs
        raise KeyError
    iovecs.release()
    batch.release()


def test_write_to_tells_the_error(rx, batches):
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        batches[0].write_to(writer)
    os.close(writer)
    with pytest.raises(TypeError):
        batches[0].write_to("name")


def test_ends(rx, pair):
    receiver, sender = pair
    stream = rx.add(receiver, tag="mine")
    sender.sendall(b"x")
    sender.shutdown(socket.SHUT_WR)
    kinds = []
    while not stream.ended:
        batch = rx.receive(60)
        has_ends = batch.has_ends
        assert batch.streams == [stream] * len(batch)
        events = list(batch)
        assert has_ends == (events[-1].kind != "data")
        kinds += [event.kind for event in events]
    assert kinds == ["data", "end"]
    assert events[-1].end == "peer"
    assert events[-1].stream.tag == "mine"
    assert events[-1].buffer is None
    assert events[-1].error is None
