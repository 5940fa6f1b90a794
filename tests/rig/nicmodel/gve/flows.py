# SPDX-License-Identifier: MIT
"""Flow rules and RSS (`gve_flow_rule.c`; `gve_adminq.c`: gve_adminq_configure_rss and around)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from ..dma import GuestMemory
from ..packet import IPV4, IPV6, TCP, UDP, Headers
from ..steering import FlowHash, FlowRule, FlowTable, HashTypes
from .adminq import INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE, AdminError
from .device import MAX_FLOW_RULES, MAX_QUEUES, RSS_KEY_BYTES, RSS_TABLE_ENTRIES

CONFIGURE = struct.Struct(">HxxHH40s40sI")  # operation; type, queue, key, mask; location
ADD, DELETE, RESET = 0, 1, 2
FLOW_TYPES = {0: (IPV4, TCP), 1: (IPV4, UDP), 5: (IPV6, TCP), 6: (IPV6, UDP)}
DESTINATION_AT, PORTS_AT = 16, 32  # in a key or mask of 40 bytes

QUERY = struct.Struct(">HxxIQQ")  # operation, first location, room, address
QUERY_RULES, QUERY_IDS, QUERY_COUNTS = 0, 1, 2
QUERY_HEAD = struct.Struct(">IIII")  # rules, most rules, rules in this answer, its length
QUERIED_RULE = struct.Struct(">IHH40s40s")
QUERIED_ID = struct.Struct(">I")

RSS = struct.Struct(">HBxHHQQ")  # hash types, algorithm, key and table sizes, their addresses
RSS_QUERY = struct.Struct(">QQ")  # room, address
RSS_HEAD = struct.Struct(">IHBx")  # length, hash types, algorithm
TOEPLITZ = 1
HASH_WITH_PORTS = {1: (IPV4, TCP), 4: (IPV6, TCP), 6: (IPV4, UDP), 7: (IPV6, UDP)}
HASH_ADDRESSES = {0: IPV4, 2: IPV6}


class Flows:
    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        self._rules: FlowTable[int, int] = FlowTable()
        self._as_given: dict[int, tuple[int, int, bytes, bytes]] = {}
        self.clear()
        self.handlers: dict[str, Callable[[bytes], None]] = {
            "CONFIGURE_FLOW_RULE": self._configure,
            "QUERY_FLOW_RULES": self._query,
            "CONFIGURE_RSS": self._configure_rss,
            "QUERY_RSS": self._query_rss,
        }

    def clear(self) -> None:
        self._rules.clear()
        self._as_given.clear()
        self._hash_bits = 0
        self._types = HashTypes()
        self._hash = FlowHash(bytes(RSS_KEY_BYTES))
        self._table = [0] * RSS_TABLE_ENTRIES

    @property
    def rules(self) -> int:
        return len(self._rules)

    def queue_for(self, headers: Headers) -> tuple[int, int | None]:
        """The queue of a packet, and its hash if it has one."""
        data = self._types.input_of(headers)
        value = None if data is None else self._hash.of(data)
        rule = self._rules.lookup(headers)
        if rule is not None:
            return rule.result, value
        return (0 if value is None else self._table[value % len(self._table)]), value

    def _configure(self, body: bytes) -> None:
        operation, kind, queue, key, mask, location = CONFIGURE.unpack_from(body)
        if operation == RESET:
            self._rules.clear()
            self._as_given.clear()
        elif operation == DELETE:
            self._as_given.pop(location, None)
            if not self._rules.remove(location):
                raise AdminError(NOT_FOUND, f"no rule at {location}")
        elif operation == ADD:
            self._add(kind, queue, key, mask, location)
        else:
            raise AdminError(INVALID_ARGUMENT, f"rule operation {operation}")

    def _add(self, kind: int, queue: int, key: bytes, mask: bytes, location: int) -> None:
        if location >= MAX_FLOW_RULES:
            raise AdminError(OUT_OF_RANGE, f"rule location {location}")
        if kind not in FLOW_TYPES or queue >= MAX_QUEUES:
            raise AdminError(INVALID_ARGUMENT, f"rule of type {kind} to queue {queue}")
        ethertype, protocol = FLOW_TYPES[kind]
        value, bits = (flow_bytes(part, ethertype) for part in (key, mask))
        self._rules.add(location, FlowRule(ethertype, protocol, value, bits, queue))
        self._as_given[location] = (kind, queue, key, mask)

    def _query(self, body: bytes) -> None:
        operation, start, room, address = QUERY.unpack_from(body)
        entry = QUERIED_RULE if operation == QUERY_RULES else QUERIED_ID
        places = sorted(place for place in self._as_given if place >= start)
        if operation == QUERY_COUNTS:
            places = []
        places = places[: (room - QUERY_HEAD.size) // entry.size]
        if operation == QUERY_RULES:
            data = b"".join(QUERIED_RULE.pack(place, *self._as_given[place]) for place in places)
        else:
            data = b"".join(QUERIED_ID.pack(place) for place in places)
        length = QUERY_HEAD.size + len(data)
        head = QUERY_HEAD.pack(len(self._rules), MAX_FLOW_RULES, len(places), length)
        self._memory.write(address, head + data)

    def _configure_rss(self, body: bytes) -> None:
        """A size of zero leaves that part as it is."""
        bits, algorithm, key_bytes, entries, key_at, table_at = RSS.unpack_from(body)
        if algorithm != TOEPLITZ or key_bytes not in (0, RSS_KEY_BYTES):
            raise AdminError(INVALID_ARGUMENT, f"hash {algorithm} with a key of {key_bytes} bytes")
        if entries not in (0, RSS_TABLE_ENTRIES):
            raise AdminError(INVALID_ARGUMENT, f"RSS table of {entries} entries")
        if entries:
            table = struct.unpack(f">{entries}I", self._memory.read(table_at, 4 * entries))
            if max(table) >= MAX_QUEUES:
                raise AdminError(OUT_OF_RANGE, f"RSS table names queue {max(table)}")
            self._table = list(table)
        if key_bytes:
            self._hash = FlowHash(self._memory.read(key_at, key_bytes))
        self._hash_bits = bits
        self._types = HashTypes(
            frozenset(kind for bit, kind in HASH_WITH_PORTS.items() if bits >> bit & 1),
            frozenset(kind for bit, kind in HASH_ADDRESSES.items() if bits >> bit & 1),
        )

    def _query_rss(self, body: bytes) -> None:
        room, address = RSS_QUERY.unpack_from(body)
        data = self._hash.key + struct.pack(f">{len(self._table)}I", *self._table)
        length = RSS_HEAD.size + len(data)
        if room < length:
            raise AdminError(INVALID_ARGUMENT, f"no room for {length} bytes of RSS configuration")
        self._memory.write(address, RSS_HEAD.pack(length, self._hash_bits, TOEPLITZ) + data)


def flow_bytes(spec: bytes, ethertype: int) -> bytes:
    """Addresses and ports of a rule's key or mask, in the order of `Headers.flow`."""
    width = 16 if ethertype == IPV6 else 4
    ports = spec[PORTS_AT : PORTS_AT + 4]
    return spec[:width] + spec[DESTINATION_AT : DESTINATION_AT + width] + ports
