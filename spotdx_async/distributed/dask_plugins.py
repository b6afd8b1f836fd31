"""The parts of a run on Dask's scheduler and workers: its coordinator, and the client of each worker process."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from distributed import Scheduler, SchedulerPlugin, Worker, WorkerPlugin, get_worker

from spotdx_async._http import clock
from spotdx_async.bulk.records import Progress, State
from spotdx_async.client import SpotClient
from spotdx_async.config import RateLimit
from spotdx_async.distributed.coordinator import Coordinator, LedgerLimiter, SlotBlock
from spotdx_async.distributed.shard import Shard, ShardReport, unread
from spotdx_async.distributed.shard_run import ShardOptions, run_shard
from spotdx_async.distributed.worker_client import ClientSettings
from spotdx_async.errors import ConfigError

_BEAT_S = 1.0
_ANSWER_S = 5.0


def name_of(run: str) -> str:
    """Return the name of a run's plugins and of its coordinator among the scheduler's handlers."""
    return f"spotdx_{run}"


class CoordinatorPlugin(SchedulerPlugin):
    """A run's coordinator on the scheduler. Its clock is the scheduler's loop."""

    def __init__(self, run: str, limit: RateLimit | None, client: str) -> None:
        self.name: str = name_of(run)
        self._client = client
        self._coordinator = Coordinator(limit)
        self._handlers: dict[str, Any] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Accept the run's messages from now on."""
        self._handlers = scheduler.handlers
        self._handlers[self.name] = self.serve

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **_: Any) -> None:  # noqa: ARG002 - Dask's form
        """Note that its shards will be repeated."""
        self._coordinator.lose(worker)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:  # noqa: ARG002 - Dask's form
        """Stop if nobody is waiting for the run any more."""
        if client == self._client:
            self._coordinator.is_stopped = True

    async def serve(self, act: str, **about: Any) -> Any:
        """Answer a message; values are limited to msgpack's types."""
        coordinator, now_s = self._coordinator, clock.now()
        if act == "take":
            block = coordinator.take(now_s, about["wanted"])
            return [[*block.slots_s], block.again_s]
        if act == "pause":
            return coordinator.pause(now_s, about["seconds"])
        if act == "begin":
            beginning = coordinator.begin(about["shard"], about["worker"])
            return [beginning.is_repeat, beginning.is_stopped]
        if act == "beat":
            return coordinator.beat(about["shard"], about["worker"], about["counts"])
        if act == "end":
            return coordinator.end(about["shard"], about["worker"], about["counts"])
        if act == "look":
            return [[number, dict(counts)] for number, counts in coordinator.look(about["forget"]).items()]
        coordinator.is_stopped = True
        if act == "close":
            self._handlers.pop(self.name, None)
        return None


class WorkerSide(WorkerPlugin):
    """A run's client in one worker process, created with the first shard and closed with the run."""

    def __init__(self, run: str, settings: ClientSettings, options: ShardOptions, limit: RateLimit | None) -> None:
        self.name: str = name_of(run)
        self._settings = settings
        self._options = options
        self._limit = limit
        self._worker: Worker | None = None
        self._spot: SpotClient | None = None
        self._limiter: LedgerLimiter | None = None
        self._stops: set[asyncio.Event] = set()

    def setup(self, worker: Worker) -> None:
        """Remember which worker this is."""
        self._worker = worker

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's form
        """End whatever is still running, and close the client."""
        for stop in self._stops:
            stop.set()
        if self._limiter is not None:
            await self._limiter.close()
        if self._spot is not None:
            await self._spot.close()

    async def run(self, shard: Shard) -> ShardReport:
        """Run a shard, and tell the coordinator; every error goes into the report, since Dask prints exceptions."""
        assert self._worker is not None  # noqa: S101 - set up before any task; for the type checker
        try:
            spot = self._client()
            is_repeat, is_stopped = await self._ask("begin", shard=shard.number, worker=self._worker.address)
        except ConfigError as error:
            return unread(shard, str(error), is_run_wide=True)
        except (OSError, TimeoutError):
            return unread(shard, "Dask's scheduler could not be asked")
        if is_stopped:
            return unread(shard, "the run was stopped")
        return await self._run(shard, spot, is_repeat=is_repeat)

    async def _run(self, shard: Shard, spot: SpotClient, *, is_repeat: bool) -> ShardReport:
        counts: dict[State, int] = {}
        stop = asyncio.Event()
        self._stops.add(stop)

        def note(progress: Progress) -> None:
            counts.update(progress.by_state)

        beating = asyncio.create_task(self._beat(shard.number, counts, stop), name="spotdx beat")
        try:
            report = await run_shard(shard, spot, self._options, is_repeat=is_repeat, stop=stop, progress=note)
        finally:
            self._stops.discard(stop)
            beating.cancel()
            # Not by awaiting the task: its CancelledError would look like one of this task.
            await asyncio.wait([beating])
        try:
            await self._ask("end", **self._about(shard.number, report.counts))
        except (OSError, TimeoutError):
            return report  # it goes to the scheduler anyway, as soon as that is reachable
        return report

    async def _beat(self, shard: int, counts: Mapping[State, int], stop: asyncio.Event) -> None:
        while not stop.is_set():
            await clock.sleep(_BEAT_S, unless=stop)
            try:
                if await self._ask("beat", **self._about(shard, counts)):
                    stop.set()
            except (OSError, TimeoutError):
                continue  # Dask ends a worker that has lost its scheduler

    def _client(self) -> SpotClient:
        if self._spot is None:
            if self._limit is not None:
                self._limiter = LedgerLimiter(self._take, self._pause, limit=self._limit)
            self._spot = self._settings.client(self._limiter)
        return self._spot

    async def _take(self, wanted: int) -> SlotBlock:
        slots_s, again_s = await self._ask("take", wanted=wanted)
        return SlotBlock(slots_s=tuple(slots_s), again_s=again_s)

    async def _pause(self, seconds: float) -> None:
        await self._ask("pause", seconds=seconds)

    def _about(self, shard: int, counts: Mapping[State, int]) -> dict[str, Any]:
        assert self._worker is not None  # noqa: S101 - as above
        return {"shard": shard, "worker": self._worker.address, "counts": dict(counts)}

    async def _ask(self, act: str, **about: Any) -> Any:
        assert self._worker is not None  # noqa: S101 - as above
        async with asyncio.timeout(_ANSWER_S):
            return await getattr(self._worker.scheduler, self.name)(act=act, **about)


async def run_in_worker(shard: Shard, run: str) -> ShardReport:
    """Run a shard in the worker that this task was assigned to, on its event loop."""
    side = cast("WorkerSide", get_worker().plugins[name_of(run)])
    return await side.run(shard)
