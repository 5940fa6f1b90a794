# SPDX-License-Identifier: MIT
"""Memory is a budget: windows, pausing by hand, and iterators whose buffers are kept or that are left."""

from __future__ import annotations

import errno
import gc
import mmap
import socket
import subprocess
import sys
import threading
import time

import pytest

import zcrx

CHUNK = 64 << 10
AREA = 8 << 20


def error_of(caught: pytest.ExceptionInfo[zcrx.Error]) -> int | None:
    return caught.value.errno


def fill(rx: zcrx.Receiver, stream: zcrx.Stream, held: list[zcrx.Buffer]) -> None:
    """Receive without releasing until the stream rests at its window."""
    deadline = time.monotonic() + 30
    while not rx.stream_stats(stream).at_window:
        assert time.monotonic() < deadline
        held += rx.receive(0.1).take()


# ---- options ----


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"window_bytes": 100}, "window_bytes"),
        ({"window_bytes": 2 * AREA}, "window_bytes"),
        ({"area_max_bytes": AREA - CHUNK}, "area_max_bytes"),
        ({"area_max_bytes": 2 * AREA, "area": mmap.mmap(-1, AREA)}, "area_max_bytes"),
    ],
)
def test_options_of_windows_that_will_not_do(engine, options, named):
    with pytest.raises(zcrx.Error, match=named) as caught:
        zcrx.Receiver(engine, area_bytes=AREA, **options)
    assert error_of(caught) == errno.EINVAL


@pytest.mark.parametrize(
    ("window", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError), (100, OSError)]
)
def test_windows_that_will_not_do(rx, pair, window, error):
    with pytest.raises(error, match="window"):
        rx.add(pair[0], window=window)
    rx.add(pair[0])


def test_windows_are_told(engine, pair):
    with zcrx.Receiver(engine, area_bytes=AREA, window_bytes=1 << 20) as rx:
        assert (rx.info.window_bytes, rx.info.area_max_bytes) == (1 << 20, AREA)
        stats = rx.stream_stats(rx.add(pair[0], window=2 << 20))
        assert (stats.window_bytes, stats.at_window, stats.paused, stats.held_bytes) == (
            2 << 20,
            False,
            False,
            0,
        )


def test_an_area_grows(engine, pair, send):
    if engine == "zcrx-nodev" and "add_area" not in zcrx.probe().features:
        with pytest.raises(zcrx.Error, match="area_max_bytes"):
            zcrx.Receiver(engine, area_bytes=AREA, area_max_bytes=4 * AREA)
        return
    with zcrx.Receiver(engine, area_bytes=AREA, area_max_bytes=4 * AREA) as rx:
        assert (rx.info.area_bytes, rx.info.area_max_bytes) == (AREA, 4 * AREA)
        send(pair[1], bytes(2 * AREA))
        stream = rx.add(pair[0], window=4 * AREA)
        held: list[zcrx.Buffer] = []
        while not stream.ended:
            held += rx.receive(30).take()
        assert sum(map(len, held)) == 2 * AREA
        assert 2 * AREA <= rx.stats.area_bytes <= 4 * AREA


# ---- at the window ----


def test_a_stream_rests_at_its_window_and_goes_on(rx, pair, send):
    data = bytes(range(256)) * (16 << 10)
    send(pair[1], data)
    stream = rx.add(pair[0], window=1 << 20)
    held: list[zcrx.Buffer] = []
    fill(rx, stream, held)
    assert rx.stats.paused == 1
    assert rx.stats.pauses >= 1
    assert rx.stats.held_bytes >= 1 << 20
    assert not rx.receive(0.2)
    got = bytearray().join(held)
    for buffer in held:
        buffer.release()
    while not stream.ended:
        for buffer in rx.receive(30).take():
            got += buffer
            buffer.release()
    assert got == data


def test_a_stalled_stream_costs_only_itself(rx, pairs, send):
    (stalled, stalled_peer), (live, live_peer) = pairs(), pairs()
    stalled_peer.setblocking(False)
    held: list[zcrx.Buffer] = []
    stream = rx.add(stalled)
    while not rx.stream_stats(stream).at_window:
        try:
            stalled_peer.send(bytes(1 << 20))
        except BlockingIOError:
            held += rx.receive(0.1).take()
    data = bytes(range(256)) * (64 << 10)
    send(live_peer, data)
    got = bytearray()
    live_stream = rx.add(live)
    while not live_stream.ended:
        for event in rx.receive(30):
            if event.buffer and event.stream is live_stream:
                got += event.buffer
    assert got == data
    assert rx.stream_stats(stream).at_window


# ---- by hand ----


def test_pause_and_resume(rx, pair):
    stream = rx.add(pair[0])
    pair[1].sendall(b"before")
    assert [bytes(buffer) for buffer in rx.receive(30).take()] == [b"before"]
    rx.pause(stream)
    while rx.receive(0):
        pass
    assert rx.stream_stats(stream).paused
    pair[1].sendall(b"after")
    pair[1].close()
    assert not rx.receive(0.2)
    rx.resume(stream)
    got, end = b"", None
    while not stream.ended:
        for event in rx.receive(30):
            got += event.buffer or b""
            end = event.end
    assert (got, end) == (b"after", "peer")


