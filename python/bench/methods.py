# SPDX-License-Identifier: MIT
"""Ways to receive one connection to its end. Each takes a connected socket and returns a Result."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zcrx
import zcrx.aio

ENGINE = "multishot"
PIECE = 1 << 16


@dataclass
class Result:
    bytes: int
    buffers: int
    cpu_ns: int  # of the receiving thread
    seconds: float = 0.0


Method = Callable[[socket.socket], Result]


class _CoreResult(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_uint64), ("buffers", ctypes.c_uint64), ("cpu_ns", ctypes.c_int64))


class Core:
    """The C core's own loop, compiled beside this file, over one socket."""

    def __init__(self, library: Path, sock: socket.socket, buffer_bytes: int) -> None:
        self._library = ctypes.CDLL(str(library))
        self._receiver = ctypes.c_void_p()
        engine = zcrx.ENGINES.index(ENGINE)
        self._check(
            self._library.core_open(sock.fileno(), engine, buffer_bytes, ctypes.byref(self._receiver))
        )

    @staticmethod
    def _check(error: int) -> None:
        if error:
            raise OSError(-error, "the core's loop failed")

    def receive(self, most: int) -> Result:
        raw = _CoreResult()
        most_bytes = ctypes.c_uint64(most)
        self._check(self._library.core_receive(self._receiver, most_bytes, ctypes.byref(raw)))
        return Result(raw.bytes, raw.buffers, raw.cpu_ns)

    def close(self) -> None:
        self._library.core_close(self._receiver)


def core(library: Path, buffer_bytes: int) -> Method:
    def receive(sock: socket.socket) -> Result:
        loop = Core(library, sock, buffer_bytes)
        try:
            return loop.receive((1 << 64) - 1)
        finally:
            loop.close()

    return receive


def take(rx: zcrx.Receiver, most: int) -> Result:
    """A Buffer for each, viewed and released, until there are so many bytes."""
    total = count = 0
    begin = time.thread_time_ns()
    while total < most:
        batch = rx.receive()
        total += batch.bytes
        count += len(batch)
        for buffer in batch.take():
            memoryview(buffer)
            buffer.release()
    return Result(total, count, time.thread_time_ns() - begin)


def buffers(buffer_bytes: int) -> Method:
    """A Buffer for each, viewed and released."""

    def receive(sock: socket.socket) -> Result:
        total = count = 0
        with zcrx.Receiver(ENGINE, buffer_bytes=buffer_bytes) as rx:
            begin = time.thread_time_ns()
            for buffer in rx.stream(sock):
                total += len(memoryview(buffer))
                buffer.release()
                count += 1
            return Result(total, count, time.thread_time_ns() - begin)

    return receive


def batches(buffer_bytes: int) -> Method:
    """Whole batches, with no object for each buffer."""

    def receive(sock: socket.socket) -> Result:
        total = count = 0
        with zcrx.Receiver(ENGINE, buffer_bytes=buffer_bytes) as rx:
            begin = time.thread_time_ns()
            stream = rx.add(sock)
            while not stream.ended:
                batch = rx.receive()
                total += batch.bytes
                count += len(batch)
                batch.release()
            return Result(total, count, time.thread_time_ns() - begin)

    return receive


def recv_into(sock: socket.socket) -> Result:
    """socket.recv_into one bytearray, again and again."""
    target = bytearray(PIECE)
    total = count = 0
    begin = time.thread_time_ns()
    while size := sock.recv_into(target):
        total += size
        count += 1
    return Result(total, count, time.thread_time_ns() - begin)


def _in_loop(main: Callable[[socket.socket], object]) -> Method:
    def receive(sock: socket.socket) -> Result:
        begin = time.thread_time_ns()
        total = asyncio.run(main(sock))  # type: ignore[arg-type]
        return Result(total, 0, time.thread_time_ns() - begin)

    return receive


async def _aio(sock: socket.socket) -> int:
    total = 0
    async for buffer in zcrx.aio.stream(sock, engine=ENGINE):
        total += len(buffer)
        buffer.release()
    return total


async def _streams(sock: socket.socket) -> int:
    reader, writer = await asyncio.open_connection(sock=sock.dup())
    total = 0
    while data := await reader.read(PIECE):
        total += len(data)
    writer.close()
    return total


class _Protocol(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.target = bytearray(PIECE)
        self.total = 0
        self.over = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.target

    def buffer_updated(self, nbytes: int) -> None:
        self.total += nbytes

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set_result(None)


async def _buffered(sock: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(_Protocol, sock=sock.dup())
    await protocol.over
    return protocol.total


aio, streams, buffered_protocol = map(_in_loop, (_aio, _streams, _buffered))
