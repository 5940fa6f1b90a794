# SPDX-License-Identifier: MIT
"""Buffers: the buffers of one stream, one after the other."""

from __future__ import annotations

import copy
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ._zcrx import Buffer, Event, Stream

if TYPE_CHECKING:
    from ._receiver import Receiver


class Buffers:
    """The buffers of one socket, as an iterator: what Receiver.stream returns.

    When it is over `end` tells how: "peer" (the other side closed), "limit" or "removed". Only "peer" means
    that everything the peer sent has come.

    A reset or another failure of the socket is raised as the OSError that it is, at each further call too.
    TimeoutError ends nothing: the next call waits again, and no data is lost.

    close(), the end of a with block or dropping the iterator gives the socket back: buffers that were
    received but not handed out are let go, what is still in the socket stays there.
    """

    def __init__(self, receiver: Receiver, stream: Stream, timeout: float | None) -> None:
        self._receiver = receiver
        self._stream = stream
        self._timeout = timeout
        self._ready: deque[Buffer] = deque()
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
        timeout = self._timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (batch := self._receiver.receive(timeout)):
            if deadline is not None:
                timeout = deadline - time.monotonic()
                if timeout <= 0:
                    raise TimeoutError(f"no data for {self._timeout} s")
        self._ready.extend(batch.take())
        for event in batch:
            self._finish(event)

    def _finish(self, event: Event) -> None:
        self._end, self._error = event.end, event.error

    def close(self) -> None:
        """Stop: the socket is the caller's alone again."""
        self._ready.clear()
        if self._stream.ended or self._receiver.closed:
            if self._end is None and self._error is None:
                self._end = "removed"
            return
        self._receiver.remove(self._stream)
        while not self._stream.ended:
            with self._receiver.receive(1.0) as batch:
                batch.take()
                for event in batch:
                    self._finish(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
