"""One input of rows: a file or standard input, opened, its format found, unpacked, its rows read lazily."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeAlias

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.csv_rows import CsvRows
from spotdx_async.files.gzip_stream import GZIP_MARK, GzipStream
from spotdx_async.files.json_rows import JsonRows
from spotdx_async.files.lines import LineBuffer
from spotdx_async.files.parquet_rows import PARQUET_MARK, ParquetFile
from spotdx_async.files.rows import BadRow, Format, Row, RowFault

__all__ = ["RowFile", "RowInput", "open_rows"]

_PIECE_BYTES = 128 * 1024
_BOM = b"\xef\xbb\xbf"
_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_NOT_ROWS = {
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"PK\x03\x04": "a spreadsheet or an archive: save it as CSV",
    PARQUET_MARK: "Parquet, which can be read only from a file by its name",
    b"[": "one JSON array: write one object a line",
}


class RowFile:
    """Rows of one input, in order; iterate it, or take turns between ``fill`` and ``rows``.

    Memory stays flat: one piece of the input is held, and the lines of a row that has not ended. Every data row gives
    one ``Row`` or ``BadRow``. Close it, or use it in a ``with``.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        name: str,
        row_format: Format | None = None,
        columns: Mapping[str, str] | None = None,
        id_name: str = "kit_id",
    ) -> None:
        """Read the start of the input: its format, where it is not given, and a CSV header.

        Raises:
            InvalidInputError: nothing in the input can be used.
        """
        self._stream: BinaryIO | GzipStream = stream
        self.name = name
        self._bytes_read = 0
        self._stored = _bytes_ahead(stream)
        self.size = self._stored
        """Bytes of all rows and the header; None where that is not known, as of a pipe or of what is packed."""
        start = self._read_start()
        self.format: Format = row_format or ("jsonl" if start.removeprefix(_BOM).lstrip()[:1] == b"{" else "csv")
        self._lines = LineBuffer(self.format)
        if self.format == "jsonl" and columns:
            raise InvalidInputError(f"{name}: --map is for CSV and Parquet; JSON Lines name their keys themselves")
        self._reader: JsonRows | CsvRows
        if self.format == "jsonl":
            self._reader = JsonRows(self._lines, id_name=id_name)
        else:
            self._reader = CsvRows(self._lines, columns, id_name=id_name)
        self._lines.feed(start.removeprefix(_BOM))
        self._read_header()
        self.preamble: bytes = (_BOM if start.startswith(_BOM) else b"") + self._reader.preamble
        """What must stand before rows of this input that are written again: a byte order mark, a CSV header."""

    @property
    def failed_format(self) -> Format:
        """How its rows are written again."""
        return self.format

    @property
    def share_read(self) -> float | None:
        """How much of the file, as it is stored, has been read, 0 to 1; None where its size is not known."""
        if self._stored is None:
            return None
        done = self._stream.packed_bytes if isinstance(self._stream, GzipStream) else self._bytes_read
        return done / self._stored if self._stored else 1.0

    @property
    def may_wait(self) -> bool:
        """Whether ``fill`` may have to wait for somebody who writes, as into a pipe."""
        return self._stored is None and not (isinstance(self._stream, GzipStream) and self._stream.has_more)

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
        self._bytes_read += len(piece)
        return piece

    def _read_start(self) -> bytes:
        """Read until the first character that is not blank, or the end, unpacking where that is due."""
        start = self._begin()
        if start.startswith(GZIP_MARK) and not isinstance(self._stream, GzipStream):
            self._stream = GzipStream(self._stream, start)
            self.size = None
            start = self._begin()
        if not start:
            raise InvalidInputError(f"{self.name}: the file is empty")
        for mark, what in _NOT_ROWS.items():
            if start.startswith(mark):
                raise InvalidInputError(f"{self.name}: this is {what}")
        return start

    def _begin(self) -> bytes:
        """Read as much as tells what it is; a pipe may give a byte at a time."""
        longest_mark = max(map(len, _NOT_ROWS))
        start = b""
        while len(start) < _PIECE_BYTES and (len(start) < longest_mark or not start.removeprefix(_BOM).strip()):
            if not (piece := self._read()):
                break
            start += piece
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


RowInput: TypeAlias = RowFile | ParquetFile
"""What ``open_rows`` gives: both are used in the same way."""


def open_rows(
    path: str | os.PathLike[str],
    *,
    row_format: Format | None = None,
    columns: Mapping[str, str] | None = None,
    id_name: str = "kit_id",
) -> RowInput:
    """Open a file of rows; ``-`` is standard input. What is packed with gzip is unpacked as it is read.

    Without ``row_format`` the suffix tells it (``.csv``, ``.jsonl``, ``.ndjson``, ``.parquet``, each also before
    ``.gz``), and where that says nothing, the first characters: ``PAR1`` begins Parquet, ``{`` JSON Lines, anything
    else a CSV header.

    Args:
        path: the file.
        row_format: how the rows are written.
        columns: keys of columns that are named otherwise; an empty key leaves its column out. For CSV and Parquet.
        id_name: what the column, or the key, is named that says whose metadata a row sets.

    Raises:
        InvalidInputError: it cannot be opened, or nothing in it can be used: an empty file, no usable header, text that
            is no rows at all.
    """
    is_stdin = os.fspath(path) == "-"
    name = "standard input" if is_stdin else os.fspath(path)
    row_format = row_format or _format_of(Path(path))
    try:
        if row_format == "parquet" or (row_format is None and not is_stdin and _is_parquet(Path(path))):
            return _open_parquet(path, columns, id_name, is_stdin=is_stdin)
        stream = _open(0 if is_stdin else Path(path))
        try:
            return RowFile(stream, name=name, row_format=row_format, columns=columns, id_name=id_name)
        except BaseException:
            stream.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error) or "it cannot be read"
    raise InvalidInputError(f"{name}: {reason}")


def _format_of(path: Path) -> Format | None:
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return _FORMAT_OF_SUFFIX.get(name.suffix.lower())


def _is_parquet(path: Path) -> bool:
    # Only a regular file can be looked into beforehand.
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(PARQUET_MARK)) == PARQUET_MARK


def _open_parquet(
    path: str | os.PathLike[str], columns: Mapping[str, str] | None, id_name: str, *, is_stdin: bool
) -> ParquetFile:
    if is_stdin:
        raise InvalidInputError("standard input: Parquet is read only from a file, since its columns stand at its end")
    os.close(os.open(path, os.O_RDONLY))  # says in the system's words why it cannot be opened
    return ParquetFile(path, columns=columns, id_name=id_name)


def _open(place: Path | int) -> BinaryIO:
    # Unbuffered: a read gives what a pipe holds now instead of waiting for a full buffer.
    return open(place, "rb", buffering=0, closefd=place != 0)


def _bytes_ahead(stream: BinaryIO) -> int | None:
    try:
        about = os.fstat(stream.fileno())
        return about.st_size - stream.tell() if stat.S_ISREG(about.st_mode) else None
    except OSError:
        return None
