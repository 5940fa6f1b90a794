# SPDX-License-Identifier: MIT
"""Where users are: the targets, and what each is built with and run by.

Everything comes from PyPI (the compiler) and from Debian's mirror (libraries, an emulator), once, into the rigs' cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig/vm"))

from cache import VmError, cache_directory, made_once  # noqa: E402
from debroot import Recipe, fetched_root  # noqa: E402
from initrd import Initrd as Initrd  # noqa: E402
from kernels import fetched_kernel as fetched_kernel  # noqa: E402

# A C compiler for every target, with the headers and start files of each libc.
ZIG = "0.17.1"
LIBRARIES = ("liburing-dev", "liburing2", "libmnl-dev", "libmnl0")


@dataclass(frozen=True)
class Target:
    """One of them. SUITE is the Debian whose liburing and libmnl are used: 2.3 of bookworm, sid's is the newest."""

    triple: str
    architecture: str
    suite: str

    @property
    def static(self) -> bool:
        """No loader of musl is needed then, and any kernel of the architecture runs it."""
        return self.triple.endswith("musl")

    @property
    def libraries(self) -> Path:
        """Headers and libraries of liburing and libmnl, without a libc."""
        return fetched_root("libraries", Recipe(LIBRARIES, self.suite, self.architecture, alone=True))

    def variables(self) -> dict[str, str]:
        """What make is given."""
        compiler = zig()
        library = next((self.libraries / "usr/lib").glob("*-linux-gnu"))
        flags = {
            "CC": f"{compiler} cc -target {self.triple}",
            "AR": f"{compiler} ar",
            "CPPFLAGS": f"-isystem {self.libraries}/usr/include",
            "LDFLAGS": f"-L{library}" + (" -static" if self.static else f" -Wl,-rpath,{library}"),
        }
        if self.static:
            flags["LDLIBS"] = f"-luring -lmnl -lpthread {ROOT}/tests/builds/glibc_names.c"
        return flags

    def emulator(self, page_bytes: int = 4096) -> list[str]:
        """What runs its programs; empty where this machine, or only a guest, does."""
        if self.architecture != "arm64":
            return []
        words = [str(qemu_user()), "-p", str(page_bytes)]
        return words if self.static else [*words, "-L", str(runtime(self.architecture))]


TARGETS = {
    # RHEL 9; Ubuntu 22.04.
    "glibc-2.34": Target("x86_64-linux-gnu.2.34", "amd64", "bookworm"),
    "glibc-2.35": Target("x86_64-linux-gnu.2.35", "amd64", "trixie"),
    "musl": Target("x86_64-linux-musl", "amd64", "sid"),
    "aarch64": Target("aarch64-linux-gnu.2.34", "arm64", "bookworm"),
    "aarch64-musl": Target("aarch64-linux-musl", "arm64", "sid"),
    "ppc64le-musl": Target("powerpc64le-linux-musl", "ppc64el", "sid"),
}


def zig() -> Path:
    """The compiler, from PyPI; it is one program, and needs no installing."""
    os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(cache_directory() / "zig-objects"))
    os.environ.setdefault("ZIG_LOCAL_CACHE_DIR", str(cache_directory() / "zig-objects"))
    return made_once(f"zig-{ZIG}", _fetch_zig) / "ziglang/zig"


def _fetch_zig(folder: Path) -> None:
    print(f"builds: fetching the compiler (ziglang {ZIG} of PyPI)", file=sys.stderr)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-compile",
        "--target",
        str(folder),
        f"ziglang=={ZIG}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VmError(
            f"cannot fetch ziglang {ZIG}: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}"
        )


def qemu_user() -> Path:
    """The emulator of foreign programs. Of Debian 12, which still has pages of other sizes (-p)."""
    root = fetched_root("qemu-user", Recipe(("qemu-user-static",), "bookworm", alone=True))
    return root / "usr/bin/qemu-aarch64-static"


def runtime(architecture: str) -> Path:
    """A foreign libc, for the emulator."""
    return fetched_root("runtime", Recipe(("libc6", "libgcc-s1"), "bookworm", architecture))


def system_emulator(name: str) -> str:
    """The emulator of a whole machine."""
    found = shutil.which(name)
    if not found:
        raise VmError(f"{name} is not installed: scripts/deps builds")
    return found
