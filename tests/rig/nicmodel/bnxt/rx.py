# SPDX-License-Identifier: MIT
"""Reception: places a packet in posted buffers and writes its completion (`bnxt.h`: struct rx_cmp,
rx_agg_cmp; `bnxt.c`: bnxt_rx_pkt). Aggregates are `tpa`'s."""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Callable

from ..dma import DmaError
from ..faults import OF_PACKETS, Faults
from ..offload import Frame, chunks, segment, split_point
from ..packet import IPV6, TCP, UDP
from . import tpa
from .aggregate import pushes
from .capabilities import MAX_AGGREGATIONS
from .parcel import Parcel
from .rings import AggregationRing, Rings, RxRing
from .stats import RX_BYTES, RX_PACKETS
from .steer import Steering

ENTRY = struct.Struct("<IIII")
TYPE_PACKET, TYPE_BUFFER = 17, 18
LENGTH_SHIFT = 16
HASH_VALID = 0x400
ITEM_SHIFT = 12  # what the packet is: 1 IP, 2 TCP, 3 UDP
ITEM_IP, ITEMS = 1, {TCP: 2, UDP: 3}
BUFFERS_SHIFT = 1
CHECKSUMS_GOOD, IS_IPV6 = 0x3, 0x100
WAITING_FRAMES = 32  # what the card's own buffer holds while a ring is out of descriptors


# A card ends an aggregate when nothing has come for some microseconds; the model's guest is slower.
AGGREGATE_IDLE_NS = 2_000_000


class Receiver:
    def __init__(
        self,
        rings: Rings,
        steering: Steering,
        faults: Faults,
        counters: Counter[str],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._rings = rings
        self._steering = steering
        self._faults = faults
        self._counters = counters
        self._now_ns = now_ns
        self._aggregating: set[RxRing] = set()

    def receive(self, frame: Frame) -> None:
        steered = self._steering.steer(frame)
        if steered is None:
            return
        ring, parcel = steered
        damaged = self._faults.pending(OF_PACKETS, ring.logical_id)
        whole = not frame.segment_bytes or (tpa.fits(ring, parcel) and not damaged)
        for packet in (frame,) if whole else segment(frame):
            part = Parcel(packet, parcel.vnic, parcel.completion, parcel.hash)
            if damaged or not tpa.aggregates(ring, part):
                self._end(ring, packet.headers.flow)
                self._accept(ring, part)
            else:
                self._aggregate(ring, part)

    def _aggregate(self, ring: RxRing, parcel: Parcel) -> None:
        """Join it with what came before it of its flow, and pass on what is complete."""
        flow = parcel.frame.headers.flow
        aggregate = ring.aggregates.get(flow)
        if aggregate is not None and not aggregate.takes(parcel):
            self._end(ring, flow)
            aggregate = None
        if aggregate is None and (pushes(parcel.frame) or len(ring.aggregates) == MAX_AGGREGATIONS):
            self._accept(ring, parcel)
            return
        if aggregate is None:
            ring.aggregates[flow] = aggregate = tpa.begin(ring, parcel)
            self._aggregating.add(ring)
        else:
            aggregate.add(parcel)
        ring.last_frame_ns = self._now_ns()
        if aggregate.is_complete:
            self._end(ring, flow)

    def _end(self, ring: RxRing, flow: bytes) -> None:
        aggregate = ring.aggregates.pop(flow, None)
        if aggregate is None:
            return
        if not ring.aggregates:
            self._aggregating.discard(ring)
        self._accept(ring, aggregate.joined())

    def next_due_ns(self) -> int | None:
        """When the next aggregate ends by itself."""
        return min((ring.last_frame_ns + AGGREGATE_IDLE_NS for ring in self._aggregating), default=None)

    def advance(self, now_ns: int) -> None:
        """Time passes: end the aggregates of rings that have been idle."""
        for ring in [ring for ring in self._aggregating if ring.last_frame_ns + AGGREGATE_IDLE_NS <= now_ns]:
            if self._rings.get(ring.ident) is not ring:  # freed, and its aggregates with it
                self._aggregating.discard(ring)
                continue
            for flow in list(ring.aggregates):
                self._end(ring, flow)

    def _accept(self, ring: RxRing, parcel: Parcel) -> None:
        """Place it; hold it for a moment if the ring is short; drop it if too much is held."""
        starved = self._faults.take("starve", ring.logical_id) is not None
        if not starved and not ring.waiting and self._place(ring, parcel):
            return
        if not starved and len(ring.waiting) < WAITING_FRAMES:
            ring.waiting.append(parcel)
            return
        self._counters["rx_no_buffer"] += parcel.frame.segments
        if ring.statistics:
            ring.statistics.discard(parcel.frame.segments)

    def posted(self, ring: RxRing) -> None:
        """The driver posted buffers: what waits for them goes first."""
        while ring.waiting and self._place(ring, ring.waiting[0]):
            ring.waiting.popleft()

    def _place(self, ring: RxRing, parcel: Parcel) -> bool:
        """False where buffers are missing; then nothing has happened."""
        frame = parcel.frame
        try:
            entries = tpa.place(ring, parcel) if frame.segment_bytes else self._place_packet(ring, parcel)
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

    def _head_bytes(self, ring: RxRing, parcel: Parcel) -> int:
        """How much goes to the header buffer: the headers, or as much as fits."""
        frame, vnic = parcel.frame, parcel.vnic
        length = len(frame.data)
        if ring.aggregation is None:
            return length
        if frame.headers.ethertype in vnic.split_ethertypes:
            split = split_point(frame, vnic.split_threshold, ring.buffer_bytes)
            if split and self._faults.take("unsplit", ring.logical_id) is None:
                return split
        return min(length, vnic.jumbo_threshold, ring.buffer_bytes)

    def _place_packet(self, ring: RxRing, parcel: Parcel) -> list[bytes] | None:
        frame, data = parcel.frame, memoryview(parcel.frame.data)
        if not ring.available:
            return None
        head = self._head_bytes(ring, parcel)
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
