# SPDX-License-Identifier: MIT
"""start_server: accept and receive on several receivers, with an event loop for each."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, Unpack

from . import _window
from ._errors import ClosedError
from ._group import Group, GroupOptions
from ._serving import Handler, Serving, nobody
from ._structs import GroupStats, Info

_BACKLOG = 1024


class Server:
    """What start_server returns. Used in the loop in which that was called.

    As an async context manager it is closed at the end of the block.
    """

    def __init__(self, serving: Serving, sockets: tuple[socket.socket, ...]) -> None:
        self._serving = serving
        self._sockets = sockets
        self._info = serving.info
        self._closing = False

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets; none once it is closed."""
        return self._sockets

    @property
    def info(self) -> Info:
        """What was opened: of the first receiver; the others have the same engine."""
        return self._info

    def stats(self) -> GroupStats:
        """The counters, now. Raises ClosedError once the server is closed."""
        if self._closing:
            raise ClosedError(errno.EBADF, "the server is closed")
        return self._serving.group.stats()

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return not self._closing

    def close(self) -> None:
        """Stop: the listening sockets are closed, the handlers cancelled. wait_closed() waits for that."""
        if self._closing:
            return
        self._closing = True
        sockets, self._sockets = self._sockets, ()
        for sock in sockets:
            sock.close()
        self._serving.stop()

    async def wait_closed(self) -> None:
        """Wait until the server is closed: the handlers are done, the threads joined, a NIC is put back.

        A handler that does not end when it is cancelled is waited for.
        """
        await self._serving.wait()

    async def serve_forever(self) -> None:
        """Wait until the server is closed; being cancelled closes it."""
        try:
            await self._serving.wait()
        except asyncio.CancelledError:
            self.close()
            await self._serving.wait()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self.wait_closed()

    def __del__(self) -> None:
        if not getattr(self, "_closing", True):
            warnings.warn(f"unclosed server {self!r}", ResourceWarning, stacklevel=2, source=self)
            self.close()

    def __repr__(self) -> str:
        names = ", ".join(str(sock.getsockname()) for sock in self._sockets)
        return f"<zcrx.aio.Server on {names}>" if names else "<zcrx.aio.Server, closed>"


async def _look_up(
    host: str | Sequence[str] | None, port: int, family: int, flags: int
) -> list[tuple[int, int, int, Any]]:
    """Family, kind, protocol and address of each socket that is to listen."""
    loop = asyncio.get_running_loop()
    hosts = [host or None] if isinstance(host, str) or host is None else list(host)
    found = []
    for each in hosts:
        found += await loop.getaddrinfo(each, port, family=family, type=socket.SOCK_STREAM, flags=flags)
    if not found:
        raise OSError(errno.EADDRNOTAVAIL, f"no address of {host!r} to listen at")
    return list(dict.fromkeys((family, kind, proto, address) for family, kind, proto, _, address in found))


def _listen(
    stack: ExitStack, addresses: list[tuple[int, int, int, Any]], backlog: int
) -> list[socket.socket]:
    """Listen at each address; where the port is 0, on the same port at all of them."""
    made: list[socket.socket] = []
    for family, kind, proto, (host, asked, *rest) in addresses:
        try:
            sock = stack.enter_context(socket.socket(family, kind, proto))
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT and len(addresses) > 1:
                continue  # a kernel without IPv6
            raise
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        port = asked or (made[0].getsockname()[1] if made else 0)
        try:
            sock.bind((host, port, *rest))
            sock.listen(backlog)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise OSError(error.errno, f"cannot listen at {host} port {port}: {why}") from None
        made.append(sock)
    return made


async def _open(**options: Any) -> Group:
    """Open a group, which may take as long as a NIC does, on a thread of the loop's executor."""
    loop = asyncio.get_running_loop()
    opening = loop.run_in_executor(None, functools.partial(Group, **options))

    def close(done: asyncio.Future[Group]) -> None:
        if not done.cancelled() and done.exception() is None:
            done.result().close()

    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(close)
        raise


async def start_server(
    handler: Handler,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    interface: str | None = None,
    queues: int | None = None,
    sock: socket.socket | None = None,
    family: int = socket.AF_UNSPEC,
    flags: int = socket.AI_PASSIVE,
    backlog: int = _BACKLOG,
    window: int | None = None,
    window_timeout: float | None = _window.TIMEOUT_S,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    **options: Unpack[GroupOptions],
) -> Server:
    """Accept connections, and receive on several receivers, each with a thread and an event loop of its own.

    handler         awaited once for each connection, as handler(source, writer), on the loop of its receiver:
                    what is shared between connections needs a lock. source is a Source, an async iterator of
                    the connection's buffers; writer a StreamWriter. When it returns, what was written is
                    sent, and the connection closed. If it raises, the connection is closed at once, and the
                    exception goes, on that thread, to the exception handler of the loop in which this was
                    called
    host, port      where to listen, as for asyncio.start_server; port 0 is the same one for all addresses
    sock            a listening socket in place of those; it becomes the server's
    interface       the NIC whose queues receive (engine "zcrx"); it leads connections to the port to them
    queues          how many receivers and threads; None: as for zcrx.Group
    window, window_timeout
                    as for zcrx.Receiver.stream
    loop_factory    makes the loops; None: of the same class as the running one

    and the options of zcrx.Group: engine, pin, inbox_entries, area_bytes, busy_poll_us and so on.

    Returns a Server, which accepts already. Raises zcrx.Error, and OSError where it cannot listen; nothing is
    left then.
    """
    if sock is not None and (host is not None or port is not None):
        raise ValueError("sock excludes host and port")
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        if sock is not None:
            sockets = [stack.enter_context(sock)]
        else:
            sockets = _listen(stack, await _look_up(host, port or 0, family, flags), backlog)
        steered = interface is not None and "steer" not in options
        group = await _open(
            count=queues,
            interface=interface,
            port=sockets[0].getsockname()[1] if steered else None,
            **options,
        )
        serving = Serving(group, handler, window_timeout, loop_factory or type(loop))
        await serving.start()
        server = Server(serving, tuple(sockets))
        try:
            for each in sockets:
                group.listen(each, window=window, tag=nobody)
        except BaseException:
            server.close()
            await server.wait_closed()
            raise
        stack.pop_all()
    return server
