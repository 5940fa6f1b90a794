# SPDX-License-Identifier: MIT
"""show a NIC's settings, set a queue up, put settings back

Without --apply nothing is changed: the plan is printed. Receivers set the NIC up and put it back by
themselves; this is for looking, for setting up ahead of time, and for what a killed process has left.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rich.markup import escape

from .. import _nic
from . import view


def describe(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="one interface: settings, and what zero-copy needs of them")
    setup = actions.add_parser("setup", help="prepare a queue; prints the plan unless --apply is given")
    restore = actions.add_parser("restore", help="undo set-ups and what killed processes left")
    for action in (show, setup):
        action.add_argument("interface")
    restore.add_argument("interface", nargs="?", help="default: what dead processes left on any interface")
    for action in (show, setup, restore):
        action.add_argument("--queue", type=int, metavar="Q")
        action.add_argument("--json", action="store_true", help="print one object")
    setup.add_argument("--port", type=int, metavar="P", help="lead this local TCP port to the queue")
    setup.add_argument("--apply", action="store_true", help="make the changes")
    restore.add_argument("--apply", action="store_true", help="make the changes")


def _show(settings: argparse.Namespace) -> int:
    report = _nic.inspect(settings.interface, settings.queue)
    if settings.json:
        view.print_json(asdict(report))
        return 0
    facts = asdict(report)
    del facts["checks"]
    view.table(("setting", "is"), [(name, escape(str(value))) for name, value in facts.items()])
    rows = [(view.state(c.state), c.name, escape(c.detail), escape(c.hint)) for c in report.checks]
    view.console().print()
    view.table(("state", "what", "is", "mend by"), rows)
    return 0


def _setup(settings: argparse.Namespace) -> int:
    steps, queue = _nic.plan(settings.interface, settings.queue, settings.port)
    if settings.apply:
        queue = _nic.apply(settings.interface, settings.queue, settings.port)
    if settings.json:
        steps_made = [asdict(step) for step in steps]
        view.print_json({"queue": queue, "applied": settings.apply, "steps": steps_made})
        return 0
    view.table(("setting", "command"), [(step.setting, escape(step.command)) for step in steps])
    if settings.apply:
        print(f"queue {queue} is set up; undo: zcrx nic restore {settings.interface} --apply")
    else:
        print(f"nothing was changed; queue {queue} would be taken; make the changes: --apply")
    return 0


def _restore(settings: argparse.Namespace) -> int:
    if settings.queue is not None and not settings.interface:
        raise ValueError("--queue: only with an interface")
    undone = 0
    if settings.apply:
        if settings.interface:
            undone = _nic.undo(settings.interface, settings.queue)
        undone += _nic.restore(settings.interface)
    if settings.json:
        view.print_json({"applied": settings.apply, "undone": undone})
    elif settings.apply:
        print(f"{undone} set-up(s) undone")
    else:
        where = settings.interface or "all interfaces"
        print(f"would undo set-ups of this command and of dead processes on {where}; do it: --apply")
    return 0


def run(settings: argparse.Namespace) -> int:
    """One of the actions."""
    return {"show": _show, "setup": _setup, "restore": _restore}[settings.action](settings)
