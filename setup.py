# SPDX-License-Identifier: MIT
"""Builds the extension module: SWIG's control calls, the hot types and the C core in one shared object."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

SOURCE = Path("python/src")
CORE = Path("bindings/amalgamation")
INTERFACE = Path("bindings/zcrx.i")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
# One wheel for all interpreters from 3.11 on; free-threaded ones have no stable ABI before 3.15.
STABLE_ABI = not FREE_THREADED and os.environ.get("ZCRX_STABLE_ABI", "1") != "0"


def version() -> str:
    header = (CORE / "zcrx.h").read_text()
    parts = (re.search(rf"ZRX_VERSION_{part} (\d+)", header) for part in ("MAJOR", "MINOR", "PATCH"))
    return ".".join(match[1] for match in parts if match)


def find_flags(kind: str, library: str, fallback: list[str]) -> list[str]:
    """What pkg-config says; without it, what works where the library is where it usually is."""
    if not shutil.which("pkg-config"):
        return fallback
    command = ["pkg-config", kind, library]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.split() if answer.returncode == 0 else fallback


def run_swig(folder: Path) -> Path:
    """Generate the wrapper and its Python half into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    wrapper = folder / "zcrx_wrap.c"
    command = ["swig", "-python", "-nogil", "-interface", "_zcrx", f"-I{CORE}"]
    command += ["-outdir", str(folder), "-o", str(wrapper), str(INTERFACE)]
    subprocess.run(command, check=True)
    return wrapper


INSTALL = """Install what is missing:
  Debian, Ubuntu  apt install gcc libc6-dev liburing-dev libmnl-dev python3-dev
  Fedora, RHEL    dnf install gcc liburing-devel libmnl-devel python3-devel
  Alpine          apk add gcc musl-dev linux-headers liburing-dev libmnl-dev python3-dev
  Arch            pacman -S gcc liburing libmnl python"""
HEADERS = {"Python.h": "the headers of this Python", "liburing.h": "liburing", "libmnl/libmnl.h": "libmnl"}


def compiles(compiler: list[str], text: str) -> bool:
    folders = [f"-I{sysconfig.get_path(kind)}" for kind in ("include", "platinclude")]
    flags = [*find_flags("--cflags", "liburing", []), *find_flags("--cflags", "libmnl", [])]
    command = [
        *compiler,
        *os.environ.get("CFLAGS", "").split(),
        *folders,
        *flags,
        "-fsyntax-only",
        "-xc",
        "-",
    ]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).returncode == 0


def missing() -> list[str]:
    """What the extension cannot be built without, and is not here."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    found = []
    if not shutil.which("swig"):
        found.append("swig: comes by itself, except with --no-build-isolation: pip install 'swig>=4.4,<5'")
    if not shutil.which(compiler[0]):
        found.append(f"a C compiler: there is no {compiler[0]}")
    elif not compiles(compiler, "#include <stdio.h>\n"):
        found.append(f"a C compiler with the C library's headers: {' '.join(compiler)} compiles nothing")
    else:
        absent = [name for name in HEADERS if not compiles(compiler, f"#include <{name}>\n")]
        found += [f"{name}: {HEADERS[name]}" for name in absent]
    return found


def refuse_where_it_cannot_be_built() -> None:
    """One clear text in place of what a compiler says about each line."""
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        here = f"{sys.platform}, {sys.maxsize.bit_length() + 1} bits"
        raise SystemExit(f"zcrx runs on 64-bit Linux only: it is made of io_uring and epoll. This is {here}.")
    if found := missing():
        raise SystemExit(
            "\n".join(["zcrx cannot be built here. Missing:", *(f"  {one}" for one in found), INSTALL])
        )


class BuildExtension(build_ext):
    def run(self) -> None:
        refuse_where_it_cannot_be_built()
        super().run()

    def build_extension(self, ext: Extension) -> None:
        wrapper = run_swig(Path(self.build_temp) / "swig")
        ext.sources = [*ext.sources, str(wrapper)]
        super().build_extension(ext)


class BuildPython(build_py):
    def run(self) -> None:
        refuse_where_it_cannot_be_built()
        super().run()
        if not self.editable_mode:
            generated = Path(self.get_finalized_command("build").build_temp) / "swig"
            run_swig(generated)
            target = Path(self.build_lib) / "zcrx"
            self.mkpath(str(target))
            self.copy_file(str(generated / "_control.py"), str(target / "_control.py"))
        else:
            run_swig(Path(self.get_package_dir("zcrx")))


extension = Extension(
    "zcrx._zcrx",
    sources=[*sorted(str(path) for path in SOURCE.glob("*.c")), str(CORE / "zcrx.c")],
    depends=[*sorted(str(path) for path in SOURCE.glob("*.h")), str(CORE / "zcrx.h"), str(INTERFACE)],
    include_dirs=[str(SOURCE), str(CORE)],
    define_macros=[("_GNU_SOURCE", None)] + ([("Py_LIMITED_API", "0x030b0000")] if STABLE_ABI else []),
    extra_compile_args=[
        "-std=c11",
        "-O2",
        "-fvisibility=hidden",
        "-Werror=implicit-function-declaration",
        *find_flags("--cflags", "liburing", []),
        *find_flags("--cflags", "libmnl", []),
    ],
    extra_link_args=[
        f"-Wl,--version-script={SOURCE / 'exports.map'}",
        *find_flags("--libs", "liburing", ["-luring"]),
        *find_flags("--libs", "libmnl", ["-lmnl"]),
        "-lpthread",
    ],
    py_limited_api=STABLE_ABI,
)

setup(
    version=version(),
    ext_modules=[extension],
    cmdclass={"build_ext": BuildExtension, "build_py": BuildPython},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
