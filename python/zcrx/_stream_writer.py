# SPDX-License-Identifier: MIT
"""StreamWriter: the sending side of a connection that a receiver reads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

from ._zcrx import Buffer

_HIGH, _LOW = 1 << 16, 1 << 14  # as transports have them: drain() waits above one, until below the other


class StreamWriter:
    """Writes to a connection: with the methods of asyncio.StreamWriter, in the thread of the loop.

    An asyncio transport would read the socket as well, which is the receiver's to do.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._fd = sock.fileno()
        self._rest = bytearray()  # what the socket has not taken yet
        self._watched = False  # the loop tells when the socket takes more
        self._waiters: set[asyncio.Future[None]] = set()
        self._error: OSError | None = None
        self._eof = False
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview | Buffer) -> None:
        """Send data, at once as far as the socket takes it. The rest is copied, and sent when it can be.

        Raises RuntimeError after write_eof() or close(). An error of the connection is raised by drain().
        """
        if self._eof or self._closing:
            raise RuntimeError("write() after write_eof() or close()")
        if self._error is not None:
            return
        with memoryview(data) as given, given.cast("B") as view:
            sent = 0 if self._rest else self._send(view)
            if self._error is not None or sent == len(view):
                return
            if not self._watched:
                self._watched = True
                self._loop.add_writer(self._fd, self._writable)
            with view[sent:] as rest:
                self._rest += rest

    def writelines(self, data: Iterable[bytes | bytearray | memoryview | Buffer]) -> None:
        """Send each."""
        for piece in data:
            self.write(piece)

    def can_write_eof(self) -> bool:
        """TCP can."""
        return True

    def write_eof(self) -> None:
        """Shut down writing, once all is sent. Receiving goes on."""
        if self._eof or self._closing:
            return
        self._eof = True
        if not self._rest:
            self._shut_down()

    async def drain(self) -> None:
        """Wait until little is left to be sent. Raises the OSError that sending has failed with."""
        if len(self._rest) > _HIGH:
            await self._wait()
        self._raise()

    def close(self) -> None:
        """Close the socket, once all is sent."""
        if self._closing:
            return
        self._closing = True
        if not self._rest:
            self._socket.close()

    def abort(self) -> None:
        """Close the socket at once: what is not sent is lost."""
        self._closing = True
        self._drop_rest()
        self._socket.close()

    def is_closing(self) -> bool:
        """Whether close() or abort() was called."""
        return self._closing

    async def wait_closed(self) -> None:
        """Wait until the socket is closed, after close(). Raises the OSError that sending has failed with."""
        await self._flush()
        self._raise()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """ "socket", "peername" or "sockname"; default for others, and where it is not known (any more)."""
        if name == "socket":
            return self._socket
        ask = {"peername": self._socket.getpeername, "sockname": self._socket.getsockname}.get(name)
        try:
            return ask() if ask else default
        except OSError:
            return default

    # ---- what is not sent yet ----

    async def _flush(self) -> None:
        """Wait until all is sent, or sending has failed."""
        while self._rest:
            await self._wait()

    async def _wait(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _send(self, data: memoryview | bytearray) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._error = error
            return 0

    def _writable(self) -> None:
        del self._rest[: self._send(self._rest)]
        if self._error is not None or not self._rest:
            self._drop_rest()
            if self._closing:
                self._socket.close()
            elif self._eof:
                self._shut_down()
        elif len(self._rest) <= _LOW:
            self._tell()

    def _drop_rest(self) -> None:
        self._rest.clear()
        if self._watched:
            self._watched = False
            self._loop.remove_writer(self._fd)
        self._tell()

    def _tell(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _shut_down(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:  # the peer has reset it
            self._error = self._error or error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
