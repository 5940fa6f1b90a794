# SPDX-License-Identifier: MIT
"""A frame on its way to a receive queue."""

from __future__ import annotations

from dataclasses import dataclass

from ..offload import Frame


@dataclass(frozen=True, slots=True)
class Parcel:
    frame: Frame
    hash: int
