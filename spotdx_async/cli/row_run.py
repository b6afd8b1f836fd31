"""A run over files of rows, wherever it runs: what it is asked to do, what it opens, how it is watched and ended."""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import frozen

import spotdx_async
from spotdx_async.cli.create_options import CreateOptions
from spotdx_async.cli.options import Word
from spotdx_async.cli.outcomes import outcomes_file
from spotdx_async.cli.output import Streams
from spotdx_async.cli.progress import Estimator, LateSignals, Standing, StopSignals, display_for, keep_showing
from spotdx_async.cli.reading import reading_of
from spotdx_async.cli.row_options import UpdateOptions
from spotdx_async.cli.row_results import RowResults
from spotdx_async.cli.row_source import RowSource
from spotdx_async.cli.settings import Settings
from spotdx_async.cli.summary import InputFault, RunResult, show_summary, tell_end
from spotdx_async.errors import InvalidInputError, JournalError
from spotdx_async.files import FailedRows, RowFile, UnreadableRows, open_rows, parse_map
from spotdx_async.files.created_file import CreatedFile
from spotdx_async.files.late_input import AnyInput, LateInput
from spotdx_async.files.outcome_file import OutcomeFile
from spotdx_async.files.part_file import part_of
from spotdx_async.files.row_shape import RowShape
from spotdx_async.files.unreadable_rows import unreadable_of
from spotdx_async.own_loop import run_in_own_loop

__all__ = ["RowRequest", "RowRun", "is_resumed", "open_files", "run_and_show", "say_kept"]

_COARSE_S = 2.0
"""Seconds of which file systems may be unaware when they date a file."""


@frozen(kw_only=True)
class RowRequest(ABC):
    """Which rows are sent, from which files, where and how."""

    files: tuple[str, ...]
    """Paths; ``-`` is standard input."""
    options: UpdateOptions | CreateOptions
    settings: Settings
    """What is in force, including the rate and concurrency of ``options``."""
    shows_phi: bool = False
    """Whether the server's reasons are shown, which may name patients."""
    title: str = "Updating"
    """What the run does, beside its progress."""
    grace_s: float = 10.0
    """How long rows under way may take to finish after the first signal to stop."""

    @property
    @abstractmethod
    def shape(self) -> RowShape:
        """How a row is written."""

    @property
    @abstractmethod
    def build(self) -> Callable[..., Any]:
        """Returns what is sent for a row's id and content, with its ``source``; raises InvalidInputError."""

    @property
    def columns(self) -> Mapping[str, str] | None:
        """Metadata keys of columns that are named differently.

        Raises:
            InvalidInputError: ``--map`` is malformed.
        """
        texts = self.options.column_map
        return parse_map(texts, id_name=self.shape.id_name) if texts else None

    @property
    def is_for_cluster(self) -> bool:
        """Whether workers send the rows."""
        return False

    @property
    def lands_within_s(self) -> float:
        """How long a request that got no answer may still be executed."""
        return max(self.options.lands_within_s, self.settings.timeout_s.value)


