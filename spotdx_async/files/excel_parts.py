"""What must be known of an Excel workbook before its cells are: its sheets, their extent, cells that have no value.

The reader of cells shows errors, formulas that were never computed and merged cells as empty, and takes memory for the
whole rectangle that a sheet spans, however few cells are in it.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Collection
from typing import Any, NamedTuple
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from attrs import define, field

from spotdx_async.files.rows import RowFault

__all__ = ["Sheet", "SheetFacts", "check_archive", "facts_of", "sheets_of"]

_MAX_UNPACKED_BYTES = 512 * 1024 * 1024
_MAX_CELLS = 8_000_000
"""Of the rectangle that a sheet spans: some 250 MB. A sheet of all rows has 1,048,576 of them. A choice."""
_PIECE_BYTES = 256 * 1024
_MOST_COLUMNS = 16384
_LEAP_DAY = 60
"""29 February 1900, which Excel counts and no calendar has."""
_TRUE = {"1", "true"}
_CELL = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})")
_RELATIONSHIP = "officeDocument/2006/relationships"
_STRICT_RELATIONSHIP = "purl.oclc.org/ooxml/officeDocument/relationships"
_UNREADABLE = "this workbook cannot be read: "


class Sheet(NamedTuple):
    """A sheet, in the order of the workbook."""

    name: str
    part: str
    """Where its cells are in the archive."""


@define
class SheetFacts:
    """What the cells of one sheet do not tell by their values; rows and columns count from 1."""

    last_row: int = 0
    last_column: int = 0
    faults: dict[int, dict[int, str]] = field(factory=dict)
    """What cells hold that have no value, by row and column."""
    merged: list[tuple[int, int, int, int]] = field(factory=list)
    """First row, last row, first column and last column of each range of merged cells."""
    hidden_rows: int = 0
    """How many rows that hold something nobody sees, since a filter, a group or somebody has hidden them."""
    hidden_columns: list[tuple[int, int]] = field(factory=list)
    """First and last column of each hidden range."""
    _no_days: "array[int]" = field(factory=lambda: array("q"))

    def is_column_hidden(self, column: int) -> bool:
        """Return whether nobody sees a column."""
        return any(first <= column <= last for first, last in self.hidden_columns)

    def note_no_day(self, row: int, column: int) -> None:
        """Keep that a cell holds a number that is no day; cells come in order."""
        self._no_days.append(row * _MOST_COLUMNS + column)

    def is_no_day(self, row: int, column: int) -> bool:
        """Return whether a cell holds a number that is no day, so that what it is shown as is not what it says."""
        place = row * _MOST_COLUMNS + column
        at = bisect_left(self._no_days, place)
        return at < len(self._no_days) and self._no_days[at] == place

    def merged_rows(self, columns: Collection[int]) -> list[tuple[int, int]]:
        """Return first and last row of what is merged in these columns, from the top, without overlaps."""
        spans: list[tuple[int, int]] = []
        for first, last, left, right in sorted(self.merged):
            if not any(left <= column <= right for column in columns):
                continue
            if spans and first <= spans[-1][1] + 1:
                spans[-1] = spans[-1][0], max(spans[-1][1], last)
            else:
                spans.append((first, last))
        return spans


def check_archive(archive: ZipFile) -> None:
    """Check that the archive is whole and not too large, by unpacking it once.

    Raises:
        RowFault: it is not.
    """
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > _MAX_UNPACKED_BYTES:
        raise RowFault(
            f"the workbook takes more than {_MAX_UNPACKED_BYTES // 1024**2} MiB unpacked: save it as CSV UTF-8"
        )
    if len({entry.filename for entry in entries}) != len(entries):
        raise RowFault(f"{_UNREADABLE}a part of it is there twice")
    try:
        bad = archive.testzip()
    except (BadZipFile, EOFError, OSError, RuntimeError, ValueError) as error:
        bad = type(error).__name__
    except Exception as error:  # noqa: BLE001 - of zlib, bz2 or lzma: what is packed is damaged
        bad = type(error).__name__
    if bad is not None:
        raise RowFault(f"{_UNREADABLE}a part of it is damaged")


def sheets_of(archive: ZipFile) -> list[Sheet]:
    """Return the sheets of a workbook.

    Raises:
        RowFault: its parts are not those of a workbook.
    """
    found: list[tuple[str, str]] = []
    targets: dict[str, str] = {}

    def sheet(name: str, about: dict[str, str]) -> None:
        if name == "sheet":
            ids = [value for key, value in about.items() if key in {f"{kind} id" for kind in _relationship_names()}]
            found.append((about.get("name", ""), ids[0] if ids else ""))

    def relation(name: str, about: dict[str, str]) -> None:
        if name == "Relationship":
            targets[about.get("Id", "")] = about.get("Target", "")

    _parse(archive, "xl/workbook.xml", sheet)
    _parse(archive, "xl/_rels/workbook.xml.rels", relation)
    return [Sheet(name, _part(targets.get(place, ""))) for name, place in found]


def facts_of(archive: ZipFile, sheet: Sheet) -> SheetFacts:
    """Look through the cells of a sheet.

    Raises:
        RowFault: it cannot be read, spans too many cells, or has a cell twice.
    """
    look = _Look()
    _parse(archive, sheet.part, look.start, look.end, look.text)
    return look.facts


class _Look:
    """Follows the elements of a sheet."""

    def __init__(self) -> None:
        self.facts = SheetFacts()
        self._row = self._column = 0
        self._last = (0, 0)
        self._type: str | None = None
        self._has_formula = self._has_value = self._is_hidden = self._is_number = False
        self._digits = ""

    def start(self, name: str, about: dict[str, str]) -> None:
        if name == "c":
            self._cell(about)
        elif name in {"v", "is"}:
            self._has_value = True
            self._is_number = name == "v" and self._type in {None, "n"}
            if self._is_hidden:
                self.facts.hidden_rows += 1
                self._is_hidden = False
        elif name == "f":
            self._has_formula = True
        elif name == "row":
            self._row, self._column = int(about.get("r", self._row + 1)), 0
            self._is_hidden = about.get("hidden") in _TRUE
        elif name == "col":
            if about.get("hidden") in _TRUE:
                self.facts.hidden_columns.append((int(about["min"]), int(about["max"])))
        elif name == "mergeCell":
            first, _, last = about.get("ref", "").partition(":")
            (top, left), (bottom, right) = _position(first), _position(last or first)
            self.facts.merged.append((top, bottom, left, right))

    def text(self, data: str) -> None:
        if self._is_number:
            self._digits += data

    def end(self, name: str) -> None:
        if name == "v":
            self._number()
        if name != "c":
            return
        if self._type == "e":
            self._note("an error, such as #N/A")
        elif self._has_formula and not self._has_value:
            self._note("a formula without its value: open the workbook in Excel, and save it")

    def _number(self) -> None:
        digits, self._digits, self._is_number = self._digits, "", False
        if digits[:1] in {"-", "6"} and ((number := float(digits)) < 0 or _LEAP_DAY <= number < _LEAP_DAY + 1):
            self.facts.note_no_day(self._row, self._column)

    def _note(self, fault: str) -> None:
        self.facts.faults.setdefault(self._row, {})[self._column] = fault

    def _cell(self, about: dict[str, str]) -> None:
        before = self._last
        if (place := about.get("r")) is not None:
            self._row, self._column = _position(place)
        else:
            self._column += 1
        self._last = self._row, self._column
        if (
            self._last <= before
        ):  # of a cell that is there twice the reader keeps one, and of its row nothing may be left
            raise RowFault(f"{_UNREADABLE}its cells are not in order: open it in Excel, and save it")
        self._type = about.get("t")
        self._has_formula = self._has_value = False
        facts = self.facts
        facts.last_row, facts.last_column = max(facts.last_row, self._row), max(facts.last_column, self._column)
        if facts.last_row * facts.last_column > _MAX_CELLS:
            spans = f"{facts.last_row:,} rows and {facts.last_column:,} columns"
            raise RowFault(
                f"the sheet spans {spans}, too many to be read: clear what is far from the table, or save as CSV"
            )


def _parse(archive: ZipFile, part: str, start: Any, end: Any = None, text: Any = None) -> None:
    """Call back for each element of a part, by its name without the namespace.

    Raises:
        RowFault: there is no such part, it is no XML, or it has definitions of its own.
    """

    def no_doctype(*_: object) -> None:
        raise RowFault(f"{_UNREADABLE}it has a document type of its own")  # entities, which could be without bounds

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = no_doctype
    parser.StartElementHandler = lambda name, about: start(name.rpartition(" ")[2], about)
    if end is not None:
        parser.EndElementHandler = lambda name: end(name.rpartition(" ")[2])
    parser.CharacterDataHandler = text
    try:
        with archive.open(part) as file:
            while piece := file.read(_PIECE_BYTES):
                parser.Parse(piece, False)  # noqa: FBT003 - it takes no keywords
            parser.Parse(b"", True)  # noqa: FBT003 - the same
    except (KeyError, ValueError, expat.ExpatError, OSError):
        pass
    else:
        return
    raise RowFault(f"{_UNREADABLE}its part {part or 'of the sheet'} is missing or damaged")


def _position(text: str) -> tuple[int, int]:
    found = _CELL.fullmatch(text)
    if found is None:
        raise ValueError(text)
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(found[2]), column


def _part(target: str) -> str:
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _relationship_names() -> tuple[str, ...]:
    return f"http://schemas.openxmlformats.org/{_RELATIONSHIP}", f"http://{_STRICT_RELATIONSHIP}"
