"""Lines to the records of CSV: a quoted cell is one cell whatever its length, over as many lines as it takes.

The rule for a quote that is broken (it opens and is not closed, text follows a closing quote, or it stands inside a
cell that is not quoted): what follows may be the inside of a cell, and looks the same as rows do. No later quote proves
the contrary, since it may be a broken one too. So nothing below is taken for rows: the record, and all that follows,
is one record with a fault, from its first line to the last of the file. Only whoever knows that no cell holds a line
break can say where the next record begins: with ``is_one_line`` it does so on the next line. What a broken quote says
of the rows above it is told by ``CsvRows.survey``.
"""

from collections.abc import Callable
from typing import NamedTuple

from spotdx_async.files.csv_quotes import QuoteTracker, cells_of, fault_in
from spotdx_async.files.lines import Line, LineBuffer

__all__ = ["UNTOLD", "CsvRecords", "Record"]

UNTOLD = (
    ": what follows may be the inside of that cell, so all of it is rejected; correct that line, or pass "
    "--one-line-rows if no cell holds a line break"
)
"""How the reason goes on where a broken quote takes the rest of the file with it."""


class Record(NamedTuple):
    """The text of one record, or what is wrong with it."""

    first_line: int
    last_line: int
    data: bytes | None
    """As it came; None if it was too long to be kept."""
    fault: str | None = None
    """Why its cells cannot be told."""


class CsvRecords:
    """Whole records from a buffer of lines, in the memory of one."""

    def __init__(
        self,
        lines: LineBuffer,
        *,
        max_bytes: int,
        is_one_line: bool = False,
        overflow: Callable[[int, bytes], None] = lambda _line, _piece: None,
    ) -> None:
        """Take lines from the buffer.

        Args:
            lines: the buffer.
            max_bytes: the longest record that is kept.
            is_one_line: whether no cell holds a line break.
            overflow: is given the text of a longer record, a piece at a time, with its first line.
        """
        self.delimiter: str = ","
        """To be set once it is known; whole records are found without it."""
        self._lines = lines
        self._max_bytes = max_bytes
        self._is_one_line = is_one_line
        self._overflow = overflow
        self._text = bytearray()
        self._quotes = 0
        self._first = self._last = 0
        self._tracker: QuoteTracker | None = None
        self._is_long = False
        self._lost: str | None = None

    def next(self) -> Record | None:
        """Return the next record that is not blank; None when more must be fed first, or at the end."""
        while (line := self._lines.take()) is not None:
            if self._first or not line.is_ended or b'"' in line.data:
                if (record := self._joined(line)) is not None:
                    return record
            elif line.data.strip(b"\r\n"):
                return Record(line.number, line.number, line.data)
        return self._rest() if self._lines.at_end and self._first else None

    def cells(self, text: str) -> list[str] | None:
        """Return the cells of a record; None if it has a broken quote."""
        return cells_of(text.rstrip("\r\n"), self.delimiter)

    def reason(self, first_line: int, text: str) -> str:
        """Say what is wrong with the quotes of a record."""
        fault = fault_in(text.rstrip("\r\n"), self.delimiter)
        before = text[: fault.position].encode("utf-8", "surrogateescape")
        return f"{fault.reason}, on line {first_line + self._lines.count_ends(before)}"

    def lose(self, record: Record, fault: str) -> None:
        """Take the record that was returned last, and all that follows, as one record with this fault."""
        self._first, self._last = record.first_line, record.last_line
        self._lost = fault
        self._keep(record.data or b"")

    def _joined(self, line: Line) -> Record | None:
        """Add a line to the record under way; return that once it is over."""
        self._first = self._first or line.number
        self._last = line.number
        self._quotes += line.data.count(b'"')
        self._keep(line.data)
        if self._lost is not None or not line.is_ended:
            return None
        is_open = self._tracker.is_open if self._tracker is not None else self._quotes & 1
        return self._taken() if self._is_one_line or not is_open else None

    def _keep(self, data: bytes) -> None:
        if self._tracker is not None:
            self._follow(data)
        if self._is_long:
            self._overflow(self._first, data)
            return
        self._text += data
        if len(self._text) > self._max_bytes:
            self._is_long = True
            if self._lost is None:
                self._tracker = QuoteTracker(self.delimiter)
                self._follow(self._text)
            self._overflow(self._first, bytes(self._text))
            self._text.clear()

    def _follow(self, data: bytes | bytearray) -> None:
        tracker = self._tracker
        if tracker is None or self._is_one_line:
            return
        tracker.feed(bytes(data))
        if tracker.is_broken:
            self._lost = f"a quote is broken, on line {self._last} at the latest{UNTOLD}"
            self._tracker = None

    def _taken(self) -> Record:
        fault = f"the row is longer than {self._max_bytes:,} bytes" if self._is_long else None
        record = Record(self._first, self._last, None if self._is_long else bytes(self._text), fault)
        self._text.clear()
        self._quotes = self._first = self._last = 0
        self._tracker, self._is_long = None, False
        return record

    def _rest(self) -> Record:
        """Return what is left at the end of the input."""
        fault = self._lost
        if fault is None and self._tracker is not None:
            fault = f"a quote of the row on line {self._first} opens and is never closed{UNTOLD}"
        elif fault is None:
            fault = self.reason(self._first, self._text.decode("utf-8", "surrogateescape")) + UNTOLD
        return self._taken()._replace(fault=fault)
