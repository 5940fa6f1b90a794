# SPDX-License-Identifier: MIT
"""From runs to figures: ratios of medians, and what a method differs from itself; and a summary of each method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from figure import Figure
from runs import GIB, Run, Runs, median, own_spread, throughput


def busy(run: Run) -> float:
    """Seconds for each GiB that the receiving processors had something to do."""
    return (run["user"] + run["system"] + run["softirq"]) / (run["bytes"] / GIB)


def instructions(run: Run) -> float:
    """For each GiB, that the program's processor executed: the program, and the kernel for it."""
    return (run["user_instructions"] + run["kernel_instructions"]) / (run["bytes"] / GIB)


def user_instructions(run: Run) -> float:
    """Of the program, for each buffer."""
    return run["user_instructions"] / run["buffers"]


def copied_fraction(run: Run) -> float:
    return run["copied"] / run["bytes"]


@dataclass(frozen=True)
class Ratio:
    """Ours by theirs."""

    key: str
    ours: str
    theirs: str
    of: Callable[[Run], float] = busy
    bar: float | None = None  # at most

    def figure(self, ours: Runs, theirs: Runs) -> Figure:
        value = median(ours, self.of) / median(theirs, self.of)
        spread = max(own_spread(ours, self.of), own_spread(theirs, self.of))
        return Figure(self.key, value, spread, self.bar, at_most=True)


RATIOS = (
    Ratio("zcrx_cpu_vs_epoll", "zcrx", "epoll"),
    Ratio("zcrx_cpu_vs_tzr", "zcrx", "tzr"),
    Ratio("zcrx_cpu_vs_multishot", "zcrx", "multishot"),
    Ratio("zcrx_throughput_vs_epoll", "zcrx", "epoll", throughput),
    Ratio("zcrx32k_cpu_vs_epoll", "zcrx32k", "epoll9000"),
    Ratio("engine_vs_bare_zcrx_busy", "zcrx", "bare"),
)
ENGINE_VS_BARE = "engine_vs_bare_zcrx_cpu"
MOST_OVER_BARE = 1.10
ONE_MTU = {"epoll9000": "epoll"}  # on a real network, whose MTU stays as it is
SUM = "_sum"  # the methods, and the figures, of those that also read every byte
MOST_COPIED = 0.001


def engine_vs_bare(results: Mapping[str, Runs]) -> Iterator[Figure]:
    """By instructions where the emulator counts them: busy time is too coarse for the little that they differ."""
    ours, theirs = results["zcrx"], results["bare"]
    is_counted = "user_instructions" in ours[0]
    yield Ratio(ENGINE_VS_BARE, "zcrx", "bare", instructions if is_counted else busy, MOST_OVER_BARE).figure(
        ours, theirs
    )
    for method in ("zcrx", "bare") if is_counted else ():
        runs = results[method]
        for name, of in (
            ("user_instructions_per_buffer", user_instructions),
            ("instructions_per_gib", instructions),
        ):
            middle = median(runs, of)
            yield Figure(f"{method}_rig_{name}", middle, own_spread(runs, of) * middle)


def figures(results: Mapping[str, Runs]) -> Iterator[Figure]:
    """All that can be made of what was measured."""
    fractions = [copied_fraction(run) for run in results["zcrx"] if run["copied"] is not None]
    if fractions:
        yield Figure("zcrx_copied_fraction", max(fractions), 0.0, MOST_COPIED, at_most=True)
    yield from engine_vs_bare(results)
    for suffix in ("", SUM):
        for ratio in RATIOS:
            theirs_key = ratio.theirs if ratio.theirs in results else ONE_MTU.get(ratio.theirs)
            ours, theirs = results.get(ratio.ours + suffix), results.get(f"{theirs_key}{suffix}")
            if ours and theirs:
                figure = ratio.figure(ours, theirs)
                yield replace(figure, key=figure.key + suffix)


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
