# SPDX-License-Identifier: MIT
"""The card put together: registers in front, firmware, rings and the data path behind."""

from __future__ import annotations

import struct

from ..offload import Frame
from ..pci import Identity
from ..personality import Personality
from .capabilities import CHIP_BCM57508, VECTORS, Capabilities
from .event_rings import EventRing
from .filters import Filters
from .firmware import EVENT_LINK_STATUS_CHANGE, EVENT_RESET_NOTIFY, RESET_WAIT, Firmware
from .hwrm import NO_COMPLETION_RING, Request, Values
from .rings import DescriptorRing, Rings
from .rx import Receiver
from .stats import Statistics
from .steer import Steering
from .tx import Transmitter
from .vnic import Vnics

REGISTERS, DOORBELLS, MSIX = 0, 2, 4
DOORBELL_BYTES = 0x20000
STATUS_AT = 0x520  # the firmware's health register on this chip (bnxt_fw_hdr.h)
STATUS_HEALTHY = 0x8000


class Bnxt(Personality):
    driver = "bnxt"
    identity = Identity(
        vendor=0x14E4,
        device=CHIP_BCM57508,
        revision=0x11,
        bar_bytes={REGISTERS: 0x10000, DOORBELLS: DOORBELL_BYTES, MSIX: 0x1000},
        vectors=VECTORS,
        msix_bar=MSIX,
    )

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.statistics = Statistics(self.bus.memory)
        self.rings = Rings(self.bus, self.statistics)
        self.vnics = Vnics(self.bus.memory)
        self.filters = Filters(self.vnics)
        self.firmware = Firmware(self.rings, self.faults, self.log)
        self.capabilities = Capabilities(
            number, self.mac, DOORBELL_BYTES, lambda: self.link_up, self._set_async_ring
        )
        steering = Steering(self.rings, self.vnics, self.filters, self.faults, self.counters)
        self.receiver = Receiver(self.rings, steering, self.faults, self.counters)
        transmitter = Transmitter(self.send, self.counters)
        self.rings.on_transmit = transmitter.run
        self.rings.on_posted = self.receiver.posted
        self._half_doorbell: dict[int, int] = {}
        for part in (self.statistics, self.rings, self.vnics, self.filters, self.capabilities):
            self.firmware.serve(part.handlers)
        self.firmware.serve({"FUNC_RESET": self._function_reset, "FUNC_DRV_UNRGTR": self._driver_leaves})

    def _set_async_ring(self, ring: int) -> None:
        self.firmware.async_ring = ring

    def _function_reset(self, _request: Request) -> Values:
        self.reset()
        return {}

    def _driver_leaves(self, _request: Request) -> Values:
        self.note_reset()
        return {}

    def reset(self) -> None:
        self.firmware.async_ring = NO_COMPLETION_RING
        for part in (self.statistics, self.rings, self.vnics, self.filters, self.capabilities):
            part.clear()
        self._half_doorbell.clear()
        self.bus.interrupts.forget()

    def bar_read(self, bar: int, offset: int, count: int) -> bytes:
        if bar == REGISTERS and offset == STATUS_AT:
            return struct.pack("<I", STATUS_HEALTHY).ljust(count, b"\0")[:count]
        return bytes(count)

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        if bar == REGISTERS:
            self.firmware.write(offset, data)
        elif bar == DOORBELLS:
            self._doorbell(offset, data)

    def _doorbell(self, offset: int, data: bytes) -> None:
        """A doorbell is 64 bits wide, and takes effect with its upper half."""
        value = int.from_bytes(data, "little")
        if len(data) == 8:
            self.rings.doorbell(value)
        elif offset & 4:
            self.rings.doorbell(value << 32 | self._half_doorbell.pop(offset - 4, 0))
        else:
            self._half_doorbell[offset] = value

    def receive(self, frame: Frame) -> None:
        self.receiver.receive(frame)

    def next_due_ns(self) -> int | None:
        return self.receiver.next_due_ns()

    def advance(self, now_ns: int) -> None:
        self.receiver.advance(now_ns)

    def set_link(self, up: bool) -> None:
        if up != self.link_up:
            self.link_up = up
            self.firmware.event(EVENT_LINK_STATUS_CHANGE)

    def announce_reset(self) -> None:
        self.firmware.event(EVENT_RESET_NOTIFY, RESET_WAIT)

    def flush(self) -> None:
        self.statistics.publish()
        super().flush()

    def state(self) -> dict[str, object]:
        rings = []
        for ring in self.rings:
            text = f"{type(ring).__name__} {ring.ident} logical {ring.logical_id} size {ring.size}"
            if isinstance(ring, EventRing):
                text += f" producer {ring.producer} armed {ring.armed}"
            elif isinstance(ring, DescriptorRing):
                text += f" posted {ring.posted} taken {ring.taken}"
            rings.append(text)
        return {
            "rings": rings,
            "rules": self.filters.rules,
            "vnics": [f"{v.ident} mru {v.mru} ring {v.ring} table {v.table[:8]}" for v in self.vnics],
            "commands": dict(self.firmware.calls),
            "refused": dict(self.firmware.refused),
        }
