# SPDX-License-Identifier: MIT
"""Guest memory as the device sees it: the regions that the client mapped for DMA."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass


class DmaError(Exception):
    """The device was told to touch memory that nobody mapped for it."""


@dataclass
class Region:
    address: int
    length: int
    memory: mmap.mmap


class GuestMemory:
    """Reads and writes by bus address. The last region hit is tried first."""

    def __init__(self) -> None:
        self._regions: list[Region] = []
        self._last: Region | None = None

    def map(self, address: int, length: int, fd: int, offset: int) -> None:
        """Map a region; the descriptor is consumed."""
        try:
            memory = mmap.mmap(fd, length, mmap.MAP_SHARED, offset=offset)
        finally:
            os.close(fd)
        self._regions.append(Region(address, length, memory))

    def unmap(self, address: int, length: int) -> None:
        """Forget every region that lies inside the range."""
        end = address + length
        inside = [r for r in self._regions if r.address >= address and r.address + r.length <= end]
        self._last = None
        for region in inside:
            self._regions.remove(region)
            region.memory.close()

    def unmap_all(self) -> None:
        self.unmap(0, 1 << 64)

    def _locate(self, address: int, length: int) -> tuple[mmap.mmap, int]:
        region = self._last
        if region is not None:
            offset = address - region.address
            if 0 <= offset <= region.length - length:
                return region.memory, offset
        for region in self._regions:
            offset = address - region.address
            if 0 <= offset <= region.length - length:
                self._last = region
                return region.memory, offset
        raise DmaError(f"no DMA mapping for {length} bytes at {address:#x}")

    def read(self, address: int, length: int) -> bytes:
        memory, offset = self._locate(address, length)
        return memory[offset : offset + length]

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        length = len(data)
        memory, offset = self._locate(address, length)
        memory[offset : offset + length] = data

    def unpack(self, layout: struct.Struct, address: int) -> tuple[int, ...]:
        """Decode a structure in place, without copying it out first."""
        memory, offset = self._locate(address, layout.size)
        return layout.unpack_from(memory, offset)
