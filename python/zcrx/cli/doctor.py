# SPDX-License-Identifier: MIT
"""say what zero-copy receive needs, what is there, and what mends the rest

Exit status: 0 if the best engine that was asked about can be opened, 1 if something is missing.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import Any

from rich.markup import escape

from .. import Capabilities, Check, Error, nic, probe
from . import arguments, view


def describe(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    parser.add_argument("--interface", metavar="I", help="look at this NIC, too")
    parser.add_argument("--queue", type=arguments.queue, metavar="Q", help="and at this receive queue of it")
    parser.add_argument("--json", action="store_true", help="print one object")


def _best(capabilities: Capabilities, nic_ready: bool | None) -> str:
    """The engine that `auto` would take."""
    if nic_ready and "zcrx" in capabilities.engines:
        return "zcrx"
    return "multishot" if "multishot" in capabilities.engines else "recv"


def _inspect(interface: str, queue: int | None) -> nic.Report:
    """Look at a NIC. What opening a receiver sets by itself is not missing."""
    report = nic.inspect(interface, queue)
    try:
        steps, _ = nic.plan(interface, queue)
    except Error:
        return report
    by_setting = {step.setting: step.command for step in steps}
    if report.split is None:  # drivers that do not tell mostly have none: missing, until it was set
        by_setting.pop("tcp-data-split", None)

    def judge(check: Check) -> Check:
        if check.state != "missing" or check.name not in by_setting:
            return check
        hint = f"a receiver does it while it is open; ahead of time: {by_setting[check.name]}"
        return replace(check, state="warning", hint=hint)

    return replace(report, checks=tuple(map(judge, report.checks)))


def _placement(report: nic.Report) -> str:
    """Where its memory and its interrupts are: what pinning goes by."""
    node = "no NUMA node" if report.numa_node is None else f"NUMA node {report.numa_node}"
    if report.irq is None:
        return f"{node}; the interrupt of the queue is not told"
    where = "an unknown processor" if report.irq_processor is None else f"processor {report.irq_processor}"
    return f"{node}; the queue's interrupt {report.irq} is served by {where}"


def _print(capabilities: Capabilities, report: nic.Report | None, result: dict[str, Any]) -> None:
    out = view.console()
    out.print(f"[bold]This machine[/]: Linux {capabilities.kernel}")
    view.checks(capabilities.checks)
    if report:
        queue = "no free queue" if report.queue is None else f"queue {report.queue}"
        out.print(f"\n[bold]{report.interface}[/]: driver {report.driver or 'unknown'}, {queue}")
        out.print(_placement(report))
        view.checks(report.checks)
    out.print("\n[bold]Engines[/]")
    rows = []
    for name in ("zcrx", "zcrx-nodev", "multishot", "recv"):
        refusal = capabilities.refused.get(name)
        why = f"{refusal.message}{'; ' + refusal.hint if refusal.hint else ''}" if refusal else ""
        rows.append((view.state("missing" if refusal else "ok"), name, escape(why)))
    view.table(("state", "engine", "why not"), rows)
    out.print(f"\nengine auto would take here: [bold]{result['auto']}[/]")
    if result["auto"] != "zcrx" and not report and "zcrx" in capabilities.engines:
        out.print("the kernel can receive without copies; look at a NIC: zcrx doctor --interface NAME")
    if result["auto"] == "zcrx":
        name = result["nic"]["interface"]
        out.print(f"prove it with a real stream: zcrx nic prove {name} --listen HOST:PORT")


def run(settings: argparse.Namespace) -> int:
    """Look, and tell."""
    capabilities = probe()
    report = None
    if settings.interface:
        report = _inspect(settings.interface, settings.queue)
    elif settings.queue is not None:
        raise ValueError("--queue: only with --interface")
    nic_ready = None if report is None else all(check.state != "missing" for check in report.checks)
    missing = [check.name for check in capabilities.checks if check.state == "missing"]
    if report:
        missing += [
            f"{report.interface}: {check.name}" for check in report.checks if check.state == "missing"
        ]
    result = {
        "kernel": capabilities.kernel,
        "engines": list(capabilities.engines),
        "features": sorted(capabilities.features),
        "auto": _best(capabilities, nic_ready),
        "missing": missing,
        "checks": [asdict(check) for check in capabilities.checks],
        "refused": {name: asdict(refusal) for name, refusal in capabilities.refused.items()},
        "nic": asdict(report) if report else None,
    }
    if settings.json:
        view.print_json(result)
    else:
        _print(capabilities, report, result)
    return 1 if missing else 0
