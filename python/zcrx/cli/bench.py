# SPDX-License-Identifier: MIT
"""measure the engines against epoll and TCP_ZEROCOPY_RECEIVE

Over loopback, or from another machine: there run `zcrx bench --send HOST:PORT`, here
`zcrx bench --listen HOST:PORT --interface I`. Methods take turns; figures are medians. Placement "same" puts
the loopback sender on the receiver's core, "apart" on another one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from .. import probe
from . import view
from .arguments import address, positive
from .bench_methods import Outcome, receive
from .listen import listen

_GIVE_UP_S = 60
_SENDER = "import sys; from zcrx.cli.bench import send; send(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))"


def describe(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    parser.add_argument("--bytes", type=positive, default=256 << 20, help="of each run (256 MiB)")
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument(
        "--methods", metavar="M,...", help="of epoll, tcp-zerocopy, recv, multishot, zcrx-nodev, zcrx"
    )
    parser.add_argument("--placement", choices=("same", "apart", "both"), default="both")
    parser.add_argument("--interface", metavar="I", help="measure engine zcrx on this NIC, too")
    parser.add_argument(
        "--listen", type=address, metavar="HOST:PORT", help="take streams from a remote sender"
    )
    parser.add_argument("--send", type=address, metavar="HOST:PORT", help="be the remote sender")
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument("--plot", metavar="FILE", help="write a PNG or SVG (needs matplotlib: zcrx[plot])")


def send(host: str, port: int, count: int) -> int:
    """Send so many bytes to whoever listens, again and again, until nobody does. Returns how often."""
    piece = bytes(1 << 20)
    sent = 0
    while True:
        try:
            sock = socket.create_connection((host, port), timeout=_GIVE_UP_S)
        except ConnectionRefusedError:
            return sent
        except ConnectionResetError:  # nobody listens since this one began to connect
            continue
        sent += 1
        with sock, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            left = count
            while left:
                left -= sock.send(piece[: min(left, len(piece))])
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)  # until the other side has read everything


def _methods(settings: argparse.Namespace) -> list[str]:
    engines = probe().engines
    known = ["epoll", "tcp-zerocopy", "recv"]
    known += [name for name in ("multishot", "zcrx-nodev") if name in engines]
    known += ["zcrx"] if settings.interface else []
    if not settings.methods:
        return [name for name in known if name != "zcrx-nodev"]
    wanted: list[str] = settings.methods.split(",")
    for name in wanted:
        if name not in known:
            raise ValueError(f"--methods: no {name!r} here; there are {', '.join(known)}")
    return wanted


@contextlib.contextmanager
def _placed(settings: argparse.Namespace, placement: str, listener: socket.socket) -> Iterator[None]:
    """The receiver on one core; a local sender where the placement says."""
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    os.sched_setaffinity(0, cores[:1])
    sender = None
    try:
        if not settings.listen:
            host, port = listener.getsockname()[:2]
            command = [sys.executable, "-c", _SENDER, host, str(port), str(settings.bytes)]
            sender = subprocess.Popen(command, process_group=0)  # Ctrl-C is for us, who end it
            os.sched_setaffinity(sender.pid, cores[:1] if placement == "same" else cores[-1:])
        yield
    finally:
        if sender:
            sender.kill()
            sender.wait()
        os.sched_setaffinity(0, before)


def _accept(listener: socket.socket) -> socket.socket:
    try:
        return listener.accept()[0]
    except TimeoutError:
        raise TimeoutError(f"nobody connected within {_GIVE_UP_S} s: there, run zcrx bench --send") from None


def _measure(settings: argparse.Namespace, placement: str, methods: list[str]) -> dict[str, list[Outcome]]:
    outcomes: dict[str, list[Outcome]] = {name: [] for name in methods}
    with contextlib.ExitStack() as stack:
        where = settings.listen
        listener = stack.enter_context(listen(where) if where else socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(_GIVE_UP_S)
        with _placed(settings, placement, listener):
            for number in range(settings.rounds + 1):
                for name in methods:
                    with _accept(listener) as sock:
                        outcome = receive(name, sock, settings.interface)
                    if number:  # the first round is for warming up
                        outcomes[name].append(outcome)
    return outcomes


def _summary(outcomes: list[Outcome], base: float) -> dict[str, Any]:
    rates = [outcome.bytes / outcome.seconds / 1e9 for outcome in outcomes]
    rate = statistics.median(rates)
    return {
        "gb_per_s": round(rate, 3),
        "least": round(min(rates), 3),
        "most": round(max(rates), 3),
        "cpu_s_per_gb": round(statistics.median(o.cpu_s / o.bytes * 1e9 for o in outcomes), 3),
        "vs_first": round(rate / base, 3) if base else 1.0,
        "mapped": round(statistics.median(o.mapped / o.bytes for o in outcomes), 3),
    }


def _plot(result: dict[str, Any], path: str) -> None:
    try:
        import matplotlib as mpl
    except ImportError:
        raise ValueError("--plot needs matplotlib: pip install 'zcrx[plot]'") from None
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    placements = result["placements"]
    width = 0.8 / len(placements)
    for shift, (placement, methods) in enumerate(placements.items()):
        places = [index + shift * width for index in range(len(methods))]
        axes.bar(places, [m["gb_per_s"] for m in methods.values()], width, label=f"{placement} core")
        axes.set_xticks(places, list(methods))
    axes.set_ylabel("GB/s")
    axes.set_title(f"Linux {result['kernel']}, {result['path']}")
    axes.legend()
    figure.savefig(path)


def run(settings: argparse.Namespace) -> int:
    """Measure and tell; or send."""
    if settings.send:
        host, port = settings.send
        if not send(host, port, settings.bytes):
            raise ConnectionRefusedError(f"nobody listens at {host} port {port}")
        return 0
    methods = _methods(settings)
    placements = ("same", "apart") if settings.placement == "both" else (settings.placement,)
    if len(os.sched_getaffinity(0)) < 2 or settings.listen:
        placements = placements[:1]
    result: dict[str, Any] = {
        "kernel": platform.release(),
        "path": settings.interface or ("network" if settings.listen else "loopback"),
        "bytes": settings.bytes,
        "rounds": settings.rounds,
        "load": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
        "placements": {},
    }
    for placement in placements:
        figures: dict[str, Any] = {}
        for name, outcomes in _measure(settings, placement, methods).items():
            base = next(iter(figures.values()))["gb_per_s"] if figures else 0.0
            figures[name] = _summary(outcomes, base)
        result["placements"][placement] = figures
    if settings.plot:
        _plot(result, settings.plot)
    if settings.json:
        view.print_json(result)
        return 0
    columns = (
        "sender's core",
        "method",
        "GB/s",
        "least",
        "most",
        "CPU s/GB",
        f"against {methods[0]}",
        "mapped",
    )
    rows = [
        (placement, name, *(str(value) for value in figures.values()))
        for placement, by_method in result["placements"].items()
        for name, figures in by_method.items()
    ]
    view.table(columns, rows)
    return 0
