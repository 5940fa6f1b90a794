#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""In the rig's guest: receive a steered stream from the peer by zcrx, and demand that nothing was
copied.

    receive_stream.py PROGRAM [--bytes N] [--queue Q] [--rx-buf-len N]

PROGRAM is the compiled zcrx_stream.c. Prints its figures as one JSON object."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from nicmodel import guest_nic  # noqa: E402

PORT = 9999
HUGE_PAGES = 16  # chunks above a page must lie in one piece: the area is made of huge pages then
SECONDS = 90


def receive(options: argparse.Namespace) -> dict[str, float | None]:
    interface = os.environ["ZRX_RIG_IFACE"]
    guest_nic.prepare(interface, options.queue)
    guest_nic.add_rule(interface, options.queue, "tcp6", PORT)
    arguments = [interface, str(options.queue), str(PORT), str(options.bytes)]
    if options.rx_buf_len:
        Path("/proc/sys/vm/nr_hugepages").write_text(str(HUGE_PAGES))
        arguments.append(str(options.rx_buf_len))
    receiver = subprocess.Popen(
        ["timeout", str(SECONDS), options.program, "receive", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert receiver.stdout is not None
    if receiver.stdout.readline() != "ready\n":
        raise RuntimeError("the receiver did not get its queue")
    namespace, peer = os.environ["ZRX_RIG_PEER_NETNS"], os.environ["ZRX_RIG_LOCAL"]
    send = [options.program, "send", peer, str(PORT), str(options.bytes)]
    subprocess.run(["ip", "netns", "exec", namespace, "timeout", str(SECONDS), *send], check=True)
    text = receiver.communicate()[0]
    print(text, end="")
    if receiver.returncode:
        raise RuntimeError("the stream did not come whole")
    return dict(json.loads(text))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--bytes", type=int, default=64 << 20)
    parser.add_argument("--queue", type=int, default=1)
    parser.add_argument("--rx-buf-len", type=int, default=0)
    options = parser.parse_args()
    figures = receive(options)
    if figures["copy_count"]:
        print(f"{figures['copy_count']} pieces were copied, not placed", file=sys.stderr)
        return 1
    if options.rx_buf_len and figures["rx_buf_len"] != options.rx_buf_len:
        print(f"rx_buf_len is {figures['rx_buf_len']}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
