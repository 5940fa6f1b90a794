# SPDX-License-Identifier: MIT
"""The payload of the scenarios, and its check."""

from __future__ import annotations

from typing import Any

TABLE_BYTES = 65521


def _table() -> bytes:
    table, state = bytearray(), 0x9E3779B9
    for _ in range(TABLE_BYTES):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        table.append(state >> 24)
    return bytes(table)


# Long enough for a buffer of 1 MiB from any place in the table.
REPEATED = _table() * 18


def matches(seed: int, stream: int, offset: int, data: Any) -> bool:
    """Whether these are the stream's bytes from that offset."""
    return REPEATED.startswith(data, (offset + 7919 * stream + 104729 * seed) % TABLE_BYTES)
