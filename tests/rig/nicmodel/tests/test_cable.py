# SPDX-License-Identifier: MIT
"""The cable: whole frames when well, and the same losses for the same seed when not."""

from __future__ import annotations

import unittest

from nicmodel.cable import Cable, Impairment
from nicmodel.offload import Frame

from .guest import tcp_frame

MAC = b"\2\0\0\0\0\1"


class CableTest(unittest.TestCase):
    def setUp(self) -> None:
        self.cable = Cable(seed=1)
        self.received: tuple[list[Frame], list[Frame]] = ([], [])
        for box in self.received:
            self.cable.attach(box.append)

    def send_numbered(self, count: int) -> list[int]:
        """Send frames numbered by their last byte; which arrived, in which order."""
        self.received[1].clear()
        for number in range(count):
            self.cable.send(0, Frame(tcp_frame(MAC, bytes([number]))))
        return [frame.data[-1] for frame in self.received[1]]

    def test_unimpaired_passes_the_very_frame(self) -> None:
        frame = Frame(tcp_frame(MAC, bytes(9000)), 1000)
        self.cable.send(1, frame)
        self.assertEqual(self.received[0], [frame])
        self.assertIs(self.received[0][0], frame)
        self.assertEqual(self.cable.counters["passed"], 9)

    def test_down_drops(self) -> None:
        self.cable.up = False
        self.assertEqual(self.send_numbered(3), [])
        self.assertEqual(self.cable.counters["dropped_link_down"], 3)

    def test_loss_is_of_packets_not_of_whole_frames(self) -> None:
        self.cable.impairment = Impairment(loss=0.5)
        self.cable.send(0, Frame(tcp_frame(MAC, bytes(60_000)), 600))
        arrived = len(self.received[1])
        self.assertTrue(20 < arrived < 80, arrived)
        self.assertEqual(arrived + self.cable.counters["lost"], 100)

    def test_a_seed_decides(self) -> None:
        outcomes = []
        for seed in (5, 5, 6):
            self.cable.reseed(seed)
            self.cable.impairment = Impairment(loss=0.2, reorder=0.2)
            outcomes.append(self.send_numbered(100))
            self.cable.impairment = Impairment()
            self.send_numbered(1)  # whoever was held back is overtaken, and comes
        self.assertEqual(outcomes[0], outcomes[1])
        self.assertNotEqual(outcomes[0], outcomes[2])

    def test_reordering_loses_nothing(self) -> None:
        self.cable.impairment = Impairment(reorder=0.5)
        arrived = self.send_numbered(50)
        self.cable.impairment = Impairment()
        self.cable.send(0, Frame(tcp_frame(MAC, bytes([50]))))
        arrived = [frame.data[-1] for frame in self.received[1]]
        self.assertEqual(sorted(arrived), list(range(51)))
        self.assertNotEqual(arrived, sorted(arrived))
        self.assertTrue(all(abs(place - number) <= 1 for place, number in enumerate(arrived)))

    def test_delay_keeps_the_order(self) -> None:
        self.cable.impairment = Impairment(delay_ns=1000)
        self.assertEqual(self.send_numbered(3), [])
        self.assertEqual(self.cable.next_due_ns(), 1000)
        self.cable.advance(999)
        self.assertEqual(self.received[1], [])
        self.cable.advance(1000)
        self.assertEqual([frame.data[-1] for frame in self.received[1]], [0, 1, 2])
        self.assertIsNone(self.cable.next_due_ns())
