"""CSV to rows: a header, then the id and a column for each metadata key, or the id and ``metadata`` as JSON.

Where one row ends and the next begins is the business of ``csv_records``, which says what a broken quote means.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from spotdx_async.files.csv_header import (
    delimiter_of_header,
    delimiter_of_mark,
    keys_of_names,
    separators,
    sign_name,
)
from spotdx_async.files.csv_quotes import has_stray_return
from spotdx_async.files.csv_records import UNTOLD, CsvRecords, Record
from spotdx_async.files.json_text import decode_text, parse_object
from spotdx_async.files.lines import LineBuffer
from spotdx_async.files.row_shape import RowShape
from spotdx_async.files.rows import BadRow, Reading, Row, RowFault, check_key, key_of

__all__ = ["CsvRows", "Doubt"]

_BESIDE_THE_CELL = 1024 * 1024
"""How much longer than the longest cell a row may be."""
_BOM = "\ufeff"
_DOUBTFUL = (
    "the wrong quote may be further up, so all from there on is rejected; correct the quotes, or pass "
    "--one-line-rows if no cell holds a line break"
)
_OTHER_HEADER = "another header is here, as where two files were joined: all rows below it are rejected"


class Doubt(NamedTuple):
    """Where it is no longer certain what is a row, and why."""

    line: int
    reason: str


class CsvRows:
    """The header, then the rows that can be read from what is buffered so far."""

    preamble: bytes = b""
    """What must come before rows that are written again: the header as it came."""

    def __init__(
        self,
        lines: LineBuffer,
        columns: Mapping[str, str] | None = None,
        *,
        shape: RowShape,
        reading: Reading,
        overflow: Callable[[int, int, bytes], None],
    ) -> None:
        """Read from the buffer; ``overflow`` is given what is too long to keep: row, line, and a piece of it."""
        self._lines = lines
        self._shape, self._id_name = shape, shape.id_name
        self._columns = columns
        self._reading = reading
        self._names: list[str] = []
        self._kept: list[tuple[int, str]] = []
        self._id_at = 0
        self._rows_read = 0
        self._mark: Record | None = None
        self._doubtful_from: int | None = None
        self._before_opening = b""
        self._doubt: Doubt | None = None
        self._records = CsvRecords(
            lines,
            max_bytes=reading.max_cell_bytes + _BESIDE_THE_CELL,
            is_one_line=reading.is_one_line,
            overflow=lambda line, piece: overflow(self._rows_read + 1, line, piece),
        )

    def read_header(self) -> bool:
        """Read the header; return False when more must be fed first.

        Raises:
            RowFault: there is no usable header, so no row can be read.
        """
        while (record := self._records.next()) is not None:
            text = (record.data or b"").decode("utf-8", "surrogateescape")
            if self._mark is None and (sign := delimiter_of_mark(text)) is not None:
                self._mark = record
                self._check_mark(sign)
                continue
            self._read_names(record, text)
            return True
        if self._lines.at_end:
            raise RowFault(f"the file is empty: its first line must be a header with {self._id_name}")
        return False

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows whose last line is buffered; call again after feeding more."""
        while (record := self._records.next()) is not None:
            row = self._row(record)
            if row is not None:
                self._rows_read += 1
                yield row

    def survey(self) -> Doubt | None:
        """Look through what is buffered, in place of ``rows``; return what makes rows doubtful, if something does.

        A quote too many or too few swaps the inside and the outside of cells, and breaks only where a quote does not
        fit the swapped reading either. Most do not: the last one of a row, with text before it, closes a cell and
        cannot open one. If the last such quote before the broken one is not itself the wrong one, that stands below it.
        So the rows above are beyond doubt, and from its own to the broken quote none is.
        """
        while (record := self._records.next()) is not None:
            data = record.data or b""
            if self._doubtful_from is not None and (fault := self._quote_fault(record, data)) is not None:
                return Doubt(self._doubtful_from, fault.removesuffix(UNTOLD))
            last = data.rfind(b'"')
            is_first = self._doubtful_from is None and (last >= 0 or record.data is None)
            if is_first or (last > 0 and data[last - 1] not in self._before_opening):
                self._doubtful_from = record.first_line
        return None

    def _quote_fault(self, record: Record, data: bytes) -> str | None:
        if record.fault is not None:
            return record.fault if record.fault.endswith(UNTOLD) else None  # or it is too long, and in order
        text = data.decode("utf-8", "surrogateescape")
        return self._records.reason(record.first_line, text) if self._records.cells(text) is None else None

    def distrust(self, doubt: Doubt) -> None:
        """Take nothing from a line on for rows."""
        self._doubt = doubt

    def _check_mark(self, sign: str) -> None:
        given = self._reading.delimiter
        if given is not None and given != sign:
            raise RowFault(f"its first line names the {sign_name(sign)} as the delimiter, and --delimiter another")
        self._records.delimiter = sign

    def _read_names(self, record: Record, text: str) -> None:
        guessed = delimiter_of_header(text)
        if self._mark is None:
            self._records.delimiter = self._reading.delimiter or guessed
        sign = self._records.delimiter
        try:
            names = self._names_in(record, text)
            keys = keys_of_names(names, self._columns, self._shape, remark=separators(sign))
        except RowFault as fault:
            raise RowFault(f"the header on line {record.first_line} cannot be used: {fault}") from None
        self._names = names
        self._before_opening = b'"\r\n' + sign.encode()
        self._id_at = keys.index(self._id_name)
        self._kept = [(at, key) for at, key in enumerate(keys) if key is not None and at != self._id_at]
        if self._mark is None and sign != guessed:
            self._mark = Record(1, 1, f"sep={sign}\n".encode())  # failed rows are read in the same way without options
        self.preamble = (self._mark.data or b"" if self._mark is not None else b"") + (record.data or b"")

    def _names_in(self, record: Record, text: str) -> list[str]:
        if record.fault is not None:
            raise RowFault(record.fault.removesuffix(UNTOLD))
        decode_text(record.data or b"", self._reading.encoding)
        if (names := self._records.cells(text)) is None:
            raise RowFault(self._records.reason(record.first_line, text))
        return names

    def _row(self, record: Record) -> Row | BadRow | None:
        """Return the row; None if it is not over, since nothing below it can be told from a row."""
        data = record.data
        if self._doubt is not None and record.first_line >= self._doubt.line:
            self._records.lose(record, f"{self._doubt.reason}: {_DOUBTFUL}")
            self._doubt = None
            return None
        if record.fault is not None or data is None:
            return self._unreadable(record, record.fault or "the row is too long")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("utf-8", "surrogateescape")
        cells = self._records.cells(text)
        if cells is None:
            reason = self._records.reason(record.first_line, text)
            if self._reading.is_one_line:
                return self._unreadable(record, reason)
            self._records.lose(record, f"{reason}{UNTOLD}")
            return None
        if self._names[self._id_at] in cells or cells[0].startswith(_BOM):
            names = [cells[0].removeprefix(_BOM), *cells[1:]]
            if names != self._names and self._is_header(names):
                self._records.lose(record, _OTHER_HEADER)
                return None
        return self._row_of(record, data, text, cells)

    def _row_of(self, record: Record, data: bytes, text: str, cells: list[str]) -> Row | BadRow:
        number = self._rows_read + 1
        known: str | None = None
        try:
            decode_text(data, self._reading.encoding)
            if b"\r" in data and has_stray_return(text.rstrip("\r\n")):
                return self._unreadable(record, f"an unquoted cell has a carriage return on line {record.first_line}")
            self._check_cells(data, cells)
            known = cells[self._id_at]
            key, content = self._update(cells)
        except RowFault as fault:
            key_if_certain = key_of({self._id_name: known}, self._id_name)
            return BadRow(number, record.first_line, str(fault), data, key_if_certain, record.last_line)
        return Row(number, record.first_line, key, content, data)

    def _unreadable(self, record: Record, reason: str) -> BadRow:
        return BadRow(
            self._rows_read + 1, record.first_line, reason, record.data, None, record.last_line, is_readable=False
        )

    def _check_cells(self, data: bytes, cells: list[str]) -> None:
        if len(cells) != len(self._names):
            raise RowFault(f"the row has {_cells(len(cells))}, the header {len(self._names)}")
        most = self._reading.max_cell_bytes
        if len(data) > most and any(len(cell.encode()) > most for cell in cells):
            raise RowFault(f"a cell is longer than {most:,} bytes: --max-cell allows longer ones")

    def _update(self, cells: list[str]) -> tuple[str, dict[str, Any]]:
        key = cells[self._id_at]
        if key == self._names[self._id_at] or cells[0].startswith(_BOM):
            names = [cells[0].removeprefix(_BOM), *cells[1:]]
            if names == self._names:
                raise RowFault("the row is the header once more, as where two files were joined")
            if names != cells:
                raise RowFault("the row begins with a byte order mark, as where two files were joined: remove it")
        check_key(key, self._id_name)
        if self._kept[0][1] == self._shape.whole:
            text = cells[self._kept[0][0]]
            if not text.strip():
                raise RowFault("the metadata is empty: write {} to set no keys")
            return key, parse_object(text, "the metadata")
        filled: dict[str, Any] = {name: cells[at] for at, name in self._kept if cells[at]}
        return key, self._shape.content_of(filled, allows_empty=self._reading.allows_empty)

    def _is_header(self, names: list[str]) -> bool:
        """Return whether a row that has the name of the id column is another header: rows below have other columns."""
        if len(names) != len(self._names):
            return True
        return names[self._id_at] == self._names[self._id_at] or sorted(names) == sorted(self._names)


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
