# SPDX-License-Identifier: MIT
"""Rings of descriptors, all rings by their ids, and the doorbells that move them
(driver side: `bnxt.c`, `bnxt.h`)."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator

from ..dma import GuestMemory
from ..pci import Bus
from .aggregate import Aggregate
from .event_rings import CompletionRing, NotificationQueue, Ring
from .hwrm import INVALID_PARAMETERS, RESOURCE_ALLOC_ERROR, Handler, HwrmError, Request, Values
from .parcel import Parcel
from .stats import StatContext, Statistics

COMPLETION, TX, RX, AGGREGATION, NOTIFICATION = 0, 1, 2, 4, 5
MAX_ENTRIES = 65536
BUFFER_DESCRIPTOR = struct.Struct("<IIQ")  # flags and length, opaque, address

# Doorbell types, bits 60 and up of the value written.
DOORBELL_TX, DOORBELL_RX = 0x0, 0x2


class DescriptorRing(Ring):
    """A ring that the driver fills: `posted` is its index, `taken` is how far the card has come."""

    def __init__(
        self, ident: int, request: Request, memory: GuestMemory, statistics: StatContext | None
    ) -> None:
        super().__init__(ident, request, memory)
        self.posted = 0
        self.taken = 0
        self.statistics = statistics

    @property
    def available(self) -> int:
        return (self.posted - self.taken) % self.size

    def take(self) -> tuple[int, ...]:
        """The next descriptor: flags and length, opaque, address."""
        entry = self.memory.unpack(BUFFER_DESCRIPTOR, self.address(self.taken))
        self.taken = (self.taken + 1) % self.size
        return entry

    def skip(self) -> None:
        self.taken = (self.taken + 1) % self.size


class TxRing(DescriptorRing):
    def __init__(
        self,
        ident: int,
        request: Request,
        memory: GuestMemory,
        statistics: StatContext | None,
        completion: CompletionRing,
    ) -> None:
        super().__init__(ident, request, memory, statistics)
        self.completion = completion


class RxRing(DescriptorRing):
    """Header buffers. Payload goes to the aggregation ring, where there is one."""

    def __init__(
        self, ident: int, request: Request, memory: GuestMemory, statistics: StatContext | None
    ) -> None:
        super().__init__(ident, request, memory, statistics)
        self.buffer_bytes = request.buffer_bytes
        self.aggregation: AggregationRing | None = None
        self.aggregation_id = 0
        self.waiting: deque[Parcel] = deque()
        self.aggregates: dict[bytes, Aggregate] = {}  # by flow; they go with the ring
        self.last_frame_ns = 0


class AggregationRing(DescriptorRing):
    def __init__(self, ident: int, request: Request, memory: GuestMemory, owner: RxRing) -> None:
        super().__init__(ident, request, memory, None)
        self.buffer_bytes = request.buffer_bytes
        self.owner = owner


class Rings:
    """All rings of the function, by id; ids start at 1."""

    def __init__(self, bus: Bus, statistics: Statistics) -> None:
        self._bus = bus
        self.memory = bus.memory
        self._statistics = statistics
        self._rings: dict[int, Ring] = {}
        self._last_id = 0
        self.on_transmit: Callable[[TxRing], None] = lambda ring: None
        self.on_posted: Callable[[RxRing], None] = lambda ring: None
        self.handlers: dict[str, Handler] = {"RING_ALLOC": self._allocate, "RING_FREE": self._free}

    def __iter__(self) -> Iterator[Ring]:
        return iter(self._rings.values())

    def get(self, ident: int) -> Ring | None:
        return self._rings.get(ident)

    def rx(self, ident: int) -> RxRing | None:
        ring = self._rings.get(ident)
        return ring if isinstance(ring, RxRing) else None

    def completion(self, ident: int) -> CompletionRing | None:
        ring = self._rings.get(ident)
        return ring if isinstance(ring, CompletionRing) else None

    def queue(self, ident: int) -> NotificationQueue | None:
        ring = self._rings.get(ident)
        return ring if isinstance(ring, NotificationQueue) else None

    def clear(self) -> None:
        self._rings.clear()
        self._last_id = 0

    def _new_id(self) -> int:
        while True:
            self._last_id = self._last_id % 0xFFF0 + 1
            if self._last_id not in self._rings:
                return self._last_id

    def _allocate(self, request: Request) -> Values:
        size = request.length
        if size < 2 or size > MAX_ENTRIES or size & (size - 1):
            raise HwrmError(INVALID_PARAMETERS, f"ring of {size} entries")
        ring = self._build(self._new_id(), request)
        self._rings[ring.ident] = ring
        return {"ring": ring.ident, "logical_id": ring.logical_id}

    def _build(self, ident: int, request: Request) -> Ring:
        kind = request.type
        statistics = self._statistics.get(request.stat_context)
        if kind == NOTIFICATION:
            return NotificationQueue(ident, request, self._bus)
        if kind == COMPLETION:
            queue = self.queue(request.notification_queue)
            if queue is None:
                raise HwrmError(INVALID_PARAMETERS, "completion ring without notification queue")
            return CompletionRing(ident, request, self._bus, queue)
        if kind == TX:
            completion = self.completion(request.completion_ring)
            if completion is None:
                raise HwrmError(INVALID_PARAMETERS, "TX ring without completion ring")
            return TxRing(ident, request, self._bus.memory, statistics, completion)
        if kind not in (RX, AGGREGATION):
            raise HwrmError(INVALID_PARAMETERS, f"ring type {kind}")
        if not request.buffer_bytes:  # 64 KiB does not fit the field: 32 KiB is the largest buffer
            raise HwrmError(INVALID_PARAMETERS, "RX ring without a buffer size")
        if kind == RX:
            return RxRing(ident, request, self._bus.memory, statistics)
        owner = self.rx(request.rx_ring)
        if owner is None or owner.aggregation is not None:
            raise HwrmError(RESOURCE_ALLOC_ERROR, "aggregation ring without a free RX ring")
        owner.aggregation = AggregationRing(ident, request, self._bus.memory, owner)
        return owner.aggregation

    def _free(self, request: Request) -> Values:
        ring = self._rings.pop(request.ring, None)
        if ring is None:
            raise HwrmError(INVALID_PARAMETERS, f"no ring {request.ring}")
        if isinstance(ring, AggregationRing):
            ring.owner.aggregation = None
        return {}

    def doorbell(self, value: int) -> None:
        """The driver moved a ring: type in bits 60+, ring id in bits 32+, index below."""
        kind, ring, index = value >> 60, self._rings.get(value >> 32 & 0xFFFFF), value & 0xFFFFFF
        if isinstance(ring, TxRing) and kind == DOORBELL_TX:
            ring.posted = index
            self.on_transmit(ring)
        elif isinstance(ring, RxRing | AggregationRing) and kind == DOORBELL_RX:
            ring.posted = index
            self.on_posted(ring if isinstance(ring, RxRing) else ring.owner)
        elif isinstance(ring, CompletionRing | NotificationQueue):
            ring.doorbell(kind, index)
