# SPDX-License-Identifier: MIT
"""Building where it cannot be done ends in one text that says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP = """
import runpy, sys
import setuptools.command.build_ext, setuptools.command.build_py
sys.platform, compiler = sys.argv.pop(1), sys.argv.pop(1)
import os
os.environ["CC"] = compiler
sys.argv[0] = "setup.py"
runpy.run_path("setup.py")
"""

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the sources are not here")


def build(folder: Path, platform: str, compiler: str) -> str:
    """Returns what it says; it must fail, and shortly."""
    arguments = ["-q", "build", "--build-base", str(folder)]
    command = [sys.executable, "-W", "ignore", "-c", SETUP, platform, compiler, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) < 12, done.stderr
    return done.stderr


def test_another_system(tmp_path):
    assert build(tmp_path, "darwin", "cc").startswith("zcrx runs on 64-bit Linux only")


def test_no_compiler(tmp_path):
    said = build(tmp_path, "linux", "no-such-cc")
    assert "there is no no-such-cc" in said
    assert "apt install gcc" in said


@pytest.mark.parametrize("absent", ["Python.h", "liburing.h", "libmnl/libmnl.h", "stdio.h"])
def test_no_header(tmp_path, absent):
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\ntext=$(cat)\ncase $text in *"<{absent}>"*) exit 1 ;; esac\nexit 0\n')
    compiler.chmod(0o755)
    said = build(tmp_path, "linux", str(compiler))
    assert ("compiles nothing" if absent == "stdio.h" else f"  {absent}: ") in said
    assert "apt install" in said
