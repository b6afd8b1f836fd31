"""One input of rows: a file or standard input, recognised, unpacked, its rows read lazily."""

import codecs
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

from attrs import evolve

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.csv_rows import CsvRows, Doubt
from spotdx_async.files.json_records import ArrayRecords, LineRecords
from spotdx_async.files.json_rows import JsonRows
from spotdx_async.files.json_text import BOM, is_spread_object
from spotdx_async.files.lines import LineBuffer
from spotdx_async.files.recognition import LONGEST_MARK, encoding_of, foreign_name, is_array
from spotdx_async.files.row_shape import RowShape, shape_of
from spotdx_async.files.rows import (
    MAX_ROW_BYTES,
    USUAL_READING,
    BadRow,
    DamagedInputError,
    Format,
    Reading,
    Row,
    RowFault,
)
from spotdx_async.files.stored_file import StoredFile, WatchedInput
from spotdx_async.files.unpacking import UnpackedStream, packing_of

__all__ = ["RowFile"]

_PIECE_BYTES = 128 * 1024
_NO_CHARACTER = "\ufffd".encode()
_RECENT_S = 10.0
"""A file that was written so lately, and does not end with a line end, may be written still. A choice."""
_LONGEST_LINE_END = 4
_SPREAD = "one JSON object is spread over several lines: write each row on one line, or all rows in one array, [ … ]"


