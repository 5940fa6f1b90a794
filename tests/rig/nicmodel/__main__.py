# SPDX-License-Identifier: MIT
"""Serve two modelled cards that are joined by a cable.

    tests/rig/nicmodel/serve --driver bnxt --sockets A B [--control C] [--log FILE]

A and B are the sockets of QEMU's two vfio-user-pci devices. Ends when QEMU goes."""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import signal
import sys

from .bnxt.model import Bnxt
from .cable import Cable
from .gve.model import Gve
from .personality import Personality
from .server import Server

DRIVERS: dict[str, type[Personality]] = {"bnxt": Bnxt, "gve": Gve}


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    summary, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--driver", choices=sorted(DRIVERS), required=True, help="whose card")
    parser.add_argument("--sockets", nargs=2, metavar=("A", "B"), required=True)
    parser.add_argument("--control", metavar="C", help="a socket that takes faults (see control.py)")
    parser.add_argument("--log", metavar="FILE", help="write the log there, not to standard error")
    parser.add_argument("--seed", type=int, default=0, help="of the cable's losses (default 0)")
    parser.add_argument("--verbose", action="store_true", help="log each command")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    logging.basicConfig(
        filename=options.log,
        filemode="w",
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(name)s %(message)s",
    )
    faulthandler.register(signal.SIGUSR1)
    cards = [DRIVERS[options.driver](number) for number in range(2)]
    server = Server(cards, Cable(options.seed), options.sockets, options.control)
    try:
        server.run()
    except BaseException:
        logging.exception("the model failed; the guest goes with it")
        raise
    finally:
        for card in cards:
            report = {"counters": dict(card.counters), **card.state()}
            logging.info("port %d: %s", card.number, json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
