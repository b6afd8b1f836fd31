"""One input of rows: a file or standard input, opened, its format found, its rows read lazily."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.csv_rows import CsvRows
from spotdx_async.files.json_rows import JsonRows
from spotdx_async.files.lines import LineBuffer
from spotdx_async.files.rows import BadRow, Format, Row, RowFault

__all__ = ["RowFile", "open_rows"]

_PIECE_BYTES = 128 * 1024
_BOM = b"\xef\xbb\xbf"
_FORMAT_OF_SUFFIX: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_NOT_ROWS = {
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"\x1f\x8b": "compressed: unpack it first",
    b"PK\x03\x04": "a spreadsheet or an archive: save it as CSV",
    b"PAR1": "Parquet, which is not read: save it as CSV or JSON Lines",
    b"[": "one JSON array: write one object a line",
}


class RowFile:
    """Rows of one input, in order; iterate it, or take turns between ``fill`` and ``rows``.

    Memory stays flat: one piece of the input is held, and the lines of a row that has not ended. Every data row gives
    one ``Row`` or ``BadRow``. Close it, or use it in a ``with``.
    """

    def __init__(self, stream: BinaryIO, *, name: str, row_format: Format | None = None) -> None:
        """Read the start of the input: its format, where it is not given, and a CSV header.

        Raises:
            InvalidInputError: nothing in the input can be used.
        """
        self._stream = stream
        self.name = name
        self.bytes_read = 0
        """Bytes taken from the input so far."""
        self.size = _bytes_ahead(stream)
        """Bytes of the whole input; None where that is not known, as of a pipe."""
        start = self._read_start()
        self.format: Format = row_format or ("jsonl" if start.removeprefix(_BOM).lstrip()[:1] == b"{" else "csv")
        self._lines = LineBuffer(self.format)
        self._reader = JsonRows(self._lines) if self.format == "jsonl" else CsvRows(self._lines)
        self._lines.feed(start.removeprefix(_BOM))
        self._read_header()
        self.preamble = (_BOM if start.startswith(_BOM) else b"") + self._reader.preamble
        """What must stand before rows of this input that are written again: a byte order mark, a CSV header."""

    @property
    def at_end(self) -> bool:
        """True once the input has ended; ``rows`` may still have rows to give."""
        return self._lines.at_end

    def fileno(self) -> int:
        """Give the file's number for the operating system, to wait for more input."""
        return self._stream.fileno()

    def fill(self) -> None:
        """Take one piece of the input, as much as is there; this waits where nothing is.

        Raises:
            OSError: the input cannot be read any further.
        """
        self._lines.feed(self._read())

    def rows(self) -> Iterator[Row | BadRow]:
        """Give the rows that are whole so far."""
        return self._reader.rows()

    def __iter__(self) -> Iterator[Row | BadRow]:
        yield from self.rows()
        while not self.at_end:
            self.fill()
            yield from self.rows()

    def close(self) -> None:
        """Close the input; closing twice does nothing."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> bytes:
        piece = self._stream.read(_PIECE_BYTES)
        self.bytes_read += len(piece)
        return piece

    def _read_start(self) -> bytes:
        """Read until the first character that is not blank, or the end; a pipe may give a byte at a time."""
        longest_mark = max(map(len, _NOT_ROWS))
        start = b""
        while len(start) < _PIECE_BYTES and (len(start) < longest_mark or not start.removeprefix(_BOM).strip()):
            if not (piece := self._read()):
                break
            start += piece
        if not start:
            raise InvalidInputError(f"{self.name}: the file is empty")
        for mark, what in _NOT_ROWS.items():
            if start.startswith(mark):
                raise InvalidInputError(f"{self.name}: this is {what}")
        return start

    def _read_header(self) -> None:
        if isinstance(self._reader, JsonRows):
            return
        try:
            while not self._reader.read_header():
                self.fill()
        except RowFault as fault:
            reason = str(fault)
        else:
            return
        raise InvalidInputError(f"{self.name}: {reason}")


def open_rows(path: str | os.PathLike[str], *, row_format: Format | None = None) -> RowFile:
    """Open a file of rows; ``-`` is standard input.

    Without ``row_format`` the suffix tells it (``.csv``, ``.jsonl``, ``.ndjson``), and where that says nothing, the
    first character: ``{`` begins JSON Lines, anything else a CSV header.

    Raises:
        InvalidInputError: it cannot be opened, or nothing in it can be used: an empty file, no usable CSV header, text
            that is no rows at all.
    """
    is_stdin = os.fspath(path) == "-"
    name = "standard input" if is_stdin else os.fspath(path)
    try:
        stream = _open(0 if is_stdin else Path(path))
        try:
            return RowFile(stream, name=name, row_format=row_format or _FORMAT_OF_SUFFIX.get(Path(path).suffix.lower()))
        except BaseException:
            stream.close()
            raise
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    raise InvalidInputError(f"{name}: {reason}")


def _open(place: Path | int) -> BinaryIO:
    # Unbuffered: a read gives what a pipe holds now instead of waiting for a full buffer.
    return open(place, "rb", buffering=0, closefd=place != 0)


def _bytes_ahead(stream: BinaryIO) -> int | None:
    try:
        about = os.fstat(stream.fileno())
        return about.st_size - stream.tell() if stat.S_ISREG(about.st_mode) else None
    except OSError:
        return None
