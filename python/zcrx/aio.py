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
import copy
import errno
from collections import deque
from types import TracebackType
from typing import Any, Self

from . import _receiver
from ._errors import ClosedError
from ._receiver import HasFileno
from ._zcrx import Buffer, Stream

__all__ = ["Receiver", "Source", "stream"]

_BATCH = 64
_TURNS = 16  # batches taken at once before other tasks of the loop have their turn


class Source:
    """The buffers of one socket, as an async iterator.

    When it is over `end` tells how: "peer" (the other side closed), "limit" or "removed". Only "peer" means
    that everything the peer sent has come.

    A reset or another failure of the socket is raised as the OSError that it is. ClosedError is raised if the
    receiver is closed before the stream has ended, and to a task that waits while another calls aclose().
    Cancelling a task that waits for the next buffer loses nothing.
    """

    def __init__(self, receiver: Receiver, owned: bool) -> None:
        self._receiver = receiver
        self._owned = owned  # the receiver is for this source alone, and closed with it
        self._ready: deque[Buffer] = deque()
        self._stream: Stream | None = None
        self._end: str | None = None
        self._error: OSError | None = None
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def end(self) -> str | None:
        """How the stream ended; None while there are buffers to come, or if it failed."""
        return None if self._ready else self._end

    @property
    def _over(self) -> bool:
        return self._end is not None or self._error is not None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        while not self._ready:
            if self._over:
                if self._owned:
                    self._receiver.close()
                if self._error is not None:
                    # A copy: one that is kept here would keep the caller's frame, by its traceback.
                    raise copy.copy(self._error)
                raise StopAsyncIteration
            await self._receiver._turn(self)
            if self._closed:
                raise ClosedError(errno.EBADF, "aclose() was called while this task waited for a buffer")
        return self._ready.popleft()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _abandon(self) -> None:
        """The receiver is being closed."""
        if not self._over:
            hint = "await the end of its streams first, or aclose() them"
            self._error = ClosedError(
                errno.EBADF, "the receiver was closed before the stream ended", hint=hint
            )
        self._wake()

    async def aclose(self) -> None:
        """Stop early: buffers that nobody took are released, the socket is the caller's alone again."""
        self._closed = True
        self._ready.clear()
        self._wake()
        if self._owned:
            if not self._over:
                self._end = "removed"
            self._receiver.close()
        elif not self._over and self._stream is not None:
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
        """Add a connected socket; its buffers come from the Source that is returned.

        Not one that an asyncio transport reads: take it before open_connection or start_server would.
        """
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
                source._end, source._error = event.end, event.error
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
        waiter = source._waiter = self._loop.create_future()
        self._waiting.add(source)
        try:
            await waiter
        finally:
            if source._waiter in (waiter, None):
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
            if source._ready or source._over:
                source._wake()

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._fd)

    def close(self) -> None:
        """Close the receiver. Buffers that are out stay valid; streams that go on raise ClosedError."""
        self._unwatch()
        running: list[Source] = [stream.tag for stream in self._core.streams]
        self._core.close()
        for source in running:
            source._abandon()

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
