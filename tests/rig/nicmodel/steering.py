# SPDX-License-Identifier: MIT
"""How a card picks the queue of a packet: hash (RSS), and flow rules that go before it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .packet import IPV4, IPV6, TCP, UDP, Headers

KEY_BYTES = 40
CACHED_FLOWS = 4096
R = TypeVar("R")
K = TypeVar("K", bound=Hashable)


def toeplitz(key: bytes, data: bytes) -> int:
    """The Toeplitz hash: the xor of the 32-bit windows of the key at which `data` has a one."""
    number = int.from_bytes(key, "big")
    top = len(key) * 8 - 32
    result = 0
    for position in range(len(data) * 8):
        if data[position >> 3] >> (7 - (position & 7)) & 1:
            result ^= number >> (top - position)
    return result & 0xFFFFFFFF


class FlowHash:
    """Hashes flows with one key, and remembers what it hashed: the loop above is slow in Python."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._known: dict[bytes, int] = {}

    def of(self, flow: bytes) -> int:
        value = self._known.get(flow)
        if value is None:
            if len(self._known) >= CACHED_FLOWS:
                self._known.clear()
            value = self._known[flow] = toeplitz(self.key, flow)
        return value


@dataclass(frozen=True)
class HashTypes:
    """Which fields are hashed: protocols whose ports count, and whether addresses alone do."""

    with_ports: frozenset[tuple[int, int]] = frozenset()
    addresses: frozenset[int] = frozenset()

    def input_of(self, headers: Headers) -> bytes | None:
        """The bytes to hash, or None where this packet is not to be hashed."""
        if headers.length and (headers.ethertype, headers.protocol) in self.with_ports:
            return headers.flow
        if headers.is_ip and headers.ethertype in self.addresses:
            return headers.addresses
        return None


ALL_TYPES = HashTypes(
    frozenset({(IPV4, TCP), (IPV4, UDP), (IPV6, TCP), (IPV6, UDP)}), frozenset({IPV4, IPV6})
)


@dataclass(frozen=True)
class FlowRule(Generic[R]):
    """Packets of this kind whose flow equals `value` where `mask` has ones go to `result`."""

    ethertype: int
    protocol: int
    value: bytes
    mask: bytes
    result: R

    def matches(self, headers: Headers) -> bool:
        if headers.ethertype != self.ethertype or headers.protocol != self.protocol:
            return False
        flow = headers.flow
        if len(flow) != len(self.value):
            return False
        mask = int.from_bytes(self.mask, "big")
        return (int.from_bytes(flow, "big") ^ int.from_bytes(self.value, "big")) & mask == 0


@dataclass
class FlowTable(Generic[K, R]):
    """Rules by id, tried in the order in which they were added; answers are remembered."""

    _rules: dict[K, FlowRule[R]] = field(default_factory=dict)
    _known: dict[tuple[int, int, bytes], FlowRule[R] | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._rules)

    def __contains__(self, ident: K) -> bool:
        return ident in self._rules

    def ids(self) -> list[K]:
        return list(self._rules)

    def get(self, ident: K) -> FlowRule[R] | None:
        return self._rules.get(ident)

    def add(self, ident: K, rule: FlowRule[R]) -> None:
        self._rules[ident] = rule
        self._known.clear()

    def remove(self, ident: K) -> bool:
        self._known.clear()
        return self._rules.pop(ident, None) is not None

    def remove_where(self, result: R) -> None:
        for ident in [i for i, rule in self._rules.items() if rule.result == result]:
            self.remove(ident)

    def clear(self) -> None:
        self._rules.clear()
        self._known.clear()

    def lookup(self, headers: Headers) -> FlowRule[R] | None:
        if not self._rules or not headers.length:
            return None
        key = (headers.ethertype, headers.protocol, headers.flow)
        if key not in self._known:
            if len(self._known) >= CACHED_FLOWS:
                self._known.clear()
            self._known[key] = next((r for r in self._rules.values() if r.matches(headers)), None)
        return self._known[key]
