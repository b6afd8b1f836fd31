"""One run of a bulk update on a Dask cluster: the same summary at its end as a run in this process."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import spotdx_async
from spotdx_async import distributed
from spotdx_async.cli.exit_codes import hinted
from spotdx_async.cli.options import UpdateOptions
from spotdx_async.cli.output import Streams
from spotdx_async.cli.progress import Pace, Standing, display_for, keep_showing
from spotdx_async.cli.row_results import Place, RowResults
from spotdx_async.cli.row_source import RowSource
from spotdx_async.cli.run_result import RunResult
from spotdx_async.cli.stop_signals import StopSignals
from spotdx_async.cli.update_files import failed_rows, open_files
from spotdx_async.cli.update_kinds import UpdateRecord
from spotdx_async.cli.update_request import UpdateRequest
from spotdx_async.errors import InvalidInputError

__all__ = ["ClusterRun"]

_OPEN_TO_NETWORK = (
    "the connection to the cluster is neither encrypted nor authenticated, so whoever is on the network can read the "
    "rows and run code on its workers: give a tls:// address with --dask-tls-ca, --dask-tls-cert and --dask-tls-key"
)


class ClusterRun:
    """Opens the inputs and settings at once, so that whatever is unusable is refused before anything is sent."""

    def __init__(self, task: UpdateRequest, streams: Streams) -> None:
        """Check everything that can be checked here.

        Raises:
            InvalidInputError: an input, an option beside these, or the place of the failed rows cannot be used.
            ConfigError: a setting is wrong, there is no token, or Dask is not installed.
        """
        _check(task)
        options = task.options
        self._update = distributed.update_metadata_distributed
        settings = task.settings
        self._settings = distributed.ClientSettings(
            base_url=settings.base_url.value,
            timeout_s=settings.timeout_s.value,
            lands_within_s=options.lands_within_s,
            concurrency=settings.concurrency.value,
            allow_any_id=settings.allow_any_id,
            # Processes of this machine ask the same source; a cluster's workers have a token of their own.
            token=None if options.workers is None else settings.token.read,
        )
        rate = settings.rate.value
        self._limit = None if rate is None else spotdx_async.RateLimit(rate)
        self._tls = _tls(options)
        if options.dask is not None and distributed.is_open_to_network(options.dask):
            streams.say(_OPEN_TO_NETWORK)
        self._task = task
        self._streams = streams
        with ExitStack() as stack:
            files = open_files(task, stack)
            self._source = RowSource(files, from_row=options.from_row, kind=task.kind)
            self._row_results = RowResults(failed_rows(task, files))
            self._opened = stack.pop_all()
        self._given_rows = 0
        self._undone = bytearray()
        self._progress: spotdx_async.Progress | None = None
        self._report = distributed.RunReport()
        self._stopped: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    async def run(self) -> RunResult:
        """Send every row, unless something stops the run; always returns the results."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        stop = asyncio.Event()
        display = display_for(self._streams, "Updating")
        look = self._look(Pace(started_s))
        running = asyncio.create_task(self._send(stop))
        showing = asyncio.create_task(keep_showing(display, look))
        try:
            with StopSignals(first=lambda: self._wind_down(stop), second=lambda: _cancel(running)):
                await asyncio.wait({running})
        finally:
            showing.cancel()
            running.cancel()
            await asyncio.wait({running, showing})
            display.close(look(loop.time()))
        if running.cancelled():
            self._stopped = "stopped by a signal, at once: what the workers were at is not known"
        elif (error := running.exception()) is not None:
            raise error
        self._settle()
        return RunResult(
            row_results=self._row_results,
            is_dry_run=False,
            elapsed_s=loop.time() - started_s,
            stopped=self._stopped,
            next_row=None if self._source.is_read_up else self._source.next_unread,
            has_many_files=self._source.has_many_files,
            journal_folder=self._task.options.journal,
            lands_within_s=max(self._task.options.lands_within_s, self._task.settings.timeout_s.value),
        )

    async def _send(self, stop: asyncio.Event) -> None:
        task, options = self._task, self._task.options
        async with distributed.connected(options.dask, options.workers, tls=self._tls) as client:
            self._report = await self._update(
                self._given(),
                client=client,
                noun="kits" if self._task.kind.id_name == "kit_id" else "orders",
                folder=options.journal,
                settings=self._settings,
                options=distributed.ShardOptions(
                    concurrency=task.settings.concurrency.value,
                    coalesce=options.coalesces,
                    outage_limit_s=options.outage_limit_s,
                    settle_s=max(options.lands_within_s, task.settings.timeout_s.value),
                ),
                limit=self._limit,
                progress=self._note,
                on_report=self._mark,
                stop=stop,
            )
        if self._stopped is None or self._report.stopped is None:
            self._stopped = None if self._report.stopped is None else hinted(self._report.stopped)

    async def _given(self) -> AsyncGenerator[UpdateRecord | InvalidInputError, None]:
        """Give the rows, and forget each: its outcome comes as its place among them."""
        async for row in self._source:
            self._source.take_outcome(self._given_rows)
            self._given_rows += 1
            yield row

    def _note(self, progress: spotdx_async.Progress) -> None:
        self._progress = progress

    def _mark(self, report: distributed.ShardReport) -> None:
        """Remember the rows that are not done, a bit for each row of the input."""
        for index in report.undone:
            if index >> 3 >= len(self._undone):
                self._undone.extend(bytes((index >> 3) + 1 - len(self._undone)))
            self._undone[index >> 3] |= 1 << (index & 7)

    def _settle(self) -> None:
        """Enter what became of the rows; where some are not done, all are read once more, to be named and handed on."""
        report, row_results = self._report, self._row_results
        row_results.counts.update(report.counts)
        row_results.done_before = report.done_before
        reasons = {trouble.index: trouble for trouble in report.troubles}
        undone = sum(byte.bit_count() for byte in self._undone)
        is_told_of_all = self._given_rows == undone + report.done
        with ExitStack() as stack:
            places = _places(self._task, stack) if undone or not is_told_of_all else iter(())
            for index, place in enumerate(islice(places, self._given_rows)):
                if index >> 3 < len(self._undone) and self._undone[index >> 3] >> (index & 7) & 1:
                    if (trouble := reasons.get(index)) is not None:
                        row_results.tell(place, trouble.state, trouble.reason)
                    row_results.hand_on(place)
                elif is_told_of_all:
                    row_results.pass_over(place)
                else:
                    row_results.leave(place)  # a shard that nobody has reported on may have it
        row_results.close()

    def _wind_down(self, stop: asyncio.Event) -> None:
        self._stopped = "stopped by a signal"
        stop.set()
        self._streams.say("stopping: the workers finish what is under way; the same again stops at once")

    def _look(self, pace: Pace) -> Callable[[float], Standing]:
        def look(now_s: float) -> Standing:
            known = self._progress
            if known is None:
                return pace.standing(now_s, rows=0, failures=0, share=None)
            failures = sum(known.by_state[state] for state in ("rejected", "failed", "unknown"))
            share = known.done / known.total if known.total else None
            return pace.standing(now_s, rows=known.done, failures=failures, share=share)

        return look


