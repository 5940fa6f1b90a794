# SPDX-License-Identifier: MIT
"""The BCM57508 model, driven by a driver of a few commands."""

from __future__ import annotations

import struct
import unittest

from nicmodel.bnxt.hwrm import (
    COMMANDS,
    INVALID_PARAMETERS,
    NAMES,
    NOT_SUPPORTED,
    RESOURCE_ALLOC_ERROR,
    Request,
    encode_response,
)
from nicmodel.bnxt.rx import WAITING_FRAMES
from nicmodel.offload import Frame

from .guest import HERE, THERE, BnxtDriver, tcp_frame
from .receive_case import COMPLETION, RX, TX, ReceiveCase

CQ_ARM, NQ_ARM = 6, 0xB


class HwrmTest(unittest.TestCase):
    def test_fields_lie_inside_and_apart(self) -> None:
        for name, command in COMMANDS.items():
            for fields, start, end in (
                (command.request, 16, 128),
                (command.response, 8, command.length - 1),
            ):
                taken: set[int] = set()
                for key, field in fields.items():
                    place = set(range(field.offset, field.offset + field.width))
                    self.assertTrue(min(place) >= start and max(place) < end, (name, key))
                    self.assertFalse(place & taken, (name, key))
                    taken |= place

    def test_codes_are_distinct(self) -> None:
        self.assertEqual(len(NAMES), len(COMMANDS))

    def test_encode_and_decode(self) -> None:
        response = encode_response("RING_ALLOC", 5, {"ring": 0x1234, "logical_id": 7})
        self.assertEqual(struct.unpack_from("<HHHHHH", response), (0, 0x50, 5, 16, 0x1234, 7))
        self.assertEqual(response[-1], 1)
        data = bytearray(128)
        struct.pack_into(">H", data, 38, 0x86DD)
        data[48:64] = HERE
        request = Request(COMMANDS["CFA_NTUPLE_FILTER_ALLOC"].request, bytes(data))
        self.assertEqual((request.ethertype, request.raw("source")), (0x86DD, HERE))


class FirmwareTest(unittest.TestCase):
    def setUp(self) -> None:
        self.driver = BnxtDriver()

    def test_unknown_command(self) -> None:
        response = self.driver.send(0x192, bytearray(32))
        self.assertEqual(struct.unpack_from("<H", response)[0], NOT_SUPPORTED)

    def test_version_asks_for_short_commands(self) -> None:
        error, found = self.driver.command("VER_GET")
        self.assertEqual((error, found["device_capabilities"] & 0xC), (0, 0xC))

    def test_reservation_is_reported_and_limited(self) -> None:
        enables = 0x10 | 0x20
        error, _ = self.driver.command("FUNC_CFG", enables=enables, tx_rings=4, rx_rings=8)
        self.assertEqual(error, 0)
        _, found = self.driver.command("FUNC_QCFG")
        self.assertEqual((found["tx_rings"], found["rx_rings"]), (4, 8))
        error, _ = self.driver.command("FUNC_CFG", enables=enables, tx_rings=4, rx_rings=33)
        self.assertEqual(error, RESOURCE_ALLOC_ERROR)
        error, _ = self.driver.command("FUNC_CFG", flags=0x2000, enables=enables, rx_rings=1)
        self.assertEqual(error, 0)
        self.assertEqual(self.driver.command("FUNC_QCFG")[1]["rx_rings"], 8)

    def test_told_to_fail(self) -> None:
        self.driver.card.faults.set("fail-command", "VNIC_ALLOC", 1, RESOURCE_ALLOC_ERROR)
        self.assertEqual(self.driver.command("VNIC_ALLOC")[0], RESOURCE_ALLOC_ERROR)
        self.assertEqual(self.driver.command("VNIC_ALLOC")[0], 0)

    def test_what_the_hardware_would_refuse(self) -> None:
        command = self.driver.command
        self.assertEqual(command("RING_ALLOC", type=RX, length=24)[0], INVALID_PARAMETERS)
        self.assertEqual(command("RING_ALLOC", type=9, length=16)[0], INVALID_PARAMETERS)
        # 64 KiB does not fit the field: the driver would have to write 0.
        self.assertEqual(command("RING_ALLOC", type=RX, length=16)[0], INVALID_PARAMETERS)
        self.assertEqual(command("RING_ALLOC", type=COMPLETION, length=16)[0], INVALID_PARAMETERS)
        self.assertEqual(command("RING_FREE", ring=99)[0], INVALID_PARAMETERS)
        self.assertEqual(command("VNIC_CFG", vnic=9)[0], INVALID_PARAMETERS)
        self.assertEqual(command("CFA_L2_FILTER_ALLOC", vnic=9)[0], INVALID_PARAMETERS)
        self.assertEqual(command("CFA_NTUPLE_FILTER_FREE", filter=9)[0], INVALID_PARAMETERS)


