# SPDX-License-Identifier: MIT
"""Queues, their doorbells and their interrupts (`gve_desc_dqo.h`, `gve_dqo.h`, `gve_main.c`)."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator

from ..dma import GuestMemory
from ..pci import Bus, Interrupts
from .adminq import ALREADY_EXISTS, INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE, AdminError
from .device import MAX_QUEUES, MAX_RING_ENTRIES
from .parcel import Parcel

RESOURCES = struct.Struct(">QQIIIIB")  # counters, doorbell table, counts of both, stride, base vector
CREATE_TX = struct.Struct(">IIQQIIQHH")
CREATE_RX = struct.Struct(">IIIIQQQIHHHBBH")
QUEUE_RESOURCES = struct.Struct(">II")  # doorbell index, counter index
DOORBELL_INDEX = struct.Struct(">I")

INTERRUPT_DOORBELLS = 128  # queue doorbells lie below
INTERRUPT_ENABLE = 0x1
COMPLETION = struct.Struct("<HHI")  # queue, kind and generation; tag or head; 0
KIND_SHIFT, GENERATION_SHIFT = 11, 15
BUFFER_BYTES = (2048, 4096)


class Block:
    """A notification block: one vector, fired once each time its driver enables it."""

    def __init__(self, vector: int, interrupts: Interrupts) -> None:
        self._vector = vector
        self._interrupts = interrupts
        self._enabled = False
        self._pending = False

    def notify(self) -> None:
        if self._enabled:
            self._enabled = False
            self._interrupts.raise_vector(self._vector)
        else:
            self._pending = True

    def doorbell(self, value: int) -> None:
        self._enabled = bool(value & INTERRUPT_ENABLE)
        if self._enabled and self._pending:
            self._pending = False
            self.notify()


class Lap:
    """A position in a ring that the device fills; the generation bit flips with every lap."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.index = 0
        self.generation = 1

    def next(self) -> tuple[int, int]:
        """Where to write, and with which generation."""
        here = self.index, self.generation
        self.index += 1
        if self.index == self.size:
            self.index = 0
            self.generation ^= 1
        return here


class TxQueue:
    def __init__(self, body: bytes, block: Block) -> None:
        (
            self.ident,
            _,
            self.resources,
            self.ring,
            _,
            _,
            self._completions,
            self.size,
            completions,
        ) = CREATE_TX.unpack_from(body)
        self.block = block
        self.head = 0
        self._lap = Lap(completions)

    def complete(self, memory: GuestMemory, kind: int, value: int) -> None:
        index, generation = self._lap.next()
        word = self.ident | kind << KIND_SHIFT | generation << GENERATION_SHIFT
        memory.write(self._completions + index * COMPLETION.size, COMPLETION.pack(word, value, 0))


class RxQueue:
    def __init__(self, body: bytes, block: Block) -> None:
        fields = CREATE_RX.unpack_from(body)
        self.ident, self.resources = fields[0], fields[4]
        self.completions, self.buffers = fields[5], fields[6]
        self.buffer_bytes: int = fields[9]
        self.size: int = fields[10]
        self.aggregate = bool(fields[11])
        self.header_bytes: int = fields[13]
        self.block = block
        self.posted = 0
        self.taken = 0
        self.lap = Lap(fields[8])
        self.waiting: deque[Parcel] = deque()
        self.dropped = 0

    @property
    def available(self) -> int:
        return (self.posted - self.taken) % self.size


