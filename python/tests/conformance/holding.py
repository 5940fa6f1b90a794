# SPDX-License-Identifier: MIT
"""The buffers that a scenario keeps, and how they are given back."""

from __future__ import annotations

import os
import queue
import random
import threading
import time
from dataclasses import dataclass

import zcrx

from .payload import matches
from .scenario import Scenario


class BrokenContractError(Exception):
    """The contract was broken."""


@dataclass(slots=True)
class Held:
    stream: int
    offset: int
    buffer: zcrx.Buffer


class Holding:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.held: list[Held] = []
        self.lock = threading.Lock()
        self.random = random.Random(scenario.seed)
        self.failures: list[str] = []
        self.queue: queue.Queue[list[Held] | None] = queue.Queue()
        self.threads = [threading.Thread(target=self._serve) for _ in range(scenario.release_threads)]
        self.stopping = threading.Event()
        for thread in self.threads:
            thread.start()

    def add(self, held: Held) -> None:
        with self.lock:
            self.held.append(held)

    def release_down_to(self, most: int) -> None:
        """Let go of held buffers, in the scenario's order, until at most so many are left."""
        with self.lock:
            going = [self._choose() for _ in range(max(0, len(self.held) - most))]
        size = self.scenario.release_batch or len(going)
        for first in range(0, len(going), size or 1):
            piece = going[first : first + size]
            self.queue.put(piece) if self.threads else self._release(piece)

    def _choose(self) -> Held:
        if self.scenario.order == "lifo":
            return self.held.pop()
        if self.scenario.order == "random":
            index = self.random.randrange(len(self.held))
            self.held[index], self.held[-1] = self.held[-1], self.held[index]
            return self.held.pop()
        return self.held.pop(0)

    def _release(self, going: list[Held]) -> None:
        for held in going:
            self._check(held)
            held.buffer.release()
            if self.scenario.double_release:
                try:
                    held.buffer.release()
                except ValueError:
                    continue
                self.failures.append("a second release succeeded")

    def _check(self, held: Held) -> None:
        if not matches(self.scenario.seed, held.stream, held.offset, held.buffer):
            self.failures.append(f"stream {held.stream}: a held buffer changed (offset {held.offset})")

    def _serve(self) -> None:
        while (going := self.queue.get()) is not None:
            try:
                self._release(going)
            except Exception as error:
                self.failures.append(f"release on a thread: {error!r}")
            self.queue.task_done()
        self.queue.task_done()

    def watch(self, receiver: zcrx.Receiver) -> threading.Thread:
        """hold=parked: whenever a stream is parked, let go of everything."""

        def run() -> None:
            while not self.stopping.is_set():
                if receiver.stats.parked:
                    time.sleep(self.scenario.park_ms / 1000)
                    self.release_down_to(0)
                time.sleep(0.001)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def settle(self) -> None:
        """Wait until the threads have released what they were given."""
        self.queue.join()
        if self.failures:
            raise BrokenContractError(self.failures[0])

    def stop(self) -> None:
        self.stopping.set()
        for _ in self.threads:
            self.queue.put(None)
        for thread in self.threads:
            thread.join()

    def check_in_child(self) -> None:
        """Fork; the child reads and releases what is held, and the parent goes on."""
        child = os.fork()
        if not child:
            try:
                self._release(list(self.held))
                os._exit(1 if self.failures else 0)
            except BaseException:
                os._exit(2)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            raise BrokenContractError(f"the forked child failed with {status}")
