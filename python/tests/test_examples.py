# SPDX-License-Identifier: MIT
"""Each example does what it says."""

from __future__ import annotations

import hashlib
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy
import pytest
from programs import connect, free_port

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, data: list[bytes], *arguments: str, answers: bool = False) -> tuple[str, list[bytes]]:
    port = free_port()
    command = [sys.executable, str(EXAMPLES / name), "127.0.0.1", str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        socks = [connect(port) for _ in data]
        got = []
        for sock, piece in zip(socks, data, strict=True):
            sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
        for sock in socks:
            with sock:
                got.append(sock.recv(1000) if answers else b"")
        output, _ = process.communicate(timeout=100)
        assert process.returncode == 0
    return output, got


def test_to_file(tmp_path):
    data = bytes(range(256)) * 20000
    output, _ = run("to_file.py", [data], str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == data
    assert output.startswith(f"{len(data)} bytes")


def test_to_numpy():
    numbers = numpy.arange(300001, dtype="<f8")
    output, _ = run("to_numpy.py", [numbers.tobytes()])
    assert output.startswith(f"{numbers.sum():.1f}, ")


def test_to_arrow():
    data = bytes(range(256)) * 4000
    assert run("to_arrow.py", [data])[0] == f"{sum(data)}\n"


def test_asyncio_server():
    data = [bytes([n]) * 300000 for n in range(5)]
    _, answers = run("asyncio_server.py", data, "5", answers=True)
    assert answers == [hashlib.sha256(piece).hexdigest().encode() for piece in data]


def test_many_connections():
    assert run("many_connections.py", [b"x" * 100000] * 30, "30")[0] == "30 3000000\n"


UPLOAD_SERVER = [sys.executable, "-W", "default", str(EXAMPLES / "upload_server.py")]


@contextmanager
def upload_server(*arguments: str, number: int = signal.SIGTERM) -> Iterator[tuple[int, int]]:
    """A running one, and its ports; it must end by a signal, with nothing to say."""
    command = [*UPLOAD_SERVER, "--port", "0", "--metrics-port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = [process.stdout.readline() for _ in range(2)]
            ports = [int(port) for line in said for port in re.findall(r"127\.0\.0\.1 port (\d+)", line)]
            assert len(ports) == 2, (said, process.stderr.read())
            yield ports[0], ports[1]
            process.send_signal(number)
            _, errors = process.communicate(timeout=100)
            assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()


def figures(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=100) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
        lines = answer.read().decode().splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines if not line.startswith("#")}


def upload(port: int, data: bytes) -> bytes:
    with connect(port) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return sock.makefile("rb").read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_upload_server(engine, number):
    data = [bytes([n]) * 200000 for n in range(8)]
    running = upload_server("--queues", "2", "--engine", engine, number=number)
    with ExitStack() as stack, running as (port, metrics_port):
        for piece in data:
            assert upload(port, piece) == hashlib.sha256(piece).hexdigest().encode() + b"\n"
        with connect(port) as quitter:  # who resets disturbs nobody
            quitter.sendall(b"x")
            quitter.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert upload(port, b"") == hashlib.sha256().hexdigest().encode() + b"\n"
        seen = figures(metrics_port)
        assert seen["zcrx_accepted_total"] == 10
        assert seen["zcrx_refused_total"] == 0
        assert 0 <= seen["zcrx_bytes_total"] - 8 * 200000 <= 1
        each = [seen[f'zcrx_receiver_bytes_total{{receiver="{n}"}}'] for n in range(2)]
        assert sum(each) == seen["zcrx_bytes_total"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/other", timeout=100)
        stays = stack.enter_context(connect(port))  # cut off at the end
        stays.sendall(b"x")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--help"], 0, "--metrics-port"),
        (["--port", "70000"], 2, "'70000' is no port"),
        (["--queues", "0"], 2, "1 to 256"),
        (["--engine", "none"], 2, "invalid choice"),
        (["--port", "0", "--host", "192.0.2.1"], 1, "cannot listen at 192.0.2.1"),
        (["--port", "0", "--engine", "zcrx", "--interface", "no-such-nic"], 1, "no-such-nic"),
    ],
)
def test_upload_server_refuses(arguments, status, says):
    done = subprocess.run([*UPLOAD_SERVER, *arguments], capture_output=True, text=True, timeout=100)
    assert done.returncode == status
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_upload_server_without_its_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [*UPLOAD_SERVER, "--port", "0", "--metrics-port", port, "--queues", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr
