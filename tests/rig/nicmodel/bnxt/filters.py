# SPDX-License-Identifier: MIT
"""Filters: which VNIC, and by a flow rule which queue in it, takes a packet (`bnxt.c`:
bnxt_hwrm_l2_filter_alloc, bnxt_hwrm_cfa_ntuple_filter_alloc)."""

from __future__ import annotations

from dataclasses import dataclass

from ..packet import IPV6, Headers
from ..steering import FlowRule, FlowTable
from .hwrm import INVALID_PARAMETERS, RESOURCE_ALLOC_ERROR, Handler, HwrmError, Request, Values
from .vnic import Vnic, Vnics

MAX_RULES = 256
PROMISCUOUS = 0x10
RULE_DROPS = 0x2
RULE_HAS_RING_INDEX = 0x80000


@dataclass(frozen=True)
class Target:
    """Where a rule sends packets: to a VNIC, perhaps to one entry of its RSS table, or nowhere."""

    vnic: int
    table_index: int | None
    drop: bool


class Filters:
    def __init__(self, vnics: Vnics) -> None:
        self._vnics = vnics
        self._addresses: dict[int, tuple[bytes, int]] = {}
        self._rules: FlowTable[int, Target] = FlowTable()
        self._last_id = 0
        self._mask = 0
        vnics.on_free = self._forget_vnic
        self.handlers: dict[str, Handler] = {
            "CFA_L2_FILTER_ALLOC": self._add_address,
            "CFA_L2_FILTER_FREE": self._remove_address,
            "CFA_L2_SET_RX_MASK": self._set_mask,
            "CFA_NTUPLE_FILTER_ALLOC": self._add_rule,
            "CFA_NTUPLE_FILTER_FREE": self._remove_rule,
        }

    def clear(self) -> None:
        self._addresses.clear()
        self._rules.clear()
        self._last_id = self._mask = 0

    @property
    def rules(self) -> int:
        return len(self._rules)

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _forget_vnic(self, vnic: int) -> None:
        """Filters die with their VNIC: the driver counts on it when it closes and opens."""
        self._addresses = {i: f for i, f in self._addresses.items() if f[1] != vnic}
        for ident in self._rules.ids():
            rule = self._rules.get(ident)
            if rule is not None and rule.result.vnic == vnic:
                self._rules.remove(ident)

    def _add_address(self, request: Request) -> Values:
        if self._vnics.get(request.vnic) is None:
            raise HwrmError(INVALID_PARAMETERS, f"no VNIC {request.vnic}")
        ident = self._new_id()
        self._addresses[ident] = (request.raw("mac"), request.vnic)
        return {"filter": ident}

    def _remove_address(self, request: Request) -> Values:
        self._addresses.pop(request.filter, None)
        return {}

    def _set_mask(self, request: Request) -> Values:
        self._mask = request.mask
        return {}

    def _add_rule(self, request: Request) -> Values:
        if len(self._rules) >= MAX_RULES:
            raise HwrmError(RESOURCE_ALLOC_ERROR, "no room for another rule")
        drop = bool(request.flags & RULE_DROPS)
        if not drop and self._vnics.get(request.vnic) is None:
            raise HwrmError(INVALID_PARAMETERS, f"rule to VNIC {request.vnic}, which does not exist")
        by_index = request.enables & RULE_HAS_RING_INDEX
        target = Target(request.vnic, request.ring_table_index if by_index else None, drop)
        width = 16 if request.ethertype == IPV6 else 4
        ports = request.raw("ports")  # source, its mask, destination, its mask
        rule = FlowRule(
            request.ethertype,
            request.protocol,
            request.raw("source")[:width] + request.raw("destination")[:width] + ports[0:2] + ports[4:6],
            request.raw("source_mask")[:width]
            + request.raw("destination_mask")[:width]
            + ports[2:4]
            + ports[6:8],
            target,
        )
        ident = self._new_id()
        self._rules.add(ident, rule)
        return {"filter": ident}

    def _remove_rule(self, request: Request) -> Values:
        if not self._rules.remove(request.filter):
            raise HwrmError(INVALID_PARAMETERS, f"no rule {request.filter}")
        return {}

    def by_address(self, headers: Headers) -> Vnic | None:
        """The VNIC that wants this destination address."""
        for mac, vnic in self._addresses.values():
            if mac == headers.destination:
                return self._vnics.get(vnic)
        if headers.destination[0] & 1 or self._mask & PROMISCUOUS:
            return self._vnics.default
        return None

    def by_rule(self, headers: Headers) -> Target | None:
        rule = self._rules.lookup(headers)
        return rule.result if rule else None
