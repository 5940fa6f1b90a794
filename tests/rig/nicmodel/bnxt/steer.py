# SPDX-License-Identifier: MIT
"""From a frame to the rings that take it (`bnxt.c`: bnxt_hwrm_vnic_set_rss,
bnxt_hwrm_cfa_ntuple_filter_alloc)."""

from __future__ import annotations

from collections import Counter

from ..faults import Faults
from ..offload import Frame
from .filters import Filters
from .parcel import Parcel
from .rings import Rings, RxRing
from .vnic import Vnics

FCS_BYTES = 4


class Steering:
    def __init__(
        self, rings: Rings, vnics: Vnics, filters: Filters, faults: Faults, counters: Counter[str]
    ) -> None:
        self._rings = rings
        self._vnics = vnics
        self._filters = filters
        self._faults = faults
        self._counters = counters

    def steer(self, frame: Frame) -> tuple[RxRing, Parcel] | None:
        """To which ring. None where the card drops the frame; the reason is counted."""
        headers = frame.headers
        vnic = self._filters.by_address(headers)
        if vnic is None:
            self._drop("rx_not_for_us", frame)
            return None
        target = self._filters.by_rule(headers)
        if target is not None:
            if target.drop:
                self._drop("rx_dropped_by_rule", frame)
                return None
            vnic = self._vnics.get(target.vnic) or vnic
        if frame.longest > vnic.mru + FCS_BYTES:
            self._drop("rx_too_long" if vnic.mru else "rx_vnic_stopped", frame)
            return None
        value = vnic.hash_of(headers)
        ring_id, completion_id = vnic.ring_for(value, target.table_index if target else None)
        ring, completion = self._rings.rx(ring_id), self._rings.completion(completion_id)
        if ring is None or completion is None:
            self._drop("rx_no_ring", frame)
            return None
        return self._misdirect(ring, Parcel(frame, vnic, completion, value))

    def _drop(self, reason: str, frame: Frame) -> None:
        self._counters[reason] += frame.segments

    def _misdirect(self, ring: RxRing, parcel: Parcel) -> tuple[RxRing, Parcel]:
        """Fault: the packet goes to another queue than it should."""
        queue = self._faults.take("misdirect", ring.logical_id)
        if queue is None:
            return ring, parcel
        for other in self._rings:
            if isinstance(other, RxRing) and other.logical_id == queue:
                completion = self._rings.completion(self._vnics.completion_of(other.ident) or 0)
                if completion is not None:
                    return other, Parcel(parcel.frame, parcel.vnic, completion, parcel.hash)
        return ring, parcel
