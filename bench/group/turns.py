# SPDX-License-Identifier: MIT
"""Two sides in turns, and what is made of their runs: a ratio, and how far a side is from itself."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from figure import Figure
from runs import Of, Run, Runs, median, own_spread


@dataclass
class Turns:
    """The runs of both sides, of which the n-th ones were neighbours."""

    ours: list[Run] = field(default_factory=list)
    theirs: list[Run] = field(default_factory=list)

    def take(self, ours: Callable[[], Run], theirs: Callable[[], Run]) -> None:
        """A round: each twice, in an order by which a machine that grows slower favours neither."""
        self.ours.append(ours())
        self.theirs += [theirs(), theirs()]
        self.ours.append(ours())

    def ratio(self, key: str, of: Of, bar: float | None = None, *, at_most: bool = False) -> Figure:
        """Median of those of neighbours."""
        pairs = zip(self.ours, self.theirs, strict=True)
        value = statistics.median(of(ours) / of(theirs) for ours, theirs in pairs)
        spread = max(own_spread(self.ours, of), own_spread(self.theirs, of))
        return Figure(key, value, spread, bar, at_most)


def absolute(key: str, runs: Runs, of: Of) -> Figure:
    value = median(runs, of)
    return Figure(key, value, own_spread(runs, of) * value)
