"""CSV to rows: a header, then the id and a column for each metadata key, or the id and ``metadata`` as JSON.

A quote that is not properly closed makes its row bad, up to the end of the line on which it opens, and reading resumes
with the next line. Strictly speaking the rest of the file would belong to that one cell; but a stray quote is far more
likely than a cell of many lines, so the lines below are read as the rows that they look like. If they really were the
rest of such a cell, they come out ragged or without an id: reported as bad rows, never lost and never joined.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from attrs import field, frozen

from spotdx_async.files.json_rows import decode_text, parse_object
from spotdx_async.files.lines import Line, LineBuffer
from spotdx_async.files.rows import BadRow, Row, RowFault, check_columns, check_key, key_of, rename_columns

__all__ = ["CsvRows"]

_CELL = r'(?:"[^"]*(?:""[^"]*)*"|[^",\r\n]*)'
# RFC 4180: a cell is quoted as a whole, or holds no quote. The csv module also accepts `5" screen`; it is refused here,
# since such a quote cannot be told from one that was meant to open or close a cell.
_WELL_QUOTED = re.compile(rf"{_CELL}(?:,{_CELL})*[\r\n]*")
_CLOSED_CELL = re.compile(r'(?:"[^"]*(?:""[^"]*)*"|(?!")[^,\r\n]*)(?=[,\r\n]|$)')


class CsvRows:
    """The header, then the rows that can be read from what is buffered so far."""

    preamble: bytes = b""
    """What must come before rows that are written again: the header as it came."""

    def __init__(self, lines: LineBuffer, columns: Mapping[str, str] | None = None, *, id_name: str = "kit_id") -> None:
        self._lines = lines
        self._id_name = id_name
        self._columns = columns
        self._names: list[str | None] = []
        self._rows_read = 0

    def read_header(self) -> bool:
        """Read the header; return False when more must be fed first.

        Raises:
            RowFault: there is no usable header, so no row can be read.
        """
        record = self._next_record()
        if record is None and self._lines.at_end:
            raise RowFault(f"the file is empty: its first line must be a header with {self._id_name}")
        if record is None:
            return False
        try:
            self._names = _header(record.checked_cells(), self._columns, self._id_name)
        except RowFault as fault:
            raise RowFault(f"the header on line {record.line} cannot be used: {fault}") from None
        self.preamble = record.source or b""
        return True

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows whose last line is buffered; call again after feeding more."""
        while (record := self._next_record()) is not None:
            self._rows_read += 1
            yield self._row(record)

    def _row(self, record: "_Record") -> Row | BadRow:
        by_name: dict[str, str] = {}
        try:
            by_name = self._by_name(record.checked_cells())
            key, metadata = self._update(by_name)
        except RowFault as fault:
            known = key_of(by_name, self._id_name)
            return BadRow(self._rows_read, record.line, str(fault), record.source, known)
        return Row(self._rows_read, record.line, key, metadata, record.source or b"")

    def _by_name(self, cells: list[str]) -> dict[str, str]:
        if len(cells) != len(self._names):
            raise RowFault(f"the row has {_cells(len(cells))}, the header {len(self._names)}")
        return {name: cell for name, cell in zip(self._names, cells, strict=True) if name is not None}

    def _update(self, by_name: dict[str, str]) -> tuple[str, dict[str, Any]]:
        key = by_name[self._id_name]
        check_key(key, self._id_name)
        if "metadata" not in by_name:
            return key, {name: cell for name, cell in by_name.items() if cell and name != self._id_name}
        if not by_name["metadata"].strip():
            raise RowFault("the metadata is empty: write {} to set no keys")
        return key, parse_object(by_name["metadata"], "the metadata")

    def _next_record(self) -> "_Record | None":
        """Read the lines of the next row, skipping blank lines; None when more must be fed first, or at the end."""
        while True:
            taken = _Taken(self._lines)
            try:
                cells = next(csv.reader(taken, strict=True), None)
            except _MoreNeeded:
                self._lines.put_back(taken.lines)
                return None
            except (csv.Error, _LineTooLong) as error:
                return self._broken_record(taken, error)
            if cells is None:
                return None
            if cells:
                return _Record(taken.lines, cells=cells)

    def _broken_record(self, taken: "_Taken", error: Exception) -> "_Record":
        """Cut off the bad row after the line on which the fault begins, and put back the lines below."""
        if taken.lines[0].data is None:
            return _Record(taken.lines, fault="the line is too long")
        opened = taken.line_at(_broken_cell(taken.text()))
        lines, below = taken.lines[: opened + 1], taken.lines[opened + 1 :]
        self._lines.put_back(below)
        if taken.is_at_end:
            return _Record(lines, fault=f"a quote opens on line {lines[-1].number} and is never closed")
        return _Record(lines, fault=_broken_reason(lines[-1], below, str(error)))


