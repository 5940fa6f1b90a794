# SPDX-License-Identifier: MIT
"""Faults on command: set by `control`, taken by the card at the place they concern."""

from __future__ import annotations

from collections import Counter

ANY = -1
# Faults of single packets: what would go as an aggregate is cut for them.
OF_PACKETS = ("unsplit", "bad-length")


class Faults:
    """Counted faults, by kind and by what they concern
    (queue, vector or command name; ANY fits all)."""

    def __init__(self) -> None:
        self._left: Counter[tuple[str, int | str]] = Counter()
        self._values: dict[tuple[str, int | str], int] = {}
        self.taken: Counter[str] = Counter()

    def set(self, kind: str, concerns: int | str, count: int, value: int = 0) -> None:
        """The next `count` occasions go wrong; 0 takes the fault back, -1 is for ever."""
        key = (kind, concerns)
        self._values[key] = value
        self._left[key] = count
        if not count:
            del self._left[key]

    def pending(self, kinds: tuple[str, ...], concerns: int | str) -> bool:
        """Whether one of these faults would be taken."""
        return bool(self._left) and any(self._left[kind, what] for kind in kinds for what in (concerns, ANY))

    def take(self, kind: str, concerns: int | str) -> int | None:
        """The fault's value where this occasion is to go wrong, else None."""
        if not self._left:
            return None
        for key in ((kind, concerns), (kind, ANY)):
            left = self._left.get(key, 0)
            if left == 0:
                continue
            if left > 0:
                self._left[key] = left - 1
                if left == 1:
                    del self._left[key]
            self.taken[kind] += 1
            return self._values[key]
        return None
