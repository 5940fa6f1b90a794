# SPDX-License-Identifier: MIT
"""Values of the core's structs as Python has them: None for what is not told, sets for bits."""

from __future__ import annotations

from . import _control
from ._names import BOUND, FEATURES

ENGINES: tuple[str, ...] = tuple(_control.zrx_engine_name(i) for i in range(_control.ZRX_ENGINE_COUNT))
"""Names of the engines: "auto" and those that it chooses from."""

AREAS = {
    getattr(_control, f"ZRX_AREA_{name.upper()}"): name
    for name in ("auto", "hugetlb", "thp", "pages", "caller", "dmabuf")
}
UNKNOWN = (1 << 64) - 1  # ZRX_UNKNOWN
FREE_QUEUE = (1 << 32) - 1  # ZRX_NIC_FREE_QUEUE


def known(counter: int) -> int | None:
    return None if counter == UNKNOWN else counter


def queue(number: int) -> int | None:
    return None if number == FREE_QUEUE else number


def stage(number: int) -> str:
    return str(_control.zrx_stage_name(number))


def features(bits: int) -> frozenset[str]:
    return frozenset(name for bit, name in FEATURES.items() if bits & bit)


def bound(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in BOUND.items() if bits & bit)


def engine_set(bits: int) -> tuple[str, ...]:
    return tuple(name for engine, name in enumerate(ENGINES) if bits & (1 << engine))


def kernel_version(number: int) -> str:
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"
