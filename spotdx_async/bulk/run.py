"""A bulk run as its user sees it: the outcomes one by one, and a handle to stop it."""

import asyncio
import os
import sys
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from attrs import evolve

from spotdx_async._http import clock
from spotdx_async.bulk.journal.changed_input import accept, first_difference
from spotdx_async.bulk.journal.recorded import RecordedCreate, recorded_creates
from spotdx_async.bulk.journal.records import AcceptedInput
from spotdx_async.bulk.options import (
    Inputs,
    Job,
    RunOptions,
    as_journal,
    as_seconds,
    check_progress,
    check_rows,
)
from spotdx_async.bulk.reader import checked_row, content_of
from spotdx_async.bulk.records import Journal, Outcome, Progress
from spotdx_async.bulk.session import Session
from spotdx_async.config import check_count, host_of
from spotdx_async.errors import InvalidInputError, SpotError

T = TypeVar("T")


class BulkRun(AsyncIterator[Outcome[T]], Generic[T]):
    """An asynchronous iterator of outcomes, one for every row that was read; nothing happens before it is iterated.

    Use it as a context manager, so that it ends with the block, however that is left::

        async with spot.kits.update_metadata_many(rows) as run:
            async for outcome in run:
                ...

    Leaving the block ends the run: nothing more is sent, requests in progress are cut off, and the input and the
    journal are closed. ``stop`` ends it in order. It has one consumer, in one event loop.
    """

    def __init__(
        self,
        updates: Iterable[Any] | AsyncIterable[Any],
        job: Job,
        *,
        concurrency: int = 64,
        ordered: bool = False,
        coalesce: bool = False,
        journal: str | os.PathLike[str] | Journal | None = None,
        progress: Callable[[Progress], object] | None = None,
        stop_after: int | None = None,
        outage_limit: float = 1800.0,
        wait_for_server: bool = False,
        session: type[Session[T]] = Session,
    ) -> None:
        """Check everything that can be checked before the run.

        Raises:
            InvalidInputError: ``updates`` or an option is unusable.
        """
        self._session: Session[T] | None = None
        self._session_type = session
        check_rows(job.rows_name, updates)
        options = RunOptions(
            concurrency=check_count("concurrency", concurrency, error=InvalidInputError),
            ordered=ordered,
            coalesce=coalesce,
            stop_after=None if stop_after is None else check_count("stop_after", stop_after, error=InvalidInputError),
            outage_limit_s=as_seconds("outage_limit", outage_limit),
            wait_for_server=wait_for_server,
            policy=job.policy,
            operation=job.operation,
            host=host_of(job.server),
            lands_within_s=job.lands_within_s,
            sleep=job.sleep,
            total=len(updates) if isinstance(updates, Sized) else None,
        )
        check_progress(progress)
        self._inputs = Inputs(updates, job, options, as_journal(journal), progress)
        self._operation = job.operation
        self._is_stopped = self._is_over = self._is_awaited = False
        self._consumer: asyncio.Task[Any] | None = None

    @property
    def operation(self) -> str:
        """What is done with each row: the method and the path template, such as ``POST /api/v2/orders/``."""
        return self._operation

    def __repr__(self) -> str:
        return f'<BulkRun of {self._operation}: "async for" sends its rows, and reads their outcomes>'

    def __aiter__(self) -> "BulkRun[T]":
        """Return the run itself.

        Raises:
            InvalidInputError: another task is iterating it.
        """
        consumer = clock.current_task()
        if self._consumer is not None and self._consumer is not consumer and not self._consumer.done():
            raise InvalidInputError("another task reads this run already: a run has one consumer")
        self._consumer = consumer
        return self

    async def __anext__(self) -> Outcome[T]:
        """Return the next outcome."""
        session = self._session
        if session is None:
            session = self._begin()
        if asyncio.get_running_loop() is not session.loop:
            session.check_loop()
        if self._is_awaited:
            raise InvalidInputError("another task waits for this run's next outcome: a run has one consumer")
        if (outcome := session.outcomes.take()) is not None:
            return outcome
        self._is_awaited = True
        try:
            while outcome is None and (news := session.news()) is not None:
                await news
                outcome = session.outcomes.take()
        except GeneratorExit:  # the consumer itself was discarded, and may not wait any more
            session.drop()
            raise
        except BaseException as error:  # noqa: BLE001 - raised again, whatever it is
            await session.leave(error)
            raise error.with_traceback(None)  # noqa: B904 - the same error, without frames that hold rows
        finally:
            self._is_awaited = False
        if outcome is not None:
            return outcome
        try:
            session.raise_for_end()
        except SpotError as error:
            raise error.with_traceback(None)  # noqa: B904 - the same
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        """Return the run itself; it ends with the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the run and close all its parts."""
        try:
            await self.aclose()
        except BaseException as other:
            if error is None or isinstance(other, asyncio.CancelledError):
                raise
            error.add_note(f"closing the bulk run raised {type(other).__name__} as well")

    def __del__(self) -> None:
        """Warn of a run that was forgotten, and end it."""
        session = self._session
        if session is not None and session.is_under_way and not sys.is_finalizing():
            session.drop()
            message = f"a bulk run of {self._operation} was left before its end: use async with, or await its aclose()"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    def accept_changed_input(self, rows: Iterable[Any]) -> AcceptedInput | None:
        """Let the journal resume with an input that was mended or extended since; call it before the run is iterated.

        Rows are known by their id and what they set, not by their number: what is done is not sent again, wherever it
        stands now. It blocks while it reads ``rows``.

        Args:
            rows: all that this run is going to read, in the same order.

        Returns:
            What of these rows the journal knows; None if there is no journal yet, or it is that of this input.

        Raises:
            JournalError: the journal cannot be used, or cannot tell what must not be sent again, since rows that are
                done are not among ``rows``, or since a session was killed. It is as it was, and nothing was sent.
            InvalidInputError: the run has no journal, or has begun.
        """
        job, journal = self._inputs.job, self._inputs.journal
        if journal is None or self._session is not None:
            raise InvalidInputError("a changed input can be accepted only by a run with a journal, before it begins")
        return accept(journal, self._contents(rows), operation=job.operation, server=job.server)

    def first_changed_row(self, rows: Iterable[Any]) -> int | None:
        """Return the index of the first of ``rows`` that is not the one that the journal knows by this number.

        That is for a JournalError with the reason ``"changed input"``: the journal keeps no more of its input.

        Args:
            rows: those that were refused, in the same order.

        Returns:
            The number of rows if there are fewer than the journal knows; None if all that it knows are the same.

        Raises:
            JournalError: the journal cannot be read.
            InvalidInputError: the run has no journal.
        """
        if self._inputs.journal is None:
            raise InvalidInputError("the run has no journal")
        return first_difference(self._inputs.journal, self._contents(rows))

    def _contents(self, rows: Iterable[Any]) -> Iterator[tuple[str, bytes | None]]:
        job = self._inputs.job
        if job.kind is None:
            raise InvalidInputError("only a run that sets metadata knows rows by their numbers")
        for row in rows:
            key, body = checked_row(row, job.kind, allow_any_id=job.allow_any_id, encode=job.encode)
            yield key, content_of(body) if isinstance(body, bytes) else None

    def only_settle(self, *, any_batch: bool = False) -> None:
        """Let a run that creates settle what is in doubt, and send nothing; call it before the run is iterated.

        Rows that are not in doubt come out ``skipped``, with an error unless they were done before.

        Args:
            any_batch: whether the journal may be that of a batch by another name.

        Raises:
            InvalidInputError: it is no run that creates, or has begun.
        """
        job = self._inputs.job
        if not job.creates or self._session is not None:
            raise InvalidInputError("only a run that creates can be told to settle only, before it begins")
        self._inputs = evolve(self._inputs, job=evolve(job, only_settles=True, takes_any_batch=any_batch))

    def recorded(self, keys: Iterable[str]) -> Iterator[RecordedCreate]:
        """Yield what the journal of a run that creates says of each key: the key, a state, the id of what was created.

        For before the run and after its end; it blocks while it reads. The state is ``ok``, ``rejected``, ``failed``,
        or ``unknown`` for what is in doubt; None, and no id, for what is not recorded as sent.

        Args:
            keys: of rows, in any order.

        Raises:
            JournalError: the journal is in use, or cannot be used by this run; it is as it was.
            InvalidInputError: it is no run that creates.
        """
        job = self._inputs.job
        if not job.creates:
            raise InvalidInputError("only a run that creates records keys")
        recorded = recorded_creates(
            self._inputs.journal,
            keys,
            operation=job.operation,
            server=job.server,
            batch=None if job.takes_any_batch else job.batch or "",
        )
        if not job.ids_are_keys:
            return recorded
        return ((key, state, key if state == "ok" else None) for key, state, _ in recorded)

    @property
    def duplicates(self) -> tuple[tuple[str, str], ...]:
        """The ids of objects that carry the same reference, in pairs, as a run that creates has found them by its end.

        They are reported and never cancelled. Empty for other runs, and until looks have found some. The list may be
        late with what was created in the last 10 s of a run: a later session of the same call looks at that again.
        """
        return () if self._session is None else self._session.duplicates

    @property
    def audit_error(self) -> SpotError | None:
        """Why a run that creates could not look for duplicates at its end; None if it could, or did not have to."""
        return None if self._session is None else self._session.audit_error

    def stop(self) -> None:
        """Read and send nothing more: requests in flight are finished, other rows that were read come out as skipped.

        Rows that wait for a slot, a token, a pause or a connection are woken. The loop continues until all outcomes
        have come, and then ends without an error. May be called at any time, in the run's event loop.
        """
        self._is_stopped = True
        if self._session is not None:
            self._session.stop()

    async def aclose(self) -> None:
        """End the run at once and cancel requests in flight: one that was sent may or may not be executed.

        It returns when the input and the journal are closed; a cancellation waits for that, at most 5 s.

        Raises:
            ConfigError: the run was begun in another event loop.
            BaseException: what the input raised when it was closed, for example, if that was not raised before.
        """
        self._is_over = True
        session = self._session
        if session is None:
            return
        session.check_loop()
        await session.leave(GeneratorExit())
        if (error := session.foreign_error()) is not None:
            raise error

    def remaining_outcomes(self) -> list[Outcome[T]]:
        """Return, once, the outcomes of rows that were read and whose outcome was not taken, after the run was left.

        Together with those that were taken they are one for each row that was read: ``skipped`` where nothing was sent,
        ``unknown`` where the request was cut off, and whatever else was not taken in time.

        Raises:
            InvalidInputError: the run is under way.
        """
        return [] if self._session is None else self._session.remaining()

    def _begin(self) -> Session[T]:
        if self._is_over:
            raise StopAsyncIteration
        self._session = self._session_type(self._inputs, is_stopped=self._is_stopped)
        return self._session
