# SPDX-License-Identifier: MIT
"""What the README shows works: each Python snippet is run, each command line is understood."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import inspect
import re
import shlex
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from programs import connect, free_port

import zcrx
import zcrx.aio
from zcrx import cli

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
DATA = (70000).to_bytes(4, "little") + bytes(range(256)) * 2000


def snippets() -> dict[str, str]:
    """The Python of each section, by the section's title."""
    found = {}
    for section in README.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
            found[f"{title} {number}" if number else title] = code
    return found


def execute(code: str, **names: object) -> dict[str, object]:
    """Run a snippet, also one that awaits, with these names known to it."""
    namespace = {"zcrx": zcrx, "numpy": numpy, **names}
    program = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    awaiting = eval(program, namespace)
    if inspect.isawaitable(awaiting):

        async def run() -> None:
            await awaiting

        asyncio.run(asyncio.wait_for(run(), 60))
    return namespace


def one_socket(code: str, sock: socket.socket, capsys) -> None:
    port = free_port()

    def send() -> None:
        with connect(port) as sender:
            sender.sendall(DATA)

    thread = threading.Thread(target=send)
    thread.start()
    execute(code.replace("9000", str(port)))
    thread.join()
    assert capsys.readouterr().out == f"{hashlib.sha256(DATA).hexdigest()} peer\n"


def many_sockets(code: str, sock: socket.socket, capsys) -> None:
    got = []

    def handle(tag: str, buffer: zcrx.Buffer) -> None:
        got.append((tag, bytes(buffer)))

    execute(code, sock=sock, handle=handle)
    assert b"".join(data for tag, data in got if tag == "first") == DATA


def batch(code: str, sock: socket.socket, capsys) -> None:
    with zcrx.Receiver() as rx, open("received", "wb") as file:
        rx.add(sock)
        while rx.streams:
            names = execute(code, rx=rx, file=file)
        assert rx.stats.outstanding == 0
    assert Path("received").read_bytes() == DATA
    assert isinstance(names["lengths"], numpy.ndarray)


def reads(code: str, sock: socket.socket, capsys) -> None:
    with zcrx.Receiver() as rx:
        names = execute(code, rx=rx, sock=sock)
        assert bytes(names["header"]) == DATA[:16]
        assert bytes(names["body"]) == DATA[16 : 16 + names["size"]]
        names.clear()


def awaited(code: str, sock: socket.socket, capsys) -> None:
    got = []
    execute(code, sock=sock, handle=lambda buffer: got.append(bytes(buffer)))
    assert b"".join(got) == DATA


def server(code: str, sock: socket.socket, capsys) -> None:
    port, answers = free_port(), []

    def upload() -> None:
        try:
            with connect(port) as sender:
                sender.sendall(DATA)
                sender.shutdown(socket.SHUT_WR)
                answers.append(sender.recv(100))
        finally:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # as a user ends it

    thread = threading.Thread(target=upload)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        execute(code.replace("9000", str(port)))
    thread.join()
    assert answers == [hashlib.sha256(DATA).hexdigest().encode()]
    assert not [thread for thread in threading.enumerate() if thread.name == "zcrx server"]


def groups(code: str, sock: socket.socket, capsys) -> None:
    got, lock = bytearray(), threading.Lock()

    def handle(sock: socket.socket, buffer: zcrx.Buffer) -> None:
        with lock:
            got.extend(buffer)
        sock.sendall(bytes(buffer))

    def wait_until_done() -> None:
        with connect(listener.getsockname()[1]) as sender:
            sender.sendall(b"data")
            sender.shutdown(socket.SHUT_WR)
            assert sender.makefile("rb").read() == b"data"

    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        names = {"contextlib": contextlib, "threading": threading, "listener": listener}
        execute(code, handle=handle, wait_until_done=wait_until_done, **names)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    assert got == b"data"
    assert capsys.readouterr().out == ""


RUNS: dict[str, Callable[..., None]] = {
    "One socket": one_socket,
    "Many sockets": many_sockets,
    "A whole batch at once": batch,
    "Reads of a given size": reads,
    "asyncio": awaited,
    "A server": server,
    "Groups": groups,
}


def test_every_snippet_is_run():
    assert list(snippets()) == list(RUNS)


@pytest.mark.parametrize("title", RUNS)
def test_snippet(title, pair, send, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    send(pair[1], DATA)
    RUNS[title](snippets()[title], pair[0], capsys)


def command_lines() -> list[str]:
    return re.findall(r"^    (?:eval \"\$\()?(zcrx [^\n]*?)(?:\)\")?(?:  +[^\n]*)?$", README, re.MULTILINE)


def spellings(line: str) -> list[list[str]]:
    """The command lines that one of the README stands for: with all options, and for each alternative."""
    words = shlex.split(re.sub(r"[\[\]]", "", line))[1:]
    words = [{"HOST:PORT": "127.0.0.1:9000", "I": "eth0"}.get(word, word) for word in words]
    for place, word in enumerate(words):
        if "|" in word:
            return [[*words[:place], choice, *words[place + 1 :]] for choice in word.split("|")]
    return [words]


def test_command_lines_are_understood():
    lines = command_lines()
    assert [line.split()[1] for line in lines] == [
        "doctor",
        "recv",
        "recv",
        "nic",
        "nic",
        "bench",
        "completion",
    ]
    for line in lines:
        for words in spellings(line):
            assert cli.parser().parse_args(words).command == words[0]
