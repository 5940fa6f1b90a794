# SPDX-License-Identifier: MIT
"""Receiver: options in words, over the C type that does the work."""

from __future__ import annotations

from typing import Any, Self

from . import _control, _window, _zcrx
from ._buffers import Buffers, let_go
from ._info import read_info, read_stats, read_stream_stats
from ._options import UINT32, HasFileno, fileno, number, positive, receiver_options
from ._structs import Info, Stats, StreamStats


class Receiver(_zcrx.Receiver):
    """One ring, one area of memory, one thread: TCP sockets in, buffers that are views out.

    engine             "auto", "zcrx", "zcrx-nodev", "multishot" or "recv"; a named one is that one or an
                       error
    interface, queue   for engine "zcrx": the NIC and its receive queue (None: one that is free)
    area_bytes         memory that buffers come from; 0: 64 MiB, on a NIC's queue what it needs (info tells)
    area_max_bytes     how far it may grow when the receiver runs out of it; 0: not at all
    window_bytes       how much of it one stream's buffers may hold before the stream pauses; 0: automatic,
                       twice what is free beyond five eighths of it (one stream: a fourth)
    buffer_bytes       the largest buffer, a power of two; 0: the engine's own
    ring_entries       completions that the ring holds; 0: 4096
    refill_entries     entries of the refill ring; 0: one for each chunk of the area
    area_kind          "auto", "hugetlb", "thp" or "pages"
    area               your own memory in place of it: a writable, page-aligned buffer such as mmap.mmap
    dmabuf             a dma-buf's descriptor in place of it (engine "zcrx")
    require_zero_copy  refuse every engine that copies
    small_area         open on a NIC's queue although area_bytes is less than what the queue holds standing
    nic                "setup": prepare the NIC at open, put it back at close; "prepared": only check
    steer              "connection", "port" (with steer_port) or "none": which flows go to the queue
    busy_poll_us       microseconds for which a receive that would sleep polls the NIC first (engines with a
                       ring, Linux 6.9); 0: not at all. info tells whether it does
    processor          pin the thread that receives to this processor, at its first receive

    Raises zcrx.Error, whose hint says what to do. Belongs to the first thread that receives. Not for
    use after a fork; buffers may be read there. Those of a group are opened by zcrx.Group.
    """

    __slots__ = ("_iterated", "_left")
    _iterated: _zcrx.Stream | None  # the stream that an iterator of stream() has this receiver for
    _left: _zcrx.Stream | None  # of an iterator that was dropped where it could not be removed

    def __init__(
        self,
        engine: str = "auto",
        interface: str | None = None,
        queue: int | None = None,
        area_bytes: int = 0,
        *,
        area_max_bytes: int = 0,
        window_bytes: int = 0,
        buffer_bytes: int = 0,
        ring_entries: int = 0,
        refill_entries: int = 0,
        area_kind: str = "auto",
        area: Any = None,
        dmabuf: int | None = None,
        require_zero_copy: bool = False,
        small_area: bool = False,
        nic: str = "setup",
        steer: str = "connection",
        steer_port: int | None = None,
        busy_poll_us: int = 0,
        processor: int | None = None,
    ) -> None:
        self._begin()
        if steer_port is not None and not interface:
            raise ValueError("steer_port: needs an interface")
        raw = receiver_options(
            engine=engine,
            interface=interface,
            queue=queue,
            area_bytes=area_bytes,
            area_max_bytes=area_max_bytes,
            window_bytes=window_bytes,
            buffer_bytes=buffer_bytes,
            ring_entries=ring_entries,
            refill_entries=refill_entries,
            area_kind=area_kind,
            require_zero_copy=require_zero_copy,
            small_area=small_area,
            nic=nic,
            steer=steer,
            steer_port=steer_port,
            busy_poll_us=busy_poll_us,
        )
        if processor is not None:
            raw.processor = number("processor", processor, UINT32)
            raw.flags |= _control.ZRX_PROCESSOR
        if dmabuf is not None:
            if area is not None:
                raise ValueError("area and dmabuf exclude each other")
            raw.area_kind = _control.ZRX_AREA_DMABUF
            raw.dmabuf_fd = fileno(dmabuf)
        _control.receiver_open(self, raw, area)

    @classmethod
    def _of_group(cls) -> Self:
        """One that a group is about to open."""
        self = cls.__new__(cls)
        self._begin()
        return self

    def _begin(self) -> None:
        self._iterated = None
        self._left = None

    def add(
        self,
        sock: HasFileno | int,
        *,
        limit: int | None = None,
        window: int | None = None,
        tag: object = None,
    ) -> _zcrx.Stream:
        """Add a connected TCP socket: a socket object or a descriptor, which stays yours.

        limit   end the stream after so many bytes and leave the rest in the socket
        window  bytes of the area that its buffers may hold, in whole chunks: at its window the stream pauses,
                and goes on by itself when some are released. None: the receiver's window_bytes
        tag     anything; it is the stream's tag

        While it is added, read the socket by no other means. It may be closed; but the receiver keeps
        the connection open until the stream ends, so tell the peer by shutdown().
        """
        self._finish_left()
        if self._iterated is not None and not self._iterated.ended:
            raise ValueError(
                "add() while stream() has the receiver for itself: its iterator would get this data"
            )
        return self._add(fileno(sock), positive("limit", limit), positive("window", window), tag)

    def stream(
        self,
        sock: HasFileno | int,
        *,
        limit: int | None = None,
        window: int | None = None,
        timeout: float | None = None,
        window_timeout: float | None = _window.TIMEOUT_S,
    ) -> Buffers:
        """Receive one socket to its end: an iterator of its buffers, whose `end` tells how it ended.

        limit, window   as for add()
        timeout         seconds without any data after which TimeoutError is raised; the stream goes on
        window_timeout  seconds that the stream may be at its window with nothing released, after which
                        WindowError is raised (so that list() and b"".join(), which keep all buffers, do not
                        wait for ever); the stream goes on. None: no limit

        The receiver is for this one stream until it has ended or the iterator is closed; for several use
        add() and receive().
        """
        if self.group is not None:
            raise ValueError("stream() needs a receiver for itself, and this one is a group's: use receive()")
        self._finish_left()
        if self.streams:
            raise ValueError(
                "stream() needs a receiver without other streams: let the iterator before it end "
                "or close() it; for several sockets use add() and receive()"
            )
        buffers = Buffers(self, self.add(sock, limit=limit, window=window), timeout, window_timeout)
        self._iterated = buffers._stream
        return buffers

    def _finish_left(self) -> None:
        left, self._left = self._left, None
        if left is not None:
            let_go(self, left)

    def stream_stats(self, stream: _zcrx.Stream) -> StreamStats:
        """The figures of one stream, now. Raises zcrx.Error (ENOENT) if it has ended."""
        return read_stream_stats(self, stream)

    @property
    def info(self) -> Info:
        """What was opened, and why nothing better was."""
        return read_info(self)

    @property
    def stats(self) -> Stats:
        """The counters, now. Any thread."""
        return read_stats(self)

    def fileno(self) -> int:
        """A descriptor, readable when receive(0) has something to do. Receive once before polling."""
        return int(_control.zrx_receiver_fd(self))

    def wake(self) -> None:
        """Make a sleeping receive, or else the next one, return. Any thread."""
        _control.zrx_receiver_wake(self)

    def __repr__(self) -> str:
        return "<zcrx.Receiver, closed>" if self.closed else f"<zcrx.Receiver engine={self.info.engine}>"

    def __enter__(self) -> Self:
        return self
