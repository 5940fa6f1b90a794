# SPDX-License-Identifier: MIT
"""Sources: the buffers of sockets as async iterators, from a receiver in an event loop."""

from __future__ import annotations

import asyncio
import copy
import errno
import weakref
from collections import deque
from types import TracebackType
from typing import Any, Self

from . import _receiver, _window
from ._errors import ClosedError
from ._options import HasFileno
from ._structs import Info, Stats, StreamStats
from ._zcrx import Buffer, Event, Stream

_BATCH = 64
_LOOK_S = 2.5  # between looks whether sources wait at their windows
_TURNS = 16  # batches taken at once before other tasks of the loop have their turn


class Source:
    """The buffers of one socket, as an async iterator.

    When it is over `end` tells how: "peer" (the other side closed), "limit" or "removed". Only "peer" means
    that everything the peer sent has come.

    A reset or another failure of the socket is raised as the OSError that it is. ClosedError is raised if the
    receiver is closed before the stream has ended, and to a task that waits while another calls aclose().
    WindowError is raised, and ends nothing, if all of the stream's window is held for window_timeout seconds
    without a release: nothing would ever come.
    Cancelling a task that waits for the next buffer loses nothing: it can be waited for again. A source that
    nobody refers to any more (after a break, an exception or a timeout in `async for buffer in
    receiver.stream(sock)`) gives its socket back, as aclose() and the end of an `async with` block do.
    """

    def __init__(self, receiver: Receiver, owned: bool, window_timeout: float | None) -> None:
        self._receiver = receiver
        self._window_timeout = window_timeout
        self._owned = owned  # the receiver is for this source alone, and closed with it
        self._ready: deque[Buffer] = deque()  # at most the stream's window: the core pauses it there
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

    def _fail(self, error: OSError) -> None:
        """To the task that waits, once."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

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
            self._receiver._let_go(self._stream)
            while not self._over:
                await self._receiver._turn(self)

    def __del__(self) -> None:
        self._receiver._dropped(self._stream, self._owned)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Receiver:
    """A zcrx.Receiver in the running event loop. Takes the same arguments; used in the loop's thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._attach(_receiver.Receiver(*args, **options))

    def _attach(self, core: _receiver.Receiver) -> None:
        self._loop = asyncio.get_running_loop()
        self._core = core
        self._fd = self._core.fileno()
        self._waiting: set[Source] = set()
        self._leaving: set[Stream] = set()  # removed, and their end has not come
        self._watched = False
        self._looks: dict[Source, _window.Look] = {}
        self._timer: asyncio.TimerHandle | None = None  # of the next look, while a source waits
        self._turns = 0

    def stream(
        self,
        sock: HasFileno | int,
        *,
        limit: int | None = None,
        window: int | None = None,
        window_timeout: float | None = _window.TIMEOUT_S,
    ) -> Source:
        """Add a connected socket; its buffers come from the Source that is returned.

        limit, window, window_timeout  as for zcrx.Receiver.stream

        Not one that an asyncio transport reads: take it before open_connection or start_server would.
        """
        return self._add(Source(self, False, window_timeout), sock, limit, window)

    def _add(self, source: Source, sock: HasFileno | int, limit: int | None, window: int | None) -> Source:
        # Not the source is the tag: it must go when its consumer does.
        source._stream = self._core.add(sock, limit=limit, window=window, tag=weakref.ref(source))
        return source

    def stream_stats(self, source: Source) -> StreamStats:
        """The figures of one source's stream, now. Raises zcrx.Error (ENOENT) if it has ended."""
        if source._stream is None:
            raise ValueError("the source has no stream")
        return self._core.stream_stats(source._stream)

    @property
    def info(self) -> Info:
        """What was opened."""
        return self._core.info

    @property
    def stats(self) -> Stats:
        """The counters, now."""
        return self._core.stats

    def _let_go(self, stream: Stream) -> None:
        """Remove a stream. Its end is received even if nobody waits for it: the socket is held until then."""
        if not self._core.closed and self._core.remove(stream):
            self._leaving.add(stream)
            self._pump()
            self._watch()

    def _dropped(self, stream: Stream | None, owned: bool) -> None:
        """Nobody refers to a source any more. Any thread; also within a call on the receiver."""
        if stream is None or self._core.closed or (stream.ended and not owned):
            return
        try:
            self._loop.call_soon_threadsafe(*((self.close,) if owned else (self._let_go, stream)))
        except RuntimeError:  # the loop is closed
            if owned:
                self._core.close()

    def _pump(self) -> bool:
        """Hand out what there is, a batch at most. False if there was nothing."""
        batch = self._core.receive(0, max_events=_BATCH)
        if not batch:
            return False
        for event in batch:
            if event.buffer is None:
                self._happened(event)
                continue
            source: Source | None = event.stream.tag()
            if source is not None and not source._closed:
                source._ready.append(event.buffer)
        return True

    def _happened(self, event: Event) -> None:
        """Something other than data has come."""
        source: Source | None = event.stream.tag()
        self._leaving.discard(event.stream)
        if source is not None:
            source._end, source._error = event.end, event.error

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
        self._watch()
        waiter = source._waiter = self._loop.create_future()
        self._waiting.add(source)
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_S, self._look)
        try:
            await waiter
        finally:
            if source._waiter in (waiter, None):
                source._waiter = None
                self._waiting.discard(source)

    def _look(self) -> None:
        """Tell sources that wait at their window for too long, from time to time."""
        looks, self._looks, self._timer = self._looks, {}, None
        for source in self._waiting:
            if source._stream is None or source._closed or not _window.is_stuck(self._core, source._stream):
                continue
            look = looks.get(source) or _window.Look(self._core, source._stream, source._window_timeout)
            if look.is_over():
                source._fail(_window.error(self._core))
            else:
                self._looks[source] = look
        if self._waiting:
            self._timer = self._loop.call_later(_LOOK_S, self._look)

    def _readable(self) -> None:
        if not self._waiting and not self._leaving:
            self._unwatch()  # nobody consumes: the ring stays ready, but must not keep the loop busy
            return
        try:
            self._pump()
        except OSError as error:
            for source in self._waiting:
                source._fail(error)
            return
        self._wake()

    def _wake(self) -> None:
        for source in self._waiting:
            if source._ready or source._over:
                source._wake()

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            self._loop.add_reader(self._fd, self._readable)

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._fd)

    def close(self) -> None:
        """Close the receiver. Buffers that are out stay valid; streams that go on raise ClosedError."""
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
        running: list[Source | None] = [stream.tag() for stream in self._core.streams]
        self._core.close()
        for source in running:
            if source is not None:
                source._abandon()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
