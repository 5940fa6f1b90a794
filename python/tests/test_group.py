# SPDX-License-Identifier: MIT
"""Groups: sockets that are handed over or accepted, receivers that leave, close in any order."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import random
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

import zcrx

PATIENCE_S = 30


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        yield sock


@pytest.fixture
def group(engine: str) -> Iterator[zcrx.Group]:
    with zcrx.Group(2, engine=engine, area_bytes=4 << 20) as made:
        yield made


def events_of(rx: zcrx.Receiver, count: int) -> list[zcrx.Event]:
    """So many events of a receiver, in no more time than is plenty."""
    got: list[zcrx.Event] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(got) < count and time.monotonic() < deadline:
        got += rx.receive(1, max_events=count - len(got))
    assert len(got) == count
    return got


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Servers:
    """A thread for each receiver, which answers with what it gets until its receiver is closed."""

    def __init__(self, group: zcrx.Group) -> None:
        self.raised: list[BaseException] = []
        self.ended = 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(rx,)) for rx in group.receivers]
        for thread in self.threads:
            thread.start()

    def run(self, rx: zcrx.Receiver) -> None:
        try:
            while True:
                for event in rx.receive():
                    self.see(event)
        except zcrx.ClosedError:
            pass
        except BaseException as error:
            self.raised.append(error)

    def see(self, event: zcrx.Event) -> None:
        if event.kind == "added":
            assert event.flags == {"accepted"}
            assert event.stream.tag == "all"
            assert event.stream.fd == event.socket.fileno()
            event.stream.tag = event.socket
        elif event.buffer is not None:
            with event.buffer:
                event.stream.tag.sendall(event.buffer)
        else:
            assert event.end == "peer"
            event.stream.tag.close()
            with self.lock:
                self.ended += 1

    def join(self) -> None:
        for thread in self.threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        assert self.raised == []


# ---- open ----


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"count": 0}, ValueError, "count"),
        ({"count": -1}, ValueError, "count"),
        ({"count": 2.0}, TypeError, "count"),
        ({"count": 257}, zcrx.Error, "count"),
        ({"inbox_entries": 65537}, zcrx.Error, "inbox_entries"),
        ({"pin": "somewhere"}, ValueError, "apart, queue"),
        ({"shared_queue": True, "pin": "queue"}, zcrx.Error, "flags"),
        ({"shared_queue": True, "area_max_bytes": 1 << 30}, zcrx.Error, "area_max_bytes"),
        ({"port": 80}, ValueError, "interface"),
        ({"queue": 1}, ValueError, "interface"),
        ({"area": bytearray(4096)}, TypeError, "area"),
        (
            {"engine": "zcrx", "interface": "no-such-nic", "count": 2},
            zcrx.UnavailableError,
            "receiver 1 of 2",
        ),
        ({"area_bytes": 1}, zcrx.Error, "area_bytes"),
        ({"busy_poll_us": 1000001}, zcrx.Error, "busy_poll_us"),
    ],
)
def test_what_cannot_be_opened(engine, options, error, says):
    before = descriptors()
    with pytest.raises(error, match=says) as raised:
        zcrx.Group(**{"engine": engine, **options})
    if isinstance(raised.value, zcrx.Error):
        assert raised.value.hint
    del raised
    assert descriptors() == before


def test_what_was_opened(engine):
    with zcrx.Group(3, engine=engine, area_bytes=4 << 20, busy_poll_us=10) as group:
        assert len(group) == len(group.receivers) == 3
        assert [group.receiver(i) for i in range(3)] == list(group.receivers)
        assert {rx.info.engine for rx in group.receivers} == {engine}
        assert {rx.group for rx in group.receivers} == {group}
        assert repr(group) == "<zcrx.Group of 3>"
        busy = group.receiver(0).info
        assert busy.busy_poll_us == (10 if "busy_poll" in busy.features else 0)
        for index in (3, -1):
            with pytest.raises(IndexError):
                group.receiver(index)
        with pytest.raises(TypeError, match="open"):
            group.__init__(1)
    assert group.closed
    assert repr(group) == "<zcrx.Group, closed>"


def test_the_default_count_is_of_processors(engine):
    with zcrx.Group(engine=engine, area_bytes=1 << 20) as group:
        assert len(group) == min(16, len(os.sched_getaffinity(0)))


def test_threads_are_pinned(engine):
    allowed, seen = os.sched_getaffinity(0), {}
    with zcrx.Group(len(allowed), engine=engine, area_bytes=1 << 20, pin="apart") as group:

        def receive(rx: zcrx.Receiver) -> None:
            rx.receive(0)
            seen[rx.info.processor] = os.sched_getaffinity(0)

        threads = [threading.Thread(target=receive, args=(rx,)) for rx in group.receivers]
        for thread in threads:
            thread.start()
            thread.join()
    assert seen == {processor: {processor} for processor in allowed}


# ---- add ----


def test_add(group, pairs):
    made = [pairs() for _ in range(4)]
    streams = [group.add(sock, tag=peer) for sock, peer in made]
    assert not any(stream.ended for stream in streams)
    assert group.stats().waiting == 4
    seen = []
    for rx in group.receivers:
        for event in events_of(rx, 2):  # evenly
            assert (event.kind, event.flags, event.socket) == ("added", frozenset(), None)
            assert (event.buffer, event.end, event.error) == (None, None, None)
            assert event.stream in streams
            assert event.stream in rx.streams
            event.stream.tag.sendall(b"hello")
            (data,) = events_of(rx, 1)
            assert (data.kind, data.stream, bytes(data.buffer)) == ("data", event.stream, b"hello")
            data.buffer.release()
            seen.append(event.stream)
    assert sorted(map(id, seen)) == sorted(map(id, streams))
    stats = group.stats()
    assert (stats.added, stats.handed_over, stats.waiting, stats.refused) == (4, 4, 0, 0)
    assert (stats.sum.bytes, stats.sum.streams, stats.receiver_count) == (20, 4, 2)
    assert [each.bytes for each in stats.receivers] == [10, 10]
    for _, peer in made:
        peer.shutdown(socket.SHUT_WR)
    for rx in group.receivers:
        assert [event.end for event in events_of(rx, 2)] == ["peer", "peer"]
    assert all(stream.ended for stream in streams)


def test_limit_and_window_of_add(group, pair):
    rx_of = {}
    stream = group.add(pair[0], limit=3, window=1 << 20)
    pair[1].sendall(b"hello")
    for rx in group.receivers:
        for event in rx.receive(0):
            rx_of[event.stream] = rx
    while not stream.ended:
        if rx_of:
            break
        for rx in group.receivers:
            rx_of |= {event.stream: rx for event in rx.receive(0.1)}
    rx = rx_of[stream]
    assert rx.stream_stats(stream).window_bytes == 1 << 20
    data, end = events_of(rx, 2)
    assert (bytes(data.buffer), end.end) == (b"hel", "limit")
    assert stream.limit == 3


def test_what_cannot_be_added_is_told_to_the_thread(engine, pair):
    with zcrx.Group(1, engine=engine, area_bytes=1 << 20) as group:
        first, second = group.add(pair[0], tag=1), group.add(pair[0], tag=2)
        added, refused = events_of(group.receiver(0), 2)
        assert (added.kind, added.stream) == ("added", first)
        assert (refused.kind, refused.stream, refused.stream.tag) == ("error", second, 2)
        assert refused.error.errno == errno.EEXIST
        assert refused.flags == {"refused"}
        assert second.ended
        assert not first.ended
        assert group.receiver(0).streams == [first]
        assert group.stats().refused == 1
    assert pair[0].fileno() >= 0


def test_what_cannot_be_handed_over(group, pair):
    with socket.socket() as unconnected, socket.socket(type=socket.SOCK_DGRAM) as udp:
        for sock, code in ((unconnected, errno.ENOTCONN), (udp, errno.EPROTONOSUPPORT), (9999, errno.EBADF)):
            with pytest.raises(zcrx.Error) as raised:
                group.add(sock, tag=pair)
            assert raised.value.errno == code
            assert not isinstance(raised.value, zcrx.ClosedError)
        with pytest.raises(zcrx.Error, match="window_bytes"):
            group.add(pair[0], window=1)
        with pytest.raises(ValueError, match="limit"):
            group.add(pair[0], limit=0)
        for sock, code in ((unconnected, errno.EINVAL), (udp, errno.EPROTONOSUPPORT)):
            with pytest.raises(zcrx.Error) as raised:
                group.listen(sock)
            assert raised.value.errno == code
            assert raised.value.hint
    assert group.stats().waiting == 0


def test_a_thread_that_does_not_receive(engine, pairs):
    with zcrx.Group(2, engine=engine, area_bytes=1 << 20, inbox_entries=1) as group:
        made = [pairs() for _ in range(5)]
        kept = [group.add(sock) for sock, _ in made[:4]]  # two each: none is smaller
        with pytest.raises(zcrx.Error, match="inbox") as raised:
            group.add(made[4][0])
        assert raised.value.errno == errno.ENOBUFS
        assert raised.value.hint
        assert group.stats().inbox_full == 1
        assert [event.kind for rx in group.receivers for event in events_of(rx, 2)] == ["added"] * 4
        assert not any(stream.ended for stream in kept)


def test_adding_wakes_a_thread_that_sleeps(engine, pair):
    with zcrx.Group(1, engine=engine, area_bytes=1 << 20) as group:
        got: list[str] = []
        thread = threading.Thread(
            target=lambda: got.extend(event.kind for event in group.receiver(0).receive())
        )
        thread.start()
        until(lambda: group.stats().sum.waits)
        group.add(pair[0])
        thread.join(PATIENCE_S)
        assert got == ["added"]


def test_a_receiver_of_a_group_works_as_any_other(group, pairs):
    rx = group.receiver(1)
    (sock, peer), (other, _) = pairs(), pairs()
    stream = rx.add(sock, tag="own")
    with pytest.raises(ValueError, match="group"):
        rx.stream(other)
    peer.sendall(b"x")
    (event,) = events_of(rx, 1)
    assert (event.stream, event.stream.tag) == (stream, "own")
    assert rx.remove(stream)
    assert events_of(rx, 1)[0].end == "removed"
    waiting = group.add(other)
    with pytest.raises(ValueError, match="another receiver"):
        rx.remove(waiting)


def test_tags_can_be_set(group, pair):
    stream = group.add(pair[0], tag=1)
    stream.tag = tag = [stream]
    assert stream.tag is tag
    with pytest.raises((TypeError, AttributeError)):
        del stream.tag
    stream.tag = None


# ---- listen ----


@pytest.mark.parametrize("count", [1, 4])
def test_listen(engine, listener, count):
    before = descriptors()
    with zcrx.Group(count, engine=engine, area_bytes=4 << 20) as group:
        servers = Servers(group)
        group.listen(listener, tag="all")
        clients = [socket.create_connection(listener.getsockname(), PATIENCE_S) for _ in range(40)]
        for n, client in enumerate(clients):
            client.sendall(b"%d" % n)
        assert [client.recv(9) for client in clients] == [b"%d" % n for n in range(40)]
        for client in clients:
            client.close()
        until(lambda: servers.ended == 40)
        stats = group.stats()
        assert (stats.accepted, stats.added, stats.refused) == (40, 40, 0)
        assert stats.sum.bytes == sum(len(b"%d" % n) for n in range(40))
        assert group.close() is False
        servers.join()
    assert descriptors() == before


def test_many_connections_of_one_listener(engine, listener):
    """They share the listener's tag, and are told apart by their handles."""
    chance = random.Random(1)
    with zcrx.Group(1, engine=engine, area_bytes=8 << 20) as group:
        rx = group.receiver(0)
        group.listen(listener)
        clients, of = {}, {}
        made = ended = 0

        def see() -> None:
            nonlocal ended
            for event in rx.receive(1):
                if event.kind == "added":
                    port = event.socket.getpeername()[1]
                    assert event.stream not in of
                    of[event.stream] = port
                    event.stream.tag = bytearray()
                    event.socket.close()
                elif event.buffer is not None:
                    with event.buffer:
                        event.stream.tag.extend(event.buffer)
                else:
                    assert (event.kind, event.end) == ("end", "peer")
                    assert bytes(event.stream.tag) == str(of.pop(event.stream)).encode() * 2
                    ended += 1

        for turn in range(600):
            if len(clients) < 300 and chance.random() < 0.6:
                client = socket.create_connection(listener.getsockname(), PATIENCE_S)
                made += 1
                clients[client.getsockname()[1]] = client
                client.sendall(str(client.getsockname()[1]).encode())
            elif clients:
                port, client = clients.popitem() if turn % 2 else (next(iter(clients)), None)
                client = client or clients.pop(port)
                client.sendall(str(port).encode())
                client.close()
            if turn % 7 == 0:
                see()
        for port, client in clients.items():
            client.sendall(str(port).encode())
            client.close()
        until(lambda: see() or ended == made)
        assert made > 300
        assert of == {}
        assert rx.streams == []


