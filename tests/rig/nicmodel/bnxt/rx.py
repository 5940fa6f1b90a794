# SPDX-License-Identifier: MIT
"""Reception: places a packet in posted buffers and writes its completion (`bnxt.h`: struct rx_cmp,
rx_agg_cmp; `bnxt.c`: bnxt_rx_pkt). Aggregates are `tpa`'s."""

from __future__ import annotations

import struct
from collections import Counter

from ..dma import DmaError
from ..faults import OF_PACKETS, Faults
from ..offload import Frame, chunks, segment, split_point
from ..packet import IPV6, TCP, UDP
from . import tpa
from .rings import AggregationRing, RxRing
from .stats import RX_BYTES, RX_PACKETS
from .steer import Parcel, Steering

ENTRY = struct.Struct("<IIII")
TYPE_PACKET, TYPE_BUFFER = 17, 18
LENGTH_SHIFT = 16
HASH_VALID = 0x400
ITEM_SHIFT = 12  # what the packet is: 1 IP, 2 TCP, 3 UDP
ITEM_IP, ITEMS = 1, {TCP: 2, UDP: 3}
BUFFERS_SHIFT = 1
CHECKSUMS_GOOD, IS_IPV6 = 0x3, 0x100
WAITING_FRAMES = 32  # what the card's own buffer holds while a ring is out of descriptors


class Receiver:
    def __init__(self, steering: Steering, faults: Faults, counters: Counter[str]) -> None:
        self._steering = steering
        self._faults = faults
        self._counters = counters

    def receive(self, frame: Frame) -> None:
        parcel = self._steering.steer(frame)
        if parcel is None:
            return
        damaged = self._faults.pending(OF_PACKETS, parcel.ring.logical_id)
        if not frame.segment_bytes or (tpa.fits(parcel) and not damaged):
            self._accept(parcel)
            return
        for packet in segment(frame):
            self._accept(Parcel(packet, parcel.vnic, parcel.ring, parcel.completion, parcel.hash))

    def _accept(self, parcel: Parcel) -> None:
        """Place it; hold it for a moment if the ring is short; drop it if too much is held."""
        ring = parcel.ring
        starved = self._faults.take("starve", ring.logical_id) is not None
        if not starved and not ring.waiting and self._place(parcel):
            return
        if not starved and len(ring.waiting) < WAITING_FRAMES:
            ring.waiting.append(parcel)
            return
        self._counters["rx_no_buffer"] += parcel.frame.segments
        if ring.statistics:
            ring.statistics.discard(parcel.frame.segments)

    def posted(self, ring: RxRing) -> None:
        """The driver posted buffers: what waits for them goes first."""
        while ring.waiting and self._place(ring.waiting[0]):
            ring.waiting.popleft()

    def _place(self, parcel: Parcel) -> bool:
        """False where buffers are missing; then nothing has happened."""
        frame, ring = parcel.frame, parcel.ring
        try:
            entries = tpa.place(parcel) if frame.segment_bytes else self._place_packet(parcel)
        except DmaError:
            self._counters["rx_dma_error"] += 1
            return True
        if entries is None:
            return False
        self._counters["rx"] += 1
        if frame.segment_bytes:
            self._counters["rx_aggregated"] += frame.segments
        if ring.statistics:
            ring.statistics.count(RX_PACKETS, RX_BYTES, frame)
            if frame.segment_bytes:
                ring.statistics.count_aggregate(frame)
        parcel.completion.complete(entries)
        return True

    def _head_bytes(self, parcel: Parcel) -> int:
        """How much goes to the header buffer: the headers, or as much as fits."""
        frame, vnic, ring = parcel.frame, parcel.vnic, parcel.ring
        length = len(frame.data)
        if ring.aggregation is None:
            return length
        if frame.headers.ethertype in vnic.split_ethertypes:
            split = split_point(frame, vnic.split_threshold, ring.buffer_bytes)
            if split and self._faults.take("unsplit", ring.logical_id) is None:
                return split
        return min(length, vnic.jumbo_threshold, ring.buffer_bytes)

    def _place_packet(self, parcel: Parcel) -> list[bytes] | None:
        frame, ring, data = parcel.frame, parcel.ring, memoryview(parcel.frame.data)
        if not ring.available:
            return None
        head = self._head_bytes(parcel)
        if head > ring.buffer_bytes:
            self._counters["rx_does_not_fit"] += 1
            return []
        buffers = 0
        if ring.aggregation is not None:
            buffers = -(-(len(data) - head) // ring.aggregation.buffer_bytes)
            if ring.aggregation.available < buffers:
                return None
        _, opaque, address = ring.take()
        ring.memory.write(address, data[:head])
        lengths, opaques = [head], [opaque]
        if ring.aggregation is not None and buffers:
            self._counters["rx_split"] += head == frame.headers.length
            place_payload(ring.aggregation, data[head:], lengths, opaques)
        self._corrupt_length(ring, lengths)
        return packet_entries(parcel, lengths, opaques)

    def _corrupt_length(self, ring: RxRing, lengths: list[int]) -> None:
        """Fault: the completion tells another length than was written."""
        delta = self._faults.take("bad-length", ring.logical_id)
        if delta is not None:
            lengths[-1] = max(1, lengths[-1] + delta)


def place_payload(ring: AggregationRing, payload: memoryview, lengths: list[int], opaques: list[int]) -> None:
    """Fill aggregation buffers; appends the length and opaque of each."""
    for part in chunks(payload, ring.buffer_bytes):
        _, opaque, address = ring.take()
        ring.memory.write(address, part)
        lengths.append(len(part))
        opaques.append(opaque)


def packet_entries(parcel: Parcel, lengths: list[int], opaques: list[int]) -> list[bytes]:
    """The completion of one packet: two entries, then one for each aggregation buffer."""
    headers = parcel.frame.headers
    item = ITEMS.get(headers.protocol, ITEM_IP) if headers.is_ip else 0
    flags = TYPE_PACKET | item << ITEM_SHIFT | lengths[0] << LENGTH_SHIFT
    if parcel.hash is not None:
        flags |= HASH_VALID
    more = (CHECKSUMS_GOOD if headers.length else 0) | (IS_IPV6 if headers.ethertype == IPV6 else 0)
    entries = [
        ENTRY.pack(flags, opaques[0], len(lengths) - 1 << BUFFERS_SHIFT, parcel.hash or 0),
        ENTRY.pack(more, 0, 0, 0),
    ]
    for length, opaque in zip(lengths[1:], opaques[1:], strict=True):
        entries.append(ENTRY.pack(TYPE_BUFFER | length << LENGTH_SHIFT, opaque, 0, 0))
    return entries
