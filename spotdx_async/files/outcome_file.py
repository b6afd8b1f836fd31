"""What became of each row, for programs: JSON Lines or CSV, private, whole at the end; knows no run."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from spotdx_async._codec.json import serialize
from spotdx_async.errors import InvalidInputError
from spotdx_async.files.part_file import begun_part

__all__ = ["OutcomeFile", "OutcomeRow", "csv_line"]

_LINES = (".jsonl", ".ndjson")
_CSV = ".csv"
_FAILURES = frozenset({"rejected", "failed", "unknown"})


class OutcomeRow(NamedTuple):
    """What became of one row; no metadata, and no text of the server's."""

    file: int
    """Which of the inputs, from 1."""
    row: int
    """Its number in that file, from 1."""
    line: int
    """The line on which it begins, from 1; of Parquet the row's number."""
    key: str | None
    """The id of the kit or order; None where it is not certain."""
    state: str
    error: str | None = None
    """The kind of error: the name of its class."""
    message: str | None = None
    attempts: int = 0
    """Requests made for it."""


class OutcomeFile:
    """A file of outcomes, written beside its place as they come, and put there once all have come.

    Writing never raises: the first error ends it, and is kept.
    """

    def __init__(self, path: str | Path, *, only_failures: bool = False, replace: bool = False) -> None:
        """Check that it can be written, and begin it; what is at its place stays there until ``close``.

        Args:
            path: its place, whose suffix decides about the form.
            only_failures: leave out rows that are not rejected, failed or unknown.
            replace: whether a file at the place may be replaced.

        Raises:
            InvalidInputError: it cannot be written, or must not.
        """
        self.path: Path = Path(path)
        self.error: OSError | None = None
        """Why it is incomplete; None if it is not."""
        self._only_failures = only_failures
        suffix = self.path.suffix.lower()
        if suffix not in {_CSV, *_LINES}:
            raise InvalidInputError(f"{self.path}: the name of a file of outcomes ends in .csv or .jsonl")
        self._is_csv = suffix == _CSV
        self._part = begun_part(self.path, replace=replace)

    @property
    def place(self) -> Path:
        """Where what was written is: under another name if it is incomplete, or its place was taken meanwhile."""
        return self._part.place

    @property
    def fault(self) -> str | None:
        """Why it is complete under another name; None if it is not."""
        return self._part.fault

    @property
    def kept(self) -> Path | None:
        """Where the outcomes are kept that a run which was killed has left in ``PATH.part``; None: there are none."""
        return self._part.kept

    def add(self, row: OutcomeRow) -> None:
        """Write an outcome, unless it is left out, or an earlier one could not be written."""
        if self.error is None and (not self._only_failures or row.state in _FAILURES):
            self._append(csv_line(row) if self._is_csv else serialize(row._asdict()) + b"\n")

    def close(self) -> None:
        """Put it in its place; what cannot be put there, or is incomplete, stays beside it."""
        if self.error is None:
            try:
                self._part.append(self._head())
                self._part.settle()
            except OSError as error:
                self.error = error
        self._part.abandon()

    def abandon(self) -> None:
        """Leave what was written beside the place, as a kill does; nothing is left where nothing was written."""
        self._part.abandon()

    def _append(self, data: bytes) -> None:
        try:
            self._part.append(self._head() + data)
        except OSError as error:
            self.error = error

    def _head(self) -> bytes:
        """Return what comes first, unless it is there: it is not written before there is something to follow it."""
        return csv_line(OutcomeRow._fields) if self._is_csv and not self._part.size else b""


def csv_line(values: Iterable[object]) -> bytes:
    """Return a line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8", "backslashreplace")
