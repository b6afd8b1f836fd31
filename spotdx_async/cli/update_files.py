"""What a bulk update opens before it begins: inputs, journal, places of failed rows and report."""

from contextlib import ExitStack
from pathlib import Path

import spotdx_async
from spotdx_async import report
from spotdx_async.cli.update_request import UpdateRequest
from spotdx_async.errors import InvalidInputError, JournalError
from spotdx_async.files import FailedRows, RowInput, fingerprint, open_rows

__all__ = ["check_report", "failed_rows", "journal_of", "open_files"]


def open_files(task: UpdateRequest, stack: ExitStack) -> list[RowInput]:
    """Open the inputs.

    Raises:
        InvalidInputError: one cannot be used.
    """
    if task.files.count("-") > 1:
        raise InvalidInputError("standard input (-) can be read only once")
    if task.options.from_row < 1:
        raise InvalidInputError("--from-row counts from 1")
    files = []
    for path in task.files:
        file = open_rows(path, row_format=task.options.row_format, columns=task.columns, id_name=task.kind.id_name)
        stack.callback(file.close)
        files.append(file)
    return files


def journal_of(task: UpdateRequest) -> spotdx_async.Journal | None:
    """Give the journal with the mark of the input that it belongs to; a dry run writes nothing down."""
    options = task.options
    if options.journal is None or options.is_dry_run:
        return None
    # The noun is not in the mark: the journal itself knows its operation.
    mark = fingerprint(
        task.files, row_format=options.row_format, columns=task.columns, extra=f"from row {options.from_row}"
    )
    return spotdx_async.Journal(options.journal, fingerprint=mark)


def failed_rows(task: UpdateRequest, files: list[RowInput]) -> FailedRows | None:
    """Check the place of the rows that are not done.

    A run that is resumed tries all such rows again, so what the session before has left there is replaced.

    Raises:
        InvalidInputError: it cannot be written, or the journal that is to be resumed cannot be used.
    """
    if task.options.failed is None:
        return None
    if len({(file.failed_format, file.preamble) for file in files}) > 1:
        raise InvalidInputError("--failed needs inputs of one format with the same header; give them one by one")
    return FailedRows(
        task.options.failed,
        preamble=files[0].preamble,
        inputs=task.files,
        replace=task.options.replaces_failed or _is_resumed(task),
    )


def check_report(task: UpdateRequest) -> None:
    """Make sure that the report can be made and written at the end.

    Raises:
        SpotError: it cannot; the message says what to do.
    """
    options = task.options
    if options.report is not None:
        named = (*task.files, options.failed, options.journal)
        report.check_path(options.report, others=[path for path in named if path is not None and path != "-"])


def _is_resumed(task: UpdateRequest) -> bool:
    options = task.options
    if options.journal is None or options.is_dry_run:
        return False
    if options.dask is not None or options.workers is not None:
        return Path(options.journal, "run.json").is_file()
    if not Path(options.journal).is_file():
        return False
    state = spotdx_async.read_journal(options.journal)
    if state.in_use:
        raise JournalError(f"{options.journal} is in use by another run: wait for it, or stop it", reason="in use")
    return state.sessions > 0
