# SPDX-License-Identifier: MIT
"""Several threads use one receiver's objects. On a free-threaded Python only the package orders them."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

import zcrx


@pytest.fixture
def beside() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Repeat calls on threads of their own until the test is over; what they raise is raised there."""
    over = threading.Event()
    raised: list[BaseException] = []
    threads: list[threading.Thread] = []

    def start(call: Callable[[], object]) -> None:
        def run() -> None:
            try:
                while not over.is_set():
                    call()
            except BaseException as error:
                raised.append(error)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()
    assert raised == []


def test_streams_are_listed_while_they_come_and_go(engine, pairs, beside):
    made = [pairs()[0] for _ in range(60)]
    with zcrx.Receiver(engine, area_bytes=8 << 20) as rx:
        for _ in range(3):
            beside(lambda: [stream.tag for stream in rx.streams if not stream.ended])
        for _ in range(100):
            for sock in made:
                rx.remove(rx.add(sock, tag=[sock]))
            while rx.stats.streams:
                rx.receive(60).release()


def test_a_batch_is_looked_at_while_it_is_taken_apart(engine, pairs, beside):
    made = [pairs()[0] for _ in range(60)]
    now: list[zcrx.Batch] = []

    def look() -> None:
        for batch in now[:]:
            assert all(stream.ended for stream in batch.streams)
            assert (batch.bytes, repr(batch)) >= (0, "")

    with zcrx.Receiver(engine, area_bytes=8 << 20) as rx:
        for _ in range(3):
            beside(look)
        for turn in range(100):
            for sock in made:
                rx.remove(rx.add(sock, tag=[sock]))
            while rx.stats.streams:
                batch = rx.receive(60)
                now[:] = [batch]
                if turn % 3:
                    assert {event.end for event in batch} <= {"removed"}
                batch.release()


def test_close_waits_for_calls_of_other_threads(engine, beside):
    now: list[zcrx.Receiver] = []

    def look() -> None:
        for rx in now[:]:
            with contextlib.suppress(zcrx.ClosedError):
                _ = rx.stats, rx.info, rx.wake()

    for _ in range(3):
        beside(look)
    for _ in range(100):
        rx = zcrx.Receiver(engine, area_bytes=1 << 20)
        now[:] = [rx]
        for _ in range(20):
            _ = rx.streams
        assert rx.close() is False


GIVE_UP_S = 30  # where the GIL is never dropped; else a moment, or more on a busy machine


def another_runs(calls: Iterable[Callable[[], object]]) -> bool:
    """Whether another thread gets to run during calls that do not wait by themselves."""
    calling, ran = threading.Event(), threading.Event()

    def run() -> None:
        calling.wait()
        ran.set()

    thread = threading.Thread(target=run)
    thread.start()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # the GIL goes to others only where it is dropped
    try:
        calling.set()
        for call in calls:
            call()
            if ran.is_set():
                return True
        return False
    finally:
        sys.setswitchinterval(before)
        thread.join()


def again(call: Callable[[], object]) -> Iterator[Callable[[], object]]:
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        yield call


def test_other_threads_run_during_add(rx, pair):
    rx.add(pair[0])

    def add_again() -> None:
        with contextlib.suppress(zcrx.Error):
            rx.add(pair[0])

    assert another_runs(again(add_again))


def test_other_threads_run_during_remove(rx, pair):
    stream = rx.add(pair[0])
    assert another_runs(again(lambda: rx.remove(stream)))


def test_other_threads_run_during_a_release_after_close(engine, pair):
    """The last one may take the ring down. Before close a release is too short to drop the GIL for it."""

    def release_after_close() -> bool:
        held = []
        with zcrx.Receiver(engine, area_bytes=16 << 20, buffer_bytes=4096) as rx:
            stream = rx.add(pair[0], limit=4 << 20)
            pair[1].setblocking(False)
            while not stream.ended:
                with contextlib.suppress(BlockingIOError):
                    pair[1].send(bytes(1 << 18))
                held += rx.receive(0).take()
                if rx.stats.bytes == 4 << 20 and not stream.ended:
                    rx.receive(60).release()
        return another_runs(buffer.release for buffer in held)

    assert any(attempt() for attempt in again(release_after_close))
