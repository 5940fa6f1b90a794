# SPDX-License-Identifier: MIT
"""Hardware GRO of the bnxt model: what is joined across frames, what ends an aggregate, and when."""

from __future__ import annotations

import struct
import unittest

from nicmodel.bnxt.aggregate import Aggregate
from nicmodel.bnxt.capabilities import MAX_AGGREGATIONS
from nicmodel.bnxt.parcel import Parcel
from nicmodel.bnxt.rx import AGGREGATE_IDLE_NS
from nicmodel.offload import Frame
from nicmodel.packet import ACK, CWR, FIN, IPV4, IPV6, PSH, TCP, build, checksum

from .guest import HERE, HERE4, THERE, THERE4
from .receive_case import ReceiveCase

STEP = 1000
DATA = bytes(index * 11 & 0xFF for index in range(64 * STEP))
NEXT = 7  # the first byte's sequence number


class AggregateTest(ReceiveCase):
    def setUp(self) -> None:
        super().setUp()
        self.driver.command("VNIC_TPA_CFG", vnic=self.vnic, flags=1, max_segments=63)
        self.now = 0
        self.receiver = self.card.receiver
        self.receiver._now_ns = lambda: self.now
        self.heads, self.payloads = self.post(0, 15, 15)

    def packet(
        self,
        at: int,
        length: int = STEP,
        flags: int = ACK,
        *,
        version: int = 6,
        port: int = 4000,
        segment_bytes: int = 0,
        window: int | None = None,
    ) -> Frame:
        """DATA[at:at + length], from a port of the peer."""
        ethertype, source, destination = (IPV6, THERE, HERE) if version == 6 else (IPV4, THERE4, HERE4)
        data = bytearray(
            build(
                ethertype,
                TCP,
                source,
                destination,
                (port, 9999),
                DATA[at : at + length],
                macs=(b"\2\0\0\0\0\x99", self.card.mac),
                sequence=NEXT + at & 0xFFFFFFFF,
                flags=flags,
            )
        )
        frame = Frame(bytes(data), segment_bytes)
        if window is not None:
            struct.pack_into(">H", data, frame.headers.l4_offset + 14, window)
            frame = Frame(bytes(data), segment_bytes)
        return frame

    def receive(self, *frames: Frame) -> None:
        for frame in frames:
            self.card.receive(frame)

    def idle(self) -> None:
        self.now += AGGREGATE_IDLE_NS
        self.card.advance(self.now)

    def told(self) -> list[tuple[int, int]]:
        """What the driver is told of: segments (1: a packet of its own) and payload bytes."""
        counters = self.card.counters
        return [(counters["rx"], counters["rx_aggregated"])]

    def expect(self, placed: int, aggregated: int) -> None:
        """So many packets and aggregates reached the driver; so many packets are in aggregates."""
        self.assertEqual(self.told(), [(placed, aggregated)])

    def payload(self, length: int) -> bytes:
        parts = [self.driver.memory.read(at, 4096) for at in self.payloads]
        return b"".join(parts)[:length]

    def test_joined_across_frames(self) -> None:
        for version in (4, 6):
            with self.subTest(version=version):
                self.setUp()
                self.receive(*(self.packet(at * STEP, version=version) for at in range(3)))
                self.expect(0, 0)
                self.receive(self.packet(3 * STEP, flags=ACK | PSH, version=version))
                self.expect(1, 4)
                self.assertEqual(self.payload(4 * STEP), DATA[: 4 * STEP])

    def test_what_the_driver_reads(self) -> None:
        self.receive(self.packet(0, version=4), self.packet(STEP, 500, version=4))
        entries = self.completions(0, 5)
        self.assertEqual([entry[0] & 0x3F for entry in entries[:4]], [19, 3, 22, 21])
        self.assertEqual((entries[3][2] >> 8 & 0xFF, entries[4][1]), (2, STEP))
        head = self.driver.memory.read(self.heads[0], 54)
        self.assertEqual(int.from_bytes(head[16:18], "big"), 40 + STEP + 500)
        self.assertEqual(checksum(head[14:34]), 0)

    def test_frames_of_several_packets(self) -> None:
        self.receive(self.packet(0, 3 * STEP, segment_bytes=STEP), self.packet(3 * STEP))
        self.expect(0, 0)
        self.receive(self.packet(4 * STEP, 2500, segment_bytes=STEP))
        self.expect(1, 7)
        self.assertEqual(self.payload(6500), DATA[:6500])

    def test_a_short_packet_is_the_last(self) -> None:
        self.receive(self.packet(0), self.packet(STEP, 1))
        self.expect(1, 2)

    def test_a_longer_packet_begins_anew(self) -> None:
        self.receive(self.packet(0, 500), self.packet(500))
        self.expect(1, 0)
        self.idle()
        self.expect(2, 0)

    def test_out_of_order(self) -> None:
        self.receive(self.packet(0), self.packet(2 * STEP), self.packet(STEP))
        self.idle()
        self.expect(3, 0)

    def test_other_headers(self) -> None:
        self.receive(self.packet(0), self.packet(STEP, window=7))
        self.idle()
        self.expect(2, 0)

    def test_flags_end_it(self) -> None:
        for flags in (ACK | FIN, ACK | CWR, ACK | 2, ACK | 4, ACK | 0x20):
            with self.subTest(flags=flags):
                self.setUp()
                self.receive(self.packet(0), self.packet(STEP), self.packet(2 * STEP, flags=flags))
                self.expect(2, 2)

    def test_an_acknowledgement_does_not_overtake(self) -> None:
        self.receive(self.packet(0), self.packet(STEP, 0))
        self.expect(2, 0)

    def test_flows_apart(self) -> None:
        """A1 B1 C1 A2 B2 C2: each is told of when it is complete, in that order."""
        ports = range(4000, 4004)
        self.receive(*(self.packet(0, port=port) for port in ports))
        self.expect(0, 0)
        for number, port in enumerate(ports, 1):
            self.receive(self.packet(STEP, flags=ACK | PSH, port=port))
            self.expect(number, 2 * number)

    def test_more_flows_than_there_is_room_for(self) -> None:
        ring = self.card.rings.rx(self.queues[0]["rx"])
        assert ring is not None
        self.receive(*(self.packet(0, port=4000 + flow) for flow in range(MAX_AGGREGATIONS + 3)))
        self.assertEqual(len(ring.aggregates), MAX_AGGREGATIONS)
        self.expect(3, 0)

    def test_segments_are_bounded(self) -> None:
        self.driver.command("VNIC_TPA_CFG", vnic=self.vnic, flags=1, max_segments=4)
        self.receive(*(self.packet(at * STEP) for at in range(9)))
        self.expect(2, 8)

    def test_bytes_are_bounded(self) -> None:
        vnic = self.card.vnics.get(self.vnic)
        completion = self.card.rings.completion(self.queues[0]["cq"])
        assert vnic is not None and completion is not None
        parcels = [Parcel(self.packet(at * STEP), vnic, completion, 1) for at in range(3)]
        aggregate = Aggregate(parcels[0], 63, 2 * STEP + 999)
        self.assertTrue(aggregate.takes(parcels[1]) and not aggregate.is_complete)
        aggregate.add(parcels[1])
        self.assertTrue(aggregate.is_complete and not aggregate.takes(parcels[2]))

    def test_an_aggregate_is_an_ip_packet(self) -> None:
        """With room for more: its length has 16 bits."""
        vnic = self.card.vnics.get(self.vnic)
        completion = self.card.rings.completion(self.queues[0]["cq"])
        assert vnic is not None and completion is not None
        for version in 4, 6:
            step = 32 * STEP
            parcels = [
                Parcel(self.packet(at, step, version=version, segment_bytes=STEP), vnic, completion, 1)
                for at in (0, step)
            ]
            third = Parcel(self.packet(2 * step, 0, version=version), vnic, completion, 1)
            third = Parcel(Frame(third.frame.data + DATA[: 2 * STEP], STEP), vnic, completion, 1)
            aggregate = Aggregate(parcels[0], 1000, 1 << 20)
            self.assertTrue(aggregate.takes(parcels[1]))
            aggregate.add(parcels[1])
            self.assertFalse(aggregate.takes(third))
            self.assertEqual(len(aggregate.joined().frame.data), parcels[0].frame.headers.length + 2 * step)

    def test_ends_when_nothing_comes(self) -> None:
        self.assertIsNone(self.card.next_due_ns())
        self.receive(self.packet(0), self.packet(STEP))
        self.assertEqual(self.card.next_due_ns(), AGGREGATE_IDLE_NS)
        self.now = AGGREGATE_IDLE_NS - 1
        self.card.advance(self.now)
        self.expect(0, 0)
        self.receive(self.packet(2 * STEP))
        self.card.advance(AGGREGATE_IDLE_NS)
        self.expect(0, 0)
        self.idle()
        self.expect(1, 3)
        self.assertIsNone(self.card.next_due_ns())

    def test_damaged_packets_come_alone_and_in_order(self) -> None:
        self.receive(self.packet(0), self.packet(STEP))
        self.card.faults.set("unsplit", 0, 1)
        self.receive(self.packet(2 * STEP))
        self.expect(2, 2)

    def test_goes_with_its_ring(self) -> None:
        self.receive(self.packet(0))
        self.driver.command("FUNC_RESET")
        self.idle()
        self.expect(0, 0)
        self.assertIsNone(self.card.next_due_ns())

    def test_without_hardware_gro(self) -> None:
        self.driver.command("VNIC_TPA_CFG", vnic=self.vnic, flags=0)
        self.receive(self.packet(0), self.packet(STEP))
        self.expect(2, 0)


if __name__ == "__main__":
    unittest.main()
