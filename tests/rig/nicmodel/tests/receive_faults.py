#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""In the rig's guest: whatever the NIC and the cable do wrong, the stream comes whole.

    receive_faults.py PROGRAM [NAME...]

For each fault: ask the model for it, receive a stream by zcrx, demand that every byte is right and
that the fault happened. One line for each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from nicmodel import guest_fault, guest_nic
from nicmodel.tests import stream

QUEUE, PORT = 1, 1
SIZE = 32 << 20
FREE_SECONDS = 10

Figures = dict[str, float | None]
Counters = dict[str, dict[str, int]]


@dataclass
class Fault:
    """What to ask for once the stream flows, the sign that it had an effect, and what undoes it."""

    requests: tuple[dict[str, object], ...] = ()
    happened: Callable[[Counters, Figures], bool] = lambda counters, figures: True
    after: tuple[dict[str, object], ...] = ()


def counted(kind: str, count: int, **more: object) -> Fault:
    """A fault of the receiving port's queue that is counted by the model."""
    request = {"do": kind, "port": PORT, "queue": QUEUE, "count": count, **more}
    return Fault((request,), lambda counters, _: counters["faults"].get(kind, 0) >= count)


LOSSY: dict[str, object] = {"do": "cable", "loss": 0.002, "reorder": 0.002, "seed": 1}
WELL: dict[str, object] = {"do": "cable"}
LATE: dict[str, object] = {"do": "cable", "delay_ns": 2_000_000}
LINK: dict[str, object] = {"do": "link", "up": False, "for_ms": 300}
RESET: dict[str, object] = {"do": "reset", "port": PORT}
TX_VECTORS = range(4)  # gve: those of the transmit queues come first


def lose(count: int) -> tuple[dict[str, object], ...]:
    """Of each transmit queue's interrupts so many, 0: no more of them."""
    return tuple({"do": "lose-interrupt", "port": PORT, "vector": v, "count": count} for v in TX_VECTORS)


# bnxt_en counts an interrupt that did not come (missed_irqs), but does nothing about it. gve looks
# after transmit queues alone: a receive queue whose interrupt was lost is still for ever.
NOT_SURVIVED = {"bnxt": {"lost-interrupt"}, "gve": set[str]()}

FAULTS: dict[str, Fault] = {
    "none": Fault(happened=lambda counters, figures: not figures["copy_count"]),
    "unsplit": counted("unsplit", 3),
    "bad-length": counted("bad-length", 3, value=-3),
    "misdirect": counted("misdirect", 3, value=0),
    "starve": counted("starve", 3),
    "lost-interrupt": Fault(
        lose(1), lambda counters, _: counters["faults"].get("lose-interrupt", 0) > 0, lose(0)
    ),
    "loss": Fault((LOSSY,), lambda counters, _: counters["cable"].get("lost", 0) > 0, (WELL,)),
    "delay": Fault((LATE,), after=(WELL,)),
    "link": Fault((LINK,), lambda counters, _: counters["cable"].get("dropped_link_down", 0) > 0),
    "reset": Fault((RESET,), lambda counters, _: counters["port"].get("resets", 0) > 0),
}


def ask(*requests: dict[str, object]) -> None:
    for request in requests:
        guest_fault.ask(os.environ["ZRX_RIG_IFACE"], request)


def counters() -> Counters:
    """The cable's; the receiving port's, and its faults'."""
    found = guest_fault.ask(os.environ["ZRX_RIG_IFACE"], {"do": "counters"})
    cable, faults, ports = found["cable"], found["faults"], found["ports"]
    assert isinstance(cable, dict) and isinstance(faults, list) and isinstance(ports, list)
    return {"cable": cable, "faults": faults[PORT], "port": ports[PORT]}


def receive(program: str, fault: Fault) -> Figures:
    """A queue is free only a moment after its last owner is gone: try again until it is."""
    deadline = time.monotonic() + FREE_SECONDS
    while True:
        try:
            return stream.receive(program, SIZE, QUEUE, meanwhile=lambda: ask(*fault.requests))
        except stream.StreamError as error:
            if "did not get" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def run(program: str, name: str) -> bool:
    fault = FAULTS[name]
    start = time.monotonic()
    try:
        figures = receive(program, fault)
    except stream.StreamError as error:
        print(f"{name}: FAILED: {error}; {counters()}", flush=True)
        return False
    took = time.monotonic() - start
    ask(*fault.after)
    happened = fault.happened(counters(), figures)
    verdict = "ok" if happened else "FAILED: it did not happen"
    print(f"{name}: {verdict}, {took:.1f} s, copies {figures['copy_count']}", flush=True)
    return happened


def main() -> int:
    program, *names = sys.argv[1:]
    interface = os.environ["ZRX_RIG_IFACE"]
    guest_nic.prepare(interface, QUEUE)
    guest_nic.add_rule(interface, QUEUE, "tcp6", stream.PORT)
    hopeless = NOT_SURVIVED[os.environ["ZRX_RIG_DRIVER"]]
    outcomes = [run(program, name) for name in names or FAULTS if name not in hopeless]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
