"""A bulk run as its user sees it: the outcomes one by one, and a handle to stop it."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sized
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from attrs import define, frozen

from spotdx_async._pipeline import clock
from spotdx_async._pipeline.messages import ClosableRun
from spotdx_async._pipeline.watching import Watched, Watcher
from spotdx_async.bulk.course import Send
from spotdx_async.bulk.engine import Engine, Plan
from spotdx_async.bulk.intake import Intake, check_updates
from spotdx_async.bulk.journal_writer import JournalWriter
from spotdx_async.bulk.records import Journal, Outcome, Progress, Update
from spotdx_async.config import RetryPolicy, check_count
from spotdx_async.errors import InvalidInputError, SpotError

__all__ = ["BulkRun", "Job"]

T = TypeVar("T")

_TELL_EVERY_S = 0.5


@frozen(kw_only=True)
class Job:
    """What a run does with its rows, whatever the noun."""

    kind: type[Update]
    """What a row is."""
    send: Send
    operation: str
    """The operation's name; with ``server`` it tells whose a journal is."""
    server: str
    policy: RetryPolicy
    timeout_s: float
    """Of one attempt."""
    lands_within_s: float
    """Seconds after which a request that was sent has been carried out, or never will be."""
    open_runs: WeakSet[ClosableRun]
    """The client's runs: an engine adds itself when it begins, and the client that closes ends those that are left."""
    watcher: Watcher | None = None
    """Of the run and its rows."""

    def watch(self) -> AbstractContextManager[Watched | None]:
        """Tell the observers, if there are any, that a run begins; it ends with the block."""
        return nullcontext() if self.watcher is None else self.watcher.watch(self.operation, "run")


@frozen
class _Inputs:
    updates: Iterable[Any] | AsyncIterable[Any]
    job: Job
    plan: Plan
    journal: Journal | None
    progress: Callable[[Progress], object] | None


@define
class _Handle:
    engine: Engine[Any] | None = None
    is_stopped: bool = False


class BulkRun(AsyncIterator[Outcome[T]], Generic[T]):
    """An asynchronous iterator of outcomes, one for every row that was read; nothing happens before it is iterated.

    Leaving the loop ends the run and cancels what is under way; ``stop`` ends it in order.
    """

    def __init__(
        self,
        updates: Iterable[Any] | AsyncIterable[Any],
        job: Job,
        *,
        concurrency: int,
        ordered: bool,
        coalesce: bool,
        journal: str | os.PathLike[str] | Journal | None,
        progress: Callable[[Progress], object] | None,
        stop_after: int | None,
        outage_limit: float,
    ) -> None:
        """Check everything that can be checked before the run.

        Raises:
            InvalidInputError: ``updates`` or an option is unusable.
        """
        check_updates(updates)
        plan = Plan(
            concurrency=check_count("concurrency", concurrency, error=InvalidInputError),
            ordered=ordered,
            coalesce=coalesce,
            stop_after=None if stop_after is None else check_count("stop_after", stop_after, error=InvalidInputError),
            outage_limit_s=_seconds("outage_limit", outage_limit),
            policy=job.policy,
            operation=job.operation,
            timeout_s=job.timeout_s,
            total=len(updates) if isinstance(updates, Sized) else None,
        )
        if progress is not None and not callable(progress):
            raise InvalidInputError("progress must be a function that takes a Progress")
        self._handle = _Handle()
        self._outcomes: AsyncGenerator[Outcome[T], None] = _run(
            _Inputs(updates, job, plan, _journal(journal), progress), self._handle
        )

    def __aiter__(self) -> "BulkRun[T]":
        """Give the run itself."""
        return self

    async def __anext__(self) -> Outcome[T]:
        """Give the next outcome."""
        engine = self._handle.engine
        if engine is not None and (outcome := engine.take()) is not None:
            return outcome  # it is there already: no need to wake the generators
        try:
            return await anext(self._outcomes)
        except (SpotError, asyncio.CancelledError) as error:
            raise error.with_traceback(None)  # noqa: B904 - the same error, without frames that hold rows

    def stop(self) -> None:
        """Read and send no more: what is under way is finished, other rows that were read come out as skipped.

        The loop goes on until all of them have come, and then ends without an error. May be called at any time, in the
        run's event loop.
        """
        self._handle.is_stopped = True
        if self._handle.engine is not None:
            self._handle.engine.stop()

    async def aclose(self) -> None:
        """End the run at once and cancel what is under way: a request that was sent may or may not be carried out."""
        await self._outcomes.aclose()


async def _run(inputs: _Inputs, handle: _Handle) -> AsyncGenerator[Outcome[Any], None]:
    job, progress = inputs.job, inputs.progress
    with job.watch() as watch:
        journal = None
        if inputs.journal is not None:
            journal = await JournalWriter.open(inputs.journal, operation=job.operation, server=job.server)
        intake = Intake(inputs.updates, job.kind, journal)
        engine: Engine[Any] = Engine(intake, job.send, inputs.plan, journal, watch)
        handle.engine = engine
        if handle.is_stopped:
            engine.stop()
        teller = None if progress is None else asyncio.create_task(_tell(progress, engine), name="spotdx bulk")
        try:
            async with aclosing(engine.outcomes()) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        finally:
            handle.engine = None
            if teller is not None:
                teller.cancel()
                await asyncio.wait([teller])
            if journal is not None:
                await journal.close("complete" if engine.is_complete else "stopped")
        if progress is not None:
            progress(engine.progress())
        engine.raise_for_end()


async def _tell(progress: Callable[[Progress], object], engine: Engine[Any]) -> None:
    never = asyncio.Event()
    while True:
        await clock.sleep(_TELL_EVERY_S, unless=never)
        try:
            progress(engine.progress())
        except Exception as error:  # noqa: BLE001 - the caller's own; raised again at the end
            engine.fail(error)
            return


def _journal(journal: object) -> Journal | None:
    if journal is None or isinstance(journal, Journal):
        return journal
    if isinstance(journal, (str, os.PathLike)) and os.fspath(journal):
        return Journal(journal)
    raise InvalidInputError(f"journal must be a path or a Journal, not {type(journal).__name__}")


def _seconds(name: str, value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise InvalidInputError(f"{name} must be a number of seconds above 0")