def test_sockets_that_nobody_takes_are_closed(engine, listener):
    before = descriptors()
    with zcrx.Group(1, engine=engine, area_bytes=1 << 20) as group:
        rx = group.receiver(0)
        group.listen(listener)
        rx.receive(0)  # an engine may take a descriptor to listen by
        opened = descriptors()
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        until(lambda: rx.receive(0.1).release() or len(rx.streams) == 3)
        # A reference of each stream, and the clients.
        assert descriptors() == opened + 6
        clients[0].sendall(b"x")
        (event,) = events_of(rx, 1)
        assert bytes(event.buffer) == b"x"
        del event
        for client in clients:
            client.close()
        assert [event.end for event in events_of(rx, 3)] == ["peer"] * 3
        assert descriptors() == opened
    assert descriptors() == before


def test_a_listener_that_fails(engine, listener):
    with zcrx.Group(1, engine=engine, area_bytes=1 << 20) as group:
        rx = group.receiver(0)
        group.listen(listener, tag="mine")
        rx.receive(0)
        listener.shutdown(socket.SHUT_RDWR)
        (event,) = events_of(rx, 1)
        assert (event.kind, event.flags, event.socket) == ("error", {"listener"}, None)
        assert event.error.errno == errno.EINVAL
        assert (event.stream.tag, event.stream.fd, event.stream.ended) == ("mine", listener.fileno(), True)
        assert rx.streams == []


