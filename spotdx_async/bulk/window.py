"""A bulk run: a few workers on one input, at most a small window of rows open, each key's rows in order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from spotdx_async._pipeline.messages import Answer
from spotdx_async._pipeline.operation import check_id
from spotdx_async.bulk.records import MetadataUpdate, Outcome
from spotdx_async.errors import (
    AuthenticationError,
    BulkStopped,
    ConfigError,
    DecodeError,
    InvalidInputError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    SpotError,
)

__all__ = ["BulkRun"]

T = TypeVar("T")
_REFUSALS_TO_STOP = 3
_RUN_WIDE_REASONS = frozenset({"tls", "token", "closed"})


@frozen
class _Row:
    index: int
    update: MetadataUpdate = field(repr=False)


class BulkRun(Generic[T]):
    """Sends updates with a bounded window, and gives one outcome for every row that it has read.

    Memory is the window's, whatever the input's length: rows that are read and not yet given to the consumer. A slow
    consumer so slows the reading, and with it the sending.
    """

    def __init__(
        self,
        updates: Iterable[Any] | AsyncIterable[Any],
        send: Callable[[MetadataUpdate], Awaitable[Answer[T]]],
        *,
        concurrency: int,
        ordered: bool,
        stop_after: int | None,
    ) -> None:
        self._source = _rows(updates)
        self._send = send
        self._concurrency = concurrency
        self._window = 2 * concurrency
        self._stop_after = stop_after
        self._reading = asyncio.Lock()
        self._read = 0
        self._given = 0
        self._is_read_up = False
        self._foreign_error: Exception | None = None
        # The keys under way, each with its rows that wait for the one before.
        self._busy: dict[str, deque[_Row]] = {}
        self._outcomes: _InOrder[T] | _AsTheyCome[T] = _InOrder() if ordered else _AsTheyCome()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._at_work = 0
        self._stop: SpotError | None = None
        self._refusals = 0
        self._failures = 0
        self._unsent = 0

    async def outcomes(self) -> AsyncIterator[Outcome[T]]:
        """Give the outcomes; leaving the loop ends the run and cancels what is under way.

        Raises:
            BulkStopped: a trouble that every further row would meet; all outcomes of rows that were read came before.
        """
        workers = [asyncio.create_task(self._work(), name="spotdx bulk") for _ in range(self._concurrency)]
        self._at_work = len(workers)
        try:
            while True:
                self._news.clear()
                while (outcome := self._outcomes.take()) is not None:
                    self._given += 1
                    self._room.set()
                    yield outcome
                if not self._at_work:
                    break
                if not self._outcomes.has_next():
                    await self._news.wait()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)
        if self._foreign_error is not None:
            raise self._foreign_error
        if self._stop is not None:
            raise self._stopped(self._stop)

    async def _work(self) -> None:
        try:
            while (row := await self._next_row()) is not None:
                following: _Row | None = row
                while following is not None:
                    self._give(await self._outcome_of(following))
                    following = self._following(following.update.kit_id)
        finally:
            self._at_work -= 1
            self._news.set()

    async def _next_row(self) -> _Row | None:
        """Read on to the next row whose key is free, one worker at a time; None when nothing more is to be read."""
        async with self._reading:
            while not self._is_read_up and self._stop is None:
                if self._read - self._given >= self._window:
                    self._room.clear()
                    await self._room.wait()
                    continue
                row = await self._read_row()
                if row is None:
                    continue
                waiting = self._busy.get(row.update.kit_id)
                if waiting is None:
                    self._busy[row.update.kit_id] = deque()
                    return row
                waiting.append(row)
            return None

    async def _read_row(self) -> _Row | None:
        """Read one row; None for a bad one, which has its outcome then, and at the end of the input."""
        try:
            item = await anext(self._source)
        except StopAsyncIteration:
            self._is_read_up = True
            return None
        except Exception as error:  # noqa: BLE001 - the caller's own; raised again when the rows under way are done
            self._is_read_up = True
            self._foreign_error = error
            return None
        index = self._read
        self._read += 1
        update = _as_update(item)
        if isinstance(update, InvalidInputError):
            key = item.kit_id if isinstance(item, MetadataUpdate) and isinstance(item.kit_id, str) else None
            self._give(Outcome(index=index, key=key, state="rejected", error=update))
            return None
        return _Row(index, update)

    def _following(self, key: str) -> _Row | None:
        """The key's next row, which its predecessor's outcome has set free."""
        waiting = self._busy[key]
        if self._stop is not None:
            self._unsent += len(waiting)
            while waiting:
                self._give(_skipped(waiting.popleft()))
        if waiting:
            return waiting.popleft()
        del self._busy[key]
        return None

    async def _outcome_of(self, row: _Row) -> Outcome[T]:
        if self._stop is not None:
            self._unsent += 1
            return _skipped(row)
        index, key = row.index, row.update.kit_id
        error: SpotError
        try:
            answer = await self._send(row.update)
        except SpotError as raised:
            error = raised
        except Exception as raised:  # noqa: BLE001 - from a limiter of the caller's, say; raised again at the end
            self._foreign_error = raised
            error = OutcomeUnknownError(f"{type(raised).__name__} came from outside the SDK while the row was sent")
        else:
            self._refusals = 0
            return Outcome(
                index=index,
                key=key,
                state="ok",
                value=answer.value,
                attempts=answer.attempts,
                elapsed_s=answer.elapsed_s,
            )
        state = _state_of(error)
        self._watch(error, is_failure=state != "ok")
        return Outcome(
            index=index, key=key, state=state, error=error, attempts=error.attempts, elapsed_s=error.elapsed_s
        )

    def _watch(self, error: SpotError, *, is_failure: bool) -> None:
        """Stop the run where every further row would meet the same trouble, or the caller has seen enough failures."""
        self._refusals = self._refusals + 1 if isinstance(error, PermissionDeniedError) else 0
        self._failures += is_failure
        if (
            self._foreign_error is not None
            or isinstance(error, (AuthenticationError, ConfigError))
            or (isinstance(error, NotSentError) and error.reason in _RUN_WIDE_REASONS)
            or self._refusals >= _REFUSALS_TO_STOP
            or (self._stop_after is not None and self._failures >= self._stop_after)
        ):
            self._stop = self._stop or error
            self._room.set()

    def _give(self, outcome: Outcome[T]) -> None:
        self._outcomes.put(outcome)
        self._news.set()

    def _stopped(self, cause: SpotError) -> BulkStopped:
        message = (
            f"the run stopped, {self._read} rows read and {self._unsent} of them not sent, by {type(cause).__name__}: "
            f"{cause.args[0] if cause.args else ''}"
        )
        return BulkStopped(message, cause=cause, next_index=self._read, unsent=self._unsent, operation=cause.operation)


class _AsTheyCome(Generic[T]):
    """Outcomes in the order of their coming."""

    def __init__(self) -> None:
        self._ready: deque[Outcome[T]] = deque()

    def put(self, outcome: Outcome[T]) -> None:
        self._ready.append(outcome)

    def has_next(self) -> bool:
        return bool(self._ready)

    def take(self) -> Outcome[T] | None:
        return self._ready.popleft() if self._ready else None


class _InOrder(Generic[T]):
    """Outcomes in the order of the rows; those that come early wait."""

    def __init__(self) -> None:
        self._ready: dict[int, Outcome[T]] = {}
        self._next = 0

    def put(self, outcome: Outcome[T]) -> None:
        self._ready[outcome.index] = outcome

    def has_next(self) -> bool:
        return self._next in self._ready

    def take(self) -> Outcome[T] | None:
        outcome = self._ready.pop(self._next, None)
        self._next += outcome is not None
        return outcome


async def _rows(updates: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(updates, AsyncIterable):
        async for item in updates:
            yield item
    else:
        for item in updates:
            yield item


def _as_update(item: Any) -> MetadataUpdate | InvalidInputError:
    """The row as an update, or what is wrong with it."""
    if isinstance(item, InvalidInputError):
        return item
    if isinstance(item, MetadataUpdate):
        update = item
    elif isinstance(item, (tuple, list)) and len(item) == 2:  # noqa: PLR2004 - a pair
        update = MetadataUpdate(*item)
    else:
        kind = type(item).__name__
        return InvalidInputError(f"a row must be MetadataUpdate(kit_id, metadata) or a pair of both, not {kind}")
    try:
        check_id("kit_id", update.kit_id)
    except InvalidInputError as raised:
        fault = raised
    else:
        return update
    return fault


def _state_of(error: SpotError) -> Any:
    """Name what a row's error says of the row.

    1. Never sent, since the row is bad: rejected.
    2. A 2xx whose JSON has another shape: the update is done.
    3. Sent, and nobody knows: unknown.
    4. The server's no, or surely not executed: failed.
    """
    if isinstance(error, InvalidInputError):
        return "rejected"
    if isinstance(error, DecodeError):
        return "ok" if error.outcome == "done" else "unknown"
    if isinstance(error, OutcomeUnknownError):
        return "unknown"
    return "failed"


def _skipped(row: _Row) -> Outcome[Any]:
    error = NotSentError("the run stopped before this row, so it was not sent", reason="stopped")
    return Outcome(index=row.index, key=row.update.kit_id, state="skipped", error=error)


def check_updates(updates: object) -> None:
    """Refuse what can be iterated but holds no rows, before a run begins.

    Raises:
        InvalidInputError: a mapping, a text, or nothing that can be iterated.
    """
    if isinstance(updates, Mapping):
        raise InvalidInputError("updates is a mapping: give its .items()")
    if isinstance(updates, (str, bytes)) or not isinstance(updates, (Iterable, AsyncIterable)):
        raise InvalidInputError(f"updates must be an iterable or async iterable of rows, not {type(updates).__name__}")
