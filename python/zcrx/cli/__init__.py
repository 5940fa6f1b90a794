# SPDX-License-Identifier: MIT
"""The command `zcrx`. Each subcommand is a module with `describe` (its arguments) and `run`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from .. import Error, __version__
from . import bench, doctor, nic, recv, shell
from .view import complain

_COMMANDS = {"doctor": doctor, "recv": recv, "nic": nic, "bench": bench, "completion": shell}
INTERRUPTED = 128 + signal.SIGINT


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="zcrx", description="Receive TCP into buffers that are views, not copies."
    )
    top.add_argument("--version", action="version", version=f"zcrx {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        title = (module.__doc__ or "").partition("\n")[0]
        module.describe(commands.add_parser(name, help=title, description=title))
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 (it failed), 2 (wrong usage), 130 (Ctrl-C)."""
    settings = parser().parse_args(arguments)
    try:
        return int(_COMMANDS[settings.command].run(settings))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has left
        sys.stderr.close()
        return 1
    except Error as error:
        complain(error.message or str(error), error.hint)
    except (OSError, ValueError) as error:
        complain(str(error))
    return 1
