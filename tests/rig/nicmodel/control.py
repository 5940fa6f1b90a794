# SPDX-License-Identifier: MIT
"""Faults and questions from outside: one JSON object in, one out.

They come as lines over a UNIX socket, or as Ethernet frames of a local experimental type that a
guest sends from one of the ports (`guest_fault.py`): such a frame never reaches the cable, and
its answer comes back to the port that sent it.

    {"do": "link", "up": false, "for_ms": N}    the cable is pulled, and back after N ms;
                                                without for_ms it stays so (a guest cannot ask then)
    {"do": "reset", "port": 1}                  the card asks its driver for a reset
    {"do": "cable", "delay_ns": N, "loss": P, "reorder": P, "seed": N}
    {"do": "starve", "port": 1, "queue": Q, "count": N}    packets find no buffer
    {"do": "unsplit", "port": 1, "queue": Q, "count": N}   packets are placed without header split
    {"do": "misdirect", "port": 1, "queue": Q, "count": N, "value": OTHER}  packets of Q go to OTHER
    {"do": "bad-length", "port": 1, "queue": Q, "count": N, "value": DELTA} the length told is wrong
    {"do": "lose-interrupt", "port": 1, "vector": V, "count": N}
    {"do": "fail-command", "port": 1, "name": NAME, "count": N, "value": ERROR}
    {"do": "counters"}   {"do": "state"}

A queue, vector or name left out means any; a count left out means one, -1 without end, 0 no
more. A request repeated with the same "id" is not done again: its answer may have been lost."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from .cable import Cable, Impairment
from .faults import ANY
from .offload import Frame
from .personality import Personality

ETHERTYPE = 0x88B5
HEADER_BYTES = 14
MAX_LINE = 65536
# What each counted fault concerns.
CONCERNS = {
    "starve": "queue",
    "unsplit": "queue",
    "misdirect": "queue",
    "bad-length": "queue",
    "lose-interrupt": "vector",
    "fail-command": "name",
}


class Control:
    def __init__(self, cards: list[Personality], cable: Cable) -> None:
        self._cards = cards
        self._cable = cable
        self._link_turns_ns: int | None = None
        self._last: tuple[object, bytes] = (None, b"")
        self._actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "link": self._link,
            "reset": self._reset,
            "cable": self._impair,
            "counters": self._counters,
            "state": lambda _: {"ports": [card.state() for card in cards]},
            **dict.fromkeys(CONCERNS, self._fault),
        }

    def execute(self, text: bytes) -> bytes:
        """Do what one line asks for; the answer says "ok", or "error" and why."""
        ident = None
        try:
            request = json.loads(text)
            ident = request.get("id")
            if ident is not None and ident == self._last[0]:
                return self._last[1]
            action = self._actions.get(request.get("do"))
            if action is None:
                raise ValueError(f"cannot do {request.get('do')!r}")
            answer = {"ok": True, **action(request)}
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        self._last = (ident, json.dumps(answer).encode())
        return self._last[1]

    def _card(self, request: dict[str, Any]) -> Personality:
        return self._cards[int(request["port"])]

    def _fault(self, request: dict[str, Any]) -> dict[str, Any]:
        kind = request["do"]
        concerns = request.get(CONCERNS[kind], ANY)
        count, value = int(request.get("count", 1)), int(request.get("value", 0))
        self._card(request).faults.set(kind, concerns, count, value)
        return {}

    def _link(self, request: dict[str, Any]) -> dict[str, Any]:
        self._set_link(bool(request["up"]))
        duration = request.get("for_ms")
        self._link_turns_ns = None
        if duration is not None:
            self._link_turns_ns = time.monotonic_ns() + int(duration) * 1_000_000
        return {}

    def _set_link(self, up: bool) -> None:
        self._cable.up = up
        for card in self._cards:
            card.set_link(up)

    def next_due_ns(self) -> int | None:
        """When the link changes by itself; None if it does not."""
        return self._link_turns_ns

    def advance(self, now_ns: int) -> None:
        if self._link_turns_ns is not None and self._link_turns_ns <= now_ns:
            self._link_turns_ns = None
            self._set_link(not self._cable.up)

    def _reset(self, request: dict[str, Any]) -> dict[str, Any]:
        self._card(request).request_reset()
        return {}

    def _impair(self, request: dict[str, Any]) -> dict[str, Any]:
        if "seed" in request:
            self._cable.reseed(int(request["seed"]))
        self._cable.impairment = Impairment(
            int(request.get("delay_ns", 0)),
            float(request.get("loss", 0)),
            float(request.get("reorder", 0)),
        )
        return {"cable": asdict(self._cable.impairment)}

    def _counters(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {
            "cable": dict(self._cable.counters),
            "ports": [dict(card.counters) for card in self._cards],
            "faults": [dict(card.faults.taken) for card in self._cards],
            "interrupts": [card.bus.interrupts.fired for card in self._cards],
        }

    def intercept(self, card: Personality, frame: Frame) -> bool:
        """Whether this frame is a request, not traffic; if so it has been answered."""
        if frame.headers.ethertype != ETHERTYPE:
            return False
        answer = self.execute(frame.data[HEADER_BYTES:].rstrip(b"\0"))
        header = frame.data[6:12] + frame.data[:6] + frame.data[12:HEADER_BYTES]
        card.receive(Frame(header + answer))
        return True


class Session:
    """One connection to the control socket: lines in, lines out."""

    def __init__(self, sock: socket.socket, control: Control) -> None:
        self.sock = sock
        self._control = control
        self._text = b""

    def fileno(self) -> int:
        return self.sock.fileno()

    def ready(self) -> bool:
        """Answer what has come; False once the other side has gone or talks nonsense."""
        try:
            data = self.sock.recv(MAX_LINE)
            *lines, self._text = (self._text + data).split(b"\n")
            for line in lines:
                self.sock.sendall(self._control.execute(line) + b"\n")
        except ConnectionError:
            return False
        return bool(data) and len(self._text) < MAX_LINE
