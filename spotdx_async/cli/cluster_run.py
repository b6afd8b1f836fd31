"""A run of a bulk update on a Dask cluster: the same summary at its end as a run in this process."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import spotdx_async
from spotdx_async import distributed
from spotdx_async.bulk.records import FAILURES
from spotdx_async.cli.exit_codes import hinted, of_worker
from spotdx_async.cli.open_files import check_room
from spotdx_async.cli.outcomes import WorkerOutcomes
from spotdx_async.cli.output import Streams
from spotdx_async.cli.progress import Estimator, Standing
from spotdx_async.cli.row_options import UpdateOptions
from spotdx_async.cli.row_results import InputRow, RowSet
from spotdx_async.cli.row_run import RowRun, open_files
from spotdx_async.cli.settings import Setting
from spotdx_async.cli.update_run import UpdateRequest
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import ChangedInputError, DamagedInputError

__all__ = ["ClusterRun"]

_MOST_WORKERS = 256
_OPEN_TO_NETWORK = (
    "the connection to the cluster is neither encrypted nor authenticated, so anyone on the network can read the rows "
    "and run code on its workers: use a tls:// address with --dask-tls-ca, --dask-tls-cert and --dask-tls-key"
)


class ClusterRun(RowRun):
    """Sends the rows from the workers of a cluster."""

    _request: UpdateRequest
    _options: UpdateOptions

    def __init__(self, request: UpdateRequest, streams: Streams) -> None:
        """Check, before anything is opened, what a cluster cannot do; then open everything.

        Raises:
            InvalidInputError: an input, an option, or a file to be written cannot be used.
            ConfigError: a setting is wrong, there is no token, or Dask is not installed.
        """
        _check(request)
        super().__init__(request, streams)

    def _prepare(self) -> None:
        options, settings = self._options, self._request.settings
        self._update = distributed.update_metadata_distributed
        self._settings = distributed.ClientSettings(
            base_url=settings.base_url.value,
            timeout_s=settings.timeout_s.value,
            lands_within_s=options.lands_within_s,
            concurrency=settings.concurrency.value,
            allow_any_id=settings.allow_any_id,
            proxy=_of_profile(settings.proxy),
            ca_file=_of_profile(settings.ca_file),
            client_cert=_of_profile(settings.client_cert),
            client_key=_of_profile(settings.client_key),
            # Processes of this machine ask the same source; a cluster's workers have a token of their own.
            token=None if options.workers is None else settings.token.read,
        )
        rate = settings.rate.value
        self._limit = None if rate is None else spotdx_async.RateLimit(rate)
        self._tls = _tls(options)
        check_room(workers=options.workers or 0)
        if options.dask is not None and distributed.is_open_to_network(options.dask):
            self._streams.say(_OPEN_TO_NETWORK)
        self._undone = RowSet()
        self._progress: spotdx_async.Progress | None = None
        self._report = distributed.RunReport()
        # The first report is that of the bad rows, right before shards are given out.
        self._has_begun = False
        self._stop = asyncio.Event()
        self._worker_outcomes: WorkerOutcomes | None = None

    async def _work(self) -> None:
        request, options = self._request, self._options
        rows: Any = self._source
        if self._outcomes is not None:
            self._worker_outcomes = WorkerOutcomes(self._outcomes)
            rows = self._worker_outcomes.noted(self._source)
        async with distributed.connected(options.dask, options.workers, tls=self._tls) as client:
            self._report = await self._update(
                rows,
                client=client,
                noun=request.noun,
                folder=options.journal,
                settings=self._settings,
                options=distributed.ShardOptions(
                    concurrency=request.settings.concurrency.value,
                    coalesce=options.coalesces,
                    outage_limit_s=options.outage_limit_s,
                    stop_after=options.max_errors,
                    keeps_outcomes=self._outcomes is not None,
                    settle_s=request.lands_within_s,
                ),
                limit=self._limit,
                progress=self._note,
                on_report=self._mark,
                stop=self._stop,
            )
        if self._stopped is None or self._report.stopped is None:
            self._stopped = None if self._report.stopped is None else hinted(self._report.stopped)

    def _note(self, progress: spotdx_async.Progress) -> None:
        self._progress = progress

    def _mark(self, report: distributed.ShardReport) -> None:
        """Add the report to those before, in case the run is cut off, and remember the rows that are not done."""
        self._report.add(report)
        self._has_begun = True
        for index in report.undone:
            self._undone.add(0, "", index)
        if self._worker_outcomes is not None:
            self._worker_outcomes.add(report)

    def _wind_down(self, work: asyncio.Task[None]) -> None:  # noqa: ARG002 - the workers end it
        self._stopped = "stopped by a signal"
        self._stop.set()
        self._streams.say("stopping: the workers finish what is under way; another signal stops at once")

    def _judge(self, work: asyncio.Task[None]) -> None:
        if work.cancelled():
            self._stopped = "stopped by a signal, at once: what the workers were doing is not known"
        elif isinstance(error := work.exception(), (DamagedInputError, ChangedInputError)):
            # All rows are read before any is sent.
            name, _ = self._source.next_unread or ("the input", 1)
            if isinstance(error, ChangedInputError):
                raise ChangedInputError(f"{name}: {error}") from None
            raise InvalidInputError(f"{name}: {error}; nothing was sent") from None
        elif error is not None:
            raise error

    def _finish(self) -> dict[str, Any]:
        """Record what became of the rows; if some are not done, read all once more, to name them and write them out."""
        report, row_results = self._report, self._row_results
        row_results.counts.update(report.counts)
        row_results.done_before = report.done_before
        reasons = {trouble.index: trouble for trouble in report.troubles}
        yielded = self._source.yielded
        row_results.counts["unknown" if self._has_begun else "skipped"] += max(0, yielded - report.rows)
        all_reported = yielded == len(self._undone) + report.done
        if not self._undone and all_reported:
            return {"journal_folder": self._options.journal}
        try:
            for index, row in enumerate(self._rows(yielded)):
                if self._worker_outcomes is not None:
                    self._worker_outcomes.add_rest(index, row)
                if self._undone.has(0, index):
                    if (trouble := reasons.get(index)) is not None:
                        row_results.add_failure(row, trouble.state, of_worker(trouble.reason))
                    row_results.add_undone(row)
                elif all_reported:
                    row_results.add_done(row)
                elif not self._has_begun:
                    row_results.add_undone(row)
                else:
                    row_results.add_unknown(row)  # it may belong to a shard that never reported
        except ChangedInputError as error:
            self._stopped, self._input_fault = f"{error}, so rows that are not done cannot all be named", "changed"
        return {"journal_folder": self._options.journal}

    def _rows(self, count: int) -> Iterator[InputRow]:
        """Yield the rows as they were given to the run, in the same order.

        Raises:
            ChangedInputError: a file is no longer the one from which they came; the text names it.
        """
        with ExitStack() as stack:
            for update in islice(self._source.again(open_files(self._request, stack)), count):
                yield update.source

    def _look(self, estimator: Estimator, now_s: float) -> Standing:
        known = self._progress
        if known is None:
            return estimator.standing(now_s, rows=0, failures=0, share=None)
        failures = sum(known.by_state[state] for state in FAILURES)
        share = known.done / known.total if known.total else None
        states: dict[str, int] = {str(state): count for state, count in known.by_state.items()}
        return estimator.standing(now_s, rows=known.done, failures=failures, share=share, states=states)


def _check(request: UpdateRequest) -> None:
    """Refuse what a cluster cannot do.

    Raises:
        InvalidInputError: an option, or standard input.
        ConfigError: there is no token.
    """
    options = request.options
    _check_workers(options)
    if "-" in request.files:
        raise InvalidInputError("a cluster's rows are read twice: pass files, not standard input")
    if options.report is not None:
        raise InvalidInputError("--report is not available with --dask or --workers, which do not return every outcome")
    if options.accepts_changed_input:
        raise InvalidInputError(
            "--accept-changed-input is not available with --dask or --workers: begin a new run with another --journal"
        )
    if options.waits_for_server:
        raise InvalidInputError("--wait-for-server is not available with --dask or --workers")
    if options.show_phi:
        raise InvalidInputError("--show-phi is not available with --dask or --workers, which do not return the reasons")
    if options.journal is not None and Path(options.journal).is_file():
        raise InvalidInputError("--journal names a folder with --dask or --workers, and this is a file: name another")
    if options.workers is not None:
        request.settings.token.read()  # refused now, not by each worker


def _check_workers(options: UpdateOptions) -> None:
    if options.dask is not None and options.workers is not None:
        raise InvalidInputError("pass --dask or --workers, not both")
    if options.workers is not None and options.workers < 1:
        raise InvalidInputError("--workers must be at least 1")
    if options.workers is not None and options.workers > _MOST_WORKERS:
        raise InvalidInputError(f"--workers must be at most {_MOST_WORKERS}: more processes need a cluster (--dask)")


def _of_profile(setting: Setting[str | None]) -> str | None:
    """Return what a profile says; None where the environment does, which each worker reads for itself."""
    return None if setting.origin.startswith("SPOTDX_") else setting.value


def _tls(options: UpdateOptions) -> distributed.TlsFiles | None:
    """Return the files for a cluster with TLS; None if none are named.

    Raises:
        InvalidInputError: one is missing, or the address is not a tls:// one.
    """
    named = (options.dask_tls_ca, options.dask_tls_cert, options.dask_tls_key)
    if named == (None, None, None):
        return None
    ca, cert, key = named
    if ca is None or cert is None or key is None:
        raise InvalidInputError("--dask-tls-ca, --dask-tls-cert and --dask-tls-key go together: pass all three")
    if options.dask is None or not options.dask.startswith("tls://"):
        raise InvalidInputError("--dask-tls-ca, -cert and -key need --dask with an address such as tls://host:8786")
    return distributed.TlsFiles(ca=str(ca), cert=str(cert), key=str(key))
