"""Each row's outcome as ``--outcomes`` writes it, of a run in this process and of one on workers."""

from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spotdx_async import InvalidRow, Outcome
from spotdx_async.bulk.records import State
from spotdx_async.cli.create_options import CreateOptions
from spotdx_async.cli.row_options import UpdateOptions
from spotdx_async.cli.row_results import InputRow, RowSet, bare_message
from spotdx_async.cli.row_source import RowSource
from spotdx_async.errors import InvalidInputError
from spotdx_async.files.outcome_file import OutcomeFile, OutcomeRow
from spotdx_async.files.part_file import part_of

if TYPE_CHECKING:
    from spotdx_async.distributed import ShardReport

__all__ = ["WorkerOutcomes", "outcome_row", "outcomes_file"]

_DONE_BEFORE = "done before"
_KINDS_OF_UNREAD = {"skipped": "NotSentError", "unknown": "OutcomeUnknownError"}
_NO_REPORT = "no worker has reported it, so it may have been executed"
_NOT_GIVEN_OUT = "the run stopped before any row was sent"


def outcomes_file(options: UpdateOptions | CreateOptions, *, replace: bool) -> OutcomeFile | None:
    """Begin the file that ``--outcomes`` names.

    Args:
        options: of the run.
        replace: whether a file at its place may be replaced.

    Raises:
        InvalidInputError: it cannot be written, or must not.
    """
    if options.outcomes is None:
        if options.outcomes_only is not None:
            raise InvalidInputError("--outcomes-only needs --outcomes PATH")
        return None
    part = part_of(Path(options.outcomes))
    if options.is_dry_run and part.is_file() and part.stat().st_size:
        raise InvalidInputError(
            f"{part} is what a run that was killed has left, and a dry run moves nothing: move it away"
        )
    return OutcomeFile(
        options.outcomes,
        only_failures=options.outcomes_only == "failed",
        replace=replace,
    )


def outcome_row(row: InputRow, outcome: Outcome[Any]) -> OutcomeRow:
    """Return a row's outcome as it is written."""
    error = outcome.error
    is_done_before = outcome.state == "skipped" and error is None
    return OutcomeRow(
        *_place(row),
        outcome.state,
        None if error is None else type(error).__name__,
        bare_message(error) if error is not None else _DONE_BEFORE if is_done_before else None,
        outcome.attempts,
    )


class WorkerOutcomes:
    """Writes the outcomes of rows that workers report by their place in the whole input, as the reports come."""

    def __init__(self, file: OutcomeFile) -> None:
        """Write to that file."""
        self._file = file
        # Of each row in turn: its line, and where each file begins.
        self._lines = array("Q")
        self._starts: list[tuple[int, int, int]] = []
        self._bad_keys: dict[int, str] = {}
        self._told = RowSet()
        self._unread: list[tuple[RowSet, State, str]] = []
        self._otherwise: tuple[State, str] = ("skipped", _NOT_GIVEN_OUT)

    async def noted(self, source: RowSource) -> AsyncIterator[Any]:
        """Yield the rows, and remember where each stands."""
        async for item in source:
            row: InputRow = item.source
            index = len(self._lines)
            if not self._starts or self._starts[-1][1] != row.file_index:
                self._starts.append((index, row.file_index, row.row.number - index))
            self._lines.append(row.row.line)
            if isinstance(item, InvalidRow) and row.row.key is not None:
                self._bad_keys[index] = row.row.key
            yield item

    def add(self, report: "ShardReport") -> None:
        """Write a report's rows; those of one without outcomes wait until the input is read again."""
        self._otherwise = ("unknown", _NO_REPORT)
        for one in report.outcomes:
            _, file_index, offset = next(start for start in reversed(self._starts) if start[0] <= one.index)
            key = self._bad_keys.get(one.index) if one.key is None else one.key
            message = _DONE_BEFORE if one.state == "skipped" and one.error is None else one.message
            place = (file_index + 1, one.index + offset, self._lines[one.index], key)
            self._file.add(OutcomeRow(*place, one.state, one.error, message, one.attempts))
            self._told.add(0, "", one.index)
        if not report.outcomes and report.undone:
            rows = RowSet()
            for index in report.undone:
                rows.add(0, "", index)
            state = next(state for state, count in report.counts.items() if count)
            self._unread.append((rows, state, report.stopped or _NO_REPORT))

    def add_rest(self, index: int, row: InputRow) -> None:
        """Write a row of the input that is read again, unless its outcome is there."""
        if self._told.has(0, index):
            return
        found = ((state, said) for rows, state, said in self._unread if rows.has(0, index))
        state, said = next(found, self._otherwise)
        self._file.add(OutcomeRow(*_place(row), state, _KINDS_OF_UNREAD.get(state), said))


def _place(row: InputRow) -> tuple[int, int, int, str | None]:
    return row.file_index + 1, row.row.number, row.row.line, row.row.key
