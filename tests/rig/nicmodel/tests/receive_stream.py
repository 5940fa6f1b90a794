#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""In the rig's guest: receive a steered stream by zcrx, and demand that nothing was copied.

    receive_stream.py PROGRAM [--bytes N] [--queue Q] [--rx-buf-len N]

PROGRAM is the compiled zcrx_stream.c. Prints its figures as one JSON object."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from nicmodel import guest_nic
from nicmodel.tests import stream

HUGE_PAGES = 16  # chunks above a page must lie in one piece: the area is made of huge pages then


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--bytes", type=int, default=64 << 20)
    parser.add_argument("--queue", type=int, default=1)
    parser.add_argument("--rx-buf-len", type=int, default=0)
    options = parser.parse_args()
    interface = os.environ["ZRX_RIG_IFACE"]
    guest_nic.prepare(interface, options.queue)
    guest_nic.add_rule(interface, options.queue, "tcp6", stream.PORT)
    if options.rx_buf_len:
        Path("/proc/sys/vm/nr_hugepages").write_text(str(HUGE_PAGES))
    figures = stream.receive(options.program, options.bytes, options.queue, options.rx_buf_len)
    print(json.dumps(figures))
    if figures["copy_count"]:
        print(f"{figures['copy_count']} pieces were copied, not placed", file=sys.stderr)
        return 1
    if options.rx_buf_len and figures["rx_buf_len"] != options.rx_buf_len:
        print(f"rx_buf_len is {figures['rx_buf_len']}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
