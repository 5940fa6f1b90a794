# SPDX-License-Identifier: MIT
"""Transmission (`gve_desc_dqo.h`: gve_tx_pkt_desc_dqo, gve_tx_tso_context_desc_dqo;
`gve_tx_dqo.c`)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

from ..dma import GuestMemory
from ..offload import Frame
from .queues import TxQueue

DESCRIPTOR_BYTES = 16
DATA = struct.Struct("<QBBHHH")  # address, type and flags, 0, 0, tag, size
SEGMENTATION = struct.Struct("<IHBBB")  # total length, MSS, header length, flexible byte, type
TYPE_AT, TYPE_MASK = 8, 0x1F
TYPE_SEGMENTATION, TYPE_DATA = 0x5, 0xC
PACKET_END, REPORT = 0x20, 0x80
MSS_MASK = SIZE_MASK = 0x3FFF
COMPLETION_PACKET, COMPLETION_DESCRIPTOR = 0x2, 0x4


class Transmitter:
    def __init__(self, memory: GuestMemory, send: Callable[[Frame], None], counters: Counter[str]) -> None:
        self._memory = memory
        self._send = send
        self._counters = counters

    def run(self, queue: TxQueue, tail: int) -> None:
        """Send the packets up to the driver's tail."""
        parts: list[bytes] = []
        segment_bytes = 0
        while queue.head != tail:
            descriptor = self._memory.read(queue.ring + queue.head * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES)
            queue.head = (queue.head + 1) % queue.size
            kind = descriptor[TYPE_AT] & TYPE_MASK
            if kind == TYPE_SEGMENTATION:
                segment_bytes = SEGMENTATION.unpack_from(descriptor)[1] & MSS_MASK
            if kind != TYPE_DATA:
                continue
            address, flags, _, _, tag, size = DATA.unpack(descriptor)
            parts.append(self._memory.read(address, size & SIZE_MASK))
            if flags & PACKET_END:
                self._finish(queue, Frame(b"".join(parts), segment_bytes), tag, bool(flags & REPORT))
                parts, segment_bytes = [], 0
        queue.block.notify()

    def _finish(self, queue: TxQueue, frame: Frame, tag: int, report: bool) -> None:
        self._counters["tx"] += 1
        if frame.segment_bytes:
            self._counters["tx_segmented"] += 1
        self._send(frame)
        queue.complete(self._memory, COMPLETION_PACKET, tag)
        if report:
            queue.complete(self._memory, COMPLETION_DESCRIPTOR, queue.head)
