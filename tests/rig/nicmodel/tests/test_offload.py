# SPDX-License-Identifier: MIT
"""Segmentation, split points and aggregates."""

from __future__ import annotations

import unittest

from nicmodel.offload import Frame, segment, split_point
from nicmodel.packet import CWR, FIN, PSH, Headers, checksum

from .guest import tcp_frame

MAC = b"\2\0\0\0\0\1"
PAYLOAD = bytes(index * 7 & 0xFF for index in range(10_000))


def sequence(frame: Frame) -> int:
    at = frame.headers.l4_offset + 4
    return int.from_bytes(frame.data[at : at + 4], "big")


def flags(frame: Frame) -> int:
    return frame.data[frame.headers.l4_offset + 13]


class SegmentTest(unittest.TestCase):
    def cut(self, version: int, size: int, tcp_flags: int = 0x10) -> list[Frame]:
        whole = Frame(tcp_frame(MAC, PAYLOAD, flags=tcp_flags, version=version), size)
        packets = list(segment(whole))
        self.assertEqual(whole.segments, len(packets))
        self.assertEqual(whole.wire_bytes, sum(len(packet.data) for packet in packets))
        self.assertEqual(whole.longest, max(len(packet.data) for packet in packets))
        return packets

    def test_payload_and_sequence(self) -> None:
        for version in (4, 6):
            for size in (1448, 4096, 9999, 5000):
                packets = self.cut(version, size)
                parts = [packet.data[packet.headers.length :] for packet in packets]
                self.assertEqual(b"".join(parts), PAYLOAD)
                self.assertTrue(all(len(part) == size for part in parts[:-1]))
                starts = [7 + size * number for number in range(len(packets))]
                self.assertEqual([sequence(packet) for packet in packets], starts)

    def test_lengths_and_header_checksum(self) -> None:
        for packet in self.cut(4, 1448):
            self.assertEqual(int.from_bytes(packet.data[16:18], "big"), len(packet.data) - 14)
            self.assertEqual(checksum(packet.data[14:34]), 0)
        for packet in self.cut(6, 1448):
            self.assertEqual(int.from_bytes(packet.data[18:20], "big"), len(packet.data) - 54)

    def test_identification_counts_up(self) -> None:
        idents = [int.from_bytes(packet.data[18:20], "big") for packet in self.cut(4, 3000)]
        self.assertEqual(idents, [1, 2, 3, 4])

    def test_flags(self) -> None:
        first, *middle, last = (flags(packet) for packet in self.cut(6, 2000, 0x10 | FIN | PSH | CWR))
        self.assertEqual(first, 0x10 | CWR)
        self.assertEqual(set(middle), {0x10})
        self.assertEqual(last, 0x10 | FIN | PSH)

    def test_small_frame_passes_untouched(self) -> None:
        frame = Frame(tcp_frame(MAC, b"small"), 4096)
        self.assertEqual((frame.segment_bytes, frame.segments), (0, 1))
        self.assertIs(next(segment(frame)), frame)

    def test_what_is_not_tcp_is_never_cut(self) -> None:
        frame = Frame(b"\xff" * 12 + b"\x88\xb5" + bytes(3000), 100)
        self.assertEqual([packet.data for packet in segment(frame)], [frame.data])


class SplitTest(unittest.TestCase):
    def test_threshold_and_limit(self) -> None:
        frame = Frame(tcp_frame(MAC, bytes(100)))
        length = Headers(frame.data).length
        self.assertEqual(split_point(frame, 0, 256), length)
        self.assertEqual(split_point(frame, len(frame.data) - 1, 256), length)
        self.assertEqual(split_point(frame, len(frame.data), 256), 0)
        self.assertEqual(split_point(frame, 0, length - 1), 0)

    def test_unknown_packets_stay_whole(self) -> None:
        self.assertEqual(split_point(Frame(bytes(200)), 0, 256), 0)
