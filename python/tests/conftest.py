# SPDX-License-Identifier: MIT
"""Fixtures: connected sockets, receivers on each engine that this kernel has."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import zcrx

ENGINES = [name for name in ("multishot", "recv", "zcrx-nodev") if name in zcrx.probe().engines]
Pair = tuple[socket.socket, socket.socket]


def make_pair() -> Pair:
    """A TCP connection over loopback: the receiving side, the sending side."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    return receiver, sender


@pytest.fixture
def pairs() -> Iterator[Callable[[], Pair]]:
    made: list[socket.socket] = []

    def make() -> Pair:
        pair = make_pair()
        made.extend(pair)
        return pair

    yield make
    for sock in made:
        sock.close()


@pytest.fixture
def pair(pairs: Callable[[], Pair]) -> Pair:
    return pairs()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rx(engine: str) -> Iterator[zcrx.Receiver]:
    with zcrx.Receiver(engine, area_bytes=8 << 20) as receiver:
        yield receiver


@pytest.fixture
def send() -> Iterator[Callable[[socket.socket, bytes], threading.Thread]]:
    """Send all of some bytes on a thread, then shut down writing."""
    threads: list[threading.Thread] = []

    def start(sock: socket.socket, data: bytes) -> threading.Thread:
        def run() -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        return thread

    yield start
    for thread in threads:
        thread.join(100)
        assert not thread.is_alive()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine, on the stock loop and on uvloop, in bounded time."""
    factory = None
    if request.param == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.sleep(0))  # the first one opens a pipe that stays

    def call(coroutine):
        async def bounded():
            return await asyncio.wait_for(coroutine, 100)

        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(bounded())

    return call
