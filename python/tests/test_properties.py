# SPDX-License-Identifier: MIT
"""Whatever the order of releases and the slices of views: bytes stay right, and counts add up."""

from __future__ import annotations

from conftest import make_pair
from hypothesis import given, settings
from hypothesis import strategies as st

import zcrx

PATTERN = bytes(range(251)) * 400


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
                for event in rx.receive(5):
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
