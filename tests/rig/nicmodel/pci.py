# SPDX-License-Identifier: MIT
"""A PCI function: configuration space, BARs, MSI-X, guest memory, and the card behind them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from .dma import GuestMemory
from .vfio_user import PCI_CONFIG_REGION

CONFIG_BYTES = 256
STATUS_HAS_CAPABILITIES = 0x10
CLASS_ETHERNET = 0x02
CAPABILITY_AT = 0x40
CAPABILITY_MSIX = 0x11
MSIX_ENTRY_BYTES = 16
ONE_EVENT = struct.pack("<Q", 1)


@dataclass(frozen=True)
class Identity:
    """What the card says of itself in configuration space. The MSI-X table has a BAR of its own."""

    vendor: int
    device: int
    revision: int
    bar_bytes: dict[int, int]
    vectors: int
    msix_bar: int


def config_space(identity: Identity) -> bytearray:
    """Configuration space; QEMU keeps its own copy of the BAR and MSI-X control bits."""
    config = bytearray(CONFIG_BYTES)
    struct.pack_into("<HHHH", config, 0, identity.vendor, identity.device, 0, STATUS_HAS_CAPABILITIES)
    config[0x08] = identity.revision
    config[0x0B] = CLASS_ETHERNET
    struct.pack_into("<HH", config, 0x2C, identity.vendor, identity.device)
    config[0x34] = CAPABILITY_AT
    pending_bits_at = identity.vectors * MSIX_ENTRY_BYTES + 7 & ~7
    struct.pack_into(
        "<BBHII",
        config,
        CAPABILITY_AT,
        CAPABILITY_MSIX,
        0,
        identity.vectors - 1,
        identity.msix_bar,
        pending_bits_at | identity.msix_bar,
    )
    return config


class Interrupts:
    """MSI-X vectors as eventfds. Raised vectors are collected and fired together by `fire`."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.fired = 0
        self._fds: dict[int, int] = {}
        self._pending: set[int] = set()

    def assign(self, start: int, count: int, fds: list[int]) -> None:
        """Replace vectors from `start`: those with a descriptor get it, the others lose theirs."""
        vectors = range(start, start + count) if count else list(self._fds)
        for position, vector in enumerate(vectors):
            old = self._fds.pop(vector, None)
            if old is not None:
                os.close(old)
            if position < len(fds):
                self._fds[vector] = fds[position]

    def raise_vector(self, vector: int) -> None:
        self._pending.add(vector)

    def fire(self, swallow: Callable[[int], bool]) -> None:
        """Fire what is pending, except vectors that `swallow` takes."""
        for vector in self._pending:
            fd = self._fds.get(vector)
            if fd is not None and not swallow(vector):
                os.write(fd, ONE_EVENT)
                self.fired += 1
        self._pending.clear()

    def forget(self) -> None:
        self._pending.clear()


class Bus:
    """What a card may do on its bus: reach guest memory and raise interrupts."""

    def __init__(self, vectors: int) -> None:
        self.memory = GuestMemory()
        self.interrupts = Interrupts(vectors)


class Card:
    """The register side of a card, which `personality.Personality` completes with its port."""

    identity: Identity
    bus: Bus

    def bar_read(self, bar: int, offset: int, count: int) -> bytes:
        raise NotImplementedError

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError


class PciFunction:
    """Implements `vfio_user.Device` for a card."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.interrupt_count = card.identity.vectors
        self._config = config_space(card.identity)

    def region_size(self, region: int) -> int:
        if region == PCI_CONFIG_REGION:
            return CONFIG_BYTES
        return self.card.identity.bar_bytes.get(region, 0)

    def _check(self, region: int, offset: int, count: int) -> bool:
        return 0 <= offset <= self.region_size(region) - count

    def region_read(self, region: int, offset: int, count: int) -> bytes:
        if not self._check(region, offset, count):
            return b"\xff" * count  # what a PCI bus returns when nobody answers
        if region == PCI_CONFIG_REGION:
            return bytes(self._config[offset : offset + count])
        return self.card.bar_read(region, offset, count)

    def region_write(self, region: int, offset: int, data: bytes) -> None:
        if not self._check(region, offset, len(data)):
            return
        if region == PCI_CONFIG_REGION:
            self._config[offset : offset + len(data)] = data
        else:
            self.card.bar_write(region, offset, data)

    def set_interrupts(self, start: int, count: int, fds: list[int]) -> None:
        self.card.bus.interrupts.assign(start, count, fds)

    def dma_map(self, address: int, length: int, fd: int, offset: int) -> None:
        self.card.bus.memory.map(address, length, fd, offset)

    def dma_unmap(self, address: int, length: int) -> None:
        self.card.bus.memory.unmap(address, length)

    def reset(self) -> None:
        self.card.reset()
