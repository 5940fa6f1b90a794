# SPDX-License-Identifier: MIT
"""receive connections to their end, into a file or nowhere

With --json one object is printed: listening, engine, reason, bytes, seconds, buffers, copied_bytes (null if
unknown), and sha256 of each connection's data, if asked. "listening on HOST:PORT" goes to standard error; so
does the report if the data goes to standard output.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from typing import Any, TextIO

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from .. import ENGINES, Batch, Buffer, Receiver
from . import view
from .arguments import address, engine, filename, positive, queue
from .listen import listen, name_of

_PROGRESS_S = 0.2
_BACKLOG = 4096
_OWN_DESCRIPTORS = 64  # what the program has open besides connections, with some to spare


def describe(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    parser.add_argument("--listen", type=address, required=True, metavar="HOST:PORT")
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--output",
        type=filename,
        metavar="FILE",
        help="with several connections: FILE.0, FILE.1, ...; -: standard output",
    )
    target.add_argument("--discard", action="store_true", help="the default")
    parser.add_argument("--connections", type=positive, default=1, metavar="N")
    parser.add_argument(
        "--engine", type=engine, default="auto", metavar="E", help=f"one of {', '.join(ENGINES)}"
    )
    parser.add_argument("--interface", metavar="I")
    parser.add_argument("--queue", type=queue, metavar="Q")
    parser.add_argument(
        "--area-bytes",
        type=positive,
        default=0,
        metavar="BYTES",
        help="64 MiB; on a NIC's queue what it needs",
    )
    parser.add_argument(
        "--area-max", type=positive, default=0, metavar="BYTES", help="how far the area may grow; not at all"
    )
    parser.add_argument(
        "--window",
        type=positive,
        default=0,
        metavar="BYTES",
        help="of the area, that one connection may hold; a share of what is free",
    )
    parser.add_argument("--sha256", action="store_true", help="hash each connection's data")
    parser.add_argument("--json", action="store_true", help="print one object")


@contextmanager
def _naming(file: FileIO) -> Iterator[None]:
    """What fails names the file."""
    try:
        yield
    except OSError as error:
        name = "standard output" if isinstance(file.name, int) else file.name
        raise OSError(error.errno, error.strerror, name) from None


class Connection:
    """Where one connection's bytes go. Its socket and file are closed at its end, not at that of all."""

    def __init__(
        self, number: int, sock: socket.socket, settings: argparse.Namespace, stack: ExitStack
    ) -> None:
        self.number = number
        self.sock = sock
        self.file: FileIO | None = None
        self.hash = hashlib.sha256() if settings.sha256 else None
        self.error: OSError | None = None
        if settings.output:
            self.file = stack.enter_context(_open(settings, number))

    def write(self, buffer: Buffer) -> None:
        """All of it to the file. On failure no view is left, so that the failure is what is told."""
        if self.file is None:
            return
        with memoryview(buffer) as view, _naming(self.file):
            done = 0
            while done < len(view):
                with view[done:] as rest:
                    done += self.file.write(rest)

    def close(self, error: OSError | None) -> None:
        self.error = error
        if self.file:
            self.file.close()
        self.sock.close()  # last: a peer may wait for it, and then read the file


class Reception:
    """Accepts connections while it receives, on one thread."""

    def __init__(self, settings: argparse.Namespace, receiver: Receiver, stack: ExitStack) -> None:
        self.settings = settings
        self.receiver = receiver
        self.stack = stack
        self.connections: list[Connection] = []
        self.ended = 0
        self.bytes = 0
        self.begin = self.end = 0.0

    def accept(self, listener: socket.socket) -> None:
        sock, _ = listener.accept()
        self.stack.enter_context(sock)
        connection = Connection(len(self.connections), sock, self.settings, self.stack)
        self.connections.append(connection)
        self.begin = self.begin or time.monotonic()
        self.receiver.add(sock, tag=connection)

    def consume(self, batch: Batch) -> None:
        """One batch: to the file by one writev if all of it goes there, else buffer by buffer."""
        self.bytes += batch.bytes
        if not self.settings.sha256 and not batch.has_ends and self.settings.connections == 1:
            file = self.connections[0].file
            if file:
                with _naming(file):
                    batch.write_to(file)
            batch.release()
            return
        for event in batch:
            connection: Connection = event.stream.tag
            if event.buffer is None:
                connection.close(event.error)
                self.ended += 1
                continue
            with event.buffer as buffer:
                if connection.hash:
                    connection.hash.update(buffer)
                connection.write(buffer)

    def run(self, listener: socket.socket, show: Any) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            self.accept_first(selector, listener)
            selector.register(self.receiver, selectors.EVENT_READ)
            while len(self.connections) < self.settings.connections:
                while batch := self.receiver.receive(0):
                    self.consume(batch)
                for key, _ in selector.select(_PROGRESS_S):
                    if key.fileobj is listener:
                        self.accept(listener)
                show(self.bytes)
        listener.close()
        while self.ended < self.settings.connections:
            self.consume(self.receiver.receive(_PROGRESS_S))
            show(self.bytes)
        self.end = time.monotonic()

    def accept_first(self, selector: selectors.BaseSelector, listener: socket.socket) -> None:
        while not self.connections:
            if selector.select(_PROGRESS_S):
                self.accept(listener)


