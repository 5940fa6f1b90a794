# SPDX-License-Identifier: MIT
"""For the unit tests: memory as a guest would have it, and drivers reduced to a few commands."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping

from nicmodel.bnxt.firmware import TRIGGER
from nicmodel.bnxt.hwrm import COMMANDS, NO_COMPLETION_RING, RESPONSE_HEADER, Field
from nicmodel.bnxt.model import DOORBELLS, REGISTERS, Bnxt
from nicmodel.dma import GuestMemory
from nicmodel.packet import IPV4, IPV6, TCP, build

BASE = 0x1000_0000
MEMORY_BYTES = 1 << 20
HERE = socket.inet_pton(socket.AF_INET6, "fd00::1")
THERE = socket.inet_pton(socket.AF_INET6, "fd00::2")
HERE4, THERE4 = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


def map_memory(memory: GuestMemory, address: int = BASE, length: int = MEMORY_BYTES) -> None:
    fd = os.memfd_create("guest")
    os.ftruncate(fd, length)
    memory.map(address, length, fd, 0)


def tcp_frame(to: bytes, payload: bytes, port: int = 9999, flags: int = 0x18, version: int = 6) -> bytes:
    """A TCP frame from the peer to the card with this address."""
    ethertype, source, destination = (IPV6, THERE, HERE) if version == 6 else (IPV4, THERE4, HERE4)
    macs = (b"\2\0\0\0\0\x99", to)
    return build(
        ethertype,
        TCP,
        source,
        destination,
        (4000, port),
        payload,
        macs=macs,
        sequence=7,
        flags=flags,
    )


class Heap:
    """Hands out guest memory; never takes it back."""

    def __init__(self) -> None:
        self._next = BASE

    def take(self, length: int) -> int:
        address = self._next
        self._next += length + 4095 & ~4095
        return address


def put_field(data: bytearray, field: Field, value: int | bytes) -> None:
    if isinstance(value, int):
        value = value.to_bytes(field.width, "big" if field.order == "big" else "little")
    data[field.offset : field.offset + len(value)] = value


class BnxtDriver:
    """Speaks HWRM to a card, and sets up one queue: rings 0 of each kind."""

    RING_ENTRIES = 16
    RX_BYTES, AGGREGATION_BYTES = 256, 4096

    def __init__(self) -> None:
        self.card = Bnxt(0)
        self.memory = self.card.bus.memory
        map_memory(self.memory)
        self.heap = Heap()
        self._request = self.heap.take(512)
        self._response = self.heap.take(1024)
        self._sequence = 0

    def send(self, code: int, data: bytearray) -> bytes:
        """One command in the short form; returns the response."""
        self._sequence += 1
        head = struct.pack("<HHHHQ", code, NO_COMPLETION_RING, self._sequence, 0xFFFF, self._response)
        data[: len(head)] = head
        self.memory.write(self._request, data)
        window = struct.pack("<HHHHQ", code, 0x4321, 0, len(data), self._request)
        self.card.bar_write(REGISTERS, 0, window)
        self.card.bar_write(REGISTERS, TRIGGER, bytes(4))
        header = RESPONSE_HEADER.unpack(self.memory.read(self._response, RESPONSE_HEADER.size))
        response = self.memory.read(self._response, header[3])
        assert header[1] == code and header[2] == self._sequence and response[-1] == 1
        return response

    def command(self, name: str, **values: int | bytes) -> tuple[int, dict[str, int]]:
        """A command by name: the error, and the fields of the response."""
        known = COMMANDS[name]
        data = bytearray(128)
        for key, value in values.items():
            put_field(data, known.request[key], value)
        response = self.send(known.code, data)
        error = RESPONSE_HEADER.unpack_from(response)[0]
        fields: Mapping[str, Field] = {} if error else known.response
        found = {
            key: int.from_bytes(response[at.offset : at.offset + at.width], "little")
            for key, at in fields.items()
        }
        return error, found

    def ring(self, kind: int, **values: int | bytes) -> tuple[int, int]:
        """Allocate a ring: its id and its address."""
        address = self.heap.take(self.RING_ENTRIES * 16)
        error, found = self.command(
            "RING_ALLOC", type=kind, page_table=address, length=self.RING_ENTRIES, **values
        )
        assert not error, error
        return found["ring"], address

    def doorbell(self, kind: int, ring: int, index: int) -> None:
        value = kind << 60 | 1 << 56 | ring << 32 | index
        self.card.bar_write(DOORBELLS, 0x10000, struct.pack("<Q", value))

    def post(self, ring: int, address: int, size: int, count: int) -> list[int]:
        """Fill `count` descriptors with fresh buffers and ring the doorbell."""
        buffers = []
        for index in range(count):
            buffer = self.heap.take(size)
            self.memory.write(address + index * 16, struct.pack("<IIQ", 0, 100 + index, buffer))
            buffers.append(buffer)
        self.doorbell(2, ring, count)
        return buffers
