# SPDX-License-Identifier: MIT
"""One line of the scenario table (tests/conformance/README.md)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

TABLE = Path(__file__).resolve().parents[3] / "tests" / "conformance" / "scenarios.txt"


@dataclass
class Scenario:
    name: str
    words: list[str]
    connections: int = 1
    bytes: int = 0
    seed: int = 1
    write: str = "65536"
    pause_bytes: int = 0
    pause_ms: int = 0
    finish: str = "fin"
    connect: str = "together"
    engines: str = "all"
    area_bytes: int = 8388608
    buffer_bytes: int = 0
    ring_entries: int = 0
    refill_entries: int = 0
    limit: int = 0
    add: str = "accept"
    close_fd: int = 0
    batch: int = 64
    timeout_ms: int = 1000
    wait: str = "receive"
    hold: str = "0"
    park_ms: int = 0
    order: str = "fifo"
    release_batch: int = 0
    release_threads: int = 0
    double_release: int = 0
    remove_at: str = ""
    fork_at: int = -1
    wake_ms: int = 0
    signal_ms: int = 0
    until: str = "ends"
    rest: str = ""
    close: str = "owner"
    closed_ms: int = 0
    repeat: int = 1
    expect: str = "exact"
    end: str = "fin"
    at_least: str = ""
    size: str = "small"
    unknown: list[str] = field(default_factory=list)

    @property
    def timeout(self) -> float | None:
        return None if self.timeout_ms < 0 else self.timeout_ms / 1000

    def minimums(self) -> dict[str, int]:
        pairs = (pair.split(":") for pair in self.at_least.split(",") if pair)
        return {name: int(value) for name, value in pairs}


CHOICES = {
    "finish": {"fin", "reset", "abort", "idle"},
    "connect": {"together", "each"},
    "add": {"accept", "late"},
    "wait": {"receive", "poll"},
    "order": {"fifo", "lifo", "random"},
    "rest": {"recv", "add"},
    "close": {"owner", "thread"},
    "expect": {"exact", "prefix"},
    "end": {"fin", "limit", "removed", "reset", "none"},
    "size": {"small", "large"},
}


def parse(line: str) -> Scenario:
    name, *words = line.split()
    scenario = Scenario(name, words)
    types = {f.name: f.type for f in fields(Scenario) if f.name not in ("name", "words", "unknown")}
    for word in words:
        key, _, value = word.partition("=")
        if key not in types or value not in CHOICES.get(key, {value}):
            scenario.unknown.append(word)
        else:
            setattr(scenario, key, int(value) if types[key] == "int" else value)
    return scenario


def load(path: Path = TABLE) -> list[Scenario]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return [parse(line) for line in lines if line and not line.startswith("#")]
