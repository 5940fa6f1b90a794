# SPDX-License-Identifier: MIT
"""Each example does what it says."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from pathlib import Path

import numpy
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
