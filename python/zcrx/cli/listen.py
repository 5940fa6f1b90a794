# SPDX-License-Identifier: MIT
"""Listening where --listen says, and saying where that is."""

from __future__ import annotations

import contextlib
import socket
import sys


def candidates(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    """The addresses that a host's name has, IPv4 first."""
    if not host:  # every address of this machine
        return [(socket.AF_INET6, ("::", port)), (socket.AF_INET, ("0.0.0.0", port))]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ValueError(f"cannot listen on {host}: {error.strerror}") from None
    return sorted(((family, address) for family, _, _, _, address in found), key=lambda one: one[0])


def _open(family: socket.AddressFamily, address: tuple[object, ...], backlog: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # [::] is for IPv4, too
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def name_of(listener: socket.socket) -> str:
    """HOST:PORT as --listen takes it."""
    host, port = socket.getnameinfo(listener.getsockname(), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(address: tuple[str, int], backlog: int = 1) -> socket.socket:
    """Listen at the first address of the host that can be had, and say which on standard error."""
    host, port = address
    listener = None
    refused: OSError | None = None
    for family, candidate in candidates(host, port):
        try:
            listener = _open(family, candidate, backlog)
            break
        except OSError as error:
            refused = error
    if listener is None:
        why = refused.strerror if refused else "it has no address"
        raise ValueError(f"cannot listen on {host or 'any address'}, port {port}: {why}")
    with contextlib.suppress(OSError):  # nobody reads it
        print(f"listening on {name_of(listener)}", file=sys.stderr, flush=True)
    return listener
