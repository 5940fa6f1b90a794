# SPDX-License-Identifier: MIT
"""Values that several subcommands take."""

from __future__ import annotations

import argparse

from .. import ENGINES
from .._options import UINT32, choose


def address(text: str) -> tuple[str, int]:
    """HOST:PORT, with brackets around an IPv6 address, which may have a scope: [fe80::1%eth0]:9000."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in host and bare == host:
        raise argparse.ArgumentTypeError(f"{text!r}: an IPv6 address goes in brackets, [{host}]:{port}")
    return bare, int(port)


def engine(text: str) -> str:
    """An engine's name; the nearest is suggested for one that is misspelt."""
    try:
        return str(choose("engine", text, {name: name for name in ENGINES}))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds(text: str) -> float:
    """A time that may be waited."""
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError("more than 0 seconds, and less than 30 years")
    return value


def queue(text: str) -> int:
    """A receive queue's number."""
    value = int(text)
    if not 0 <= value <= UINT32:
        raise argparse.ArgumentTypeError(f"{value} is not the number of a queue")
    return value


def filename(text: str) -> str:
    """A file's name."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name")
    return text


def positive(text: str) -> int:
    """A count of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value
