# SPDX-License-Identifier: MIT
"""Parsing, building and checksums."""

from __future__ import annotations

import unittest

from nicmodel.packet import IPV4, IPV6, TCP, UDP, Headers, build, checksum, l4_checksum

from .guest import HERE, HERE4, THERE, THERE4


def sum_by_words(data: bytes) -> int:
    """The checksum as its definition says, to compare with."""
    if len(data) & 1:
        data += b"\0"
    total = 0
    for at in range(0, len(data), 2):
        total += data[at] << 8 | data[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class ChecksumTest(unittest.TestCase):
    def test_published_example(self) -> None:
        # RFC 1071, section 3: the words sum to 0xddf2.
        self.assertEqual(checksum(bytes.fromhex("0001f203f4f5f6f7")), 0xDDF2 ^ 0xFFFF)

    def test_same_as_word_by_word(self) -> None:
        for data in (
            b"",
            b"\0\0",
            b"\xff\xff",
            b"\xff",
            b"abc",
            bytes(range(256)) * 5,
            b"\xff" * 999,
        ):
            self.assertEqual(checksum(data), sum_by_words(data), data[:8])

    def test_sum_over_correct_header_is_zero(self) -> None:
        frame = build(IPV4, TCP, HERE4, THERE4, (1, 2), b"x")
        self.assertEqual(checksum(frame[14:34]), 0)

    def test_l4_checksum_is_what_build_wrote(self) -> None:
        for ethertype, source, destination in ((IPV4, HERE4, THERE4), (IPV6, HERE, THERE)):
            for protocol, offset in ((TCP, 16), (UDP, 6)):
                frame = build(ethertype, protocol, source, destination, (7, 8), b"odd")
                at = Headers(frame).l4_offset + offset
                self.assertEqual(int.from_bytes(frame[at : at + 2], "big"), l4_checksum(frame))
                self.assertNotEqual(l4_checksum(frame[:-1] + b"!"), l4_checksum(frame))


class HeadersTest(unittest.TestCase):
    def test_tcp_over_both(self) -> None:
        for ethertype, source, destination, ip in (
            (IPV4, HERE4, THERE4, 20),
            (IPV6, HERE, THERE, 40),
        ):
            headers = Headers(build(ethertype, TCP, source, destination, (258, 772), b"payload"))
            self.assertEqual(headers.protocol, TCP)
            self.assertEqual(headers.l4_offset, 14 + ip)
            self.assertEqual(headers.length, 14 + ip + 20)
            self.assertEqual(headers.flow, source + destination + bytes((1, 2, 3, 4)))

    def test_options_count_as_header(self) -> None:
        frame = bytearray(build(IPV6, TCP, HERE, THERE, (1, 2), bytes(100)))
        frame[14 + 40 + 12] = 8 << 4
        self.assertEqual(Headers(bytes(frame)).length, 14 + 40 + 32)

    def test_fragment_has_no_ports(self) -> None:
        for field in (b"\x20\x00", b"\x00\x10"):
            frame = bytearray(build(IPV4, TCP, HERE4, THERE4, (1, 2), b"x"))
            frame[20:22] = field
            headers = Headers(bytes(frame))
            self.assertEqual((headers.length, headers.ports), (0, b""))
            self.assertTrue(headers.is_ip)

    def test_others_and_runts(self) -> None:
        for data in (b"\xff" * 12 + b"\x08\x06" + bytes(28), bytes(14), b"\0" * 12 + b"\x08\x00E"):
            headers = Headers(data)
            self.assertEqual((headers.length, headers.flow, headers.is_ip), (0, b"", False))
