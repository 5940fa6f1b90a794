# SPDX-License-Identifier: MIT
"""Reaching programs that the tests have started."""

from __future__ import annotations

import contextlib
import socket
import time


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def connect(port: int) -> socket.socket:
    for _ in range(300):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), timeout=100)
        time.sleep(0.1)
    raise TimeoutError("the example does not listen")
