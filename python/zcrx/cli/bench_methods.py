# SPDX-License-Identifier: MIT
"""How `zcrx bench` receives: one connection to its end, by one method. The payload is not read."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import socket
import time
from dataclasses import dataclass

from .. import Receiver

_PIECE = 1 << 16
_WINDOW = 1 << 21
_TCP_ZEROCOPY_RECEIVE = 35


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. mapped: bytes that TCP_ZEROCOPY_RECEIVE had not to copy."""

    bytes: int
    seconds: float
    cpu_s: float
    mapped: int = 0


class _ZerocopyReceive(ctypes.Structure):
    """struct tcp_zerocopy_receive of linux/tcp.h, as of Linux 4.18: what later kernels added is left out."""

    _fields_ = (
        ("address", ctypes.c_uint64),
        ("length", ctypes.c_uint32),
        ("recv_skip_hint", ctypes.c_uint32),
    )


def _epoll(sock: socket.socket) -> tuple[int, int]:
    sock.setblocking(False)
    target = bytearray(_PIECE)
    total = 0
    with select.epoll() as poller:
        poller.register(sock, select.EPOLLIN)
        while True:
            poller.poll()
            try:
                while size := sock.recv_into(target):
                    total += size
            except BlockingIOError:
                continue
            return total, 0


def _tcp_zerocopy(sock: socket.socket) -> tuple[int, int]:
    """Map what lies in whole pages; read the rest."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    target = bytearray(_PIECE)
    total = mapped = 0
    # By libc: Python's mmap refuses sockets and does not tell its address.
    protect, share = mmap.PROT_READ, mmap.MAP_SHARED
    address = libc.mmap(None, ctypes.c_size_t(_WINDOW), protect, share, sock.fileno(), ctypes.c_long(0))
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "the socket cannot be mapped")
    try:
        while True:
            ask = _ZerocopyReceive(address, _WINDOW, 0)
            size = ctypes.c_uint32(ctypes.sizeof(ask))
            result = libc.getsockopt(
                sock.fileno(),
                socket.IPPROTO_TCP,
                _TCP_ZEROCOPY_RECEIVE,
                ctypes.byref(ask),
                ctypes.byref(size),
            )
            if result and ctypes.get_errno() == errno.EIO:  # the end
                return total, mapped
            if result:
                raise OSError(ctypes.get_errno(), "TCP_ZEROCOPY_RECEIVE")
            mapped += ask.length
            total += ask.length
            if ask.length and not ask.recv_skip_hint:
                continue
            count = sock.recv_into(target, min(ask.recv_skip_hint or _PIECE, _PIECE))
            total += count
            if not count:
                return total, mapped
    finally:
        libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(_WINDOW))


def _zcrx(engine: str, sock: socket.socket, interface: str | None) -> tuple[int, int]:
    with Receiver(engine, interface if engine == "zcrx" else None) as rx:
        stream = rx.add(sock)
        while not stream.ended:
            rx.receive().release()
        return rx.stats.bytes, 0


def receive(method: str, sock: socket.socket, interface: str | None) -> Outcome:
    """Receive a connection to its end by one method."""
    begin, cpu = time.perf_counter(), sum(os.times()[:2])
    if method == "epoll":
        total, mapped = _epoll(sock)
    elif method == "tcp-zerocopy":
        total, mapped = _tcp_zerocopy(sock)
    else:
        total, mapped = _zcrx(method, sock, interface)
    return Outcome(total, time.perf_counter() - begin, sum(os.times()[:2]) - cpu, mapped)
