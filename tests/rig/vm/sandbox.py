# SPDX-License-Identifier: MIT
"""Run a guest's program in namespaces of its own, and never leave anything of it behind."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from cache import VmError, cache_directory

ENTER = Path(__file__).resolve().parent / "sandbox.sh"
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_CHILD_SUBREAPER = 36


class Stopped(Exception):  # noqa: N818  (no error: the user's wish)
    """A signal asks this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.number = number


def check_namespaces() -> None:
    """Complain unless namespaces can be made here."""
    if os.geteuid() != 0:
        raise VmError("not root: the guest needs mount and process namespaces")
    for tool in ("unshare", "setpriv", "taskset"):
        if not shutil.which(tool):
            raise VmError(f"{tool} is not installed (package util-linux)")
    if subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode:
        raise VmError("no permission to make namespaces (a container without CAP_SYS_ADMIN?)")


def raise_stop_signals() -> None:
    """Make the signals that end a program raise Stopped, so that it cleans up."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    for each in STOP_SIGNALS:
        signal.signal(each, stop)


@contextlib.contextmanager
def cpus_for(one_cpu: bool) -> Iterator[list[int]]:
    """The CPUs to run on: all, or one that no other such guest has taken, if there is one."""
    allowed = list(os.sched_getaffinity(0))
    if not one_cpu:
        yield allowed
        return
    random.shuffle(allowed)
    with contextlib.ExitStack() as locks:
        for cpu in allowed:
            lock = locks.enter_context((cache_directory() / f"cpu-{cpu}.lock").open("w"))
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield [cpu]
                return
        yield allowed[:1]


class Sandbox:
    """A running program of a Debian root; ended and reaped when the with block ends.

    Its processes die with this one, even if this one is killed.
    """

    def __init__(
        self,
        root: Path,
        job: Path,
        tmpfs_bytes: int,
        command: Sequence[str],
        log: Path,
        cpus: Iterable[int],
    ) -> None:
        # Whatever the namespace's parent leaves behind comes to this process to be reaped.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        enter = [str(ENTER), str(root), str(job), str(tmpfs_bytes), *command]
        pinned = ["taskset", "-c", ",".join(map(str, cpus))]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *pinned, *NAMESPACES, "/bin/sh", *enter],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        while True:
            try:
                os.wait()
            except ChildProcessError:
                return

    def ended(self, wait_seconds: float) -> bool:
        """Wait for at most so long; whether the program has ended."""
        try:
            self._process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True
