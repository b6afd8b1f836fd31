"""``kits update`` and ``orders update``: which run sends the rows, and the one that does so from this process."""

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import spotdx_async
from spotdx_async import report
from spotdx_async.bulk.records import Noun, State
from spotdx_async.cli.changed_input import StoppedError, accept, what_differs
from spotdx_async.cli.exit_codes import Exit, stop_line
from spotdx_async.cli.open_files import connections_for
from spotdx_async.cli.options import UpdateOptions, Word, check_path
from spotdx_async.cli.outage_messages import OutageMessages
from spotdx_async.cli.outcomes import outcome_row
from spotdx_async.cli.output import Streams, counted
from spotdx_async.cli.places import check_places, update_places
from spotdx_async.cli.progress import Estimator, Standing
from spotdx_async.cli.reading import facts_of_reading
from spotdx_async.cli.row_source import RowSource
from spotdx_async.cli.settings import Server
from spotdx_async.cli.summary import RunResult, show_summary, tell_end
from spotdx_async.cli.update_run import UpdateRequest, UpdateRun
from spotdx_async.errors import BulkStopped, InvalidInputError, JournalError
from spotdx_async.files import ChangedInputError, DamagedInputError, fingerprint
from spotdx_async.files.late_input import AnyInput
from spotdx_async.own_loop import run_in_own_loop

__all__ = ["LocalRun", "update_many"]

