# SPDX-License-Identifier: MIT
"""The card put together: registers (`gve_register.h`), with admin queue and data path behind."""

from __future__ import annotations

import struct

from ..offload import Frame
from ..pci import Identity
from ..personality import Personality
from .adminq import AdminQueue
from .device import MAX_QUEUES, Description
from .flows import Flows
from .queues import Queues
from .rx import Receiver
from .stats import Statistics
from .tx import Transmitter

REGISTERS, MSIX, DOORBELLS = 0, 4, 2
VECTORS = 2 * MAX_QUEUES + 1  # the last is for management
REGISTER_BYTES = 0x1000

DEVICE_STATUS, DRIVER_STATUS = 0x00, 0x04
QUEUE_COUNTS = struct.Struct(">II")  # TX, RX
QUEUE_COUNTS_AT = 0x08
ADMIN_DOORBELL, ADMIN_COUNTER = 0x14, 0x18
ADMIN_ADDRESS = struct.Struct(">QH")  # address, length
ADMIN_ADDRESS_AT, ADMIN_ADDRESS_LOW = 0x20, 0x24
WORD = struct.Struct(">I")

NEEDS_RESET, LINK_UP, IS_RESET = 0x2, 0x4, 0x10
DRIVER_RESETS = 0x2


class Gve(Personality):
    driver = "gve"
    identity = Identity(
        vendor=0x1AE0,
        device=0x0042,
        revision=1,
        bar_bytes={REGISTERS: REGISTER_BYTES, DOORBELLS: 0x1000, MSIX: 0x1000},
        vectors=VECTORS,
        msix_bar=MSIX,
    )

    def __init__(self, number: int) -> None:
        super().__init__(number)
        memory = self.bus.memory
        self._registers = bytearray(REGISTER_BYTES)
        QUEUE_COUNTS.pack_into(self._registers, QUEUE_COUNTS_AT, MAX_QUEUES, MAX_QUEUES)
        self.admin = AdminQueue(memory, self.faults, self.log)
        self.queues = Queues(self.bus)
        self.flows = Flows(memory)
        self.statistics = Statistics(memory, self.queues)
        self.receiver = Receiver(
            memory, self.queues, self.flows, faults=self.faults, counters=self.counters, wants=self._wants
        )
        transmitter = Transmitter(memory, self.send, self.counters)
        self.queues.on_transmit = transmitter.run
        self.queues.on_posted = self.receiver.posted
        for part in (Description(memory, self.mac), self.queues, self.flows, self.statistics):
            self.admin.serve(part.handlers)
        self._set_status(LINK_UP)

    def _wants(self, frame: Frame) -> bool:
        """A gVNIC takes its own address and every group address."""
        destination = frame.headers.destination
        return destination == self.mac or bool(destination[0] & 1)

    def _status(self) -> int:
        return int(WORD.unpack_from(self._registers, DEVICE_STATUS)[0])

    def _set_status(self, status: int) -> None:
        WORD.pack_into(self._registers, DEVICE_STATUS, status)

    def reset(self) -> None:
        self.note_reset()
        self.queues.clear()
        self.flows.clear()
        self.statistics.clear()
        self.bus.interrupts.forget()
        self._set_status(IS_RESET | (LINK_UP if self.link_up else 0))

    def bar_read(self, bar: int, offset: int, count: int) -> bytes:
        return bytes(self._registers[offset : offset + count]) if bar == REGISTERS else bytes(count)

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        if bar == DOORBELLS:
            self.queues.doorbell(offset // 4, data)
        if bar != REGISTERS or offset in (DEVICE_STATUS, ADMIN_COUNTER):
            return
        self._registers[offset : offset + len(data)] = data
        if offset == DRIVER_STATUS and WORD.unpack(data)[0] & DRIVER_RESETS:
            self.reset()
        elif offset == ADMIN_ADDRESS_LOW:
            self._place_admin_queue()
        elif offset == ADMIN_DOORBELL:
            self.admin.run(WORD.unpack(data)[0])
            WORD.pack_into(self._registers, ADMIN_COUNTER, self.admin.done)

    def _place_admin_queue(self) -> None:
        """The low half of the address is written last: the driver is there, a reset is over."""
        address, length = ADMIN_ADDRESS.unpack_from(self._registers, ADMIN_ADDRESS_AT)
        self.admin.place(address, length)
        WORD.pack_into(self._registers, ADMIN_COUNTER, 0)
        self._set_status(self._status() & ~(IS_RESET | NEEDS_RESET))

    def receive(self, frame: Frame) -> None:
        self.receiver.receive(frame)

    def _tell(self, status: int) -> None:
        self._set_status(status)
        self.bus.interrupts.raise_vector(VECTORS - 1)

    def set_link(self, up: bool) -> None:
        if up != self.link_up:
            self.link_up = up
            self._tell(self._status() & ~LINK_UP | (LINK_UP if up else 0))

    def announce_reset(self) -> None:
        self._tell(self._status() | NEEDS_RESET)

    def flush(self) -> None:
        self.statistics.publish()
        super().flush()

    def state(self) -> dict[str, object]:
        tx = [f"tx {queue.ident} head {queue.head}" for queue in self.queues.tx.values()]
        rx = [
            f"rx {q.ident} posted {q.posted} taken {q.taken} waiting {len(q.waiting)}"
            for q in self.queues.rx.values()
        ]
        return {
            "queues": tx + rx,
            "rules": self.flows.rules,
            "commands": dict(self.admin.calls),
            "refused": dict(self.admin.refused),
        }
