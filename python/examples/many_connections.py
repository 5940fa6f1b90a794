# SPDX-License-Identifier: MIT
"""Receive many connections on one ring and one thread: many_connections.py HOST PORT CONNECTIONS."""

import selectors
import socket
import sys

import zcrx

host, port, connections = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
counts: dict[int, int] = {}
ended = 0
with (
    socket.create_server((host, port), backlog=connections) as listener,
    zcrx.Receiver() as rx,
    selectors.DefaultSelector() as selector,
):
    selector.register(listener, selectors.EVENT_READ)
    selector.register(rx, selectors.EVENT_READ)
    while ended < connections:
        while batch := rx.receive(0):
            for event in batch:
                if event.kind == "data":
                    counts[event.stream.tag] += len(event.buffer)
                    event.buffer.release()
                else:
                    ended += 1
        if ended == connections:
            break
        for key, _ in selector.select():
            if key.fileobj is listener:
                sock, _ = listener.accept()
                counts[len(counts)] = 0
                rx.add(sock, tag=len(counts) - 1)
                sock.close()  # the receiver keeps the connection until its end
print(len(counts), sum(counts.values()))
