# SPDX-License-Identifier: MIT
"""Receive TCP into buffers that are views, not copies.

with zcrx.Receiver() as rx:
    for buffer in rx.stream(sock):          # until the peer closes
        hasher.update(buffer)

Receiver       sockets in, events out: add, receive, stream
Batch, Event, Stream, Buffer
               what receive hands out; a Buffer is a bytes-like, read-only object over memory that the kernel
               or the NIC filled, valid until it is released
Buffers        the buffers of one stream; its `end` tells how the stream ended
Reader         reads of a given size, wherever buffers begin and end
Group          several receivers, each with a thread of its own, that share the connections of a server
aio            the same for asyncio, and a server with an event loop on each receiver
nic            looking at NICs, setting them up, proving that they do not copy
probe          what this kernel lets this process do
Error          what is raised: an OSError with a stage and a hint
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _control
from ._buffers import Buffers
from ._errors import (
    BusyError,
    ClosedError,
    Error,
    PermissionDeniedError,
    ThreadError,
    UnavailableError,
    WindowError,
)
from ._group import Group
from ._info import probe
from ._reader import Reader
from ._receiver import Receiver
from ._structs import Capabilities, Check, GroupStats, Info, Refusal, Stats, StreamStats
from ._values import ENGINES
from ._zcrx import Batch, Buffer, Event, Stream

if TYPE_CHECKING:
    from . import aio as aio
    from . import nic as nic

__version__: str = _control.zrx_version()

__all__ = [
    "ENGINES",
    "Batch",
    "Buffer",
    "Buffers",
    "BusyError",
    "Capabilities",
    "Check",
    "ClosedError",
    "Error",
    "Event",
    "Group",
    "GroupStats",
    "Info",
    "PermissionDeniedError",
    "Reader",
    "Receiver",
    "Refusal",
    "Stats",
    "Stream",
    "StreamStats",
    "ThreadError",
    "UnavailableError",
    "WindowError",
    "__version__",
    "aio",
    "nic",
    "probe",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    if name in ("aio", "nic"):  # asyncio is not loaded for those who do not use it
        from importlib import import_module

        return import_module(f"zcrx.{name}")
    raise AttributeError(f"module 'zcrx' has no attribute {name!r}")
