#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ask the modelled NICs for a fault from inside the guest, by a frame that only they understand.

    guest_fault.py INTERFACE '{"do": "unsplit", "port": 1, "count": 3}'

See control.py for what can be asked. Prints the answer; exit status 0 if it was done."""

from __future__ import annotations

import json
import socket
import struct
import sys

ETHERTYPE = 0x88B5
HEADER_BYTES, MIN_FRAME = 14, 60
ANSWER_SECONDS = 5


def ask(interface: str, request: dict[str, object]) -> dict[str, object]:
    """Raises ValueError where the models refuse."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as sock:
        sock.bind((interface, ETHERTYPE))
        sock.settimeout(ANSWER_SECONDS)
        address = sock.getsockname()[4]
        frame = address + address + struct.pack(">H", ETHERTYPE) + json.dumps(request).encode()
        sock.send(frame.ljust(MIN_FRAME, b"\0"))
        answer: dict[str, object] = json.loads(sock.recv(65536)[HEADER_BYTES:].rstrip(b"\0"))
    if not answer.pop("ok"):
        raise ValueError(str(answer["error"]))
    return answer


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(json.dumps(ask(sys.argv[1], json.loads(sys.argv[2]))))
    except (ValueError, OSError) as error:
        print(f"guest_fault: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
