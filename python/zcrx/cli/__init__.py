# SPDX-License-Identifier: MIT
"""The command `zcrx`. Each subcommand is a module with `describe` (its arguments) and `run`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from .. import Error, __version__
from . import bench, doctor, ending, nic, recv, shell
from .view import complain

_COMMANDS = {"doctor": doctor, "recv": recv, "nic": nic, "bench": bench, "completion": shell}
BROKEN_PIPE = 128 + signal.SIGPIPE


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="zcrx",
        description="Receive TCP into buffers that are views, not copies.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 141 whoever read the output has left, "
        "128 + n ended by signal n (everything is closed then, and the NIC put back).",
    )
    top.add_argument("--version", action="version", version=f"zcrx {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        title = (module.__doc__ or "").partition("\n")[0]
        module.describe(commands.add_parser(name, help=title, description=title))
    return top


def _run(settings: argparse.Namespace) -> int:
    if sys.stdout is None:
        complain("standard output is closed")
        return 1
    try:
        status = int(_COMMANDS[settings.command].run(settings))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        ending.drop_output()
        return BROKEN_PIPE
    except Error as error:
        complain(error.message or str(error), error.hint)
    except (OSError, ValueError) as error:
        complain(str(error))
    ending.flush_output()
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status.

    0    it is done
    1    it failed, and said why
    2    wrong usage
    141  whoever read its output has left (as if by SIGPIPE, without a word)
    128 + n: ended by signal n, SIGINT, SIGTERM or SIGHUP, with everything closed and the NIC put back
    """
    ending.open_standard_streams()
    try:
        with ending.stopped_by_signals():
            return _run(parser().parse_args(arguments))
    except ending.Stopped as stopped:
        return 128 + stopped.number
