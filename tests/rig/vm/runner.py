# SPDX-License-Identifier: MIT
"""The command line and the course of a run, the same for every kind of guest."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cache import VmError
from debapt import check_tools, machine_mirror
from debroot import debian_root, is_cached
from job import Command, Job, job_directory
from kernel_log import read_log, troubles
from sandbox import Sandbox, Stopped, check_namespaces, cpus_for, raise_stop_signals

EXIT_TIMEOUT = 124
EXIT_RIG = 125
EXIT_CANNOT_RUN = 77
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
POLL_SECONDS = 0.01
# Beyond the guest's memory: what its program itself needs in the same file system.
SPARE_BYTES = 64 << 20
LAST_LOG_LINES = 20
EPILOG = """\
exit status: the command's own (128 + N if signal N killed it); 124 if it took too long;
125 if the guest failed or --check-dmesg found trouble; --check: 0, or 77 if it cannot run here."""


@dataclass(frozen=True)
class Guest:
    """What distinguishes one kind of guest from another."""

    name: str
    # Puts into the job's directory what only this kind needs; the program to run in its root.
    program: Callable[[argparse.Namespace, Command, Job], Sequence[str]]
    # Whether its processes take turns, and so are fastest on one CPU (four times and more).
    one_cpu: bool = False


def argument_parser(name: str, summary: str) -> argparse.ArgumentParser:
    """The options that every kind of guest has."""
    parser = argparse.ArgumentParser(
        prog=name,
        description=summary,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--check", action="store_true", help="only say whether it can run here")
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="seconds, boot included (300)"
    )
    parser.add_argument(
        "--memory", type=size_of, default="1G", metavar="SIZE", help="the guest's memory (1G)"
    )
    parser.add_argument(
        "--writable", type=_directory, action="append", default=[], metavar="DIR",
        help="a directory that the command may write to (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--env", type=_assignment, action="append", default=[], metavar="K=V",
        help="add to the environment, which is passed on (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--module", action="append", default=[], metavar="NAME",
        help="a module of the guest's kernel to load, with what it needs (repeatable)",
    )  # fmt: skip
    parser.add_argument("--dmesg", type=Path, metavar="FILE", help="save the kernel's log there")
    parser.add_argument(
        "--check-dmesg", action="store_true", help="fail if the kernel's log tells of trouble"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ARG...")
    return parser


def main(guest: Guest, parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Run what the command line asks for; the exit status."""
    options = parser.parse_args(arguments)
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    if options.check:
        return _check(guest)
    if not words:
        parser.error("no command")
    command = Command(
        arguments=words,
        # Not as the shell names it: links into /tmp are not in the guest's.
        directory=Path.cwd(),
        environment=os.environ | dict(options.env),
        writable=options.writable,
    )
    raise_stop_signals()
    try:
        check_namespaces()
        return _run(guest, options, command)
    except VmError as error:
        return _complain(guest, str(error), EXIT_RIG)
    except Stopped as stop:
        return 128 + stop.number
    except OSError as error:
        return _complain(guest, str(error), EXIT_RIG)


def _check(guest: Guest) -> int:
    try:
        check_namespaces()
        if not is_cached(guest.name):
            check_tools()
            machine_mirror()
    except VmError as error:
        return _complain(guest, str(error), EXIT_CANNOT_RUN)
    return 0


def _run(guest: Guest, options: argparse.Namespace, command: Command) -> int:
    root = debian_root(guest.name)
    with job_directory() as path:
        job = Job(path, command, root / "usr/bin/busybox", guest.name)
        console = path / "console"
        program = guest.program(options, command, job)
        size = options.memory + SPARE_BYTES
        with (
            contextlib.closing(job),
            cpus_for(guest.one_cpu) as cpus,
            Sandbox(root, path, size, program, console, cpus) as sandbox,
        ):
            in_time = _wait(sandbox, job, time.monotonic() + options.timeout)
            # What was written until the very end.
            job.relay_output()
        if options.dmesg:
            shutil.copyfile(job.kernel_log(console), options.dmesg)
        return _outcome(guest, options, job, read_log(console.read_bytes()), in_time)


def _wait(sandbox: Sandbox, job: Job, deadline: float) -> bool:
    """Pass on output until the guest ends; False if it did not in time."""
    while not sandbox.ended(POLL_SECONDS):
        job.relay_output()
        if time.monotonic() > deadline:
            return False
    return True


def _outcome(guest: Guest, options: argparse.Namespace, job: Job, log: str, in_time: bool) -> int:
    status = job.status()
    found = troubles(log) if options.check_dmesg else []
    if found:
        return _complain(guest, "trouble in the kernel's log:\n" + "\n".join(found), EXIT_RIG)
    if status is not None:
        return status
    if not in_time:
        return _complain(guest, f"killed after {options.timeout:g} s", EXIT_TIMEOUT)
    last = "\n".join(log.splitlines()[-LAST_LOG_LINES:])
    return _complain(guest, f"the guest died; the last lines of its console:\n{last}", EXIT_RIG)


def _complain(guest: Guest, text: str, status: int) -> int:
    print(f"{guest.name}: {text}", file=sys.stderr)
    return status


def size_of(text: str) -> int:
    """Bytes: 512M, 2G; MiB without a unit."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "M")
    if not number.isdecimal() or unit not in UNITS:
        raise argparse.ArgumentTypeError(f"not a size: {text!r} (like 512M or 2G)")
    return int(number) * UNITS[unit]


def _directory(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"not a directory: {text}")
    return path


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"not NAME=VALUE: {text!r}")
    return name, value
