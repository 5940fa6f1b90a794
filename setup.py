# SPDX-License-Identifier: MIT
"""Builds the extension module: SWIG's control calls, the hot types and the C core in one shared object."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
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


class BuildExtension(build_ext):
    def build_extension(self, ext: Extension) -> None:
        wrapper = run_swig(Path(self.build_temp) / "swig")
        ext.sources = [*ext.sources, str(wrapper)]
        super().build_extension(ext)


class BuildPython(build_py):
    def run(self) -> None:
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