@frozen
class _Record:
    """The lines of one row, with its cells or what is wrong with it."""

    lines: list[Line]
    cells: list[str] = field(factory=list)
    fault: str | None = None

    @property
    def line(self) -> int:
        return self.lines[0].number

    @property
    def source(self) -> bytes | None:
        parts = [line.data for line in self.lines]
        return None if None in parts else b"".join(part for part in parts if part is not None)

    def checked_cells(self) -> list[str]:
        if self.fault is not None:
            raise RowFault(self.fault)
        text = decode_text(self.source or b"")
        if '"' in text and not _WELL_QUOTED.fullmatch(text):
            raise RowFault("a quote inside a cell that is not quoted: quote the cell and double that quote")
        return self.cells


class _Taken:
    """The lines that the csv module takes for one row, remembered so that they can be put back."""

    def __init__(self, buffer: LineBuffer) -> None:
        self._buffer = buffer
        self.lines: list[Line] = []
        self.is_at_end = False

    def __iter__(self) -> "_Taken":
        return self

    def __next__(self) -> str:
        line = self._buffer.take()
        if line is None and not self._buffer.at_end:
            raise _MoreNeeded
        if line is None:
            self.is_at_end = True
            raise StopIteration
        self.lines.append(line)
        if line.data is None:
            raise _LineTooLong("too long")
        return _lenient_line(line)

    def text(self) -> str:
        return "".join(map(_lenient_line, self.lines))

    def line_at(self, position: int) -> int:
        """Return which of the lines, counted from 0, holds that character of the text."""
        ends = accumulate(len(_lenient_line(line)) for line in self.lines)
        return next((index for index, end in enumerate(ends) if position < end), len(self.lines) - 1)


class _MoreNeeded(Exception):  # noqa: N818 - a signal inside this module
    """The row may continue in what has not been read yet."""


class _LineTooLong(Exception):  # noqa: N818 - a signal inside this module
    """A line of the row was longer than any line may be."""


def _lenient_line(line: Line) -> str:
    """Decode bytes that may not be UTF-8, to find where the row ends; ``checked_cells`` judges them afterwards."""
    return (line.data or b"").decode("utf-8", "surrogateescape")


def _header(names: list[str], columns: Mapping[str, str] | None, id_name: str) -> list[str | None]:
    """Check column names. No reason shows one: in a file without a header the first row is patient data."""
    for column, name in enumerate(names, start=1):
        if not name.strip():
            raise RowFault(f"column {column} has no name")
        if name != name.strip():
            raise RowFault(f"the name of column {column} has whitespace around it")
        if name in names[: column - 1]:
            raise RowFault(f"column {column} has the name of column {names.index(name) + 1}")
    keys = rename_columns(names, columns)
    check_columns(keys, id_name, hint=" (cells are separated by commas)")
    return keys


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _broken_cell(text: str) -> int:
    """Return where the first cell begins that is not properly closed; the end of the text if there is none."""
    position = 0
    while (closed := _CLOSED_CELL.match(text, position)) is not None and closed.end() < len(text):
        position = closed.end() + 1
    return position


def _broken_reason(line: Line, below: list[Line], error: str) -> str:
    """Return why the csv module gave up, from its message (there is no other sign) and the lines that it took."""
    longest = f"{csv.field_size_limit():,} characters"
    is_too_long = error.startswith(("field larger", "too long"))
    if not below and is_too_long:
        return f"a cell is longer than {longest}"
    if not below and error.startswith("new-line"):
        return f"an unquoted cell has a carriage return on line {line.number}"
    if not below:
        return f"text follows a closing quote on line {line.number}: double the quotes inside a cell"
    if is_too_long:
        return f"a quote opens on line {line.number} and is not closed within {longest}"
    return f"a quote opens on line {line.number} and the next one, on line {below[-1].number}, does not close its cell"
