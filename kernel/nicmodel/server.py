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
from .pci import PciFunction
from .personality import Personality
from .vfio_user import Connection, Disconnected, listen

log = logging.getLogger("server")


class Pollable(Protocol):
    def fileno(self) -> int: ...


class Server:
    """Runs until every client that came has gone."""

    def __init__(self, cards: list[Personality], cable: Cable, paths: list[str]) -> None:
        self.cards = cards
        self.cable = cable
        self._selector = selectors.DefaultSelector()
        self._clients = 0
        self._done = False
        for card, path in zip(cards, paths, strict=True):
            end = cable.attach(card.receive)
            card.transmit = lambda frame, end=end: cable.send(end, frame)  # type: ignore[misc]
            self._listen_for_client(card, path)

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
        except (Disconnected, ConnectionError):
            self.unwatch(connection)
            connection.sock.close()
            self._clients -= 1
            self._done = self._clients == 0

    def _timeout(self) -> float | None:
        due = self.cable.next_due_ns()
        return None if due is None else max(0.0, (due - time.monotonic_ns()) / 1e9)

    def run(self) -> None:
        while not self._done:
            events = self._selector.select(self._timeout())
            self.cable.advance(time.monotonic_ns())
            for key, _ in events:
                key.data()
                for card in self.cards:
                    card.flush()
            if not events:
                for card in self.cards:
                    card.flush()
        self._selector.close()
