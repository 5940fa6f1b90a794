# SPDX-License-Identifier: MIT
"""What in a guest's kernel log means that the kernel found something wrong."""

from __future__ import annotations

import re

TROUBLE = re.compile(
    r"WARNING:|BUG:|\bOops\b|Call Trace:|Kernel panic|refcount_t:|memory leak|\bleaked\b"
    r"|UBSAN:|KASAN:|KFENCE:|general protection|INFO: task .* blocked|rcu.*(stall|starved)"
    r"|possible circular locking|Bad page state|stalled pool shutdown"
)


def troubles(log: str) -> list[str]:
    """The lines of LOG that tell of trouble, in their order."""
    return [line for line in log.splitlines() if TROUBLE.search(line)]


def read_log(data: bytes) -> str:
    """A console's output as text with plain line ends."""
    return data.decode(errors="replace").replace("\r", "")
