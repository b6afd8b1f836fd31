"""Bytes in, whole lines out, unpacked from gzip on the way; knows nothing of what a line holds."""

import re
import zlib
from collections import deque
from collections.abc import Iterable
from typing import BinaryIO

from attrs import frozen

from spotdx_async.files.rows import Format

__all__ = ["GZIP_MAGIC", "MAX_LINE_BYTES", "GzipStream", "Line", "LineBuffer"]

MAX_LINE_BYTES = 16 * 1024 * 1024
"""The longest line that is kept; a longer one is skipped as it is read, so that memory stays flat."""
GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = 31  # tells zlib to expect a gzip header and to verify the checksum
_READ_BYTES = 64 * 1024

_FIRST_END = re.compile(rb"\n|\r\n|\r(?=[^\n])")


class GzipStream:
    """Unpack one or more gzip members in flat memory, skipping the zero padding that tapes leave between them."""

    def __init__(self, packed: BinaryIO, start: bytes = b"") -> None:
        """Unpack ``start``, which has been read already, and then the stream."""
        self._packed = packed
        self._input = start
        self._member = zlib.decompressobj(_GZIP_WBITS)
        self._is_between_members = False
        self.packed_bytes: int = len(start)
        """Bytes taken from the packed stream so far."""

    @property
    def has_more(self) -> bool:
        """Whether more can be unpacked without reading."""
        return bool(self._input)

    def read(self, max_bytes: int) -> bytes:
        """Return the next bytes, at most ``max_bytes``; empty only at the end.

        Raises:
            OSError: the packed data is damaged or truncated.
        """
        while True:
            if not self._input:
                self._input = self._packed.read(_READ_BYTES)
                self.packed_bytes += len(self._input)
                if not self._input and self._is_between_members:
                    return b""
                if not self._input:
                    raise OSError("the gzip data ends in the middle: the file was cut off")
            if self._is_between_members and not self._begin_member():
                continue
            if piece := self._unpack(max_bytes):
                return piece

    def fileno(self) -> int:
        """Return the file descriptor of the packed stream."""
        return self._packed.fileno()

    def close(self) -> None:
        """Close the packed stream."""
        self._packed.close()

    def _unpack(self, max_bytes: int) -> bytes:
        try:
            piece = self._member.decompress(self._input, max_bytes)
        except zlib.error:
            piece = None
        if piece is None:
            raise OSError("the gzip data is damaged: what comes after the rows read so far is lost")
        self._input = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        self._is_between_members = self._member.eof
        return piece

    def _begin_member(self) -> bool:
        """Begin the next member; return False if there is only padding so far."""
        self._input = self._input.lstrip(b"\0")
        if not self._input:
            return False
        self._member = zlib.decompressobj(_GZIP_WBITS)
        self._is_between_members = False
        return True


@frozen
class Line:
    """One line of a file, its line end included."""

    number: int
    """1 is the first line of the file."""
    data: bytes | None
    """None for a line longer than ``MAX_LINE_BYTES``."""


class LineBuffer:
    r"""Whole lines of an input, in order.

    A line ends with ``\n`` or ``\r\n``. A CSV file whose first line ends with a lone ``\r`` uses ``\r`` throughout; in
    any other CSV a lone ``\r`` ends nothing, so that a stray one cannot cut a row in two.
    """

    def __init__(self, row_format: Format, *, longest: int = MAX_LINE_BYTES) -> None:
        self._ends_at_cr: bool | None = None if row_format == "csv" else False
        self._longest = longest
        self._whole: deque[Line] = deque()
        self._tail = bytearray()
        self._is_dropping = False
        self._line_count = 0
        self.at_end: bool = False
        """True once the input has ended; lines may still be waiting to be taken."""

    def feed(self, piece: bytes) -> None:
        """Add what was read; an empty piece is the end of the input."""
        if not piece:
            if self._tail and not self.at_end:
                self._emit(b"")
            self.at_end = True
            return
        if self._ends_at_cr is None:
            self._ends_at_cr = _ends_at_cr(bytes(self._tail[-1:]) + piece)
        if self._ends_at_cr and self._tail.endswith(b"\r") and not piece.startswith(b"\n"):
            self._emit(b"")
        *ended, tail = self._split(piece)
        for part in ended:
            self._emit(part)
        self._hold(tail)

    def take(self) -> Line | None:
        """Return the next whole line; None when more must be fed first, or at the end of the input."""
        return self._whole.popleft() if self._whole else None

    def put_back(self, lines: Iterable[Line]) -> None:
        """Put back the lines that were taken last, given in their order."""
        self._whole.extendleft(reversed(list(lines)))

    def _split(self, piece: bytes) -> list[bytes]:
        """Split into lines; the last part is the one that has not ended yet, perhaps empty."""
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
        self._line_count += 1
        self._whole.append(Line(self._line_count, data if is_whole else None))
        self._tail.clear()
        self._is_dropping = False


def _ends_at_cr(data: bytes) -> bool | None:
    """Return whether the first line ends with a lone carriage return; None when more must be seen."""
    found = _FIRST_END.search(data)
    return None if found is None else not found[0].endswith(b"\n")
