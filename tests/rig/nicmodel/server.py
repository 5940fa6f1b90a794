# SPDX-License-Identifier: MIT
"""The process: two cards, a cable, their sockets, and one loop that serves them all."""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections.abc import Callable
from typing import Protocol

from .cable import Cable
from .control import Control, Session
from .offload import Frame
from .pci import PciFunction
from .personality import Personality
from .vfio_user import Connection, DisconnectedError, listen

log = logging.getLogger("server")


class Pollable(Protocol):
    def fileno(self) -> int: ...


class Server:
    """Runs until every client that came has gone."""

    def __init__(
        self,
        cards: list[Personality],
        cable: Cable,
        paths: list[str],
        control_path: str | None = None,
    ) -> None:
        self.cards = cards
        self.cable = cable
        self.control = Control(cards, cable)
        self._selector = selectors.DefaultSelector()
        self._clients = 0
        self._done = False
        for card, path in zip(cards, paths, strict=True):
            self._plug_in(card)
            self._listen_for_client(card, path)
        if control_path:
            self._listen_for_control(control_path)

    def _plug_in(self, card: Personality) -> None:
        end = self.cable.attach(card.receive)

        def transmit(frame: Frame) -> None:
            if not self.control.intercept(card, frame):
                self.cable.send(end, frame)

        card.transmit = transmit

    def watch(self, source: Pollable, ready: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, ready)

    def unwatch(self, source: Pollable) -> None:
        self._selector.unregister(source)

    def _listen_for_client(self, card: Personality, path: str) -> None:
        listener = listen(path)
        self.watch(listener, lambda: self._accept(listener, card))

    def _accept(self, listener: socket.socket, card: Personality) -> None:
        self.unwatch(listener)
        sock, _ = listener.accept()
        listener.close()
        connection = Connection(sock, PciFunction(card))
        self._clients += 1
        log.info("port %d: client connected", card.number)
        self.watch(connection, lambda: self._serve(connection))

    def _serve(self, connection: Connection) -> None:
        try:
            connection.handle()
        except (DisconnectedError, ConnectionError):
            self.unwatch(connection)
            connection.sock.close()
            self._clients -= 1
            self._done = self._clients == 0

    def _listen_for_control(self, path: str) -> None:
        listener = listen(path)
        self.watch(listener, lambda: self._accept_control(listener))

    def _accept_control(self, listener: socket.socket) -> None:
        session = Session(listener.accept()[0], self.control)
        self.watch(session, lambda: self._serve_control(session))

    def _serve_control(self, session: Session) -> None:
        if not session.ready():
            self.unwatch(session)
            session.sock.close()

    def _timeout(self) -> float | None:
        """How long nothing happens by itself."""
        sources = (self.cable, self.control, *self.cards)
        due = [ns for ns in (source.next_due_ns() for source in sources) if ns is not None]
        return max(0.0, (min(due) - time.monotonic_ns()) / 1e9) if due else None

    def _flush(self) -> None:
        for card in self.cards:
            card.flush()

    def run(self) -> None:
        while not self._done:
            events = self._selector.select(self._timeout())
            now = time.monotonic_ns()
            self.cable.advance(now)
            self.control.advance(now)
            for card in self.cards:
                card.advance(now)
            if not events:
                self._flush()
            for key, _ in events:
                key.data()
                self._flush()
        self._selector.close()
