# SPDX-License-Identifier: MIT
"""Whatever the order of releases and the slices of views: bytes stay right, and counts add up."""

from __future__ import annotations

import queue
import random
import threading

import pytest
from conftest import make_pair
from hypothesis import given, settings
from hypothesis import strategies as st

import zcrx

PATTERN = bytes(range(251)) * 4500  # longer than any buffer


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=12), data=st.data())
def test_any_order_of_release(sizes, data):
    receiver, sender = make_pair()
    with receiver, sender, zcrx.Receiver(area_bytes=1 << 20, buffer_bytes=4096) as rx:
        rx.add(receiver)
        held, position = [], 0
        for size in sizes:
            sender.sendall(PATTERN[position : position + size])
            end = position + size
            while position < end:
                for event in rx.receive(60):
                    held.append((position, event.buffer))
                    position += len(event.buffer)
        for start, buffer in data.draw(st.permutations(held)):
            first = data.draw(st.integers(0, len(buffer)))
            last = data.draw(st.integers(first, len(buffer)))
            step = data.draw(st.sampled_from((1, 2, 7)))
            with memoryview(buffer) as view, view[first:last:step] as part:
                assert bytes(part) == PATTERN[start + first : start + last : step]
            buffer.release()
        stats = rx.stats
        assert (stats.outstanding, stats.released, stats.bytes) == (0, stats.buffers, position)


@pytest.mark.parametrize("seed", range(3))
def test_threads_release_at_random(rx, pair, send, seed):
    """Four threads hold a few buffers each, and let go of one of them, by release or by forgetting it."""
    total = 4 << 20
    send(pair[1], (PATTERN * (total // len(PATTERN) + 1))[:total])
    work: queue.SimpleQueue[tuple[int, zcrx.Buffer] | None] = queue.SimpleQueue()
    wrong: list[int] = []

    def release(choice: random.Random) -> None:
        held: list[tuple[int, zcrx.Buffer]] = []
        while item := work.get():
            held.append(item)
            if len(held) < choice.randrange(1, 8):
                continue
            start, buffer = held.pop(choice.randrange(len(held)))
            first = start % 251
            if bytes(buffer) != PATTERN[first : first + len(buffer)]:
                wrong.append(start)
            if choice.random() < 0.5:
                buffer.release()
            del buffer, item

    threads = [threading.Thread(target=release, args=(random.Random(seed * 4 + n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    position = 0
    for buffer in rx.stream(pair[0]):
        work.put((position, buffer))
        position += len(buffer)
    del buffer
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    assert (position, wrong) == (total, [])
    stats = rx.stats
    assert (stats.outstanding, stats.released) == (0, stats.buffers)
