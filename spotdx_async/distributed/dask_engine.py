"""A bulk run on a Dask cluster: splits, submits a few shards ahead of the workers, merges the reports."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from attrs import frozen
from distributed import Client, Future, KilledWorker

from spotdx_async._http import clock
from spotdx_async.bulk.records import Noun, Progress, State
from spotdx_async.config import RateLimit
from spotdx_async.distributed.coordinator import DistributedProgress
from spotdx_async.distributed.dask_plugins import CoordinatorPlugin, WorkerSide, name_of, run_in_worker
from spotdx_async.distributed.partition import Split
from spotdx_async.distributed.shard import (
    ENOUGH_FAILURES,
    RunReport,
    Shard,
    ShardReport,
    failures_of,
    unread,
)
from spotdx_async.distributed.shard_run import ShardOptions
from spotdx_async.distributed.worker_client import ClientSettings
from spotdx_async.errors import ConfigError, InvalidInputError

_LOOK_EVERY_S = 0.5
_SHARDS_AHEAD = 2
_ANSWER_S = 30.0


async def update_metadata_distributed(
    source: Iterable[Any] | AsyncIterable[Any],
    *,
    client: Client,
    noun: Noun = "kits",
    folder: str | os.PathLike[str] | None = None,
    shard_rows: int | None = None,
    settings: ClientSettings | None = None,
    options: ShardOptions | None = None,
    limit: RateLimit | None = None,
    progress: Callable[[Progress], object] | None = None,
    on_report: Callable[[ShardReport], object] | None = None,
    stop: asyncio.Event | None = None,
) -> RunReport:
    """Set the metadata of very many kits, or orders, on the workers of a Dask cluster.

    The input is read to its end first and split by a hash of the id, so that all updates of one kit are in one shard,
    in order. A shard whose worker is lost goes to another one: with ``folder`` it skips the rows that its journal shows
    done, otherwise it is sent again as a whole. Every row is in a report.

    The token comes from each worker's environment (``SPOTDX_TOKEN``) or from ``settings.token``; it is never part of a
    task.

    Args:
        source: as for ``update_metadata_many``.
        client: of the cluster, created with ``asynchronous=True``; its workers have this package and the extra
            ``dask``.
        noun: whose metadata the rows set.
        folder: one that the workers share, for rows, journals and failed rows (modes 0700 and 0600). The same call with
            the same input and folder resumes a run. None: rows travel in tasks, and nothing is written to disk.
        shard_rows: rows of a shard, 1 to 8,000, exceeded by up to a quarter; None: 1,000 to 4,000, depending on the
            input.
        settings: of the client that each worker process creates.
        options: how shards are run.
        limit: requests a second of all workers together, leased from Dask's scheduler. For a limit that is shared
            through Redis, including with others outside this run, pass ``settings.limiter`` instead.
        progress: called with a Progress twice a second while shards run, and at the end; ``throttled`` and
            ``is_paused`` are not known here.
        on_report: called with each shard's report as it comes; number -1 reports rows that were bad already.
        stop: once set, rows in progress are finished, and the rest is reported as skipped.

    Returns:
        The sum of the reports; if the run ended early, ``stopped`` says why: for a reason that every shard would meet,
        such as a refused token.

    Raises:
        ConfigError: a setting is wrong, two limits are passed, or the client is not asynchronous.
        InvalidInputError: ``source``, ``shard_rows`` or ``folder`` cannot be used; nothing was sent.
        Exception: raised by the input, ``progress`` or ``on_report``; running shards are stopped then.
    """
    if not client.asynchronous:
        raise ConfigError("the Dask client is not asynchronous: use update_metadata_distributed_blocking")
    settings = ClientSettings() if settings is None else settings
    if limit is not None and settings.limiter is not None:
        raise ConfigError("pass limit or settings.limiter, not both")
    options = options or ShardOptions.settled_for(settings.timeout_s, settings.lands_within_s)
    began_s = clock.now()
    with Split(
        shard_rows=shard_rows,
        noun=noun,
        folder=folder,
        allow_any_id=settings.allow_any_id,
        encode=settings.encode,
        keeps_outcomes=options.keeps_outcomes,
    ) as split:
        await split.read(source)
        async with _coordinator(client, settings, options, limit) as run:
            stop = asyncio.Event() if stop is None else stop
            drive = _Drive(client, run, split, on_report, stop)
            drive.stop_after = options.stop_after
            await drive.through(progress)
    drive.report.elapsed_s = clock.now() - began_s
    return drive.report


def update_metadata_distributed_blocking(source: Iterable[Any], *, client: Client, **options: Any) -> RunReport:
    """Do the same with a Dask client that is not asynchronous; ``stop`` is not available.

    The input is read on the client's own thread.
    """

    async def run() -> RunReport:
        return await update_metadata_distributed(source, client=client, **options)

    report: RunReport = client.sync(run)
    return report


@asynccontextmanager
async def _coordinator(
    client: Client, settings: ClientSettings, options: ShardOptions, limit: RateLimit | None
) -> AsyncGenerator[str, None]:
    """Install a run's parts on scheduler and workers, and remove them again."""
    run = secrets.token_hex(4)
    await client.register_plugin(CoordinatorPlugin(run, limit, client.id), name=name_of(run))
    try:
        side = WorkerSide(run, settings, options, limit)
        await client.register_plugin(side, name=name_of(run))
        try:
            yield run
        finally:
            with suppress(OSError, TimeoutError):
                await _ask(client, run, "close")
            with suppress(Exception):  # the cluster may be gone
                await client.unregister_worker_plugin(name_of(run))
    finally:
        with suppress(Exception):  # the same
            await client.unregister_scheduler_plugin(name_of(run))


