# SPDX-License-Identifier: MIT
"""zcrx.aio.start_server: a thread, a loop and a receiver each, a task for each connection."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import hashlib
import itertools
import os
import socket
import sys
import threading

import pytest

import zcrx
import zcrx.aio

OPTIONS = {"queues": 2, "area_bytes": 4 << 20}
PATIENCE_S = 60


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def serving_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "zcrx server"]


async def hash_all(source, writer):
    digest = hashlib.sha256()
    async for buffer in source:
        with buffer:
            digest.update(buffer)
    writer.write(digest.hexdigest().encode())


async def exchange(server, data: bytes) -> bytes:
    """Send all, then read to the end."""
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write(data)
    writer.write_eof()
    got = await reader.read()
    writer.close()
    await writer.wait_closed()
    return got


async def until(condition) -> None:
    for _ in range(PATIENCE_S * 100):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def test_uploads(run, engine):
    before = descriptors()
    data = [os.urandom(300000) for _ in range(20)]
    threads = set()

    async def handler(source, writer):
        threads.add(threading.current_thread())
        await hash_all(source, writer)

    async def main():
        async with await zcrx.aio.start_server(handler, "127.0.0.1", 0, engine=engine, **OPTIONS) as server:
            assert server.is_serving()
            assert server.info.engine == engine
            assert "127.0.0.1" in repr(server)
            assert len(serving_threads()) == 2
            answers = await asyncio.gather(*(exchange(server, piece) for piece in data))
            assert answers == [hashlib.sha256(piece).hexdigest().encode() for piece in data]
            stats = server.stats()
            assert (stats.accepted, stats.sum.bytes) == (20, 20 * 300000)
            assert all(each.bytes for each in stats.receivers)
        assert not server.is_serving()
        assert server.sockets == ()
        assert repr(server) == "<zcrx.aio.Server, closed>"
        with pytest.raises(zcrx.ClosedError):
            server.stats()
        await server.wait_closed()
        assert serving_threads() == []

    run(main())
    assert len(threads) == 2
    assert descriptors() == before


def test_what_is_written_is_sent_after_the_handler(run, engine):
    """More than a socket takes at once, to a peer that reads late."""
    data = os.urandom(8 << 20)

    async def handler(source, writer):
        assert writer.can_write_eof()
        writer.writelines([data[: 1 << 20], memoryview(data)[1 << 20 :]])

    async def main():
        async with await zcrx.aio.start_server(handler, "127.0.0.1", 0, engine=engine, **OPTIONS) as server:
            assert await exchange(server, b"") == data

    run(main())


def test_echo_with_backpressure(run, engine):
    data = os.urandom(16 << 20)

    async def handler(source, writer):
        async for buffer in source:
            with buffer:
                writer.write(buffer)
            await writer.drain()
            assert len(writer._rest) <= 1 << 16
        writer.write_eof()
        writer.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            writer.write(b"x")
        await writer.drain()
        writer.close()
        writer.close()
        assert writer.is_closing()
        await writer.wait_closed()
        assert writer.get_extra_info("peername") is None

    async def main():
        async with await zcrx.aio.start_server(handler, "127.0.0.1", 0, engine=engine, **OPTIONS) as server:
            assert await exchange(server, data) == data

    run(main())


def test_extra_info(run, engine):
    seen = []

    async def handler(source, writer):
        names = ("peername", "sockname", "socket", "cipher")
        seen.append([writer.get_extra_info(name, "none") for name in names])
        assert seen[0][2].getpeername() == seen[0][0]

    async def main():
        async with await zcrx.aio.start_server(handler, "127.0.0.1", 0, engine=engine, **OPTIONS) as server:
            await exchange(server, b"")
            assert seen[0][1] == server.sockets[0].getsockname()
            assert seen[0][3] == "none"

    run(main())


def test_a_peer_that_resets(run, engine):
    seen, go = [], threading.Event()

    async def handler(source, writer):
        with pytest.raises(ConnectionResetError):
            async for _ in source:
                pass
        for call in (writer.drain, writer.wait_closed):
            writer.write(b"x")
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await call()
        writer.write(b"x")
        writer.write_eof()
        seen.append(source.end)
        go.set()

    async def main():
        async with await zcrx.aio.start_server(handler, "127.0.0.1", 0, engine=engine, **OPTIONS) as server:
            with socket.create_connection(server.sockets[0].getsockname()) as peer:
                await until(lambda: server.stats().added)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await until(go.is_set)

    run(main())
    assert seen == [None]


def test_exceptions_of_handlers(run, engine):
    seen = []

    async def handler(source, writer):
        async for buffer in source:
            if bytes(buffer) == b"bad":
                raise KeyError("bad")
            writer.write(bytes(buffer))

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: seen.append((loop, context)))
        async with await zcrx.aio.start_server(handler, "127.0.0.1", 0, engine=engine, **OPTIONS) as server:
            with contextlib.suppress(ConnectionResetError):
                assert await exchange(server, b"bad") == b""
            assert await exchange(server, b"good") == b"good"
            await until(lambda: seen)
            assert server.stats().sum.streams == 0
        (where, context), *more = seen
        assert not more
        assert where is not loop
        assert isinstance(context["exception"], KeyError)
        assert "handler" in context["message"]
        assert isinstance(context["socket"], socket.socket)

    run(main())
    seen.clear()


def test_closing_cancels_handlers(run, engine):
    before = descriptors()
    seen, begun = [], threading.Semaphore(0)

    async def handler(source, writer):
        begun.release()
        try:
            async for buffer in source:
                buffer.release()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            seen.append(source.end)
            raise

    async def main():
        server = await zcrx.aio.start_server(handler, "127.0.0.1", 0, engine=engine, **OPTIONS)
        peers = [socket.create_connection(server.sockets[0].getsockname(), PATIENCE_S) for _ in range(6)]
        for peer in peers:
            peer.sendall(b"x")
        for _ in peers:
            await until(lambda: begun.acquire(blocking=False))
        server.close()
        server.close()
        await server.wait_closed()
        assert seen == [None] * 6
        for peer in peers:
            with contextlib.suppress(ConnectionResetError):
                assert peer.recv(1) == b""
            peer.close()
        assert serving_threads() == []

    run(main())
    assert descriptors() == before


def test_closing_while_connections_come(run, engine):
    """Whatever the moment: each peer sees an end, and nothing is left."""
    before = descriptors()

    async def main():
        for turn in range(10):
            server = await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, engine=engine, **OPTIONS)
            peers = [
                socket.create_connection(server.sockets[0].getsockname(), PATIENCE_S) for _ in range(turn)
            ]
            await asyncio.sleep(0.001 * turn)
            server.close()
            await server.wait_closed()
            for peer in peers:
                with contextlib.suppress(ConnectionResetError):
                    assert peer.recv(1) == b""
                peer.close()

    run(main())
    assert serving_threads() == []
    assert descriptors() == before


def test_serve_forever(run, engine):
    async def main():
        server = await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, engine=engine, **OPTIONS)
        task = asyncio.create_task(server.serve_forever())
        assert await exchange(server, b"data") == hashlib.sha256(b"data").hexdigest().encode()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert serving_threads() == []
        server = await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, engine=engine, **OPTIONS)
        asyncio.get_running_loop().call_later(0.01, server.close)
        await server.serve_forever()
        assert serving_threads() == []

    run(main())


def test_a_handler_that_stalls_costs_only_itself(run, engine):
    """One takes a buffer and nothing more, on the same receiver as one that goes on."""
    data = os.urandom(1 << 20) * 16
    held, stop = threading.Event(), threading.Event()

    async def handler(source, writer):
        if bytes(first := await anext(source))[:5] == b"stall":
            held.set()
            while not stop.is_set():
                await asyncio.sleep(0.01)
            first.release()
            await source.aclose()
            return
        digest = hashlib.sha256(first)
        first.release()
        async for buffer in source:
            with buffer:
                digest.update(buffer)
        writer.write(digest.hexdigest().encode())

    def flood(peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer.sendall(b"stall" * 1000000)

    async def main():
        options = {"engine": engine, "queues": 1, "area_bytes": 4 << 20}
        async with await zcrx.aio.start_server(handler, "127.0.0.1", 0, **options) as server:
            with socket.create_connection(server.sockets[0].getsockname()) as peer:
                thread = threading.Thread(target=flood, args=(peer,))
                thread.start()
                await until(held.is_set)
                assert await exchange(server, data) == hashlib.sha256(data).hexdigest().encode()
                stop.set()
                await asyncio.to_thread(thread.join)

    run(main())


def test_a_window_that_is_full(run, engine):
    """Of the server's streams; the handler learns that nothing can come."""
    seen = []

    async def handler(source, writer):
        with pytest.raises(zcrx.WindowError):
            seen.append([buffer async for buffer in source])
        seen.append("told")

    async def main():
        options = {"engine": engine, "window": 128 << 10, "window_timeout": 0.1, **OPTIONS}
        async with await zcrx.aio.start_server(handler, "127.0.0.1", 0, **options) as server:
            with socket.create_connection(server.sockets[0].getsockname()) as peer:
                peer.settimeout(0.2)
                with contextlib.suppress(OSError):
                    peer.sendall(bytes(32 << 20))
                await until(lambda: seen)
        with pytest.raises(zcrx.Error, match="window_bytes"):
            await zcrx.aio.start_server(handler, "127.0.0.1", 0, **{**options, "window": 1})

    run(main())
    assert seen == ["told"]
    assert serving_threads() == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks before Python 3.12")
def test_eager_tasks(run, engine):
    """Handlers do not receive within the receive that brings their connection: bytes stay in order."""
    data = bytes(range(256)) * 4000

    def factory():
        loop = asyncio.new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    async def main():
        options = {"engine": engine, "loop_factory": factory, **OPTIONS}
        async with await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, **options) as server:
            answers = await asyncio.gather(*(exchange(server, data) for _ in range(20)))
            assert answers == [hashlib.sha256(data).hexdigest().encode()] * 20

    run(main())


# ---- where it listens ----


def test_several_addresses(run, engine):
    async def main():
        hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
        async with await zcrx.aio.start_server(hash_all, hosts, 0, engine=engine, **OPTIONS) as server:
            names = [sock.getsockname() for sock in server.sockets]
            assert [name[0] for name in names] == hosts[:2]
            assert names[0][1] == names[1][1]
            for name in names:
                reader, writer = await asyncio.open_connection(*name)
                writer.write_eof()
                assert await reader.read() == hashlib.sha256().hexdigest().encode()
                writer.close()
            port = names[0][1]
            with pytest.raises(OSError, match=f"127.0.0.1 port {port}") as raised:
                await zcrx.aio.start_server(hash_all, "127.0.0.1", port, engine=engine, **OPTIONS)
            assert raised.value.errno == errno.EADDRINUSE

    run(main())