def test_too_many_listeners(engine):
    with zcrx.Group(1, engine=engine, area_bytes=1 << 20) as group, contextlib.ExitStack() as stack:
        made = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(17)]
        for each in made[:16]:
            group.listen(each)
            assert not os.get_blocking(each.fileno())
        with pytest.raises(zcrx.Error) as raised:
            group.listen(made[16])
        assert raised.value.errno == errno.ENOSPC
        group.close()
        assert all(os.get_blocking(each.fileno()) for each in made)


# ---- leave and close ----


def test_a_receiver_leaves(group, pairs, listener):
    made = [pairs() for _ in range(4)]
    streams = [group.add(sock) for sock, _ in made]
    group.listen(listener)
    assert group.receiver(0).close() is False
    assert group.receiver(0).closed
    assert group.stats().receiver_count == 1
    assert {event.stream for event in events_of(group.receiver(1), 4)} == set(streams)
    assert group.receiver(1).close() is False
    assert group.receiver(1).close() is False
    with pytest.raises(zcrx.ClosedError, match="every receiver") as raised:
        group.add(made[0][0])
    assert raised.value.errno == errno.ESHUTDOWN
    with pytest.raises(zcrx.ClosedError):
        group.receiver(1).receive(0)
    assert os.get_blocking(listener.fileno())
    assert not group.closed
    assert group.stats().added == 4
    assert all(stream.ended for stream in streams)


