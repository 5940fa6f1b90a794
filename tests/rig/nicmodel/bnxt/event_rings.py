# SPDX-License-Identifier: MIT
"""A ring in guest memory, and those that the card fills: completions and notifications
(driver side: `bnxt.c`, `bnxt.h`)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ..dma import GuestMemory
from ..pci import Bus
from .hwrm import Request

ENTRY_BYTES = 16
DEFAULT_PAGE_SHIFT = 12
PAGE_TABLE_FLAGS = 0xFFF  # low bits of a page table entry are not address

VALID_WORD_AT = 8  # in each kind of entry the lowest bit of this word is the phase bit
VALID_WORD = struct.Struct("<I")
NOTIFICATION_ENTRY = struct.Struct("<HHIII")  # type, 0, handle low, phase, handle high
NOTIFICATION_TYPE = 0x30

# Doorbell types, bits 60 and up of the value written.
DOORBELL_COMPLETION_ARM = 0x6
DOORBELL_QUEUE_ARM = 0xB


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
