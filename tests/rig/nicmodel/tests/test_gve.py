# SPDX-License-Identifier: MIT
"""The gVNIC model, driven by a driver of a few commands."""

from __future__ import annotations

import struct
import unittest

from nicmodel.gve import adminq
from nicmodel.gve.adminq import OPERATIONS, PASSED
from nicmodel.gve.device import DESCRIPTOR, HEADER_BUFFER_BYTES, OPTION
from nicmodel.gve.model import DOORBELLS, REGISTERS, VECTORS, Gve
from nicmodel.offload import Frame

from .guest import HERE, THERE, Heap, map_memory, tcp_frame

CODES = {name: code for code, name in OPERATIONS.items()}
ENTRIES = 16
STATUS, DRIVER_STATUS, QUEUE_AT, DOORBELL, COUNTER = 0x00, 0x04, 0x20, 0x14, 0x18


class GveTest(unittest.TestCase):
    """An admin queue, resources, and two RX queues and a TX queue on blocks 0, 1 and 2."""

    def setUp(self) -> None:
        self.card = Gve(0)
        self.sent: list[Frame] = []
        self.card.transmit = self.sent.append
        self.raised: list[int] = []
        self.card.bus.interrupts.raise_vector = self.raised.append  # type: ignore[method-assign, assignment]
        self.memory = self.card.bus.memory
        map_memory(self.memory)
        self.addCleanup(self.memory.unmap_all)
        self.heap = Heap()
        self.admin = self.heap.take(4096)
        self.start()

    def start(self) -> None:
        self.done = 0
        self.write_register(QUEUE_AT + 8, struct.pack(">H", 4096))
        self.write_register(QUEUE_AT, struct.pack(">I", self.admin >> 32))
        self.write_register(QUEUE_AT + 4, struct.pack(">I", self.admin & 0xFFFFFFFF))
        self.table = self.heap.take(4096)
        body = struct.pack(">QQIIIIB", 0, self.table, 16, VECTORS - 1, 64, 0, 3)
        self.assertEqual(self.command("CONFIGURE_DEVICE_RESOURCES", body), PASSED)

    def write_register(self, offset: int, data: bytes) -> None:
        self.card.bar_write(REGISTERS, offset, data)

    def register(self, offset: int) -> int:
        return int.from_bytes(self.card.bar_read(REGISTERS, offset, 4), "big")

    def command(self, name: str, body: bytes = b"") -> int:
        """Run one command; its status."""
        at = self.admin + self.done % 64 * 64
        self.memory.write(at, struct.pack(">II", CODES[name], 0) + body.ljust(56, b"\0"))
        self.done += 1
        self.write_register(DOORBELL, struct.pack(">I", self.done))
        self.assertEqual(self.register(COUNTER), self.done)
        return int.from_bytes(self.memory.read(at + 4, 4), "big")

    def flow_rule(self, operation: int, location: int, queue: int = 0, port: int = 0) -> int:
        """The one command that goes by reference."""
        key = bytes(32) + struct.pack(">HH", 0, port) + bytes(4)
        mask = bytes(34) + b"\xff\xff" + bytes(4)
        inner = struct.pack(">HxxHH40s40sI", operation, 5, queue, key, mask, location)
        address = self.heap.take(len(inner))
        self.memory.write(address, inner)
        at = self.admin + self.done % 64 * 64
        body = struct.pack(">IIQ", CODES["CONFIGURE_FLOW_RULE"], len(inner), address)
        self.memory.write(at, struct.pack(">II", adminq.EXTENDED, 0) + body.ljust(56, b"\0"))
        self.done += 1
        self.write_register(DOORBELL, struct.pack(">I", self.done))
        return int.from_bytes(self.memory.read(at + 4, 4), "big")

    def rx_queue(self, number: int, aggregate: int = 0, split: int = HEADER_BUFFER_BYTES) -> dict[str, int]:
        names = ("resources", "completions", "ring")
        queue = {name: self.heap.take(4096) for name in names}
        body = struct.pack(
            ">IIIIQQQIHHHBBH", number, 0, 0, number, queue["resources"], queue["completions"],
            queue["ring"], 0xFFFFFFFF, ENTRIES, 2048, ENTRIES, aggregate, 0, split,
        )  # fmt: skip
        self.assertEqual(self.command("CREATE_RX_QUEUE", body), PASSED)
        queue["doorbell"] = int.from_bytes(self.memory.read(queue["resources"], 4), "big")
        return queue

    def post(self, queue: dict[str, int], count: int) -> tuple[list[int], list[int]]:
        """Fill descriptors; the addresses of the buffers for payload and for headers."""
        payloads, heads = [], []
        for index in range(count):
            payloads.append(self.heap.take(2048))
            heads.append(self.heap.take(128))
            entry = struct.pack("<HHIQQQ", 50 + index, 0, 0, payloads[-1], heads[-1], 0)
            self.memory.write(queue["ring"] + 32 * index, entry)
        self.ring(queue["doorbell"], count)
        return payloads, heads

    def ring(self, index: int, value: int) -> None:
        self.card.bar_write(DOORBELLS, 4 * index, struct.pack("<I", value))

    def completion(self, queue: dict[str, int], index: int) -> dict[str, int]:
        data = self.memory.read(queue["completions"] + 32 * index, 32)
        kind, _, packet, length, head, flags, _, _, buffer, segment, value = struct.unpack(
            "<BBHHHBBHHHI12x", data
        )
        return {
            "kind": kind, "packet": packet,
            "length": length & 0x3FFF, "generation": length >> 14 & 1,
            "head": head & 0x3FF, "aggregated": head >> 10 & 1, "split": head >> 11 & 1,
            "last": flags >> 1 & 1, "buffer": buffer, "segment": segment, "hash": value,
        }  # fmt: skip

    def test_description(self) -> None:
        address = self.heap.take(4096)
        self.assertEqual(self.command("DESCRIBE_DEVICE", struct.pack(">QII", address, 1, 4096)), PASSED)
        fields = DESCRIPTOR.unpack(self.memory.read(address, DESCRIPTOR.size))
        self.assertEqual(fields[9], self.card.mac)
        data = self.memory.read(address, fields[11])[DESCRIPTOR.size :]
        found = []
        while data:
            ident, length, _ = OPTION.unpack_from(data)
            found.append(ident)
            data = data[OPTION.size + length :]
        self.assertEqual((found, len(found)), ([0x4, 0x6, 0x8, 0xA, 0xB, 0xE], fields[10]))
        too_small = struct.pack(">QII", address, 1, 40)
        self.assertEqual(self.command("DESCRIBE_DEVICE", too_small), adminq.INVALID_ARGUMENT)

    def test_refusals(self) -> None:
        self.rx_queue(0)
        again = struct.pack(">IIIIQQQIHHHBBH", 0, 0, 0, 0, self.table, 0, 0, 0, 16, 2048, 16, 0, 0, 0)
        self.assertEqual(self.command("CREATE_RX_QUEUE", again), adminq.ALREADY_EXISTS)
        high = struct.pack(">I", 8) + again[4:]
        self.assertEqual(self.command("CREATE_RX_QUEUE", high), adminq.OUT_OF_RANGE)
        odd = struct.pack(">IIIIQQQIHHHBBH", 1, 0, 0, 1, self.table, 0, 0, 0, 16, 3000, 16, 0, 0, 0)
        self.assertEqual(self.command("CREATE_RX_QUEUE", odd), adminq.INVALID_ARGUMENT)
        self.assertEqual(self.command("DESTROY_RX_QUEUE", struct.pack(">I", 3)), adminq.NOT_FOUND)
        self.assertEqual(self.flow_rule(0, location=64), adminq.OUT_OF_RANGE)
        self.assertEqual(self.flow_rule(0, location=1, queue=8), adminq.INVALID_ARGUMENT)
        self.assertEqual(self.flow_rule(1, location=1), adminq.NOT_FOUND)
        self.card.faults.set("fail-command", "DESTROY_RX_QUEUE", 1)
        self.assertEqual(self.command("DESTROY_RX_QUEUE", bytes(4)), adminq.INTERNAL_ERROR)
        self.assertEqual(self.command("DESTROY_RX_QUEUE", bytes(4)), PASSED)

    def test_split(self) -> None:
        queue = self.rx_queue(0)
        payloads, heads = self.post(queue, 8)
        frame = tcp_frame(self.card.mac, bytes(range(250)) * 12)
        self.card.receive(Frame(frame))
        self.assertEqual(self.memory.read(heads[0], 74), frame[:74])
        self.assertEqual(self.memory.read(payloads[0], 2048), frame[74 : 74 + 2048])
        self.assertEqual(self.memory.read(payloads[1], 952), frame[74 + 2048 :])
        first, second = (self.completion(queue, index) for index in range(2))
        self.assertEqual((first["head"], first["split"], first["length"], first["last"]), (74, 1, 2048, 0))
        self.assertEqual((second["head"], second["split"], second["length"], second["last"]), (0, 0, 952, 1))
        self.assertEqual((first["buffer"], second["buffer"], first["generation"]), (50, 51, 1))
        self.assertEqual(first["packet"], 2)

    def test_aggregate(self) -> None:
        queue = self.rx_queue(0, aggregate=1)
        payloads, _ = self.post(queue, 8)
        data = bytes(range(250)) * 20
        self.card.receive(Frame(tcp_frame(self.card.mac, data), 1448))
        entries = [self.completion(queue, index) for index in range(3)]
        self.assertEqual([e["length"] for e in entries], [2048, 2048, 904])
        self.assertEqual([(e["aggregated"], e["segment"]) for e in entries], [(1, 1448)] * 3)
        self.assertEqual(b"".join(self.memory.read(p, 2048) for p in payloads[:3])[:5000], data)

    def test_without_aggregation_and_faults(self) -> None:
        queue = self.rx_queue(0)
        self.post(queue, 12)
        self.card.receive(Frame(tcp_frame(self.card.mac, bytes(3000)), 1000))
        self.assertEqual(self.card.counters["rx"], 3)
        self.card.faults.set("unsplit", 0, 1)
        self.card.receive(Frame(tcp_frame(self.card.mac, bytes(100))))
        self.assertEqual((self.completion(queue, 3)["split"], self.completion(queue, 3)["length"]), (0, 174))
        self.card.faults.set("bad-length", 0, 1, -1)
        self.card.receive(Frame(tcp_frame(self.card.mac, bytes(100))))
        self.assertEqual(self.completion(queue, 4)["length"], 99)

    def test_rule_then_rss_then_first_queue(self) -> None:
        queues = [self.rx_queue(number) for number in range(2)]
        for queue in queues:
            self.post(queue, 8)
        self.assertEqual(self.flow_rule(0, location=3, queue=1, port=9999), PASSED)
        self.card.receive(Frame(tcp_frame(self.card.mac, b"steered")))
        self.card.receive(Frame(tcp_frame(self.card.mac, b"other", port=1)))
        self.assertEqual([self.completion(queue, 0)["kind"] for queue in queues], [1, 1])
        self.assertEqual([self.completion(queue, 1)["kind"] for queue in queues], [0, 0])
        table, key = self.heap.take(512), self.heap.take(40)
        self.memory.write(table, struct.pack(">128I", *[1] * 128))
        self.memory.write(key, bytes(range(40)))
        body = struct.pack(">HBxHHQQ", 0xFF, 1, 40, 128, key, table)
        self.assertEqual(self.command("CONFIGURE_RSS", body), PASSED)
        self.card.receive(Frame(tcp_frame(self.card.mac, b"hashed", port=1)))
        self.assertEqual(self.completion(queues[1], 1)["kind"], 1)
        self.assertNotEqual(self.completion(queues[1], 1)["hash"], 0)

    def test_queries(self) -> None:
        for location in (9, 2, 30):
            self.flow_rule(0, location, queue=1, port=location)
        at = self.heap.take(4096)

        def query(operation: int, start: int) -> bytes:
            body = struct.pack(">HxxIQQ", operation, start, 4096, at)
            self.assertEqual(self.command("QUERY_FLOW_RULES", body), PASSED)
            return self.memory.read(at, struct.unpack(">12xI", self.memory.read(at, 16))[0])

        self.assertEqual(struct.unpack(">7I", query(1, 0)), (3, 64, 3, 28, 2, 9, 30))
        self.assertEqual(struct.unpack(">5I", query(1, 10)), (3, 64, 1, 20, 30))
        self.assertEqual(struct.unpack(">4I", query(2, 0)), (3, 64, 0, 16))
        self.assertEqual(struct.unpack_from(">IHH", query(0, 9), 16), (9, 5, 1))
        self.assertEqual(self.flow_rule(2, 0), PASSED)
        self.assertEqual(struct.unpack(">4I", query(1, 0)), (0, 64, 0, 16))
        self.assertEqual(self.command("QUERY_RSS", struct.pack(">QQ", 4096, at)), PASSED)
        self.assertEqual(struct.unpack_from(">I", self.memory.read(at, 4))[0], 8 + 40 + 4 * 128)

    def test_interrupt_once_for_each_enable(self) -> None:
        queue = self.rx_queue(1)
        self.post(queue, 8)
        self.flow_rule(0, 0, queue=1, port=9999)
        doorbell = int.from_bytes(self.memory.read(self.table + 64, 4), "big")
        self.card.receive(Frame(tcp_frame(self.card.mac, b"x")))
        self.assertEqual(self.raised, [])
        self.ring(doorbell, 1)
        self.assertEqual(self.raised, [1])
        self.card.receive(Frame(tcp_frame(self.card.mac, b"x")))
        self.assertEqual(self.raised, [1])

    def test_transmit(self) -> None:
        resources, ring, completions = (self.heap.take(4096) for _ in range(3))
        body = struct.pack(">IIQQIIQHH", 0, 0, resources, ring, 0, 2, completions, ENTRIES, ENTRIES)
        self.assertEqual(self.command("CREATE_TX_QUEUE", body), PASSED)
        frame = tcp_frame(b"\2\0\0\0\0\x66", bytes(5000))
        buffers = [self.heap.take(8192) for _ in range(2)]
        self.memory.write(buffers[0], frame[:74])
        self.memory.write(buffers[1], frame[74:])
        descriptors = (
            struct.pack("<IHBBB", 5000, 1448, 74, 0, 0x25).ljust(16, b"\0")
            + struct.pack("<QBBHHH", buffers[0], 0x4C, 0, 0, 0x77, 74)
            + struct.pack("<QBBHHH", buffers[1], 0xEC, 0, 0, 0x77, 5000)
        )
        self.memory.write(ring, descriptors)
        self.ring(int.from_bytes(self.memory.read(resources, 4), "big"), 3)
        self.assertEqual([(f.data, f.segment_bytes) for f in self.sent], [(frame, 1448)])
        done = struct.unpack("<HHIHH", self.memory.read(completions, 12))
        self.assertEqual(done, (2 << 11 | 1 << 15, 0x77, 0, 4 << 11 | 1 << 15, 3))

    def test_drops_are_reported(self) -> None:
        self.rx_queue(0)
        report = self.heap.take(4096)
        self.command("REPORT_STATS", struct.pack(">QQQ", 4096, report, 20000))
        self.card.faults.set("starve", 0, 2)
        for _ in range(2):
            self.card.receive(Frame(tcp_frame(self.card.mac, b"x")))
        self.card.flush()
        at = report + 8 + 16 * 2  # behind the driver's two entries for the RX queue
        self.assertEqual(struct.unpack(">IIQ", self.memory.read(at, 16)), (65, 0, 2))

    def test_link_and_reset(self) -> None:
        self.rx_queue(0)
        self.card.set_link(False)
        self.assertEqual((self.register(STATUS) & 4, self.raised), (0, [VECTORS - 1]))
        self.card.set_link(True)
        self.card.request_reset()
        self.assertEqual(self.register(STATUS), 4 | 2)
        self.write_register(DRIVER_STATUS, struct.pack(">I", 2))
        self.assertEqual(self.register(STATUS), 4 | 16)
        self.assertEqual((list(self.card.queues), self.card.counters["resets"]), ([], 1))
        self.start()
        self.assertEqual(self.register(STATUS), 4)

    def test_strangers_are_dropped(self) -> None:
        self.card.receive(Frame(tcp_frame(b"\2\0\0\0\0\x55", b"not ours")))
        self.card.receive(Frame(tcp_frame(self.card.mac, b"no queue yet")))
        counters = self.card.counters
        self.assertEqual((counters["rx_not_for_us"], counters["rx_no_ring"]), (1, 1))

    def test_rule_takes_addresses(self) -> None:
        queues = [self.rx_queue(number) for number in range(2)]
        for queue in queues:
            self.post(queue, 4)
        key, mask = THERE + HERE + bytes(8), b"\xff" * 32 + bytes(8)
        inner = struct.pack(">HxxHH40s40sI", 0, 5, 1, key, mask, 0)
        address = self.heap.take(len(inner))
        self.memory.write(address, inner)
        self.card.flows.handlers["CONFIGURE_FLOW_RULE"](inner)
        self.card.receive(Frame(tcp_frame(self.card.mac, b"x", port=5)))
        self.assertEqual([self.completion(queue, 0)["kind"] for queue in queues], [0, 1])
