"""One input of rows: a file or standard input, recognised, unpacked, its rows read lazily; fingerprints."""

import codecs
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, TypeAlias

from attrs import evolve

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.csv_rows import CsvRows, Doubt
from spotdx_async.files.json_records import ArrayRecords, LineRecords
from spotdx_async.files.json_rows import JsonRows
from spotdx_async.files.json_text import BOM, name_of
from spotdx_async.files.lines import LineBuffer
from spotdx_async.files.parquet_rows import PARQUET_MAGIC, ParquetFile
from spotdx_async.files.recognition import LONGEST_MARK, encoding_of, foreign_name, is_array
from spotdx_async.files.rows import MAX_ROW_BYTES, USUAL_READING, BadRow, Format, Reading, Row, RowFault
from spotdx_async.files.unpacking import PACKINGS, UnpackedStream, packing_of

__all__ = ["RowFile", "RowInput", "fingerprint", "open_rows"]

_PIECE_BYTES = 128 * 1024
_NO_CHARACTER = "\ufffd".encode()
_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


class RowFile:
    """The rows of one input, in order; iterate over it, or alternate between ``fill`` and ``rows``.

    Memory stays flat: one piece of the input is held, and the text of a row that has not ended. Every data row yields
    one ``Row`` or ``BadRow``. Close it, or use it in a ``with``.
    """

    notes: Sequence[str] = ()
    """What the user should know of how the input is read; shows no value."""

    def __init__(
        self,
        stream: BinaryIO,
        *,
        name: str,
        row_format: Format | None = None,
        columns: Mapping[str, str] | None = None,
        id_name: str = "kit_id",
        reading: Reading = USUAL_READING,
    ) -> None:
        """Read the start of the input: its format, unless given, and a CSV header.

        Raises:
            InvalidInputError: nothing in the input can be used.
        """
        self._stream: BinaryIO | UnpackedStream = stream
        self.name = name
        self.overflow: Callable[[int, int, bytes], None] | None = None
        """Is given the text of a row that is too long to keep, a piece at a time, with the row's number and line."""
        self._bytes_read = 0
        self._stored = _bytes_ahead(stream)
        self.size = self._stored
        """Bytes of all rows and the header; None if that is not known, as for a pipe or compressed input."""
        start, mark = self._read_start(reading.encoding)
        self.format: Format = row_format or ("jsonl" if start.lstrip()[:1] in {b"{", b"["} else "csv")
        if self.format == "jsonl" and columns:
            raise InvalidInputError(f"{name}: --map is for CSV and Parquet; JSON Lines name their keys themselves")
        if self.format == "jsonl" and reading.delimiter is not None:
            raise InvalidInputError(f"{name}: --delimiter is for CSV, and this is JSON")
        if self.format == "csv" and start.lstrip()[:1] in {b"{", b"["}:
            raise InvalidInputError(f"{name}: this looks like JSON: pass --format jsonl")
        reading = evolve(reading, encoding=self._encoding)
        self._reader: JsonRows | CsvRows
        self._buffer: LineBuffer | ArrayRecords
        if self.format == "jsonl":
            self._buffer, self._reader = self._json(start, id_name, reading)
        else:
            self._buffer = LineBuffer(self.format)
            self._reader = CsvRows(self._buffer, columns, id_name=id_name, reading=reading, overflow=self._overflow)
        self._buffer.feed(start)
        self._read_header()
        self.preamble: bytes = mark + self._reader.preamble
        """What must come before rows of this input that are written again: a byte order mark, a CSV header."""

    @property
    def failed_format(self) -> Format:
        """The format in which its rows are written again."""
        return self.format

    @property
    def share_read(self) -> float | None:
        """The share of the stored file that has been read, 0 to 1; None if its size is not known."""
        if self._stored is None:
            return None
        done = self._stream.packed_bytes if isinstance(self._stream, UnpackedStream) else self._bytes_read
        return done / self._stored if self._stored else 1.0

    @property
    def may_wait(self) -> bool:
        """Whether ``fill`` may have to wait for a writer, as at the other end of a pipe."""
        return self._stored is None and not (isinstance(self._stream, UnpackedStream) and self._stream.has_more)

    @property
    def at_end(self) -> bool:
        """True once the input has ended; ``rows`` may still have rows to yield."""
        return self._buffer.at_end

    def fileno(self) -> int:
        """Return the file descriptor, to wait for more input."""
        return self._stream.fileno()

    def fill(self) -> None:
        """Read one piece of the input, as much as is available; blocks while nothing is.

        Raises:
            OSError: the input cannot be read any further.
        """
        self._feed(self._read())

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows that are complete so far."""
        return self._reader.rows()

    def survey(self) -> Doubt | None:
        """Look through the whole input, in place of reading it; return what makes rows of it doubtful, if it does."""
        reader = self._reader
        if isinstance(reader, JsonRows):
            return None
        while (doubt := reader.survey()) is None and not self.at_end:
            self.fill()
        return doubt

    def distrust(self, doubt: Doubt) -> None:
        """Take nothing from a line on for rows."""
        if isinstance(self._reader, CsvRows):
            self._reader.distrust(doubt)

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

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> bytes:
        piece = self._stream.read(_PIECE_BYTES)
        self._bytes_read += len(piece)
        return piece

    def _feed(self, piece: bytes) -> None:
        """Hand a piece on as UTF-8; an empty one is the end."""
        if text := self._utf_8(piece):
            self._buffer.feed(text)
        if not piece:
            self._buffer.feed(b"")

    def _utf_8(self, piece: bytes) -> bytes:
        if self._decoder is None:
            return piece
        # What cannot be decoded becomes a byte that is no UTF-8 either, so that its row is found to be bad.
        text = self._decoder.decode(piece, final=not piece)
        return text.encode("utf-8", "replace").replace(_NO_CHARACTER, b"\xff")

    def _overflow(self, number: int, line: int, piece: bytes) -> None:
        if self.overflow is not None:
            self.overflow(number, line, piece)

    def _json(self, start: bytes, id_name: str, reading: Reading) -> tuple[LineBuffer | ArrayRecords, JsonRows]:
        def overflow(line: int, piece: bytes) -> None:
            self._overflow(reader.number, line, piece)

        if is_array(start):
            self.size = None
            array = ArrayRecords(max_bytes=MAX_ROW_BYTES, overflow=overflow)
            reader = JsonRows(array, id_name=id_name, reading=reading)
            return array, reader
        lines = LineBuffer("jsonl")
        reader = JsonRows(
            LineRecords(lines, max_bytes=MAX_ROW_BYTES, overflow=overflow), id_name=id_name, reading=reading
        )
        return lines, reader

    def _read_start(self, encoding: str | None) -> tuple[bytes, bytes]:
        """Read up to the first character that is not blank, or the end, unpacked and as UTF-8.

        Returns:
            What was read, and the mark with which UTF-8 must begin to be read so again.
        """
        self._decoder: codecs.IncrementalDecoder | None = None
        self._encoding: str | None = None
        packed = self._stream
        start = self._begin(b"")
        if not isinstance(packed, UnpackedStream) and (packing := packing_of(start)) is not None:
            self._stream = UnpackedStream(packed, packing, start)
            self.size = None
            start = self._begin(b"")
        if not start:
            raise InvalidInputError(f"{self.name}: the file is empty")
        if (what := foreign_name(start)) is not None:
            raise InvalidInputError(f"{self.name}: this is {what}")
        found, mark = encoding_of(start, encoding)
        start = start.removeprefix(mark)
        if found == "utf-8":
            return self._begin(start), mark
        self._encoding = found
        self._decoder = codecs.getincrementaldecoder(found)("replace")
        self.size = None
        return self._begin(self._utf_8(start)), BOM

    def _begin(self, start: bytes) -> bytes:
        """Read enough to tell what it is; a pipe may deliver a byte at a time."""
        while len(start) < _PIECE_BYTES and (len(start) < LONGEST_MARK or not start.removeprefix(BOM).strip()):
            if not (piece := self._read()):
                break
            start += self._utf_8(piece)
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
"""What ``open_rows`` returns: both are used in the same way."""


def open_rows(
    path: str | os.PathLike[str],
    *,
    row_format: Format | None = None,
    columns: Mapping[str, str] | None = None,
    id_name: str = "kit_id",
    reading: Reading = USUAL_READING,
) -> RowInput:
    """Open a file of rows; ``-`` is standard input. What is packed (gzip, bzip2, xz) is unpacked as it is read.

    Without ``row_format`` the suffix decides (``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.parquet``, each also
    before one such as ``.gz``); failing that, the first characters do: ``PAR1`` begins Parquet, ``{`` JSON Lines, ``[``
    a JSON array of rows, anything else a CSV header. JSON that begins with ``[`` is always read as an array.

    Args:
        path: the file.
        row_format: the format of the rows.
        columns: the key for each column that has another name; an empty key drops the column. CSV and Parquet only.
        id_name: the name of the column, or JSON key, that holds the id.
        reading: how text is read as rows.

    Raises:
        InvalidInputError: it cannot be opened, or nothing in it can be used: an empty file, no usable header, text that
            is not rows at all.
    """
    is_stdin = os.fspath(path) == "-"
    name = name_of(path)
    row_format = row_format or _format_of(Path(path))
    try:
        if row_format == "parquet" or (row_format is None and not is_stdin and _is_parquet(Path(path))):
            _check_file("standard input" if is_stdin else Path(path))
            return ParquetFile(path, columns=columns, id_name=id_name, allow_empty=reading.allows_empty)
        again = partial(_text_rows, name=name, row_format=row_format, columns=columns, id_name=id_name, reading=reading)
        file = again(0 if is_stdin else Path(path))
        if file.format == "csv" and not (is_stdin or reading.is_one_line) and Path(path).is_file():
            _survey(file, again, Path(path))
    except OSError as error:
        reason = error.strerror or str(error) or "it cannot be read"
    else:
        return file
    raise InvalidInputError(f"{name}: {reason}")


def fingerprint(
    paths: Sequence[str | os.PathLike[str]],
    *,
    row_format: Format | None = None,
    columns: Mapping[str, str] | None = None,
    extra: str = "",
) -> str | None:
    """Return a hash of files and of how they are read: other bytes, another order or another reading change it.

    The files are read through once, in flat memory.

    Args:
        paths: the files in their order.
        row_format: the format of the rows, if it is given.
        columns: how columns are renamed.
        extra: whatever else decides which rows there are.

    Returns:
        None if an input can be read only once, such as standard input.

    Raises:
        InvalidInputError: a file cannot be read.
    """
    mark = hashlib.blake2b(digest_size=16)
    mark.update(repr((len(paths), row_format, sorted((columns or {}).items()), extra)).encode())
    for path in paths:
        if os.fspath(path) == "-" or not os.path.isfile(path):  # noqa: PTH113 - Path.is_file may raise
            return None
        try:
            with Path(path).open("rb") as file:
                mark.update(hashlib.file_digest(file, "blake2b").digest())
        except OSError as error:
            reason = error.strerror
        else:
            continue
        raise InvalidInputError(f"{path}: {reason}")
    return mark.hexdigest()


def _format_of(path: Path) -> Format | None:
    name = path.with_suffix("") if path.suffix.lower() in {packing.suffix for packing in PACKINGS} else path
    return _FORMAT_OF_SUFFIX.get(name.suffix.lower())


def _is_parquet(path: Path) -> bool:
    # Only a regular file can be read twice.
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC


def _check_file(place: Path | Literal["standard input"]) -> None:
    """Check that Parquet can be read from there, without waiting for the writer of a pipe.

    Raises:
        OSError: it cannot be opened; in the system's own words.
        InvalidInputError: it is no file.
    """
    mode = place.stat().st_mode if isinstance(place, Path) else 0
    if stat.S_ISDIR(mode):
        raise InvalidInputError(f"{place}: this is a folder: pass the files in it")
    if not stat.S_ISREG(mode):
        raise InvalidInputError(f"{place}: Parquet is read only from a file, since its description is at its end")
    os.close(os.open(place, os.O_RDONLY))


def _text_rows(place: Path | int, **how: Any) -> RowFile:
    stream = _open(place)
    try:
        return RowFile(stream, **how)
    except BaseException:
        stream.close()
        raise


def _survey(file: RowFile, again: Callable[[Path], RowFile], path: Path) -> None:
    """Look through a file that can be read twice, for what makes its rows doubtful."""
    try:
        with again(path) as copy:
            doubt = copy.survey()
    except OSError:
        return  # damaged: the rows up to there are read, and whoever reads them is told
    except BaseException:
        file.close()
        raise
    if doubt is not None:
        file.distrust(doubt)


def _open(place: Path | int) -> BinaryIO:
    # Unbuffered: a read returns what a pipe holds now instead of waiting for a full buffer.
    return open(place, "rb", buffering=0, closefd=place != 0)


def _bytes_ahead(stream: BinaryIO) -> int | None:
    try:
        about = os.fstat(stream.fileno())
        return about.st_size - stream.tell() if stat.S_ISREG(about.st_mode) else None
    except OSError:
        return None
