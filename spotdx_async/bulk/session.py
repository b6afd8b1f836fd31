"""A bulk run from its first row to its closed journal.

One task owns it, so that no cancellation of its user leaves a part of it open.
"""

import asyncio
import inspect
from collections.abc import Awaitable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from spotdx_async._http import clock
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.bulk.engine import Engine
from spotdx_async.bulk.journal.writer import JournalWriter
from spotdx_async.bulk.options import Inputs
from spotdx_async.bulk.outcomes import AsTheyCome, Window
from spotdx_async.bulk.reader import Reader
from spotdx_async.bulk.records import Outcome
from spotdx_async.errors import ConfigError, InvalidInputError, NotSentError, SpotError

T = TypeVar("T")

_RUNS_OF_TASK: ContextVar[tuple[object, ...]] = ContextVar("spotdx_runs", default=())
"""Marks of the runs that a task belongs to. Tasks started by the input have them too, since their context is a copy.

Marks rather than the runs themselves: contexts live as long as the connections that were made in them.
"""
_REPORT_EVERY_S = 0.5
"""As documented for ``progress``."""
_MOST_TO_CLOSE_S = 5.0
"""For a client's close: longer than the journal's longest wait (2 s, for another program)."""


class Session(Generic[T]):
    """A run that has begun.

    Its keeper is a task of its own that no user of the run can cancel: it opens the journal, waits for the engine, and
    closes everything as soon as nothing is in progress, whether or not the consumer comes back.
    """

    def __init__(self, inputs: Inputs, *, is_stopped: bool) -> None:
        """Start the run, in the event loop that is running."""
        self._inputs = inputs
        self._mark = object()
        self._is_stopped = is_stopped
        self._end_cause: SpotError | None = None
        self._reader = self._new_reader()
        self._engine: Engine[T] | None = None
        self.loop: asyncio.AbstractEventLoop = clock.running_loop()
        self._news = asyncio.Event()
        self.outcomes: AsTheyCome[T] = _no_outcomes()
        """Those that may be taken: none before the engine starts, nor when the consumer has left."""
        self._left: BaseException | None = None
        self._error: BaseException | None = None
        self._is_end_raised = self._is_accounted = False
        self._kept: asyncio.Future[None] = self.loop.create_future()
        self._keeper = asyncio.create_task(self._keep(), name="spotdx bulk")
        self._keeper.add_done_callback(self._on_kept)
        inputs.job.open_runs.add(self)

    @property
    def is_under_way(self) -> bool:
        """Whether any part of it is still open."""
        return not self._keeper.done()

    @property
    def duplicates(self) -> tuple[tuple[str, str], ...]:
        """The ids of objects that were created for one row, in pairs; only a run that creates looks for them."""
        return ()

    @property
    def audit_error(self) -> SpotError | None:
        """Why they could not be looked for."""
        return None

    def check_loop(self) -> None:
        """Refuse to be used in another loop.

        Raises:
            ConfigError: it belongs to another one.
        """
        if asyncio.get_running_loop() is not self.loop:
            raise ConfigError("this run was begun in another event loop: iterate it, and close it, in that one")

    def news(self) -> Awaitable[object] | None:
        """Return what waits until there may be an outcome to take; None where none will come: ``raise_for_end``."""
        self.outcomes.note_wait()
        if not self.outcomes.is_empty:
            return clock.turn()
        if self._keeper.done():
            return None
        self._news.clear()
        return self._news.wait()

    def raise_for_end(self) -> None:
        """Report the last progress, and raise, once, the reason why the run ended early, if it did.

        Raises:
            BulkStopped: a problem that every further row would meet stopped it.
            BaseException: from outside the SDK: raised by the input, say, or the reason why it is not the journal's.
        """
        if self._is_end_raised or self._left is not None:
            return
        self._is_end_raised = True
        if self._engine is not None and self._error is None:
            self._report(self._engine)
        if (error := self._error_at_end()) is not None:
            raise _raisable(error)

    def stop(self) -> None:
        """Read and send nothing more; requests that were handed to a connection are finished."""
        self._is_stopped = True
        if self._engine is not None:
            self._engine.stop()

    async def leave(self, why: BaseException) -> None:
        """End it at once, since nobody takes its outcomes any more; return when everything is closed.

        Args:
            why: reported to observers.
        """
        if self._left is None:
            self._left, self.outcomes = why, _no_outcomes()
        self._end(None)
        await clock.seen_through(self._kept)

    def drop(self) -> None:
        """End it from a finalizer, which may run in any thread, and after the loop was closed."""
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._end, None)

    def foreign_error(self) -> BaseException | None:
        """Return an exception from outside the SDK that was not raised yet, for a consumer that left before the end."""
        if self._is_end_raised or self._engine is None:
            return None
        self._is_end_raised = True
        reader = self._reader
        errors = (self._engine.foreign_error, None if reader.was_cancelled else reader.error, reader.close_error)
        return next((error for error in errors if error is not None), None)

    def remaining(self) -> list[Outcome[T]]:
        """Return, once, the outcomes that nobody has taken, of a run that has ended or was left.

        Raises:
            InvalidInputError: it is under way.
        """
        if self._left is None and not self._keeper.done():
            raise InvalidInputError("the run is under way: leave its block, or await its aclose(), and ask then")
        if self._engine is None or self._is_accounted:
            return []
        self._is_accounted = True
        return self._engine.left_over()

    def end_with_client(self) -> None:
        """Send nothing more: the client is closed. Rows that wait come out as skipped."""
        cause = NotSentError("the client was closed during the run: nothing more was sent", reason="closed")
        with suppress(RuntimeError):  # its loop is closed, and its tasks are gone
            if _running_loop() is self.loop:
                self._end(cause)
            else:
                self.loop.call_soon_threadsafe(self._end, cause)

    async def closed(self) -> None:
        """Wait until its input and its journal are closed, so that the same run can be started again.

        Does not wait in another loop, nor in a task of the run or one that such a task started, as when the input
        closes the client: the run would wait for itself. Waits at most 5 s: the input may wait for a task that was
        started elsewhere.
        """
        if _running_loop() is self.loop and self._mark not in _RUNS_OF_TASK.get():
            await asyncio.wait([self._kept], timeout=_MOST_TO_CLOSE_S)

    def _error_at_end(self) -> BaseException | None:
        if self._error is not None or self._engine is None:
            return self._error
        return self._engine.error_at_end()

    def _end(self, cause: SpotError | None) -> None:
        self._is_stopped = True
        self._end_cause = self._end_cause or cause
        if self._engine is not None:
            self._engine.end(cause)

    def _on_kept(self, keeper: asyncio.Task[None]) -> None:
        error = _cut_off() if keeper.cancelled() else keeper.exception()
        if self._error is None:
            self._error = error
        self._kept.set_result(None)
        self._news.set()

    async def _keep(self) -> None:
        _RUNS_OF_TASK.set((*_RUNS_OF_TASK.get(), self._mark))  # before its other tasks start
        observation: CallObservation | None = None
        try:
            observation = self._inputs.job.observe()
            await self._run(observation)
        except asyncio.CancelledError:  # no user of the run can do that
            self._error = _cut_off()
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, the consumer's side raises it
            self._error = error
        finally:
            try:
                await self._reader.close()  # even if the engine never started
            finally:
                if observation is not None:
                    observation.end(self._error_at_end() if self._left is None else self._left)

    def _new_reader(self) -> Reader:
        updates, job = self._inputs.updates, self._inputs.job
        return Reader(updates, job.kind, allow_any_id=job.allow_any_id, encode=job.encode)

    def _new_engine(self, observation: CallObservation | None) -> Engine[T]:
        return Engine(self._reader, self._inputs.job.send, self._inputs.options, observation, self._news.set)

    async def _open(self) -> None:
        """Open what must be open before the first row is read."""
        inputs, job, reader = self._inputs, self._inputs.job, self._reader
        if inputs.journal is not None:
            reader.journal = await JournalWriter.open(inputs.journal, operation=job.operation, server=job.server)
            if reader.journal.had_sessions:
                reader.lands_until_s = clock.now() + job.lands_within_s
                reader.journal.forget_landed_at(reader.lands_until_s)

    async def _close(self, *, is_complete: bool) -> None:
        """Close what was opened."""
        if self._reader.journal is not None:
            await self._reader.journal.close("complete" if is_complete else "stopped")

    async def _run(self, observation: CallObservation | None) -> None:
        inputs = self._inputs
        await self._open()
        reporter: asyncio.Task[None] | None = None
        try:
            engine = self._engine = self._new_engine(observation)
            if self._left is None:
                self.outcomes = engine.outcomes
            engine.start()
            if self._is_stopped:
                engine.stop(self._end_cause)
            if inputs.progress is not None:
                reporter = asyncio.create_task(self._keep_reporting(engine), name="spotdx bulk")
            await self._see_to_end(engine)
        finally:
            try:
                if reporter is not None:
                    reporter.cancel()
                    await clock.seen_through(asyncio.ensure_future(asyncio.wait([reporter])))
            finally:
                await self._close(is_complete=self._engine is not None and self._engine.is_complete)

    async def _see_to_end(self, engine: Engine[T]) -> None:
        """Wait until all of its tasks have ended, even if the keeper itself is cancelled, as when the loop ends."""
        while pending := [task for task in engine.tasks if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError:
                engine.end(_cut_off())

    async def _keep_reporting(self, engine: Engine[T]) -> None:
        never = asyncio.Event()
        while engine.foreign_error is None:
            await clock.sleep(_REPORT_EVERY_S, unless=never)
            self._report(engine)

    def _report(self, engine: Engine[T]) -> None:
        progress = self._inputs.progress
        if progress is None:
            return
        try:
            returned = progress(engine.progress())
            if inspect.iscoroutine(returned):
                returned.close()
                raise InvalidInputError("progress must be a plain function, not an async one")  # noqa: TRY301
        except BaseException as error:  # noqa: BLE001 - the caller's own; raised again at the end
            engine.fail(error)


def _no_outcomes() -> AsTheyCome[Any]:
    return AsTheyCome(Window(0))


def _cut_off() -> SpotError:
    return NotSentError("a task of the run was cancelled from outside", reason="closed")


def _raisable(error: BaseException) -> BaseException:
    """Return an error as an iterator may raise it: these two would read as its regular end."""
    if isinstance(error, (StopIteration, StopAsyncIteration)):
        return RuntimeError(f"something outside the SDK raised {type(error).__name__} during the run")
    return error


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
