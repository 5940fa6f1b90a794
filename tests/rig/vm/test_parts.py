#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of what needs neither a guest nor the network."""

from __future__ import annotations

import gzip
import lzma
import os
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

import cache
import debapt
from job import Command
from kernel_log import troubles
from kernels import cached_kernels
from modules import Modules
from vmlinux import extract_vmlinux


class TemporaryCache(unittest.TestCase):
    """A cache of the test's own."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = Path(place.name)
        patch = mock.patch.dict(os.environ, ZCRX_CACHE=place.name)
        patch.start()
        self.addCleanup(patch.stop)


class CacheTest(TemporaryCache):
    """Things are made once and never seen half made."""

    def test_concurrent_users_make_it_once(self) -> None:
        made = []
        start = threading.Barrier(8)

        def make(directory: Path) -> None:
            made.append(directory)
            (directory / "content").write_text("all")

        def use() -> None:
            start.wait()
            self.assertEqual((cache.made_once("thing", make) / "content").read_text(), "all")

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(made), 1)

    def test_a_failed_maker_leaves_nothing(self) -> None:
        def fail(directory: Path) -> None:
            (directory / "half").touch()
            raise cache.VmError("no luck")

        with self.assertRaises(cache.VmError):
            cache.made_once("thing", fail)
        self.assertEqual([path.name for path in self.path.iterdir()], ["thing.lock"])

    def test_a_killed_makers_remains_are_not_used(self) -> None:
        script = (
            "import cache, os, signal\n"
            "def make(directory):\n"
            "    (directory / 'half').touch()\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "cache.made_once('thing', make)\n"
        )
        subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parent)
        self.assertTrue((self.path / "thing.part/half").exists())
        made = cache.made_once("thing", lambda directory: (directory / "whole").touch())
        self.assertEqual([path.name for path in made.iterdir()], ["whole"])
        self.assertFalse((self.path / "thing.part").exists())


class KernelsTest(TemporaryCache):
    """Versions are numbers, not text."""

    def test_order_and_choice(self) -> None:
        for name in ("6.9.1+deb13-amd64", "6.16.12+deb13-amd64", "6.16.3+deb13-amd64",
                     "6.16.13+deb13-cloud-amd64", "7.3-rc2-amd64", "7.3-rt-amd64"):  # fmt: skip
            (self.path / f"kernel-{name}").mkdir()
        (self.path / "kernel-6.17.1+deb13-amd64.part").mkdir()
        kernels = cached_kernels()
        self.assertEqual(
            [kernel.release for kernel in kernels],
            ["6.9.1+deb13-amd64", "6.16.3+deb13-amd64", "6.16.12+deb13-amd64",
             "6.16.13+deb13-cloud-amd64", "7.3-rc2-amd64"],
        )  # fmt: skip
        self.assertTrue(kernels[1].matches("6.16", "amd64"))
        self.assertTrue(kernels[1].matches("6.16.3", "amd64"))
        self.assertFalse(kernels[1].matches("6.1", "amd64"))
        self.assertFalse(kernels[3].matches("6.16", "amd64"))


class ModulesTest(TemporaryCache):
    """The order of loading comes from the modules themselves."""

    def setUp(self) -> None:
        super().setUp()
        (self.path / "modules.builtin").write_text("kernel/lib/crc-base.ko\n")
        self.add("kernel/net/top.ko", b"depends=left-side,right")
        self.add("kernel/net/left_side.ko.xz", b"depends=bottom,crc_base")
        self.add("kernel/net/right.ko", b"depends=bottom\0softdep=pre: early")
        self.add("kernel/net/bottom.ko", b"depends=")
        self.add("kernel/net/early.ko", b"depends=")
        self.modules = Modules(self.path)

    def add(self, name: str, information: bytes) -> None:
        content = b"ELF\0license=GPL\0" + information + b"\0more"
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(content) if path.suffix == ".xz" else content)

    def test_needed_modules_come_first(self) -> None:
        ordered = self.modules.load_order(["top", "bottom", "crc-base"])
        self.assertEqual(list(ordered), ["bottom", "left_side", "early", "right", "top"])
        self.assertTrue(ordered["left_side"].startswith(b"ELF\0"))

    def test_unknown_module(self) -> None:
        with self.assertRaisesRegex(cache.VmError, "no module nowhere"):
            self.modules.load_order(["nowhere"])


class VmlinuxTest(TemporaryCache):
    """The kernel comes out of its boot image whole."""

    KERNEL = b"\x7fELF" + bytes(range(256)) * 64

    def image(self, payload: bytes) -> Path:
        setup = bytearray(3 * 512)
        setup[0x1F1] = 2
        setup[0x202:0x206] = b"HdrS"
        struct.pack_into("<II", setup, 0x248, 64, len(payload) + 4)
        path = self.path / "vmlinuz"
        size = struct.pack("<I", len(self.KERNEL))
        path.write_bytes(bytes(setup) + bytes(64) + payload + size + b"behind")
        return path

    def test_extraction(self) -> None:
        for compress in (lzma.compress, gzip.compress):
            with self.subTest(compress=compress):
                extract_vmlinux(self.image(compress(self.KERNEL)), self.path / "vmlinux")
                self.assertEqual((self.path / "vmlinux").read_bytes(), self.KERNEL)

    def test_damage_is_noticed(self) -> None:
        whole = lzma.compress(self.KERNEL)
        for payload in (b"unknown", whole[: len(whole) // 2], lzma.compress(b"no ELF file")):
            with self.subTest(payload=payload[:8]), self.assertRaises(cache.VmError):
                extract_vmlinux(self.image(payload), self.path / "vmlinux")


class KernelLogTest(unittest.TestCase):
    """Trouble is found, and ordinary lines are not taken for it."""

    TROUBLE = (
        "[    1.0] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 f+0x1/0x2",
        "[    1.0] WARNING: net/core/dev.c:1 at f+0x1/0x2, CPU#0: init/1",
        "[    1.0] BUG: kernel NULL pointer dereference, address: 0",
        "[    1.0] Oops: Oops: 0002 [#1] SMP",
        "Call Trace:",
        "Kernel panic - not syncing: Attempted to kill init!",
        "refcount_t: underflow; use-after-free.",
        "INFO: task sh:12 blocked for more than 120 seconds.",
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "page_pool_release_retry() stalled pool shutdown: id 5, 3 inflight 60 sec",
    )
    ORDINARY = (
        "Linux version 7.2.7 (sbuild@sbuild) (gcc (Debian 16.2.0-3) 16.2.0)",
        "tsc: Unable to calibrate against PIT",
        "debug: unhandled reboot",
        "9pnet: Limiting 'msize' to 512000",
        "bnxt_en 0000:00:04.0: Unable to read VPD",
    )

    def test_each_kind(self) -> None:
        mixed = zip(self.TROUBLE, self.ORDINARY * 2, strict=True)
        log = "\n".join(line for pair in mixed for line in pair)
        self.assertEqual(troubles(log), list(self.TROUBLE))


class CommandTest(unittest.TestCase):
    """What is mounted for a command."""

    def command(self, directory: str, *writable: str) -> Command:
        return Command(["true"], Path(directory), {}, [Path(path) for path in writable])

    def test_shares(self) -> None:
        for directory, writable, expected in (
            ("/root", [], []),
            ("/root", ["/root/b", "/root"], [("/root", "rw"), ("/root/b", "rw")]),
            ("/tmp/a", [], [("/tmp/a", "ro")]),
            ("/tmp/a", ["/tmp"], [("/tmp", "rw")]),
            ("/tmp/a", ["/tmp/a/b"], [("/tmp/a", "ro"), ("/tmp/a/b", "rw")]),
            ("/tmpfile", [], []),
        ):
            with self.subTest(directory=directory, writable=writable):
                shares = self.command(directory, *writable).shares()
                self.assertEqual([(str(path), mode) for path, mode in shares], expected)


class MirrorTest(unittest.TestCase):
    """The mirror is the machine's own."""

    def mirror(self, release: dict[str, str], targets: str) -> str:
        with (
            mock.patch.dict(os.environ),
            mock.patch.object(debapt, "_os_release", return_value=release),
            mock.patch.object(debapt, "_output", return_value=targets),
        ):
            os.environ.pop("ZCRX_DEBIAN_MIRROR", None)
            return debapt.machine_mirror()

    def test_others_repositories_are_passed_over(self) -> None:
        places = (
            "other/debian/dists/bookworm/stable",
            "vendor/dists/vendor-bookworm/main",
            "debian-security/dists/bookworm-security/main",
            "debian/dists/bookworm/main",
            "second/debian/dists/bookworm/main",
        )
        targets = "'http://example.org/debian/dists/bookworm/InRelease' some_name 0\n" + "".join(
            f"'http://example.org/{place}/binary-amd64/Packages.xz' some_name 0\n" for place in places
        )
        debian = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
        self.assertEqual(self.mirror(debian, targets), "http://example.org/debian")

    def test_complaints(self) -> None:
        with self.assertRaisesRegex(cache.VmError, "not a Debian system"):
            self.mirror({"ID": "other"}, "")
        with self.assertRaisesRegex(cache.VmError, "no Debian mirror"):
            self.mirror({"ID": "debian"}, "")


if __name__ == "__main__":
    unittest.main()
