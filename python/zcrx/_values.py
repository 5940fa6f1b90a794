# SPDX-License-Identifier: MIT
"""Values of the core's structs as Python has them: names for numbers, None for what is not told."""

from __future__ import annotations

from . import _control

ENGINES: tuple[str, ...] = tuple(_control.zrx_engine_name(i) for i in range(_control.ZRX_ENGINE_COUNT))
"""Names of the engines: "auto" and those that it chooses from."""

AREAS = {
    getattr(_control, f"ZRX_AREA_{name.upper()}"): name
    for name in ("auto", "hugetlb", "thp", "pages", "caller", "dmabuf")
}
STALLS = {
    _control.ZRX_STALL_NONE: None,
    _control.ZRX_STALL_BUFFERS: "buffers",
    _control.ZRX_STALL_COPIES: "copies",
}
CHECK_STATES = {
    _control.ZRX_CHECK_OK: "ok",
    _control.ZRX_CHECK_MISSING: "missing",
    _control.ZRX_CHECK_WARN: "warning",
    _control.ZRX_CHECK_UNKNOWN: "unknown",
}
SPLITS = {
    _control.ZRX_NIC_SPLIT_UNKNOWN: None,
    _control.ZRX_NIC_SPLIT_OFF: False,
    _control.ZRX_NIC_SPLIT_ON: True,
}
VERDICTS = {
    _control.ZRX_PROOF_UNDECIDED: "undecided",
    _control.ZRX_PROOF_ZERO_COPY: "zero-copy",
    _control.ZRX_PROOF_PARTLY: "partly",
    _control.ZRX_PROOF_COPIED: "copied",
}
_BOUND = {
    _control.ZRX_NIC_BOUND_IO_URING: "io_uring",
    _control.ZRX_NIC_BOUND_DMABUF: "dma-buf",
    _control.ZRX_NIC_BOUND_XSK: "AF_XDP",
    _control.ZRX_NIC_BOUND_LEASE: "lease",
}
_FEATURES = {
    getattr(_control, name): name.removeprefix("ZRX_FEATURE_").lower()
    for name in dir(_control)
    if name.startswith("ZRX_FEATURE_")
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
    return frozenset(name for bit, name in _FEATURES.items() if bits & bit)


def bound(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _BOUND.items() if bits & bit)


def engine_set(bits: int) -> tuple[str, ...]:
    return tuple(name for engine, name in enumerate(ENGINES) if bits & (1 << engine))


def kernel_version(number: int) -> str:
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"
