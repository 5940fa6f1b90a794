# SPDX-License-Identifier: MIT
"""Buffers: the buffers of one stream, one after the other."""

from __future__ import annotations

import copy
import math
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

from . import _window
from ._errors import ThreadError
from ._zcrx import Batch, Buffer, Event, Stream

if TYPE_CHECKING:
    from ._receiver import Receiver


def let_go(receiver: Receiver, stream: Stream) -> Event | None:
    """Remove the only stream of a receiver and wait for its end, which is returned."""
    last = None
    receiver.remove(stream)
    while not stream.ended:
        with receiver.receive(1.0) as batch:
            batch.take()
            for event in batch:
                last = event
    return last


class Buffers:
    """The buffers of one socket, as an iterator: what Receiver.stream returns.

    When it is over `end` tells how: "peer" (the other side closed), "limit" or "removed". Only "peer" means
    that everything the peer sent has come.

    A reset or another failure of the socket is raised as the OSError that it is, at each further call too.
    TimeoutError ends nothing: the next call waits again, and no data is lost.

    Buffers that are kept hold the stream's window; at its window it pauses. If then nothing is released for
    window_timeout seconds, WindowError is raised, which ends nothing either. Where there are no other
    threads, which could release, it is raised after a second.

    close(), the end of a with block or dropping the iterator gives the socket back: buffers that were
    received but not handed out are let go, what is still in the socket stays there. (Dropped on another
    thread than the receiver's, it does so when the receiver is next given a socket, or closed.)
    """

    def __init__(
        self, receiver: Receiver, stream: Stream, timeout: float | None, window_timeout: float | None
    ) -> None:
        self._receiver = receiver
        self._stream = stream
        self._timeout = timeout
        self._window_timeout = window_timeout
        self._ready: deque[Buffer] = deque()  # of one batch, so of no more than the stream's window
        self._error: OSError | None = None
        self._end: str | None = None

    @property
    def end(self) -> str | None:
        """How the stream ended; None while there are buffers to come, or if it failed."""
        return None if self._ready else self._end

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Buffer:
        while not self._ready:
            if self._error is not None:
                # A copy: one that is kept here would keep the caller's frame, by its traceback.
                raise copy.copy(self._error)
            if self._end is not None:
                raise StopIteration
            self._fill()
        return self._ready.popleft()

    def _fill(self) -> None:
        """Receive a batch. TimeoutError if the time is over; a wake() does not end the wait."""
        if self._timeout is None:
            batch = self._receiver.receive(_window.LOOK_S) or self._wait(math.inf)
        else:
            deadline = time.monotonic() + self._timeout
            batch = self._receiver.receive(min(self._timeout, _window.LOOK_S)) or self._wait(deadline)
        self._ready.extend(batch.take())
        for event in batch:
            self._finish(event)

    def _wait(self, deadline: float) -> Batch:
        """Receive a batch after nothing has come for a while."""
        look = _window.LoneLook(self._receiver, self._stream, self._window_timeout)
        while (now := time.monotonic()) < deadline:
            left = min(deadline - now, look.again())
            if batch := self._receiver.receive(None if left == math.inf else left):
                return batch
        stuck = _window.is_stuck(self._receiver, self._stream)
        why = f": {_window.why(self._receiver)}" if stuck else ""
        raise TimeoutError(f"no data for {self._timeout} s{why}")

    def _finish(self, event: Event) -> None:
        self._end, self._error = event.end, event.error

    def close(self) -> None:
        """Stop: the socket is the caller's alone again."""
        self._ready.clear()
        if self._stream.ended or self._receiver.closed:
            if self._end is None and self._error is None:
                self._end = "removed"
        elif event := let_go(self._receiver, self._stream):
            self._finish(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except ThreadError:  # another thread than the receiver's, or another process
            self._receiver._left = self._stream
