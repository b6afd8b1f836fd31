"""One run of a bulk update: sends or checks every row, and accounts for it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import spotdx_async
from spotdx_async import report
from spotdx_async.cli.exit_codes import stop_line
from spotdx_async.cli.outage_messages import OutageMessages
from spotdx_async.cli.output import Streams
from spotdx_async.cli.progress import Pace, Standing, display_for, keep_showing
from spotdx_async.cli.row_results import RowResults
from spotdx_async.cli.row_source import RowSource
from spotdx_async.cli.run_result import RunResult
from spotdx_async.cli.stop_signals import StopSignals
from spotdx_async.cli.update_files import check_report, failed_rows, journal_of, open_files
from spotdx_async.cli.update_request import UpdateRequest
from spotdx_async.errors import BulkStopped, InvalidInputError, JournalError

__all__ = ["UpdateRun"]

_NOTES_TO_TELL = 4
"""Of two in a second: a hiccup of the server is not worth a word."""
_CLOSING_S = 10.0
"""More than a journal needs to be closed."""


class UpdateRun:
    """Opens the inputs and settings at once, so that whatever is unusable is refused before anything is sent."""

    def __init__(self, task: UpdateRequest, streams: Streams) -> None:
        """Open everything.

        Raises:
            InvalidInputError: an input, the journal, or the place of the failed rows or of the report cannot be used.
            ConfigError: a setting is wrong, or there is no token.
        """
        self._task = task
        self._options = task.options
        self._streams = streams
        with ExitStack() as stack:
            files = open_files(task, stack)
            self._client = _client(task)
            check_report(task)
            self._journal = journal_of(task)
            self._source = RowSource(files, from_row=task.options.from_row, kind=task.kind)
            self._row_results = RowResults(failed_rows(task, files))
            self._opened = stack.pop_all()
        self._run: spotdx_async.BulkRun[Any] | None = None
        self._notes_in_outage = 0
        self._news = OutageMessages()
        self._run_stats: report.RunStory | None = None
        self._stopped: str | None = None
        self._closing: asyncio.Future[None] | None = None
        self._has_journal = self._journal is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    async def run(self) -> RunResult:
        """Send, or check, every row, unless something stops the run; always returns the results."""
        started_s = _now()
        if self._options.report is not None:
            began = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            self._run_stats = report.RunStory({"began": began, **_settings(self._task)}, started_s)
        async with self._client:
            with self._news:
                await self._run_to_an_end(started_s)
        for index in [*self._source.open_rows]:
            # Cut off while under way: perhaps sent. To set the value once more is safe.
            error = spotdx_async.OutcomeUnknownError("cut off while it was under way")
            self._settle(spotdx_async.Outcome(index=index, key=None, state="unknown", error=error))
        self._row_results.close()
        is_reported = self._write_report()
        return RunResult(
            row_results=self._row_results,
            is_dry_run=self._options.is_dry_run,
            elapsed_s=_now() - started_s,
            stopped=self._stopped,
            next_row=None if self._source.is_read_up else self._source.next_unread,
            has_many_files=self._source.has_many_files,
            journal=self._options.journal if self._has_journal else None,
            report=self._options.report if is_reported else None,
            lands_within_s=max(self._options.lands_within_s, self._task.settings.timeout_s.value),
        )

    def _write_report(self) -> bool:
        """Write the page; False where there is none, and a full disk does not take the summary away."""
        if self._run_stats is None or self._options.report is None:
            return False
        self._run_stats.finish(_now(), self._stopped)
        try:
            report.write_report(self._options.report, self._run_stats)
        except OSError as error:
            path = self._options.report
            self._streams.say(f"the report {path} cannot be written: {error.strerror}; the summary is whole without it")
            return False
        return True

    async def _run_to_an_end(self, started_s: float) -> None:
        display = display_for(self._streams, "Checking" if self._options.is_dry_run else "Updating")
        look = self._look(Pace(started_s))
        consumer = asyncio.create_task(self._consume())
        showing = asyncio.create_task(keep_showing(display, look))
        try:
            with StopSignals(first=lambda: self._wind_down(consumer), second=lambda: self._cut_off(consumer)):
                await asyncio.wait({consumer})
        finally:
            showing.cancel()
            consumer.cancel()
            await asyncio.wait({consumer, showing})
            display.close(look(_now()))
        self._judge(consumer)

    async def _consume(self) -> None:
        async with self._begin() as outcomes:
            async for outcome in outcomes:
                self._settle(outcome)
                if self._row_results.disk_error is not None:
                    self._stop()

    def _settle(self, outcome: spotdx_async.Outcome[Any]) -> None:
        self._row_results.settle(self._source.take_outcome(outcome.index), outcome)
        if self._run_stats is not None:
            self._run_stats.add(outcome, _now())

    def _begin(self) -> AbstractAsyncContextManager[AsyncIterator[spotdx_async.Outcome[Any]]]:
        if self._options.is_dry_run:
            return aclosing(_checked(self._source, allow_any_id=self._task.settings.allow_any_id))
        self._run = self._task.kind.send_of(self._client)(
            self._source,
            concurrency=self._task.settings.concurrency.value,
            decode=False,
            journal=self._journal,
            coalesce=self._options.coalesces,
            progress=self._note,
            outage_limit=self._options.outage_limit_s,
            wait_for_server=self._options.waits_for_server,
        )
        return self._run

    def _note(self, progress: spotdx_async.Progress) -> None:
        if self._run_stats is not None:
            self._run_stats.note(progress, _now())
        if progress.is_paused:
            self._notes_in_outage += 1
            if self._notes_in_outage == _NOTES_TO_TELL:
                self._streams.say(self._news.line)
            if self._run_stats is not None:
                self._run_stats.trouble = self._news.trouble
            return
        if self._notes_in_outage >= _NOTES_TO_TELL:
            self._streams.say("the server is back")
        self._notes_in_outage = 0

    def _stop(self) -> None:
        self._source.stop()
        if self._run is not None:
            self._run.stop()

    def _wind_down(self, consumer: asyncio.Task[None]) -> None:
        self._stopped = "stopped by a signal"
        self._stop()
        asyncio.get_running_loop().call_later(self._task.grace_s, self._cut_off, consumer)
        grace = f"{self._task.grace_s:.0f} s"
        self._streams.say(f"stopping: what is under way is given {grace} to finish; the same again stops at once")

    def _cut_off(self, consumer: asyncio.Task[None]) -> None:
        """End at once. A run still says of each row what is known of it: one that was never sent is not unknown."""
        if self._run is None or self._closing is not None:
            consumer.cancel()
            return
        self._closing = asyncio.ensure_future(self._client.close())
        asyncio.get_running_loop().call_later(_CLOSING_S, consumer.cancel)

    def _judge(self, consumer: asyncio.Task[None]) -> None:
        """Find out why the run ended; an error that nobody foresaw goes on."""
        error = None if consumer.cancelled() else consumer.exception()
        if isinstance(error, BulkStopped) and self._closing is not None:
            pass  # it was a signal that closed the client
        elif isinstance(error, BulkStopped):
            self._has_journal = self._has_journal and not _has_lost_journal(error)
            self._stopped = stop_line(error, self._task.settings.base_url.value)
        elif isinstance(error, OSError):
            self._stopped = f"the input cannot be read any further ({error.strerror or error})"
        elif error is not None:
            raise error
        elif self._row_results.disk_error is not None:
            reason = self._row_results.disk_error.strerror
            self._stopped = f"the failed rows cannot be written any further ({reason}): make room for them"
        elif self._source.is_read_up and not self._source.open_rows and not self._row_results.unsent:
            self._stopped = None  # a signal that came too late to leave anything undone

    def _look(self, pace: Pace) -> Callable[[float], Standing]:
        def look(now_s: float) -> Standing:
            row_results, source = self._row_results, self._source
            done, size = row_results.bytes_done + source.passed_bytes, source.size
            share = min(1.0, done / size) if size else source.share_read
            if source.is_read_up and not source.open_rows and share is not None:
                share = 1.0  # headers and blank lines are no rows
            return pace.standing(now_s, rows=row_results.rows, failures=row_results.troubles, share=share)

        return look


def _now() -> float:
    return asyncio.get_running_loop().time()


def _has_lost_journal(stopped: BulkStopped) -> bool:
    """Whether the journal is not where it was: nothing goes on with it."""
    return isinstance(stopped.cause, JournalError) and stopped.cause.reason == "path"


async def _checked(source: RowSource, *, allow_any_id: bool) -> AsyncGenerator[spotdx_async.Outcome[Any], None]:
    """Check each row as sending would, and send nothing."""
    index = 0
    async for item in source:
        error = item if isinstance(item, InvalidInputError) else None
        if not isinstance(item, InvalidInputError):
            try:
                item.check(allow_any_id=allow_any_id)
            except InvalidInputError as raised:
                error = raised
        yield spotdx_async.Outcome(index=index, key=None, state="rejected" if error else "ok", error=error)
        index += 1


def _client(task: UpdateRequest) -> spotdx_async.SpotClient:
    # A dry run sends nothing and needs no token; the other settings are checked all the same.
    token = "none" if task.options.is_dry_run else None
    return task.settings.client(token, lands_within_s=task.options.lands_within_s)


def _settings(task: UpdateRequest) -> dict[str, str | float | bool | None]:
    """What the report says of the command; no path stands in it, since names of files can be those of patients."""
    options, settings = task.options, task.settings
    return {
        "files": len(task.files),
        "rate": settings.rate.value,
        "concurrency": settings.concurrency.value,
        "timeout_s": settings.timeout_s.value,
        "outage_limit_s": options.outage_limit_s,
        "lands_within_s": options.lands_within_s,
        "wait_for_server": options.waits_for_server,
        "coalesce": options.coalesces,
        "journal": options.journal is not None,
        "dry_run": options.is_dry_run,
    }
