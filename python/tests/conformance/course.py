# SPDX-License-Identifier: MIT
"""The course of one scenario on one engine."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from typing import Any

import zcrx

from .holding import BrokenContractError, Held, Holding
from .payload import matches
from .scenario import TABLE, Scenario

SENDER = TABLE.with_name("sender")
NIC_BYTES = 64 << 20  # what the rings of a NIC hold of an area
NIC_FLOWS = 32  # with more connections one rule for the port takes the place of one for each


def listen(scenario: Scenario) -> socket.socket:
    host = os.environ.get("ZRX_RIG_LOCAL", "127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, 0), family=family, backlog=max(scenario.connections, 1))


def start_sender(listener: socket.socket, scenario: Scenario) -> subprocess.Popen[bytes]:
    host, port = listener.getsockname()[:2]
    namespace = os.environ.get("ZRX_RIG_PEER_NETNS")
    prefix = ["ip", "netns", "exec", namespace] if namespace else []
    return subprocess.Popen([*prefix, str(SENDER), f"{host}:{port}", *scenario.words])


def area_bytes(scenario: Scenario, engine: str) -> int:
    return scenario.area_bytes + (NIC_BYTES if engine == "zcrx" else 0)


def receiver_options(scenario: Scenario, engine: str, port: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "area_bytes": area_bytes(scenario, engine),
        "buffer_bytes": scenario.buffer_bytes,
        "ring_entries": scenario.ring_entries,
        "refill_entries": scenario.refill_entries,
    }
    if engine == "zcrx":
        options["interface"] = os.environ["ZRX_RIG_IFACE"]
        options["steer_port"] = port if scenario.connections > NIC_FLOWS else None
    return options


class Side:
    """One stream as the receiver sees it."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.stream: Any = None
        self.bytes = 0
        self.end: str | None = None
        self.removed = False


