# SPDX-License-Identifier: MIT
"""The conformance scenarios in Python: python -m conformance [--engine E,...] [--scenario GLOB,...] [--fast]

What counts as left behind: descriptors, threads, and mappings of the area's size.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sys
import threading
from collections import Counter
from fnmatch import fnmatch

import zcrx

from .course import Course, area_bytes
from .scenario import Scenario, load

SECONDS, SECONDS_LARGE = 30, 120


def area_mappings(size: int) -> int:
    count = 0
    with open("/proc/self/maps") as maps:
        for line in maps:
            first, _, last = line.split()[0].partition("-")
            count += int(last, 16) - int(first, 16) == size
    return count


def left_behind(scenario: Scenario, engine: str) -> dict[str, int]:
    gc.collect()
    size = area_bytes(scenario, engine)
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "areas": area_mappings(size) if size > 1 << 20 else 0,
    }


def reason_to_skip(scenario: Scenario, engine: str, fast: bool) -> str:
    if scenario.engines != "all" and engine not in scenario.engines.split(","):
        return f"engines={scenario.engines}"
    return "size=large" if fast and scenario.size == "large" else ""


def run(scenario: Scenario, engine: str, seconds: float) -> str:
    """Empty if it passed, else why it failed."""
    if scenario.unknown:
        return f"not known: {' '.join(scenario.unknown)}"
    before = left_behind(scenario, engine)
    try:
        for _ in range(scenario.repeat):
            Course(scenario, engine, seconds).run()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    after = left_behind(scenario, engine)
    return "" if after == before else f"left behind: {before} before, {after} after"


def main() -> int:
    parser = argparse.ArgumentParser(prog="conformance")
    parser.add_argument("--engine", default="multishot,recv", help="comma-separated")
    parser.add_argument("--scenario", default="*", metavar="GLOB,...")
    parser.add_argument("--seconds", type=float, help=f"for each ({SECONDS}; large: {SECONDS_LARGE})")
    parser.add_argument("--fast", action="store_true", help="leave size=large out")
    settings = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.stack_size(1 << 19)  # a stack of 8 MiB would look like an area
    globs = settings.scenario.split(",")
    scenarios = [s for s in load() if any(fnmatch(s.name, glob) for glob in globs)]
    total: Counter[str] = Counter()
    for engine in settings.engine.split(","):
        print(f"# engine {engine}, Python {sys.version.split()[0]}, zcrx {zcrx.__version__}")
        for scenario in scenarios:
            if skip := reason_to_skip(scenario, engine, settings.fast):
                print(f"skip {scenario.name}: {skip}")
                total["skipped"] += 1
                continue
            usual = SECONDS_LARGE if scenario.size == "large" else SECONDS
            failure = run(scenario, engine, settings.seconds or usual)
            print(f"FAIL {scenario.name}: {failure}" if failure else f"ok {scenario.name}", flush=True)
            total["failed" if failure else "passed"] += 1
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not scenarios else 0


if __name__ == "__main__":
    sys.exit(main())
