# SPDX-License-Identifier: MIT
"""Hashes (the verification vectors published for RSS) and flow rules."""

from __future__ import annotations

import socket
import struct
import unittest

from nicmodel.packet import IPV4, IPV6, TCP, UDP, Headers, build
from nicmodel.steering import ALL_TYPES, FlowHash, FlowRule, FlowTable, HashTypes, toeplitz

from .guest import HERE, HERE4, THERE, THERE4

KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
# Destination and port, source and port, hash of the addresses, hash with ports.
VECTORS = (
    ("161.142.100.80", 1766, "66.9.149.187", 2794, 0x323E8FC2, 0x51CCC178),
    ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xD718262A, 0xC626B0EA),
    ("12.22.207.184", 38024, "24.19.198.95", 12898, 0xD2D0A5DE, 0x5C2B394A),
    ("209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xAFC7327F),
    ("202.188.127.2", 1303, "153.39.163.191", 44251, 0x5D1809C5, 0x10E828A2),
    ("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2CC18CD5, 0x40207D3D),
    ("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0F0C461C, 0xDDE51BBF),
    (
        "fe80::200:f8ff:fe21:67cf",
        38024,
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        44251,
        0x4B61E985,
        0x02D1FEEF,
    ),
)


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


class ToeplitzTest(unittest.TestCase):
    def test_published_vectors(self) -> None:
        for destination, to_port, source, from_port, plain, with_ports in VECTORS:
            addresses = packed(source) + packed(destination)
            self.assertEqual(toeplitz(KEY, addresses), plain, destination)
            ports = struct.pack(">HH", from_port, to_port)
            self.assertEqual(toeplitz(KEY, addresses + ports), with_ports, destination)

    def test_remembered_hash_is_the_same(self) -> None:
        flow_hash = FlowHash(KEY)
        for number in range(5000):  # more than are remembered
            flow = struct.pack(">3I", number, 1, 2)
            if number % 500 == 0:
                self.assertEqual(flow_hash.of(flow), toeplitz(KEY, flow))
                self.assertEqual(flow_hash.of(flow), toeplitz(KEY, flow))

    def test_fields_by_type(self) -> None:
        tcp = Headers(build(IPV4, TCP, HERE4, THERE4, (1, 2)))
        udp = Headers(build(IPV6, UDP, HERE, THERE, (1, 2)))
        only_tcp4 = HashTypes(frozenset({(IPV4, TCP)}), frozenset({IPV6}))
        self.assertEqual(only_tcp4.input_of(tcp), tcp.flow)
        self.assertEqual(only_tcp4.input_of(udp), udp.addresses)
        self.assertIsNone(HashTypes().input_of(tcp))
        self.assertEqual(ALL_TYPES.input_of(udp), udp.flow)
        self.assertIsNone(ALL_TYPES.input_of(Headers(bytes(60))))


class FlowTableTest(unittest.TestCase):
    def setUp(self) -> None:
        self.table: FlowTable[int, str] = FlowTable()
        self.packet = Headers(build(IPV6, TCP, THERE, HERE, (4000, 9999)))

    def rule(self, port: int, result: str, ethertype: int = IPV6, protocol: int = TCP) -> FlowRule[str]:
        width = 32 if ethertype == IPV6 else 8
        value = bytes(width) + struct.pack(">HH", 0, port)
        return FlowRule(ethertype, protocol, value, bytes(width + 2) + b"\xff\xff", result)

    def found(self) -> str | None:
        rule = self.table.lookup(self.packet)
        return rule.result if rule else None

    def test_matches_kind_and_masked_fields(self) -> None:
        self.table.add(1, self.rule(9998, "other port"))
        self.table.add(2, self.rule(9999, "udp", protocol=UDP))
        self.table.add(3, self.rule(9999, "v4", ethertype=IPV4))
        self.assertIsNone(self.found())
        self.table.add(4, self.rule(9999, "right"))
        self.assertEqual(self.found(), "right")

    def test_first_added_wins_and_removal_is_seen_at_once(self) -> None:
        self.table.add(7, self.rule(9999, "first"))
        self.table.add(3, self.rule(9999, "second"))
        self.assertEqual(self.found(), "first")
        self.assertTrue(self.table.remove(7))
        self.assertEqual(self.found(), "second")
        self.assertFalse(self.table.remove(7))
        self.table.clear()
        self.assertIsNone(self.found())

    def test_zero_mask_takes_everything_of_its_kind(self) -> None:
        self.table.add(1, FlowRule(IPV6, TCP, bytes(36), bytes(36), "all"))
        self.assertEqual(self.found(), "all")
        self.assertIsNone(self.table.lookup(Headers(bytes(60))))
