# SPDX-License-Identifier: MIT
"""The Python executor of the conformance scenarios: does what the driver asks, and reports what came of it.

The requests are those of tests/conformance/PROTOCOL.md.
"""

from __future__ import annotations

import errno
import gc
import itertools
import mmap
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import zcrx

CHANNELS, LISTENER, PAYLOAD = range(3, 11), 11, 12
TABLE_BYTES = 65521
OWN_MAPPINGS = 8 << 20
PATIENCE_S = 20.0  # of an iterator
METHODS = {"group": "open_group"}  # of requests, where they have another name


@dataclass(slots=True)
class Connection:
    sock: socket.socket | None  # None: the group accepted it, and it is closed
    place: int  # of its next byte in the payload
    stream: Any = None


@dataclass(slots=True)
class Held:
    buffer: zcrx.Buffer
    place: int


class Executor:
    """A request is a method; it yields facts and returns what follows `ok`."""

    def __init__(self) -> None:
        self.payload = mmap.mmap(PAYLOAD, 0, prot=mmap.PROT_READ)[:]
        self.listener = socket.socket(fileno=LISTENER)
        self.own: Any = None  # the receiver, where there is no group
        self.group: Any = None
        self.channel = threading.local()
        self.connections: dict[int, Connection] = {}
        self.held: dict[int, Held] = {}  # one operation on it is atomic
        self.ids = itertools.count(1)

    def good(self, data: Any, place: int) -> int:
        """How many of the bytes, from the first, are the payload's."""
        place %= TABLE_BYTES
        if self.payload.startswith(data, place):
            return len(data)
        pairs = zip(bytes(data), self.payload[place:], strict=False)
        return next((at for at, (got, wanted) in enumerate(pairs) if got != wanted), 0)

    # ---- the receiver ----

    def hello(self) -> Iterator[str]:
        yield "protocol 3"
        yield f"own mappings {OWN_MAPPINGS}"
        return f"Python {sys.version.split()[0]}, zcrx {zcrx.__version__}"

    @property
    def receiver(self) -> Any:
        """The receiver, or of a group the one of the channel."""
        return self.own if self.group is None else self.group.receiver(self.channel.index)

    @staticmethod
    def options(words: tuple[str, ...]) -> dict[str, Any]:
        options: dict[str, Any] = dict(word.split("=") for word in words)
        for key in ("batch", "through"):
            options.pop(key, None)
        return {key: int(value) if value.isdecimal() else value for key, value in options.items()}

    def open(self, *words: str) -> str:
        options = self.options(words)
        engine, interface = options.pop("engine"), options.pop("interface", None)
        area = options.pop("area", None)
        options["steer_port"] = options.get("steer_port") or None
        if area == "caller":
            options["area"] = mmap.mmap(-1, options.pop("area_bytes"))
        elif area == "dmabuf":
            options["dmabuf"] = PAYLOAD
        self.own, self.group = zcrx.Receiver(engine, interface, **options), None
        return str(self.own.info.engine)

    def close(self) -> str:
        return self.done((self.own if self.group is None else self.group).close())

    @staticmethod
    def done(deferred: bool) -> str:
        return "deferred" if deferred else "done"

    def wake(self) -> None:
        self.receiver.wake()

    def stats(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.receiver.stats.as_dict().items())

    def settle(self) -> str:
        gc.collect()
        return f"threads={threading.active_count()}"

    # ---- the group ----

    def open_group(self, count: str, *words: str) -> str:
        options = self.options(words)
        options["port"] = options.pop("steer_port", 0) or None
        self.group = zcrx.Group(int(count), **options)
        return str(self.group.receiver(0).info.engine)

    def group_add(self, number: str, limit: str) -> None:
        connection = self.connections[int(number)]
        connection.stream = self.group.add(connection.sock, tag=int(number), limit=int(limit) or None)

    def group_listen(self, tag: str) -> None:
        self.group.listen(self.listener, tag=int(tag))

    def group_stats(self) -> str:
        stats = asdict(self.group.stats())
        total = stats.pop("sum")
        del stats["receivers"]
        stats |= {f"sum_{name}": value for name, value in total.items()}
        return " ".join(f"{name}={value}" for name, value in stats.items())

    def leave(self) -> str:
        return self.done(self.receiver.close())

    # ---- connections ----

    def accept(self, number: str, place: str) -> None:
        sock, _ = self.listener.accept()
        self.connections[int(number)] = Connection(sock, int(place))

    def go(self, number: str) -> None:
        self.connections[int(number)].sock.sendall(b"!")

    def shut(self, number: str) -> None:
        self.connections[int(number)].sock.close()

    def add(self, number: str, limit: str, window: str = "0") -> str:
        connection = self.connections[int(number)]
        options = {"limit": int(limit) or None, "window": int(window) or None}
        connection.stream = self.receiver.add(connection.sock, tag=int(number), **options)
        return hex(id(connection.stream))

    def remove(self, number: str) -> None:
        if not self.receiver.remove(self.connections[int(number)].stream):
            raise OSError(errno.ENOENT, "the stream has ended")

    def pause(self, number: str) -> None:
        self.receiver.pause(self.connections[int(number)].stream)

    def resume(self, number: str) -> None:
        self.receiver.resume(self.connections[int(number)].stream)

    def stream_stats(self, number: str) -> str:
        stats = asdict(self.receiver.stream_stats(self.connections[int(number)].stream))
        return " ".join(f"{name}={int(value)}" for name, value in stats.items())

    def recv(self, number: str) -> str:
        connection, total, good = self.connections[int(number)], 0, 0
        while data := connection.sock.recv(1 << 18):
            good += self.good(data, connection.place) if good == total else 0
            total += len(data)
            connection.place += len(data)
        return f"{total} {good}"

    # ---- events ----

    def receive(self, capacity: str, timeout_ms: str, mode: str) -> Iterator[str]:
        timeout = None if int(timeout_ms) < 0 else int(timeout_ms) / 1000
        for event in self.receiver.receive(timeout, max_events=int(capacity)):
            yield self.report(event, mode == "hold")

    def report(self, event: zcrx.Event, hold: bool) -> str:
        if event.kind == "added":
            return self.report_added(event)
        if event.flags:
            assert event.error is not None
            return f"refused {event.stream.tag} {event.error.errno} {self.flags(event)}"
        whose = f"{id(event.stream):#x} {event.stream.tag}"
        if event.error is not None:
            return f"error {whose} {event.error.errno}"
        if event.buffer is None:
            return f"end {whose} {event.end}"
        connection = self.connections[event.stream.tag]
        held, length = Held(event.buffer, connection.place), len(event.buffer)
        number = next(self.ids) if hold else 0
        if hold:
            self.held[number] = held
        connection.place += length
        return f"data {whose} {length} {self.good(held.buffer, held.place)} {number}"

    def report_added(self, event: zcrx.Event) -> str:
        tag = event.stream.tag
        if event.socket is not None:
            with event.socket:
                event.stream.tag = event.socket.getpeername()[1]
            self.connections[event.stream.tag] = Connection(None, event.stream.tag, event.stream)
        return f"added {id(event.stream):#x} {event.stream.tag} {tag} {self.flags(event)}"

    @staticmethod
    def flags(event: zcrx.Event) -> str:
        return ",".join(sorted(event.flags - {"refused"})) or "-"

    def iterate(self, number: str, limit: str, most: str = "0") -> Iterator[str]:
        connection, total = self.connections[int(number)], 0
        buffers = self.receiver.stream(connection.sock, limit=int(limit) or None, timeout=PATIENCE_S)
        try:
            for buffer in buffers:
                good = self.good(buffer, connection.place)
                connection.place += len(buffer)
                total += len(buffer)
                yield f"data - {number} {len(buffer)} {good} 0"
                if 0 < int(most) <= total:
                    return str(self.receiver.info.engine)  # what is dropped here gives the socket back
        except OSError as error:
            yield f"error - {number} {error.errno}"
        else:
            yield f"end - {number} {buffers.end}"
        return str(self.receiver.info.engine)

    def poll(self, timeout_ms: str) -> None:
        poller = select.poll()
        poller.register(self.receiver, select.POLLIN)
        poller.poll(int(timeout_ms))

    # ---- buffers ----

    def release(self, *numbers: str) -> Iterator[str]:
        for number in numbers:
            held = self.held.pop(int(number))
            if (good := self.good(held.buffer, held.place)) != len(held.buffer):
                yield f"changed {number} {good}"
            held.buffer.release()

    def twice(self, *numbers: str) -> Iterator[str]:
        buffers = [self.held[int(number)].buffer for number in numbers]
        yield from self.release(*numbers)
        for buffer in buffers:
            try:
                buffer.release()
            except ValueError:
                continue
            return "0"
        return str(errno.EALREADY)

    def fork(self, *numbers: str) -> str:
        child = os.fork()
        if not child:
            status = 2
            try:
                status = 3 if list(self.release(*numbers)) else 0
            finally:
                os._exit(status)
        return str(os.waitpid(child, 0)[1])

    # ---- channels ----

    def answer(self, request: str) -> Iterator[str]:
        name, *words = request.split()
        method: Callable[..., Any] = getattr(self, METHODS.get(name, name.replace("-", "_")))
        try:
            result = method(*words)
            if isinstance(result, Iterator):
                result = yield from result
            yield f"ok {result}" if result else "ok"
        except OSError as error:
            hint = getattr(error, "hint", None)
            yield f"failed {error.errno} {error}{f' Hint: {hint}' if hint else ''}"
        except Exception as error:
            yield f"failed {errno.EPROTO} {error!r}"

    def serve(self, channel: int) -> None:
        self.channel.index = channel - CHANNELS[0]
        with socket.socket(fileno=channel) as sock, sock.makefile("rw", newline="\n") as lines:
            for request in lines:
                lines.write("\n".join(self.answer(request)) + "\n")
                lines.flush()


def main() -> None:
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    threading.stack_size(1 << 19)  # a stack of 8 MiB would look like an area
    executor = Executor()
    for channel in CHANNELS[1:]:
        threading.Thread(target=executor.serve, args=(channel,)).start()
    executor.serve(CHANNELS[0])


if __name__ == "__main__":
    main()
