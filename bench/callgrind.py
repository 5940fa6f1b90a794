# SPDX-License-Identifier: MIT
"""Instructions in user space, counted by callgrind: of a whole run, or told apart by functions."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NAMED = re.compile(r"(c?fn)=\((\d+)\)(?: (.*))?")
CALLS = re.compile(r"calls=(\d+)")


@dataclass
class Profile:
    """What one run executed."""

    buffers: int = 0
    own: dict[str, int] = field(
        default_factory=lambda: defaultdict(int)
    )  # by function, without what it calls
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    inclusive: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # of those calls

    def total(self, without: tuple[str, ...] = ()) -> int:
        return sum(cost for name, cost in self.own.items() if not name.startswith(without or ("\0",)))


def parse(lines: Iterable[str]) -> Profile:
    """Of a file of callgrind's. A line of cost after `calls=` is what the call took; any other is the function's own."""
    profile = Profile()
    names: dict[str, str] = {}
    current = called = ""
    calls = 0
    for line in lines:
        named = NAMED.match(line)
        if named:
            kind, number, name = named.groups()
            if name is not None:
                names[number] = name
            if kind == "fn":
                current = names[number]
            else:
                called = names[number]
        elif found := CALLS.match(line):
            calls = int(found[1])
        elif line[:1].isdigit() or line[:1] in "+-*":
            cost = sum(map(int, line.split()[1:2]))  # left out where it is 0
            if calls:
                profile.calls[called] += calls
                profile.inclusive[called] += cost
                calls = 0
            else:
                profile.own[current] += cost
    return profile


def run(command: Sequence[str], timeout: float) -> Profile:
    """Of the process itself, not of those it starts. It prints how many buffers it received."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/%p", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        if process.returncode:
            raise RuntimeError(f"callgrind of {' '.join(command)}: status {process.returncode}")
        profile = parse((Path(folder) / str(process.pid)).read_text().splitlines())
    if not profile.own:
        raise RuntimeError("callgrind counted nothing")
    profile.buffers = json.loads(output)["buffers"]
    return profile
