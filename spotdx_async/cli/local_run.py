"""A run over files of rows that sends them from this process, whatever they are; subclasses know what is sent."""

import asyncio
import errno
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import spotdx_async
from spotdx_async import report
from spotdx_async.bulk.records import State
from spotdx_async.cli.exit_codes import stop_line
from spotdx_async.cli.open_files import connections_for
from spotdx_async.cli.options import Word
from spotdx_async.cli.outage_messages import OutageMessages
from spotdx_async.cli.outcomes import outcome_row
from spotdx_async.cli.output import counted
from spotdx_async.cli.progress import Estimator, Standing
from spotdx_async.cli.row_run import RowRequest, RowRun
from spotdx_async.cli.row_source import RowSource
from spotdx_async.errors import BulkStopped, InvalidInputError, JournalError
from spotdx_async.files import ChangedInputError, DamagedInputError

__all__ = ["LocalRun", "Outcomes", "checked_rows", "facts_of"]

_NOTES_TO_REPORT = 4
"""Half-second notes between two lines: a hiccup of the server is not worth a line."""
_CLOSING_S = 10.0
"""More than a journal needs to be closed."""
_MOST_NAMES, _LONGEST_NAME = 20, 100
"""Of input files, in a report: more would take the settings away from the page."""
_FULL = {errno.ENOSPC, errno.EDQUOT}

Outcomes: TypeAlias = AbstractAsyncContextManager[AsyncIterator[spotdx_async.Outcome[Any]]]


