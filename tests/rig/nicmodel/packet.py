# SPDX-License-Identifier: MIT
"""Ethernet frames: parsing the headers that a card looks at, checksums, and small builders."""

from __future__ import annotations

import struct

ETHERNET_BYTES = 14
IPV4, IPV6 = 0x0800, 0x86DD
TCP, UDP = 6, 17
IPV4_BYTES = 20
IPV6_BYTES = 40
UDP_BYTES = 8
FIN, PSH, ACK, CWR = 0x01, 0x08, 0x10, 0x80


class Headers:
    """Where the headers of one frame lie. `length` is 0 unless TCP or UDP was recognised."""

    __slots__ = (
        "addresses",
        "destination",
        "ethertype",
        "l4_offset",
        "length",
        "ports",
        "protocol",
    )

    def __init__(self, data: bytes) -> None:
        self.destination = data[:6]
        self.ethertype = int.from_bytes(data[12:14], "big")
        self.protocol = -1
        self.addresses = b""  # source, then destination
        self.ports = b""  # source, then destination
        self.l4_offset = 0
        self.length = 0
        if self.ethertype == IPV4 and len(data) >= ETHERNET_BYTES + IPV4_BYTES:
            self._parse_ipv4(data)
        elif self.ethertype == IPV6 and len(data) >= ETHERNET_BYTES + IPV6_BYTES:
            self._parse_ipv6(data)

    def _parse_ipv4(self, data: bytes) -> None:
        self.protocol = data[23]
        self.addresses = data[26:34]
        fragment = int.from_bytes(data[20:22], "big") & 0x3FFF
        if not fragment:
            self._parse_l4(data, ETHERNET_BYTES + (data[14] & 15) * 4)

    def _parse_ipv6(self, data: bytes) -> None:
        """Extension headers are not walked: the payload is then of an unknown protocol."""
        self.protocol = data[20]
        self.addresses = data[22:54]
        self._parse_l4(data, ETHERNET_BYTES + IPV6_BYTES)

    def _parse_l4(self, data: bytes, offset: int) -> None:
        if self.protocol == TCP and len(data) >= offset + 20:
            length = offset + (data[offset + 12] >> 4) * 4
        elif self.protocol == UDP and len(data) >= offset + UDP_BYTES:
            length = offset + UDP_BYTES
        else:
            return
        self.l4_offset = offset
        self.length = length
        self.ports = data[offset : offset + 4]

    @property
    def is_ip(self) -> bool:
        return bool(self.addresses)

    @property
    def flow(self) -> bytes:
        """Addresses and ports in the order in which hashes and rules take them."""
        return self.addresses + self.ports


def checksum(data: bytes, start: int = 0) -> int:
    """The Internet checksum. A ones' complement sum of words is the number modulo 2^16 - 1,
    so one big division replaces a loop over words."""
    if len(data) & 1:
        data += b"\0"
    total = int.from_bytes(data, "big") + start
    folded = total % 0xFFFF
    if folded == 0 and total != 0:
        folded = 0xFFFF
    return ~folded & 0xFFFF


def l4_checksum(frame: bytes) -> int:
    """The checksum that the L4 header of this frame must carry (its field is taken as zero)."""
    headers = Headers(frame)
    at = headers.l4_offset + (16 if headers.protocol == TCP else 6)
    end = len(frame)
    if headers.ethertype == IPV4:
        end = ETHERNET_BYTES + int.from_bytes(frame[16:18], "big")
    segment = frame[headers.l4_offset : at] + b"\0\0" + frame[at + 2 : end]
    pseudo = headers.addresses + struct.pack(">II", len(segment), headers.protocol)
    return checksum(pseudo + segment)


def build(  # noqa: PLR0917 (in the order in which a frame has them)
    ethertype: int,
    protocol: int,
    source: bytes,
    destination: bytes,
    ports: tuple[int, int],
    payload: bytes = b"",
    *,
    macs: tuple[bytes, bytes] = (b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"),
    sequence: int = 0,
    flags: int = 0x10,
) -> bytes:
    """A TCP or UDP frame with right checksums, `macs` being source and destination."""
    if protocol == TCP:
        l4 = struct.pack(">HHIIBBHHH", *ports, sequence, 0, 5 << 4, flags, 0xFFFF, 0, 0)
    else:
        l4 = struct.pack(">HHHH", *ports, UDP_BYTES + len(payload), 0)
    length = len(l4) + len(payload)
    if ethertype == IPV4:
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 1, 0, 64, protocol, 0) + source + destination
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    else:
        ip = struct.pack(">IHBB", 6 << 28, length, protocol, 64) + source + destination
    frame = bytearray(macs[1] + macs[0] + struct.pack(">H", ethertype) + ip + l4 + payload)
    at = ETHERNET_BYTES + len(ip) + (16 if protocol == TCP else 6)
    struct.pack_into(">H", frame, at, l4_checksum(bytes(frame)))
    return bytes(frame)
