"""An input that is not the one that the journal was begun with: taken up all the same, or told apart."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import spotdx_async
from spotdx_async.cli.output import counted
from spotdx_async.cli.row_results import InputRow
from spotdx_async.cli.row_run import RowRequest, open_files
from spotdx_async.cli.row_source import RowSource
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import DamagedInputError

__all__ = ["StoppedError", "accept", "what_differs"]

_NAMED_FILES = 3
_MENDED = "if it was mended or extended, --accept-changed-input resumes with it"


class StoppedError(Exception):
    """A signal came while the input was read."""


def accept(
    run: spotdx_async.BulkRun[Any], request: RowRequest, source: RowSource, is_stopped: Callable[[], object]
) -> str | None:
    """Let the run's journal resume with its input; return what is said of it, None if it is the journal's anyway.

    Raises:
        StoppedError: ``is_stopped`` returned something; the journal is as it was, as with all errors.
        JournalError: it cannot be resumed with this input.
        InvalidInputError: an input is damaged.
        ChangedInputError: an input is no longer the file that was opened.
    """

    def rows() -> Iterator[Any]:
        for row in source.again(files):
            if is_stopped():
                raise StoppedError
            yield row

    with ExitStack() as stack:
        files = open_files(request, stack)
        try:
            accepted = run.accept_changed_input(rows())
        except DamagedInputError as error:
            reason = str(error)
        else:
            return None if accepted is None else _line(accepted)
    raise InvalidInputError(f"{reason}; repair all of the input, so that the run can be resumed with it")


def what_differs(run: spotdx_async.BulkRun[Any], request: RowRequest, source: RowSource) -> str:
    """Return what is known of the difference between an input that a journal refuses and the one that it knows."""
    last: InputRow | None = None
    count = 0

    def rows() -> Iterator[Any]:
        nonlocal last, count
        for row in source.again(files):
            last, count = row.source, count + 1
            yield row

    with ExitStack() as stack:
        files = open_files(request, stack)
        sizes = ", ".join(f"{file.name} ({Path(file.name).stat().st_size:,} bytes)" for file in files[:_NAMED_FILES])
        now = f"the input is now {sizes}{', …' if len(files) > _NAMED_FILES else ''}"
        try:
            index = run.first_changed_row(rows())
        except OSError as error:
            return f"{now}, and cannot be read to its end: {error}"
    if index is None:
        how = (
            "the rows that it knows are in it unchanged, so others were added or changed, or it is read in another way"
        )
    elif index == count or last is None:
        how = f"it ends after {counted(count, 'row')}, and the journal knows more"
    else:
        how = f"{last.text} of {last.file} is the first that differs from the journal"
    return f"{now}; {how}; {_MENDED}"


def _line(accepted: spotdx_async.AcceptedInput) -> str:
    known = f"{accepted.done:,} of its {counted(accepted.rows, 'row')} are done"
    again = ""
    if accepted.done_again:
        again = (
            f"; {counted(accepted.done_again, 'row')} that were done come after a newer value now, and are sent again"
        )
    return f"the run resumes with this input: {known}{again}"
