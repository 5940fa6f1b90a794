# SPDX-License-Identifier: MIT
"""NICs: look at one, prove that it receives without copies, set it up ahead of time.

Opening a Receiver sets the NIC up by itself, and puts it back at close.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import _control
from ._info import UNKNOWN, Check, checks_of
from ._receiver import UINT32, HasFileno, fileno, nic_options, number

__all__ = ["Proof", "Report", "Step", "apply", "inspect", "plan", "prove", "restore", "undo"]

_FREE = UINT32  # ZRX_NIC_FREE_QUEUE
_SPLITS = {
    _control.ZRX_NIC_SPLIT_UNKNOWN: None,
    _control.ZRX_NIC_SPLIT_OFF: False,
    _control.ZRX_NIC_SPLIT_ON: True,
}
_VERDICTS = {
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
class Proof:
    """What became of one stream that was received through a queue; checks are the reasons.

    verdict: "zero-copy" (at most one byte in a thousand was copied), "partly", "copied" (nine in ten, or
    more), or "undecided": nothing that this kernel counts decides it. None: the kernel does not tell.
    """

    verdict: str
    bytes: int
    buffers: int
    copied_bytes: int | None
    copied_buffers: int | None
    chunks: int  # of the area, that the stream's buffers began
    nic_chunks: int | None  # that the driver took from the area, at least
    queue_bytes: int | None  # that the queue received, headers included
    queue_packets: int | None
    early_bytes: int  # that lay in the socket before its flow was led to the queue
    alloc_failures: int | None
    queue: int
    queue_napi_id: int | None
    socket_napi_id: int | None
    mtu: int | None
    buffer_bytes: int
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One change, and the ethtool line that is its equal."""

    setting: str
    command: str


def _queue(queue: int | None) -> int:
    return _FREE if queue is None else number("queue", queue, UINT32)


def inspect(interface: str, queue: int | None = None) -> Report:
    """Look; changes nothing. queue None: one that is free."""
    raw = _control.zrx_nic_report()
    _control.zrx_nic_inspect(interface, _queue(queue), raw)
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
    return int(_control.zrx_nic_undo(interface, _queue(queue)))


def restore(interface: str | None = None) -> int:
    """Undo what processes that died have left. Returns how many set-ups were undone."""
    return int(_control.zrx_nic_restore(interface))


def prove(
    interface: str,
    sock: HasFileno | int,
    queue: int | None = None,
    *,
    area_bytes: int = 64 << 20,
    limit: int | None = None,
    timeout: float | None = None,
) -> Proof:
    """Receive a real stream through a queue, drop it, and tell how much of it was copied, and why.

    sock     connected; its peer, on another machine, sends. What is received from it is lost
    limit    stop after so many bytes; None: at the end of the stream. Some hundred MiB are a good sample
    timeout  stop after so many seconds; None: never

    The NIC is set up for it, and is afterwards as it was. Raises what opening a Receiver raises, and
    zcrx.Error with errno ETIMEDOUT if not a byte came.
    """
    if timeout is not None and not timeout >= 0:
        raise ValueError("timeout: seconds, 0 or more, or None")
    options = nic_options(interface, queue, None)
    options.area_bytes = number("area_bytes", area_bytes)
    # More than a century is for ever.
    timeout_ns = math.ceil(timeout * 1e9) if timeout is not None and timeout < 4e9 else -1
    raw = _control.zrx_nic_proof()
    _control.zrx_nic_prove(options, fileno(sock), number("limit", limit or 0), timeout_ns, raw)
    known = {name: getattr(raw, name) for name in Proof.__slots__ if name not in ("verdict", "checks")}
    for name, value in known.items():
        if value == UNKNOWN or (value == 0 and name in ("queue_napi_id", "socket_napi_id", "mtu")):
            known[name] = None
    return Proof(**known, verdict=_VERDICTS[raw.verdict], checks=checks_of(raw))
