"""Bytes in, lines out, a very long one in parts so that memory stays flat; knows nothing of what a line holds."""

import re
from collections import deque
from typing import NamedTuple

from spotdx_async.files.rows import Format

__all__ = ["Line", "LineBuffer"]

_PART_BYTES = 1024 * 1024
"""A line that is longer comes in parts."""
_FIRST_END = re.compile(rb"\n|\r\n|\r(?=[^\n])")


class Line(NamedTuple):
    """One line of a file with its line end, or a part of a very long line."""

    number: int
    """1 is the first line of the file."""
    data: bytes
    is_ended: bool
    """False for a part that is not the last one of its line: the rest comes next, under the same number."""


class LineBuffer:
    r"""The lines of an input, in order.

    A line ends with ``\n`` or ``\r\n``. A CSV file whose first line ends with a lone ``\r`` uses ``\r`` throughout; in
    any other CSV a lone ``\r`` ends nothing, so that a stray one cannot cut a row in two.
    """

    def __init__(self, row_format: Format, *, longest: int = _PART_BYTES) -> None:
        self._ends_at_cr: bool | None = None if row_format == "csv" else False
        self._longest = longest
        self._waiting: deque[Line] = deque()
        self._tail = bytearray()
        self._number = 1
        self._has_part = False
        self.at_end: bool = False
        """True once the input has ended; lines may still be waiting to be taken."""

    def feed(self, piece: bytes) -> None:
        """Add what was read; an empty piece is the end of the input."""
        if not piece:
            if (self._tail or self._has_part) and not self.at_end:
                self._end_line(b"")
            self.at_end = True
            return
        if self._ends_at_cr is None:
            self._ends_at_cr = _ends_at_cr(bytes(self._tail[-1:]) + piece)
        if self._ends_at_cr and self._tail.endswith(b"\r") and not piece.startswith(b"\n"):
            self._end_line(b"")
        *ended, tail = self._split(piece)
        for data in ended:
            self._end_line(data)
        self._tail += tail
        if len(self._tail) > self._longest:
            self._give_part()

    def take(self) -> Line | None:
        """Return the next line or part; None when more must be fed first, or at the end of the input."""
        return self._waiting.popleft() if self._waiting else None

    def count_ends(self, data: bytes) -> int:
        """Return how many line ends there are in some lines of the input."""
        return data.count(b"\n") if not self._ends_at_cr else len((data + b".").splitlines()) - 1

    def _split(self, piece: bytes) -> list[bytes]:
        """Split into lines; the last part is the one that has not ended yet, perhaps empty."""
        if not self._ends_at_cr:
            *ended, tail = piece.split(b"\n")
            return [*(part + b"\n" for part in ended), tail]
        parts = piece.splitlines(keepends=True)
        # A carriage return at the very end may be the first half of \r\n: that line has not ended yet.
        return [*parts, b""] if parts[-1].endswith(b"\n") else parts

    def _end_line(self, data: bytes) -> None:
        if self._tail:
            data = bytes(self._tail) + data
            self._tail.clear()
        self._waiting.append(Line(self._number, data, True))  # noqa: FBT003 - a keyword takes a fifth longer
        self._number += 1
        self._has_part = False

    def _give_part(self) -> None:
        # The last byte stays: a carriage return there may end the line.
        self._waiting.append(Line(self._number, bytes(self._tail[:-1]), is_ended=False))
        del self._tail[:-1]
        self._has_part = True


def _ends_at_cr(data: bytes) -> bool | None:
    """Return whether the first line ends with a lone carriage return; None when more must be seen."""
    found = _FIRST_END.search(data)
    return None if found is None else not found[0].endswith(b"\n")
