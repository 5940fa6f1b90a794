# SPDX-License-Identifier: MIT
"""Two ports joined by a cable that can delay, lose and reorder packets, as a seed decides."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .offload import Frame, segment

Receiver = Callable[[Frame], None]


@dataclass
class Impairment:
    """Probabilities are per packet; the delay is for all. Reordered: overtaken by the next one."""

    delay_ns: int = 0
    loss: float = 0.0
    reorder: float = 0.0

    @property
    def harmless(self) -> bool:
        return not (self.delay_ns or self.loss or self.reorder)


class Cable:
    """A frame sent at one end is received at the other, whole as long as nothing is impaired."""

    def __init__(self, seed: int = 0) -> None:
        self.up = True
        self.impairment = Impairment()
        self.counters: Counter[str] = Counter()
        self.now_ns = 0
        self._random = random.Random(seed)
        self._receivers: list[Receiver] = []
        self._held: list[Frame | None] = [None, None]
        self._in_flight: list[tuple[int, int, int, Frame]] = []
        self._order = itertools.count()

    def attach(self, receiver: Receiver) -> int:
        """Plug a port in; returns the number of its end."""
        self._receivers.append(receiver)
        return len(self._receivers) - 1

    def reseed(self, seed: int) -> None:
        self._random.seed(seed)

    def send(self, end: int, frame: Frame) -> None:
        """A port sends a frame from its end."""
        if not self.up:
            self.counters["dropped_link_down"] += 1
            return
        if self.impairment.harmless and self._held[end] is None:
            self._deliver(end, frame)
            return
        for packet in segment(frame):
            self._send_packet(end, packet)

    def _send_packet(self, end: int, packet: Frame) -> None:
        if self._random.random() < self.impairment.loss:
            self.counters["lost"] += 1
            return
        held, self._held[end] = self._held[end], None
        if held is None and self._random.random() < self.impairment.reorder:
            self.counters["reordered"] += 1
            self._held[end] = packet
            return
        self._pass(end, packet)
        if held is not None:
            self._pass(end, held)

    def _pass(self, end: int, packet: Frame) -> None:
        delay = self.impairment.delay_ns
        if not delay:
            self._deliver(end, packet)
            return
        heapq.heappush(self._in_flight, (self.now_ns + delay, next(self._order), end, packet))

    def _deliver(self, end: int, frame: Frame) -> None:
        self.counters["passed"] += frame.segments
        self._receivers[1 - end](frame)

    def next_due_ns(self) -> int | None:
        """When the next delayed packet arrives; None where none is under way."""
        return self._in_flight[0][0] if self._in_flight else None

    def advance(self, now_ns: int) -> None:
        """Time passes: deliver what is due."""
        self.now_ns = now_ns
        while self._in_flight and self._in_flight[0][0] <= now_ns:
            _, _, end, packet = heapq.heappop(self._in_flight)
            self._deliver(end, packet)
