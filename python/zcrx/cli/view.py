# SPDX-License-Identifier: MIT
"""How things are shown: tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .. import Check

_COLOURS = {"ok": "green", "missing": "red", "warning": "yellow", "unknown": "dim"}


def console() -> Console:
    """Standard output; wide lines are not broken where no terminal is."""
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def complain(message: str, hint: str = "") -> None:
    """One failure, on standard error."""
    err = Console(stderr=True, soft_wrap=True, highlight=False)
    err.print(f"[bold red]zcrx:[/] {escape(message)}")
    if hint:
        err.print(f"  try: {escape(hint)}")


def print_json(value: Any) -> None:
    """One object, one line."""
    print(json.dumps(value), flush=True)


def state(name: str) -> str:
    """A check's state in its colour."""
    return f"[{_COLOURS[name]}]{name}[/]"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; the cells may carry markup."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(grid)


def checks(of: Iterable[Check]) -> None:
    """Preconditions, or reasons."""
    rows = [(state(c.state), c.name, escape(c.detail), escape(c.hint)) for c in of]
    table(("state", "what", "is", "mend by"), rows)


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
