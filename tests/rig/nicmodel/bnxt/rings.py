# SPDX-License-Identifier: MIT
"""Rings in guest memory, and the doorbells that move them (driver side: `bnxt.c`, `bnxt.h`)."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..dma import GuestMemory
from ..pci import Bus
from .hwrm import INVALID_PARAMETERS, RESOURCE_ALLOC_ERROR, Handler, HwrmError, Request, Values
from .stats import StatContext, Statistics

if TYPE_CHECKING:
    from .steer import Parcel

COMPLETION, TX, RX, AGGREGATION, NOTIFICATION = 0, 1, 2, 4, 5
ENTRY_BYTES = 16
MAX_ENTRIES = 65536
DEFAULT_PAGE_SHIFT = 12
PAGE_TABLE_FLAGS = 0xFFF  # low bits of a page table entry are not address

VALID_WORD_AT = 8  # in each kind of entry the lowest bit of this word is the phase bit
VALID_WORD = struct.Struct("<I")
BUFFER_DESCRIPTOR = struct.Struct("<IIQ")  # flags and length, opaque, address
NOTIFICATION_ENTRY = struct.Struct("<HHIII")  # type, 0, handle low, phase, handle high
NOTIFICATION_TYPE = 0x30

# Doorbell types, bits 60 and up of the value written.
DOORBELL_TX, DOORBELL_RX = 0x0, 0x2
DOORBELL_COMPLETION, DOORBELL_COMPLETION_ARM = 0x4, 0x6
DOORBELL_QUEUE, DOORBELL_QUEUE_ARM, DOORBELL_QUEUE_MASK = 0xA, 0xB, 0xE


def mark(entry: bytes) -> bytes:
    """The entry with its phase bit set."""
    word = VALID_WORD.unpack_from(entry, VALID_WORD_AT)[0] | 1
    return entry[:VALID_WORD_AT] + VALID_WORD.pack(word) + entry[VALID_WORD_AT + 4 :]


class Ring:
    def __init__(self, ident: int, request: Request, memory: GuestMemory) -> None:
        self.ident = ident
        self.size: int = request.length
        self.logical_id = request.logical_id
        self.memory = memory
        shift = request.page_shift or DEFAULT_PAGE_SHIFT
        self._index_shift = shift - 4
        self._index_mask = (1 << self._index_shift) - 1
        if request.page_table_depth:
            count = max(1, self.size * ENTRY_BYTES >> shift)
            table = memory.read(request.page_table, 8 * count)
            self._pages: list[int] = [page & ~PAGE_TABLE_FLAGS for page in struct.unpack(f"<{count}Q", table)]
        else:
            self._pages = [request.page_table]

    def address(self, index: int) -> int:
        return self._pages[index >> self._index_shift] + (index & self._index_mask) * ENTRY_BYTES


class EventRing(Ring):
    """A ring that the card fills: it writes entries whose phase bit flips with every lap."""

    def __init__(self, ident: int, request: Request, memory: GuestMemory) -> None:
        super().__init__(ident, request, memory)
        self.producer = 0
        self.phase = 1
        self.armed = False

    def put(self, entries: Sequence[bytes]) -> None:
        """Write entries (phase bit clear). The first becomes valid last: all are seen together."""
        ready: list[tuple[int, bytes]] = []
        for entry in entries:
            ready.append((self.address(self.producer), mark(entry) if self.phase else entry))
            self.producer += 1
            if self.producer == self.size:
                self.producer = 0
                self.phase ^= 1
        for address, entry in reversed(ready):
            self.memory.write(address, entry)


class NotificationQueue(EventRing):
    """Tells the driver which completion rings have something; owns an interrupt vector."""

    def __init__(self, ident: int, request: Request, bus: Bus) -> None:
        super().__init__(ident, request, bus.memory)
        self._interrupts = bus.interrupts

    def notify(self, entry: bytes) -> None:
        self.put([entry])
        if self.armed:
            self.armed = False
            self._interrupts.raise_vector(self.logical_id)

    def doorbell(self, kind: int, index: int) -> None:
        self.armed = kind == DOORBELL_QUEUE_ARM
        if self.armed and index != self.producer:
            self.armed = False
            self._interrupts.raise_vector(self.logical_id)


class CompletionRing(EventRing):
    def __init__(self, ident: int, request: Request, bus: Bus, queue: NotificationQueue) -> None:
        super().__init__(ident, request, bus.memory)
        handle = request.handle
        self._queue = queue
        self._entry = NOTIFICATION_ENTRY.pack(NOTIFICATION_TYPE, 0, handle & 0xFFFFFFFF, 0, handle >> 32)

    def complete(self, entries: Sequence[bytes]) -> None:
        self.put(entries)
        if self.armed:
            self._notify()

    def _notify(self) -> None:
        self.armed = False
        self._queue.notify(self._entry)

    def doorbell(self, kind: int, index: int) -> None:
        if kind != DOORBELL_COMPLETION_ARM:
            return
        self.armed = True
        if index != self.producer:
            self._notify()


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
