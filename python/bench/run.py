# SPDX-License-Identifier: MIT
"""Measure the Python package against the C core and against what Python has.

Two ways at a time, alternating, over loopback; medians of the ratios of neighbours. The base of each pair
runs twice a round: the spread between its two medians says what a figure is worth. Sender and receiver are
pinned, each to a processor, and run at real-time priority where that is allowed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import methods
import per_buffer
from methods import Method, Result

ROOT = Path(__file__).resolve().parents[2]
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
    source = ROOT / "python" / "src"
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
            begin = time.perf_counter()
            result = method(sock)
            result.seconds = time.perf_counter() - begin
        if result.bytes != self.mebibytes << 20:
            raise RuntimeError(f"{result.bytes} bytes arrived")
        return result

    def close(self) -> None:
        self.sender.stdin.close()
        self.sender.wait(10)


def compare(bench: Bench, base: Method, candidate: Method, rounds: int) -> dict[str, float]:
    """Rounds of base, candidate, base; the first is for warming up."""
    runs = [[bench.measure(method) for method in (base, candidate, base)] for _ in range(rounds + 1)][1:]
    ratios = [(a.seconds + c.seconds) / 2 / b.seconds for a, b, c in runs]
    spread = statistics.median(a.seconds for a, _, _ in runs) / statistics.median(
        c.seconds for _, _, c in runs
    )
    return {
        "value": round(statistics.median(ratios), 3),
        "aa_spread": round(abs(spread - 1), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
        "base_gb_per_s": round(
            bench.mebibytes * 2**20 / 1e9 / statistics.median(a.seconds for a, _, _ in runs), 3
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench/python.json")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mebibytes", type=int, default=256)
    parser.add_argument("--only", metavar="KEY,...", help=f"of {', '.join(PAIRS)}")
    settings = parser.parse_args()
    library = build_core()
    known = all_methods(library)
    bench = Bench(settings.mebibytes)
    result: dict[str, object] = {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "engine": methods.ENGINE,
        "rounds": settings.rounds,
        "mebibytes": settings.mebibytes,
        "load": os.getloadavg()[0],
    }
    try:
        for key in settings.only.split(",") if settings.only else PAIRS:
            base, candidate, bar = PAIRS[key]
            figures = compare(bench, known[base], known[candidate], settings.rounds)
            met = figures["value"] >= bar * (1 - figures["aa_spread"])
            result[key] = {**figures, "bar": bar, "met": met}
            print(
                f"{key:26} {figures['value']:7.3f}  bar {bar:5.2f}  A/A {figures['aa_spread']:.3f}",
                flush=True,
            )
        if not settings.only:
            result["ns_per_buffer"] = per_buffer.measure(library, 40 * settings.rounds)
            print(f"{'ns_per_buffer':26} {result['ns_per_buffer']}")
    finally:
        bench.close()
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    settings.output.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
