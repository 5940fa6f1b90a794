#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Build the core for another system than this one, and test it there.

    tests/builds/run.py TARGET [PART...]     parts: unit sim conformance (all, if none is named)
    tests/builds/run.py compile              only compile the one-file core, for all targets

Foreign programs run in an emulator, which has no io_uring: engine recv then. --page: how large it makes pages.
What is built is in build/builds/TARGET.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from targets import ROOT, TARGETS, Target, VmError, zig

OUT = Path("build/builds")
PARTS = ("unit", "sim", "conformance")
STRICT = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fvisibility=hidden")
# Of the emulated processors; QEMU's emulator of programs has no SO_COOKIE, by which a stream knows its socket.
NEED_A_KERNEL = ("buffer", "engines", "fork", "info", "receiver", "socket", "stream_life", "thread")
SEEDS = "1-200"
SECONDS = 120


def call(*command: object) -> bool:
    """Whether it succeeds. What another make was told is not for this one."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"
    }
    words = [str(word) for word in command]
    try:
        return subprocess.run(words, cwd=ROOT, env=clean, timeout=900, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{words[0]}: not ready after 900 s")
        return False


def compile_all() -> bool:
    """The one-file core, as the packages compile it."""
    well = True
    (ROOT / OUT).mkdir(parents=True, exist_ok=True)
    for name, target in TARGETS.items():
        include = ["-isystem", target.libraries / "usr/include", "-Ibindings/amalgamation"]
        compiler = [zig(), "cc", "-target", target.triple, *STRICT, *include]
        compiled = call(*compiler, "-c", "bindings/amalgamation/zcrx.c", "-o", OUT / f"{name}.o")
        print(f"{'ok' if compiled else 'FAIL'} {name}: the one-file core for {target.triple}", flush=True)
        well &= compiled
    return well


def simulation(folder: Path, target: Target) -> Path:
    """musl has no contexts for the simulated threads to be: there they are real ones."""
    return folder / ("sim/sim-threads" if target.static else "sim/sim")


def build(folder: Path, target: Target, parts: Sequence[str]) -> bool:
    variables = [f"{name}={value}" for name, value in target.variables().items()]
    programs = {
        "unit": "unit",
        "sim": simulation(folder, target),
        "conformance": folder / "tests/conformance-c",
    }
    goals = [programs[part] for part in parts]
    if target.static and "conformance" in parts:
        goals.append(folder / "tests/conformance")
    if not target.static:
        goals.append(folder / "libzcrx.so")
    return call("make", "-s", "-j2", "DEPS=:", "WERROR=1", f"B={folder}", *variables, *goals)


def too_new(library: Path, triple: str) -> list[str]:
    """What the shared library needs of a newer glibc than the target's."""
    wanted = tuple(map(int, triple.partition("gnu.")[2].split(".")))
    dump = subprocess.run(["objdump", "-T", library], capture_output=True, text=True, check=True).stdout
    found = set(re.findall(r"GLIBC_([\d.]+)", dump))
    return sorted(version for version in found if tuple(map(int, version.split("."))) > wanted)


def run_unit(folder: Path, emulator: Sequence[str]) -> bool:
    well = True
    tests = sorted(path for path in (ROOT / folder / "tests/unit").iterdir() if path.is_file())
    if emulator:
        print(f"unit: in tests/builds/guest alone: {' '.join(NEED_A_KERNEL)}")
        tests = [path for path in tests if path.name not in NEED_A_KERNEL]
    for test in tests:
        if not call("timeout", SECONDS, *emulator, test):
            print(f"FAIL {test.name}", flush=True)
            well = False
    print(f"unit: {len(tests)} programs", flush=True)
    return well and bool(tests)


def run_conformance(folder: Path, emulator: Sequence[str]) -> bool:
    """The driver is this machine's own, the executor the target's."""
    if not call("make", "-s", "DEPS=:", "build/tests/conformance"):
        return False
    executor = shlex.join([*emulator, str(ROOT / folder / "tests/conformance-c")])
    engines = "recv" if emulator else "multishot,recv"
    options = ["--engine", engines, "--fast", "--jobs", "2", "--seconds", SECONDS]
    return call("build/tests/conformance", *options, "--executor", executor)


def test(name: str, parts: Sequence[str], page_bytes: int) -> bool:
    target, folder = TARGETS[name], OUT / name
    if not build(folder, target, parts):
        print(f"builds: {name} does not build")
        return False
    if not target.static and (versions := too_new(ROOT / folder / "libzcrx.so", target.triple)):
        print(f"builds: {name}: libzcrx.so needs GLIBC {', '.join(versions)}")
        return False
    emulator = target.emulator(page_bytes)
    runs = {
        "unit": lambda: run_unit(folder, emulator),
        "sim": lambda: call(*emulator, simulation(folder, target), SEEDS),
        "conformance": lambda: run_conformance(folder, emulator),
    }
    failed = [part for part in parts if not runs[part]()]
    if failed:
        print(f"builds: {name}: failed: {', '.join(failed)}")
    return not failed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=["compile", *TARGETS])
    parser.add_argument("parts", nargs="*", metavar="PART", help="unit, sim, conformance")
    parser.add_argument("--page", type=int, default=4096, help="bytes, in the emulator (4096)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    try:
        if options.target == "compile":
            return not compile_all()
        return not test(options.target, options.parts or PARTS, options.page)
    except VmError as error:
        print(f"builds: {options.target} cannot be tried here: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
