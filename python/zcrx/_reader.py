# SPDX-License-Identifier: MIT
"""Reader: reads of a given size over buffers that come in any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from ._zcrx import Buffer


class Reader:
    """Reads of a given size from one stream's buffers: Reader(rx.stream(sock)).

    What the stream raises (TimeoutError, ConnectionResetError) comes through; after TimeoutError the
    same read can be tried again: nothing is lost. Buffers without a view by the
    CPU (dma-buf) raise BufferError.

    Bytes that lie within one buffer are handed out as views of it, without a copy; only a read that
    straddles buffers copies, and copied_bytes counts what was.

    A view keeps its buffer: drop views in time, or no buffer is left to receive into.
    """

    def __init__(self, buffers: Iterable[Buffer]) -> None:
        self._buffers: Iterator[Buffer] = iter(buffers)
        self._next: Buffer | None = None  # not read yet
        self._rest = memoryview(b"")
        self.copied_bytes = 0

    @property
    def end(self) -> str | None:
        """How the stream ended ("peer", "limit", "removed"); None before, or if the buffers do not tell."""
        end: str | None = getattr(self._buffers, "end", None)
        return None if self._rest or self._next is not None else end

    def _fill(self) -> bool:
        """Go on to the next buffer once the current one is used up. False at the end of the stream."""
        while not self._rest:
            if self._next is None:
                self._next = next(self._buffers, None)
            if self._next is None:
                return False
            self._rest = memoryview(self._next)  # may raise: the buffer is then not taken for read
            self._next = None
        return True

    def _cut(self, size: int) -> memoryview:
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def read_some(self, most: int) -> memoryview:
        """From 1 to `most` bytes, never copied; empty at the end of the stream."""
        if most < 1:
            raise ValueError("read_some: ask for at least 1 byte")
        return self._cut(most) if self._fill() else memoryview(b"")

    def read_exactly(self, size: int) -> memoryview:
        """`size` bytes: a view of one buffer, or of a copy if they straddle buffers.

        Raises EOFError if the stream ends before; what there was of it is lost.
        """
        if size < 0:
            raise ValueError("read_exactly: the size must be 0 or more")
        if not size:
            return memoryview(b"")
        if self._fill() and size <= len(self._rest):
            return self._cut(size)
        copy = bytearray(size)
        count = self.readinto(copy)
        if count < size:
            raise EOFError(f"the stream ended after {count} of {size} bytes")
        return memoryview(copy).toreadonly()

    def readinto(self, target: bytearray | memoryview) -> int:
        """Fill a writable buffer, by copying. Returns how many bytes there were: fewer only at the end."""
        view = memoryview(target).cast("B")
        done = 0
        try:
            while done < len(view) and self._fill():
                piece = self._cut(len(view) - done)
                view[done : done + len(piece)] = piece
                done += len(piece)
        except BaseException:  # nothing is left of the buffer before: what was copied comes again
            self._rest = memoryview(bytes(view[:done]))
            raise
        self.copied_bytes += done
        return done

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> memoryview:
        """What is left of the current buffer, or the next one."""
        if not self._fill():
            raise StopIteration
        return self._cut(len(self._rest))
