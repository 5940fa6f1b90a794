#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kernel images of Debian, unpacked without being installed.

kernels.py list                              what the mirror has
kernels.py fetch 7.2 --flavour cloud-amd64   the newest 7.2.x; prints where it is
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cache import VmError, cache_directory, locked, made_once
from debapt import DOCUMENTATION, Apt, unpack
from vmlinux import extract_vmlinux

SUITES = ("sid", "trixie-backports", "experimental")
FLAVOURS = ("amd64", "cloud-amd64")
# Of other machines: booted by tests/builds/guest. 16k and 64k are the size of a page.
FOREIGN = {"arm64": "arm64", "arm64-16k": "arm64", "powerpc64le-64k": "ppc64el"}
# Newer packages of a kernel are split.
PARTS = ("image", "binary", "modules", "base")
# No virtual machine here has such devices, and they are most of the size.
UNNEEDED = tuple(
    f"./*lib/modules/*/kernel/{part}"
    for part in ("sound", "drivers/gpu", "drivers/media", "drivers/net/wireless", "drivers/staging")
)
IMAGE = re.compile(
    r"linux-image-(?P<version>\d[^-]*(?:-rc\d+)?)-(?P<flavour>cloud-amd64|amd64|arm64-16k|arm64|powerpc64le-64k)"
)


@dataclass(frozen=True)
class Kernel:
    """One kernel: `uname -r` without the flavour, and the flavour."""

    version: str
    flavour: str

    @property
    def release(self) -> str:
        """What `uname -r` says."""
        return f"{self.version}-{self.flavour}"

    @property
    def directory(self) -> Path:
        """Where it is, or would be, unpacked."""
        return cache_directory() / f"kernel-{self.release}"

    @property
    def vmlinux(self) -> Path:
        """The kernel itself: what QEMU boots."""
        return self.directory / "vmlinux"

    @property
    def modules(self) -> Path:
        """The directory of its modules."""
        return self.directory / "usr/lib/modules" / self.release

    def matches(self, prefix: str, flavour: str) -> bool:
        """Whether PREFIX (7, 7.2, 7.2.13) means this version."""
        same = re.match(re.escape(prefix) + r"(?![0-9])", self.version)
        return flavour == self.flavour and bool(same)

    def age_key(self) -> tuple[list[int], str, str]:
        """Sorts older before newer."""
        numbers = re.match(r"[0-9.]+", self.version)
        assert numbers, self.version
        return [int(part) for part in numbers[0].strip(".").split(".")], self.version, self.flavour


def available_kernels() -> list[Kernel]:
    """What the mirror has now, oldest first."""
    with locked(_lists()):
        return _available(_apt())


def cached_kernels() -> list[Kernel]:
    """What is unpacked already, oldest first."""
    names = [path.name.removeprefix("kernel-") for path in cache_directory().glob("kernel-*")]
    return _parse([f"linux-image-{name}" for name in names])


def fetched_kernel(prefix: str, flavour: str) -> Kernel:
    """The newest kernel of that version: of the cache, or else of the mirror."""
    if cached := _newest(cached_kernels(), prefix, flavour):
        return cached
    architecture = FOREIGN.get(flavour, "")
    with locked(_lists(architecture)):
        apt = _apt(architecture)
        kernel = _newest(_available(apt), prefix, flavour)
        if not kernel:
            raise VmError(f"the mirror has no kernel {prefix} {flavour} (see kernels.py list)")
        made_once(kernel.directory.name, lambda part: _make(apt, kernel, part))
    return kernel


def _lists(architecture: str = "") -> str:
    return "-".join(("apt-kernels", *filter(None, [architecture])))


def _apt(architecture: str = "") -> Apt:
    apt = Apt(cache_directory() / _lists(architecture), ("sid",) if architecture else SUITES, architecture)
    apt.update()
    return apt


def _available(apt: Apt) -> list[Kernel]:
    return _parse(apt.run("apt-cache", "pkgnames", "linux-image-").split())


def _parse(names: list[str]) -> list[Kernel]:
    found = {Kernel(**match.groupdict()) for name in names if (match := IMAGE.fullmatch(name))}
    return sorted(found, key=Kernel.age_key)


def _newest(kernels: list[Kernel], prefix: str, flavour: str) -> Kernel | None:
    matching = [kernel for kernel in kernels if kernel.matches(prefix, flavour)]
    return matching[-1] if matching else None


def _make(apt: Apt, kernel: Kernel, directory: Path) -> None:
    print(f"vm: fetching Debian's kernel {kernel.release}", file=sys.stderr)
    known = set(apt.run("apt-cache", "pkgnames", "linux-").split())
    packages = [f"linux-{part}-{kernel.release}" for part in PARTS]
    (directory / "usr/lib").mkdir(parents=True)
    (directory / "lib").symlink_to("usr/lib")
    with tempfile.TemporaryDirectory(dir=cache_directory()) as target:
        for package in apt.download(known.intersection(packages), Path(target)):
            unpack(package, directory, DOCUMENTATION + UNNEEDED)
    # Newer packages have it beside the modules.
    places = [f"boot/vmlinuz-{kernel.release}", f"usr/lib/modules/{kernel.release}/vmlinuz"]
    images = [directory / place for place in places if (directory / place).exists()]
    if not images:
        raise VmError(f"no image in Debian's packages of {kernel.release}")
    if kernel.flavour in FOREIGN:
        (directory / "vmlinux").symlink_to(images[0].relative_to(directory))
    else:
        extract_vmlinux(images[0], directory / "vmlinux")


def main(arguments: list[str]) -> int:
    """List or fetch."""
    parser = argparse.ArgumentParser(prog="kernels.py", description="Kernel images of Debian.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="what the mirror has")
    fetch = verbs.add_parser("fetch", help="unpack one into the cache, print where it is")
    fetch.add_argument("version", help="or its beginning: 7.2")
    fetch.add_argument("--flavour", choices=(*FLAVOURS, *FOREIGN), default=FLAVOURS[0])
    options = parser.parse_args(arguments)
    try:
        if options.verb == "list":
            cached = cached_kernels()
            for kernel in available_kernels():
                mark = "cached" if kernel in cached else ""
                print(f"{kernel.version:20} {kernel.flavour:12} {mark}".rstrip())
        else:
            print(fetched_kernel(options.version, options.flavour).directory)
    except VmError as error:
        print(f"kernels: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