def test_a_socket_of_the_caller(run, engine):
    async def main():
        sock = socket.create_server(("127.0.0.1", 0))
        with pytest.raises(ValueError, match="sock"):
            await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, sock=sock)
        async with await zcrx.aio.start_server(hash_all, sock=sock, engine=engine, **OPTIONS) as server:
            assert server.sockets == (sock,)
            assert await exchange(server, b"") == hashlib.sha256().hexdigest().encode()
        assert sock.fileno() < 0

    run(main())


def test_a_listener_that_fails(run, engine):
    seen = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context))
        async with await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, engine=engine, **OPTIONS) as server:
            server.sockets[0].shutdown(socket.SHUT_RDWR)
            await until(lambda: seen)

    run(main())
    assert "listening" in seen[0]["message"]
    assert seen[0]["exception"].errno == errno.EINVAL


# ---- what cannot be started, what is forgotten ----


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"area_bytes": 1}, zcrx.Error, "area_bytes"),
        ({"queues": 0}, ValueError, "count"),
        ({"engine": "zcrx", "interface": "no-such-nic"}, zcrx.UnavailableError, "no-such-nic"),
        ({"no_such_option": 1}, TypeError, "no_such_option"),
    ],
)
def test_what_cannot_be_started(run, options, error, says):
    before = descriptors()

    async def main():
        with pytest.raises(error, match=says):
            await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, **{**OPTIONS, **options})

    run(main())
    assert serving_threads() == []
    assert descriptors() == before