class LocalRun(RowRun):
    """Sends, or checks, the rows from this process."""

    def _prepare(self) -> None:
        # A dry run sends nothing and needs no token; the other settings are checked all the same.
        self._client = self._request.settings.client(
            "none" if self._options.is_dry_run else None, lands_within_s=self._options.lands_within_s
        )
        self._report = self._options.report
        if self._report is not None:
            named = (*self._request.files, self._options.failed, self._options.journal, *self._others())
            others = [path for path in named if path is not None and path != "-"]
            report.check_path(self._report, others=others)
            if self._options.is_dry_run and Path(self._report).exists():
                self._streams.say(f"a dry run replaces nothing: the report {self._report} stays as it is")
                self._report = None
        self._run: spotdx_async.BulkRun[Any] | None = None
        self._notes_in_outage = 0
        self._outage = OutageMessages()
        self._run_stats: report.RunStory | None = None
        self._closing: asyncio.Future[None] | None = None
        self._has_journal = self._options.journal is not None and not self._options.is_dry_run

    async def _run_to_the_end(self, started_s: float, signals: ExitStack) -> None:
        if self._report is not None:
            began = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            self._run_stats = report.RunStory({"began": began, **self._facts()}, started_s)
        async with self._client:
            with self._outage:
                await super()._run_to_the_end(started_s, signals)

    def _facts(self) -> dict[str, str | float | bool | None]:
        """Return what the report says of the command."""
        return facts_of(self._request)

    def _others(self) -> Sequence[Word | None]:
        """Return the files that only this kind of run writes."""
        return ()

    async def _work(self) -> None:
        await self._take_up(self._begin())

    def _begin(self) -> Outcomes:
        self._source.on_change = self._stop
        if self._options.is_dry_run:
            return aclosing(checked_rows(self._source, self._check))
        self._run = self._new_run()
        return self._run

    async def _take_up(self, begun: Outcomes) -> None:
        async with begun as outcomes:
            async for outcome in outcomes:
                self._record(outcome)
                if self._row_results.disk_error is not None or (self._run is None and self._has_enough_errors):
                    self._stop()

    @abstractmethod
    def _new_run(self) -> spotdx_async.BulkRun[Any]:
        """Return the run that sends the rows."""

    @abstractmethod
    def _check(self, row: Any) -> None:
        """Check a row as sending would.

        Raises:
            InvalidInputError: it cannot be sent.
        """

    def _run_options(self) -> dict[str, Any]:
        """Return what every run takes beside its rows."""
        return {
            "concurrency": self._connections(),
            "progress": self._note,
            "outage_limit": self._options.outage_limit_s,
            "wait_for_server": self._options.waits_for_server,
            "stop_after": self._options.max_errors,
        }

    def _connections(self) -> int:
        """Return how many requests can be in flight at once.

        Raises:
            ConfigError: this process may open too few files for any.
        """
        wanted = self._request.settings.concurrency.value
        files = 2 if self._options.failed is not None else 0
        found = connections_for(wanted, has_journal=self._options.journal is not None, files=files)
        if found < wanted:
            limit = "this process may open few files (ulimit -n)"
            self._streams.say(f"{limit}: {counted(found, 'connection')} at once instead of {wanted:,}")
        return found

    def _record(self, outcome: spotdx_async.Outcome[Any]) -> None:
        self._row_results.record(outcome.source, outcome)
        if self._outcomes is not None:
            self._outcomes.add(outcome_row(outcome.source, outcome))
        if self._run_stats is not None:
            self._run_stats.add(outcome, _now())

    def _note(self, progress: spotdx_async.Progress) -> None:
        if self._run_stats is not None:
            self._run_stats.note(progress, _now())
        if progress.is_paused:
            self._notes_in_outage += 1
            if self._notes_in_outage == _NOTES_TO_REPORT:
                self._streams.say(self._outage.line)
            if self._run_stats is not None:
                self._run_stats.trouble = self._outage.cause
            return
        if self._notes_in_outage >= _NOTES_TO_REPORT:
            self._streams.say("the server is back")
        self._notes_in_outage = 0

    def _stop(self) -> None:
        self._source.stop()
        if self._run is not None:
            self._run.stop()

    def _wind_down(self, work: asyncio.Task[None]) -> None:
        self._stopped = "stopped by a signal"
        self._stop()
        asyncio.get_running_loop().call_later(self._request.grace_s, self._cut_off, work)
        grace = f"{self._request.grace_s:.0f} s"
        self._streams.say(f"stopping: rows under way have {grace} to finish; another signal stops at once")

    def _cut_off(self, work: asyncio.Task[None]) -> None:
        # Closed, the run still reports what is known of each row: one that was never sent is not unknown.
        if self._run is None or self._closing is not None:
            work.cancel()
            return
        self._closing = asyncio.ensure_future(self._client.close())
        # Closing waits for the input and the journal, and either may hang.
        asyncio.get_running_loop().call_later(_CLOSING_S, work.cancel)

    def _judge(self, work: asyncio.Task[None]) -> None:
        error = None if work.cancelled() else work.exception()
        if isinstance(error, BulkStopped) and self._closing is not None:
            pass  # it was a signal that closed the client
        elif isinstance(error, BulkStopped) and error.stop_after is not None:
            self._stopped = self._why_enough
        elif isinstance(error, BulkStopped):
            self._has_journal = self._has_journal and not _has_lost_journal(error)
            self._stopped = stop_line(error, self._request.settings.base_url.value)
        elif isinstance(error, JournalError) and error.reason == "changed input" and self._source.yielded:
            name, number = self._source.next_unread or ("the input", 1)
            where = "" if self._source.is_read_up else f"{name}, row {number - 1}: "
            self._stopped, self._input_fault = f"{where}{error}", "another"
        elif isinstance(error, OSError):
            self._judge_input(error)
        elif error is not None:
            raise error
        elif self._row_results.disk_error is not None:
            error = self._row_results.disk_error
            advice = ": make room for them" if error.errno in _FULL else ""
            self._stopped = f"the failed rows cannot be written any further ({error.strerror}){advice}"
        elif self._run is None and self._has_enough_errors:
            self._stopped = self._why_enough
        elif self._is_all_recorded and not self._row_results.unsent:
            self._stopped = None  # a signal that came too late to leave anything undone

    def _judge_input(self, error: OSError) -> None:
        if not isinstance(error, (DamagedInputError, ChangedInputError)):
            self._stopped = f"the input cannot be read any further ({error.strerror or error})"
            return
        name, _ = self._source.next_unread or ("the input", 1)
        self._stopped = f"{name}: {error}"
        self._input_fault = "changed" if isinstance(error, ChangedInputError) else "damaged"

    def _finish(self) -> dict[str, Any]:
        for outcome in () if self._run is None else self._run.remaining_outcomes():
            self._record(outcome)
        written: dict[str, Any] = {"journal": self._options.journal if self._has_journal else None}
        path = self._report
        if self._run_stats is None or path is None:
            return written
        self._run_stats.finish(_now(), self._stopped)
        self._complete(self._run_stats)
        try:
            report.write_report(path, self._run_stats)
        except (OSError, InvalidInputError) as error:
            # A full disk, or what came to stand there meanwhile, must not take the summary away.
            reason = error.strerror if isinstance(error, OSError) else error
            self._streams.say(f"the report {path} cannot be written: {reason}; the summary is complete without it")
            return written
        return {**written, "report": path}

    def _complete(self, run_stats: report.RunStory) -> None:
        """Add to the report what is known of the run only at its end."""
        if self._run is not None:
            run_stats.operation = self._run.operation

    @property
    def _has_enough_errors(self) -> bool:
        most = self._options.max_errors
        return most is not None and self._row_results.failures >= most

    @property
    def _why_enough(self) -> str | None:
        """Why ``--max-errors`` has stopped the run; None if nothing was left to stop."""
        if self._is_all_recorded and not self._row_results.unsent:
            return None
        return f"--max-errors is reached: {counted(self._row_results.failures, 'row')} rejected, failed or unknown"

    @property
    def _is_all_recorded(self) -> bool:
        return self._source.is_read_up and self._row_results.rows == self._source.yielded

    def _look(self, estimator: Estimator, now_s: float) -> Standing:
        row_results, source = self._row_results, self._source
        done, size = row_results.bytes_done + source.passed_bytes, source.size
        share = min(1.0, done / size) if size else source.share_read
        if self._is_all_recorded and share is not None:
            share = 1.0  # headers and blank lines are not rows
        rows, failures, states = row_results.rows, row_results.failures, row_results.counts
        return estimator.standing(now_s, rows=rows, failures=failures, share=share, states=states)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _has_lost_journal(stopped: BulkStopped) -> bool:
    """Return whether the journal is no longer where it was: nothing can be resumed with it."""
    return isinstance(stopped.cause, JournalError) and stopped.cause.reason == "path"