def _check(task: UpdateRequest) -> None:
    """Refuse what a cluster cannot do.

    Raises:
        InvalidInputError: an option, or standard input.
        ConfigError: there is no token.
    """
    options = task.options
    if options.dask is not None and options.workers is not None:
        raise InvalidInputError("give --dask or --workers, not both")
    if options.workers is not None and options.workers < 1:
        raise InvalidInputError("--workers must be at least 1")
    if "-" in task.files:
        raise InvalidInputError("a cluster's rows are read twice: give files, not standard input")
    if options.report is not None:
        raise InvalidInputError("--report needs every row's outcome here: leave it out with --dask or --workers")
    if options.waits_for_server:
        raise InvalidInputError("--wait-for-server is for a run in this process: leave it out with --dask or --workers")
    if options.journal is not None and Path(options.journal).is_file():
        raise InvalidInputError(
            "--journal names a folder where --dask or --workers is given, and this is a file: name another"
        )
    if options.workers is not None:
        task.settings.token.read()  # refused now, not by each worker


def _tls(options: UpdateOptions) -> distributed.TlsFiles | None:
    """Give the files for a cluster with TLS; None where none are named.

    Raises:
        InvalidInputError: one is missing, or the address is of another kind.
    """
    named = (options.dask_tls_ca, options.dask_tls_cert, options.dask_tls_key)
    if named == (None, None, None):
        return None
    ca, cert, key = named
    if ca is None or cert is None or key is None:
        raise InvalidInputError("--dask-tls-ca, --dask-tls-cert and --dask-tls-key go together: give all three")
    if options.dask is None or not options.dask.startswith("tls://"):
        raise InvalidInputError("--dask-tls-ca, -cert and -key are for --dask with an address such as tls://host:8786")
    return distributed.TlsFiles(ca=str(ca), cert=str(cert), key=str(key))


def _places(task: UpdateRequest, stack: ExitStack) -> Iterator[Place]:
    """Give the rows as they were given to the run, in the same order."""
    for file_index, file in enumerate(open_files(task, stack)):
        for row in file:
            if file_index or row.number >= task.options.from_row:
                yield Place(file.name, file_index, row)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
