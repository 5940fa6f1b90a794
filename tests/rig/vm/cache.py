# SPDX-License-Identifier: MIT
"""The cache of fetched things: outside the repository, made once, never half made."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path


class VmError(Exception):
    """A rig cannot do what was asked; the text is one line for the user."""


def cache_directory() -> Path:
    """ZCRX_CACHE, or zcrx in the user's cache directory."""
    if chosen := os.environ.get("ZCRX_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "zcrx"


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock NAME of the cache; it dies with its holder."""
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / f"{name}.lock").open("w")
    except OSError as error:
        raise VmError(f"the cache is not usable: {error}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The directory NAME of the cache; MAKE fills it the first time.

    It appears under its name only when complete, so that a killed maker leaves nothing that
    looks finished; its remains go when the next one starts.
    """
    final = cache_directory() / name
    if final.is_dir():
        return final
    with locked(name):
        if final.is_dir():
            return final
        part = final.with_name(f"{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir()
            make(part)
            part.rename(final)
        except OSError as error:
            raise VmError(f"cannot make {final}: {error}") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return final
