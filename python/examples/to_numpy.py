# SPDX-License-Identifier: MIT
"""Add up a stream of little-endian float64, in place: to_numpy.py HOST PORT."""

import socket
import sys

import numpy

import zcrx

host, port = sys.argv[1:]
with socket.create_server((host, int(port))) as listener:
    sock, _ = listener.accept()
total = 0.0
with sock, zcrx.Receiver() as rx:
    reader = zcrx.Reader(rx.stream(sock))
    while piece := reader.read_some(1 << 16):
        # A number may lie across two buffers: only those few bytes are copied.
        whole = len(piece) & ~7
        total += numpy.frombuffer(piece[:whole], "<f8").sum()
        if rest := bytes(piece[whole:]):
            total += numpy.frombuffer(rest + bytes(reader.read_exactly(8 - len(rest))), "<f8")[0]
print(f"{total:.1f}, {reader.copied_bytes} bytes copied")