class Course:
    def __init__(self, scenario: Scenario, engine: str, seconds: float) -> None:
        self.scenario = scenario
        self.engine = engine
        self.deadline = time.monotonic() + seconds
        self.sides: list[Side] = []
        self.received = self.buffers = 0
        self.forked = scenario.fork_at < 0
        self.quiet_s: float | None = None  # how long the last receive waited for nothing
        self.closed = False

    # ---- adding ----

    def add(self, side: Side, limit: int) -> None:
        side.stream = self.receiver.add(side.sock, limit=limit or None, tag=side.number)
        if self.scenario.remove_at == "0" and limit == self.scenario.limit and not side.removed:
            side.removed = self.receiver.remove(side.stream)

    def accept(self, listener: socket.socket) -> None:
        listener.settimeout(20)
        sock, _ = listener.accept()
        sock.setblocking(True)
        side = Side(len(self.sides), sock)
        self.sides.append(side)
        if self.scenario.add == "accept":
            self.add(side, self.scenario.limit)
        sock.sendall(b"!")
        if self.scenario.close_fd and self.scenario.add == "accept":
            sock.close()

    def accept_all(self, listener: socket.socket) -> None:
        for _ in range(self.scenario.connections):
            self.accept(listener)
        if self.scenario.add == "late":
            time.sleep(0.2)
            for side in self.sides:
                self.add(side, self.scenario.limit)

    # ---- receiving ----

    def take(self, event: zcrx.Event) -> None:
        side = self.sides[event.stream.tag]
        if event.stream is not side.stream:
            raise BrokenContractError("an event has another stream than its tag says")
        if side.end:
            raise BrokenContractError(f"stream {side.number}: an event after its end")
        if event.buffer is None:
            side.end = self.describe_end(event)
            return
        if not len(event.buffer):
            raise BrokenContractError("an empty buffer")
        if not matches(self.scenario.seed, side.number, side.bytes, event.buffer):
            raise BrokenContractError(f"stream {side.number}: wrong bytes at {side.bytes}")
        self.holding.add(Held(side.number, side.bytes, event.buffer))
        side.bytes += len(event.buffer)
        self.received += len(event.buffer)
        self.buffers += 1

    @staticmethod
    def describe_end(event: zcrx.Event) -> str:
        if event.error is None:
            return "fin" if event.end == "peer" else str(event.end)
        return "reset" if event.error.errno == errno.ECONNRESET else str(event.error)

    def receive_once(self, timeout: float | None) -> int:
        if time.monotonic() > self.deadline:
            raise BrokenContractError(f"too slow: {self.receiver.stats}")
        begin = time.monotonic()
        batch = self.receiver.receive(timeout, max_events=self.scenario.batch)
        count = len(batch)
        self.quiet_s = None if count else time.monotonic() - begin
        for event in batch:
            self.take(event)
        if self.scenario.hold.isdecimal():
            self.holding.release_down_to(int(self.scenario.hold))
        self.disturb()
        return count

    def disturb(self) -> None:
        scenario = self.scenario
        if not self.forked and self.received >= scenario.fork_at:
            self.forked = True
            self.holding.check_in_child()
        if scenario.remove_at == "parked":
            if self.receiver.stats.parked:
                self.remove(self.sides)
        elif scenario.remove_at:
            self.remove([side for side in self.sides if side.bytes >= int(scenario.remove_at)])

    def remove(self, sides: list[Side]) -> None:
        for side in sides:
            if not side.removed and not side.stream.ended:
                side.removed = True
                self.receiver.remove(side.stream)

    def receive_some(self, poller: select.poll) -> None:
        if self.scenario.wait == "receive":
            self.receive_once(self.scenario.timeout)
            return
        while self.receive_once(0) == self.scenario.batch and not self.reached():
            pass
        if not self.reached():
            milliseconds = self.scenario.timeout_ms if self.scenario.timeout_ms >= 0 else 20000
            poller.poll(min(milliseconds, 20000))

    def reached(self) -> bool:
        until = self.scenario.until
        if until.startswith("bytes:"):
            return self.received >= int(until[6:])
        if until == "timeout":
            return self.quiet_s is not None
        if until == "wake":
            return self.quiet_s is not None and self.receiver.stats.wakes > 0
        return all(side.end for side in self.sides)

    def receive_until(self) -> None:
        poller = select.poll()
        poller.register(self.receiver, select.POLLIN)
        while not self.reached():
            self.receive_some(poller)
        if self.scenario.until == "timeout":
            waited, wanted = self.quiet_s or 0.0, self.scenario.timeout or 0.0
            if not wanted - 0.001 <= waited <= wanted + 2:
                raise BrokenContractError(f"receive returned after {waited:.3f} s instead of {wanted} s")

    # ---- the end ----

    def check_ends(self, final: str) -> None:
        scenario = self.scenario
        whole = min(scenario.bytes, scenario.limit or scenario.bytes)
        for side in self.sides:
            if final not in ("none", side.end):
                raise BrokenContractError(f"stream {side.number} ended by {side.end}, not {final}")
            if side.bytes > scenario.bytes or (scenario.expect == "exact" and side.bytes != whole):
                raise BrokenContractError(f"stream {side.number}: {side.bytes} bytes of {whole}")

    def receive_rest(self) -> None:
        for side in self.sides:
            if self.scenario.rest == "recv":
                while data := side.sock.recv(1 << 18):
                    if not matches(self.scenario.seed, side.number, side.bytes, data):
                        raise BrokenContractError(f"stream {side.number}: wrong rest at {side.bytes}")
                    side.bytes += len(data)
            else:
                side.end = None
                side.removed = True
                self.add(side, 0)
        while not all(side.end for side in self.sides):
            self.receive_once(1.0)
            self.holding.release_down_to(0)
        for side in self.sides:
            if side.bytes != self.scenario.bytes:
                raise BrokenContractError(f"stream {side.number}: {side.bytes} bytes with the rest")

    def check_stats(self, all_released: bool) -> None:
        stats = self.receiver.stats.as_dict()
        wanted: dict[str, int] = {"buffers": self.buffers, "bytes": self.received}
        if all_released:
            wanted |= {"outstanding": 0, "released": self.buffers}
            if all(side.end for side in self.sides):
                wanted |= {"streams": 0, "parked": 0}
        for name, value in wanted.items():
            if stats[name] != value:
                raise BrokenContractError(f"stats.{name} is {stats[name]}, not {value}")
        if stats["backlog"] > stats["released"]:
            raise BrokenContractError("more backlog than releases")
        for name, least in self.scenario.minimums().items():
            if stats[name] < least:
                raise BrokenContractError(f"stats.{name} is {stats[name]}, not {least} or more")

    def close(self, buffers_out: bool) -> None:
        results: list[bool] = []
        if self.scenario.close == "thread":
            thread = threading.Thread(target=lambda: results.append(self.receiver.close()))
            thread.start()
            thread.join()
        else:
            results.append(self.receiver.close())
        self.closed = True
        if results != [self.scenario.close == "thread" and buffers_out]:
            raise BrokenContractError(f"close said {results}")

    # ---- all of it ----

    def wakes(self, stop: threading.Event) -> None:
        while not stop.wait(self.scenario.wake_ms / 1000):
            self.receiver.wake()

    def start_disturbances(self, stack: ExitStack) -> None:
        if self.scenario.wake_ms:
            stop = threading.Event()
            thread = threading.Thread(target=self.wakes, args=(stop,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(stop.set)
        if self.scenario.signal_ms:
            before = signal.signal(signal.SIGALRM, lambda number, frame: None)
            stack.callback(signal.signal, signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, *[self.scenario.signal_ms / 1000] * 2)
            stack.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        alarm = threading.Timer(max(self.deadline - time.monotonic(), 0.1), self.wake_late)
        alarm.start()
        stack.callback(alarm.join)
        stack.callback(alarm.cancel)

    def wake_late(self) -> None:
        if not self.closed:
            self.receiver.wake()

    def receive(self, listener: socket.socket) -> None:
        if self.scenario.connect == "together":
            self.accept_all(listener)
            self.receive_until()
            return
        for _ in range(self.scenario.connections):
            self.accept(listener)
            self.receive_until()
            self.sides[-1].sock.close()

    def finish(self, sender: subprocess.Popen[bytes]) -> None:
        scenario, holding = self.scenario, self.holding
        self.check_ends(scenario.end)
        if scenario.hold == "closed":
            self.check_stats(all_released=False)
            self.close(bool(holding.held))
            time.sleep(scenario.closed_ms / 1000)
        holding.release_down_to(0)
        holding.settle()
        if scenario.rest:
            self.receive_rest()
            holding.release_down_to(0)
            holding.settle()
        if scenario.close_fd:
            self.wait_for(sender)
        if not self.closed:
            self.check_stats(all_released=True)
            self.close(buffers_out=False)
        for side in self.sides:
            side.sock.close()
        self.wait_for(sender)

    @staticmethod
    def wait_for(sender: subprocess.Popen[bytes]) -> None:
        if sender.wait(20):
            raise BrokenContractError(f"the sender ended with {sender.returncode}")

    def run(self) -> None:
        with ExitStack() as stack:
            listener = stack.enter_context(listen(self.scenario))
            options = receiver_options(self.scenario, self.engine, listener.getsockname()[1])
            self.receiver = stack.enter_context(zcrx.Receiver(self.engine, **options))
            sender = stack.enter_context(start_sender(listener, self.scenario))
            stack.callback(sender.kill)
            stack.callback(lambda: [side.sock.close() for side in self.sides])
            self.holding = Holding(self.scenario)
            stack.callback(self.holding.stop)
            with ExitStack() as disturbances:
                self.start_disturbances(disturbances)
                if self.scenario.hold == "parked":
                    watcher = self.holding.watch(self.receiver)
                    disturbances.callback(watcher.join)
                    disturbances.callback(self.holding.stopping.set)
                self.receive(listener)
            self.finish(sender)
