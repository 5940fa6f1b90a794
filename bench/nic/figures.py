# SPDX-License-Identifier: MIT
"""From runs to figures: ratios of medians, what a method differs from itself, and how both are shown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

GIB = 1 << 30
NOISY = 0.1  # a spread above this share of the value: says little either way

Run = Mapping[str, float]
Runs = Sequence[Run]


def busy(run: Run) -> float:
    """Seconds for each GiB that the receiving processors had something to do."""
    return (run["user"] + run["system"] + run["softirq"]) / (run["bytes"] / GIB)


def throughput(run: Run) -> float:
    return run["bytes"] / run["seconds"]


def copied_fraction(run: Run) -> float:
    return run["copied"] / run["bytes"]


def median(runs: Runs, of: Callable[[Run], float]) -> float:
    return statistics.median(map(of, runs))


def own_spread(runs: Runs, of: Callable[[Run], float]) -> float:
    """A against A: the first runs of all rounds and the second ones."""
    second = median(runs[1::2], of)
    return abs(1 - median(runs[::2], of) / second) if second else 0.0


@dataclass(frozen=True)
class Figure:
    key: str
    value: float
    spread: float
    bar: float | None = None  # at most

    @property
    def met(self) -> bool:
        return self.bar is None or self.value <= self.bar + self.spread

    @property
    def verdict(self) -> str:
        noisy = ", noisy" if self.value and self.spread > NOISY * self.value else ""
        if self.bar is None:
            return "measured" + noisy
        return ("met" if self.met else "NOT MET") + noisy

    def line(self) -> str:
        bar = "" if self.bar is None else f"<= {self.bar:g}"
        return f"{self.key:32} {self.value:8.3f} {self.spread:8.3f}   {bar:10} {self.verdict}"


@dataclass(frozen=True)
class Ratio:
    """Ours by theirs."""

    key: str
    ours: str
    theirs: str
    of: Callable[[Run], float] = busy
    bar: float | None = None

    def figure(self, ours: Runs, theirs: Runs) -> Figure:
        value = median(ours, self.of) / median(theirs, self.of)
        spread = max(own_spread(ours, self.of), own_spread(theirs, self.of))
        return Figure(self.key, value, spread, self.bar)


RATIOS = (
    Ratio("zcrx_cpu_vs_epoll", "zcrx", "epoll"),
    Ratio("zcrx_cpu_vs_tzr", "zcrx", "tzr"),
    Ratio("zcrx_cpu_vs_multishot", "zcrx", "multishot"),
    Ratio("zcrx_throughput_vs_epoll", "zcrx", "epoll", throughput),
    Ratio("zcrx32k_cpu_vs_epoll", "zcrx32k", "epoll9000"),
    Ratio("engine_vs_bare_zcrx_cpu", "zcrx", "bare", bar=1.10),
)
ONE_MTU = {"epoll9000": "epoll"}  # on a real network, whose MTU stays as it is
SUM = "_sum"  # the methods, and the figures, of those that also read every byte
MOST_COPIED = 0.001


def figures(results: Mapping[str, Runs]) -> Iterator[Figure]:
    """All that can be made of what was measured."""
    fractions = [copied_fraction(run) for run in results["zcrx"] if run["copied"] is not None]
    if fractions:
        yield Figure("zcrx_copied_fraction", max(fractions), 0.0, MOST_COPIED)
    for suffix in ("", SUM):
        for ratio in RATIOS:
            theirs_key = ratio.theirs if ratio.theirs in results else ONE_MTU.get(ratio.theirs)
            ours, theirs = results.get(ratio.ours + suffix), results.get(f"{theirs_key}{suffix}")
            if ours and theirs:
                figure = ratio.figure(ours, theirs)
                yield Figure(figure.key + suffix, figure.value, figure.spread, figure.bar)


def as_json(found: Sequence[Figure]) -> dict[str, float]:
    pairs = {}
    for figure in found:
        pairs[figure.key] = round(figure.value, 4)
        pairs[f"{figure.key}_spread"] = round(figure.spread, 4)
    return pairs


@dataclass(frozen=True)
class Summary:
    """A method's medians; seconds are for each GiB."""

    mb_per_s: float
    busy: float
    user: float
    system: float
    softirq: float
    buffer_bytes: int
    copied: float | None  # None: the kernel does not tell
    bytes: int  # in all
    runs: int


def summary(runs: Runs) -> Summary:
    def part(name: str) -> float:
        return round(median(runs, lambda run: run[name] * GIB / run["bytes"]), 3)

    told = all(run["copied"] is not None for run in runs)
    return Summary(
        mb_per_s=round(median(runs, throughput) / 1e6, 1),
        busy=round(median(runs, busy), 3),
        user=part("user"),
        system=part("system"),
        softirq=part("softirq"),
        buffer_bytes=round(median(runs, lambda run: run["bytes"] / run["buffers"])),
        copied=round(median(runs, copied_fraction), 4) if told else None,
        bytes=sum(int(run["bytes"]) for run in runs),
        runs=len(runs),
    )
