# SPDX-License-Identifier: MIT
"""NICs: look at one, prove that it receives without copies, set it up ahead of time.

Opening a Receiver sets the NIC up by itself, and puts it back at close.
"""

from __future__ import annotations

import math

from . import _control, _structs
from ._info import checks_of
from ._options import UINT32, HasFileno, fileno, nic_options, number
from ._structs import Demand, Proof, Report, Step
from ._values import FREE_QUEUE

__all__ = [
    "Demand",
    "Proof",
    "Report",
    "Step",
    "apply",
    "demand",
    "inspect",
    "plan",
    "prove",
    "restore",
    "undo",
]


def _queue(queue: int | None) -> int:
    return FREE_QUEUE if queue is None else number("queue", queue, UINT32)


def inspect(interface: str, queue: int | None = None) -> Report:
    """Look; changes nothing. queue None: one that is free."""
    raw = _control.zrx_nic_report()
    _control.zrx_nic_inspect(interface, _queue(queue), raw)
    return _structs.read_report(raw, interface, checks_of(raw))


def demand(interface: str, queue: int | None = None, *, buffer_bytes: int = 0) -> Demand:
    """What a queue takes of an area before anything is received, and which size an area should have there."""
    options = nic_options(interface, queue, None)
    options.buffer_bytes = number("buffer_bytes", buffer_bytes, UINT32)
    raw = _control.zrx_nic_demand()
    _control.nic_demand(options, raw)
    return _structs.read_demand(raw)


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
    area_bytes: int = 0,
    limit: int | None = None,
    timeout: float | None = None,
) -> Proof:
    """Receive a real stream through a queue, drop it, and tell how much of it was copied, and why.

    sock        connected; its peer, on another machine, sends. What is received from it is lost
    area_bytes  0: what the queue needs
    limit       stop after so many bytes; None: at the end of the stream. Some hundred MiB are a good sample
    timeout     stop after so many seconds; None: never

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
    return _structs.read_proof(raw, checks_of(raw))
