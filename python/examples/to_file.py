# SPDX-License-Identifier: MIT
"""Receive one connection into a file, by writev from where the bytes are: to_file.py HOST PORT FILE."""

import socket
import sys

import zcrx

host, port, path = sys.argv[1:]
with socket.create_server((host, int(port))) as listener:
    sock, _ = listener.accept()
with sock, open(path, "wb", buffering=0) as file, zcrx.Receiver() as rx:
    stream = rx.add(sock)
    while not stream.ended:
        with rx.receive() as batch:
            batch.write_to(file)
    print(f"{rx.stats.bytes} bytes by engine {rx.info.engine}")
