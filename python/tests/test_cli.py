# SPDX-License-Identifier: MIT
"""The command, as a program."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from programs import connect, free_port

import zcrx
import zcrx.nic
from zcrx import cli
from zcrx.cli import arguments, bench, listen, view


def zcrx_command(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zcrx", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, **options)


@contextlib.contextmanager
def receiving(*arguments: str):
    port = free_port()
    command = [sys.executable, "-m", "zcrx", "recv", "--listen", f"127.0.0.1:{port}", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield port, process
        finally:
            process.kill()


@pytest.mark.parametrize("sha256", [True, False])
def test_recv_to_a_file(tmp_path, engine, sha256):
    data = os.urandom(5 << 20)
    path = tmp_path / "out"
    more = ["--sha256"] if sha256 else []
    with receiving("--output", str(path), "--json", "--engine", engine, *more) as (port, process):
        with connect(port) as sock:
            sock.sendall(data)
        output, errors = process.communicate(timeout=100)
    result = json.loads(output)
    assert (process.returncode, errors) == (0, f"listening on {result['listening']}\n")
    assert result["listening"] == f"127.0.0.1:{port}"
    assert path.read_bytes() == data
    assert result["bytes"] == len(data)
    assert result["engine"] == engine
    assert {"reason", "seconds", "buffers", "copied_bytes"} < result.keys()
    assert result.get("sha256") == ([hashlib.sha256(data).hexdigest()] if sha256 else None)


def test_recv_many_connections(tmp_path):
    data = [os.urandom(300000) for _ in range(4)]
    arguments = ("--connections", "4", "--sha256", "--json", "--output", str(tmp_path / "out"))
    with receiving(*arguments) as (port, process):
        socks = [connect(port) for _ in data]
        for sock, piece in zip(socks, data, strict=True):
            with sock:
                sock.sendall(piece)
        output, _ = process.communicate(timeout=100)
    assert json.loads(output)["sha256"] == [hashlib.sha256(piece).hexdigest() for piece in data]
    assert [(tmp_path / f"out.{n}").read_bytes() for n in range(4)] == data


def test_recv_lets_go_of_a_connection_at_its_end(tmp_path):
    with receiving("--connections", "2", "--output", str(tmp_path / "out")) as (port, process):
        with connect(port) as sock:
            sock.sendall(b"first")
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""  # though the second has not come
            descriptors = [os.readlink(entry) for entry in os.scandir(f"/proc/{process.pid}/fd")]
            assert str(tmp_path / "out.0") not in descriptors
        connect(port).close()
        process.communicate(timeout=100)
    assert process.returncode == 0


@pytest.mark.parametrize(("name", "why"), [("nowhere/out", "not there"), (".", "folder")])
def test_recv_tells_at_once_that_it_cannot_write(tmp_path, name, why):
    done = zcrx_command("recv", "--listen", "127.0.0.1:0", "--output", str(tmp_path / name))
    assert done.returncode == 1
    assert why in done.stderr


def test_recv_tells_of_a_reset(tmp_path):
    path = tmp_path / "out"
    with receiving("--output", str(path)) as (port, process):
        sock = connect(port)
        sock.sendall(b"x" * 1000)
        while not path.exists() or path.stat().st_size < 1000:
            assert process.poll() is None
            time.sleep(0.01)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        output, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "reset by peer" in errors
    assert "bytes in" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("connected", [True, False])
def test_a_signal_ends_it_in_order(tmp_path, number, connected):
    """Closing puts the NIC back: python/rig has the same with one."""
    path = tmp_path / "out"
    with receiving("--output", str(path)) as (port, process):
        assert process.stderr.readline() == f"listening on 127.0.0.1:{port}\n"
        with contextlib.ExitStack() as stack:
            if connected:
                stack.enter_context(connect(port))
                while not path.exists():
                    time.sleep(0.01)
            process.send_signal(number)
            assert process.communicate(timeout=100) == ("", "")
    assert process.returncode == 128 + number


ORDERLY = """
import os, signal, sys
from zcrx import cli
class Held:
    def __enter__(self): pass
    def __exit__(self, *exception):
        os.kill(os.getpid(), signal.SIGTERM)  # again, while things are put back
        print("closed", flush=True)
