# SPDX-License-Identifier: MIT
"""VNICs: queues with one way of hashing and placing packets (`bnxt.c`: bnxt_hwrm_vnic_*)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..dma import GuestMemory
from ..packet import IPV4, IPV6, TCP, UDP, Headers
from ..steering import KEY_BYTES, FlowHash, HashTypes
from .capabilities import LIMITS, MAX_MRU
from .hwrm import INVALID_PARAMETERS, RESOURCE_ALLOC_ERROR, Handler, HwrmError, Request, Values

DEFAULT_VNIC = 0x1
UPDATE_MRU = 0x2
SPLIT_IPV4, SPLIT_IPV6 = 0x4, 0x8
JUMBO_THRESHOLD_VALID, SPLIT_THRESHOLD_VALID = 0x1, 0x4
AGGREGATE = 0x1
TABLE_PART = 64  # RSS table entries set by one command
RSS_TABLE = struct.Struct(f"<{2 * TABLE_PART}H")
HASH_WITH_PORTS = {0x2: (IPV4, TCP), 0x4: (IPV4, UDP), 0x10: (IPV6, TCP), 0x20: (IPV6, UDP)}
HASH_ADDRESSES = {0x1: IPV4, 0x8: IPV6}

RingPair = tuple[int, int]  # an RX ring and the completion ring it reports to


@dataclass
class Vnic:
    ident: int
    default: bool
    mru: int = MAX_MRU
    ring: RingPair = (0, 0)  # where packets go that are not hashed
    table: list[RingPair] = field(default_factory=list)
    hash_type: int = 0
    types: HashTypes = field(default_factory=HashTypes)
    hash: FlowHash = field(default_factory=lambda: FlowHash(bytes(KEY_BYTES)))
    split_ethertypes: frozenset[int] = frozenset()
    split_threshold: int = 0
    jumbo_threshold: int = 0xFFFF
    aggregate: bool = False
    max_segments: int = 0

    def hash_of(self, headers: Headers) -> int | None:
        data = self.types.input_of(headers) if self.table else None
        return None if data is None else self.hash.of(data)

    def ring_for(self, value: int | None, table_index: int | None) -> RingPair:
        """The queue: by a rule's index, else by hash, else the default one."""
        if table_index is not None and table_index < len(self.table):
            return self.table[table_index]
        if value is not None:
            return self.table[value % len(self.table)]
        return self.ring

    @property
    def pairs(self) -> Iterator[RingPair]:
        yield self.ring
        yield from self.table


class Vnics:
    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        self._vnics: dict[int, Vnic] = {}
        self._last_id = 0
        self._contexts = 0
        self.on_free: Callable[[int], None] = lambda ident: None
        self.handlers: dict[str, Handler] = {
            "VNIC_ALLOC": self._allocate,
            "VNIC_FREE": self._free,
            "VNIC_CFG": self._configure,
            "VNIC_UPDATE": self._update,
            "VNIC_PLCMODES_CFG": self._placement,
            "VNIC_TPA_CFG": self._aggregation,
            "VNIC_RSS_COS_LB_CTX_ALLOC": self._context,
            "VNIC_RSS_CFG": self._rss,
            "VNIC_RSS_QCFG": self._rss_query,
        }

    def get(self, ident: int) -> Vnic | None:
        return self._vnics.get(ident)

    def __iter__(self) -> Iterator[Vnic]:
        return iter(self._vnics.values())

    @property
    def default(self) -> Vnic | None:
        return next((vnic for vnic in self if vnic.default), None)

    def completion_of(self, rx_ring: int) -> int | None:
        """The completion ring of an RX ring. Only the tables of the VNICs tell."""
        return next((cq for vnic in self for rx, cq in vnic.pairs if rx == rx_ring), None)

    def clear(self) -> None:
        self._vnics.clear()
        self._last_id = self._contexts = 0

    def _named(self, request: Request) -> Vnic:
        vnic = self._vnics.get(request.vnic)
        if vnic is None:
            raise HwrmError(INVALID_PARAMETERS, f"no VNIC {request.vnic}")
        return vnic

    def _allocate(self, request: Request) -> Values:
        if len(self._vnics) >= LIMITS["vnics"]:
            raise HwrmError(RESOURCE_ALLOC_ERROR, "no VNIC left")
        self._last_id += 1
        self._vnics[self._last_id] = Vnic(self._last_id, bool(request.flags & DEFAULT_VNIC))
        return {"vnic": self._last_id}

    def _free(self, request: Request) -> Values:
        vnic = self._named(request)
        del self._vnics[vnic.ident]
        self.on_free(vnic.ident)
        return {}

    def _configure(self, request: Request) -> Values:
        vnic = self._named(request)
        vnic.mru = request.mru
        vnic.ring = (request.rx_ring, request.completion_ring)
        return {}

    def _update(self, request: Request) -> Values:
        """An MRU of 0 stops the VNIC: the driver does so while it restarts a queue."""
        if request.enables & UPDATE_MRU:
            self._named(request).mru = request.mru
        return {}

    def _placement(self, request: Request) -> Values:
        vnic, flags = self._named(request), request.flags
        split = {IPV4: SPLIT_IPV4, IPV6: SPLIT_IPV6}
        vnic.split_ethertypes = frozenset(kind for kind, bit in split.items() if flags & bit)
        if request.enables & JUMBO_THRESHOLD_VALID:
            vnic.jumbo_threshold = request.jumbo_threshold
        if request.enables & SPLIT_THRESHOLD_VALID:
            vnic.split_threshold = request.split_threshold
        return {}

    def _aggregation(self, request: Request) -> Values:
        vnic = self._named(request)
        vnic.aggregate = bool(request.flags & AGGREGATE)
        vnic.max_segments = request.max_segments
        return {}

    def _context(self, _request: Request) -> Values:
        """RSS contexts are only counted: it is by number that a command names a table's part."""
        self._contexts += 1
        return {"context": self._contexts}

    def _rss(self, request: Request) -> Values:
        vnic = self._named(request)
        if not request.table:
            vnic.table = []
            return {}
        entries = self._memory.unpack(RSS_TABLE, request.table)
        start = request.table_part * TABLE_PART
        vnic.table[start : start + TABLE_PART] = list(zip(entries[::2], entries[1::2], strict=True))
        vnic.hash_type = request.hash_type
        vnic.types = HashTypes(
            frozenset(kind for bit, kind in HASH_WITH_PORTS.items() if request.hash_type & bit),
            frozenset(kind for bit, kind in HASH_ADDRESSES.items() if request.hash_type & bit),
        )
        key = self._memory.read(request.key, KEY_BYTES) if request.key else vnic.hash.key
        if key != vnic.hash.key:
            vnic.hash = FlowHash(key)
        return {}

    def _rss_query(self, request: Request) -> Values:
        return {"hash_type": self._named(request).hash_type}