def test_pausing_twice_and_what_has_ended(rx, pairs):
    stream = rx.add(pairs()[0])
    with pytest.raises(zcrx.Error) as caught:
        rx.resume(stream)
    assert error_of(caught) == errno.EALREADY
    rx.pause(stream)
    with pytest.raises(zcrx.Error) as caught:
        rx.pause(stream)
    assert error_of(caught) == errno.EALREADY
    rx.remove(stream)
    while not stream.ended:
        rx.receive(30)
    for call in (rx.pause, rx.resume, rx.stream_stats):
        with pytest.raises(zcrx.Error, match="ended") as caught:
            call(stream)
        assert error_of(caught) == errno.ENOENT


def test_streams_of_others(rx, pair):
    with zcrx.Receiver(rx.info.engine, area_bytes=AREA) as other:
        stream = other.add(pair[0])
        for call in (rx.pause, rx.resume, rx.stream_stats, rx.remove):
            with pytest.raises(ValueError, match="another receiver"):
                call(stream)
            with pytest.raises(TypeError):
                call(1)


# ---- iterators whose buffers are kept ----


@pytest.fixture
def send_alone(pairs):
    """Twice an area from a process of its own: there is no other thread here."""
    processes = []

    def start() -> socket.socket:
        receiving, sending = pairs()
        program = "import socket, sys; socket.socket(fileno=0).sendall(bytes(int(sys.argv[1])))"
        command = [sys.executable, "-S", "-c", program, str(2 * AREA)]
        processes.append(subprocess.Popen(command, stdin=sending))
        sending.close()
        return receiving

    yield start
    for process in processes:
        assert process.wait(60) == 0


@pytest.mark.parametrize("keep", [list, b"".join, tuple])
def test_keeping_more_than_the_window_is_an_error(rx, send_alone, keep):
    begin = time.monotonic()
    buffers = rx.stream(send_alone())
    with pytest.raises(zcrx.WindowError, match="area_bytes") as caught:
        keep(buffers)
    assert time.monotonic() - begin < 5
    assert isinstance(caught.value, BufferError)
    assert error_of(caught) == errno.ENOBUFS
    assert "window" in str(caught.value)
    # It ends nothing: what was kept is gone, the rest comes.
    for buffer in buffers:
        buffer.release()
    assert buffers.end == "peer"
    assert rx.stats.bytes == 2 * AREA


def test_copies_may_be_kept(rx, pair, send):
    data = bytes(range(256)) * (64 << 10)
    send(pair[1], data)
    assert b"".join(map(bytes, rx.stream(pair[0]))) == data


def test_garbage_is_let_go_of_first(rx, send_alone):
    """Buffers in reference cycles, as exceptions make them, are no reason to give up."""
    total = 0
    gc.disable()
    try:
        for buffer in rx.stream(send_alone()):
            total += len(buffer)
            cycle = [buffer]
            cycle.append(cycle)
    finally:
        gc.enable()
    assert total == 2 * AREA


@pytest.fixture
def idle():
    """A thread that might release, for all that is known."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.usefixtures("idle")
def test_where_others_may_release_it_takes_longer(rx, pair, send):
    send(pair[1], bytes(2 * AREA))
    buffers = rx.stream(pair[0], window_timeout=3)
    begin = time.monotonic()
    with pytest.raises(zcrx.WindowError):
        list(buffers)
    assert time.monotonic() - begin >= 3
    for buffer in buffers:
        buffer.release()


@pytest.mark.parametrize("window_timeout", [4, None])
def test_others_release_in_time(rx, pair, send, window_timeout):
    send(pair[1], bytes(2 * AREA))
    held: list[zcrx.Buffer] = []
    buffers = rx.stream(pair[0], window_timeout=window_timeout)
    timer = threading.Timer(2, held.clear)
    timer.start()
    for buffer in buffers:
        if timer.is_alive():
            held.append(buffer)
    timer.join()
    assert buffers.end == "peer"


@pytest.mark.usefixtures("idle")
def test_a_timeout_tells_of_the_window(rx, pair, send):
    send(pair[1], bytes(2 * AREA))
    buffers = rx.stream(pair[0], timeout=0.5)
    with pytest.raises(TimeoutError, match="window"):
        list(buffers)
    for buffer in buffers:
        buffer.release()


# ---- iterators that are left ----


def test_an_iterator_that_is_dropped_lets_go_of_the_socket(rx, pair):
    pair[1].sendall(b"data")
    for buffer in rx.stream(pair[0]):
        buffer.release()
        break
    pair[0].close()
    pair[1].settimeout(30)
    assert pair[1].recv(1) == b""
    assert rx.streams == []


def test_an_iterator_that_is_dropped_on_another_thread(rx, pairs):
    (first, first_peer), (second, second_peer) = pairs(), pairs()
    first_peer.sendall(b"data")
    last = [rx.stream(first)]
    next(last[0]).release()
    thread = threading.Thread(target=last.clear)
    thread.start()
    thread.join()
    first.close()
    second_peer.sendall(b"more")
    second_peer.shutdown(socket.SHUT_WR)
    assert b"".join(map(bytes, rx.stream(second))) == b"more"
    first_peer.settimeout(30)
    assert first_peer.recv(1) == b""