def run(settings):
    with Held():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
cli.doctor.run = run
sys.exit(cli.main(["doctor"]))
"""


def test_a_second_signal_does_not_disturb_the_closing():
    done = subprocess.run([sys.executable, "-c", ORDERLY], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, "closed\n", "")


def test_nohup_is_respected(tmp_path):
    command = ["nohup", sys.executable, "-m", "zcrx", "recv", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (line := process.stderr.readline()).startswith("listening on"):
            assert line
        process.send_signal(signal.SIGHUP)
        connect(int(line.rpartition(":")[2])).close()
        process.communicate(timeout=100)
    assert process.returncode == 0


def test_ctrl_c_in_a_benchmark():
    command = [sys.executable, "-m", "zcrx", "bench", "--rounds", "1000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        while not (sender := Path(children).read_text().strip()):
            time.sleep(0.01)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.communicate(timeout=100)[1] == ""
    assert process.returncode == 130
    assert not os.path.exists(f"/proc/{sender}")


def test_doctor():
    done = zcrx_command("doctor", "--json")
    report = json.loads(done.stdout)
    capabilities = zcrx.probe()
    assert report["engines"] == list(capabilities.engines)
    assert report["auto"] in capabilities.engines
    assert done.returncode == (1 if report["missing"] else 0)
    assert all(check["hint"] for check in report["checks"] if check["state"] == "missing")
    text = zcrx_command("doctor")
    assert text.returncode == done.returncode
    for check in report["checks"]:
        assert check["name"] in text.stdout


def test_doctor_on_an_interface():
    done = zcrx_command("doctor", "--json", "--interface", "lo")
    report = json.loads(done.stdout)
    assert done.returncode == 1  # loopback cannot
    assert any(name.startswith("lo: ") for name in report["missing"])
    assert report["auto"] != "zcrx"
    text = zcrx_command("doctor", "--interface", "lo").stdout
    assert "no NUMA node; the interrupt of the queue is not told" in text


def test_doctor_tells_where_to_pin(monkeypatch, capsys):
    report = replace(zcrx.nic.inspect("lo"), numa_node=1, irq=42, irq_processor=3)
    monkeypatch.setattr(zcrx.nic, "inspect", lambda *_: report)
    cli.main(["doctor", "--interface", "lo"])
    assert "NUMA node 1; the queue's interrupt 42 is served by processor 3" in capsys.readouterr().out


def test_doctor_promises_no_split_that_is_unknown(monkeypatch, capsys):
    """Drivers that do not tell their header/data split, mostly have none: no receiver would set it."""
    check = zcrx.Check("tcp-data-split", "missing", "not set", "ethtool -G eth0 tcp-data-split on")
    facts = dict.fromkeys(zcrx.nic.Report.__slots__, 0) | {"interface": "eth0", "checks": (check,)}
    steps = [zcrx.nic.Step("tcp-data-split", check.hint)]
    monkeypatch.setattr(zcrx.nic, "plan", lambda *of: (steps, 0))
    for split, status in ((None, 1), (False, 0)):
        report = zcrx.nic.Report(**facts | {"split": split})
        monkeypatch.setattr(zcrx.nic, "inspect", lambda *of, report=report: report)
        assert cli.main(["doctor", "--json", "--interface", "eth0"]) == status
        result = json.loads(capsys.readouterr().out)
        assert result["missing"] == (["eth0: tcp-data-split"] if status else [])


def test_nic():
    shown = json.loads(zcrx_command("nic", "show", "lo", "--json").stdout)
    assert shown["interface"] == "lo"
    assert zcrx_command("nic", "setup", "lo").returncode == 1
    assert zcrx_command("nic", "setup", "lo", "--apply").returncode == 1
    assert json.loads(zcrx_command("nic", "restore", "--json").stdout) == {"applied": False, "undone": 0}
    missing = zcrx_command("nic", "show", "nosuch0")
    assert missing.returncode == 1
    assert "try:" in missing.stderr
    assert "Traceback" not in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "scope"),
    [
        ([], "what dead processes left on any interface"),
        (["lo"], "what dead processes left on lo, and set-ups of this command on all queues of it"),
        (
            ["lo", "--queue", "3"],
            "what dead processes left on lo, and set-ups of this command on queue 3 of it",
        ),
    ],
)
def test_nic_restore_tells_its_scope(arguments: list[str], scope: str) -> None:
    """Before and after, in the same words."""
    assert zcrx_command("nic", "restore", *arguments).stdout == f"would undo {scope}; do it: --apply\n"
    applied = zcrx_command("nic", "restore", *arguments, "--apply")
    assert applied.stdout == f"0 set-up(s) undone: {scope}\n"


def test_nic_restore_of_no_interface() -> None:
    for more in [], ["--apply"]:
        missing = zcrx_command("nic", "restore", "nosuch0", *more)
        assert missing.returncode == 1
        assert "nosuch0" in missing.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["recv"],
        ["recv", "--listen", "::1:9000"],
        ["recv", "--listen", "127.0.0.1:0", "--output", ""],
        ["recv", "--listen", "nowhere"],
        ["recv", "--listen", "127.0.0.1:99999"],
        ["recv", "--listen", "127.0.0.1:0", "--engine", "fast"],
        ["recv", "--listen", "127.0.0.1:0", "--connections", "0"],
        ["recv", "--listen", "127.0.0.1:0", "--queue", "-1"],
        ["doctor", "--interface", "lo", "--queue", "99999999999"],
        ["nic", "show", "lo", "--queue", "-1"],
        ["nic", "prove", "lo", "--listen", "127.0.0.1:0", "--timeout", "-1"],
        ["nic", "prove", "lo", "--listen", "127.0.0.1:0", "--timeout", "1e300"],
        ["nic", "fly"],
    ],
)
def test_wrong_usage(arguments):
    done = zcrx_command(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_the_nearest_engine_is_suggested():
    done = zcrx_command("recv", "--listen", "127.0.0.1:0", "--engine", "multishoot")
    assert done.returncode == 2
    assert "did you mean 'multishot'?" in done.stderr


def test_prove_tells_that_nobody_came():
    done = zcrx_command("nic", "prove", "lo", "--listen", "127.0.0.1:0", "--timeout", "0.1")
    assert done.returncode == 1
    assert "nobody connected within 0.1 s" in done.stderr


def port_of(process: subprocess.Popen[str]) -> int:
    """The port that it says it listens at."""
    line = process.stderr.readline()
    assert line.startswith("listening on "), line
    return int(line.rpartition(":")[2])


def start(*arguments: str, **options) -> subprocess.Popen[str]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen([sys.executable, "-m", "zcrx", *arguments], **options)


needs_ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="a kernel without IPv6")


@pytest.mark.parametrize(
    ("listen", "peer"),
    [
        pytest.param("[::]:0", "127.0.0.1", marks=needs_ipv6),
        pytest.param("[::]:0", "::1", marks=needs_ipv6),
        pytest.param("[::1]:0", "::1", marks=needs_ipv6),
        (":0", "127.0.0.1"),
        ("localhost:0", "127.0.0.1"),
        ("0.0.0.0:0", "127.0.0.1"),
    ],
)
def test_listening(listen, peer):
    with start("recv", "--listen", listen, "--json") as process:
        port = port_of(process)
        socket.create_connection((peer, port), timeout=100).close()
        output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    assert json.loads(output)["listening"].endswith(f":{port}")


def test_a_name_with_several_addresses(monkeypatch, capfd):
    """The first that is this machine's is taken."""
    addresses = [("192.0.2.1", 0), ("127.0.0.1", 0)]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *of, **named: found)
    assert cli.main(["nic", "prove", "lo", "--listen", "name:0", "--timeout", "0.1"]) == 1
    assert capfd.readouterr().err.startswith("listening on 127.0.0.1:")


