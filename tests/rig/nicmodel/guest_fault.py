#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ask the modelled NICs for a fault from inside the guest, by a frame that only they understand.

    guest_fault.py INTERFACE '{"do": "unsplit", "port": 1, "count": 3}'

See control.py for what can be asked. Prints the answer; exit status 0 if it was done."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import struct
import sys

ETHERTYPE = 0x88B5
HEADER_BYTES, MIN_FRAME = 14, 60
ANSWER_SECONDS, TRIES = 2, 10  # a NIC loses frames while its driver restarts a queue


def ask(interface: str, request: dict[str, object]) -> dict[str, object]:
    """Raises ValueError where the models refuse."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as sock:
        sock.bind((interface, ETHERTYPE))
        sock.settimeout(ANSWER_SECONDS)
        address = sock.getsockname()[4]
        text = json.dumps({**request, "id": secrets.token_hex(8)})
        frame = address + address + struct.pack(">H", ETHERTYPE) + text.encode()
        answer = exchange(sock, frame.ljust(MIN_FRAME, b"\0"))
    if not answer.pop("ok"):
        raise ValueError(str(answer["error"]))
    return answer


def exchange(sock: socket.socket, frame: bytes) -> dict[str, object]:
    for _ in range(TRIES):
        sock.send(frame)
        with contextlib.suppress(TimeoutError):
            return dict(json.loads(sock.recv(65536)[HEADER_BYTES:].rstrip(b"\0")))
    raise TimeoutError("the models do not answer")


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