def test_receives_that_wait_return_when_the_group_is_closed(engine):
    for _ in range(20):
        group = zcrx.Group(3, engine=engine, area_bytes=1 << 20)
        servers = Servers(group)
        until(lambda group=group: group.stats().sum.waits >= 3)
        assert group.close() is False
        assert group.close() is False
        servers.join()


def test_close_at_any_moment(engine, listener, pairs):
    """While threads start, receive, add, look and leave: they end by ClosedError, and nothing is left."""
    made = [pairs() for _ in range(20)]
    before = descriptors()
    for turn in range(15):
        group = zcrx.Group(2, engine=engine, area_bytes=1 << 20)
        raised: list[BaseException] = []

        def run(call: Callable[[], object], raised: list[BaseException] = raised) -> None:
            try:
                while True:
                    call()
            except zcrx.ClosedError:
                pass
            except BaseException as error:
                raised.append(error)

        def add(group: zcrx.Group = group) -> None:
            for sock, _ in made:
                try:
                    group.add(sock)
                except zcrx.Error as error:
                    if error.errno != errno.ENOBUFS:
                        raise

        calls = [lambda rx=rx: rx.receive(1) for rx in group.receivers]
        calls += [add, lambda group=group: (group.stats(), group.receivers)]
        threads = [threading.Thread(target=run, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        if turn % 3 == 1:
            group.listen(listener)
        if turn % 3 == 2:
            with contextlib.suppress(zcrx.BusyError):
                group.receiver(0).close()
        time.sleep(random.random() / 100)
        group.close()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        assert raised == []
    del group, calls, threads, thread, run, add
    assert descriptors() == before


@pytest.mark.parametrize("first", ["group", "receivers"])
def test_buffers_outlive_the_group(engine, pair, first):
    with zcrx.Group(1, engine=engine, area_bytes=1 << 20) as group:
        rx = group.receiver(0)
        group.add(pair[0])
        pair[1].sendall(b"kept")
        _, data = events_of(rx, 2)
        if first == "receivers":
            rx.close()
        group.close()
    assert rx.close() is False
    assert bytes(data.buffer) == b"kept"
    data.buffer.release()


def test_close_lets_go_of_what_waits(engine, listener, pair):
    before = descriptors()
    group = zcrx.Group(2, engine=engine, area_bytes=1 << 20)
    tag = weakref.WeakSet()

    tag.add(kept := threading.Event())
    stream = group.add(pair[0], tag=kept)
    del kept
    group.listen(listener)
    group.receiver(0).receive(0).release()
    with socket.create_connection(listener.getsockname(), PATIENCE_S) as client:
        until(lambda: group.receiver(0).receive(0.01).release() or group.stats().accepted)
        group.close()
        listener.close()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert stream.ended
    del stream
    gc.collect()
    assert not tag
    assert descriptors() == before - 1  # the listener


@pytest.mark.parametrize("hold", ["group", "receiver"])
def test_one_that_is_forgotten_is_closed(engine, hold):
    before = descriptors()
    group = zcrx.Group(2, engine=engine, area_bytes=1 << 20)
    kept = [group if hold == "group" else group.receiver(1)]
    seen = weakref.ref(group)
    del group
    gc.collect()
    assert seen() is not None  # a receiver keeps its group

    def forget() -> None:
        kept.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed group"):
        forget()
    assert seen() is None
    assert descriptors() == before


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_one_that_is_forgotten_with_a_stream(engine, pair):
    before = descriptors()
    group = zcrx.Group(1, engine=engine, area_bytes=1 << 20)
    group.add(pair[0], tag=group)
    group.receiver(0).receive(0)
    del group
    assert descriptors() == before


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="no garbage is collected within a C call there")
def test_a_destructor_within_a_call_cannot_close_the_group(engine, listener, pair):
    seen: list[zcrx.BusyError] = []

    kept: list[list[object]] = []

    def close_within(phase: str, info: object) -> None:
        kept.extend([] for _ in range(5))  # so that the next object that is made makes it collect again
        try:
            rx._at_window(stream)
        except zcrx.ThreadError:  # it is in a call
            with pytest.raises(zcrx.BusyError, match="within") as raised:
                group.close()
            seen.append(raised.value)

    with zcrx.Group(1, engine=engine, area_bytes=1 << 20) as group, contextlib.ExitStack() as stack:
        rx = group.receiver(0)
        group.listen(listener)
        stream = rx.add(pair[0])
        before = gc.get_threshold()
        stack.callback(gc.set_threshold, *before)
        stack.callback(gc.callbacks.remove, close_within)
        gc.callbacks.append(close_within)
        gc.set_threshold(1, 1, 1)
        while not seen:
            stack.enter_context(socket.create_connection(listener.getsockname(), PATIENCE_S))
            rx.receive(1).release()
            assert len(kept) < 100000
        assert seen
        assert not group.closed
        rx.receive(0).release()


def test_a_child_does_no_harm(engine, pair):
    with zcrx.Group(1, engine=engine, area_bytes=1 << 20) as group:
        rx = group.receiver(0)
        group.add(pair[0])
        events_of(rx, 1)
        child = os.fork()
        if not child:
            status = 1
            with contextlib.suppress(BaseException):
                for call in (lambda: group.add(pair[0]), group.stats, lambda: rx.receive(0)):
                    with pytest.raises(zcrx.ThreadError, match="fork"):
                        call()
                rx.close()
                group.close()
                status = 0
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        pair[1].sendall(b"x")
        assert bytes(events_of(rx, 1)[0].buffer) == b"x"


# ---- what a receiver by itself has of this ----


def test_a_receiver_pins_its_thread(engine):
    processor = max(os.sched_getaffinity(0))
    seen = []

    def run() -> None:
        with zcrx.Receiver(engine, area_bytes=1 << 20, processor=processor, busy_poll_us=5) as rx:
            info = rx.info
            rx.receive(0)
            seen.extend([info.processor, os.sched_getaffinity(0), rx.group])
            assert info.busy_poll_us == (5 if "busy_poll" in info.features else 0)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_S)
    assert seen == [processor, {processor}, None]


def test_a_processor_that_there_is_not(engine):
    with pytest.raises(zcrx.Error, match="processor") as raised:
        zcrx.Receiver(engine, processor=1023)
    assert raised.value.stage == "options"
    assert raised.value.hint
