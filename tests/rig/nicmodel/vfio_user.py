# SPDX-License-Identifier: MIT
"""The vfio-user transport: one client (QEMU) drives one device over a UNIX socket.

Messages and their layouts are those of QEMU's `docs/interop/vfio-user.rst`. This file knows
nothing of network cards: it turns messages into calls on a `Device`.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Protocol

HEADER = struct.Struct("<HHIII")  # id, command, size, flags, errno
FLAG_REPLY, FLAG_NO_REPLY, FLAG_ERROR = 0x1, 0x10, 0x20

VERSION, DMA_MAP, DMA_UNMAP = 1, 2, 3
GET_INFO, GET_REGION_INFO, GET_IRQ_INFO, SET_IRQS = 4, 5, 7, 8
REGION_READ, REGION_WRITE, RESET = 9, 10, 13

VERSION_BODY = struct.Struct("<HH")  # major, minor; JSON follows
DMA_MAP_BODY = struct.Struct("<IIQQQ")  # argsz, flags, offset, address, size
DMA_UNMAP_BODY = struct.Struct("<IIQQ")  # argsz, flags, address, size
INFO_BODY = struct.Struct("<IIII")  # argsz, flags, regions, interrupt kinds
REGION_INFO_BODY = struct.Struct("<IIIIQQ")  # argsz, flags, index, capabilities, size, offset
IRQ_INFO_BODY = struct.Struct("<IIII")  # argsz, flags, index, count
SET_IRQS_BODY = struct.Struct("<IIIII")  # argsz, flags, index, start, count
REGION_ACCESS = struct.Struct("<QII")  # offset, region, count

DEVICE_IS_PCI, DEVICE_HAS_RESET = 2, 1
REGION_READABLE, REGION_WRITABLE = 1, 2
UNMAP_ALL = 2
IRQ_EVENTFD, IRQ_NO_RESIZE = 1, 8
SET_IRQS_EVENTFD = 4
PCI_REGIONS, PCI_CONFIG_REGION = 9, 7
PCI_IRQ_KINDS, PCI_MSIX_IRQ = 5, 2

MAX_MESSAGE = 1 << 21
CAPABILITIES = {"capabilities": {"max_msg_fds": 16, "max_data_xfer_size": 1 << 20}}


class DisconnectedError(Exception):
    """The client closed the socket: the virtual machine is gone."""


class ProtocolError(Exception):
    """The client sent something that the transport does not allow."""


class Device(Protocol):
    """What the transport needs from a PCI device."""

    interrupt_count: int

    def region_size(self, region: int) -> int: ...
    def region_read(self, region: int, offset: int, count: int) -> bytes: ...
    def region_write(self, region: int, offset: int, data: bytes) -> None: ...
    def set_interrupts(self, start: int, count: int, fds: list[int]) -> None: ...
    def dma_map(self, address: int, length: int, fd: int, offset: int) -> None: ...
    def dma_unmap(self, address: int, length: int) -> None: ...
    def reset(self) -> None: ...


@dataclass
class Message:
    id: int
    command: int
    flags: int
    body: bytes
    fds: list[int] = field(default_factory=list)

    def close_fds(self) -> None:
        """Close the descriptors that no handler took."""
        while self.fds:
            os.close(self.fds.pop())


def receive_exactly(sock: socket.socket, count: int, fds: list[int]) -> bytes:
    parts = []
    while count:
        data, ancillary, _, _ = sock.recvmsg(count, socket.CMSG_SPACE(16 * 4))
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(payload[: len(payload) // 4 * 4])
                fds.extend(received)
        if not data:
            raise DisconnectedError
        parts.append(data)
        count -= len(data)
    return b"".join(parts)


class Connection:
    """One accepted client. `handle` takes one message from the socket and answers it."""

    def __init__(self, sock: socket.socket, device: Device) -> None:
        self.sock = sock
        self.device = device
        self._handlers = {
            VERSION: self._version,
            DMA_MAP: self._dma_map,
            DMA_UNMAP: self._dma_unmap,
            GET_INFO: self._get_info,
            GET_REGION_INFO: self._get_region_info,
            GET_IRQ_INFO: self._get_irq_info,
            SET_IRQS: self._set_irqs,
            REGION_READ: self._region_read,
            REGION_WRITE: self._region_write,
            RESET: self._reset,
        }

    def fileno(self) -> int:
        return self.sock.fileno()

    def receive(self) -> Message:
        fds: list[int] = []
        ident, command, size, flags, _ = HEADER.unpack(receive_exactly(self.sock, HEADER.size, fds))
        if not HEADER.size <= size <= MAX_MESSAGE:
            raise ProtocolError(f"message of {size} bytes")
        return Message(ident, command, flags, receive_exactly(self.sock, size - HEADER.size, fds), fds)

    def handle(self) -> None:
        message = self.receive()
        handler = self._handlers.get(message.command)
        error, body = 0, b""
        try:
            if handler is None:
                error = errno.ENOSYS
            else:
                body = handler(message)
        except (struct.error, ProtocolError):
            error = errno.EINVAL
        finally:
            message.close_fds()
        if not message.flags & FLAG_NO_REPLY:
            flags = FLAG_REPLY | (FLAG_ERROR if error else 0)
            head = HEADER.pack(message.id, message.command, HEADER.size + len(body), flags, error)
            self.sock.sendall(head + body)

    def _version(self, message: Message) -> bytes:
        major, minor = VERSION_BODY.unpack_from(message.body)
        if major != 0:
            raise ProtocolError(f"protocol version {major}.{minor}")
        return VERSION_BODY.pack(major, minor) + json.dumps(CAPABILITIES).encode() + b"\0"

    def _dma_map(self, message: Message) -> bytes:
        _, _, offset, address, size = DMA_MAP_BODY.unpack_from(message.body)
        if message.fds:  # regions without one (ROMs) are not memory that a driver does DMA with
            self.device.dma_map(address, size, message.fds.pop(0), offset)
        return b""

    def _dma_unmap(self, message: Message) -> bytes:
        _, flags, address, size = DMA_UNMAP_BODY.unpack_from(message.body)
        if flags & UNMAP_ALL:
            address, size = 0, 1 << 64
        self.device.dma_unmap(address, size)
        return message.body[: DMA_UNMAP_BODY.size]

    def _get_info(self, _message: Message) -> bytes:
        flags = DEVICE_IS_PCI | DEVICE_HAS_RESET
        return INFO_BODY.pack(INFO_BODY.size, flags, PCI_REGIONS, PCI_IRQ_KINDS)

    def _get_region_info(self, message: Message) -> bytes:
        index = REGION_INFO_BODY.unpack_from(message.body.ljust(REGION_INFO_BODY.size, b"\0"))[2]
        size = self.device.region_size(index)
        flags = REGION_READABLE | REGION_WRITABLE if size else 0
        return REGION_INFO_BODY.pack(REGION_INFO_BODY.size, flags, index, 0, size, 0)

    def _get_irq_info(self, message: Message) -> bytes:
        index = IRQ_INFO_BODY.unpack_from(message.body.ljust(IRQ_INFO_BODY.size, b"\0"))[2]
        count = self.device.interrupt_count if index == PCI_MSIX_IRQ else 0
        return IRQ_INFO_BODY.pack(IRQ_INFO_BODY.size, IRQ_EVENTFD | IRQ_NO_RESIZE, index, count)

    def _set_irqs(self, message: Message) -> bytes:
        _, flags, index, start, count = SET_IRQS_BODY.unpack_from(message.body)
        if index == PCI_MSIX_IRQ and (flags & SET_IRQS_EVENTFD or count == 0):
            fds, message.fds = message.fds, []
            self.device.set_interrupts(start, count, fds)
        return b""

    def _region_read(self, message: Message) -> bytes:
        offset, region, count = REGION_ACCESS.unpack_from(message.body)
        data = self.device.region_read(region, offset, count)
        return REGION_ACCESS.pack(offset, region, count) + data

    def _region_write(self, message: Message) -> bytes:
        offset, region, count = REGION_ACCESS.unpack_from(message.body)
        data = message.body[REGION_ACCESS.size : REGION_ACCESS.size + count]
        if len(data) != count:
            raise ProtocolError("short region write")
        self.device.region_write(region, offset, data)
        return REGION_ACCESS.pack(offset, region, count)

    def _reset(self, _message: Message) -> bytes:
        self.device.reset()
        return b""


def listen(path: str) -> socket.socket:
    """A listening socket at `path`, replacing a stale one."""
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    return listener
