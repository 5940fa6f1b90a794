# SPDX-License-Identifier: MIT
"""The firmware's mailbox: takes a request from the register window, answers it in guest memory.

Driver side: `bnxt_hwrm.c`. The model asks for "short" commands: the window then only says where
in guest memory the request is."""

from __future__ import annotations

import logging
import struct
from collections import Counter
from collections.abc import Mapping

from ..dma import DmaError
from ..faults import Faults
from .event_rings import CompletionRing, NotificationQueue
from .hwrm import (
    COMMANDS,
    FAIL,
    NAMES,
    NO_COMPLETION_RING,
    NOT_SUPPORTED,
    REQUEST_HEADER,
    SHORT_REQUEST,
    SHORT_SIGNATURE,
    Handler,
    HwrmError,
    Request,
    encode_error,
    encode_response,
)
from .rings import Rings

WINDOW_BYTES = 128
TRIGGER = 0x100
DONE_ENTRY = struct.Struct("<HHIII")  # type, sequence, 0, phase, 0
DONE_TYPE = 0x20
ASYNC_ENTRY = struct.Struct("<HHIII")  # type, event, data 2, phase and waiting times, data 1
ASYNC_TYPE = 0x2E
EVENT_LINK_STATUS_CHANGE = 0x0
EVENT_RESET_NOTIFY = 0x8
RESET_WAIT = 1 << 8 | 60 << 16  # least and most time until the firmware is back, in 100 ms


class Firmware:
    """Commands without a handler of their own, but known to `hwrm.COMMANDS`, simply succeed."""

    def __init__(self, rings: Rings, faults: Faults, log: logging.Logger) -> None:
        self._window = bytearray(WINDOW_BYTES)
        self._rings = rings
        self._faults = faults
        self._log = log
        self._handlers: dict[str, Handler] = {}
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.async_ring = NO_COMPLETION_RING

    def serve(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers.update(handlers)

    def write(self, offset: int, data: bytes) -> None:
        """A write to the mailbox page."""
        if offset == TRIGGER:
            self._run()
        elif offset < WINDOW_BYTES:
            end = min(offset + len(data), WINDOW_BYTES)
            self._window[offset:end] = data[: end - offset]

    def _run(self) -> None:
        data = bytes(self._window)
        _, signature, _, size, address = SHORT_REQUEST.unpack_from(data)
        memory = self._rings.memory
        if signature == SHORT_SIGNATURE:
            data = memory.read(address, size)
        code, completion, sequence, _, response_at = REQUEST_HEADER.unpack_from(data)
        response = self._answer(code, sequence, data)
        # The driver polls the length in the header, then the valid byte at the end.
        memory.write(response_at + 8, response[8:])
        memory.write(response_at, response[:8])
        if completion != NO_COMPLETION_RING:
            self._announce(completion, DONE_ENTRY.pack(DONE_TYPE, sequence, 0, 0, 0))

    def _answer(self, code: int, sequence: int, data: bytes) -> bytes:
        name = NAMES.get(code)
        self.calls[name or hex(code)] += 1
        if name is None:
            self.refused[hex(code)] += 1
            return encode_error(NOT_SUPPORTED, code, sequence)
        try:
            error = self._faults.take("fail-command", name)
            if error is not None:
                raise HwrmError(error or FAIL, "told to fail")
            handler = self._handlers.get(name)
            values = handler(Request(COMMANDS[name].request, data)) if handler else {}
            self._log.debug("%s", name)
            return encode_response(name, sequence, values)
        except (HwrmError, DmaError) as error:
            self._log.warning("%s refused: %s", name, error)
            self.refused[name] += 1
            return encode_error(getattr(error, "code", FAIL), code, sequence)

    def _announce(self, ring_id: int, entry: bytes) -> None:
        ring = self._rings.get(ring_id)
        if isinstance(ring, CompletionRing):
            ring.complete([entry])
        elif isinstance(ring, NotificationQueue):
            ring.notify(entry)

    def event(self, event: int, wait: int = 0) -> None:
        """Tell the driver of something it did not ask for (`bnxt.c`: bnxt_async_event_process)."""
        self._announce(self.async_ring, ASYNC_ENTRY.pack(ASYNC_TYPE, event, 0, wait, 0))
