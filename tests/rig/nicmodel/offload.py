# SPDX-License-Identifier: MIT
"""What cards do to TCP on its way: segmentation when sending, header split and aggregation when
receiving.

A frame that the sender wants segmented crosses the model whole and is cut only where somebody
needs the packets one by one. A receiver with hardware GRO therefore takes it as the aggregate
that it would have built from the packets."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .packet import CWR, ETHERNET_BYTES, FIN, IPV6, IPV6_BYTES, PSH, Headers, checksum


class Frame:
    """One Ethernet frame, or one that stands for several: then `segment_bytes` is their payload."""

    __slots__ = ("data", "headers", "segment_bytes")

    def __init__(self, data: bytes, segment_bytes: int = 0, headers: Headers | None = None) -> None:
        self.data = data
        self.headers = headers or Headers(data)
        payload = len(data) - self.headers.length
        self.segment_bytes = segment_bytes if self.headers.length and payload > segment_bytes else 0

    @property
    def payload_bytes(self) -> int:
        return len(self.data) - self.headers.length

    @property
    def segments(self) -> int:
        """How many packets on the wire this frame is."""
        return -(-self.payload_bytes // self.segment_bytes) if self.segment_bytes else 1

    @property
    def wire_bytes(self) -> int:
        """The bytes of all its packets."""
        return len(self.data) + (self.segments - 1) * self.headers.length

    @property
    def longest(self) -> int:
        """The length of its longest packet."""
        return self.headers.length + self.segment_bytes if self.segment_bytes else len(self.data)


def segment(frame: Frame) -> Iterator[Frame]:
    """The packets of a frame as they are on the wire. L4 checksums are left alone: a model's wire
    damages nothing, and its receivers report every checksum as good."""
    if not frame.segment_bytes:
        yield frame
        return
    headers, step = frame.headers, frame.segment_bytes
    template = bytearray(frame.data[: headers.length])
    tcp = headers.l4_offset
    sequence = int.from_bytes(template[tcp + 4 : tcp + 8], "big")
    flags = template[tcp + 13]
    identification = int.from_bytes(template[18:20], "big")
    payload = memoryview(frame.data)[headers.length :]
    for number, at in enumerate(range(0, len(payload), step)):
        part = payload[at : at + step]
        last = at + step >= len(payload)
        struct.pack_into(">I", template, tcp + 4, sequence + at & 0xFFFFFFFF)
        template[tcp + 13] = flags & ~(0 if last else FIN | PSH) & ~(CWR if number else 0)
        set_ip_length(template, headers, len(part), identification + number & 0xFFFF)
        yield Frame(b"".join((template, part)), 0, headers)


def set_ip_length(header: bytearray, headers: Headers, payload: int, identification: int) -> None:
    """Write into a packet's headers how much payload follows them."""
    if headers.ethertype == IPV6:
        struct.pack_into(">H", header, 18, headers.length - ETHERNET_BYTES - IPV6_BYTES + payload)
        return
    struct.pack_into(">HH", header, 16, headers.length - ETHERNET_BYTES + payload, identification)
    struct.pack_into(">H", header, 24, 0)
    struct.pack_into(">H", header, 24, checksum(bytes(header[ETHERNET_BYTES : headers.l4_offset])))


def split_point(frame: Frame, threshold: int, limit: int) -> int:
    """How many leading bytes go to the header buffer. 0: this frame is not split."""
    length = frame.headers.length
    if length and length <= limit and len(frame.data) > threshold:
        return length
    return 0


def chunks(data: memoryview, size: int) -> Iterator[memoryview]:
    """The pieces of `data` that fill buffers of `size` bytes."""
    for at in range(0, len(data), size):
        yield data[at : at + size]
