# SPDX-License-Identifier: MIT
"""What the device says of itself: descriptor, options, packet types (`gve_adminq.c`:
gve_adminq_describe_device)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from ..dma import GuestMemory
from ..packet import IPV4, IPV6, TCP, UDP, Headers
from .adminq import INVALID_ARGUMENT, AdminError

DESCRIBE = struct.Struct(">QII")  # address, version, room
DESCRIPTOR = struct.Struct(">QHHHHHHHH6sHH6x")
OPTION = struct.Struct(">HHI")  # id, length, features that the driver must know
DESCRIPTOR_VERSION = 1

DEFAULT_QUEUES, MAX_QUEUES = 4, 8
MAX_MTU = 9000
DEFAULT_RING_ENTRIES = 512
MIN_RING_ENTRIES, MAX_RING_ENTRIES = 256, 2048
MAX_FLOW_RULES = 64
PACKET_BUFFER_BYTES, HEADER_BUFFER_BYTES = 4096, 128
RSS_KEY_BYTES, RSS_TABLE_ENTRIES = 40, 128
EVENT_COUNTERS = 16
REGISTERED_PAGES, PAGES_PER_LIST = 1024, 512  # for queue formats that this model has not
LINK_SPEED_MBPS = 100_000

MODIFY_RING, JUMBO_FRAMES, BUFFER_SIZES, FLOW_STEERING, RSS_CONFIG = 0x1, 0x4, 0x10, 0x20, 0x80
# The mask of the DQO-RDA option gates all the others.
ALL_FEATURES = MODIFY_RING | JUMBO_FRAMES | BUFFER_SIZES | FLOW_STEERING | RSS_CONFIG

PACKET_TYPES = {(IPV4, TCP): 1, (IPV6, TCP): 2, (IPV4, UDP): 3, (IPV6, UDP): 4}
L3_L4_OF_TYPE = bytes((0, 0, 2, 2, 3, 2, 2, 3, 3, 3))  # pairs: 2 and 3 are IPv4, IPv6; TCP, UDP
PTYPE_MAP = struct.Struct(">QQ")  # length, address


def options() -> list[bytes]:
    def option(ident: int, payload: bytes) -> bytes:
        return OPTION.pack(ident, len(payload), 0) + payload

    rings = struct.pack(
        ">IHHHH",
        MODIFY_RING,
        MAX_RING_ENTRIES,
        MAX_RING_ENTRIES,
        MIN_RING_ENTRIES,
        MIN_RING_ENTRIES,
    )
    return [
        option(0x4, struct.pack(">II", ALL_FEATURES, 0)),  # DQO queues, raw addressing
        option(0x6, rings),
        option(0x8, struct.pack(">IHxx", JUMBO_FRAMES, MAX_MTU)),
        option(0xA, struct.pack(">IHH", BUFFER_SIZES, PACKET_BUFFER_BYTES, HEADER_BUFFER_BYTES)),
        option(0xB, struct.pack(">III", FLOW_STEERING, 0, MAX_FLOW_RULES)),
        option(0xE, struct.pack(">IHH", RSS_CONFIG, RSS_KEY_BYTES, RSS_TABLE_ENTRIES)),
    ]


def descriptor(mac: bytes) -> bytes:
    extra = options()
    tail = b"".join(extra)
    head = DESCRIPTOR.pack(
        REGISTERED_PAGES,
        0,
        DEFAULT_RING_ENTRIES,
        DEFAULT_RING_ENTRIES,
        DEFAULT_QUEUES,
        MAX_MTU,
        EVENT_COUNTERS,
        PAGES_PER_LIST,
        PAGES_PER_LIST,
        mac,
        len(extra),
        DESCRIPTOR.size + len(tail),
    )
    return head + tail


def packet_type(headers: Headers) -> int:
    return PACKET_TYPES.get((headers.ethertype, headers.protocol), 0) if headers.length else 0


class Description:
    def __init__(self, memory: GuestMemory, mac: bytes) -> None:
        self._memory = memory
        self._mac = mac
        self.handlers: dict[str, Callable[[bytes], None]] = {
            "DESCRIBE_DEVICE": self._describe,
            "GET_PTYPE_MAP": self._packet_types,
            "REPORT_LINK_SPEED": self._link_speed,
            "VERIFY_DRIVER_COMPATIBILITY": lambda body: None,
            "SET_DRIVER_PARAMETER": lambda body: None,
        }

    def _describe(self, body: bytes) -> None:
        address, version, room = DESCRIBE.unpack_from(body)
        data = descriptor(self._mac)
        if version != DESCRIPTOR_VERSION or room < len(data):
            raise AdminError(INVALID_ARGUMENT, f"descriptor version {version} in {room} bytes")
        self._memory.write(address, data)

    def _packet_types(self, body: bytes) -> None:
        length, address = PTYPE_MAP.unpack_from(body)
        self._memory.write(address, L3_L4_OF_TYPE[:length])

    def _link_speed(self, body: bytes) -> None:
        self._memory.write(struct.unpack_from(">Q", body)[0], struct.pack(">Q", LINK_SPEED_MBPS))
