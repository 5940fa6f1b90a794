# SPDX-License-Identifier: MIT
"""Statistics contexts: counters that the card writes to guest memory
(`bnxt.c`: bnxt_hwrm_stat_ctx_alloc).

The order of the counters is that of the driver's extended hardware statistics."""

from __future__ import annotations

import struct

from ..dma import DmaError, GuestMemory
from ..offload import Frame
from .hwrm import Handler, Request, Values

COUNTERS = 22
LAYOUT = struct.Struct(f"<{COUNTERS}Q")
SHORT_BYTES = 160  # what a driver without extended statistics allocates
RX_PACKETS, RX_DISCARDS, RX_BYTES, TX_PACKETS, TX_BYTES = 0, 3, 5, 8, 13
TPA_PACKETS, TPA_BYTES, TPA_EVENTS = 18, 19, 21
COUNTER_BITS = 48


class StatContext:
    def __init__(self, address: int, length: int) -> None:
        self.address = address
        self.length = min(length or SHORT_BYTES, LAYOUT.size)
        self.values = [0] * COUNTERS
        self.dirty = False

    def count(self, packets: int, bytes_: int, frame: Frame) -> None:
        """One more frame, under the counters of its kind: unicast, multicast or broadcast."""
        first = frame.data[0]
        kind = 0 if not first & 1 else 2 if frame.headers.destination == b"\xff" * 6 else 1
        self.values[packets + kind] += frame.segments
        self.values[bytes_ + kind] += frame.wire_bytes
        self.dirty = True

    def count_aggregate(self, frame: Frame) -> None:
        self.values[TPA_PACKETS] += frame.segments
        self.values[TPA_BYTES] += frame.wire_bytes
        self.values[TPA_EVENTS] += 1
        self.dirty = True

    def discard(self, packets: int) -> None:
        self.values[RX_DISCARDS] += packets
        self.dirty = True


class Statistics:
    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        self._contexts: dict[int, StatContext] = {}
        self._last_id = 0
        self.handlers: dict[str, Handler] = {
            "STAT_CTX_ALLOC": self._allocate,
            "STAT_CTX_FREE": self._free,
            "FUNC_QSTATS_EXT": self._masks,
        }

    def get(self, ident: int) -> StatContext | None:
        return self._contexts.get(ident)

    def clear(self) -> None:
        self._contexts.clear()
        self._last_id = 0

    def _allocate(self, request: Request) -> Values:
        self._last_id += 1
        self._contexts[self._last_id] = StatContext(request.address, request.length)
        return {"stat_context": self._last_id}

    def _free(self, request: Request) -> Values:
        self._contexts.pop(request.stat_context, None)
        return {}

    def _masks(self, _request: Request) -> Values:
        """How wide each counter is, so that the driver sees it wrap."""
        return {"counters": LAYOUT.pack(*[(1 << COUNTER_BITS) - 1] * COUNTERS)}

    def publish(self) -> None:
        for context in self._contexts.values():
            if not context.dirty:
                continue
            context.dirty = False
            try:
                self._memory.write(context.address, LAYOUT.pack(*context.values)[: context.length])
            except DmaError:
                continue  # the driver is being unloaded
