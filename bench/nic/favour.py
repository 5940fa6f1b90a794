# SPDX-License-Identifier: MIT
"""Let the guest's receiving processor run undisturbed.

A guest cannot see that its processor was taken away from it, and counts that time as busy. So its thread in
QEMU gets a processor of this machine, and goes before everything else there, where that is allowed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BOOT_SECONDS = 60


def children(process: int) -> Iterator[int]:
    """The process and all that come from it."""
    yield process
    try:
        for thread in (Path("/proc") / str(process) / "task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from children(int(child))
    except OSError:
        return  # it has ended


def thread_named(name: str, root: int) -> int | None:
    for process in children(root):
        for thread in Path("/proc", str(process), "task").glob("[0-9]*"):
            try:
                if (thread / "comm").read_text().strip() == name:
                    return int(thread.name)
            except OSError:
                continue
    return None


def favour(number: int, root: int) -> None:
    """The guest's processor of this number, wherever it is below process `root`."""
    deadline = time.monotonic() + BOOT_SECONDS
    while (thread := thread_named(f"CPU {number}/TCG", root)) is None:
        if time.monotonic() > deadline or os.waitid(os.P_PID, root, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return  # the rig says itself what went wrong
        time.sleep(0.1)
    try:
        os.sched_setaffinity(thread, {max(os.sched_getaffinity(0))})
        os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError as error:
        print(f"bench-nic: no real-time priority, expect more spread: {error}", file=sys.stderr)
