# SPDX-License-Identifier: MIT
"""show a NIC's settings, prove that it does not copy, set a queue up, put settings back

Without --apply setup and restore change nothing: the plan is printed. Receivers set the NIC up and put it
back by themselves; this is for looking, for setting up ahead of time, and for what a killed process has left.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rich.markup import escape

from .. import Error, nic
from . import view
from .arguments import address, positive, queue, seconds
from .ending import signals_wait
from .listen import listen


def describe(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="one interface: settings, and what zero-copy needs of them")
    prove = actions.add_parser(
        "prove", help="receive one connection, and tell how much of it was copied, and why"
    )
    setup = actions.add_parser("setup", help="prepare a queue; prints the plan unless --apply is given")
    restore = actions.add_parser(
        "restore", help="undo what dead processes left, and, of an interface that is named, set-ups"
    )
    for action in (show, prove, setup):
        action.add_argument("interface")
    restore.add_argument("interface", nargs="?", help="default: what dead processes left on any interface")
    for action in (show, prove, setup, restore):
        action.add_argument("--queue", type=queue, metavar="Q")
        action.add_argument("--json", action="store_true", help="print one object")
    prove.add_argument(
        "--listen", type=address, required=True, metavar="HOST:PORT", help="where the peer sends to"
    )
    prove.add_argument("--area-bytes", type=positive, default=0, metavar="BYTES", help="what the queue needs")
    prove.add_argument("--limit", type=positive, metavar="BYTES", help="stop after so many")
    prove.add_argument("--timeout", type=seconds, metavar="S", help="stop after so many seconds")
    setup.add_argument("--port", type=int, metavar="P", help="lead this local TCP port to the queue")
    setup.add_argument("--apply", action="store_true", help="make the changes")
    restore.add_argument("--apply", action="store_true", help="make the changes")


def _show(settings: argparse.Namespace) -> int:
    report = nic.inspect(settings.interface, settings.queue)
    if settings.json:
        view.print_json(asdict(report))
        return 0
    _print(report)
    return 0


def _print(report: nic.Report | nic.Proof) -> None:
    facts = asdict(report)
    del facts["checks"]
    view.table(("what", "is"), [(name, escape(str(value))) for name, value in facts.items()])
    view.console().print()
    view.checks(report.checks)


def _prove(settings: argparse.Namespace) -> int:
    """0 if the stream was not copied, else 1."""
    with listen(settings.listen) as listener:
        listener.settimeout(settings.timeout)
        try:
            sock, _ = listener.accept()
        except TimeoutError:
            raise TimeoutError(f"nobody connected within {settings.timeout:g} s") from None
    with sock:
        proof = nic.prove(
            settings.interface,
            sock,
            settings.queue,
            area_bytes=settings.area_bytes,
            limit=settings.limit,
            timeout=settings.timeout,
        )
    if settings.json:
        view.print_json(asdict(proof))
    else:
        _print(proof)
    return 0 if proof.verdict == "zero-copy" else 1


def _demand(settings: argparse.Namespace) -> nic.Demand | None:
    """What an area there has to be; None: the driver does not tell."""
    try:
        return nic.demand(settings.interface, settings.queue)
    except Error:
        return None


def _setup(settings: argparse.Namespace) -> int:
    with signals_wait():  # what was set up is told, with how to undo it
        return _set_up(settings)


def _set_up(settings: argparse.Namespace) -> int:
    steps, queue = nic.plan(settings.interface, settings.queue, settings.port)
    if settings.apply:
        queue = nic.apply(settings.interface, settings.queue, settings.port)
    demand = _demand(settings)
    if settings.json:
        steps_made = [asdict(step) for step in steps]
        area = asdict(demand) if demand else None
        view.print_json({"queue": queue, "applied": settings.apply, "steps": steps_made, "area": area})
        return 0
    view.table(("setting", "command"), [(step.setting, escape(step.command)) for step in steps])
    if demand:
        print(
            f"a queue holds of an area, standing: {demand.arithmetic}; default {demand.area_bytes >> 20} MiB"
        )
    if settings.apply:
        print(f"queue {queue} is set up; undo: zcrx nic restore {settings.interface} --apply")
    else:
        print(f"nothing was changed; queue {queue} would be taken; make the changes: --apply")
    return 0


def _restore_scope(settings: argparse.Namespace) -> str:
    """What a restore is about: the same words before it and after it."""
    if not settings.interface:
        return "what dead processes left on any interface"
    queues = "all queues" if settings.queue is None else f"queue {settings.queue}"
    return f"what dead processes left on {settings.interface}, and set-ups of this command on {queues} of it"


def _restore(settings: argparse.Namespace) -> int:
    if settings.queue is not None and not settings.interface:
        raise ValueError("--queue: only with an interface")
    undone = 0
    if settings.apply:
        undone = nic.restore(settings.interface)
        if settings.interface:
            undone += nic.undo(settings.interface, settings.queue)
    elif settings.interface:
        nic.inspect(settings.interface)  # an interface that is not there fails as with --apply
    if settings.json:
        view.print_json({"applied": settings.apply, "undone": undone})
    elif settings.apply:
        print(f"{undone} set-up(s) undone: {_restore_scope(settings)}")
    else:
        print(f"would undo {_restore_scope(settings)}; do it: --apply")
    return 0


def run(settings: argparse.Namespace) -> int:
    """One of the actions."""
    return {"show": _show, "prove": _prove, "setup": _setup, "restore": _restore}[settings.action](settings)
