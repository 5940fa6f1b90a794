# SPDX-License-Identifier: MIT
"""Transmission: gathers the buffers of each packet (`bnxt.h`: struct tx_bd, tx_bd_ext)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

from ..offload import Frame
from .rings import TxRing
from .stats import TX_BYTES, TX_PACKETS

TYPE_MASK, TYPE_LONG = 0x3F, 0x10  # a long descriptor is followed by an extension
PACKET_END = 0x40
LENGTH_SHIFT = 16
EXTENSION = struct.Struct("<IIII")  # flags and header size, MSS, action, metadata
SEGMENT = 0x20
MSS_MASK = 0x7FFF
COMPLETION = struct.Struct("<IIII")  # type, opaque, phase, 0
COMPLETION_TYPE = 0


class Transmitter:
    def __init__(self, send: Callable[[Frame], None], counters: Counter[str]) -> None:
        self._send = send
        self._counters = counters

    def run(self, ring: TxRing) -> None:
        """Send all that the driver has posted; one completion tells it of the last packet."""
        opaque = None
        while ring.available:
            opaque = self._packet(ring)
        if opaque is not None:
            ring.completion.complete([COMPLETION.pack(COMPLETION_TYPE, opaque, 0, 0)])

    def _packet(self, ring: TxRing) -> int:
        memory, parts, segment_bytes = ring.memory, [], 0
        flags, opaque, address = ring.take()
        parts.append(memory.read(address, flags >> LENGTH_SHIFT))
        if flags & TYPE_MASK == TYPE_LONG:
            extension = memory.unpack(EXTENSION, ring.address(ring.taken))
            ring.skip()
            if extension[0] & SEGMENT:
                segment_bytes = extension[1] & MSS_MASK
        while not flags & PACKET_END and ring.available:
            flags, _, address = ring.take()
            parts.append(memory.read(address, flags >> LENGTH_SHIFT))
        frame = Frame(b"".join(parts), segment_bytes)
        self._counters["tx"] += 1
        if segment_bytes:
            self._counters["tx_segmented"] += 1
        if ring.statistics:
            ring.statistics.count(TX_PACKETS, TX_BYTES, frame)
        self._send(frame)
        return opaque
