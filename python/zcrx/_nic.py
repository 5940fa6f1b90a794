# SPDX-License-Identifier: MIT
"""Looking at NICs and setting them up, for the command. Opening a receiver does all of it by itself."""

from __future__ import annotations

from dataclasses import dataclass

from . import _control
from ._info import Check, checks_of
from ._receiver import nic_options

_FREE = (1 << 32) - 1  # ZRX_NIC_FREE_QUEUE
_SPLITS = {
    _control.ZRX_NIC_SPLIT_UNKNOWN: None,
    _control.ZRX_NIC_SPLIT_OFF: False,
    _control.ZRX_NIC_SPLIT_ON: True,
}
_BOUND = {
    _control.ZRX_NIC_BOUND_IO_URING: "io_uring",
    _control.ZRX_NIC_BOUND_DMABUF: "dma-buf",
    _control.ZRX_NIC_BOUND_XSK: "AF_XDP",
    _control.ZRX_NIC_BOUND_LEASE: "lease",
}


@dataclass(frozen=True, slots=True)
class Report:
    """One interface and one of its receive queues, now. None: not known, or there is none."""

    interface: str
    driver: str
    firmware: str
    queue: int | None
    queue_count: int | None
    ring_entries: int | None
    split: bool | None
    hds_thresh: int
    ntuple: bool
    rules: int
    rss_entries: int
    rss_to_queue: int
    bound: tuple[str, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One change, and the ethtool line that is its equal."""

    setting: str
    command: str


def inspect(interface: str, queue: int | None = None) -> Report:
    """Look; changes nothing. queue None: one that is free."""
    raw = _control.zrx_nic_report()
    _control.zrx_nic_inspect(interface, _FREE if queue is None else queue, raw)
    return Report(
        interface=interface,
        driver=raw.driver,
        firmware=raw.firmware,
        queue=None if raw.queue == _FREE else raw.queue,
        queue_count=raw.queue_count or None,
        ring_entries=raw.ring_entries or None,
        split=_SPLITS[raw.split],
        hds_thresh=raw.hds_thresh,
        ntuple=bool(raw.ntuple),
        rules=raw.rules,
        rss_entries=raw.rss_entries,
        rss_to_queue=raw.rss_to_queue,
        bound=tuple(name for bit, name in _BOUND.items() if raw.bound & bit),
        checks=checks_of(raw),
    )


def plan(interface: str, queue: int | None = None, port: int | None = None) -> tuple[list[Step], int]:
    """What apply would change, in order, and which queue it would take. Changes nothing."""
    steps, taken = _control.zrx_nic_plan(nic_options(interface, queue, port))
    return [Step(setting, command) for setting, command in steps], taken


def apply(interface: str, queue: int | None = None, port: int | None = None) -> int:
    """Set a queue up until undo(). Returns which."""
    _, taken = _control.zrx_nic_apply(nic_options(interface, queue, port))
    return int(taken)


def undo(interface: str, queue: int | None = None) -> int:
    """Undo apply, for one queue or all. Returns how many set-ups were undone."""
    return int(_control.zrx_nic_undo(interface, _FREE if queue is None else queue))


def restore(interface: str | None = None) -> int:
    """Undo what processes that died have left. Returns how many set-ups were undone."""
    return int(_control.zrx_nic_restore(interface))
