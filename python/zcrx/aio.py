# SPDX-License-Identifier: MIT
"""zcrx in asyncio event loops, on the ring's own descriptor: no thread but those of a server, no copy.

    async for buffer in zcrx.aio.stream(sock):
        ...

    async with zcrx.aio.Receiver() as receiver:     # many sockets, one ring
        async for buffer in receiver.stream(sock):
            ...

    async def handler(source, writer): ...          # for each connection
    server = await zcrx.aio.start_server(handler, host, port, queues=4)  # four threads and loops

Not consuming is backpressure: a stream whose buffers, taken or not, hold its window pauses, and TCP slows its
peer down; other streams go on. Works under uvloop as well.
"""

from __future__ import annotations

from typing import Any

from . import _window
from ._options import HasFileno
from ._server import Server, start_server
from ._sources import Receiver, Source
from ._stream_writer import StreamWriter

__all__ = ["Receiver", "Server", "Source", "StreamWriter", "start_server", "stream"]


def stream(
    sock: HasFileno | int,
    *,
    limit: int | None = None,
    window: int | None = None,
    window_timeout: float | None = _window.TIMEOUT_S,
    **options: Any,
) -> Source:
    """The buffers of one connected socket, from a receiver of its own with these options."""
    receiver = Receiver(**options)
    try:
        return receiver._add(Source(receiver, True, window_timeout), sock, limit, window)
    except BaseException:
        receiver.close()
        raise
