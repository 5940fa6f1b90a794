# SPDX-License-Identifier: MIT
"""Receiver: options, streams, threads, errors, closing."""

from __future__ import annotations

import gc
import mmap
import multiprocessing
import os
import pickle
import resource
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import threading
import time

import pytest

import zcrx
import zcrx.nic

HUGE = 1 << 70
MILLION = 1 << 20


def test_public_names():
    assert dir(zcrx) == sorted(zcrx.__all__)
    for name in zcrx.__all__:
        assert getattr(zcrx, name) is not None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"engine": "multisht"}, ValueError),
        ({"engine": 3}, TypeError),
        ({"area_bytes": -1}, ValueError),
        ({"area_bytes": HUGE}, ValueError),
        ({"area_bytes": 1 << 62}, OSError),
        ({"area_bytes": 12345}, OSError),
        ({"area_bytes": "1"}, TypeError),
        ({"buffer_bytes": 12345}, OSError),
        ({"ring_entries": 1 << 20}, OSError),
        ({"queue": 1}, ValueError),
        ({"steer_port": 80}, ValueError),
        ({"engine": "zcrx", "interface": "nosuch0"}, zcrx.UnavailableError),
        ({"require_zero_copy": True}, zcrx.UnavailableError),
        ({"area": bytearray(10)}, OSError),
        ({"area": b"read-only"}, BufferError),
        ({"area_kind": "huge"}, ValueError),
    ],
)
def test_bad_options(options, error):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(error):
        zcrx.Receiver(**options)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("call", [zcrx.nic.inspect, zcrx.nic.undo, zcrx.nic.plan, zcrx.nic.apply])
@pytest.mark.parametrize(("queue", "error"), [(-1, ValueError), (HUGE, ValueError), ("1", TypeError)])
def test_bad_queues(call, queue, error):
    with pytest.raises(error, match="queue"):
        call("lo", queue)


def test_the_nearest_engine_is_suggested():
    with pytest.raises(ValueError, match="did you mean 'multishot'"):
        zcrx.Receiver("multi-shot")


def test_errors_tell_stage_and_hint():
    with pytest.raises(zcrx.Error) as caught:
        zcrx.Receiver("zcrx")
    error = caught.value
    assert isinstance(error, OSError)
    assert (error.errno, error.stage) == (22, "options")
    assert error.hint
    assert error.hint in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.errno, copy.stage, copy.hint) == (type(error), 22, "options", error.hint)


def test_bad_sockets(rx, pair):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, pytest.raises(zcrx.Error, match="TCP"):
        rx.add(udp)
    with socket.socket() as fresh, pytest.raises(zcrx.Error) as caught:
        rx.add(fresh)
    assert caught.value.errno == 107
    for wrong, error in (
        (-1, ValueError),
        (1.5, TypeError),
        (None, TypeError),
        (HUGE, ValueError),
        (True, TypeError),
    ):
        with pytest.raises(error):
            rx.add(wrong)
    for limit in (0, -1, HUGE):
        with pytest.raises(ValueError, match="limit"):
            rx.add(pair[0], limit=limit)
    rx.add(pair[0])
    with pytest.raises(zcrx.Error) as caught:
        rx.add(pair[0])
    assert caught.value.errno == 17


@pytest.mark.parametrize("timeout", [-1, float("nan"), -0.5])
def test_bad_timeouts(rx, timeout):
    with pytest.raises(ValueError, match="timeout"):
        rx.receive(timeout)


def test_bad_receive_arguments(rx):
    for most in (0, -1, 65537, HUGE):
        with pytest.raises((ValueError, OverflowError)):
            rx.receive(0, max_events=most)
    with pytest.raises(TypeError):
        rx.receive("soon")
    with pytest.raises(TypeError):
        rx.receive(0, 1)
    with pytest.raises(TypeError):
        rx.receive(0, nonsense=1)


def test_stream(rx, pair, send):
    data = os.urandom(3 << 20)
    send(pair[1], data)
    got = bytearray()
    for buffer in rx.stream(pair[0]):
        got += buffer
        buffer.release()
    assert got == data


def test_stream_raises_resets_each_time(rx, pairs):
    receiver, sender = pairs()
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sender.close()
    buffers = rx.stream(receiver)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            next(buffers)
    assert buffers.end is None


def test_a_reset_of_stream_keeps_no_buffer(rx, pairs):
    receiver, sender = pairs()
    buffers = rx.stream(receiver)
    sender.sendall(b"data")

    def read():
        buffer = next(buffers)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sender.close()
        try:
            next(buffers)
        except ConnectionResetError:
            return len(buffer)

    assert read() == 4
    assert rx.stats.outstanding == 0  # without a garbage collection


def test_stream_goes_on_after_a_timeout(rx, pair):
    receiver, sender = pair
    buffers = rx.stream(receiver, timeout=0.05)
    with pytest.raises(TimeoutError, match=r"0\.05 s"):
        next(buffers)
    sender.sendall(b"late")
    sender.shutdown(socket.SHUT_WR)
    assert bytes(next(buffers)) == b"late"
    assert list(buffers) == []
    assert buffers.end == "peer"


