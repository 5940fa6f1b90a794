#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small roots of Debian sid that hold the virtual machines' programs.

    debroot.py uml qemu      make them, unless cached, and print where they are

User-mode Linux and QEMU with vfio-user are newer than most machines' Debian; in a root of their
own they find their libraries. Packages are only unpacked, never configured.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from cache import VmError, cache_directory, made_once
from debapt import Apt, unpack

# busybox is the guests' first program: static, so that it runs whatever the machine's libc is.
PACKAGES = {
    "uml": ("base-files", "busybox-static", "user-mode-linux"),
    "qemu": ("base-files", "busybox-static", "qemu-system-x86"),
}
# Also counts as a package: change it when the way of making a root changes.
RECIPE = "1"
MOUNT_POINTS = ("dev", "host", "proc", "run", "tmp")
MERGED = ("bin", "lib", "lib64", "sbin")


def debian_root(kind: str) -> Path:
    """The root that holds the programs of KIND, made if need be."""
    return made_once(_name(kind), lambda root: _make(kind, root))


def is_cached(kind: str) -> bool:
    """Whether the root is there already, so that no mirror is needed."""
    return (cache_directory() / _name(kind)).is_dir()


def _name(kind: str) -> str:
    recipe = " ".join((RECIPE, *PACKAGES[kind]))
    return f"root-{kind}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def _make(kind: str, root: Path) -> None:
    print(f"vm: fetching {PACKAGES[kind][-1]} of Debian sid", file=sys.stderr)
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in MOUNT_POINTS:
        (root / name).mkdir()
    private = root / "apt"
    apt = Apt(private, ["sid"])
    apt.update()
    for package in apt.download_with_dependencies(PACKAGES[kind]):
        unpack(package, root)
    shutil.rmtree(private)


def main(kinds: list[str]) -> int:
    """Make the roots of KINDS (all, if none is named) and print their paths."""
    unknown = [kind for kind in kinds if kind not in PACKAGES]
    if unknown:
        print(f"debroot: no such root: {unknown[0]} (there are: {', '.join(PACKAGES)})")
        return 2
    try:
        for kind in kinds or PACKAGES:
            print(debian_root(kind))
    except VmError as error:
        print(f"debroot: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
