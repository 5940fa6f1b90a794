# SPDX-License-Identifier: MIT
"""What can be known: of a receiver, of this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _control, _structs
from ._structs import Capabilities, Check, GroupStats, Info, Refusal, Stats, StreamStats
from ._values import ENGINES


def _refused(ask: Callable[[int, Any], int]) -> dict[str, Refusal]:
    refused = {}
    for engine, name in enumerate(ENGINES):
        error = _control.zrx_error()
        if ask(engine, error):
            refused[name] = _structs.read_refusal(error)
    return refused


def checks_of(source: Any) -> tuple[Check, ...]:
    """The checks of a struct that has some."""
    there = min(source.check_count, source.check_capacity)
    return tuple(_structs.read_check(source.check(index)) for index in range(there))


def read_info(receiver: Any) -> Info:
    raw = _control.zrx_info()
    _control.zrx_receiver_info(receiver, raw)
    refused = _refused(lambda engine, error: _control.zrx_receiver_refusal(receiver, engine, error))
    return _structs.read_info(raw, refused)


def read_stats(receiver: Any) -> Stats:
    raw = _control.zrx_stats()
    _control.zrx_receiver_stats(receiver, raw)
    return _structs.read_stats(raw)


def read_stream_stats(receiver: Any, stream: Any) -> StreamStats:
    raw = _control.zrx_stream_stats()
    _control.stream_stats(receiver, stream, raw)
    return _structs.read_stream_stats(raw)


def read_group_stats(group: Any) -> GroupStats:
    raw = _control.zrx_group_stats(len(group))
    _control.group_stats(group, raw)
    receivers = tuple(_structs.read_stats(raw.receiver(index)) for index in range(len(group)))
    return _structs.read_group_stats(raw, _structs.read_stats(raw.total()), receivers)


def probe() -> Capabilities:
    """Find out what this kernel, with this process' rights and limits, can do. Changes nothing."""
    raw = _control.zrx_capabilities()
    _control.zrx_probe(raw)
    return _structs.read_capabilities(raw, _refused(_control.zrx_probe_refusal), checks_of(raw))