_NOTES_TO_REPORT = 4
"""Half-second notes between two lines: a hiccup of the server is not worth a line."""
_CLOSING_S = 10.0
"""More than a journal needs to be closed."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


def update_many(
    noun: Noun, files: Sequence[Word], options: UpdateOptions, server: Server, streams: Streams, *, as_json: bool
) -> Exit:
    """Run the update and show how it ended.

    Raises:
        InvalidInputError: an input, or a file to be written, cannot be used; nothing was sent.
        ConfigError: a setting is wrong, or there is no token.
    """
    streams.tells_events = options.progress == "json"
    try:
        request = UpdateRequest(
            noun=noun,
            files=tuple(map(check_path, files)),
            options=options,
            settings=server.settings(rate=options.rate, concurrency=options.concurrency),
        )
        check_places(update_places(request.files, options))
        with _run_class(request)(request, streams) as run:
            run_result = _run_to_its_result(run)
    except ChangedInputError as error:
        streams.say(f"{error}; nothing was sent: run the same command again once nothing writes to that file any more")
        return Exit.STOPPED
    except KeyboardInterrupt:
        # Before the run handles signals, so nothing was sent.
        streams.say("stopped: you may run the same command again; setting the same values twice does no harm")
        return Exit.STOPPED
    streams.is_code_the_answer = True
    try:
        show_summary(run_result, streams, as_json=as_json)
        if streams.tells_events:
            tell_end(run_result, streams)
    except KeyboardInterrupt:
        streams.say("the rest of the summary was cut off by a signal; the exit code is right all the same")
    return run_result.exit


def _run_to_its_result(run: UpdateRun) -> RunResult:
    try:
        return run_in_own_loop(run.run())
    except KeyboardInterrupt:
        if run.result is None:
            raise
        return run.result  # a signal while the loop was closed, after all was done


def _run_class(request: UpdateRequest) -> type[UpdateRun]:
    if not request.is_for_cluster:
        return LocalRun
    from spotdx_async.cli.cluster_run import ClusterRun  # an extra, which a local run does not need

    return ClusterRun


class LocalRun(UpdateRun):
    """Sends, or checks, the rows from this process."""

    def _prepare(self) -> None:
        # A dry run sends nothing and needs no token; the other settings are checked all the same.
        self._client = self._request.settings.client(
            "none" if self._options.is_dry_run else None, lands_within_s=self._options.lands_within_s
        )
        self._report = self._options.report
        if self._report is not None:
            named = (*self._request.files, self._options.failed, self._options.journal)
            others = [path for path in named if path is not None and path != "-"]
            report.check_path(self._report, others=others)
            if self._options.is_dry_run and Path(self._report).exists():
                self._streams.say(f"a dry run replaces nothing: the report {self._report} stays as it is")
                self._report = None
        self._journal = _journal_of(self._request, self._files)
        self._run: spotdx_async.BulkRun[Any] | None = None
        self._notes_in_outage = 0
        self._outage = OutageMessages()
        self._run_stats: report.RunStory | None = None
        self._closing: asyncio.Future[None] | None = None
        self._has_journal = self._journal is not None

    async def _run_to_the_end(self, started_s: float, signals: ExitStack) -> None:
        if self._report is not None:
            began = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            self._run_stats = report.RunStory({"began": began, **_facts(self._request)}, started_s)
        async with self._client:
            with self._outage:
                await super()._run_to_the_end(started_s, signals)

    async def _work(self) -> None:
        self._source.on_change = self._stop
        begun = self._begin()
        if self._options.accepts_changed_input and not await self._accept_changed_input():
            return
        try:
            async with begun as outcomes:
                async for outcome in outcomes:
                    self._record(outcome)
                    if self._row_results.disk_error is not None or (self._run is None and self._has_enough_errors):
                        self._stop()
        except JournalError as error:
            if error.reason != "changed input" or self._source.yielded or self._run is None:
                raise
            refusal = str(error)
        else:
            return
        differs = await asyncio.to_thread(what_differs, self._run, self._request, self._source)
        raise JournalError(f"{refusal}; {differs}", reason="changed input")

    def _begin(self) -> AbstractAsyncContextManager[AsyncIterator[spotdx_async.Outcome[Any]]]:
        if self._options.is_dry_run:
            return aclosing(_checked(self._source, allow_any_id=self._request.settings.allow_any_id))
        spot, noun = self._client, self._request.noun
        # Any: the class of the rows depends on the noun, which no type expresses.
        many: Any = spot.kits.update_metadata_many if noun == "kits" else spot.orders.update_metadata_many
        run: spotdx_async.BulkRun[Any] = many(
            self._source,
            concurrency=self._connections(),
            # The summary shows no answer, and building one takes a third of the CPU time.
            decode=False,
            journal=self._journal,
            coalesce=self._options.coalesces,
            progress=self._note,
            outage_limit=self._options.outage_limit_s,
            wait_for_server=self._options.waits_for_server,
            stop_after=self._options.max_errors,
        )
        self._run = run
        return run

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

    async def _accept_changed_input(self) -> bool:
        """Let the journal resume with this input; return False if a signal came meanwhile, so that nothing was changed.

        Raises:
            JournalError: it cannot be resumed with this input; nothing was sent.
            InvalidInputError: an input cannot be read to its end.
            ChangedInputError: an input is no longer the file that was opened.
        """
        if self._run is None:
            return True  # a dry run
        try:
            line = await asyncio.to_thread(accept, self._run, self._request, self._source, lambda: self._stopped)
        except StoppedError:
            return False
        if line is not None:
            self._streams.say(line)
        return True

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
        try:
            report.write_report(path, self._run_stats)
        except (OSError, InvalidInputError) as error:
            # A full disk, or what came to stand there meanwhile, must not take the summary away.
            reason = error.strerror if isinstance(error, OSError) else error
            self._streams.say(f"the report {path} cannot be written: {reason}; the summary is complete without it")
            return written
        return {**written, "report": path}

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


async def _checked(source: RowSource, *, allow_any_id: bool) -> AsyncGenerator[spotdx_async.Outcome[Any], None]:
    """Check each row as sending would, and send nothing."""
    index = 0
    async for item in source:
        error = None
        try:
            if isinstance(item, spotdx_async.InvalidRow):
                error = item.error
            else:
                item.check(allow_any_id=allow_any_id)
        except InvalidInputError as raised:
            error = raised
        state: State = "rejected" if error else "ok"
        yield spotdx_async.Outcome(index=index, key=None, state=state, error=error, source=item.source)
        index += 1


def _journal_of(request: UpdateRequest, files: Sequence[AnyInput]) -> spotdx_async.Journal | None:
    """Return the journal with the fingerprint of the input that it belongs to; a dry run records nothing.

    Raises:
        InvalidInputError: an input cannot be read.
        ChangedInputError: an input is no longer the file that was opened.
    """
    options = request.options
    if options.accepts_changed_input and options.journal is None:
        raise InvalidInputError("--accept-changed-input needs --journal: it is for a journal of an earlier session")
    if options.accepts_changed_input and "-" in request.files:
        raise InvalidInputError("--accept-changed-input reads its input twice: pass files, not standard input")
    if options.journal is None or options.is_dry_run:
        return None
    # The noun is not in the fingerprint: the journal itself knows its operation.
    mark = fingerprint(
        request.files,
        row_format=options.row_format,
        columns=request.columns,
        extra=f"from row {options.from_row}{facts_of_reading(options)}",
        inputs=files,
    )
    return spotdx_async.Journal(options.journal, fingerprint=mark)


def _facts(request: UpdateRequest) -> dict[str, str | float | bool | None]:
    """Return what the report says of the command; no path is among it, since file names can be those of patients."""
    options, settings = request.options, request.settings
    return {
        "files": len(request.files),
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
