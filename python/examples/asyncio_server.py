# SPDX-License-Identifier: MIT
"""An asyncio server that answers each connection with the SHA-256 of what it sent.

asyncio_server.py HOST PORT CONNECTIONS; all connections share one ring.
"""

import asyncio
import hashlib
import socket
import sys

import zcrx
import zcrx.aio


async def serve(receiver: zcrx.aio.Receiver, sock: socket.socket) -> None:
    digest = hashlib.sha256()
    with sock:
        async for buffer in receiver.stream(sock):
            with buffer:
                digest.update(buffer)
        await asyncio.get_running_loop().sock_sendall(sock, digest.hexdigest().encode())


async def main(host: str, port: int, connections: int) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server((host, port), backlog=connections) as listener:
        listener.setblocking(False)
        async with zcrx.aio.Receiver() as receiver, asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                sock, _ = await loop.sock_accept(listener)
                sock.setblocking(False)
                tasks.create_task(serve(receiver, sock))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
