# SPDX-License-Identifier: MIT
"""The kernel proper, out of the image that boot loaders load.

QEMU starts it directly: no boot loader, and no decompression by an emulated processor (2 s).
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path

from cache import VmError

APT_HELPER = "/usr/lib/apt/apt-helper"
# The image's setup header, as the kernel's boot protocol defines it.
SETUP_SECTORS = 0x1F1
MAGIC, MAGIC_AT = b"HdrS", 0x202
PAYLOAD = 0x248
SECTOR_BYTES = 512
# Behind the compressed kernel stands its size.
SIZE_BYTES = 4
# What apt, which must read packages, decompresses, and how it wants it named.
FORMATS = {b"\x28\xb5\x2f\xfd": ".zst", b"\xfd7zXZ": ".xz", b"\x1f\x8b": ".gz"}


def extract_vmlinux(image: Path, target: Path) -> None:
    """Write the kernel in the boot image IMAGE to TARGET."""
    payload = _payload(image.read_bytes())
    suffixes = [suffix for magic, suffix in FORMATS.items() if payload.startswith(magic)]
    if not suffixes:
        raise VmError(f"{image.name} is compressed in an unknown way")
    with tempfile.NamedTemporaryFile(suffix=suffixes[0]) as compressed, target.open("wb") as out:
        compressed.write(payload)
        compressed.flush()
        command = [APT_HELPER, "cat-file", compressed.name]
        done = subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=False)
    with target.open("rb") as kernel:
        if done.returncode or kernel.read(4) != b"\x7fELF":
            raise VmError(f"cannot decompress {image.name}")


def _payload(image: bytes) -> bytes:
    if image[MAGIC_AT : MAGIC_AT + len(MAGIC)] != MAGIC:
        raise VmError("not a kernel image")
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    # The header itself counts as one sector more; an old default of 4 is written as 0.
    start = ((image[SETUP_SECTORS] or 4) + 1) * SECTOR_BYTES + offset
    return image[start : start + length - SIZE_BYTES]
