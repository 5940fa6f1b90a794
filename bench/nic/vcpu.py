# SPDX-License-Identifier: MIT
"""The guest's receiving processor, seen from this machine: a thread of QEMU.

A guest cannot see that its processor was kept from running, and counts that time as busy. So the thread goes
before all else on a processor of this machine, where that is allowed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BOOT_SECONDS = 60


def entries(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []  # the process has ended


def content(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def threads(process: int) -> Iterator[Path]:
    """Those of the process and of all that come from it."""
    for thread in entries(Path("/proc", str(process), "task")):
        yield thread
        for child in content(thread / "children").split():
            yield from threads(int(child))


def thread_named(name: str, root: int) -> int | None:
    for thread in threads(root):
        if content(thread / "comm") == name:
            return int(thread.name)
    return None


def find(number: int, rig: subprocess.Popen[bytes]) -> int | None:
    """The thread of the processor with this number. None if the rig ends before it begins: it tells why."""
    deadline = time.monotonic() + BOOT_SECONDS
    while rig.poll() is None and time.monotonic() < deadline:
        thread = thread_named(f"CPU {number}/TCG", rig.pid)
        if thread is not None:
            return thread
        time.sleep(0.1)
    return None


def favour(thread: int) -> None:
    try:
        os.sched_setaffinity(thread, {max(os.sched_getaffinity(0))})
        os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError as error:
        print(f"bench-nic: no real-time priority, expect more spread: {error}", file=sys.stderr)
