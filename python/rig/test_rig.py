# SPDX-License-Identifier: MIT
"""The package on a NIC that receives without copies: run in the guest of tests/rig/nicmodel/rig.

Not part of the ordinary tests (they look in python/tests): `make test-python-nic`.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict

import pytest
from memory import dmabuf

import zcrx
import zcrx.aio
import zcrx.nic
from zcrx import cli

INTERFACE = os.environ["ZRX_RIG_IFACE"]
LOCAL = os.environ["ZRX_RIG_LOCAL"]
NAMESPACE = os.environ["ZRX_RIG_PEER_NETNS"]
AREA_BYTES = 32 << 20
SIZE = 4 << 20
PATTERN = bytes(range(251)) * 17  # longer than a page
SENDER = """
import contextlib, socket, sys, time
host, port, size, waits = sys.argv[1], *map(int, sys.argv[2:])
deadline = time.monotonic() + 60
while True:
    try:
        sock = socket.create_connection((host, port), timeout=60)
        break
    except ConnectionRefusedError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.1)
if waits:
    sock.recv(1)
pattern = bytes(range(251)) * 17
sock.sendall(memoryview(pattern * (size // len(pattern) + 1))[:size])
sock.shutdown(socket.SHUT_WR)
with contextlib.suppress(ConnectionResetError):
    sock.recv(1)
"""


def payload(size: int) -> bytes:
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def start_sender(port: int, size: int, waits: bool = True) -> subprocess.Popen[bytes]:
    """In the other namespace. waits: for one byte, before it sends."""
    arguments = [LOCAL, str(port), str(size), str(int(waits))]
    return subprocess.Popen(
        ["ip", "netns", "exec", NAMESPACE, sys.executable, "-S", "-c", SENDER, *arguments]
    )


def free_port() -> int:
    with socket.create_server((LOCAL, 0), family=socket.AF_INET6) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """A connection from the cable's other port. One byte to it makes it send SIZE bytes of the pattern."""
    with (
        socket.create_server((LOCAL, 0), family=socket.AF_INET6) as listener,
        start_sender(listener.getsockname()[1], SIZE) as sender,
    ):
        try:
            listener.settimeout(60)
            receiver, _ = listener.accept()
            with receiver:
                yield receiver
        finally:
            sender.kill()


@pytest.fixture
def command(capsys) -> Callable[..., tuple[int, dict]]:
    """Run the command, with --json, within this process: a new one takes seconds under emulation."""

    def run(*arguments: str) -> tuple[int, dict]:
        status = cli.main([*arguments, "--json"])
        output = capsys.readouterr().out
        return status, json.loads(output) if output else {}

    return run


def settings_of_nic() -> dict:
    report = asdict(zcrx.nic.inspect(INTERFACE, 1))
    names = ("split", "hds_thresh", "ntuple", "rules", "rss_entries", "rss_to_queue", "bound")
    return {name: report[name] for name in names}


def test_auto_takes_the_queue_and_copies_nothing(sock):
    before = settings_of_nic()
    with zcrx.Receiver(interface=INTERFACE, area_bytes=AREA_BYTES, require_zero_copy=True) as rx:
        info = rx.info
        assert (info.engine, info.interface, info.zero_copy, info.reason) == ("zcrx", INTERFACE, True, "")
        rx.add(sock)
        sock.sendall(b"!")
        got = bytearray()
        ended = False
        while not ended:
            batch = rx.receive(20)
            assert batch, rx.stats
            for event in batch:
                ended = event.kind == "end"
                if event.buffer is not None:
                    with event.buffer as buffer:
                        got += buffer
        assert got == payload(SIZE)
        stats = rx.stats
        assert (stats.bytes, stats.outstanding, stats.copied_bytes) == (SIZE, 0, 0)
    assert settings_of_nic() == before


def test_asyncio(sock):
    async def receive() -> bytes:
        options = {"engine": "zcrx", "interface": INTERFACE, "area_bytes": AREA_BYTES}
        got = bytearray()
        async with zcrx.aio.Receiver(**options) as receiver:
            source = receiver.stream(sock)
            sock.sendall(b"!")
            async for buffer in source:
                got += buffer
                buffer.release()
        return bytes(got)

    assert asyncio.run(asyncio.wait_for(receive(), 60)) == payload(SIZE)


def test_buffers_in_a_dmabuf(sock):
    """No CPU view; where the bytes are is told, and there they are."""
    hasher = hashlib.sha256()
    with (
        dmabuf(AREA_BYTES) as (fd, memory),
        zcrx.Receiver("zcrx", INTERFACE, area_bytes=AREA_BYTES, dmabuf=fd) as rx,
    ):
        assert (rx.info.area_kind, rx.info.area_bytes) == ("dmabuf", AREA_BYTES)
        stream = rx.add(sock)
        sock.sendall(b"!")
        while not stream.ended:
            batch = rx.receive(20)
            assert batch, rx.stats
            for buffer in batch.take():
                assert (buffer.fd, buffer.address) == (fd, None)
                with pytest.raises(BufferError, match="no CPU view"):
                    memoryview(buffer)
                hasher.update(memory[buffer.offset : buffer.offset + buffer.length])
                buffer.release()
        assert rx.stats.copied_bytes == 0
    assert hasher.digest() == hashlib.sha256(payload(SIZE)).digest()


def test_batches_in_a_dmabuf(sock):
    with (
        dmabuf(AREA_BYTES) as (fd, memory),
        zcrx.Receiver("zcrx", INTERFACE, area_bytes=AREA_BYTES, dmabuf=fd) as rx,
    ):
        rx.add(sock)
        sock.sendall(b"!")
        with rx.receive(20) as batch:
            with pytest.raises(BufferError, match="offsets and lengths"):
                _ = batch.iovecs
            with pytest.raises(BufferError, match="offsets and lengths"):
                batch.write_to(1)
            first, length = batch.offsets[0], batch.lengths[0]
            assert memory[first : first + length] == payload(length)


def test_a_reader_refuses_a_dmabuf(sock):
    """It must not take what it cannot read for the end."""
    with (
        dmabuf(AREA_BYTES) as (fd, _),
        zcrx.Receiver("zcrx", INTERFACE, area_bytes=AREA_BYTES, dmabuf=fd) as rx,
        rx.stream(sock, timeout=20) as buffers,
    ):
        sock.sendall(b"!")
        reader = zcrx.Reader(buffers)
        for read in (reader.read_some, reader.read_exactly):
            with pytest.raises(BufferError, match="no CPU view"):
                read(1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_puts_the_nic_back(number):
    before = settings_of_nic()
    arguments = ["recv", "--engine", "zcrx", "--interface", INTERFACE, "--area-bytes", str(AREA_BYTES)]
    command = [sys.executable, "-m", "zcrx", *arguments, "--listen", f"[{LOCAL}]:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("listening on")
        assert settings_of_nic() != before
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    assert settings_of_nic() == before


def test_setup_and_restore(command):
    before = settings_of_nic()
    status, dry = command("nic", "setup", INTERFACE, "--queue", "1")
    assert (status, dry["queue"], dry["applied"]) == (0, 1, False)
    assert dry["steps"]
    assert 0 < dry["area"]["demand_bytes"] < dry["area"]["area_bytes"]
    assert settings_of_nic() == before
    status, made = command("nic", "setup", INTERFACE, "--queue", "1", "--port", "9713", "--apply")
    try:
        assert (status, made["queue"], made["applied"]) == (0, 1, True)
        after = settings_of_nic()
        assert (after["split"], after["hds_thresh"], after["rss_to_queue"]) == (True, 0, 0)
        assert after["rules"] > before["rules"]
        with zcrx.Receiver("zcrx", INTERFACE, 1, AREA_BYTES, nic="prepared", steer="none") as rx:
            assert rx.info.queue == 1
            assert command("nic", "restore", INTERFACE, "--apply")[0] == 1  # it is in use
    finally:
        undone = command("nic", "restore", INTERFACE, "--apply")
    assert undone == (0, {"applied": True, "undone": 1})
    assert settings_of_nic() == before
    assert command("nic", "restore", INTERFACE, "--apply") == (0, {"applied": True, "undone": 0})


def test_what_a_killed_process_left_is_restored(command):
    before = settings_of_nic()
    child = os.fork()
    if not child:
        try:
            with zcrx.Receiver("zcrx", INTERFACE, 1, AREA_BYTES):
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    assert settings_of_nic() != before
    assert command("nic", "restore", "--apply") == (0, {"applied": True, "undone": 1})
    assert settings_of_nic() == before


def test_doctor(command):
    status, report = command("doctor", "--interface", INTERFACE)
    assert (status, report["auto"], report["missing"]) == (0, "zcrx", [])
    assert report["nic"]["driver"]
    mended = [check["name"] for check in report["nic"]["checks"] if "while it is open" in check["hint"]]
    assert "hds-thresh" in mended


def test_prove(sock):
    before = settings_of_nic()
    threading.Timer(3, sock.sendall, (b"!",)).start()  # once the flow is led to the queue
    proof = zcrx.nic.prove(INTERFACE, sock, 1, area_bytes=AREA_BYTES, timeout=60)
    assert (proof.verdict, proof.bytes, proof.queue) == ("zero-copy", SIZE, 1), proof
    assert (proof.copied_bytes, proof.early_bytes) == (0, 0)
    assert proof.mtu == int(os.environ["ZRX_RIG_MTU"])
    assert settings_of_nic() == before


def test_prove_tells_that_nothing_came(sock):
    with pytest.raises(zcrx.Error) as caught:
        zcrx.nic.prove(INTERFACE, sock, area_bytes=AREA_BYTES, timeout=0.2)
    assert caught.value.errno == errno.ETIMEDOUT
    assert caught.value.hint


def test_prove_by_the_command(command):
    port = free_port()
    with start_sender(port, SIZE, waits=False) as sender:
        arguments = ("--listen", f"[{LOCAL}]:{port}", "--area-bytes", str(AREA_BYTES), "--timeout", "60")
        status, proof = command("nic", "prove", INTERFACE, *arguments)
        sender.kill()
    assert proof["bytes"] == SIZE
    assert proof["checks"]
    assert status == (0 if proof["verdict"] == "zero-copy" else 1)


def test_recv(command):
    port = free_port()
    with start_sender(port, SIZE, waits=False) as sender:
        arguments = [
            "--engine",
            "zcrx",
            "--interface",
            INTERFACE,
            "--area-bytes",
            str(AREA_BYTES),
            "--sha256",
        ]
        status, result = command("recv", "--listen", f"[{LOCAL}]:{port}", *arguments)
        sender.kill()
    assert (status, result["engine"], result["reason"], result["bytes"]) == (0, "zcrx", "", SIZE)
    assert result["sha256"] == [hashlib.sha256(payload(SIZE)).hexdigest()]