def test_an_address_with_a_scope():
    assert arguments.address("[fe80::1%lo]:9000") == ("fe80::1%lo", 9000)
    (_, address), *_ = listen.candidates("fe80::1%lo", 9000)
    assert address == ("fe80::1", 9000, 0, socket.if_nametoindex("lo"))


@pytest.mark.parametrize("listen", ["192.0.2.1:0", "no.such.name.invalid:0"])
def test_an_address_that_is_not_here(listen):
    done = zcrx_command("recv", "--listen", listen)
    assert done.returncode == 1
    assert done.stderr.startswith(f"zcrx: cannot listen on {listen[:-2]}")
    assert done.stderr.count("\n") == 1


@needs_ipv6
def test_bench_over_ipv6():
    arguments = ("--bytes", "1048576", "--rounds", "1", "--methods", "epoll,recv", "--json")
    with start("bench", "--listen", "[::1]:0", *arguments) as process:
        sent = zcrx_command("bench", "--send", f"[::1]:{port_of(process)}", "--bytes", "1048576")
        output, _ = process.communicate(timeout=100)
    assert (process.returncode, sent.returncode, sent.stderr) == (0, 0, "")
    assert set(json.loads(output)["placements"]["same"]) == {"epoll", "recv"}


def test_bench_stops_listening_while_the_sender_connects(monkeypatch):
    """The connection is reset then, and the next one refused."""
    ends = iter((ConnectionResetError(), ConnectionRefusedError()))

    def create_connection(*_arguments, **_options):
        raise next(ends)

    monkeypatch.setattr(socket, "create_connection", create_connection)
    assert bench.send("127.0.0.1", 1, 1) == 0


def test_bench_tells_that_nobody_listens():
    done = zcrx_command("bench", "--send", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "nobody listens" in done.stderr


@pytest.mark.parametrize("sha256", [True, False])
def test_recv_to_a_full_disk(sha256):
    more = ["--sha256"] if sha256 else []
    with start("recv", "--listen", "127.0.0.1:0", "--output", "/dev/full", *more) as process:
        with contextlib.suppress(ConnectionError), connect(port_of(process)) as sock:
            sock.sendall(bytes(1 << 20))
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert errors == "zcrx: [Errno 28] No space left on device: '/dev/full'\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/proc/self/fd/1"])
@pytest.mark.parametrize("kind", ["pipe", "file"])
@pytest.mark.parametrize("more", [[], ["--sha256"], ["--json"]])
def test_recv_to_standard_output(tmp_path, name, kind, more):
    data = os.urandom(1 << 20)
    with contextlib.ExitStack() as stack:
        target = subprocess.PIPE if kind == "pipe" else stack.enter_context(open(tmp_path / "out", "wb"))
        arguments = ("recv", "--listen", "127.0.0.1:0", "--output", name, *more)
        process = stack.enter_context(start(*arguments, stdout=target, text=None))
        port = int(process.stderr.readline().rpartition(b":")[2])
        with connect(port) as sock:
            sock.sendall(data)
        output, report = process.communicate(timeout=100)
    assert process.returncode == 0
    assert (output if kind == "pipe" else (tmp_path / "out").read_bytes()) == data
    assert b"engine" in report


def test_recv_of_several_to_standard_output():
    done = zcrx_command("recv", "--listen", "127.0.0.1:0", "--output", "-", "--connections", "2")
    assert done.returncode == 1
    assert "a file for each" in done.stderr


