# SPDX-License-Identifier: MIT
"""One command for a guest: what the host hands in and what comes back.

Host and guest share one directory, the same for every kind of guest (see guest/init): `mounts`,
`modules` and `command` go in; `stdout`, `stderr`, `dmesg` and, last, `status` come out.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePath

GUEST_FILES = Path(__file__).resolve().parent / "guest"
# Where the guest has empty file systems of its own in memory.
COVERED = ("/tmp", "/run", "/dev", "/proc", "/sys")
# Names a place that the guest cannot write to; its /tmp is what programs then use.
LEFT_OUT_OF_ENVIRONMENT = ("TMPDIR",)
COPY_BYTES = 1 << 16
ROOMY_BYTES = 1 << 30


@dataclass(frozen=True)
class Command:
    """What to run in the guest, and where."""

    arguments: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    writable: Sequence[Path] = field(default=())

    def shares(self) -> list[tuple[Path, str]]:
        """Directories to mount one by one, in this order: path and ro or rw."""
        shares = dict.fromkeys(self.writable, "rw")
        if _is_covered(self.directory) and not any(self.directory.is_relative_to(path) for path in shares):
            shares[self.directory] = "ro"
        return sorted(shares.items())

    def script(self) -> str:
        """The shell script that becomes the command."""
        pairs = [
            f"{name}={value}"
            for name, value in self.environment.items()
            if name not in LEFT_OUT_OF_ENVIRONMENT
        ]
        # Not the env of busybox, which would prefer its own applets to this machine's programs.
        words = ["/usr/bin/env", "-i", *pairs, *self.arguments]
        return (
            f"cd {shlex.quote(str(self.directory))} || exit 125\nexec {' '.join(map(shlex.quote, words))}\n"
        )


@contextlib.contextmanager
def job_directory() -> Iterator[Path]:
    """An empty directory; gone afterwards."""
    with tempfile.TemporaryDirectory(
        prefix="zcrx-vm-", dir=_parent_directory(), ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


class Job:
    """The directory that host and guest share, filled for a command."""

    def __init__(self, path: Path, command: Command, busybox: Path, platform: str) -> None:
        self.path = path
        shutil.copy(busybox, self.path / "busybox")
        shutil.copy(GUEST_FILES / "init", self.path / "init")
        shutil.copy(GUEST_FILES / f"{platform}-start", self.path / "start")
        (self.path / "start").chmod(0o755)
        self._write("command", command.script())
        self.add_modules({})
        self._write("mounts", "".join(map(_mount_line, count(), command.shares())))
        self._streams = [_Relay(self.path / "stdout", 1), _Relay(self.path / "stderr", 2)]

    def add_modules(self, modules: Mapping[str, bytes]) -> None:
        """Let the guest load these before the command runs: name and content, in their order."""
        directory = self.path / "modules"
        directory.mkdir(exist_ok=True)
        (directory / "order").write_text("\n".join(modules))
        for name, content in modules.items():
            (directory / f"{name}.ko").write_bytes(content)

    def close(self) -> None:
        """Read no more of the command's output."""
        for stream in self._streams:
            stream.close()

    def relay_output(self) -> None:
        """Pass on what the command has written since the last call."""
        for stream in self._streams:
            stream.copy()

    def status(self) -> int | None:
        """The command's exit status, or None if the guest has not reported it."""
        try:
            return int((self.path / "status").read_text())
        except (OSError, ValueError):
            return None

    def kernel_log(self, console: Path) -> Path:
        """The kernel's whole log; if the guest did not come so far, what its console had."""
        whole = self.path / "dmesg"
        return whole if whole.exists() else console

    def _write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, errors="surrogateescape")


class _Relay:
    """Copies a growing file to a file descriptor of this process."""

    def __init__(self, path: Path, target: int) -> None:
        self._source = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._target = target

    def copy(self) -> None:
        while data := os.read(self._source, COPY_BYTES):
            while data:
                data = data[os.write(self._target, data) :]

    def close(self) -> None:
        os.close(self._source)


def _mount_line(number: int, share: tuple[Path, str]) -> str:
    path, mode = share
    quoted = shlex.quote(str(path))
    make = f"b mkdir -p {quoted}; " if _is_covered(path) else ""
    return f"{make}share {number} {quoted} {mode} || fail cannot mount {quoted}\n"


def _is_covered(path: PurePath) -> bool:
    return any(path.is_relative_to(place) for place in COVERED)


def _parent_directory() -> Path:
    """Memory if there is plenty of it (each write of the guest is synced), else the usual place."""
    shm = Path("/dev/shm")
    if os.access(shm, os.W_OK) and shutil.disk_usage(shm).free >= ROOMY_BYTES:
        return shm
    return Path(tempfile.gettempdir())
