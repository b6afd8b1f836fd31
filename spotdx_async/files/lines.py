"""Bytes that arrive in pieces, cut into whole lines; knows nothing of what stands in a line."""

import re
from collections import deque
from collections.abc import Iterable

from attrs import frozen

from spotdx_async.files.rows import Format

__all__ = ["MAX_LINE_BYTES", "Line", "LineBuffer"]

MAX_LINE_BYTES = 16 * 1024 * 1024
"""The longest line that is kept; a longer one is skipped as it is read, so that memory stays flat."""

_FIRST_END = re.compile(rb"\n|\r\n|\r(?=[^\n])")


@frozen
class Line:
    """One line of a file, its line end included."""

    number: int
    """1 is the first line of the file."""
    data: bytes | None
    """None for a line longer than ``MAX_LINE_BYTES``."""


class LineBuffer:
    r"""Whole lines of an input, in order.

    A line ends with ``\n`` or ``\r\n``. In CSV whose first line ends with a lone ``\r`` each lone ``\r`` ends one; in
    any other CSV it does not, so that a stray one cannot cut a row in two.
    """

    def __init__(self, row_format: Format, *, longest: int = MAX_LINE_BYTES) -> None:
        self._ends_at_cr: bool | None = None if row_format == "csv" else False
        self._longest = longest
        self._whole: deque[Line] = deque()
        self._tail = bytearray()
        self._is_dropping = False
        self._cut_lines = 0
        self.at_end: bool = False
        """True once the input has ended; lines may still wait to be taken."""

    def feed(self, piece: bytes) -> None:
        """Add what was read; an empty piece is the end of the input."""
        if not piece:
            self._end()
            return
        if self._ends_at_cr is None:
            self._ends_at_cr = _ends_at_cr(bytes(self._tail[-1:]) + piece)
        if self._ends_at_cr and self._tail.endswith(b"\r") and not piece.startswith(b"\n"):
            self._emit(b"")
        *ended, tail = self._cut(piece)
        for part in ended:
            self._emit(part)
        self._hold(tail)

    def take(self) -> Line | None:
        """The next whole line; None when more must be fed first, or at the end of the input."""
        return self._whole.popleft() if self._whole else None

    def put_back(self, lines: Iterable[Line]) -> None:
        """Give back lines that were taken last, in the order in which they stood."""
        self._whole.extendleft(reversed(list(lines)))

    def _cut(self, piece: bytes) -> list[bytes]:
        """Cut into lines; the last part is the one that has not ended yet, perhaps empty."""
        if not self._ends_at_cr:
            *ended, tail = piece.split(b"\n")
            return [*(part + b"\n" for part in ended), tail]
        parts = piece.splitlines(keepends=True)
        # A carriage return at the very end may be the first half of \r\n: that line has not ended yet.
        return [*parts, b""] if parts[-1].endswith(b"\n") else parts

    def _hold(self, tail: bytes) -> None:
        if self._is_dropping:
            # Only its last byte is kept: a carriage return there may end the line.
            self._tail[:] = tail[-1:] or self._tail
            return
        self._tail += tail
        if len(self._tail) > self._longest:
            self._is_dropping = True
            del self._tail[:-1]

    def _emit(self, part: bytes) -> None:
        data = bytes(self._tail) + part
        is_whole = not self._is_dropping and len(data) <= self._longest
        self._cut_lines += 1
        self._whole.append(Line(self._cut_lines, data if is_whole else None))
        self._tail.clear()
        self._is_dropping = False

    def _end(self) -> None:
        if self._tail and not self.at_end:
            self._emit(b"")
        self.at_end = True


def _ends_at_cr(data: bytes) -> bool | None:
    """Whether the first line ends with a lone carriage return; None when more must be seen."""
    found = _FIRST_END.search(data)
    return None if found is None else not found[0].endswith(b"\n")
