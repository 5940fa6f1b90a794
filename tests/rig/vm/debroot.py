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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cache import VmError, cache_directory, made_once
from debapt import Apt, unpack

# Also counts as a package: change it when the way of making a root changes.
RECIPE = "1"
MOUNT_POINTS = ("dev", "host", "proc", "run", "tmp")
MERGED = ("bin", "lib", "lib64", "sbin")


@dataclass(frozen=True)
class Recipe:
    """What goes into a root."""

    packages: Sequence[str]
    suite: str = "sid"
    # Of the packages; empty: this machine's.
    architecture: str = ""
    # Without what they depend on.
    alone: bool = False

    def name(self, kind: str) -> str:
        """Of its directory in the cache."""
        special = (self.suite, self.architecture, str(self.alone)) if self != Recipe(self.packages) else ()
        recipe = " ".join((RECIPE, *self.packages, *special))
        return f"root-{kind}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


# busybox is the guests' first program: static, so that it runs whatever the machine's libc is.
RECIPES = {
    "uml": Recipe(("base-files", "busybox-static", "user-mode-linux")),
    "qemu": Recipe(("base-files", "busybox-static", "qemu-system-x86")),
}


def debian_root(kind: str) -> Path:
    """The root that holds the programs of KIND, made if need be."""
    return fetched_root(kind, RECIPES[kind])


def fetched_root(kind: str, recipe: Recipe) -> Path:
    """A root of that recipe, made if need be."""
    return made_once(recipe.name(kind), lambda root: _make(recipe, root))


def is_cached(kind: str) -> bool:
    """Whether the root is there already, so that no mirror is needed."""
    return (cache_directory() / RECIPES[kind].name(kind)).is_dir()


def _make(recipe: Recipe, root: Path) -> None:
    wanted = f"{recipe.packages[-1]} of Debian {recipe.suite} {recipe.architecture}".rstrip()
    print(f"vm: fetching {wanted}", file=sys.stderr)
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in MOUNT_POINTS:
        (root / name).mkdir()
    private = root / "apt"
    apt = Apt(private, [recipe.suite], recipe.architecture)
    apt.update()
    if recipe.alone:
        packages = apt.download(recipe.packages, private)
    else:
        packages = apt.download_with_dependencies(recipe.packages)
    for package in packages:
        unpack(package, root)
    shutil.rmtree(private)


def main(kinds: list[str]) -> int:
    """Make the roots of KINDS (all, if none is named) and print their paths."""
    unknown = [kind for kind in kinds if kind not in RECIPES]
    if unknown:
        print(f"debroot: no such root: {unknown[0]} (there are: {', '.join(RECIPES)})")
        return 2
    try:
        for kind in kinds or RECIPES:
            print(debian_root(kind))
    except VmError as error:
        print(f"debroot: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