def test_a_wake_is_not_a_timeout(rx, pair):
    """The wake comes before any data; what is sent after it still arrives."""
    receiver, sender = pair
    rx.wake()
    timer = threading.Timer(0.2, sender.sendall, (b"data",))
    timer.start()
    with rx.stream(receiver, timeout=100) as buffers:
        assert bytes(next(buffers)) == b"data"
    timer.join()


@pytest.mark.parametrize(("limit", "end"), [(None, "peer"), (3, "limit")])
def test_the_end_is_told(rx, pair, limit, end):
    pair[1].sendall(b"data")
    pair[1].shutdown(socket.SHUT_WR)
    reader = zcrx.Reader(buffers := rx.stream(pair[0], limit=limit))
    assert (buffers.end, reader.end) == (None, None)
    assert bytes(reader.read_some(1)) == b"d"
    assert reader.end is None
    assert b"".join(bytes(piece) for piece in reader) == b"data"[1:limit]
    assert (buffers.end, reader.end) == (end, end)


def test_a_closed_iterator_gives_the_socket_back(rx, pair):
    receiver, sender = pair
    with rx.stream(receiver) as buffers:
        sender.sendall(b"first")
        next(buffers).release()
    assert buffers.end == "removed"
    assert next(buffers, None) is None
    buffers.close()
    sender.sendall(b"second")
    assert receiver.recv(6) == b"second"
    rx.add(receiver)


def test_a_stream_has_the_receiver_for_itself(rx, pairs):
    """The iterator would hand out the other socket's data as its own."""
    with rx.stream(pairs()[0]):
        with pytest.raises(ValueError, match="for itself"):
            rx.add(pairs()[0])
        with pytest.raises(ValueError, match="other streams"):
            rx.stream(pairs()[0])


def test_a_reader_goes_on_after_a_timeout(rx, pair):
    receiver, sender = pair
    reader = zcrx.Reader(rx.stream(receiver, timeout=0.05))
    sender.sendall(b"0123")
    with pytest.raises(TimeoutError):
        reader.read_exactly(8)
    sender.sendall(b"4567")
    sender.shutdown(socket.SHUT_WR)
    assert bytes(reader.read_exactly(8)) == b"01234567"
    assert bytes(reader.read_some(1)) == b""
    assert reader.end == "peer"


def test_a_reader_passes_no_buffer_over_that_cannot_be_viewed(rx, pair):
    """As those of a dma-buf; here one that was released."""
    pair[1].sendall(b"data")
    pair[1].shutdown(socket.SHUT_WR)
    buffers = list(rx.stream(pair[0]))
    buffers[0].release()
    reader = zcrx.Reader([*buffers, *buffers])
    for _ in range(3):
        with pytest.raises(ValueError, match="released"):
            reader.read_some(1)


