# SPDX-License-Identifier: MIT
"""The statistics report: the driver fills its part, the device appends its own (`gve_main.c`:
gve_alloc_stats_report; `gve_ethtool.c`: gve_get_ethtool_stats)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from ..dma import DmaError, GuestMemory
from .queues import Queues

REQUEST = struct.Struct(">QQQ")  # length, address, interval
REPORT_HEAD_BYTES = 8
ENTRY = struct.Struct(">IIQ")  # name, queue, value
DRIVER_TX_ENTRIES, DRIVER_RX_ENTRIES = 6, 2  # per queue, and first in the report
QUEUE_DROPS, NO_BUFFERS_POSTED = 65, 66


class Statistics:
    def __init__(self, memory: GuestMemory, queues: Queues) -> None:
        self._memory = memory
        self._queues = queues
        self._published: list[int] = []
        self.handlers: dict[str, Callable[[bytes], None]] = {"REPORT_STATS": self._request}
        self.clear()

    def clear(self) -> None:
        self._address = self._length = 0

    def _request(self, body: bytes) -> None:
        self._length, self._address, _ = REQUEST.unpack_from(body)
        self._published = []

    def publish(self) -> None:
        """Write the drop counters of the RX queues, if one has changed."""
        drops = [queue.dropped for queue in self._queues.rx.values()]
        if not self._address or drops == self._published:
            return
        self._published = drops
        tx, rx = len(self._queues.tx), len(self._queues.rx)
        offset = REPORT_HEAD_BYTES + ENTRY.size * (DRIVER_TX_ENTRIES * tx + DRIVER_RX_ENTRIES * rx)
        data = b"".join(
            ENTRY.pack(QUEUE_DROPS, ident, queue.dropped)
            + ENTRY.pack(NO_BUFFERS_POSTED, ident, queue.dropped)
            for ident, queue in self._queues.rx.items()
        )
        try:
            if offset + len(data) <= self._length:
                self._memory.write(self._address + offset, data)
        except DmaError:
            self.clear()  # the driver is being unloaded
