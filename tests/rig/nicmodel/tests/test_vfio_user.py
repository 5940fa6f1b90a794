# SPDX-License-Identifier: MIT
"""The transport against a client that speaks the protocol byte by byte."""

from __future__ import annotations

import array
import errno
import json
import mmap
import os
import socket
import struct
import tempfile
import unittest
from pathlib import Path

from nicmodel import vfio_user
from nicmodel.dma import DmaError, GuestMemory
from nicmodel.pci import Bus, Card, Identity, PciFunction
from nicmodel.vfio_user import Connection, DisconnectedError, ProtocolError


class EchoCard(Card):
    """Registers that remember what was written."""

    identity = Identity(0x1234, 0x5678, 2, {0: 0x1000, 4: 0x1000}, vectors=4, msix_bar=4)

    def __init__(self) -> None:
        self.bus = Bus(4)
        self.registers = bytearray(0x1000)
        self.resets = 0

    def bar_read(self, bar: int, offset: int, count: int) -> bytes:
        return bytes(self.registers[offset : offset + count])

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        self.registers[offset : offset + len(data)] = data

    def reset(self) -> None:
        self.resets += 1


class TransportTest(unittest.TestCase):
    def setUp(self) -> None:
        self.client, server = socket.socketpair()
        self.card = EchoCard()
        self.connection = Connection(server, PciFunction(self.card))
        self.addCleanup(self.client.close)
        self.addCleanup(server.close)
        self.addCleanup(self.card.bus.memory.unmap_all)

    def ask(self, command: int, body: bytes = b"", fds: list[int] | None = None) -> bytes:
        """Send a message; the reply's body. Raises OSError for an error reply."""
        message = struct.pack("<HHIII", 77, command, 16 + len(body), 0, 0) + body
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds or []))]
        self.client.sendmsg([message], rights if fds else [])
        self.connection.handle()
        reply = self.client.recv(65536)
        ident, echoed, size, flags, error = struct.unpack_from("<HHIII", reply)
        self.assertEqual((ident, echoed, size), (77, command, len(reply)))
        self.assertTrue(flags & 1)
        if flags & 0x20:
            raise OSError(error, "error reply")
        return reply[16:]

    def access(self, offset: int, region: int, count: int) -> bytes:
        return struct.pack("<QII", offset, region, count)

    def test_version(self) -> None:
        reply = self.ask(1, struct.pack("<HH", 0, 1) + b"{}\0")
        self.assertEqual(reply[:4], struct.pack("<HH", 0, 1))
        self.assertIn("max_msg_fds", json.loads(reply[4:].rstrip(b"\0"))["capabilities"])
        with self.assertRaises(OSError):
            self.ask(1, struct.pack("<HH", 1, 0))

    def test_device_regions_and_interrupts(self) -> None:
        self.assertEqual(self.ask(4, bytes(16)), struct.pack("<IIII", 16, 3, 9, 5))
        for region, size in ((0, 0x1000), (1, 0), (4, 0x1000), (6, 0), (7, 256), (8, 0)):
            reply = self.ask(5, struct.pack("<IIIIQQ", 32, 0, region, 0, 0, 0))
            flags, index, reported = struct.unpack("<4xII4xQ8x", reply)
            self.assertEqual((index, reported, bool(flags)), (region, size, bool(size)))
        for index, count in ((0, 0), (1, 0), (2, 4)):
            reply = self.ask(7, struct.pack("<IIII", 16, 0, index, 0))
            self.assertEqual(struct.unpack("<8xII", reply), (index, count))

    def test_configuration_space(self) -> None:
        reply = self.ask(9, self.access(0, 7, 256))[16:]
        self.assertEqual(struct.unpack_from("<HH", reply), (0x1234, 0x5678))
        kind, following, control = struct.unpack_from("<BBH", reply, reply[0x34])
        self.assertEqual((kind, following, control), (0x11, 0, 3))
        table, pending = struct.unpack_from("<II", reply, reply[0x34] + 4)
        self.assertEqual((table, pending), (4, 64 | 4))

    def test_registers(self) -> None:
        self.ask(10, self.access(0x10, 0, 4) + b"abcd")
        self.assertEqual(self.ask(9, self.access(0x10, 0, 4))[16:], b"abcd")
        with self.assertRaises(OSError):
            self.ask(10, self.access(0x10, 0, 8) + b"abcd")

    def test_out_of_range_reads_as_ones(self) -> None:
        for offset, region in ((0xFFE, 0), (0x1000, 0), (1 << 63, 0), (0, 3)):
            self.assertEqual(self.ask(9, self.access(offset, region, 4))[16:], b"\xff" * 4)
        self.ask(10, self.access(0xFFE, 0, 4) + b"abcd")
        self.assertEqual(self.card.registers, bytes(0x1000))

    def test_posted_write_gets_no_reply(self) -> None:
        body = self.access(0, 0, 2) + b"hi"
        self.client.send(struct.pack("<HHIII", 1, 10, 16 + len(body), 0x10, 0) + body)
        self.connection.handle()
        self.client.setblocking(False)
        self.assertRaises(BlockingIOError, self.client.recv, 1)
        self.assertEqual(self.card.registers[:2], b"hi")

    def test_dma(self) -> None:
        fd = os.memfd_create("memory")
        os.ftruncate(fd, 8192)
        with mmap.mmap(fd, 8192) as mine:
            mine[4096:4100] = b"page"
            self.ask(2, struct.pack("<IIQQQ", 32, 3, 4096, 0x9000, 4096), [fd])
            os.close(fd)
            memory = self.card.bus.memory
            self.assertEqual(memory.read(0x9000, 4), b"page")
            memory.write(0x9FFC, b"tail")
            self.assertEqual(mine[8188:], b"tail")
            for address, length in ((0x8FFF, 1), (0x9FFD, 4), (0xA000, 1)):
                self.assertRaises(DmaError, memory.read, address, length)
            request = struct.pack("<IIQQ", 24, 0, 0x9000, 4096)
            self.assertEqual(self.ask(3, request), request)
            self.assertRaises(DmaError, memory.read, 0x9000, 1)

    def test_unmap_all(self) -> None:
        for address in (0x10000, 0x20000):
            fd = os.memfd_create("memory")
            os.ftruncate(fd, 4096)
            self.ask(2, struct.pack("<IIQQQ", 32, 3, 0, address, 4096), [fd])
            os.close(fd)
        self.ask(3, struct.pack("<IIQQ", 24, 2, 0, 0))
        self.assertRaises(DmaError, self.card.bus.memory.read, 0x20000, 1)

    def set_interrupts(self, start: int, count: int, fds: list[int], flags: int = 0x24) -> None:
        self.ask(8, struct.pack("<IIIII", 20, flags, 2, start, count), fds)

    def fire(self, vector: int) -> None:
        self.card.bus.interrupts.raise_vector(vector)
        self.card.bus.interrupts.fire(lambda _: False)

    def test_interrupts(self) -> None:
        events = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)]
        for event in events:
            self.addCleanup(os.close, event)
        self.set_interrupts(1, 2, events)
        self.fire(2)
        self.assertEqual(os.eventfd_read(events[1]), 1)
        self.assertRaises(BlockingIOError, os.eventfd_read, events[0])
        self.set_interrupts(2, 1, [])  # vector 2 loses its descriptor
        self.fire(2)
        self.assertRaises(BlockingIOError, os.eventfd_read, events[1])
        self.fire(1)
        self.assertEqual(os.eventfd_read(events[0]), 1)
        self.set_interrupts(0, 0, [], flags=0x21)  # all of them
        self.fire(1)
        self.assertRaises(BlockingIOError, os.eventfd_read, events[0])

    def test_reset_and_unknown_command(self) -> None:
        self.ask(13)
        self.assertEqual(self.card.resets, 1)
        with self.assertRaises(OSError) as caught:
            self.ask(99)
        self.assertEqual(caught.exception.errno, errno.ENOSYS)

    def test_no_descriptor_leaks(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        fd = os.memfd_create("stray")
        self.ask(4, bytes(16), [fd])  # a message that takes none
        os.close(fd)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_nonsense_and_goodbye(self) -> None:
        self.client.send(struct.pack("<HHIII", 1, 4, 8, 0, 0))
        self.assertRaises(ProtocolError, self.connection.handle)
        self.client.close()
        self.assertRaises(DisconnectedError, self.connection.handle)


class ListenTest(unittest.TestCase):
    def test_replaces_a_stale_socket(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            path = str(Path(scratch) / "socket")
            vfio_user.listen(path).close()
            listener = vfio_user.listen(path)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
            listener.close()


class MemoryTest(unittest.TestCase):
    def test_failed_map_closes_the_descriptor(self) -> None:
        fd = os.memfd_create("memory")
        self.assertRaises(ValueError, GuestMemory().map, 0, 1 << 20, fd, 0)
        self.assertRaises(OSError, os.fstat, fd)
