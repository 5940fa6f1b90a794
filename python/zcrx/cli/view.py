# SPDX-License-Identifier: MIT
"""How things are shown: tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .. import Check

_COLOURS = {"ok": "green", "missing": "red", "warning": "yellow", "unknown": "dim"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would exit with status 1: what it means is decided in one place, for all output."""
        raise BrokenPipeError


def console() -> Console:
    """Standard output; wide lines are not broken where no terminal is."""
    return _Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def complain(message: str, hint: str = "") -> None:
    """One failure, on standard error."""
    err = Console(stderr=True, soft_wrap=True, highlight=False)
    err.print(f"[bold red]zcrx:[/] {escape(message)}")
    if hint:
        err.print(f"  try: {escape(hint)}")


def print_json(value: Any, file: TextIO | None = None) -> None:
    """One object, one line; on standard output unless a file is given."""
    print(json.dumps(value), file=file, flush=True)


def state(name: str) -> str:
    """A check's state in its colour."""
    return f"[{_COLOURS[name]}]{name}[/]"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; the cells may carry markup."""
    if not sys.stdout.isatty():
        _print_plain([columns, *rows])
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    _Console(highlight=False).print(grid)


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    """For programs and files: columns that are aligned, lines that are never broken."""
    cells = [[Text.from_markup(cell).plain for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


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
