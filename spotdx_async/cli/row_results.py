"""The results of a run: what became of each row, in flat memory; it hands failed rows on as they come.

Rows that did not go through for one reason are told together: a wrong token gives one line, not one for each row.
"""

from collections import Counter
from typing import Any, get_args

from attrs import define, field, frozen

from spotdx_async.bulk.records import Outcome, State
from spotdx_async.cli.row_set import RowSet
from spotdx_async.errors import OutcomeUnknownError, SpotError, StatusError
from spotdx_async.files import BadRow, FailedRows, Row
from spotdx_async.files.failed_rows import UndoneRows

__all__ = ["STATES", "Place", "RowResults", "Trouble"]

STATES: tuple[State, ...] = get_args(State)
_SHOWN_TROUBLES = 20
_NAMED_ROWS = 10
# Of a row's number among all files: beneath that of its file.
_ROW_BITS = 40
_ROW_MASK = (1 << _ROW_BITS) - 1


@frozen
class Place:
    """Where a row stands in the input."""

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
        return f"row {self.row.number} (line {self.row.line})"


@define
class Trouble:
    """Rows that did not go through for one reason."""

    place: Place
    """The topmost of them."""
    state: State
    reason: str
    """Of the topmost; others may have been tried more or less often."""
    others: int = 0
    """How many there are beside it."""
    positions: list[tuple[int, int]] = field(factory=list)
    """Where the first of those stand: file and row."""

    def add(self, place: Place, reason: str) -> None:
        """Take in another row, which may stand above the one that is shown."""
        self.others += 1
        other = place.position
        if other < self.place.position:
            other = self.place.position
            self.place, self.reason = place, reason
        if len(self.positions) < _NAMED_ROWS:
            self.positions.append(other)


class RowResults:
    """Counts rows by state, keeps the first troubles, and writes every row that is not done to the failed-rows file."""

    def __init__(self, failed: FailedRows | None = None) -> None:
        self.counts: Counter[str] = Counter()
        """Rows by state."""
        self.done_before: int = 0
        """Rows that the journal shows done in an earlier session; they are among the skipped ones."""
        self.bytes_done: int = 0
        """The size of all rows that have their outcome."""
        self._troubles: dict[object, Trouble] = {}
        self.left: RowSet = RowSet()
        """Rows that were read and are not done, but for those that are overtaken."""
        self.overtaken: RowSet = RowSet()
        """Rows that are not done, and need not be: a later row of the same id is. Sent again they would set an older
        value over a newer one."""
        self.unwritten: RowSet = RowSet()
        """Rows that should be in the failed-rows file and are not, or may not be."""
        self._undone = UndoneRows(failed)
        self.disk_error: OSError | None = None
        """Why the failed-rows file cannot be written any further."""
        self.failed = failed

    @property
    def rows(self) -> int:
        """How many rows have their outcome."""
        return self.counts.total()

    @property
    def troubles(self) -> int:
        """How many rows were rejected, failed or ended unknown."""
        return self.counts["rejected"] + self.counts["failed"] + self.counts["unknown"]

    @property
    def unsent(self) -> int:
        """How many rows were read, and not sent since the run stopped."""
        return self.counts["skipped"] - self.done_before

    @property
    def first_troubles(self) -> list[Trouble]:
        """The first twenty reasons for which rows did not go through, from the top of the input."""
        return sorted(self._troubles.values(), key=lambda trouble: trouble.place.position)

    def tell(self, place: Place, state: State, reason: str, kind: object = None) -> None:
        """Keep why a row did not go through, unless there are reasons enough.

        Args:
            place: where it stands.
            state: what became of it.
            reason: why.
            kind: what it has in common with others; None: the reason.
        """
        alike = (state, kind or reason)
        if alike in self._troubles:
            self._troubles[alike].add(place, reason)
        elif len(self._troubles) < _SHOWN_TROUBLES:
            self._troubles[alike] = Trouble(place, state, reason)

    def settle(self, place: Place, outcome: Outcome[Any]) -> None:
        """Enter what became of a row."""
        state = outcome.state
        self.counts[state] += 1
        self.bytes_done += len(place.row.source or b"")
        if outcome.is_done:
            self.done_before += state == "skipped"
            self.pass_over(place)
            return
        if state != "skipped":
            self.tell(place, state, _reason(outcome.error), _kind(outcome.error))
        self.hand_on(place)

    def close(self) -> None:
        """Close the failed-rows file; ``disk_error`` says whether it may be incomplete."""
        try:
            self._undone.close()
        except OSError as error:
            # What the file has taken may not have reached the disk, any row of it.
            self.disk_error = self.disk_error or error
            self.unwritten.take(self.left)

    def hand_on(self, place: Place) -> None:
        """Take in a row that is not done, and write it to the failed-rows file, where there is one."""
        row = place.row
        _add(self.left, place)
        source = row.source if self.disk_error is None else None
        try:
            is_written = self._undone.add(_number(place), row.key, source)
        except OSError as error:
            self.disk_error = error
            is_written = False
        if self.failed is not None and not is_written:
            _add(self.unwritten, place)

    def leave(self, place: Place) -> None:
        """Take in a row of which nothing is known."""
        _add(self.left, place)

    def pass_over(self, place: Place) -> None:
        """Take in a row that is done: it has overtaken those of the same id above it."""
        for number in self._undone.overtaken_by(_number(place), place.row.key):
            file_index, row_number = number >> _ROW_BITS, number & _ROW_MASK
            file = self.left.remove(file_index, row_number)
            self.unwritten.remove(file_index, row_number)
            self.overtaken.add(file_index, file or "", row_number)


def _add(rows: RowSet, place: Place) -> None:
    rows.add(place.file_index, place.file, place.row.number)


def _number(place: Place) -> int:
    return place.file_index << _ROW_BITS | place.row.number


def _reason(error: SpotError | None) -> str:
    if error is None:
        return "no reason is known"
    text = _message(error)
    return f"{text} ({error.attempts} attempts)" if error.attempts > 1 else text


def _kind(error: SpotError | None) -> object:
    if error is None:
        return None
    status = error.status if isinstance(error, (StatusError, OutcomeUnknownError)) else None
    return type(error).__name__, status, _message(error)


def _message(error: SpotError) -> str:
    return str(error.args[0] if error.args else "") or type(error).__name__