async def _ask(client: Client, run: str, act: str, **about: Any) -> Any:
    async with asyncio.timeout(_ANSWER_S):
        return await getattr(client.scheduler, name_of(run))(act=act, **about)


@frozen
class _Given:
    shard: Shard
    future: "Future[Any]"


class _Drive:
    """Keeps a few shards ahead of the workers, so that memory and the scheduler's load stay flat."""

    def __init__(
        self,
        client: Client,
        run: str,
        split: Split,
        on_report: Callable[[ShardReport], object] | None,
        stop: asyncio.Event,
    ) -> None:
        self.report = RunReport()
        self.stop_after: int | None = None
        self._has_enough = False
        self._client = client
        self._run = run
        self._split = split
        self._shards: Iterator[Shard] = split.shards()
        self._is_read_up = False
        self._on_report = on_report
        self._stop = stop
        self._given: dict[asyncio.Task[ShardReport], _Given] = {}
        self._reported: list[int] = []
        self._window = 1
        self._is_stopped_run_wide = False

    async def through(self, progress: Callable[[Progress], object] | None) -> None:
        """Run every shard, or report it."""
        self._take(self._split.rejected)
        pace = DistributedProgress(clock.now())
        looking = asyncio.create_task(self._look(progress, pace), name="spotdx look")
        stopping = asyncio.create_task(self._stop.wait(), name="spotdx stop")
        try:
            while await self._fill():
                await asyncio.wait({*self._given, looking, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if looking.done():
                    looking.result()  # raises what progress has raised
                await self._collect()
                if stopping.done():
                    await self._tell_to_stop()
                    stopping = asyncio.create_task(asyncio.Event().wait(), name="spotdx stop")  # once is enough
        finally:
            await self._let_go(looking, stopping)
        if self._has_enough and self.report.stopped is not None and not self._is_stopped_run_wide:
            self.report.stopped = ENOUGH_FAILURES
        if progress is not None:
            progress(pace.progress(clock.now(), self.report.counts, (), self._split.rows))

    async def _fill(self) -> bool:
        """Hand out shards as far as the window allows; return False when all have reported."""
        if not self._is_read_up and not self._stop.is_set() and len(self._given) < self._window:
            threads = sum((await self._client.nthreads()).values())
            self._window = max(1, threads) * _SHARDS_AHEAD
        while not self._is_read_up and len(self._given) < self._window and not self._stop.is_set():
            # In a thread: SQLite sorts at the first shard, and a network file system may be slow for each.
            shard = await asyncio.to_thread(next, self._shards, None)
            if shard is None:
                self._is_read_up = True
                break
            self._submit(shard)
        if self._stop.is_set() and not self._is_read_up:
            for shard in self._shards:
                self._take(unread(shard, "the run was stopped"))
            self._is_read_up = True
        return bool(self._given)

    def _submit(self, shard: Shard) -> None:
        key = f"{name_of(self._run)}-{shard.number:06}"
        # The key names the run: Dask answers a key that it knows with the earlier result.
        future = self._client.submit(run_in_worker, shard, self._run, key=key, pure=False)
        self._given[asyncio.create_task(_result(future, shard), name="spotdx shard")] = _Given(shard, future)

    async def _collect(self) -> None:
        for task in [task for task in self._given if task.done()]:
            given = self._given.pop(task)
            report = task.result()
            # Released at once: the scheduler keeps results for as long as a future refers to them.
            given.future.release()
            self._reported.append(given.shard.number)
            if report.is_run_wide:
                self._stop.set()
            self._take(report)

    async def _tell_to_stop(self) -> None:
        with suppress(OSError, TimeoutError):
            await _ask(self._client, self._run, "stop")

    def _take(self, report: ShardReport) -> None:
        # A reason that holds for every shard takes precedence over those that follow from it.
        is_first = report.is_run_wide and report.stopped is not None
        self.report.add(report)
        if is_first:
            self.report.stopped = report.stopped
            self._is_stopped_run_wide = True
        self._stop_at_enough(failures_of(self.report.counts))
        if self._on_report is not None:
            self._on_report(report)

    async def _look(self, progress: Callable[[Progress], object] | None, pace: DistributedProgress) -> None:
        never = asyncio.Event()
        while True:
            await clock.sleep(_LOOK_EVERY_S, unless=never)
            if progress is None and self.stop_after is None:
                continue
            forget, self._reported = self._reported, []
            try:
                found = await _ask(self._client, self._run, "look", forget=forget)
            except (OSError, TimeoutError):
                continue
            # A shard may have reported while the question was on its way: it must not be counted twice.
            open_shards = {given.shard.number for given in self._given.values()}
            under_way = [counts for number, counts in found if number in open_shards]
            self._stop_at_enough(sum(map(failures_of, (self.report.counts, *under_way))))
            if progress is not None:
                progress(pace.progress(clock.now(), self.report.counts, under_way, self._split.rows))

    def _stop_at_enough(self, failures: int) -> None:
        if self.stop_after is not None and failures >= self.stop_after:
            self._has_enough = True
            self._stop.set()

    async def _let_go(self, *helpers: asyncio.Task[Any]) -> None:
        tasks = [*helpers, *self._given]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if self._given:
            with suppress(Exception):  # the cluster may be gone
                await self._client.cancel([given.future for given in self._given.values()])


async def _result(future: "Future[Any]", shard: Shard) -> ShardReport:
    """Wait for a shard's report; if none comes, make one that says so."""
    try:
        report: ShardReport = await future
    except KilledWorker:
        reason, is_run_wide = "its worker was lost again and again", False
    except asyncio.CancelledError:
        task = asyncio.current_task()
        # Dask raises the same exception when it drops a future as when this task is cancelled: only the task can tell.
        if task is not None and task.cancelling():
            raise
        reason, is_run_wide = "the cluster has dropped it", True
    except Exception as error:  # noqa: BLE001 - its text may hold anything
        reason, is_run_wide = f"Dask gave {type(error).__name__} for it", False
    else:
        return report
    try:
        return unread(shard, reason, state="unknown", is_run_wide=is_run_wide)
    except InvalidInputError as error:
        counts: dict[State, int] = {**RunReport().counts, "unknown": shard.count}
        stopped = f"{reason}; {error}"
        return ShardReport(shard=shard.number, counts=counts, stopped=stopped, is_run_wide=is_run_wide)
