# SPDX-License-Identifier: MIT
"""asyncio: streams, cancellation, timeouts, backpressure, on the stock loop and on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import socket
import threading

import pytest

import zcrx
import zcrx.aio
from zcrx import _sources


async def collect(source) -> bytes:
    got = bytearray()
    async for buffer in source:
        got += buffer
        buffer.release()
    return bytes(got)


def test_one_stream(run, engine, pair, send):
    data = os.urandom(4 << 20)
    send(pair[1], data)

    async def main():
        return await collect(zcrx.aio.stream(pair[0], engine=engine))

    assert run(main()) == data


def test_many_streams_on_one_ring(run, engine, pairs, send):
    made = [pairs() for _ in range(20)]
    data = [os.urandom(200000) for _ in made]

    async def main():
        async with zcrx.aio.Receiver(engine) as receiver:
            sources = [receiver.stream(receiving) for receiving, _ in made]
            for (_, sending), piece in zip(made, data, strict=True):
                send(sending, piece)
            return await asyncio.gather(*map(collect, sources))

    assert run(main()) == data


def test_waiting_leaves_the_loop_free(run, engine, pair):
    async def main():
        async with zcrx.aio.Receiver(engine) as receiver:
            source = receiver.stream(pair[0])
            task = asyncio.create_task(anext(source))
            for _ in range(5):
                await asyncio.sleep(0.01)
            assert not task.done()
            pair[1].sendall(b"late")
            return bytes(await task)

    assert run(main()) == b"late"


def test_timeout_and_cancellation_lose_nothing(run, engine, pair):
    async def main():
        async with zcrx.aio.Receiver(engine) as receiver:
            source = receiver.stream(pair[0])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(source), 0.05)
            task = asyncio.create_task(anext(source))
            await asyncio.sleep(0.01)
            pair[1].sendall(b"kept")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return bytes(await anext(source))

    assert run(main()) == b"kept"


def test_not_consuming_is_backpressure(run, engine, pair):
    pair[1].setblocking(False)

    async def main():
        sent = 0
        loop = asyncio.get_running_loop()
        async with zcrx.aio.Receiver(engine, area_bytes=1 << 20) as receiver:
            source = receiver.stream(pair[0])
            held = [await first(source, loop, pair[1])]
            with pytest.raises(TimeoutError):
                while True:
                    await asyncio.wait_for(loop.sock_sendall(pair[1], bytes(1 << 16)), 0.3)
                    sent += 1 << 16
            assert sent < 64 << 20
            held.clear()
            async for buffer in source:
                sent -= len(buffer)
                buffer.release()
                if sent <= 0:
                    break
            await source.aclose()

    async def first(source, loop, sock):
        await loop.sock_sendall(sock, bytes(1 << 16))
        return await anext(source)

    run(main())


def test_reset_is_raised(run, engine, pair):
    async def main():
        source = zcrx.aio.stream(pair[0], engine=engine)
        pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        pair[1].close()
        with pytest.raises(ConnectionResetError):
            await collect(source)

    run(main())


def test_leaving_early_gives_the_socket_back(run, engine, pair, send):
    send(pair[1], bytes(1 << 20))

    async def main():
        async with zcrx.aio.Receiver(engine) as receiver:
            async with receiver.stream(pair[0], limit=1 << 19) as source:
                (await anext(source)).release()
            with pytest.raises(StopAsyncIteration):
                await anext(source)

    run(main())
    pair[0].setblocking(True)
    while pair[0].recv(1 << 16):
        pass


@pytest.mark.parametrize("waits", [True, False])
def test_close_is_not_taken_for_the_end(run, engine, pair, waits):
    """Half an upload must not look like a whole one."""
    pair[1].sendall(b"half")

    async def main():
        receiver = zcrx.aio.Receiver(engine)
        source = receiver.stream(pair[0])
        got = bytes(await anext(source))
        task = asyncio.create_task(collect(source))
        if waits:
            await asyncio.sleep(0.02)
        receiver.close()
        for _ in range(2):
            with pytest.raises(zcrx.ClosedError, match="before the stream ended"):
                await (task if not task.done() else anext(source))
        assert source.end is None
        return got

    assert run(main()) == b"half"


def test_aclose_is_told_to_a_task_that_waits(run, engine, pair):
    async def main(owned):
        receiver = zcrx.aio.Receiver(engine)
        source = zcrx.aio.stream(pair[0], engine=engine) if owned else receiver.stream(pair[0])
        task = asyncio.create_task(collect(source))
        await asyncio.sleep(0.02)
        await source.aclose()
        with pytest.raises(zcrx.ClosedError, match="aclose"):
            await task
        with pytest.raises(StopAsyncIteration):
            await anext(source)
        assert source.end == "removed"
        receiver.close()

    run(main(True))
    run(main(False))


@pytest.mark.parametrize(("limit", "end"), [(None, "peer"), (3, "limit")])
def test_the_end_is_told(run, engine, pair, limit, end):
    pair[1].sendall(b"data")
    pair[1].shutdown(socket.SHUT_WR)

    async def main():
        source = zcrx.aio.stream(pair[0], engine=engine, limit=limit)
        assert source.end is None
        assert await collect(source) == b"data"[:limit]
        assert source.end == end

    run(main())


def test_a_reset_keeps_no_buffer(run, engine, pair):
    async def read(source):
        buffer = await anext(source)
        pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        pair[1].close()
        try:
            await anext(source)
        except ConnectionResetError:
            return len(buffer)

    async def main():
        async with zcrx.aio.Receiver(engine) as receiver:
            source = receiver.stream(pair[0])
            pair[1].sendall(b"data")
            assert await read(source) == 4
            assert receiver.stats.outstanding == 0  # without a garbage collection

    run(main())


def test_a_reset_is_raised_each_time(run, engine, pair):
    async def main():
        source = zcrx.aio.stream(pair[0], engine=engine)
        pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        pair[1].close()
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                await anext(source)
        assert source.end is None

    run(main())


# ---- a consumer that stalls, and one that leaves ----


def flood(sock: socket.socket) -> threading.Thread:
    """Send on a thread until the connection breaks."""

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(bytes(1 << 20))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("count", [1, 4])
def test_a_stalled_consumer_costs_only_itself(run, engine, pairs, send, count, first):
    """Taken once and never again: before the one that is consumed begins, or while it goes on."""
    data = os.urandom(1 << 20) * 64

    async def main():
        async with zcrx.aio.Receiver(engine) as receiver:
            stalled = [pairs() for _ in range(count)]
            threads = [flood(peer) for _, peer in stalled]
            sources = [receiver.stream(sock) for sock, _ in stalled]
            held = [await anext(source) for source in sources]
            while first and receiver.stats.paused < count:
                receiver._pump()
                await asyncio.sleep(0.001)
            live, peer = pairs()
            send(peer, data)
            digest = hashlib.sha256()
            async for buffer in receiver.stream(live):
                digest.update(buffer)
                buffer.release()
            stats = receiver.stats
            assert stats.paused == count or not first
            assert stats.held_bytes < stats.area_bytes
            held.clear()
            for source in sources:
                await source.aclose()
        for sock, _ in stalled:
            sock.close()
        for thread in threads:
            thread.join()
        return digest.digest()

    assert run(main()) == hashlib.sha256(data).digest()


async def leave_by_break(source):
    async for buffer in source():
        buffer.release()
        break


async def leave_by_exception(source):
    with contextlib.suppress(KeyError):
        async for buffer in source():
            buffer.release()
            raise KeyError


async def leave_by_timeout(source):
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            async for buffer in source():
                buffer.release()


async def leave_by_cancel(source):
    task = asyncio.create_task(collect(source()))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])


async def leave_at_once(source):
    source()


async def leave_a_failed_task(source):
    async def fail():
        mine = source()
        await anext(mine)
        raise KeyError

    with contextlib.suppress(KeyError):
        await asyncio.create_task(fail())


LEAVE = [
    leave_by_break,
    leave_by_exception,
    leave_by_timeout,
    leave_by_cancel,
    leave_at_once,
    leave_a_failed_task,
]


@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("owned", [True, False])
def test_a_source_that_is_left_lets_go_of_its_socket(run, engine, pairs, owned, leave):
    """The caller has closed his: the peer sees the end at once, without a garbage collection."""

    async def main():
        loop = asyncio.get_running_loop()
        sock, peer = pairs()
        peer.setblocking(False)
        async with zcrx.aio.Receiver(engine) as receiver:
            if leave is not leave_at_once:
                peer.sendall(b"data")
            await leave(lambda: zcrx.aio.stream(sock, engine=engine) if owned else receiver.stream(sock))
            sock.close()
            assert await asyncio.wait_for(loop.sock_recv(peer, 1), 10) == b""
            assert receiver.stats.streams == 0

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_a_source_that_is_left_does_not_disturb_others(run, engine, pairs, send):
    data = os.urandom(4 << 20)

    async def main():
        async with zcrx.aio.Receiver(engine, area_bytes=8 << 20) as receiver:
            left, peer = pairs()
            thread = flood(peer)
            live, live_peer = pairs()
            source = receiver.stream(live)
            await leave_by_break(lambda: receiver.stream(left))
            left.close()
            send(live_peer, data)
            got = await collect(source)
            thread.join()
            assert receiver.stats.streams == 0
            return got

    assert run(main()) == data


def test_a_cancelled_aclose_still_lets_go(run, engine, pairs):
    async def main():
        loop = asyncio.get_running_loop()
        sock, peer = pairs()
        peer.setblocking(False)
        async with zcrx.aio.Receiver(engine) as receiver:
            source = receiver.stream(sock)
            task = asyncio.create_task(source.aclose())
            task.cancel()
            await asyncio.wait([task])
            task = asyncio.create_task(source.aclose())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            sock.close()
            assert await asyncio.wait_for(loop.sock_recv(peer, 1), 10) == b""

    run(main())


def test_a_source_that_outlives_its_loop(run, engine, pair):
    """What is dropped then closes its receiver all the same, without a warning."""
    pair[1].sendall(b"data")

    async def main():
        source = zcrx.aio.stream(pair[0], engine=engine)
        (await anext(source)).release()
        return [source]

    run(main()).clear()
    pair[0].close()
    pair[1].settimeout(10)
    assert pair[1].recv(1) == b""


def test_keeping_more_than_the_window_is_an_error(run, engine, pair, monkeypatch):
    """All buffers are kept: nothing can come. The error ends nothing."""
    monkeypatch.setattr(_sources, "_LOOK_S", 0.1)

    async def main():
        async with zcrx.aio.Receiver(engine, area_bytes=4 << 20) as receiver:
            thread = flood(pair[1])
            source = receiver.stream(pair[0], window_timeout=0.5)
            with pytest.raises(zcrx.WindowError, match="area_bytes"):
                [buffer async for buffer in source]
            (await anext(source)).release()
            await source.aclose()
        pair[0].close()
        thread.join()

    run(main())
