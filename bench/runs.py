# SPDX-License-Identifier: MIT
"""A run: one line of JSON that a program prints of one side, and what is made of several of them."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

GIB = 1 << 30

Run = Mapping[str, float]
Runs = Sequence[Run]
Of = Callable[[Run], float]


def output_of(command: Sequence[str], timeout: float, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def run_of(command: Sequence[str], timeout: float, cwd: Path | None = None) -> Run:
    run: Run = json.loads(output_of(command, timeout, cwd))
    return run


def throughput(run: Run) -> float:
    return run["bytes"] / run["seconds"]


def cpu_per_gib(run: Run) -> float:
    return run["cpu_seconds"] / (run["bytes"] / GIB)


def median(runs: Iterable[Run], of: Of) -> float:
    return statistics.median(map(of, runs))


def own_spread(runs: Runs, of: Of) -> float:
    """Of a side by itself: the first runs of all rounds against the second ones."""
    second = median(runs[1::2], of)
    return abs(1 - median(runs[::2], of) / second) if second else 0.0
