# SPDX-License-Identifier: MIT
"""Packets of one flow that are joined: which follow each other, and what they become."""

from __future__ import annotations

import struct

from ..offload import Frame, set_ip_length
from ..packet import ACK, ETHERNET_BYTES, IPV4, IPV4_BYTES, PSH, TCP
from .parcel import Parcel

MAX_IP_BYTES = 0xFFFF  # of a packet, as its header can say
SEQUENCE_AT, FLAGS_AT, CHECKSUM_AT = 4, 13, 16  # in the TCP header


def is_plain(frame: Frame) -> bool:
    """TCP data with no flag but PSH and no IP options: nothing else is joined."""
    headers = frame.headers
    if headers.protocol != TCP or not headers.length or not frame.payload_bytes:
        return False
    if headers.ethertype == IPV4 and headers.l4_offset != ETHERNET_BYTES + IPV4_BYTES:
        return False
    return frame.data[headers.l4_offset + FLAGS_AT] & ~PSH == ACK


def _sequence(frame: Frame) -> int:
    return int.from_bytes(frame.data[frame.headers.l4_offset + SEQUENCE_AT :][:4], "big")


def pushes(frame: Frame) -> bool:
    """Whether nothing is joined to it."""
    return bool(frame.data[frame.headers.l4_offset + FLAGS_AT] & PSH)


def _constant(frame: Frame) -> bytes:
    """The headers without what differs from packet to packet: they must be the same in all."""
    headers = frame.headers
    data, tcp = bytearray(frame.data[: headers.length]), headers.l4_offset
    data[tcp + SEQUENCE_AT : tcp + SEQUENCE_AT + 4] = bytes(4)
    data[tcp + FLAGS_AT] &= ~PSH
    data[tcp + CHECKSUM_AT : tcp + CHECKSUM_AT + 2] = bytes(2)
    if headers.ethertype == IPV4:
        data[16:20] = bytes(4)  # total length, identification
        data[24:26] = bytes(2)  # checksum
    else:
        data[18:20] = bytes(2)  # payload length
    return bytes(data)


class Aggregate:
    """The packets that came so far; at most `max_segments` of them, and `max_bytes` of payload, or as many
    as an IP packet can have."""

    def __init__(self, parcel: Parcel, max_segments: int, max_bytes: int) -> None:
        frame = parcel.frame
        self._first = parcel
        self._frames = [frame]
        self._constant = _constant(frame)
        self._max_segments = max_segments
        self._max_bytes = min(max_bytes, MAX_IP_BYTES - (frame.headers.length - ETHERNET_BYTES))
        self._step = frame.segment_bytes or frame.payload_bytes
        self._segments = frame.segments
        self._bytes = frame.payload_bytes
        self._next = _sequence(frame) + self._bytes & 0xFFFFFFFF

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow: the last packet was short or pushed, or there is no room."""
        return (
            pushes(self._frames[-1])
            or self._bytes % self._step != 0
            or self._segments >= self._max_segments
            or self._bytes + self._step > self._max_bytes
        )

    def takes(self, parcel: Parcel) -> bool:
        """Whether this is what follows, in packets of the same length (the last may be shorter)."""
        frame, first = parcel.frame, self._first
        return (
            parcel.vnic is first.vnic
            and parcel.completion is first.completion
            and _sequence(frame) == self._next
            and frame.segment_bytes in (0, self._step)
            and frame.longest - frame.headers.length <= self._step
            and self._segments + frame.segments <= self._max_segments
            and self._bytes + frame.payload_bytes <= self._max_bytes
            and _constant(frame) == self._constant
        )

    def add(self, parcel: Parcel) -> None:
        frame = parcel.frame
        self._frames.append(frame)
        self._segments += frame.segments
        self._bytes += frame.payload_bytes
        self._next = self._next + frame.payload_bytes & 0xFFFFFFFF

    def joined(self) -> Parcel:
        """All of them as one."""
        first, frames = self._first, self._frames
        if len(frames) == 1:
            return first
        headers = first.frame.headers
        head = bytearray(first.frame.data[: headers.length])
        identification = struct.unpack_from(">H", head, 18)[0]
        head[headers.l4_offset + FLAGS_AT] |= PSH if pushes(frames[-1]) else 0
        set_ip_length(head, headers, self._bytes, identification)
        payload = [memoryview(frame.data)[frame.headers.length :] for frame in frames]
        whole = Frame(b"".join((head, *payload)), self._step, headers)
        return Parcel(whole, first.vnic, first.completion, first.hash)
