# SPDX-License-Identifier: MIT
"""What the stable ABI costs: the extension built with it and without, in turns.

For each, processor time of the receiving thread for a Buffer of 4 KiB that is received, viewed and released.
One wheel for all interpreters is right as long as this is about 1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
import methods, run
bench = run.Bench(int(sys.argv[1]))
method = methods.buffers(4096)
bench.measure(method)
result = bench.measure(method)
bench.close()
print(result.cpu_ns / result.buffers)
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


def measure(library: Path, mebibytes: int) -> float:
    environment = {**os.environ, "PYTHONPATH": f"{library}:{Path(__file__).parent}"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(mebibytes)], env=environment, stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--mebibytes", type=int, default=256)
    settings = parser.parse_args()
    own, stable = build(False), build(True)
    runs = [
        [measure(library, settings.mebibytes) for library in (own, stable, own)]
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
