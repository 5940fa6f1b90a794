# SPDX-License-Identifier: MIT
"""What an iterator does that waits while its stream is at its window: it may wait for ever."""

from __future__ import annotations

import errno
import gc
import math
import threading
import time
from typing import TYPE_CHECKING

from ._errors import WindowError

if TYPE_CHECKING:
    from ._receiver import Receiver
    from ._zcrx import Stream

LOOK_S = 1.0  # without data, before an iterator looks whether any can come; and between looks
TIMEOUT_S = 10.0  # the default of window_timeout
HINT = (
    "release each buffer when you are done with it, and keep copies (bytes(buffer)) of what you keep; "
    "or open with a larger area_bytes (and window_bytes, if you gave one); "
    "if others release them later, give a larger window_timeout"
)


def is_stuck(receiver: Receiver, stream: Stream) -> bool:
    """Whether nothing comes for a stream before a buffer is released."""
    return receiver._at_window(stream) or receiver.stats.stall == "buffers"


def why(receiver: Receiver) -> str:
    """Why nothing comes."""
    stats = receiver.stats
    return (
        f"nothing can come: {stats.outstanding} buffers that were not released hold {stats.held_bytes} "
        "bytes, all of the stream's window"
    )


def error(receiver: Receiver) -> WindowError:
    """What is raised then."""
    return WindowError(errno.ENOBUFS, why(receiver), stage="receive", hint=HINT)


class Look:
    """Looks, while an iterator waits, how long its stream has been at its window with nothing released."""

    def __init__(self, receiver: Receiver, stream: Stream, timeout: float | None) -> None:
        self._receiver = receiver
        self._stream = stream
        self._timeout = math.inf if timeout is None else timeout
        self._since = time.monotonic()
        self._released = receiver.stats.released
        self._collected = False

    def _is_released(self) -> bool:
        before, self._released = self._released, self._receiver.stats.released
        return before != self._released

    def is_over(self) -> bool:
        """Whether it has been so for too long. Buffers that only garbage refers to are let go of first."""
        now = time.monotonic()
        if not is_stuck(self._receiver, self._stream) or self._is_released():
            self._since = now
            self._collected = False
        elif now - self._since >= self._timeout:
            if self._collected:
                return True
            gc.collect()
            self._collected = True
        return False


class LoneLook(Look):
    """For an iterator that has its thread and its receiver for itself."""

    def __init__(self, receiver: Receiver, stream: Stream, timeout: float | None) -> None:
        # Where there is no other thread nobody releases while this one waits.
        if timeout is not None and threading.active_count() == 1:
            timeout = 0.0
        super().__init__(receiver, stream, timeout)

    def again(self) -> float:
        """Seconds after which to look again. Raises WindowError when it has been so for too long."""
        if self.is_over():
            raise error(self._receiver)
        if self._collected:
            return 0.0  # what was let go of may make something come
        return LOOK_S if is_stuck(self._receiver, self._stream) else math.inf
