# SPDX-License-Identifier: MIT
"""Memory that is a dma-buf for the NIC, and an ordinary file for who looks at what came."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator

# linux/udmabuf.h: struct udmabuf_create is memfd, flags, offset, size.
_UDMABUF_CREATE = 0x40187542
_CREATE = struct.Struct("=IIQQ")
_CLOEXEC = 1


@contextlib.contextmanager
def dmabuf(size: int) -> Iterator[tuple[int, mmap.mmap]]:
    """A dma-buf's descriptor, and a view of the memory behind it."""
    with contextlib.ExitStack() as stack:
        memory = os.memfd_create("area", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        stack.callback(os.close, memory)
        os.ftruncate(memory, size)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        device = os.open("/dev/udmabuf", os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, device)
        fd = fcntl.ioctl(device, _UDMABUF_CREATE, bytearray(_CREATE.pack(memory, _CLOEXEC, 0, size)))
        stack.callback(os.close, fd)
        yield fd, stack.enter_context(mmap.mmap(memory, size))
