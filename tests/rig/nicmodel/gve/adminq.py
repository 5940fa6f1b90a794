# SPDX-License-Identifier: MIT
"""The admin queue: commands of 64 bytes in guest memory, big endian
(`gve_adminq.c`, `gve_adminq.h`).

A command is an operation, a status that the device fills in, and a body whose layout is below."""

from __future__ import annotations

import logging
import struct
from collections import Counter
from collections.abc import Callable, Mapping

from ..dma import DmaError, GuestMemory
from ..faults import Faults

COMMAND_BYTES = 64
HEAD = struct.Struct(">II")  # operation, status
STATUS = struct.Struct(">I")
STATUS_AT = 4

PASSED = 0x1
ALREADY_EXISTS = 0xFFFFFFF1
INTERNAL_ERROR = 0xFFFFFFF6
INVALID_ARGUMENT = 0xFFFFFFF7
NOT_FOUND = 0xFFFFFFF8
OUT_OF_RANGE = 0xFFFFFFF9
UNIMPLEMENTED = 0xFFFFFFFE

EXTENDED = 0xFF
EXTENDED_BODY = struct.Struct(">IIQ")  # operation, length and address of the real command

OPERATIONS: dict[int, str] = {
    0x1: "DESCRIBE_DEVICE",
    0x2: "CONFIGURE_DEVICE_RESOURCES",
    0x5: "CREATE_TX_QUEUE",
    0x6: "CREATE_RX_QUEUE",
    0x7: "DESTROY_TX_QUEUE",
    0x8: "DESTROY_RX_QUEUE",
    0x9: "DECONFIGURE_DEVICE_RESOURCES",
    0xA: "CONFIGURE_RSS",
    0xB: "SET_DRIVER_PARAMETER",
    0xC: "REPORT_STATS",
    0xD: "REPORT_LINK_SPEED",
    0xE: "GET_PTYPE_MAP",
    0xF: "VERIFY_DRIVER_COMPATIBILITY",
    0x10: "QUERY_FLOW_RULES",
    0x12: "QUERY_RSS",
    0x101: "CONFIGURE_FLOW_RULE",
}

Handler = Callable[[bytes], None]


class AdminError(Exception):
    """A command is refused with this status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class AdminQueue:
    """Commands that no part serves are refused as unimplemented."""

    def __init__(self, memory: GuestMemory, faults: Faults, log: logging.Logger) -> None:
        self._memory = memory
        self._faults = faults
        self._log = log
        self._handlers: dict[str, Handler] = {}
        self._mask = 0
        self.address = 0
        self.done = 0
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def serve(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers.update(handlers)

    def place(self, address: int, length: int) -> None:
        """The driver says where the queue is; it starts empty."""
        self.address = address
        self._mask = max(1, length // COMMAND_BYTES) - 1
        self.done = 0

    def run(self, until: int) -> None:
        """The doorbell: run the commands up to this count."""
        while self.done != until:
            at = self.address + (self.done & self._mask) * COMMAND_BYTES
            command = self._memory.read(at, COMMAND_BYTES)
            operation = HEAD.unpack_from(command)[0]
            self._memory.write(at + STATUS_AT, STATUS.pack(self._execute(operation, command[HEAD.size :])))
            self.done = self.done + 1 & 0xFFFFFFFF

    def _execute(self, operation: int, body: bytes) -> int:
        name = OPERATIONS.get(operation, hex(operation))
        try:
            if operation == EXTENDED:
                operation, length, address = EXTENDED_BODY.unpack_from(body)
                name = OPERATIONS.get(operation, hex(operation))
                body = self._memory.read(address, length)
            self.calls[name] += 1
            error = self._faults.take("fail-command", name)
            if error is not None:
                raise AdminError(error or INTERNAL_ERROR, "told to fail")
            handler = self._handlers.get(name)
            if handler is None:
                raise AdminError(UNIMPLEMENTED, "not implemented")
            handler(body)
            self._log.debug("%s", name)
        except (AdminError, DmaError) as error:
            self._log.warning("%s refused: %s", name, error)
            self.refused[name] += 1
            return getattr(error, "status", INTERNAL_ERROR)
        return PASSED
