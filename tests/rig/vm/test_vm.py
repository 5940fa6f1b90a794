#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The contract of `uml` and `qemu`, tried on real guests.

    test_vm.py                     all of it
    test_vm.py UmlTest QemuTest    as unittest takes it

A machine that cannot run a guest fails these tests: a rig that skips shows nothing.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import tempfile
import time
import unittest
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE_SECONDS = 120.0
Result = subprocess.CompletedProcess[bytes]


class Rig:
    """One of the two programs, with the options that tests want."""

    def __init__(self, name: str) -> None:
        self.program = str(HERE / name)

    def command(self, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        """What to execute for WORDS to run in the guest."""
        return [self.program, "--timeout", "100", *options, "--", *words]

    def run(
        self,
        *words: str,
        options: tuple[str, ...] = (),
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> Result:
        """Run WORDS in the guest to their end."""
        return subprocess.run(
            self.command(*words, options=options),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


UML = Rig("uml")
QEMU = Rig("qemu")


def shell(*lines: str) -> tuple[str, str, str]:
    """A script as a command."""
    return ("sh", "-c", "\n".join(lines))


def descendants(pid: int) -> set[int]:
    """All processes below PID."""
    found: set[int] = set()
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        for child in map(int, path.read_text().split()):
            found |= {child} | descendants(child)
    return found


def thread_names(pid: int) -> Iterator[str]:
    """Of all threads below PID."""
    for child in descendants(pid):
        for path in Path("/proc", str(child)).glob("task/*/comm"):
            with suppress(OSError):  # it has ended
                yield path.read_text().strip()


def processor_threads(pid: int, wanted: set[str]) -> set[str]:
    """The threads below PID that run the guest's processors: those WANTED, or else those that there are."""
    deadline = time.monotonic() + PATIENCE_SECONDS / 2
    while True:
        found = {name for name in thread_names(pid) if name.endswith("/TCG")}
        if found == wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def alive(pids: set[int]) -> set[int]:
    """Those of PIDS that still run."""
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def job_directories() -> set[Path]:
    """What guests and hosts exchange files in, of all that run now."""
    return {path for place in ("/dev/shm", "/tmp") for path in Path(place).glob("zcrx-vm-*")}


@contextmanager
def scratch(where: str | None = None) -> Iterator[Path]:
    """A directory of this test's own."""
    with tempfile.TemporaryDirectory(dir=where) as name:
        yield Path(name)


class RigTestCase(unittest.TestCase):
    """Comparisons with everything that the guest said at hand."""

    rig: Rig

    def expect(
        self, result: Result, status: int, stdout: bytes | None = None, stderr: bytes | None = None
    ) -> None:
        """Compare; on a difference show all there is."""
        told = f"\nstdout: {result.stdout[-2000:]!r}\nstderr: {result.stderr[-4000:]!r}"
        self.assertEqual(result.returncode, status, told)
        if stdout is not None:
            self.assertEqual(result.stdout, stdout, told)
        if stderr is not None:
            self.assertEqual(result.stderr, stderr, told)


class UmlTest(RigTestCase):
    """Everything that the two kinds of guest have in common, on the quicker one."""

    rig = UML

    def test_it_can_run_here(self) -> None:
        result = subprocess.run([self.rig.program, "--check"], capture_output=True, check=False)
        self.expect(result, 0, b"", b"")

    def test_the_kernel_is_another_one(self) -> None:
        result = self.rig.run("uname", "-r")
        self.expect(result, 0, stderr=b"")
        self.assertNotEqual(result.stdout.decode().strip(), os.uname().release)

    def test_exit_status(self) -> None:
        for status in (0, 1, 77, 255):
            with self.subTest(status=status):
                self.expect(self.rig.run(*shell(f"exit {status}")), status, b"", b"")

    def test_death_by_signal(self) -> None:
        for number in (signal.SIGKILL, signal.SIGSEGV):
            with self.subTest(signal=number):
                self.expect(self.rig.run(*shell(f"kill -{number:d} $$")), 128 + number, b"", b"")

    def test_no_such_command(self) -> None:
        result = self.rig.run("no-such-command")
        self.expect(result, 127, b"")
        self.assertIn(b"no-such-command", result.stderr)

    def test_stdout_and_stderr_are_separate(self) -> None:
        result = self.rig.run(*shell("echo out", "echo err >&2", "printf end"))
        self.expect(result, 0, b"out\nend", b"err\n")

    def test_binary_output_is_exact(self) -> None:
        script = (
            "import hashlib, os, sys; data = os.urandom(1 << 20) + b'\\r\\n\\0\\x04\\xff';"
            "sys.stdout.buffer.write(data);"
            "sys.stderr.write(hashlib.sha256(data).hexdigest())"
        )
        result = self.rig.run("/usr/bin/env", "python3", "-c", script)
        self.expect(result, 0)
        self.assertEqual(len(result.stdout), (1 << 20) + 5)
        self.assertEqual(hashlib.sha256(result.stdout).hexdigest(), result.stderr.decode())

    def test_output_comes_while_the_command_runs(self) -> None:
        command = self.rig.command(*shell("echo first", "sleep 3", "echo second"))
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            self.assertEqual(process.stdout.readline(), b"first\n")
            first = time.monotonic()
            self.assertEqual(process.stdout.read(), b"second\n")
            self.assertGreater(time.monotonic() - first, 1.5)
        self.assertEqual(process.returncode, 0)

    def test_arguments_are_exact(self) -> None:
        words = ["", "a b", "'\"$HOME`id`\\", "*", "-n", "line\nline", "\u00e9"]
        result = self.rig.run("printf", "%s\\0", *words)
        self.expect(result, 0, "".join(f"{word}\0" for word in words).encode(), b"")

    def test_environment(self) -> None:
        given = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "CI": 'it\'s "1"\n$x'}
        result = self.rig.run("env", "-0", options=("--env", "ADDED=a=b"), env=given)
        self.expect(result, 0)
        pairs = dict(line.split("=", 1) for line in result.stdout.decode().split("\0") if line)
        expected = given | {"ADDED": "a=b"}
        self.assertEqual({name: pairs.get(name) for name in expected}, expected)

    def test_current_directory(self) -> None:
        # Also below a directory where the guest has a file system of its own.
        for where in ("/var/tmp", "/tmp"):
            with self.subTest(where=where), scratch(where) as directory:
                (directory / "place").mkdir()
                (directory / "link").symlink_to("place")
                (directory / "place/file").write_text("here")
                env = os.environ | {"PWD": str(directory / "link")}
                result = self.rig.run(*shell("pwd -P", "cat file"), cwd=directory / "link", env=env)
                self.expect(result, 0, f"{directory}/place\nhere".encode(), b"")

    def test_only_writable_directories_are_writable(self) -> None:
        for where in ("/var/tmp", "/tmp"):
            with self.subTest(where=where), scratch(where) as one, scratch("/var/tmp") as other:
                script = shell(
                    f"cd '{one}' && mkdir new && echo text >new/file && ln -s new link",
                    "chmod 755 new/file",
                    f"echo text >'{other}/file' && exit 1",
                    "test -w /tmp && test -w /run && test -w /dev/shm",
                )
                result = self.rig.run(*script, options=("--writable", str(one)))
                self.expect(result, 0)
                self.assertIn(b"Read-only", result.stderr)
                self.assertEqual((one / "link/file").read_text(), "text\n")
                self.assertEqual((one / "new/file").stat().st_mode & 0o777, 0o755)
                self.assertEqual(list(other.iterdir()), [])

    def test_the_guest_has_what_programs_expect(self) -> None:
        script = (
            "import mmap, os, resource, socket\n"
            "assert resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY\n"
            "for family, address in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):\n"
            "    listener = socket.socket(family); listener.bind((address, 0)); listener.listen()\n"
            "    socket.create_connection(listener.getsockname()[:2], 5)\n"
            "with open('/usr/bin/env', 'rb') as file:\n"
            "    view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
            "    assert view[:] == file.read()\n"
            "assert os.getrandom(16) != os.getrandom(16) and os.getuid() == 0\n"
            "os.openpty(); open('/dev/null'); open('/dev/fd/0'); open('/dev/zero')\n"
            "assert os.path.exists('/proc/self/ns/net') and os.path.exists('/sys/class/net/lo')\n"
        )
        self.expect(self.rig.run("python3", "-c", script), 0, b"", b"")

    def test_the_clock_is_right(self) -> None:
        result = self.rig.run("date", "+%s")
        self.expect(result, 0)
        self.assertLess(abs(time.time() - int(result.stdout)), 60)

    def test_the_command_may_leave_processes(self) -> None:
        self.expect(self.rig.run(*shell("sleep 1000 &", "echo done")), 0, b"done\n", b"")

    def test_timeout(self) -> None:
        started = time.monotonic()
        # Time enough to boot, on a busy machine too.
        limit = 10.0
        options = ("--timeout", str(limit))
        result = self.rig.run(*shell("echo begun", "exec sleep 1000"), options=options)
        self.expect(result, 124, b"begun\n")
        self.assertIn(b"killed after", result.stderr)
        self.assertLess(time.monotonic() - started, limit + 5)

    def test_modules(self) -> None:
        script = shell("ip link add one type veth peer name two", "cat /sys/class/net/two/mtu")
        self.expect(self.rig.run(*script, options=("--module", "veth")), 0, b"1500\n", b"")
        result = self.rig.run("true", options=("--module", "no_such_module"))
        self.expect(result, 125, b"", b"uml: this kernel has no module no_such_module\n")

    def test_a_failed_setup_is_no_success(self) -> None:
        # Here it is a directory; there it is none, nor can it become one.
        result = self.rig.run("true", options=("--writable", "/sys/bus/pci"))
        self.expect(result, 125, b"")
        self.assertIn(b"cannot mount /sys/bus/pci", result.stderr)

    def test_kernel_log(self) -> None:
        with scratch() as directory:
            options = ("--dmesg", str(directory / "log"))
            script = shell("echo '<5>said by a test' >/dev/kmsg", "exit 4")
            self.expect(self.rig.run(*script, options=options), 4, b"", b"")
            log = (directory / "log").read_text()
        self.assertIn("Linux version", log)
        self.assertIn("said by a test", log)

    def test_trouble_in_the_kernel_log_fails(self) -> None:
        script = shell("echo '<4>WARNING: made up' >/dev/kmsg")
        self.expect(self.rig.run(*script), 0, b"", b"")
        result = self.rig.run(*script, options=("--check-dmesg",))
        self.expect(result, 125, b"")
        self.assertIn(b"WARNING: made up", result.stderr)
        self.expect(self.rig.run("true", options=("--check-dmesg",)), 0, b"", b"")

    def test_a_dead_kernel_is_no_success(self) -> None:
        result = self.rig.run(*shell("echo before", "sleep 1", "echo c >/proc/sysrq-trigger"))
        self.expect(result, 125, b"before\n")
        self.assertIn(b"panic", result.stderr)

    def test_wrong_usage(self) -> None:
        for options in (("--memory", "lots"), ("--env", "NAME"), ("--writable", "/no/where")):
            with self.subTest(options=options):
                self.expect(self.rig.run("true", options=options), 2, b"")
        self.expect(self.rig.run(), 2, b"")

    def test_several_at_once(self) -> None:
        commands = [self.rig.command(*shell(f"echo {i}", f"exit {i}")) for i in range(4)]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
        for i, process in enumerate(processes):
            stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
            self.assertEqual((stdout, process.returncode), (f"{i}\n".encode(), i))


class NothingLeftTest(RigTestCase):
    """However a run ends, no process, mount or file of it stays."""

    rig = UML

    @contextmanager
    def running(self) -> Iterator[tuple[subprocess.Popen[bytes], set[int], set[Path]]]:
        """A guest that waits: its process, all below it, and its files."""
        before = job_directories()
        command = self.rig.command(*shell("while echo up; do sleep 1; done"))
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            assert process.stdout
            self.assertEqual(process.stdout.readline(), b"up\n")
            below = descendants(process.pid)
            self.assertGreater(len(below), 1)
            mine = {path for path in job_directories() - before if self.is_of(path, below)}
            self.assertEqual(len(mine), 1)
            yield process, below, mine

    def is_of(self, directory: Path, pids: set[int]) -> bool:
        """Whether the processes were started with this job directory."""
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in alive(pids)]
        return any(bytes(directory) in line for line in lines)

    def check_gone(self, pids: set[int]) -> None:
        """All of PIDS end soon, and none of their mounts is seen."""
        deadline = time.monotonic() + 10
        while alive(pids) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(alive(pids), set())
        self.assertNotIn("zcrx-vm", Path("/proc/self/mounts").read_text())

    def test_after_a_signal(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number), self.running() as (process, below, files):
                # As a terminal does: to the whole group.
                os.killpg(process.pid, number)
                self.assertEqual(process.wait(PATIENCE_SECONDS), 128 + number)
                self.assertEqual(alive(below), set())
                self.check_gone(below)
                self.assertFalse(any(path.exists() for path in files))

    def test_after_kill(self) -> None:
        with self.running() as (process, below, files):
            process.kill()
            process.wait()
            self.check_gone(below)
            # Only these, which nobody is left to remove.
            for path in files:
                subprocess.run(["rm", "-r", path], check=True)

    def test_when_nobody_reads(self) -> None:
        with self.running() as (process, below, files):
            assert process.stdout
            process.stdout.close()
            self.assertEqual(process.wait(PATIENCE_SECONDS), 125)
            self.check_gone(below)
            self.assertFalse(any(path.exists() for path in files))


class QemuTest(RigTestCase):
    """The same contract on the slower guest: several things in each boot."""

    rig = QEMU

    def test_output_status_and_devices(self) -> None:
        with scratch("/var/tmp") as directory, scratch() as logs:
            script = shell(
                "pwd; uname -r; cat /proc/modules >modules; nproc",
                "printf 'err\\0\\377' >&2",
                "head -c 1048576 /dev/urandom | tee data",
                "touch /var/tmp/not-writable && exit 1",
                "exit 9",
            )
            options = (
                *("--writable", str(directory), "--module", "veth", "--smp", "2"),
                *("--kernel", "7.2", "--check-dmesg", "--dmesg", str(logs / "log")),
            )
            result = self.rig.run(*script, options=options, cwd=directory)
            self.expect(result, 9)
            name, kernel, processors, data = result.stdout.split(b"\n", 3)
            self.assertEqual(name, bytes(directory))
            self.assertRegex(kernel.decode(), r"^7\.2.*-amd64$")
            self.assertEqual(processors, b"2")
            self.assertEqual(data, (directory / "data").read_bytes())
            self.assertEqual(len(data), 1 << 20)
            self.assertTrue(result.stderr.startswith(b"err\0\xff"))
            self.assertIn(b"Read-only", result.stderr)
            self.assertIn("veth", (directory / "modules").read_text())
            self.assertIn("Linux version", (logs / "log").read_text())

    def test_processors_take_turns(self) -> None:
        # Side by side, a kernel that patches itself dies now and then.
        for options, names in (((), {"ALL CPUs/TCG"}), (("--parallel",), {"CPU 0/TCG", "CPU 1/TCG"})):
            process = subprocess.Popen(
                self.rig.command("sleep", "60", options=(*options, "--smp", "2")),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                self.assertEqual(processor_threads(process.pid, names), names)
            finally:
                process.terminate()
                process.wait(PATIENCE_SECONDS)

    def test_python_runs(self) -> None:
        UmlTest.test_the_guest_has_what_programs_expect(self)  # type: ignore[arg-type]

    def test_trouble_in_the_kernel_log_fails(self) -> None:
        script = shell("echo '<4>WARNING: made up' >/dev/kmsg", "echo done")
        result = self.rig.run(*script, options=("--check-dmesg",))
        self.expect(result, 125, b"done\n")
        self.assertIn(b"WARNING: made up", result.stderr)

    def test_timeout(self) -> None:
        self.expect(self.rig.run("true", options=("--timeout", "2")), 124, b"")

    def test_nothing_is_left_after_a_signal(self) -> None:
        command = self.rig.command(*shell("echo up", "exec sleep 1000"))
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            self.assertEqual(process.stdout.readline(), b"up\n")
            below = descendants(process.pid)
            process.terminate()
            self.assertEqual(process.wait(PATIENCE_SECONDS), 128 + signal.SIGTERM)
        self.assertEqual(alive(below), set())

    def test_no_such_kernel_or_module(self) -> None:
        result = self.rig.run("true", options=("--module", "no_such_module"))
        self.expect(result, 125, b"", b"qemu: this kernel has no module no_such_module\n")
        result = self.rig.run("true", options=("--vfio-user", "/dev/null"))
        self.expect(result, 2, b"")


if __name__ == "__main__":
    unittest.main()
