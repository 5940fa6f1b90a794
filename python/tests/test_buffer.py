# SPDX-License-Identifier: MIT
"""Buffer: views without a copy, counted exports, release, lifetime."""

from __future__ import annotations

import gc
import hashlib
import os
import struct
import threading
import weakref

import numpy
import pytest

import zcrx


def one(rx: zcrx.Receiver, pair, data: bytes) -> zcrx.Buffer:
    """A buffer that holds exactly these bytes."""
    receiver, sender = pair
    rx.add(receiver)
    sender.sendall(data)
    (event,) = rx.receive(60)
    assert len(event.buffer) == len(data)
    return event.buffer


def test_views_share_the_address(rx, pair):
    buffer = one(rx, pair, b"0123456789abcdef")
    assert numpy.frombuffer(buffer, "u1").ctypes.data == buffer.address
    assert bytes(memoryview(buffer)[4:8]) == b"4567"
    assert struct.unpack_from("4s", buffer, 2) == (b"2345",)
    assert hashlib.sha256(buffer).digest() == hashlib.sha256(b"0123456789abcdef").digest()
    assert buffer.length == len(buffer) == 16
    assert buffer.fd is None


def test_arrow_shares_the_address(rx, pair):
    import pyarrow

    buffer = one(rx, pair, b"0123456789abcdef")
    assert pyarrow.py_buffer(buffer).address == buffer.address


def test_a_view_is_read_only(rx, pair):
    buffer = one(rx, pair, b"data")
    assert memoryview(buffer).readonly
    assert not numpy.frombuffer(buffer, "u1").flags.writeable
    with pytest.raises(TypeError):
        memoryview(buffer)[0] = 1


def test_release_needs_no_live_views(rx, pair):
    buffer = one(rx, pair, b"data")
    view = memoryview(buffer)
    part = view[1:]
    with pytest.raises(BufferError, match="alive"):
        buffer.release()
    view.release()
    with pytest.raises(BufferError):
        buffer.release()
    part.release()
    buffer.release()
    assert buffer.released
    assert rx.stats.outstanding == 0


def test_after_release(rx, pair):
    buffer = one(rx, pair, b"data")
    with buffer as same:
        assert same is buffer
    with pytest.raises(ValueError, match="released"):
        memoryview(buffer)
    with pytest.raises(ValueError, match="released already"):
        buffer.release()
    assert rx.stats.released == 1


def test_with_block_after_release_is_fine(rx, pair):
    with one(rx, pair, b"data") as buffer:
        buffer.release()
    assert rx.stats.released == 1


def test_the_last_reference_releases(rx, pair):
    buffer = one(rx, pair, b"data")
    array = numpy.frombuffer(buffer, "u1")
    reference = weakref.ref(buffer)
    del buffer
    gc.collect()
    assert reference() is not None  # the array keeps it
    assert rx.stats.outstanding == 1
    del array
    assert reference() is None
    assert rx.stats.outstanding == 0


def test_release_on_another_thread(rx, pair):
    buffer = one(rx, pair, b"data")
    thread = threading.Thread(target=buffer.release)
    thread.start()
    thread.join()
    assert rx.stats.outstanding == 0


def test_valid_after_close(engine, pair):
    with zcrx.Receiver(engine) as rx:
        buffer = one(rx, pair, b"before")
        view = memoryview(buffer)
    pair[1].sendall(b"after!" * 1000)
    assert bytes(view) == b"before"
    view.release()
    buffer.release()


def test_valid_at_interpreter_exit(tmp_path):
    """A buffer held by a module is let go after the receiver; the process ends by itself."""
    code = """
import socket, zcrx
listener = socket.create_server(("127.0.0.1", 0))
sender = socket.create_connection(listener.getsockname())
sock, _ = listener.accept()
with zcrx.Receiver() as rx:
    rx.add(sock)
    sender.sendall(b"kept")
    (event,) = rx.receive(60)
class Late:
    def __init__(self, view): self.view = view
    def __del__(self): print(bytes(self.view))
late = Late(memoryview(event.buffer))
"""
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, timeout=100)
    assert (done.returncode, done.stdout.strip(), b"zcrx" in done.stderr) == (0, b"b'kept'", False)


def test_fork_reads_and_releases_without_harm(rx, pair):
    buffer = one(rx, pair, b"parent")
    child = os.fork()
    if not child:
        good = bytes(buffer) == b"parent"
        buffer.release()
        with pytest.raises(zcrx.ThreadError):
            rx.receive(0)
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert rx.stats.outstanding == 1
    pair[1].sendall(b"more")
    (event,) = rx.receive(60)
    assert bytes(event.buffer) == b"more"
    buffer.release()


def test_types_cannot_be_made():
    for kind in (zcrx.Buffer, zcrx.Event, zcrx.Batch, zcrx.Stream):
        with pytest.raises(TypeError):
            kind()


def test_types_do_not_leak(rx, pair):
    import sys

    receiver, sender = pair
    rx.add(receiver)

    def turn() -> None:
        sender.sendall(b"x" * 5000)
        for event in rx.receive(60):
            memoryview(event.buffer).release()

    turn()
    before = [sys.getrefcount(kind) for kind in (zcrx.Buffer, zcrx.Event, zcrx.Batch)]
    for _ in range(200):
        turn()
    after = [sys.getrefcount(kind) for kind in (zcrx.Buffer, zcrx.Event, zcrx.Batch)]
    assert after == before


def test_views_do_not_hide_what_a_with_block_raised(rx, pair):
    buffer = one(rx, pair, b"data")
    with pytest.raises(KeyError), buffer:
        view = memoryview(buffer)
        raise KeyError
    assert not buffer.released
    view.release()
    with pytest.raises(BufferError), buffer:
        view = memoryview(buffer)
    view.release()