class QueueTest(ReceiveCase):
    def add_rule(self, index: int, port: int, **values: int | bytes) -> tuple[int, dict[str, int]]:
        ports = struct.pack(">HHHH", 0, 0, port, 0xFFFF)
        return self.driver.command(
            "CFA_NTUPLE_FILTER_ALLOC", enables=0x80000, ethertype=0x86DD, protocol=6,
            vnic=self.vnic, ring_table_index=index, ports=ports, **values,
        )  # fmt: skip

    def test_split(self) -> None:
        heads, payloads = self.post(0, 8, 8)
        frame = tcp_frame(self.card.mac, bytes(range(256)) * 20)
        self.card.receive(Frame(frame))
        header = 14 + 40 + 20
        read = self.driver.memory.read
        self.assertEqual(read(heads[0], header), frame[:header])
        self.assertEqual(read(payloads[0], 4096), frame[header : header + 4096])
        self.assertEqual(read(payloads[1], 1024), frame[header + 4096 :])
        first, second, *buffers = self.completions(0, 4)
        self.assertEqual((first[0] & 0x3F, first[0] >> 16, first[1]), (17, header, 100))
        self.assertEqual(first[2] >> 1 & 0x1F, 2)
        self.assertEqual(second[0], 3 | 0x100)
        self.assertEqual(
            [(e[0] & 0x3F, e[0] >> 16, e[1]) for e in buffers], [(18, 4096, 100), (18, 1024, 101)]
        )
        self.assertTrue(all(entry[2] & 1 for entry in (first, second, *buffers)))
        self.assertEqual((self.counter(0, 0), self.counter(0, 5)), (1, len(frame)))

    def test_threshold_leaves_small_packets_whole(self) -> None:
        self.set_split(threshold=200)
        self.post(0, 8, 8)
        self.card.receive(Frame(tcp_frame(self.card.mac, bytes(50))))
        self.assertEqual(self.completions(0, 1)[0][0] >> 16, 74 + 50)
        self.assertEqual(self.completions(0, 1)[0][2] >> 1 & 0x1F, 0)

    def test_unsplit_fault(self) -> None:
        heads, payloads = self.post(0, 8, 8)
        self.card.faults.set("unsplit", 0, 1)
        frame = tcp_frame(self.card.mac, bytes(range(250)) * 2)
        self.card.receive(Frame(frame))
        self.assertEqual(self.completions(0, 1)[0][0] >> 16, 256)
        self.assertEqual(self.driver.memory.read(heads[0], 256), frame[:256])
        self.assertEqual(self.driver.memory.read(payloads[0], len(frame) - 256), frame[256:])

    def test_bad_length_fault(self) -> None:
        self.post(0, 8, 8)
        self.card.faults.set("bad-length", 0, 1, -9)
        self.card.receive(Frame(tcp_frame(self.card.mac, bytes(100))))
        self.assertEqual(self.completions(0, 3)[2][0] >> 16, 91)

    def test_misdirect_fault(self) -> None:
        self.set_rss([0, 1] + [0] * 62)
        self.post(1, 8, 8)
        self.add_rule(0, 9999)
        self.card.faults.set("misdirect", 0, 1, 1)
        self.card.receive(Frame(tcp_frame(self.card.mac, b"astray")))
        self.assertEqual(self.completions(1, 1)[0][0] & 0x3F, 17)

    def test_rule_by_table_index(self) -> None:
        self.set_rss([0] * 63 + [1])
        self.post(0, 8, 8)
        self.post(1, 8, 8)
        error, found = self.add_rule(63, 9999)
        self.assertEqual(error, 0)
        self.card.receive(Frame(tcp_frame(self.card.mac, b"steered")))
        self.assertEqual(self.completions(1, 1)[0][0] & 0x3F, 17)
        self.card.receive(Frame(tcp_frame(self.card.mac, b"other", port=9998)))
        self.assertEqual(self.completions(0, 1)[0][0] & 0x3F, 17)
        self.driver.command("CFA_NTUPLE_FILTER_FREE", filter=found["filter"])
        self.card.receive(Frame(tcp_frame(self.card.mac, b"steered")))
        self.assertEqual((self.counter(0, 0), self.counter(1, 0)), (2, 1))

    def test_rules_die_with_their_vnic(self) -> None:
        self.add_rule(1, 9999)
        self.assertEqual(self.card.filters.rules, 1)
        self.driver.command("VNIC_FREE", vnic=self.vnic)
        self.assertEqual(self.card.filters.rules, 0)
        self.assertEqual(self.add_rule(1, 9999)[0], INVALID_PARAMETERS)

    def test_rss_spreads_by_hash(self) -> None:
        self.set_rss([0, 1] * 32)
        for number in range(2):
            self.post(number, 15, 15)
        for port in range(10):
            self.card.receive(Frame(tcp_frame(self.card.mac, b"x", port=port)))
        counts = [self.counter(number, 0) for number in range(2)]
        self.assertEqual(sum(counts), 10)
        self.assertTrue(all(counts), counts)

    def test_short_ring_holds_then_drops(self) -> None:
        self.card.receive(Frame(tcp_frame(self.card.mac, b"early")))
        self.assertEqual(self.counter(0, 0), 0)
        for _ in range(WAITING_FRAMES):
            self.card.receive(Frame(tcp_frame(self.card.mac, b"more")))
        self.assertEqual(self.counter(0, 3), 1)
        _, payloads = self.post(0, 8, 8)
        self.assertEqual(self.driver.memory.read(payloads[0], 5), b"early")
        self.assertEqual(self.counter(0, 0), 8)

    def test_starve_fault_drops_at_once(self) -> None:
        self.post(0, 8, 8)
        self.card.faults.set("starve", 0, 2)
        for _ in range(3):
            self.card.receive(Frame(tcp_frame(self.card.mac, b"x")))
        self.assertEqual((self.counter(0, 3), self.counter(0, 0)), (2, 1))

    def test_stopped_vnic_and_strangers_are_dropped(self) -> None:
        self.post(0, 8, 8)
        self.card.receive(Frame(tcp_frame(b"\2\0\0\0\0\x55", b"not ours")))
        self.driver.command("VNIC_UPDATE", vnic=self.vnic, enables=2, mru=0)
        self.card.receive(Frame(tcp_frame(self.card.mac, b"x")))
        self.driver.command("VNIC_UPDATE", vnic=self.vnic, enables=2, mru=1518)
        self.card.receive(Frame(tcp_frame(self.card.mac, bytes(1500))))
        counters = self.card.counters
        found = [counters[key] for key in ("rx_not_for_us", "rx_vnic_stopped", "rx_too_long", "rx")]
        self.assertEqual(found, [1, 1, 1, 0])

    def test_aggregate(self) -> None:
        self.driver.command("VNIC_TPA_CFG", vnic=self.vnic, flags=1, max_segments=63)
        _, payloads = self.post(0, 8, 8)
        data = bytes(range(250)) * 40
        frame = Frame(tcp_frame(self.card.mac, data), 1448)
        self.card.receive(frame)
        entries = self.completions(0, 7)
        self.assertEqual([entry[0] & 0x3F for entry in entries], [19, 3, 22, 22, 22, 21, 74 << 16 & 0x3F])
        self.assertEqual([e[0] >> 16 for e in entries[2:5]], [4096, 4096, len(data) - 8192])
        self.assertEqual(entries[5][2] >> 8 & 0xFF, frame.segments)
        self.assertEqual((entries[6][0] >> 24, entries[6][1]), (3, 1448))
        self.assertEqual(b"".join(self.driver.memory.read(p, 4096) for p in payloads[:3])[: len(data)], data)
        self.assertEqual((self.counter(0, 0), self.counter(0, 18)), (frame.segments, frame.segments))

    def test_without_aggregation_packets_come_one_by_one(self) -> None:
        self.post(0, 8, 8)
        self.card.receive(Frame(tcp_frame(self.card.mac, bytes(5000)), 1448))
        self.assertEqual(self.card.counters["rx"], 4)

    def test_interrupt_only_when_armed(self) -> None:
        raised: list[int] = []
        self.card.bus.interrupts.raise_vector = raised.append  # type: ignore[method-assign, assignment]
        self.post(0, 8, 8)
        self.driver.doorbell(NQ_ARM, self.nq, 0)
        self.card.receive(Frame(tcp_frame(self.card.mac, b"x")))
        self.assertEqual(raised, [])
        self.driver.doorbell(CQ_ARM, self.queues[0]["cq"], 0)  # there is something already
        self.assertEqual(raised, [3])
        entry = struct.unpack("<HHIII", self.driver.memory.read(self.nq_at, 16))
        self.assertEqual(entry, (0x30, 0, 40, 1, 0))
        self.card.receive(Frame(tcp_frame(self.card.mac, b"x")))
        self.assertEqual(raised, [3])

    def test_phase_flips_with_each_lap(self) -> None:
        for lap in range(2):
            self.driver.post(self.queues[0]["rx"], self.queues[0]["rx_at"], 256, 15)
            queue = self.card.rings.rx(self.queues[0]["rx"])
            assert queue is not None
            queue.taken = 0
            for _ in range(8):  # two entries each: a lap of 16
                self.card.receive(Frame(tcp_frame(self.card.mac, b"")))
            phases = {entry[2] & 1 for entry in self.completions(0, 16)}
            self.assertEqual(phases, {1 - lap})

    def test_transmit(self) -> None:
        ring, at = self.driver.ring(TX, completion_ring=self.queues[0]["cq"])
        frame = tcp_frame(b"\2\0\0\0\0\x66", bytes(range(200)) * 30)
        buffers = [self.driver.heap.take(8192) for _ in range(2)]
        self.driver.memory.write(buffers[0], frame[:100])
        self.driver.memory.write(buffers[1], frame[100:])
        rest = len(frame) - 100
        descriptors = (
            struct.pack("<IIQ", 0x10 | 100 << 16, 0x30000, buffers[0]),
            struct.pack("<IIII", 0x20 | 37 << 16, 1448, 0, 0),
            struct.pack("<IIQ", 0x40 | rest << 16, 0, buffers[1]),
        )
        self.driver.memory.write(at, b"".join(descriptors))
        self.driver.doorbell(0, ring, 3)
        self.assertEqual([(f.data, f.segment_bytes) for f in self.sent], [(frame, 1448)])
        self.assertEqual(self.completions(0, 1)[0], (0, 0x30000, 1, 0))

    def test_link_change_is_told(self) -> None:
        self.driver.command("FUNC_CFG", enables=0x4000, async_event_ring=self.nq)
        self.card.set_link(False)
        self.assertEqual(struct.unpack("<HH", self.driver.memory.read(self.nq_at, 4)), (0x2E, 0))
        self.assertEqual(self.driver.command("PORT_PHY_QCFG")[1]["link"], 0)

    def test_reset_on_request(self) -> None:
        self.driver.command("FUNC_CFG", enables=0x4000, async_event_ring=self.nq)
        self.card.request_reset()
        self.assertEqual(struct.unpack("<HH", self.driver.memory.read(self.nq_at, 4)), (0x2E, 8))
        for _ in range(2):
            self.driver.command("FUNC_DRV_UNRGTR")
        self.assertEqual(self.card.counters["resets"], 1)

    def test_reset_forgets_everything(self) -> None:
        self.add_rule(1, 9999)
        self.driver.command("FUNC_RESET")
        self.assertEqual((list(self.card.rings), list(self.card.vnics), self.card.filters.rules), ([], [], 0))
        self.card.receive(Frame(tcp_frame(self.card.mac, b"x")))
        self.assertEqual(self.card.counters["rx_not_for_us"], 1)

    def test_addresses_of_a_rule(self) -> None:
        self.set_rss([0, 1] + [0] * 62)
        self.post(0, 8, 8)
        self.post(1, 8, 8)
        self.add_rule(1, 9999, source=THERE, source_mask=b"\xff" * 16)
        self.card.receive(Frame(tcp_frame(self.card.mac, b"x")))
        self.assertEqual((self.counter(0, 0), self.counter(1, 0)), (0, 1))
