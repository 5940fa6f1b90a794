# SPDX-License-Identifier: MIT
"""What receivers and groups are opened with, in words, and the sockets that they are given."""

from __future__ import annotations

import difflib
from typing import Any, Protocol, TypedDict

from . import _control
from ._values import ENGINES

_AREA_KINDS = {
    "auto": _control.ZRX_AREA_AUTO,
    "hugetlb": _control.ZRX_AREA_HUGETLB,
    "thp": _control.ZRX_AREA_THP,
    "pages": _control.ZRX_AREA_PAGES,
}
_NIC_MODES = {"setup": _control.ZRX_NIC_SETUP, "prepared": _control.ZRX_NIC_PREPARED}
_STEERS = {
    "connection": _control.ZRX_STEER_CONNECTION,
    "port": _control.ZRX_STEER_PORT,
    "none": _control.ZRX_STEER_NONE,
}
UINT32 = (1 << 32) - 1
_UINT64 = (1 << 64) - 1


class HasFileno(Protocol):
    """A socket, or anything else with a descriptor."""

    def fileno(self) -> int: ...


def choose(what: str, name: str, known: Any) -> Any:
    """The value of a name; else an error that suggests the nearest name."""
    if not isinstance(name, str):
        raise TypeError(f"{what}: a string is needed, not {type(name).__name__}")
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{what}: no {name!r} among {', '.join(known)}{hint}")


def number(what: str, value: int, most: int = _UINT64) -> int:
    """The value, if it is an int that the core's field can hold."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what}: an int is needed, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise ValueError(f"{what}: {value} is not within 0 and {most}")
    return value


def positive(what: str, value: int | None) -> int:
    """For the core, which has 0 for None."""
    if value == 0:
        raise ValueError(f"{what}: at least 1, or None")
    return 0 if value is None else number(what, value)


def _refuse_tls(sock: object) -> None:
    """A TLS socket, of ssl or of others, or a file over one: its descriptor yields what is encrypted."""
    raw = getattr(sock, "raw", None)
    for inner in (sock, getattr(sock, "_sock", None), getattr(raw, "_sock", None)):
        if any(callable(getattr(inner, name, None)) for name in ("cipher", "get_cipher_name")):
            raise TypeError(
                f"{type(inner).__name__} is encrypted: only ciphertext would be received. "
                "Add the plain socket before TLS begins and decrypt its buffers by ssl.MemoryBIO "
                "(SSLContext.wrap_bio), or read this one by recv()"
            )


def fileno(sock: HasFileno | int) -> int:
    """The descriptor of a socket."""
    _refuse_tls(sock)
    fd = sock if isinstance(sock, int) and not isinstance(sock, bool) else getattr(sock, "fileno", None)
    if callable(fd):
        fd = fd()
    if not isinstance(fd, int):
        raise TypeError(f"a socket or a descriptor is needed, not {type(sock).__name__}")
    if not 0 <= fd < 1 << 31:
        raise ValueError(f"descriptor {fd}: the socket is closed, or there was none")
    return fd


def nic_options(interface: str, queue: int | None, steer_port: int | None) -> Any:
    """The core's options as far as they concern the NIC."""
    raw = _control.zrx_options()
    raw.set_interface(interface)
    if queue is not None:
        raw.queue = number("queue", queue, UINT32)
        raw.flags |= _control.ZRX_QUEUE
    if steer_port is not None:
        raw.steer = _control.ZRX_STEER_PORT
        raw.steer_port = number("steer_port", steer_port, 65535)
    return raw


class ReceiverOptions(TypedDict, total=False):
    """What zcrx.Receiver and zcrx.Group take, each with the same meaning. Described at zcrx.Receiver."""

    queue: int | None
    area_bytes: int
    area_max_bytes: int
    window_bytes: int
    buffer_bytes: int
    ring_entries: int
    refill_entries: int
    area_kind: str
    require_zero_copy: bool
    small_area: bool
    nic: str
    steer: str
    busy_poll_us: int


def receiver_options(
    *,
    engine: str,
    interface: str | None,
    steer_port: int | None,
    queue: int | None = None,
    area_bytes: int = 0,
    area_max_bytes: int = 0,
    window_bytes: int = 0,
    buffer_bytes: int = 0,
    ring_entries: int = 0,
    refill_entries: int = 0,
    area_kind: str = "auto",
    require_zero_copy: bool = False,
    small_area: bool = False,
    nic: str = "setup",
    steer: str = "connection",
    busy_poll_us: int = 0,
) -> Any:
    """The core's options."""
    raw = nic_options(interface, queue, steer_port) if interface else _control.zrx_options()
    if queue is not None and not interface:
        raise ValueError("queue: needs an interface")
    raw.engine = choose("engine", engine, {name: i for i, name in enumerate(ENGINES)})
    raw.area_bytes = number("area_bytes", area_bytes)
    raw.area_max_bytes = number("area_max_bytes", area_max_bytes)
    raw.window_bytes = number("window_bytes", window_bytes)
    raw.buffer_bytes = number("buffer_bytes", buffer_bytes, UINT32)
    raw.ring_entries = number("ring_entries", ring_entries, UINT32)
    raw.refill_entries = number("refill_entries", refill_entries, UINT32)
    raw.area_kind = choose("area_kind", area_kind, _AREA_KINDS)
    raw.nic_mode = choose("nic", nic, _NIC_MODES)
    raw.steer = choose("steer", steer if steer_port is None else "port", _STEERS)
    raw.busy_poll_us = number("busy_poll_us", busy_poll_us, UINT32)
    if require_zero_copy:
        raw.flags |= _control.ZRX_REQUIRE_ZERO_COPY
    if small_area:
        raw.flags |= _control.ZRX_SMALL_AREA
    return raw
