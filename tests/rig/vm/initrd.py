# SPDX-License-Identifier: MIT
"""Writes an archive of files that a kernel takes as its first root (cpio, format newc)."""

from __future__ import annotations

import stat
from pathlib import Path

TRAILER = "TRAILER!!!"


class Initrd:
    """Collects entries; directories must be added before what is in them."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0

    def directory(self, path: str) -> None:
        """Add an empty directory."""
        self._entry(path, stat.S_IFDIR | 0o755, b"")

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file."""
        self._entry(path, stat.S_IFREG | mode, content)

    def console(self, path: str) -> None:
        """Add the device of the kernel's console, without which the first process has no output."""
        self._entry(path, stat.S_IFCHR | 0o600, b"", device=(5, 1))

    def write(self, target: Path) -> None:
        """Write the archive."""
        self._entry(TRAILER, 0, b"")
        target.write_bytes(b"".join(self._parts))

    def _entry(self, path: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._count += 1
        name = path.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        # inode, mode, uid, gid, links, mtime, size, device, device of the node, name, checksum
        fields = (self._count, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self._parts += (_padded(header + name), _padded(content))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
