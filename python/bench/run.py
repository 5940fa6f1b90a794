# SPDX-License-Identifier: MIT
"""Measure the Python package against the C core and against what Python has.

Two ways at a time, alternating, over loopback; medians of the ratios of neighbours. The base of each pair
runs twice a round: the spread between its two medians says what a figure is worth. Sender and receiver are
pinned, each to a processor, and run at real-time priority where that is allowed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import methods
import per_buffer
from methods import Method, Result

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "bench"))

import figure  # noqa: E402
from figure import Figure  # noqa: E402

SENDER = """
import os, socket, sys
piece = bytes(1 << 20)
for line in sys.stdin:
    port, count = map(int, line.split())
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for _ in range(count):
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
"""
# key: base, candidate, bar (at least)
PAIRS = {
    "py_buffers_vs_core_4k": ("core_4k", "buffers_4k", 0.70),
    "py_batch_vs_core_4k": ("core_4k", "batch_4k", 0.95),
    "py_buffers_vs_core_64k": ("core_64k", "buffers_64k", 0.97),
    "py_vs_recv_into_64k": ("recv_into", "buffers_64k", 1.00),
    "aio_vs_streams": ("streams", "aio", 4.0),
    "aio_vs_buffered_protocol": ("buffered_protocol", "aio", 1.00),
}


def build_core() -> Path:
    library = ROOT / "build" / "python" / "core_loop.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    source = ROOT / "bindings" / "amalgamation"
    command = [
        "gcc",
        "-std=c11",
        "-O2",
        "-fPIC",
        "-shared",
        "-fvisibility=hidden",
        "-D_GNU_SOURCE",
        f"-I{source}",
    ]
    command += [str(ROOT / "python/bench/core_loop.c"), str(source / "zcrx.c"), "-o", str(library)]
    subprocess.run([*command, "-luring", "-lmnl", "-lpthread"], check=True)
    return library


def all_methods(library: Path) -> dict[str, Method]:
    return {
        "core_4k": methods.core(library, 4096),
        "core_64k": methods.core(library, 65536),
        "buffers_4k": methods.buffers(4096),
        "buffers_64k": methods.buffers(65536),
        "batch_4k": methods.batches(4096),
        "recv_into": methods.recv_into,
        "aio": methods.aio,
        "streams": methods.streams,
        "buffered_protocol": methods.buffered_protocol,
    }


def favour(pid: int, cpus: list[int]) -> None:
    """Pin a process, and let nothing else take its processor."""
    os.sched_setaffinity(pid, cpus)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


def in_child(method: Method, sock: socket.socket) -> Result:
    """In a process of its own: what one method does to the allocator, the others do not find.

    Once a large block was freed glibc maps fewer of them, and StreamReader is five times as fast.
    """
    source, target = os.pipe()
    child = os.fork()
    if not child:
        try:
            with os.fdopen(target, "w") as pipe:
                begin = time.perf_counter()
                result = method(sock)
                result.seconds = time.perf_counter() - begin
                json.dump(dataclasses.asdict(result), pipe)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(target)
    with os.fdopen(source) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError("a method failed")
    return Result(**json.loads(text))


class Bench:
    def __init__(self, mebibytes: int) -> None:
        self.mebibytes = mebibytes
        self.sender = subprocess.Popen([sys.executable, "-c", SENDER], stdin=subprocess.PIPE, text=True)
        cpus = sorted(os.sched_getaffinity(0))
        favour(self.sender.pid, cpus[:1])
        favour(0, cpus[-1:])

    def measure(self, method: Method) -> Result:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.sender.stdin.write(f"{listener.getsockname()[1]} {self.mebibytes}\n")
            self.sender.stdin.flush()
            sock, _ = listener.accept()
        with sock:
            result = in_child(method, sock)
        if result.bytes != self.mebibytes << 20:
            raise RuntimeError(f"{result.bytes} bytes arrived")
        return result

    def close(self) -> None:
        self.sender.stdin.close()
        self.sender.wait(10)


def compare(bench: Bench, known: dict[str, Method], key: str, rounds: int) -> Figure:
    """Rounds of base, candidate, base; the first is for warming up."""
    base, candidate, bar = known[PAIRS[key][0]], known[PAIRS[key][1]], PAIRS[key][2]
    runs = [[bench.measure(method) for method in (base, candidate, base)] for _ in range(rounds + 1)][1:]
    ratios = [(a.seconds + c.seconds) / 2 / b.seconds for a, b, c in runs]
    first, last = (statistics.median(run[at].seconds for run in runs) for at in (0, 2))
    return Figure(key, statistics.median(ratios), abs(first / last - 1), bar)


def measured(bench: Bench, library: Path, settings: argparse.Namespace) -> Iterator[Figure]:
    known = all_methods(library)
    for key in settings.only.split(",") if settings.only else PAIRS:
        yield compare(bench, known, key, settings.rounds)
    if not settings.only:
        yield from per_buffer.measure(library, 40 * settings.rounds)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench/python.json")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--only", metavar="KEY,...", help=f"of {', '.join(PAIRS)}")
    settings = parser.parse_args()
    library = build_core()
    bench = Bench(settings.mebibytes)
    found: list[Figure] = []
    print(f"Python {platform.python_version()}, engine {methods.ENGINE}, load {os.getloadavg()[0]:.1f}")
    print(figure.HEADING)
    try:
        for one in measured(bench, library, settings):
            found.append(one)
            print(one.line(), flush=True)
    finally:
        bench.close()
    figure.write(settings.output, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
