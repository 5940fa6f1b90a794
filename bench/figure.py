# SPDX-License-Identifier: MIT
"""A figure: what was measured, how far a side is from itself, and the bar it is held to. One form for all benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

NOISY = 0.1  # a spread above this share of the value: says little either way
HEADING = f"{'figure':36} {'value':>10} {'spread':>8}   {'bar':10} verdict"


@dataclass(frozen=True)
class Figure:
    key: str
    value: float
    spread: float
    bar: float | None = None
    at_most: bool = False  # the bar is an upper one

    @property
    def met(self) -> bool | None:
        """The bar is reached, give or take the spread, or a fourth of the bar; None where there is no bar."""
        if self.bar is None:
            return None
        short = self.value - self.bar if self.at_most else self.bar - self.value
        return short <= min(self.spread, abs(self.bar) / 4)

    @property
    def verdict(self) -> str:
        noisy = ", noisy" if self.spread > NOISY * abs(self.value) else ""
        return {None: "measured", True: "met", False: "NOT MET"}[self.met] + noisy

    def line(self) -> str:
        bar = "" if self.bar is None else f"{'<=' if self.at_most else '>='} {self.bar:g}"
        return f"{self.key:36} {self.value:10.3f} {self.spread:8.3f}   {bar:10} {self.verdict}"


def write(path: Path, figures: Iterable[Figure]) -> None:
    """As every file in build/bench is: KEY: {value, spread, bar, met}."""
    content = {
        figure.key: {
            "value": round(figure.value, 4),
            "spread": round(figure.spread, 4),
            "bar": figure.bar,
            "met": figure.met,
        }
        for figure in figures
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
