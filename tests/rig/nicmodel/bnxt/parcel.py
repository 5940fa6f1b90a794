# SPDX-License-Identifier: MIT
"""A frame on its way to a receive ring."""

from __future__ import annotations

from dataclasses import dataclass

from ..offload import Frame
from .event_rings import CompletionRing
from .vnic import Vnic


@dataclass(frozen=True, slots=True)
class Parcel:
    """A frame, and whose rules it is placed by; its ring holds it while buffers are short."""

    frame: Frame
    vnic: Vnic
    completion: CompletionRing
    hash: int | None
