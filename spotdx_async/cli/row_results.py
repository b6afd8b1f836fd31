"""The results of a run: what became of each row, in flat memory; undone rows are written to the failed-rows file.

Rows that failed for one reason are reported together: a wrong token gives one line, not one for each row.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from attrs import define, field, frozen

from spotdx_async.bulk.records import FAILURES, Outcome, State
from spotdx_async.cli.exit_codes import reasons_of, without_pointer
from spotdx_async.errors import OutcomeUnknownError, SpotError, StatusError
from spotdx_async.files import BadRow, FailedRows, Row, UnreadableRows
from spotdx_async.files.failed_rows import UndoneRows

__all__ = ["FailureGroup", "InputRow", "RowResults", "RowSet", "Span", "bare_message"]

_SHOWN_REASONS = 20
_NAMED_ROWS = 10
# A row's number among all files: the index of its file above these bits, its number in the file below.
_ROW_BITS = 40
_ROW_MASK = (1 << _ROW_BITS) - 1


@frozen
class Span:
    """Consecutive rows of one file."""

    file: str
    """The name of the file."""
    first: int
    last: int

    @property
    def text(self) -> str:
        """The rows in words, without their file."""
        return f"row {self.first}" if self.first == self.last else f"rows {self.first}-{self.last}"


@define
class RowSet:
    """Rows of one or more files, a bit for each: a very large set stays small, and is named in few words."""

    count: int = 0
    """How many there are."""
    _names: dict[int, str] = field(factory=dict)
    _bits: dict[int, bytearray] = field(factory=dict)

    def __len__(self) -> int:
        return self.count

    def add(self, file_index: int, file: str, number: int) -> None:
        """Add a row, unless it is already there.

        Args:
            file_index: which of the files.
            file: its name.
            number: of the row.
        """
        bits = self._bits.setdefault(file_index, bytearray())
        self._names[file_index] = file
        byte, bit = number >> 3, 1 << (number & 7)
        if byte >= len(bits):
            bits.extend(bytes(byte + 1 - len(bits)))
        if not bits[byte] & bit:
            bits[byte] |= bit
            self.count += 1

    def remove(self, file_index: int, number: int) -> str | None:
        """Remove a row and return the name of its file; None if it is not there."""
        if not self.has(file_index, number):
            return None
        self._bits[file_index][number >> 3] ^= 1 << (number & 7)
        self.count -= 1
        return self._names[file_index]

    def has(self, file_index: int, number: int) -> bool:
        """Return whether the row is there."""
        bits = self._bits.get(file_index, b"")
        return number >> 3 < len(bits) and bool(bits[number >> 3] >> (number & 7) & 1)

    @property
    def first(self) -> tuple[str, int] | None:
        """The topmost row: the name of its file, and its number; None if there is none."""
        return next(((name, number) for _, name, number in self.rows()), None)

    def take(self, other: "RowSet") -> None:
        """Add all rows of another set."""
        for row in other.rows():
            self.add(*row)

    def spans(self) -> Iterator[Span]:
        """Yield the rows from the top of the input, in as few spans as possible."""
        first = last = 0
        of = ""
        for _, name, number in self.rows():
            if first and of == name and number == last + 1:
                last = number
                continue
            if first:
                yield Span(of, first, last)
            of, first, last = name, number, number
        if first:
            yield Span(of, first, last)

    def rows(self) -> Iterator[tuple[int, str, int]]:
        """Yield each row from the top of the input: the index of its file, the file's name, the row's number."""
        for index in sorted(self._bits):
            for byte, value in enumerate(self._bits[index]):
                if value:
                    yield from ((index, self._names[index], byte << 3 | bit) for bit in range(8) if value >> bit & 1)


@frozen
class InputRow:
    """A row and where it stands in the input."""

    file: str
    """The name of its file."""
    file_index: int
    """Which of the files, from 0."""
    row: Row | BadRow = field(repr=False)

    @property
    def position(self) -> tuple[int, int]:
        """What rows are sorted by."""
        return self.file_index, self.row.number

    @property
    def text(self) -> str:
        """The row in words, without its file; never with a value of it."""
        last = self.row.last_line if isinstance(self.row, BadRow) else None
        # Parquet has no lines, and in JSON Lines each row is the line of its number.
        if self.row.line == self.row.number and last in {None, self.row.line}:
            return f"row {self.row.number}"
        lines = f"line {self.row.line}" if last in {None, self.row.line} else f"lines {self.row.line}-{last}"
        return f"row {self.row.number} ({lines})"

    @property
    def number(self) -> int:
        """Its number among all files."""
        return self.file_index << _ROW_BITS | self.row.number


@define
class FailureGroup:
    """Rows that failed for one reason."""

    row: InputRow
    """The topmost of them."""
    state: State
    reason: str
    """Of the topmost; others may have been tried more or less often."""
    others: int = 0
    """How many there are besides it."""
    positions: list[tuple[int, int]] = field(factory=list)
    """Where the first of those stand: file and row."""

    def add(self, row: InputRow, reason: str) -> None:
        """Add another row, which may stand above the one that is shown."""
        self.others += 1
        other = row.position
        if other < self.row.position:
            other = self.row.position
            self.row, self.reason = row, reason
        if len(self.positions) < _NAMED_ROWS:
            self.positions.append(other)


class RowResults:
    """Counts rows by state, keeps the first failures, and writes every row that is not done to the failed-rows file."""

    def __init__(
        self,
        failed: FailedRows | None = None,
        unreadable: UnreadableRows | None = None,
        *,
        show_phi: bool = False,
        sets_values: bool = True,
    ) -> None:
        """Begin with no row.

        Args:
            failed: where rows that are not done are written.
            unreadable: where the text of rows is written that cannot be read.
            show_phi: whether the server's reasons are kept, which may name patients.
            sets_values: whether a later row of the same id makes an earlier one needless.
        """
        self._show_phi, self._sets_values = show_phi, sets_values
        self.counts: Counter[str] = Counter()
        """Rows by state."""
        self.done_before: int = 0
        """Rows that were done in an earlier session, according to the journal; they are among the skipped ones."""
        self.bytes_done: int = 0
        """The size of all rows that have their outcome."""
        self._groups: dict[object, FailureGroup] = {}
        self.left: RowSet = RowSet()
        """Rows that were read and are not done, except for those that are overtaken."""
        self.overtaken: RowSet = RowSet()
        """Rows that are not done, and need not be: a later row of the same id is. Sent again they would set an older
        value over a newer one."""
        self.unwritten: RowSet = RowSet()
        """Rows that should be in the failed-rows file and are not, or may not be."""
        self._undone = UndoneRows(failed)
        self.disk_error: OSError | None = None
        """Why the failed-rows file cannot be written any further."""
        self.failed = failed
        self.unreadable = unreadable
        """Where the text of rows is that cannot be read."""

    @property
    def faults(self) -> list[str]:
        """What other programs did to the files meanwhile, and where the rows are therefore."""
        files = (file for file in (self.failed, self.unreadable) if file is not None)
        return [f"{file.fault}: what this run wrote is in {file.place}" for file in files if file.fault is not None]

    @property
    def rows(self) -> int:
        """How many rows have their outcome."""
        return self.counts.total()

    @property
    def failures(self) -> int:
        """How many rows were rejected, failed or ended unknown."""
        return sum(self.counts[state] for state in FAILURES)

    @property
    def unsent(self) -> int:
        """How many rows were read, and not sent because the run stopped."""
        return self.counts["skipped"] - self.done_before

    @property
    def first_failures(self) -> list[FailureGroup]:
        """The first twenty reasons for which rows failed, from the top of the input."""
        return sorted(self._groups.values(), key=lambda group: group.row.position)

    def record(self, row: InputRow, outcome: Outcome[Any]) -> None:
        """Record what became of a row."""
        state = outcome.state
        self.counts[state] += 1
        self.bytes_done += len(row.row.source or b"")
        if outcome.is_done:
            self.done_before += state == "skipped"
            self.add_done(row)
            return
        if state != "skipped":
            self.add_failure(row, state, _reason(outcome.error, show_phi=self._show_phi), _kind(outcome.error))
        self.add_undone(row)

    def add_failure(self, row: InputRow, state: State, reason: str, kind: object = None) -> None:
        """Keep why a row failed, unless there are already enough reasons.

        Args:
            row: the row.
            state: what became of it.
            reason: why.
            kind: what it has in common with others; None: the reason.
        """
        alike = (state, kind or reason)
        if alike in self._groups:
            self._groups[alike].add(row, reason)
        elif len(self._groups) < _SHOWN_REASONS:
            self._groups[alike] = FailureGroup(row, state, reason)

    def add_undone(self, row: InputRow) -> None:
        """Record a row that is not done, and write it to the failed-rows file, if there is one."""
        self.add_unknown(row)
        source = row.row.source if self.disk_error is None else None
        try:
            if self.unreadable is not None and isinstance(row.row, BadRow) and not row.row.is_readable:
                is_written = self.disk_error is None and self.unreadable.add(row.file, row.row)
            else:
                is_written = self._undone.add(row.number, row.row.key if self._sets_values else None, source)
        except OSError as error:
            self.disk_error = error
            is_written = False
        if self.failed is not None and not is_written:
            self.unwritten.add(row.file_index, row.file, row.row.number)

    def add_unknown(self, row: InputRow) -> None:
        """Record a row of which nothing is known."""
        self.left.add(row.file_index, row.file, row.row.number)

    def add_done(self, row: InputRow) -> None:
        """Record a row that is done: it has overtaken those of the same id above it."""
        if not self._sets_values:
            return
        for number in self._undone.overtaken_by(row.number, row.row.key):
            file_index, row_number = number >> _ROW_BITS, number & _ROW_MASK
            file = self.left.remove(file_index, row_number)
            self.unwritten.remove(file_index, row_number)
            self.overtaken.add(file_index, file or "", row_number)

    def close(self) -> None:
        """Put the files in their places and close them; ``disk_error`` says whether they may be incomplete."""
        for file in (self._undone, self.unreadable):
            try:
                if file is not None:
                    file.close()
            except OSError as error:
                # Any row that the file has taken may not have reached the disk.
                self.disk_error = self.disk_error or error
                self.unwritten.take(self.left)

    def abandon(self) -> None:
        """Close the files where they are, after a run that has no end to account for."""
        self._undone.abandon()
        if self.unreadable is not None:
            self.unreadable.abandon()


def _reason(error: SpotError | None, *, show_phi: bool) -> str:
    if error is None:
        return "no reason is known"
    text = bare_message(error)
    tries = f" ({error.attempts} attempts)" if error.attempts > 1 else ""
    return "; ".join([f"{text}{tries}", *reasons_of(error, show_phi=show_phi)])


def _kind(error: SpotError | None) -> object:
    if error is None:
        return None
    status = error.status if isinstance(error, (StatusError, OutcomeUnknownError)) else None
    return type(error).__name__, status, bare_message(error)


def bare_message(error: SpotError) -> str:
    """Return what an error says, without operation and attempts, and not that ``details`` says more."""
    return without_pointer(str(error.args[0] if error.args else "") or type(error).__name__)
