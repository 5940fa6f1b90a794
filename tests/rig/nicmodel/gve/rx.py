# SPDX-License-Identifier: MIT
"""Reception (`gve_desc_dqo.h`: gve_rx_desc_dqo, gve_rx_compl_desc_dqo; `gve_rx_dqo.c`)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

from ..dma import DmaError, GuestMemory
from ..faults import OF_PACKETS, Faults
from ..offload import Frame, segment, split_point
from .device import packet_type
from .flows import Flows
from .parcel import Parcel
from .queues import Queues, RxQueue

BUFFER = struct.Struct("<HHIQQQ")  # id, 0, 0, address, address for headers, 0
ENTRY = struct.Struct("<BBHHHBBHHHI12x")
ENTRY_KIND = 1
GENERATION_SHIFT = 14
LENGTH_MASK = 0x3FFF
AGGREGATED, SPLIT = 1 << 10, 1 << 11
DONE, PACKET_END, CHECKSUMS_SEEN = 0x1, 0x2, 0x8
GENERATION_AT = 4  # the word that makes an entry valid
MAX_AGGREGATE_BUFFERS = 17
WAITING_FRAMES = 32


class Receiver:
    def __init__(
        self,
        memory: GuestMemory,
        queues: Queues,
        flows: Flows,
        *,
        faults: Faults,
        counters: Counter[str],
        wants: Callable[[Frame], bool],
    ) -> None:
        self._memory = memory
        self._queues = queues
        self._flows = flows
        self._faults = faults
        self._counters = counters
        self._wants = wants

    def receive(self, frame: Frame) -> None:
        if not self._wants(frame):
            self._counters["rx_not_for_us"] += frame.segments
            return
        number, value = self._flows.queue_for(frame.headers)
        other = self._faults.take("misdirect", number)
        queue = self._queues.rx.get(number if other is None else other)
        if queue is None:
            self._counters["rx_no_ring"] += frame.segments
            return
        damaged = self._faults.pending(OF_PACKETS, queue.ident)
        whole = not frame.segment_bytes or (self._aggregates(queue, frame) and not damaged)
        for packet in (frame,) if whole else segment(frame):
            self._accept(queue, Parcel(packet, value or 0))

    @staticmethod
    def _aggregates(queue: RxQueue, frame: Frame) -> bool:
        if not queue.aggregate or not 0 < frame.headers.length <= queue.header_bytes:
            return False
        return frame.payload_bytes <= MAX_AGGREGATE_BUFFERS * queue.buffer_bytes

    def _accept(self, queue: RxQueue, parcel: Parcel) -> None:
        """Place it; hold it for a moment if buffers are short; drop it if too much is held."""
        starved = self._faults.take("starve", queue.ident) is not None
        if not starved and not queue.waiting and self._place(queue, parcel):
            return
        if not starved and len(queue.waiting) < WAITING_FRAMES:
            queue.waiting.append(parcel)
            return
        self._counters["rx_no_buffer"] += parcel.frame.segments
        queue.dropped += parcel.frame.segments

    def posted(self, queue: RxQueue) -> None:
        while queue.waiting and self._place(queue, queue.waiting[0]):
            queue.waiting.popleft()

    def _split(self, queue: RxQueue, frame: Frame) -> int:
        """How much goes to the header buffer: the headers, or all of a small packet without any."""
        if not queue.header_bytes or self._faults.take("unsplit", queue.ident) is not None:
            return 0
        if len(frame.data) <= queue.header_bytes and not frame.headers.length:
            return len(frame.data)
        return split_point(frame, 0, queue.header_bytes)

    def _place(self, queue: RxQueue, parcel: Parcel) -> bool:
        """False where buffers are missing; then nothing has happened."""
        frame = parcel.frame
        if queue.available < -(-len(frame.data) // queue.buffer_bytes):
            return False
        head = self._split(queue, frame)
        try:
            self._fill(queue, parcel, head)
        except DmaError:
            self._counters["rx_dma_error"] += 1
            return True
        self._counters["rx"] += 1
        self._counters["rx_split"] += bool(head)
        queue.block.notify()
        return True

    def _fill(self, queue: RxQueue, parcel: Parcel, head: int) -> None:
        frame, data = parcel.frame, memoryview(parcel.frame.data)
        payload, size = data[head:], queue.buffer_bytes
        delta = self._faults.take("bad-length", queue.ident) or 0
        for at in range(0, max(1, len(payload)), size):
            part, last = payload[at : at + size], at + size >= len(payload)
            ident, _, _, address, header_address, _ = self._memory.unpack(
                BUFFER, queue.buffers + queue.taken * BUFFER.size
            )
            queue.taken = (queue.taken + 1) % queue.size
            if part:
                self._memory.write(address, part)
            more = 0
            if head and at == 0:
                self._memory.write(header_address, data[:head])
                more = head | SPLIT
            if frame.segment_bytes:
                more |= AGGREGATED
            length = max(0, len(part) + (delta if last else 0))
            self._complete(queue, parcel, length, more, ident, last=last)

    def _complete(
        self, queue: RxQueue, parcel: Parcel, length: int, more: int, ident: int, *, last: bool
    ) -> None:
        frame = parcel.frame
        index, generation = queue.lap.next()
        entry = ENTRY.pack(
            ENTRY_KIND,
            0,
            packet_type(frame.headers),
            length & LENGTH_MASK | generation << GENERATION_SHIFT,
            more,
            DONE | CHECKSUMS_SEEN | (PACKET_END if last else 0),
            0,
            0,
            ident,
            frame.segment_bytes,
            parcel.hash,
        )
        address = queue.completions + index * ENTRY.size
        after = GENERATION_AT + 2
        self._memory.write(address + after, entry[after:])
        self._memory.write(address, entry[:GENERATION_AT])
        self._memory.write(address + GENERATION_AT, entry[GENERATION_AT:after])
