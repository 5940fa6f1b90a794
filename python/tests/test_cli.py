# SPDX-License-Identifier: MIT
"""The command, as a program."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import connect, free_port

import zcrx
import zcrx.nic
from zcrx import cli


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
    assert (process.returncode, errors) == (0, "")
    result = json.loads(output)
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


def test_ctrl_c(tmp_path):
    path = tmp_path / "out"
    with receiving("--output", str(path)) as (port, process):
        sock = connect(port)
        while not path.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
        sock.close()
    assert process.returncode == 130
    assert "Traceback" not in errors


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
    "arguments",
    [
        [],
        ["recv"],
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