class Queues:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.tx: dict[int, TxQueue] = {}
        self.rx: dict[int, RxQueue] = {}
        self._doorbells: dict[int, TxQueue | RxQueue] = {}
        self._blocks: list[Block] = []
        self.on_transmit: Callable[[TxQueue, int], None] = lambda queue, tail: None
        self.on_posted: Callable[[RxQueue], None] = lambda queue: None
        self.handlers: dict[str, Callable[[bytes], None]] = {
            "CONFIGURE_DEVICE_RESOURCES": self._configure,
            "DECONFIGURE_DEVICE_RESOURCES": lambda body: self.clear(),
            "CREATE_TX_QUEUE": self._create_tx,
            "CREATE_RX_QUEUE": self._create_rx,
            "DESTROY_TX_QUEUE": lambda body: self._destroy(self.tx, body),
            "DESTROY_RX_QUEUE": lambda body: self._destroy(self.rx, body),
        }

    def __iter__(self) -> Iterator[TxQueue | RxQueue]:
        yield from self.tx.values()
        yield from self.rx.values()

    def clear(self) -> None:
        self.tx.clear()
        self.rx.clear()
        self._doorbells.clear()
        self._blocks.clear()

    def _configure(self, body: bytes) -> None:
        """Give each notification block its doorbell: the driver reads the index from a table."""
        _, table, _, count, stride, base, _ = RESOURCES.unpack_from(body)
        if base + count > self._bus.interrupts.count:
            raise AdminError(OUT_OF_RANGE, f"{count} notification blocks from vector {base}")
        self._blocks = [Block(base + number, self._bus.interrupts) for number in range(count)]
        for number in range(count):
            data = DOORBELL_INDEX.pack(INTERRUPT_DOORBELLS + number)
            self._bus.memory.write(table + number * stride, data)

    def _block(self, number: int) -> Block:
        if number >= len(self._blocks):
            raise AdminError(INVALID_ARGUMENT, f"no notification block {number}")
        return self._blocks[number]

    def _create_tx(self, body: bytes) -> None:
        queue = TxQueue(body, self._block(CREATE_TX.unpack_from(body)[5]))
        self._check(self.tx, queue)
        self.tx[queue.ident] = queue
        self._give_doorbell(queue)

    def _create_rx(self, body: bytes) -> None:
        queue = RxQueue(body, self._block(CREATE_RX.unpack_from(body)[3]))
        self._check(self.rx, queue)
        if queue.buffer_bytes not in BUFFER_BYTES:
            raise AdminError(INVALID_ARGUMENT, f"buffers of {queue.buffer_bytes} bytes")
        self.rx[queue.ident] = queue
        self._give_doorbell(queue)

    @staticmethod
    def _check(existing: dict[int, TxQueue] | dict[int, RxQueue], queue: TxQueue | RxQueue) -> None:
        if queue.ident in existing:
            raise AdminError(ALREADY_EXISTS, f"queue {queue.ident} exists")
        if queue.ident >= MAX_QUEUES:
            raise AdminError(OUT_OF_RANGE, f"queue {queue.ident}")
        if not queue.size or queue.size > MAX_RING_ENTRIES or queue.size & (queue.size - 1):
            raise AdminError(INVALID_ARGUMENT, f"ring of {queue.size} entries")

    def _give_doorbell(self, queue: TxQueue | RxQueue) -> None:
        index = next(i for i in range(INTERRUPT_DOORBELLS) if i not in self._doorbells)
        self._doorbells[index] = queue
        self._bus.memory.write(queue.resources, QUEUE_RESOURCES.pack(index, 0))

    def _destroy(self, existing: dict[int, TxQueue] | dict[int, RxQueue], body: bytes) -> None:
        ident = struct.unpack_from(">I", body)[0]
        queue = existing.pop(ident, None)
        if queue is None:
            raise AdminError(NOT_FOUND, f"no queue {ident}")
        self._doorbells = {index: q for index, q in self._doorbells.items() if q is not queue}

    def doorbell(self, index: int, data: bytes) -> None:
        """Doorbells carry a little endian word."""
        value = int.from_bytes(data, "little")
        if index >= INTERRUPT_DOORBELLS:
            if index - INTERRUPT_DOORBELLS < len(self._blocks):
                self._blocks[index - INTERRUPT_DOORBELLS].doorbell(value)
            return
        queue = self._doorbells.get(index)
        if isinstance(queue, TxQueue):
            self.on_transmit(queue, value & queue.size - 1)
        elif queue is not None:
            queue.posted = value & queue.size - 1
            self.on_posted(queue)
