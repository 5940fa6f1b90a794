# SPDX-License-Identifier: MIT
"""What the stable ABI costs: the extension built with it and without, in turns.

For each, ns_per_buffer as in per_buffer.py. One wheel for all interpreters is right as long as the ratio is
about 1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from run import build_core

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import pathlib, sys
import per_buffer, run
run.favour(0, sorted(run.os.sched_getaffinity(0))[-1:])
print(per_buffer.measure(pathlib.Path(sys.argv[1]), int(sys.argv[2]))[0].value)
"""


def build(stable: bool) -> Path:
    """The package, in a folder of its own."""
    base = ROOT / "build" / "python" / f"abi-{'stable' if stable else 'own'}"
    environment = {**os.environ, "ZCRX_STABLE_ABI": str(int(stable))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = [sys.executable, "-W", "ignore", "setup.py", "-q", "build", "--build-base", str(base)]
    command += ["--build-lib", str(base / "lib")]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return base / "lib"


def measure(package: Path, core: Path, pieces: int) -> float:
    environment = {**os.environ, "PYTHONPATH": f"{package}:{Path(__file__).parent}"}
    command = [sys.executable, "-c", RUN, str(core), str(pieces)]
    return float(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pieces", type=int, default=200)
    settings = parser.parse_args()
    own, stable, core = build(False), build(True), build_core()
    runs = [
        [measure(package, core, settings.pieces) for package in (own, stable, own)]
        for _ in range(settings.rounds)
    ]
    first, middle, last = map(statistics.median, zip(*runs, strict=True))
    result = {
        "own_ns": round((first + last) / 2, 1),
        "stable_ns": round(middle, 1),
        "ratio": round(statistics.median(2 * b / (a + c) for a, b, c in runs), 3),
        "aa_spread": round(abs(first / last - 1), 3),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