def test_recv_when_the_reader_has_left():
    """As if by SIGPIPE: what it is for is gone, and no word is needed."""
    reader, writer = os.pipe()
    os.close(reader)
    with start("recv", "--listen", "127.0.0.1:0", "--output", "-", stdout=writer) as process:
        os.close(writer)
        with contextlib.suppress(ConnectionError), connect(port_of(process)) as sock:
            sock.sendall(bytes(1 << 20))
        _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"], ["completion", "bash"]])
def test_output_that_cannot_be_written(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    with start(*arguments, stdout=writer) as process:
        os.close(writer)
        assert process.communicate(timeout=100)[1] == ""
    assert process.returncode == 128 + signal.SIGPIPE
    with open("/dev/full", "wb") as full, start(*arguments, stdout=full) as process:
        errors = process.communicate(timeout=100)[1]
    assert (process.returncode, errors.count("\n")) == (1, 1)
    assert "No space left" in errors


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_standard_streams(tmp_path, closed):
    """No socket and no file gets the number of one: what is said would be written into it."""
    port = free_port()
    command = f"exec {sys.executable} -m zcrx recv --listen 127.0.0.1:{port} --sha256"
    command += f" --output {tmp_path}/out {closed}"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True) as process:
        with connect(port) as sock:
            sock.sendall(b"data")
        output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    assert (tmp_path / "out").read_bytes() == b"data"
    assert output.startswith("engine ")


def test_standard_output_that_is_closed():
    command = f"exec {sys.executable} -m zcrx doctor >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (1, "zcrx: standard output is closed\n")


def limited(soft: int, hard: int) -> dict[str, Callable[[], None]]:
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))}


def test_recv_raises_the_limit_of_descriptors(tmp_path):
    arguments = ("--connections", "40", "--output", str(tmp_path / "out"), "--json")
    with start("recv", "--listen", "127.0.0.1:0", *arguments, **limited(64, 4096)) as process:
        port = port_of(process)
        socks = [connect(port) for _ in range(40)]
        for sock in socks:
            with sock:
                sock.sendall(b"data")
        output, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(output)["bytes"] == 160


def test_recv_refuses_more_connections_than_descriptors():
    done = zcrx_command("recv", "--listen", "127.0.0.1:0", "--connections", "500", **limited(64, 256))
    assert done.returncode == 1
    assert "256 are allowed" in done.stderr
    fewer = int(done.stderr.split()[-1])
    assert 50 < fewer < 128


def test_tables_are_not_folded_in_a_pipe(monkeypatch, capsys):
    check = zcrx.Check("name", "missing", "detail " * 40, "hint " * 40 + "[x]")
    view.checks([check, check])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(check.detail in line and line.endswith("[x]") for line in lines[1:])


def test_bench():
    done = zcrx_command("bench", "--bytes", "4194304", "--rounds", "1", "--json")
    assert done.stderr == ""
    result = json.loads(done.stdout)
    for figures in result["placements"].values():
        assert {"epoll", "tcp-zerocopy", "recv"} <= figures.keys()
        assert all(figure["gb_per_s"] > 0 for figure in figures.values())
    assert zcrx_command("bench", "--methods", "magic").returncode == 1


@pytest.mark.parametrize(("name", "magic"), [("plot.png", b"\x89PNG"), ("plot.svg", b"<?xml")])
def test_bench_plots(tmp_path, name, magic):
    path = tmp_path / name
    done = zcrx_command(
        "bench", "--bytes", "1048576", "--rounds", "1", "--methods", "epoll,recv", "--plot", str(path)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes().startswith(magic)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    done = zcrx_command("completion", shell)
    assert done.returncode == 0
    assert "doctor" in done.stdout


def test_completion_of_fish_asks_for_both():
    assert "nic; and __fish_seen_subcommand_from show' -l queue" in zcrx_command("completion", "fish").stdout


def test_completion_completes():
    script = zcrx_command("completion", "bash").stdout
    script += "\nCOMP_WORDS=(zcrx nic s); COMP_CWORD=2; _zcrx; echo ${COMPREPLY[@]}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.split() == ["show", "setup"]
