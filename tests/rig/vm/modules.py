# SPDX-License-Identifier: MIT
"""Kernel modules, in the order in which they can be loaded.

A kernel that is only unpacked has no index of dependencies: the modules themselves tell.
"""

from __future__ import annotations

import lzma
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from cache import VmError

NAMES_NEEDED = re.compile(rb"\0(?:depends=|softdep=pre: )([^\0]*)")


class Modules:
    """The modules of one kernel."""

    def __init__(self, directory: Path) -> None:
        self._paths = {_name(path.name): path for path in directory.glob("kernel/**/*.ko*")}
        builtin = (directory / "modules.builtin").read_text().split()
        self._builtin = {_name(Path(path).name) for path in builtin}

    def load_order(self, wanted: Iterable[str]) -> dict[str, bytes]:
        """The modules WANTED and all that they need: name to content, needed ones first."""
        ordered: dict[str, bytes] = {}
        for name in wanted:
            self._add(_name(name), ordered)
        return ordered

    def _add(self, name: str, ordered: dict[str, bytes]) -> None:
        if name in ordered or name in self._builtin:
            return
        if name not in self._paths:
            raise VmError(f"this kernel has no module {name}")
        content = _content(self._paths[name])
        for needed in re.split(r"[ ,]+", _needed(content)):
            if needed:
                self._add(_name(needed), ordered)
        ordered[name] = content


def _name(file_or_module: str) -> str:
    return file_or_module.partition(".")[0].replace("-", "_")


def _needed(content: bytes) -> str:
    return ",".join(match.decode() for match in NAMES_NEEDED.findall(content))


def _content(path: Path) -> bytes:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout
    return path.read_bytes()