def test_tls_is_refused(rx, pair):
    """Its descriptor yields ciphertext."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = {"server_hostname": "localhost", "do_handshake_on_connect": False}

    class FromAnotherLibrary:
        def get_cipher_name(self) -> None: ...

        def fileno(self) -> int:
            return pair[1].fileno()

    with context.wrap_socket(pair[0], **options) as secure, secure.makefile("rb") as file:
        for wrong in (secure, file, FromAnotherLibrary()):
            for use in (rx.add, rx.stream, lambda sock: zcrx.nic.prove("lo", sock)):
                with pytest.raises(TypeError, match=r"encrypted.*MemoryBIO"):
                    use(wrong)


def test_leaving_a_stream_early_gives_the_socket_back(rx, pair, send):
    send(pair[1], bytes(1 << 20))
    for buffer in rx.stream(pair[0], limit=1 << 19):
        buffer.release()
        break
    gc.collect()
    assert rx.streams == []
    while pair[0].recv(1 << 16):
        pass


def test_reader(rx, pair, send):
    data = os.urandom(2 << 20)
    send(pair[1], data)
    reader = zcrx.Reader(rx.stream(pair[0]))
    position = 0
    for size in (0, 1, 100, 70000, 3, 200000):
        assert bytes(reader.read_exactly(size)) == data[position : position + size]
        position += size
    assert 0 < reader.copied_bytes <= 270103
    target = bytearray(50)
    assert reader.readinto(target) == 50
    assert target == data[position : position + 50]
    assert b"".join(bytes(piece) for piece in reader) == data[position + 50 :]
    assert bytes(reader.read_some(5)) == b""
    with pytest.raises(EOFError):
        reader.read_exactly(1)


def test_remove(rx, pairs):
    receiver, sender = pairs()
    stream = rx.add(receiver)
    sender.sendall(b"x")
    rx.receive(60).release()
    assert rx.remove(stream)
    (event,) = rx.receive(60)
    assert (event.kind, event.end) == ("end", "removed")
    assert stream.ended
    assert not rx.remove(stream)
    with pytest.raises(TypeError):
        rx.remove(3)
    with zcrx.Receiver() as other, pytest.raises(ValueError, match="another receiver"):
        other.remove(rx.add(pairs()[0]))


def test_another_thread_is_refused(rx):
    rx.receive(0)
    caught = []

    def use() -> None:
        try:
            rx.receive(0)
        except zcrx.ThreadError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert caught[0].hint


def test_close_while_another_thread_receives(engine):
    rx = zcrx.Receiver(engine)
    thread = threading.Thread(target=rx.receive)
    thread.start()
    while not rx.stats.waits:
        time.sleep(0.001)
    with pytest.raises(zcrx.BusyError):
        rx.close()
    rx.wake()
    thread.join()
    assert rx.close() is False


def test_closed(rx, pair):
    rx.add(pair[0])
    rx.close()
    rx.close()
    assert rx.closed
    for call in (lambda: rx.receive(0), lambda: rx.stats, rx.wake, rx.fileno, lambda: rx.add(pair[0])):
        with pytest.raises(zcrx.ClosedError):
            call()
    assert "closed" in repr(rx)


def test_never_opened():
    rx = zcrx.Receiver.__new__(zcrx.Receiver)
    for call in (lambda: rx.receive(0), lambda: rx.receive(0, max_events=3)):
        with pytest.raises(zcrx.ClosedError):
            call()


def test_forgetting_to_close_warns():
    rx = zcrx.Receiver()
    with pytest.warns(ResourceWarning, match="unclosed receiver"):
        del rx


def test_ctrl_c_interrupts_a_wait(rx):
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        rx.receive(600)
    assert time.monotonic() - begin < 300
    timer.join()


def test_own_memory_is_the_area(engine, pair):
    area = mmap.mmap(-1, 1 << 20)
    with zcrx.Receiver(engine, area=area) as rx:
        rx.add(pair[0])
        pair[1].sendall(b"in my memory")
        (event,) = rx.receive(60)
        offset = event.buffer.offset
        assert area[offset : offset + 12] == b"in my memory"
        with pytest.raises(BufferError):
            area.close()
        assert rx.info.area_kind == "caller"
    del event
    area.close()


def test_multiprocessing_child_is_told(rx, pair):
    rx.receive(0)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def child() -> None:
        try:
            rx.receive(0)
        except zcrx.ThreadError as error:
            answers.put(error.hint)

    process = context.Process(target=child)
    process.start()
    process.join(100)
    assert "fork" in answers.get()
    assert process.exitcode == 0


def test_exec_inherits_no_descriptor(rx, pair):
    rx.add(pair[0])
    rx.receive(0)
    done = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, close_fds=False)
    assert "io_uring" not in done.stdout
    assert "eventfd" not in done.stdout


def test_subinterpreter_is_refused():
    code = (
        "import sys\n"
        "try: import _xxsubinterpreters as s\n"
        "except ImportError: import _interpreters as s\n"
        "import zcrx\n"
        "i = s.create()\n"
        "r = s.run_string(i, 'try:\\n import zcrx\\nexcept ImportError: pass\\nelse: raise SystemExit(3)')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_free_threaded_python_stays_so():
    code = "import sys, zcrx; print(getattr(sys, '_is_gil_enabled', lambda: True)())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout == f"{not sysconfig.get_config_var('Py_GIL_DISABLED')}\n"
    assert done.stderr == ""


def test_open_close_leaves_nothing(engine):
    def counts() -> tuple[int, int]:
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), sum(1 for _ in maps)

    zcrx.Receiver(engine).close()
    before = counts()
    for _ in range(50):
        with zcrx.Receiver(engine) as rx:
            rx.receive(0)
    after = counts()
    assert after[0] == before[0]
    assert after[1] <= before[1] + 2  # the allocator's own


def test_a_million_buffers_leak_nothing(pair):
    """Each is viewed and released: neither memory nor objects grow with them."""
    total = MILLION * 4096

    def write() -> None:
        piece = bytes(1 << 20)
        for _ in range(0, total, len(piece)):
            pair[1].sendall(piece)
        pair[1].shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=write)
    count, early = 0, (0, 0)
    with zcrx.Receiver(area_bytes=1 << 20, buffer_bytes=4096) as rx:
        thread.start()
        for buffer in rx.stream(pair[0]):
            memoryview(buffer).release()
            buffer.release()
            count += 1
            if count == MILLION // 10:
                early = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sys.getallocatedblocks())
        late = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sys.getallocatedblocks())
        assert rx.stats.outstanding == 0
    thread.join()
    assert count >= MILLION
    assert late[0] - early[0] < 4096  # KiB
    assert late[1] - early[1] < 1000


def test_prove_waits_for_any_time_that_is_given(pair):
    """None of them is refused or wraps; here it ends at once, since loopback has no queue to take."""
    for timeout in (0, 1e9, 1e300, float("inf")):
        with pytest.raises(zcrx.Error):
            zcrx.nic.prove("lo", pair[0], timeout=timeout)
    for timeout in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            zcrx.nic.prove("lo", pair[0], timeout=timeout)
