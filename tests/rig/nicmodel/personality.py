# SPDX-License-Identifier: MIT
"""What every modelled card is: registers towards its driver, and a port towards the cable."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from .faults import Faults
from .offload import Frame
from .pci import Bus, Card, Identity


class Personality(Card):
    """A card with one port. A subclass knows the registers, rings and commands of one driver."""

    identity: Identity
    driver: str

    def __init__(self, number: int) -> None:
        self.number = number
        self.bus = Bus(self.identity.vectors)
        self.faults = Faults()
        self.counters: Counter[str] = Counter()
        self.link_up = True
        self._reset_wanted = False
        self.log = logging.getLogger(f"{self.driver}{number}")
        self.transmit: Callable[[Frame], None] = self._no_cable

    def _no_cable(self, _frame: Frame) -> None:
        self.counters["tx_no_cable"] += 1

    def send(self, frame: Frame) -> None:
        """A frame leaves through the port, whatever that is plugged into by then."""
        self.transmit(frame)

    @property
    def mac(self) -> bytes:
        """A locally administered address, different for each port."""
        return bytes((2, 0, 0, 0, 0x7A, self.number + 1))

    def receive(self, frame: Frame) -> None:
        """A frame arrives from the cable."""
        raise NotImplementedError

    def next_due_ns(self) -> int | None:
        """When the card does something by itself; None if it does not."""
        return None

    def advance(self, now_ns: int) -> None:
        """Time passes."""

    def set_link(self, up: bool) -> None:
        """Carrier comes or goes, and the driver is told."""
        raise NotImplementedError

    def request_reset(self) -> None:
        """The device asks its driver to reset it, as failing hardware does."""
        self._reset_wanted = True
        self.announce_reset()

    def announce_reset(self) -> None:
        """Tell the driver that a reset is needed."""
        raise NotImplementedError

    def note_reset(self) -> None:
        """The driver lets go of the device: perhaps because it was asked to."""
        if self._reset_wanted:
            self._reset_wanted = False
            self.counters["resets"] += 1

    def flush(self) -> None:
        """Called after each batch of work: publish counters, fire interrupts."""
        self.bus.interrupts.fire(lambda vector: self.faults.take("lose-interrupt", vector) is not None)

    def state(self) -> dict[str, object]:
        """A description of the rings, for whoever debugs a guest that hangs."""
        return {}