def _open(settings: argparse.Namespace, number: int) -> FileIO:
    """The file of one connection. Standard output stays as it is: opened anew it would be cut to nothing."""
    if settings.to_stdout:
        return FileIO(os.dup(1), "wb")
    name = settings.output if settings.connections == 1 else f"{settings.output}.{number}"
    return FileIO(name, "wb")


def _is_stdout(path: str | None) -> bool:
    """Whether the data goes where the report would."""
    if path == "-":
        return True
    try:
        return path is not None and os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False


def _check_output(settings: argparse.Namespace) -> None:
    """What cannot be written is told now, not when a sender has come."""
    path = settings.output
    if settings.to_stdout and settings.connections > 1:
        raise ValueError("--output: several connections need a file for each, not standard output")
    if not path or settings.to_stdout:
        return
    if settings.connections > 1 or not os.path.exists(path):
        path = os.path.dirname(path) or "."
    elif os.path.isdir(path):
        raise ValueError(f"--output: {path} is a folder")
    if not os.access(path, os.W_OK):
        raise ValueError(f"--output: {path} is not there, or may not be written")


def _allow_descriptors(settings: argparse.Namespace) -> None:
    """Enough for all connections at once: one too many would end the others."""
    each = 3 if settings.output else 2  # the socket, the receiver's reference to it, the file
    needed = _OWN_DESCRIPTORS + each * settings.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise ValueError(
            f"--connections {settings.connections}: they need {needed} descriptors, and {hard} are allowed; "
            f"raise the limit (ulimit -Hn {needed}), or take {(hard - needed) // each + settings.connections}"
        )
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _progress(settings: argparse.Namespace, stack: ExitStack) -> Any:
    """A callable that shows how many bytes there are, if standard error is a terminal."""
    if settings.json or not sys.stderr.isatty():
        return lambda count: None
    columns = (TextColumn("received"), DownloadColumn(True), TransferSpeedColumn(), TimeElapsedColumn())
    progress = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = progress.add_task("received", total=None)
    shown = 0.0

    def show(count: int) -> None:
        nonlocal shown
        if time.monotonic() - shown >= _PROGRESS_S:
            shown = time.monotonic()
            progress.update(task, completed=count)

    return show


def _result(reception: Reception, listening: str) -> dict[str, Any]:
    info, stats = reception.receiver.info, reception.receiver.stats
    result: dict[str, Any] = {
        "listening": listening,
        "engine": info.engine,
        "reason": info.reason,
        "bytes": stats.bytes,
        "seconds": round(reception.end - reception.begin, 6),
        "buffers": stats.buffers,
        "copied_bytes": stats.copied_bytes,
    }
    if reception.settings.sha256:
        result["sha256"] = [c.hash.hexdigest() for c in reception.connections if c.hash]
    return result


def _print(result: dict[str, Any], file: TextIO) -> None:
    because = f", because {result['reason']}" if result["reason"] else ""
    rate = result["bytes"] / result["seconds"] / 1e9 if result["seconds"] else 0.0
    lines = [
        f"engine {result['engine']}{because}",
        f"{result['bytes']} bytes in {result['buffers']} buffers, {result['seconds']:.3f} s, {rate:.3f} GB/s",
    ]
    lines += [f"{digest}  connection {number}" for number, digest in enumerate(result.get("sha256", []))]
    print("\n".join(lines), file=file, flush=True)


def run(settings: argparse.Namespace) -> int:
    """Receive; 1 if a connection ended in an error."""
    settings.to_stdout = _is_stdout(settings.output)
    _check_output(settings)
    _allow_descriptors(settings)
    with ExitStack() as stack:
        receiver = stack.enter_context(
            Receiver(
                settings.engine,
                settings.interface,
                settings.queue,
                settings.area_bytes,
                area_max_bytes=settings.area_max,
                window_bytes=settings.window,
            )
        )
        listener = stack.enter_context(listen(settings.listen, min(settings.connections, _BACKLOG)))
        listening = name_of(listener)
        reception = Reception(settings, receiver, stack)
        with ExitStack() as shown:
            reception.run(listener, _progress(settings, shown))
        result = _result(reception, listening)
    (view.print_json if settings.json else _print)(result, sys.stderr if settings.to_stdout else sys.stdout)
    failures = [c for c in reception.connections if c.error]
    for connection in failures:
        view.complain(f"connection {connection.number}: {connection.error}")
    return 1 if failures else 0
