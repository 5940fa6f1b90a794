# SPDX-License-Identifier: MIT
"""Group: several receivers, each with a thread of its own, that share the connections of a server."""

from __future__ import annotations

from typing import Self, Unpack

from . import _control, _zcrx
from ._info import read_group_stats
from ._options import (
    UINT32,
    HasFileno,
    ReceiverOptions,
    choose,
    fileno,
    number,
    positive,
    receiver_options,
)
from ._receiver import Receiver
from ._structs import GroupStats

_PINS = {"apart": _control.ZRX_GROUP_PIN, "queue": _control.ZRX_GROUP_PIN_QUEUE}


class GroupOptions(ReceiverOptions, total=False):
    """What zcrx.Group takes besides count, interface and port. Described there."""

    engine: str
    pin: str | None
    inbox_entries: int
    shared_queue: bool


class Group(_zcrx.Group):
    """Receivers that share connections: one for each of several NIC queues, or several on a copying engine.

    with zcrx.Group(4) as group:
        group.listen(listener)
        ...                     # in thread i: receiver = group.receiver(i); receiver.receive() as ever

    count          how many receivers; None: as many as processors that this process may use, at most 16, and
                   on a NIC no more than there are free queues
    interface      for engine "zcrx": the NIC, of which each receiver has a queue
    port           lead connections to this local TCP port to the queues; the NIC spreads them. Else each
                   socket is led to a queue when it is added (steer "connection")
    engine         as for zcrx.Receiver; all have the same one
    pin            pin each thread, at its first receive: "apart" to a processor of its own, of the NIC's NUMA
                   node where there is one, that does not serve the interrupt of its queue; "queue" to the one
                   that does (as "apart" where that is not told); None: not at all
    inbox_entries  sockets that may wait for the thread of a receiver, each; 0: 1024
    shared_queue   engine "zcrx": all receivers take from one queue, and from one area, of which each may use
                   an equal part: for NICs with fewer queues than threads (Linux 6.19, feature
                   "shared_queue"). Engines that copy have nothing to share. Not with pin "queue", nor with
                   area_max_bytes

    and the options of zcrx.Receiver: queue (the first of those that they take), area_bytes (of each),
    area_max_bytes, window_bytes, buffer_bytes, ring_entries, refill_entries, area_kind, require_zero_copy,
    small_area, nic, steer, busy_poll_us. No two receivers can have the same memory: there is no area, and no
    dmabuf.

    Each socket goes to the receiver at whose queue it arrives, else to the one with the fewest streams. That
    one's next receive() hands out an event of kind "added" for it, with its stream; the stream's other events
    follow there.

    add(), listen(), stats() and close() may be called from any thread; each receiver belongs to the first
    thread that receives from it, which may close it: it leaves the group then. Raises zcrx.Error, whose hint
    says what to do. Opening blocks while a NIC is set up. Not for use after a fork.
    """

    __slots__ = ()

    def __init__(
        self,
        count: int | None = None,
        *,
        interface: str | None = None,
        port: int | None = None,
        engine: str = "auto",
        pin: str | None = None,
        inbox_entries: int = 0,
        shared_queue: bool = False,
        **options: Unpack[ReceiverOptions],
    ) -> None:
        if port is not None and not interface:
            raise ValueError("port: needs an interface")
        if count == 0:
            raise ValueError("count: at least 1, or None")
        receiver = receiver_options(engine=engine, interface=interface, steer_port=port, **options)
        raw = _control.zrx_group_options()
        raw.count = 0 if count is None else number("count", count, UINT32)
        raw.inbox_entries = number("inbox_entries", inbox_entries, UINT32)
        raw.flags = 0 if pin is None else choose("pin", pin, _PINS)
        raw.flags |= _control.ZRX_GROUP_SHARED_QUEUE if shared_queue else 0
        _control.group_open(self, raw, receiver, Receiver._of_group)

    def receiver(self, index: int) -> Receiver:
        """A receiver, from 0 on: for the thread that is to receive from it. IndexError beyond the last.

        It works as any other, except that it has no stream(). Closing it, on its thread, makes it leave the
        group: what waits for it goes to the others. The last one that is closed stops the listening.
        """
        receivers = self.receivers
        if not 0 <= index < len(receivers):
            raise IndexError(f"receiver {index} of a group of {len(receivers)}")
        return receivers[index]

    def add(
        self,
        sock: HasFileno | int,
        *,
        limit: int | None = None,
        window: int | None = None,
        tag: object = None,
    ) -> _zcrx.Stream:
        """Hand a connected TCP socket over to a receiver. Returns its stream, which is in the events there.

        sock, limit, window, tag  as for Receiver.add; the socket stays yours, and may be closed at once

        That receiver's thread learns of it by an event of kind "added"; or, if it cannot be added there, by
        one of kind "error" with "refused" in its flags. Raises zcrx.Error: what Receiver.add does; ENOBUFS if
        inbox_entries sockets wait for that receiver, whose thread does not receive; ClosedError if every
        receiver is closed. Does not block.
        """
        return self._add(fileno(sock), positive("limit", limit), positive("window", window), tag)

    def listen(
        self,
        sock: HasFileno | int,
        *,
        limit: int | None = None,
        window: int | None = None,
        tag: object = None,
    ) -> None:
        """Accept the connections of a listening TCP socket, and add each as add() does. Does not block.

        sock                after bind() and listen(); it stays yours, and may be closed: the group listens
                            until it, or its last receiver, is closed, and it is non-blocking until then
        limit, window, tag  of each of its streams, whose tag can be set: stream.tag = ...

        Each connection comes by an event of kind "added" with "accepted" in its flags and a socket, which is
        yours to close. One that cannot be added is closed, and told by an event of kind "error" with
        "refused" in its flags; a listening socket that fails, and is listened on no longer, by one with
        "listener". The stream of such an event has the tag and the listening socket's descriptor, and no
        other events. Where descriptors or memory are short, connections wait in the socket's backlog. Raises
        zcrx.Error.
        """
        self._listen(fileno(sock), positive("limit", limit), positive("window", window), tag)

    def stats(self) -> GroupStats:
        """The counters, now: the group's, their receivers' sum, and each receiver's (0 for a closed one).

        Raises ClosedError if the group is closed. May wait for a thread that closes a receiver.
        """
        return read_group_stats(self)

    def __repr__(self) -> str:
        return "<zcrx.Group, closed>" if self.closed else f"<zcrx.Group of {len(self)}>"

    def __enter__(self) -> Self:
        return self