class RowRun(ABC):
    """Opens everything at once, so that anything unusable is refused before anything is sent; then runs.

    How rows are sent is up to the subclass.
    """

    def __init__(self, request: RowRequest, streams: Streams) -> None:
        """Open everything.

        Raises:
            InvalidInputError: an input, an option, or a file to be written cannot be used.
            ChangedInputError: an input was changed meanwhile.
            ConfigError: a setting is wrong, there is no token, or Dask is not installed.
        """
        self._request = request
        self._options = request.options
        self._streams = streams
        self._stopped: str | None = None
        self._late_signals = LateSignals()
        self._input_fault: InputFault | None = None
        self.result: RunResult | None = None
        """How it ended; None as long as its files are not in their places."""
        self._options.check()
        if not 0 < self._options.lands_within_s < math.inf:
            raise InvalidInputError("--lands-within must be a number of seconds above 0")
        with ExitStack() as stack:
            files = self._files = open_files(request, stack)
            self._prepare()
            self._source = RowSource(files, from_row=request.options.from_row, build=request.build)
            place = request.options.outcomes
            self._outcomes = outcomes_file(request.options, replace=place is not None and _replaces(request, place))
            if self._outcomes is not None:
                stack.callback(self._outcomes.abandon)
            failed = _failed_rows(request, files, streams)
            if failed is not None:
                stack.callback(failed.abandon)
            unreadable = None if failed is None else _unreadable_rows(request, failed, files)
            self._row_results = self._new_results(failed, unreadable)
            stack.callback(self._row_results.abandon)
            _say_notes(files, streams)
            say_kept((failed, unreadable, self._outcomes), streams)
            self._opened = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._opened.close()
        finally:
            self._late_signals.give_back()

    async def run(self) -> RunResult:
        """Send, or check, every row, unless something stops the run; always return the results."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        with ExitStack() as signals:
            signals.callback(self._let_late_signals_pass)
            await self._run_to_the_end(started_s, signals)
            written = self._finish()
            self._row_results.close()
            if self._outcomes is not None:
                self._outcomes.close()
            self.result = RunResult(
                row_results=self._row_results,
                outcomes=self._outcomes,
                is_dry_run=self._options.is_dry_run,
                elapsed_s=loop.time() - started_s,
                stopped=self._stopped,
                input_fault=self._input_fault,
                next_row=self._source.next_unread,
                has_many_files=self._source.has_many_files,
                wants_failed=self._options.failed is not None,
                lands_within_s=self._request.lands_within_s,
                **written,
            )
        return self.result

    def _let_late_signals_pass(self) -> None:
        if self.result is not None:
            self._late_signals.take()

    async def _run_to_the_end(self, started_s: float, signals: ExitStack) -> None:
        loop = asyncio.get_running_loop()
        display = display_for(self._streams, "Checking" if self._options.is_dry_run else self._request.title)
        look = partial(self._look, Estimator(started_s))
        work = asyncio.create_task(self._work())
        showing = asyncio.create_task(keep_showing(display, look))
        # Until the books are finished: what comes once the work is over must not keep them from that.
        first, second = (partial(_unless_over, work, act) for act in (self._wind_down, self._cut_off))
        signals.enter_context(StopSignals(first=first, second=second))
        try:
            await asyncio.wait({work})
        finally:
            showing.cancel()
            work.cancel()
            await asyncio.wait({work, showing})
            display.close(look(loop.time()))
        self._judge(work)

    def _new_results(self, failed: FailedRows | None, unreadable: UnreadableRows | None) -> RowResults:
        """Return where what becomes of each row is counted."""
        return RowResults(failed, unreadable, show_phi=self._request.shows_phi)

    @abstractmethod
    def _prepare(self) -> None:
        """Check, and open, what this kind of run needs besides its input."""

    @abstractmethod
    async def _work(self) -> None:
        """Send, or check, every row."""

    @abstractmethod
    def _look(self, estimator: Estimator, now_s: float) -> Standing:
        """Return how far the run is."""

    @abstractmethod
    def _wind_down(self, work: asyncio.Task[None]) -> None:
        """Stop in an orderly way, at the first signal."""

    def _cut_off(self, work: asyncio.Task[None]) -> None:
        """Stop at once, at the second signal."""
        work.cancel()

    @abstractmethod
    def _judge(self, work: asyncio.Task[None]) -> None:
        """Find out why the work ended; raise an unexpected error again."""

    @abstractmethod
    def _finish(self) -> dict[str, Any]:
        """Record the rows that have no outcome yet; return which files there are, as fields of the result."""


def run_and_show(run: RowRun, streams: Streams, *, as_json: bool) -> None:
    """Run in a loop of its own, and show how it ended; call it while the run is entered, which has the signals.

    Raises:
        KeyboardInterrupt: a signal, before the run handled signals if it has no result yet, else during the summary.
    """
    with suppress(KeyboardInterrupt):
        run_in_own_loop(run.run())
    if (run_result := run.result) is None:
        raise KeyboardInterrupt
    # Or else a signal came while the loop was closed, after all was done.
    streams.is_code_the_answer, streams.answer = True, run_result.exit
    try:
        show_summary(run_result, streams, as_json=as_json)
        if streams.tells_events:
            tell_end(run_result, streams)
    except KeyboardInterrupt:
        streams.say("the rest of the summary was cut off by a signal; the exit code is right all the same")


def open_files(request: RowRequest, stack: ExitStack) -> list[AnyInput]:
    """Open the inputs; of several files on disk the first, and the others again when their turn comes.

    Raises:
        InvalidInputError: one cannot be used.
        ChangedInputError: one was changed meanwhile.
    """
    if request.files.count("-") > 1:
        raise InvalidInputError("standard input (-) can be read only once")
    if request.options.from_row < 1:
        raise InvalidInputError("--from-row counts from 1")
    files: list[AnyInput] = []
    for path in request.files:
        reopen = partial(
            open_rows,
            path,
            row_format=request.options.row_format,
            columns=request.columns,
            shape=request.shape,
            reading=reading_of(request.options),
        )
        # What is no file, such as a pipe, can be opened only once.
        file = LateInput(reopen) if files and path != "-" and Path(path).is_file() else reopen()
        stack.callback(file.close)
        files.append(file)
    return files


def _say_notes(files: Iterable[AnyInput], streams: Streams) -> None:
    for file in files:
        for note in file.notes:
            streams.say(f"{file.name}: {note}")


def _unless_over(work: asyncio.Task[None], act: Callable[[asyncio.Task[None]], None]) -> None:
    if not work.done():
        act(work)


def say_kept(files: Iterable[FailedRows | UnreadableRows | OutcomeFile | CreatedFile | None], streams: Streams) -> None:
    """Say where that is, or will be, what runs that were killed have left where these files are written first."""
    for file in files:
        if file is not None and file.kept is not None:
            streams.say(f"{part_of(file.path)} is what a run that was killed has left: it is kept as {file.kept}")


def _failed_rows(request: RowRequest, files: list[AnyInput], streams: Streams) -> FailedRows | None:
    """Check where the rows that are not done are to be written; None: nowhere.

    A run that is resumed tries all such rows again, so the file of the session before is replaced at its end. A dry run
    replaces none.

    Raises:
        InvalidInputError: it cannot be written, or the journal that is to be resumed cannot be used.
    """
    if request.options.failed is None:
        return None
    if len({(file.failed_format, file.preamble) for file in files}) > 1:
        raise InvalidInputError("--failed needs inputs of one format with the same header; pass them one at a time")
    if request.options.is_dry_run and (kept := _not_replaced(request, request.options.failed)):
        streams.say(f"a dry run replaces nothing, and there is {kept} already: bad rows are shown, and not written")
        if kept.suffix != ".part" and not _may_have_written(request, kept):  # parts are moved aside
            streams.say(f"the run itself needs --force to replace {kept}, which is older than its journal")
        return None
    return FailedRows(
        request.options.failed,
        preamble=files[0].preamble,
        inputs=request.files,
        replace=_replaces(request, request.options.failed),
    )


def _not_replaced(request: RowRequest, failed: Word) -> Path | None:
    """Return a file that only a run that is no dry run may move or replace; None if there is none."""
    places = (Path(failed), unreadable_of(failed))
    parts = map(part_of, places)
    files = (*parts, *places) if _may_replace(request) else parts
    return next((file for file in files if file.is_file() and file.stat().st_size), None)


def _unreadable_rows(request: RowRequest, failed: FailedRows, files: list[AnyInput]) -> UnreadableRows:
    """Check where text is to be written that cannot be told from rows.

    Raises:
        InvalidInputError: it cannot be written.
    """
    replace = _replaces(request, unreadable_of(failed.path))
    unreadable = UnreadableRows(failed.path, inputs=request.files, replace=replace)

    def keep(file: RowFile | LateInput, first: int, number: int, line: int, piece: bytes) -> None:
        if number >= first:
            unreadable.begin(file.name, line, piece)

    for index, file in enumerate(files):
        if isinstance(file, (RowFile, LateInput)):
            file.overflow = partial(keep, file, 1 if index else request.options.from_row)
    return unreadable


def _may_replace(request: RowRequest) -> bool:
    """Return whether a run with these options may replace the files of an earlier one."""
    journal = request.options.journal
    return request.options.replaces_failed or (journal is not None and Path(journal).exists())


def _replaces(request: RowRequest, place: Word) -> bool:
    """Return whether a file that is there is replaced: since that is asked for, or the run itself may have written it.

    Raises:
        JournalError: as for ``is_resumed``.
    """
    return not request.options.is_dry_run and _may_have_written(request, place)


def _may_have_written(request: RowRequest, place: Word) -> bool:
    if request.options.replaces_failed:
        return True
    begun_s = _begun_s(request)
    try:
        return begun_s is not None and Path(place).stat().st_mtime >= begun_s - _COARSE_S
    except OSError:
        return begun_s is not None  # there is nothing, or nothing that can be written, which others say


def is_resumed(request: RowRequest) -> bool:
    """Return whether the journal is there already, with a session in it.

    Raises:
        JournalError: another run has it, or it is none.
    """
    return _begun_s(request) is not None


def _begun_s(request: RowRequest) -> float | None:
    """Return when the run began that is to be resumed, in seconds since 1970; None if none is."""
    journal = request.options.journal
    if journal is None:
        return None
    if request.is_for_cluster:
        described = Path(journal, "run.json")  # written once
        return described.stat().st_mtime if described.is_file() else None
    if not Path(journal).is_file() or not Path(journal).stat().st_size:
        return None  # an empty file, as mktemp makes it, is one that a run may begin
    state = spotdx_async.read_journal(journal)
    if state.in_use:
        raise JournalError(f"{journal} is in use by another run: wait for it, or stop it", reason="in use")
    return state.begun_at.timestamp() if state.sessions else None
