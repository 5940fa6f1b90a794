# SPDX-License-Identifier: MIT
"""What can be known: of a receiver, of this machine. Plain data, read from the core's structs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from . import _control

ENGINES: tuple[str, ...] = tuple(_control.zrx_engine_name(i) for i in range(_control.ZRX_ENGINE_COUNT))
"""Names of the engines: "auto" and those that it chooses from."""

_AREA_KINDS = {
    getattr(_control, f"ZRX_AREA_{name.upper()}"): name
    for name in ("auto", "hugetlb", "thp", "pages", "caller", "dmabuf")
}
_STALLS = {
    _control.ZRX_STALL_NONE: None,
    _control.ZRX_STALL_BUFFERS: "buffers",
    _control.ZRX_STALL_COPIES: "copies",
}
_STATES = {
    _control.ZRX_CHECK_OK: "ok",
    _control.ZRX_CHECK_MISSING: "missing",
    _control.ZRX_CHECK_WARN: "warning",
    _control.ZRX_CHECK_UNKNOWN: "unknown",
}
_FEATURES = {
    getattr(_control, name): name.removeprefix("ZRX_FEATURE_").lower()
    for name in dir(_control)
    if name.startswith("ZRX_FEATURE_")
}
UNKNOWN = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an engine is not used, or cannot be."""

    errno: int
    stage: str
    message: str
    kernel_text: str
    hint: str


@dataclass(frozen=True, slots=True)
class Check:
    """One precondition: state is "ok", "missing", "warning" or "unknown"; hint is the mending command."""

    name: str
    state: str
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class Info:
    """What was opened. refused tells, for each better engine, why it is not the one in use."""

    engine: str
    zero_copy: bool
    features: frozenset[str]
    interface: str | None
    queue: int | None
    area_kind: str
    area_bytes: int
    buffer_bytes: int
    ring_entries: int
    refill_entries: int
    refused: dict[str, Refusal]

    @property
    def reason(self) -> str:
        """Why no better engine is in use, in one line; "" if there is none."""
        return "; ".join(f"{name}: {refusal.message}" for name, refusal in self.refused.items())


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters since open; those with *now* are of this moment. None: the kernel does not tell."""

    bytes: int
    buffers: int
    released: int
    outstanding: int  # buffers out, now
    streams: int  # added and not ended, now
    parked: int  # streams waiting for buffers, now
    parks: int
    rearms_ring_full: int
    rearms_no_buffer: int
    rearms_silent: int
    rearms_interrupted: int
    backlog: int  # released buffers waiting for room in the refill ring, now
    backlog_high: int
    flushes: int
    copied_bytes: int | None
    copied_buffers: int | None
    alloc_failures: int | None
    waits: int
    wakes: int
    stall: str | None  # now: "buffers" (all are out) or "copies" (the NIC holds what the kernel needs)

    def as_dict(self) -> dict[str, Any]:
        """The counters by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this kernel lets this process do."""

    engines: tuple[str, ...]
    features: frozenset[str]
    kernel: str
    page_bytes: int
    checks: tuple[Check, ...]
    refused: dict[str, Refusal]


def _features(bits: int) -> frozenset[str]:
    return frozenset(name for bit, name in _FEATURES.items() if bits & bit)


def _refusal(error: Any) -> Refusal:
    return Refusal(
        -error.code, _control.zrx_stage_name(error.stage), error.message, error.kernel_text, error.hint
    )


def _refused(ask: Callable[[int, Any], int]) -> dict[str, Refusal]:
    refused = {}
    for engine, name in enumerate(ENGINES):
        error = _control.zrx_error()
        if ask(engine, error):
            refused[name] = _refusal(error)
    return refused


def checks_of(source: Any) -> tuple[Check, ...]:
    """The checks of a struct that has some."""
    checks = (source.check(index) for index in range(min(source.check_count, source.check_capacity)))
    return tuple(Check(check.name, _STATES[check.state], check.detail, check.hint) for check in checks)


def read_info(receiver: Any) -> Info:
    raw = _control.zrx_info()
    _control.zrx_receiver_info(receiver, raw)
    return Info(
        engine=ENGINES[raw.engine],
        zero_copy=bool(raw.zero_copy),
        features=_features(raw.features),
        interface=raw.interface or None,
        queue=raw.queue if raw.interface else None,
        area_kind=_AREA_KINDS[raw.area_kind],
        area_bytes=raw.area_bytes,
        buffer_bytes=raw.buffer_bytes,
        ring_entries=raw.ring_entries,
        refill_entries=raw.refill_entries,
        refused=_refused(lambda engine, error: _control.zrx_receiver_refusal(receiver, engine, error)),
    )


def read_stats(receiver: Any) -> Stats:
    raw = _control.zrx_stats()
    _control.zrx_receiver_stats(receiver, raw)
    counters = {name: getattr(raw, name) for name in Stats.__slots__ if name != "stall"}
    for name, value in counters.items():
        if value == UNKNOWN:
            counters[name] = None
    return Stats(**counters, stall=_STALLS[raw.stall])


def probe() -> Capabilities:
    """Find out what this kernel, with this process' rights and limits, can do. Changes nothing."""
    raw = _control.zrx_capabilities()
    _control.zrx_probe(raw)
    version = raw.kernel_version
    return Capabilities(
        engines=tuple(name for engine, name in enumerate(ENGINES) if raw.engines & (1 << engine)),
        features=_features(raw.features),
        kernel=f"{version >> 16}.{version >> 8 & 255}.{version & 255}",
        page_bytes=raw.page_bytes,
        checks=checks_of(raw),
        refused=_refused(_control.zrx_probe_refusal),
    )
