"""Excel workbooks (.xlsx) to rows; the only importer of python-calamine, and only when a file is opened.

The columns are those of CSV, cells keep their types. The first row that is not empty is the header; empty rows are not
rows. What a cell does not hold by itself makes its row bad: an error, a formula that was never computed, merged cells.
"""

import json
import math
import os
import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.csv_header import keys_of_names
from spotdx_async.files.excel_parts import SheetFacts, check_archive, facts_of, sheets_of
from spotdx_async.files.json_text import parse_object
from spotdx_async.files.row_shape import RowShape, shape_of
from spotdx_async.files.rows import (
    BadRow,
    ChangedInputError,
    Format,
    Row,
    RowFault,
    check_key,
    key_of,
)
from spotdx_async.files.stored_file import StoredFile, WatchedInput, watched

__all__ = ["ExcelFile"]

_ROWS_AT_ONCE = 500
_MOST_DIGITS = 10**15
"""Excel keeps fifteen digits of a number: what is longer is no longer what was typed."""
_OLD_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NO_DAY = "a number that is no day or time, such as a negative one or 29 February 1900"
_LEAP_DAY_OF_1904 = date(1904, 3, 1)
"""Where days count from 1904, number 60 is a day like others."""
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


class ExcelFile(WatchedInput):
    """The rows of one sheet of a workbook, in order; the same interface as ``RowFile``.

    The sheet is held in memory: one that spans more than eight million cells is refused before.
    """

    format: Format = "xlsx"
    failed_format: Format = "jsonl"
    """The format in which its rows are written again."""
    preamble = b""
    size = None
    may_wait = False
    """Whether ``fill`` may have to wait for a writer."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, str] | None = None,
        id_name: str = "kit_id",
        shape: RowShape | None = None,
        allow_empty: bool = False,
        sheet: str | None = None,
    ) -> None:
        """Open the workbook, take up the sheet, and check its columns.

        Args:
            path: the file.
            columns: the key for each column that has another name; an empty key drops the column.
            id_name: the name of the column that holds the id, beside metadata.
            shape: what a row holds, if not that.
            allow_empty: take a row without a value as one that sets no key, instead of a bad one.
            sheet: its name, or its number from 1; None: the first that is visible.

        Raises:
            InvalidInputError: python-calamine is not installed, or nothing in the file can be used.
            ChangedInputError: the file was changed while it was looked at.
        """
        self.name: str = os.fspath(path)
        self.notes: Sequence[str] = ()
        """What the user should know of how the file is read; shows no value."""
        self._shape = shape_of(id_name, shape)
        self._id_name, self._allows_empty = self._shape.id_name, allow_empty
        self._numbered: list[tuple[int, list[Any] | None]] = []
        self._rows_read = self._line = 0
        self._remark = ""
        self._opens = ExitStack()
        try:
            self.stored_file: StoredFile | None = watched(Path(path), self._opens)
            self._cells, self._facts, self._first_column = self._taken_up(path, sheet)
            self._read_header(columns)
            self.check_unchanged()
        except ChangedInputError:
            self.close()
            raise
        except RowFault as fault:
            reason = str(fault)
        except (OSError, BadZipFile) as error:
            reason = f"this workbook cannot be read: {getattr(error, 'strerror', None) or 'it is damaged'}"
        else:
            return
        self.close()
        raise InvalidInputError(f"{self.name}: {reason}")

    @property
    def share_read(self) -> float:
        """The share of the sheet that has been read, 0 to 1."""
        return self._line / self._facts.last_row if self._facts.last_row else 1.0

    def fill(self) -> None:
        """Take up some more rows of the sheet.

        Raises:
            ChangedInputError: the file is no longer the one that was opened.
        """
        self.check_unchanged()
        taken = [*islice(self._cells, _ROWS_AT_ONCE)]
        self._at_end = not taken
        for cells in taken:
            self._line += 1
            if cells is None or any(cell != "" for cell in cells) or self._line in self._facts.faults:
                self._numbered.append((self._line, cells))

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows that were taken up so far.

        Raises:
            ChangedInputError: the file is no longer the one that was opened.
        """
        self.check_unchanged()
        numbered, self._numbered = self._numbered, []
        for line, cells in numbered:
            self._rows_read += 1
            yield self._row(line, cells)

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._opens.close()

    def _taken_up(
        self, path: str | os.PathLike[str], wanted: str | None
    ) -> tuple[Iterator[list[Any] | None], SheetFacts, int]:
        """Return the rows of the sheet, what else is known of it, and the column with which they begin."""
        calamine = _calamine()
        with Path(path).open("rb") as file:
            if file.read(len(_OLD_MAGIC)) == _OLD_MAGIC:
                raise RowFault(
                    "this workbook has a password, or is an old one (.xls): save it as .xlsx without a password"
                )
        with ZipFile(path) as archive:
            check_archive(archive)
            sheets = sheets_of(archive)
            place = self._place_of(calamine, path, [sheet.name for sheet in sheets], wanted)
            facts = facts_of(archive, sheets[place])
        try:
            cells = calamine.load_workbook(path).get_sheet_by_index(place)
            return _one_by_one(iter(cells.iter_rows())), facts, 0 if cells.start is None else cells.start[1]
        except calamine.CalamineError:
            pass
        except BaseException as error:
            if not _is_panic(error):
                raise
        raise RowFault("this workbook cannot be read: its cells are damaged")

    def _place_of(self, calamine: Any, path: str | os.PathLike[str], names: Sequence[str], wanted: str | None) -> int:
        try:
            found = calamine.load_workbook(path).sheets_metadata
        except calamine.CalamineError:
            found = []
        if [one.name for one in found] != [*names] or not names:
            raise RowFault("this workbook cannot be read: its list of sheets is damaged")
        usual = [
            place
            for place, one in enumerate(found)
            if one.typ == calamine.SheetTypeEnum.WorkSheet and one.visible == calamine.SheetVisibleEnum.Visible
        ]
        if wanted is None:
            if not usual:
                raise RowFault("no sheet of cells is visible: --sheet takes the number of another")
            if len(usual) > 1:
                read = f"sheet {usual[0] + 1} of {len(names)} is read"
                self.notes = [f"{read}: --sheet takes another, by name or number"]
                self._remark = f" ({read}; --sheet takes another)"
            return usual[0]
        if wanted in names:
            return names.index(wanted)
        if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(names):
            return int(wanted) - 1
        which = "its only sheet is number 1" if len(names) == 1 else f"its sheets are number 1 to {len(names)}"
        raise RowFault(f"--sheet names none of its sheets: pass a name exactly as it is written, or a number; {which}")

    def _read_header(self, columns: Mapping[str, str] | None) -> None:
        cells: list[Any] | None = []
        for cells in self._cells:
            self._line += 1
            if cells is None or any(cell != "" for cell in cells):
                break
        else:
            raise RowFault(f"the sheet is empty: its first row must be a header with {self._id_name}")
        where = f"the header in row {self._line} cannot be used: "
        has_merged = any(first <= self._line <= last for first, last, *_ in self._facts.merged)
        if cells is None or has_merged or self._line in self._facts.faults:
            raise RowFault(f"{where}it has merged cells, errors or formulas: one row of text must name the columns")
        while cells[-1] == "":
            cells = cells[:-1]  # a cell below it has no name, which rejects its row
        try:
            names = _names_of(cells)
            keys = keys_of_names(names, columns, self._shape, remark=self._remark)
        except RowFault as fault:
            raise RowFault(f"{where}{fault}") from None
        self._names = names
        self._id_at = keys.index(self._id_name)
        self._kept = [(at, key) for at, key in enumerate(keys) if key is not None and at != self._id_at]
        self._used = {self._first_column + 1 + at for at in (self._id_at, *(at for at, _ in self._kept))}
        self._merged = self._facts.merged_rows(self._used)
        self._note_hidden()
        self._check_second_header()

    def _check_second_header(self) -> None:
        """Refuse a second row of names: it would be sent as a row, or hide that the first is a title."""
        self.fill()
        for line, cells in self._numbered[:1]:
            if cells is not None and isinstance(cells[self._id_at], str) and self._shape.is_near_id(cells[self._id_at]):
                raise RowFault(f"row {line} is a second header: one row must name the columns")

    def _note_hidden(self) -> None:
        """Say what is read that nobody sees: whoever has filtered a sheet may mean to send what is left."""
        notes = []
        if (count := self._facts.hidden_rows) > 0:
            rows = (
                "a row that is hidden, by a filter say, is"
                if count == 1
                else f"{count:,} rows that are hidden, by a filter say, are"
            )
            notes.append(f"{rows} read too")
        hidden = [self._names[at] for at, _ in self._kept if self._facts.is_column_hidden(self._first_column + 1 + at)]
        notes += [f"the hidden column {name} is read too: --map '{name}=' leaves it out" for name in hidden]
        if notes:
            self.notes = [*self.notes, *notes]

    def _is_merged(self, line: int) -> bool:
        at = bisect_right(self._merged, (line, sys.maxsize)) - 1
        return at >= 0 and line <= self._merged[at][1]

    def _row(self, line: int, cells: list[Any] | None) -> Row | BadRow:
        if cells is None:
            reason = "a cell that is shown as a date or a time holds a number that is far beyond all of them"
            lost = {self._id_name: None, "metadata": None, "rejected": {"reason": reason}}
            return BadRow(self._rows_read, line, reason, _line(lost))
        values, faults = self._values(line, cells)
        known = values.pop(self._id_name, None)
        try:
            self._check_cells(line, cells, faults)
            key = known or ""
            check_key(key, self._id_name)
            content = self._content(values)
        except RowFault as fault:
            source = {
                self._id_name: known,
                self._shape.content_name: None,
                "rejected": {"reason": str(fault), "values": values},
            }
            return BadRow(
                self._rows_read, line, str(fault), _line(source), key_of({self._id_name: known}, self._id_name)
            )
        return Row(self._rows_read, line, key, content, _line({self._id_name: key, self._shape.content_name: content}))

    def _values(self, line: int, cells: list[Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the values that JSON has, by key, and why others are none."""
        values: dict[str, Any] = {}
        faults = []
        for at, name in [(self._id_at, self._id_name), *self._kept]:
            if cells[at] == "" and isinstance(cells[at], str):
                continue
            if isinstance(cells[at], (date, time)) and self._is_no_day(line, at, cells[at]):
                faults.append(f"the column {self._names[at]} holds {_NO_DAY}")
                continue
            try:
                values[name] = _id_of(cells[at]) if at == self._id_at else _value_of(cells[at])
            except RowFault as fault:
                faults.append(f"the column {self._names[at]} holds {fault}")
        return values, faults

    def _is_no_day(self, line: int, at: int, cell: date | time) -> bool:
        if not self._facts.is_no_day(line, self._first_column + 1 + at):
            return False
        day = cell.date() if isinstance(cell, datetime) else cell
        return day != _LEAP_DAY_OF_1904

    def _check_cells(self, line: int, cells: list[Any], faults: list[str]) -> None:
        for column, what in self._facts.faults.get(line, {}).items():
            if column in self._used:
                raise RowFault(f"the column {self._names[column - 1 - self._first_column]} holds {what}")
        if self._is_merged(line):
            raise RowFault("the row has merged cells, whose value is only in the first of them")
        if any(cell != "" for cell in cells[len(self._names) :]):
            raise RowFault("the row has a cell beyond the last column that has a name")
        if faults:
            raise RowFault(faults[0])

    def _content(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._kept[0][1] != self._shape.whole:
            return self._shape.content_of(values, allows_empty=self._allows_empty)
        text = values.get("metadata", "")
        if not isinstance(text, str) or not text.strip():
            raise RowFault("the metadata is not text: write {} to set no keys")
        return parse_object(text, "the metadata")


def _calamine() -> Any:
    try:
        import python_calamine  # noqa: PLC0415 - an extra
    except ImportError:
        pass
    else:
        return python_calamine
    raise RowFault(
        "this is an Excel workbook (.xlsx): to read it install the extra, pip install 'spotdx-async[excel]', or save "
        "it as CSV UTF-8"
    )


def _one_by_one(rows: Iterator[list[Any]]) -> Iterator[list[Any] | None]:
    """Yield the cells of each row; None for one that the reader fails at, which it has passed then."""
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except BaseException as error:
            if not isinstance(error, OverflowError) and not _is_panic(error):
                raise
            row = None
        yield row


def _is_panic(error: BaseException) -> bool:
    """Return whether it comes from the reader's own language, where it is not an Exception."""
    return type(error).__name__ == "PanicException"


def _names_of(cells: Sequence[Any]) -> list[str]:
    for column, cell in enumerate(cells, start=1):
        if not isinstance(cell, str):
            raise RowFault(f"the name of column {column} is not text: format its cell as text, and type it again")
    return [*cells]


def _id_of(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, (int, float)) and not isinstance(cell, bool) and 0 <= cell < _MOST_DIGITS and cell == int(cell):
        return str(int(cell))
    raise RowFault("neither text nor a whole number of up to fifteen digits, so it is not an id")


def _value_of(cell: Any) -> Any:
    """Return a cell as JSON has it: dates and times as ISO 8601, whole numbers without a fraction."""
    if isinstance(cell, float):
        if not math.isfinite(cell):
            raise RowFault("NaN or an infinity, which JSON does not have")
        return int(cell) if cell == int(cell) and abs(cell) < _MOST_DIGITS else cell
    if isinstance(cell, timedelta):
        raise RowFault("a duration, which JSON does not have: write it as text, or as a number")
    if isinstance(cell, (datetime, time)):
        return cell.isoformat(timespec="milliseconds" if cell.microsecond else "seconds")
    return cell.isoformat() if isinstance(cell, date) else cell


def _line(row: dict[str, Any]) -> bytes:
    """Return a row as a line of JSON Lines."""
    return _ENCODE(row).encode() + b"\n"
