# SPDX-License-Identifier: MIT
"""The conformance executor answers the requests for groups, as tests/conformance/PROTOCOL.md has them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

EXECUTOR = Path(__file__).resolve().parent / "conformance.py"
TABLE = bytes((n * 251 + n // 256) & 255 for n in range(65521))
CHANNELS = 8
# Gives the executor its descriptors, from 3 on: first out of the way of those numbers.
START = """
import fcntl, os, sys
given = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[2:]]
for number, fd in enumerate(given, 3):
    os.dup2(fd, number)
    os.close(fd)
os.closerange(3 + len(given), 100)
os.execv(sys.executable, [sys.executable, sys.argv[1]])
"""
PATIENCE_S = 60


class Driver:
    """Asks an executor, and serves as the peer of its connections."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        payload = folder / "payload"
        payload.write_bytes(TABLE * 18)
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        pairs = [socket.socketpair() for _ in range(CHANNELS)]
        file = stack.enter_context(payload.open("rb"))
        given = [*(pair[1].fileno() for pair in pairs), self.listener.fileno(), file.fileno()]
        command = [sys.executable, "-c", START, str(EXECUTOR), *map(str, given)]
        self.process = subprocess.Popen(command, pass_fds=given)
        stack.callback(self.process.wait, PATIENCE_S)
        self.channels = []
        for mine, its in pairs:
            its.close()
            mine.settimeout(PATIENCE_S)
            self.channels.append(stack.enter_context(mine.makefile("rw", newline="\n")))
            mine.close()

    def ask(self, request: str, channel: int = 0) -> list[str]:
        lines = self.channels[channel]
        lines.write(request + "\n")
        lines.flush()
        answer = []
        while not answer or answer[-1].split()[0] not in ("ok", "failed"):
            line = lines.readline()
            assert line, "the executor has ended"
            answer.append(line.rstrip("\n"))
        return answer

    def ok(self, request: str, channel: int = 0) -> list[str]:
        answer = self.ask(request, channel)
        assert answer[-1].startswith("ok"), answer
        return answer

    def facts(self, channel: int, count: int, mode: str = "use") -> list[list[str]]:
        """So many events."""
        got: list[str] = []
        for _ in range(50):
            got += self.ok(f"receive {count - len(got)} 1000 {mode}", channel)[:-1]
            if len(got) >= count:
                break
        assert len(got) == count, got
        return [line.split() for line in got]

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), PATIENCE_S)


@pytest.fixture
def driver(tmp_path) -> Iterator[Driver]:
    with ExitStack() as stack:
        made = Driver(stack, tmp_path)
        yield made
        for channel in made.channels:
            channel.close()
        assert made.process.wait(PATIENCE_S) == 0


def test_group(driver, engine):
    assert "protocol 3" in driver.ok("hello")
    assert driver.ok(f"group 2 engine={engine} area_bytes=4194304 batch=64 inbox_entries=8") == [
        f"ok {engine}"
    ]
    with driver.connect() as added, driver.connect() as twice:
        for number, sock in ((1, added), (2, twice)):
            driver.ok(f"accept {number} {number * 100}")
            driver.ok(f"group-add {number} {0 if number == 1 else 9}", channel=number)
            sock.sendall(TABLE[number * 100 :][:9])
        seen = [fact for channel in (0, 1) for fact in driver.facts(channel, 2, "hold")]
        for number in ("1", "2"):
            (first, second) = (fact for fact in seen if number in fact[2:4])
            assert first[0] == "added"
            assert first[2:] == [number, number, "-"]
            assert second[:2] == ["data", first[1]]
            assert second[2:5] == [number, "9", "9"]
    stats = dict(word.split("=") for word in driver.ok("group-stats", channel=1)[-1].split()[1:])
    assert (stats["added"], stats["sum_bytes"], stats["receiver_count"]) == ("2", "18", "2")
    ids = [fact[5] for fact in seen if fact[0] == "data"]
    driver.ok(f"release {' '.join(ids)}", channel=5)
    ends = [fact for channel in (0, 1) for fact in driver.facts(channel, 1)]
    assert sorted(fact[0::2] for fact in ends) == [["end", "1"], ["end", "2"]]
    assert sorted(fact[3] for fact in ends) == ["limit", "peer"]
    driver.ok("shut 1")
    driver.ok("shut 2")
    assert driver.ok("leave", channel=1) == ["ok done"]
    assert driver.ask("receive 64 0 use", channel=1)[-1].startswith("failed 9 ")
    assert driver.ok("close") == ["ok done"]
    assert driver.ask("group-stats")[-1].startswith("failed 9 ")
    # The next scenario, of the same process, has a receiver by itself.
    driver.ok(f"open engine={engine} area_bytes=4194304 batch=64 through=receive")
    with driver.connect():
        driver.ok("accept 3 0")
        driver.ok("add 3 0")
    assert driver.facts(0, 1)[0][0::3] == ["end", "peer"]
    driver.ok("shut 3")
    assert driver.ok("close") == ["ok done"]


def test_group_listen(driver, engine):
    driver.ok(f"group 1 engine={engine} area_bytes=4194304 batch=64")
    driver.ok("group-listen 77", channel=3)
    with driver.connect() as sock:
        port = sock.getsockname()[1]
        sock.sendall(TABLE[port % len(TABLE) :][:10])
        added, data = driver.facts(0, 2)
        assert added[0] == "added"
        assert added[2:] == [str(port), "77", "accepted"]
        assert data[2:] == [str(port), "10", "10", "0"]
    assert driver.facts(0, 1)[0][2:] == [str(port), "peer"]
    driver.listener.shutdown(socket.SHUT_RDWR)
    assert driver.facts(0, 1) == [["refused", "77", "22", "listener"]]
    assert driver.ok("close") == ["ok done"]


def test_what_a_group_refuses(driver, engine):
    assert driver.ask("group 257 engine=auto")[-1].startswith("failed 22 ")
    driver.ok(f"group 1 engine={engine} area_bytes=4194304")
    with driver.connect():
        driver.ok("accept 5 0")
        driver.ok("group-add 5 0")
        driver.ok("group-add 5 0")
        added, refused = driver.facts(0, 2)
        assert added[0] == "added"
        assert refused == ["refused", "5", "17", "-"]
        assert driver.ok("close") == ["ok done"]
        driver.ok("shut 5")
