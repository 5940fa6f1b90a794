# SPDX-License-Identifier: MIT
"""What a Buffer costs above the C core: created, viewed, released.

Pieces of 256 KiB lie in the socket before they are received, so that both sides find the same: with a sender
that runs beside them, the slower one's bytes leave the cache before they are copied, and its buffers seem to
cost that.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import sys
import timeit
from pathlib import Path

import methods

import zcrx

sys.path.append(str(Path(__file__).resolve().parents[2] / "bench"))

from figure import Figure

PIECE = 256 << 10
BUFFER = 4096
GOAL = 120


def pair(stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = stack.enter_context(socket.create_connection(listener.getsockname()))
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * PIECE)  # a piece is sent without waiting
        receiver, _ = listener.accept()
    return stack.enter_context(receiver), sender


def ns_of_a_view() -> float:
    """What CPython itself takes to make and drop a memoryview, here of bytes: part of the time per buffer."""
    repeat, count = 7, 200_000
    view = timeit.repeat("memoryview(data)", "data = bytes(4096)", repeat=repeat, number=count)
    nothing = timeit.repeat("data", "data = bytes(4096)", repeat=repeat, number=count)
    return (statistics.median(view) - statistics.median(nothing)) / count * 1e9


def measure(library: Path, rounds: int) -> list[Figure]:
    """Processor time of the receiving thread; medians over pieces; and parts that are not the package's."""
    with contextlib.ExitStack() as stack:
        receiver, sender = pair(stack)
        core = methods.Core(library, receiver, BUFFER)
        stack.callback(core.close)
        python_receiver, python_sender = pair(stack)
        rx = stack.enter_context(zcrx.Receiver(methods.ENGINE, buffer_bytes=BUFFER))
        rx.add(python_receiver)

        def turn(by_core: bool) -> float:
            (sender if by_core else python_sender).sendall(bytes(PIECE))
            result = core.receive(PIECE) if by_core else methods.take(rx, PIECE)
            return result.cpu_ns / result.buffers

        runs = [[turn(True), turn(False), turn(True)] for _ in range(rounds + 10)][10:]
    first, middle, last = map(statistics.median, zip(*runs, strict=True))
    value, spread = middle - (first + last) / 2, abs(first - last)
    return [
        Figure("ns_per_buffer", value, spread, GOAL, at_most=True),
        Figure("ns_per_buffer_core", (first + last) / 2, spread),
        Figure("ns_per_memoryview_of_bytes", ns_of_a_view(), 0.0),
    ]