async def checked_rows(
    source: RowSource, check: Callable[[Any], None]
) -> AsyncGenerator[spotdx_async.Outcome[Any], None]:
    """Check each row as sending would, and send nothing."""
    index = 0
    async for item in source:
        error = None
        try:
            if isinstance(item, spotdx_async.InvalidRow):
                error = item.error
            else:
                check(item)
        except InvalidInputError as raised:
            error = raised
        state: State = "rejected" if error else "ok"
        yield spotdx_async.Outcome(index=index, key=None, state=state, error=error, source=item.source)
        index += 1


def facts_of(request: RowRequest) -> dict[str, str | float | bool | None]:
    """Return what the report says of the command; of its files the names alone, since folders say whose they are."""
    options, settings = request.options, request.settings
    return {
        "files": _named(request.files),
        "rate": settings.rate.value,
        "concurrency": settings.concurrency.value,
        "timeout_s": settings.timeout_s.value,
        "outage_limit_s": options.outage_limit_s,
        "lands_within_s": options.lands_within_s,
        "wait_for_server": options.waits_for_server,
        "journal": options.journal is not None,
        "dry_run": options.is_dry_run,
    }


def _named(files: Sequence[str]) -> str:
    names = ["standard input" if file == "-" else Path(file).name[:_LONGEST_NAME] for file in files[:_MOST_NAMES]]
    more = len(files) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
