# SPDX-License-Identifier: MIT
"""For the tests of the bnxt model's data path: a card with two queues, set up as its driver does."""

from __future__ import annotations

import struct
import unittest

from nicmodel.offload import Frame

from .guest import BnxtDriver

COMPLETION, TX, RX, AGGREGATION, NOTIFICATION = 0, 1, 2, 4, 5
SPLIT_BOTH = 0x4 | 0x8
HASH_ALL = 0x3F


class ReceiveCase(unittest.TestCase):
    def setUp(self) -> None:
        self.driver = driver = BnxtDriver()
        self.card = driver.card
        self.sent: list[Frame] = []
        self.card.transmit = self.sent.append
        self.nq, self.nq_at = driver.ring(NOTIFICATION, logical_id=3)
        self.queues = [self.make_queue(number) for number in range(2)]
        self.vnic = driver.command("VNIC_ALLOC", flags=1)[1]["vnic"]
        pair = {"rx_ring": self.queues[0]["rx"], "completion_ring": self.queues[0]["cq"]}
        driver.command("VNIC_CFG", vnic=self.vnic, mru=9018, **pair)
        driver.command("CFA_L2_FILTER_ALLOC", mac=self.card.mac, vnic=self.vnic)
        self.set_split(threshold=0)
        self.set_rss([0] * 64)

    def make_queue(self, number: int) -> dict[str, int]:
        driver = self.driver
        context = driver.heap.take(4096)
        _, found = driver.command("STAT_CTX_ALLOC", address=context, length=176)
        cq, cq_at = driver.ring(COMPLETION, notification_queue=self.nq, handle=40 + number)
        rx, rx_at = driver.ring(RX, buffer_bytes=256, logical_id=number, stat_context=found["stat_context"])
        agg, agg_at = driver.ring(AGGREGATION, buffer_bytes=4096, rx_ring=rx)
        return {
            "cq": cq, "cq_at": cq_at, "rx": rx, "rx_at": rx_at,
            "agg": agg, "agg_at": agg_at, "stats": context,
        }  # fmt: skip

    def set_split(self, threshold: int) -> None:
        self.driver.command(
            "VNIC_PLCMODES_CFG", vnic=self.vnic, flags=2 | SPLIT_BOTH, enables=5,
            jumbo_threshold=256, split_threshold=threshold,
        )  # fmt: skip

    def set_rss(self, table: list[int]) -> None:
        """Each entry names one of the two queues."""
        at, key = self.driver.heap.take(256), self.driver.heap.take(40)
        pairs = [value for q in table for value in (self.queues[q]["rx"], self.queues[q]["cq"])]
        self.driver.memory.write(at, struct.pack("<128H", *pairs))
        self.driver.memory.write(key, bytes(range(40)))
        error, _ = self.driver.command("VNIC_RSS_CFG", vnic=self.vnic, table=at, key=key, hash_type=HASH_ALL)
        self.assertEqual(error, 0)

    def post(self, number: int, heads: int, payloads: int) -> tuple[list[int], list[int]]:
        queue, driver = self.queues[number], self.driver
        return (
            driver.post(queue["rx"], queue["rx_at"], 256, heads),
            driver.post(queue["agg"], queue["agg_at"], 4096, payloads),
        )

    def completions(self, number: int, count: int) -> list[tuple[int, ...]]:
        at = self.queues[number]["cq_at"]
        read = self.driver.memory.read
        return [struct.unpack("<IIII", read(at + 16 * index, 16)) for index in range(count)]

    def counter(self, number: int, index: int) -> int:
        self.card.flush()
        data = self.driver.memory.read(self.queues[number]["stats"] + 8 * index, 8)
        return int.from_bytes(data, "little")
