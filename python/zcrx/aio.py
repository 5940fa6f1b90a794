# SPDX-License-Identifier: MIT
"""zcrx in an asyncio event loop, on the ring's own descriptor: no thread, no copy.

    async for buffer in zcrx.aio.stream(sock):
        ...

    async with zcrx.aio.Receiver() as receiver:     # many sockets, one ring
        async for buffer in receiver.stream(sock):
            ...

Not consuming is backpressure: buffers stay out until they are released, and when none are left the kernel
stops reading the sockets. Works under uvloop as well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Self

from . import _receiver
from ._receiver import HasFileno
from ._zcrx import Buffer, Stream

__all__ = ["Receiver", "Source", "stream"]

_BATCH = 64
_TURNS = 16  # batches taken at once before other tasks of the loop have their turn


class Source:
    """The buffers of one socket, as an async iterator. It ends when the peer closes.

    A reset or another failure of the socket is raised as the OSError that it is. Cancelling a task that waits
    for the next buffer loses nothing.
    """

    def __init__(self, receiver: Receiver, owned: bool) -> None:
        self._receiver = receiver
        self._owned = owned  # the receiver is for this source alone, and closed with it
        self._ready: deque[Buffer] = deque()
        self._stream: Stream | None = None
        self._error: OSError | None = None
        self._over = False
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        while not self._ready:
            if self._closed or self._over:
                self._finish()
                raise StopAsyncIteration
            await self._receiver._turn(self)
        return self._ready.popleft()

    def _finish(self) -> None:
        """At the end: close an own receiver, raise what ended the stream (once)."""
        if self._owned:
            self._receiver.close()
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def aclose(self) -> None:
        """Stop early: buffers that nobody took are released, the socket is the caller's alone again."""
        self._closed = True
        self._ready.clear()
        if self._owned:
            self._receiver.close()
        elif self._stream is not None and not self._over:
            self._receiver._remove(self._stream)
            while not self._over:
                await self._receiver._turn(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Receiver:
    """A zcrx.Receiver in the running event loop. Takes the same arguments; used in the loop's thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._core = _receiver.Receiver(*args, **options)
        self._fd = self._core.fileno()
        self._waiting: set[Source] = set()
        self._watched = False
        self._turns = 0

    def stream(self, sock: HasFileno | int, *, limit: int | None = None) -> Source:
        """Add a connected socket; its buffers come from the Source that is returned."""
        return self._add(sock, limit, owned=False)

    def _add(self, sock: HasFileno | int, limit: int | None, owned: bool) -> Source:
        source = Source(self, owned)
        source._stream = self._core.add(sock, limit=limit, tag=source)
        return source

    def _remove(self, stream: Stream) -> None:
        self._core.remove(stream)

    @property
    def info(self) -> Any:
        """What was opened."""
        return self._core.info

    @property
    def stats(self) -> Any:
        """The counters, now."""
        return self._core.stats

    def _pump(self) -> bool:
        """Hand out what there is, a batch at most. False if there was nothing."""
        batch = self._core.receive(0, max_events=_BATCH)
        if not batch:
            return False
        for event in batch:
            source: Source = event.stream.tag
            if event.buffer is None:
                source._over, source._error = True, event.error
            elif not source._closed:
                source._ready.append(event.buffer)
        return True

    async def _turn(self, source: Source) -> None:
        """Get something for a source: at once if there is something, else when the ring says so."""
        if self._pump():
            self._wake()
            self._turns += 1
            if self._turns % _TURNS == 0:
                await asyncio.sleep(0)
            return
        if source._waiter is not None:
            raise RuntimeError("two tasks wait for the same stream")
        if not self._watched:
            self._loop.add_reader(self._fd, self._readable)
            self._watched = True
        source._waiter = self._loop.create_future()
        self._waiting.add(source)
        try:
            await source._waiter
        finally:
            source._waiter = None
            self._waiting.discard(source)

    def _readable(self) -> None:
        if not self._waiting:  # nobody consumes: the ring stays ready, but must not keep the loop busy
            self._unwatch()
            return
        try:
            self._pump()
        except OSError as error:
            for source in self._waiting:
                if source._waiter is not None and not source._waiter.done():
                    source._waiter.set_exception(error)
            return
        self._wake()

    def _wake(self) -> None:
        for source in self._waiting:
            if (source._ready or source._over) and source._waiter is not None and not source._waiter.done():
                source._waiter.set_result(None)

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._fd)

    def close(self) -> None:
        """Close the receiver. Buffers that are out stay valid; sources that wait are at their end."""
        self._unwatch()
        self._core.close()
        for source in self._waiting:
            source._closed = True
            if source._waiter is not None and not source._waiter.done():
                source._waiter.set_result(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stream(sock: HasFileno | int, *, limit: int | None = None, **options: Any) -> Source:
    """The buffers of one connected socket, from a receiver of its own with these options."""
    receiver = Receiver(**options)
    try:
        return receiver._add(sock, limit, owned=True)
    except BaseException:
        receiver.close()
        raise
