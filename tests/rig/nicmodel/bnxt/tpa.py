# SPDX-License-Identifier: MIT
"""TPA, the card's hardware GRO: several packets of a flow reported as one (`bnxt.h`: struct
rx_tpa_start_cmp, rx_tpa_end_cmp; `bnxt.c`: bnxt_tpa_start, bnxt_tpa_end)."""

from __future__ import annotations

import struct

from ..offload import chunks
from ..packet import ETHERNET_BYTES, IPV6
from .aggregate import Aggregate, is_plain
from .parcel import Parcel
from .rings import RxRing

ENTRY = struct.Struct("<IIII")
TYPE_START, TYPE_END, TYPE_BUFFER = 19, 21, 22
PLACEMENT_SPLIT_GRO = 6 << 7
HASH_VALID = 0x400
ITEM_TCP = 2 << 12
LENGTH_SHIFT = 16
AGGREGATION_SHIFT = 16
CHECKSUMS_GOOD, IS_IPV6 = 0x3, 0x100
INNER_L3_SHIFT, L4_WORDS_SHIFT = 18, 27
SEGMENTS_SHIFT = 8
NO_TIMESTAMP_DELTA = 1 << 31
PAYLOAD_SHIFT, BUFFERS_SHIFT = 16, 24
MAX_BUFFERS = 16  # one socket buffer has 17 fragments
MAX_SEGMENTS = 255
AGGREGATIONS = 64
START_DESCRIPTORS = 2  # a start takes two RX descriptors and uses one


def _room(ring: RxRing) -> int:
    """Bytes of payload that one aggregate can have."""
    return MAX_BUFFERS * ring.aggregation.buffer_bytes if ring.aggregation else 0


def aggregates(ring: RxRing, parcel: Parcel) -> bool:
    """Whether the card joins this packet with others."""
    vnic, headers = parcel.vnic, parcel.frame.headers
    if not vnic.aggregate or ring.aggregation is None or parcel.hash is None:
        return False
    return headers.ethertype in vnic.split_ethertypes and is_plain(parcel.frame)


def fits(ring: RxRing, parcel: Parcel) -> bool:
    """Whether all packets of this frame are one aggregate."""
    frame, most = parcel.frame, min(parcel.vnic.max_segments, MAX_SEGMENTS)
    return aggregates(ring, parcel) and frame.segments <= most and frame.payload_bytes <= _room(ring)


def begin(ring: RxRing, parcel: Parcel) -> Aggregate:
    return Aggregate(parcel, min(parcel.vnic.max_segments, MAX_SEGMENTS), _room(ring))


def place(ring: RxRing, parcel: Parcel) -> list[bytes] | None:
    """Place the aggregate; None where buffers are missing."""
    frame, headers = parcel.frame, parcel.frame.headers
    aggregation = ring.aggregation
    if aggregation is None or ring.available < START_DESCRIPTORS:
        return None
    payload = memoryview(frame.data)[headers.length :]
    buffers = -(-len(payload) // aggregation.buffer_bytes)
    if aggregation.available < buffers:
        return None
    _, opaque, address = ring.take()
    ring.skip()
    ring.memory.write(address, frame.data[: headers.length])
    ring.aggregation_id = (ring.aggregation_id + 1) % AGGREGATIONS
    ident = ring.aggregation_id << AGGREGATION_SHIFT
    entries = _start_entries(parcel, opaque, ident)
    for part in chunks(payload, aggregation.buffer_bytes):
        _, part_opaque, address = aggregation.take()
        aggregation.memory.write(address, part)
        entries.append(ENTRY.pack(TYPE_BUFFER | len(part) << LENGTH_SHIFT, part_opaque, ident, 0))
    return entries + _end_entries(parcel, opaque, ident, buffers)


def _start_entries(parcel: Parcel, opaque: int, ident: int) -> list[bytes]:
    headers = parcel.frame.headers
    flags = TYPE_START | PLACEMENT_SPLIT_GRO | HASH_VALID | ITEM_TCP | headers.length << LENGTH_SHIFT
    more = CHECKSUMS_GOOD | (IS_IPV6 if headers.ethertype == IPV6 else 0)
    l4_words = headers.length - headers.l4_offset >> 2
    layout = ETHERNET_BYTES | ETHERNET_BYTES << INNER_L3_SHIFT | l4_words << L4_WORDS_SHIFT
    return [ENTRY.pack(flags, opaque, ident, parcel.hash or 0), ENTRY.pack(more, 0, 0, layout)]


def _end_entries(parcel: Parcel, opaque: int, ident: int, buffers: int) -> list[bytes]:
    frame = parcel.frame
    flags = TYPE_END | PLACEMENT_SPLIT_GRO | ITEM_TCP
    where = frame.headers.length << PAYLOAD_SHIFT | buffers << BUFFERS_SHIFT
    return [
        ENTRY.pack(flags, opaque, frame.segments << SEGMENTS_SHIFT | ident, NO_TIMESTAMP_DELTA),
        ENTRY.pack(where, frame.segment_bytes, 0, opaque),
    ]