class RowFile(WatchedInput):
    """The rows of one input, in order; iterate over it, or alternate between ``fill`` and ``rows``.

    Memory stays flat: one piece of the input is held, and the text of a row that has not ended. Every data row yields
    one ``Row`` or ``BadRow``. Close it, or use it in a ``with``.
    """

    _encoding: str | None

    def __init__(
        self,
        stream: BinaryIO | StoredFile,
        *,
        name: str,
        row_format: Format | None = None,
        columns: Mapping[str, str] | None = None,
        id_name: str = "kit_id",
        shape: RowShape | None = None,
        reading: Reading = USUAL_READING,
    ) -> None:
        """Read the start of the input: its format, unless given, and a CSV header.

        Raises:
            InvalidInputError: nothing in the input can be used.
        """
        self._stream: BinaryIO | StoredFile | UnpackedStream = stream
        self.stored_file: StoredFile | None = stream if isinstance(stream, StoredFile) else None
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
            raise InvalidInputError(f"{name}: --map is for columns, and JSON has none: its rows name their keys")
        if self.format == "jsonl" and reading.delimiter is not None:
            raise InvalidInputError(f"{name}: --delimiter is for CSV, and this is JSON")
        if self.format == "csv" and start.lstrip()[:1] in {b"{", b"["}:
            raise InvalidInputError(f"{name}: this looks like JSON: pass --format jsonl")
        if self.format == "jsonl" and is_spread_object(start):
            raise InvalidInputError(f"{name}: {_SPREAD}")
        self._is_one_line = reading.is_one_line
        reading, shape = evolve(reading, encoding=self._encoding), shape_of(id_name, shape)
        self._reader: JsonRows | CsvRows
        self._buffer: LineBuffer | ArrayRecords
        if self.format == "jsonl":
            self._buffer, self._reader = self._json(start, shape, reading)
        else:
            self._buffer = LineBuffer(self.format)
            self._reader = CsvRows(self._buffer, columns, shape=shape, reading=reading, overflow=self._overflow)
        self._buffer.feed(start)
        self._read_header()
        self.preamble: bytes = mark + self._reader.preamble
        """What must come before rows of this input that are written again: a byte order mark, a CSV header."""
        self.notes: Sequence[str] = self._notes_on_age()
        """What the user should know of how the input is read; shows no value."""

    @property
    def failed_format(self) -> Format:
        """The format in which its rows are written again."""
        return self.format

    @property
    def is_packed(self) -> bool:
        """Whether it is unpacked as it is read."""
        return isinstance(self._stream, UnpackedStream)

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
            DamagedInputError: what is packed is damaged here, or the text is of another encoding.
            ChangedInputError: the file is no longer the one that was opened.
            OSError: the input cannot be read any further.
        """
        self._feed(self._read())

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows that are complete so far.

        Raises:
            ChangedInputError: the file is no longer the one that was opened.
        """
        self.check_unchanged()
        return self._reader.rows()

    def survey(self) -> Doubt | None:
        """Look through the whole input, in place of reading it; return what makes rows of it doubtful, if it does.

        Raises:
            DamagedInputError: what is packed is damaged.
            ChangedInputError: the file is no longer the one that was opened.
            OSError: it cannot be read to its end.
        """
        reader, doubt = self._reader, None
        if isinstance(reader, CsvRows) and not self._is_one_line:
            while (doubt := reader.survey()) is None and not self.at_end:
                self.fill()
        while self.is_packed and not self.at_end and self._read():
            pass  # its checksums
        return doubt

    def distrust(self, doubt: Doubt) -> None:
        """Take nothing from a line on for rows."""
        if isinstance(self._reader, CsvRows):
            self._reader.distrust(doubt)

    def close(self) -> None:
        """Close the input; closing twice does nothing."""
        self._stream.close()

    def _read(self) -> bytes:
        try:
            piece = self._stream.read(_PIECE_BYTES)
        finally:
            self.check_unchanged()  # a change explains what looks like damage
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
        try:
            text = self._decoder.decode(piece, final=not piece)
        except UnicodeError:  # what a few say to text that is none of theirs, in place of replacing it
            raise DamagedInputError(f"the text is not {self._encoding}, and cannot be read on") from None
        return text.encode("utf-8", "replace").replace(_NO_CHARACTER, b"\xff")

    def _notes_on_age(self) -> list[str]:
        """Say whether the file may be written still. What is packed, or an array, shows by itself that it was cut."""
        file = self.stored_file
        if file is None or self._stream is not file or isinstance(self._buffer, ArrayRecords):
            return []
        age_s = file.age_s
        if abs(age_s) > _RECENT_S:
            return []
        end = file.last_bytes(_LONGEST_LINE_END)
        if end.endswith(tuple(sign.encode(self._encoding or "utf-8") for sign in "\n\r")):
            return []
        written = f"it was written {max(0.0, age_s):.0f} s ago, and its last line has no line end"
        return [f"{written}: if it is being written still, stop, and run again once it is complete"]

    def _overflow(self, number: int, line: int, piece: bytes) -> None:
        if self.overflow is not None:
            self.overflow(number, line, piece)

    def _json(self, start: bytes, shape: RowShape, reading: Reading) -> tuple[LineBuffer | ArrayRecords, JsonRows]:
        def overflow(line: int, piece: bytes) -> None:
            self._overflow(reader.number, line, piece)

        if is_array(start):
            self.size = None
            array = ArrayRecords(max_bytes=MAX_ROW_BYTES, overflow=overflow)
            reader = JsonRows(array, shape=shape, reading=reading)
            return array, reader
        lines = LineBuffer("jsonl")
        reader = JsonRows(LineRecords(lines, max_bytes=MAX_ROW_BYTES, overflow=overflow), shape=shape, reading=reading)
        return lines, reader

    def _read_start(self, encoding: str | None) -> tuple[bytes, bytes]:
        """Read up to the first character that is not blank, or the end, unpacked and as UTF-8.

        Returns:
            What was read, and the mark with which UTF-8 must begin to be read so again.
        """
        self._decoder: codecs.IncrementalDecoder | None = None
        self._encoding = None
        packed = self._stream
        start = self._begin(b"")
        if not isinstance(packed, UnpackedStream) and (packing := packing_of(start)) is not None:
            try:
                self._stream = UnpackedStream(packed, packing, start)
            except RowFault as fault:
                raise InvalidInputError(f"{self.name}: {fault}") from None
            self.size = None
            start = self._begin(b"")
            if packing_of(start) is not None:
                raise InvalidInputError(f"{self.name}: this is packed twice: unpack it once")
        if not start:
            raise InvalidInputError(f"{self.name}: the file is empty")
        if (what := foreign_name(start)) is not None:
            raise InvalidInputError(f"{self.name}: this is {what}")
        try:
            found, mark = encoding_of(start, encoding)
        except RowFault as fault:
            raise InvalidInputError(f"{self.name}: {fault}") from None
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


def _bytes_ahead(stream: BinaryIO | StoredFile) -> int | None:
    try:
        about = os.fstat(stream.fileno())
        return about.st_size - stream.tell() if stat.S_ISREG(about.st_mode) else None
    except OSError:
        return None