def test_loops_that_cannot_be_made(run, engine):
    """Of the second thread: the first is ended again."""
    before = descriptors()
    made, turns = [], itertools.count()

    def factory():
        if next(turns):
            raise KeyError("no loop")
        made.append(asyncio.new_event_loop())
        return made[0]

    async def main():
        with pytest.raises(KeyError, match="no loop"):
            await zcrx.aio.start_server(
                hash_all, "127.0.0.1", 0, engine=engine, loop_factory=factory, **OPTIONS
            )

    run(main())
    assert made[0].is_closed()
    assert serving_threads() == []
    made.clear()
    assert descriptors() == before


def test_threads_that_cannot_be_started(run, engine, monkeypatch):
    before = descriptors()
    start, begun = threading.Thread.start, []

    def refuse(thread):
        if thread.name == "zcrx server" and begun:
            raise RuntimeError("can't start new thread")
        begun.extend([thread] if thread.name == "zcrx server" else [])
        start(thread)

    async def main():
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, engine=engine, **{**OPTIONS, "queues": 3})

    run(main())
    assert serving_threads() == []
    assert descriptors() == before


def test_a_start_that_is_cancelled(run, engine):
    before = descriptors()

    async def main():
        for turn in range(10):
            starting = zcrx.aio.start_server(hash_all, "127.0.0.1", 0, engine=engine, **OPTIONS)
            task = asyncio.create_task(starting)
            await asyncio.sleep(0.002 * turn)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                server = await task
                server.close()
                await server.wait_closed()

    run(main())
    assert serving_threads() == []
    assert descriptors() == before


def test_a_server_that_is_forgotten(run, engine):
    before = descriptors()

    async def main():
        server = await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, engine=engine, **OPTIONS)
        with pytest.warns(ResourceWarning, match="unclosed server"):
            del server
        await until(lambda: not serving_threads())

    run(main())
    assert descriptors() == before


def test_a_loop_that_ends_before_its_server(engine):
    """The threads need the loop for nothing: closing works, and leaves nothing."""
    before = descriptors()

    async def main():
        return await zcrx.aio.start_server(hash_all, "127.0.0.1", 0, engine=engine, **OPTIONS)

    server = asyncio.run(main())
    threads = serving_threads()
    assert len(threads) == 2
    server.close()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    del server, threads, thread
    assert descriptors() == before


def test_a_ring_that_fails(run, engine, monkeypatch):
    """Its receiver leaves; its handlers and the exception handler are told; the other serves on."""
    seen, ended = [], []
    failing = threading.Event()
    receive = zcrx.Receiver.receive

    def fail(self, *args, **options):
        if failing.is_set() and self is self.group.receiver(0):
            raise zcrx.Error(errno.EIO, "the ring failed", stage="receive")
        return receive(self, *args, **options)

    async def handler(source, writer):
        try:
            await hash_all(source, writer)
        except zcrx.ClosedError as error:
            ended.append(error.errno)

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context))
        monkeypatch.setattr(zcrx.Receiver, "receive", fail)
        async with await zcrx.aio.start_server(handler, "127.0.0.1", 0, engine=engine, **OPTIONS) as server:
            peers = [socket.create_connection(server.sockets[0].getsockname(), PATIENCE_S) for _ in range(4)]
            await until(lambda: [each.streams for each in server.stats().receivers] == [2, 2])
            failing.set()
            for peer in peers:
                peer.sendall(b"x")
            await until(lambda: len(ended) == 2)
            assert server.stats().receiver_count == 1
            for peer in peers:
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_WR)
            answers = []
            for peer in peers:
                with contextlib.suppress(ConnectionResetError):
                    answers.append(await asyncio.to_thread(peer.recv, 100))
                peer.close()
            assert answers.count(hashlib.sha256(b"x").hexdigest().encode()) == 2
            assert await exchange(server, b"") == hashlib.sha256().hexdigest().encode()

    run(main())
    assert [context["exception"].errno for context in seen] == [errno.EIO]
