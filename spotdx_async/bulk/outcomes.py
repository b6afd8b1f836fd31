"""The outcomes that follow from the tries of rows, and the window in which rows and outcomes are kept."""

import asyncio
from collections import deque
from typing import Any, Generic, TypeVar

from spotdx_async._http import clock
from spotdx_async._http.messages import Action, Verdict
from spotdx_async.bulk.records import Outcome, State
from spotdx_async.bulk.row import Row
from spotdx_async.errors import (
    AuthenticationError,
    ConfigError,
    DecodeError,
    FailureCause,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    SpotError,
    StatusError,
)

T = TypeVar("T")

_ACCEPT = Action.ACCEPT
_RUN_WIDE_REASONS = frozenset({"tls", "token", "closed"})
_EARLIER = "an earlier attempt may have been executed"
_SERVER_FAILED = 500

_MOST_BESIDE = 16 * 2**20
"""Bytes, about 15,000 small rows: if one row in twenty holds its next for a minute, a run keeps 5,000 a second."""
_BARE_SIZE = 512
_FULL_SIZE = 8 * 2**10
"""With a decoded answer, or an error: the documented Kit takes 7.3 KB as objects (tracemalloc)."""
_SIZE_AS_OBJECTS = 4
"""Memory of the metadata that an answer returns, over the bytes of their JSON."""
_MOST_IN_A_ROW = 128
"""Outcomes that are taken without a turn for the loop's other tasks: thousands may be ready after a held row."""


def ended(row: Row, verdict: Verdict, now_s: float) -> Outcome[Any]:
    """Return the outcome of a row that was tried, or could not be.

    1. A success, or a 2xx whose JSON has another shape: the update is done.
    2. An attempt may have been executed, or nobody knows what became of the last one: unknown, whatever came later.
    3. Refused by the server, or certainly not executed: failed. A read that brought nothing usable has failed too.
    """
    if verdict.action is _ACCEPT:
        return _outcome(row, "ok", None, now_s, verdict.value)
    assert verdict.error is not None  # noqa: S101 - whatever is not accepted has an error; for the type checker
    error = verdict.error
    if row.effect == "reads":
        return _outcome(row, "failed", error, now_s)
    if is_done(error):
        return _outcome(row, "ok", error, now_s)
    if row.may_be_executed or isinstance(error, (OutcomeUnknownError, DecodeError)):
        return _outcome(row, "unknown", _unknown(row, error), now_s)
    return _outcome(row, "failed", error, now_s)


def skipped(row: Row, now_s: float) -> Outcome[Any]:
    """Return the outcome of a row that was not done when the run stopped; unknown if it may have been executed.

    A row whose update was accepted is done, although the run stopped before that was reported.
    """
    if row.last is not None and (row.last.action is _ACCEPT or is_done(row.last.error)):
        return ended(row, row.last, now_s)
    error = None if row.last is None else row.last.error
    row.attempts += row.attempt_state.may_have_arrived  # an attempt that was cut off, and so not counted yet
    if not row.may_be_executed:
        if error is None:
            was_begun = row.began_s is not None
            what = "this row was done, and it was not executed" if was_begun else "this row, so it was not sent"
            error = NotSentError(f"the run stopped before {what}", reason="stopped")
        return _outcome(row, "skipped", error, now_s)
    if row.attempt_state.may_have_arrived or error is None:
        error = OutcomeUnknownError("the run stopped before an answer came, and it may have been executed")
    return _outcome(row, "unknown", _unknown(row, error), now_s)


def superseded(row: Row, now_s: float) -> Outcome[Any]:
    """Return the outcome of a row whose place a newer value has taken."""
    return _outcome(row, "superseded", None, now_s)


def is_run_wide(error: SpotError) -> bool:
    """Return whether every further row would fail in the same way."""
    return isinstance(error, (AuthenticationError, ConfigError)) or (
        isinstance(error, NotSentError) and error.reason in _RUN_WIDE_REASONS
    )


def is_done(error: SpotError | None) -> bool:
    """Return whether an error says that the request was executed, though its answer has another shape."""
    return isinstance(error, DecodeError) and error.outcome == "done"


def _unknown(row: Row, error: SpotError) -> SpotError:
    """Return the error that is true of all attempts, not only of the last.

    A refusal keeps its class, which says how the next attempt would end. An error that says "certainly not executed" is
    replaced, since that is not true of the row.
    """
    if isinstance(error, (OutcomeUnknownError, DecodeError)):
        return error
    if isinstance(error, StatusError) and not isinstance(error, RateLimitError):
        said = error.args[0] if error.args else ""
        # A 5xx to the only try refers to that very try, which may have been executed.
        if _EARLIER not in said and (row.tries > 1 or error.status < _SERVER_FAILED):
            error.args = (f"{said}; {_EARLIER}",)
        error.may_be_executed = True
        return error
    return OutcomeUnknownError(
        f"{_EARLIER}, and no later one got through",
        status=error.status if isinstance(error, StatusError) else None,
        cause=FailureCause.of(error) if isinstance(error, NotSentError) else None,
        request_id=error.request_id if isinstance(error, StatusError) else None,
        operation=error.operation,
    )


def _outcome(row: Row, state: State, error: SpotError | None, now_s: float, value: Any = None) -> Outcome[Any]:
    elapsed_s = 0.0 if row.began_s is None else now_s - row.began_s
    if error is not None:
        error.attempts, error.elapsed_s = row.attempts, elapsed_s
    return Outcome(
        index=row.index,
        key=row.key,
        state=state,
        value=value,
        error=error,
        attempts=row.attempts,
        elapsed_s=elapsed_s,
        request_s=row.request_s,
        source=row.source,
        object_id=row.object_id,
    )


class Window:
    """Keeps the reader from reading too far ahead of the consumer.

    Rows that can do nothing but wait for another row are read past, so that they delay only those that wait for the
    same one: they count beside the window, as long as all such rows together take few bytes. Rows beyond that count
    like any other. So a run's memory is bounded in bytes, and a slow consumer slows it as long as there are outcomes to
    take.
    """

    def __init__(self, size: int) -> None:
        """Start with nothing read.

        Args:
            size: rows that may be read and not taken, beside those that can only wait.
        """
        self._size = size
        self._low = max(1, size * 3 // 4)
        self._rows = 0
        self._beside = 0
        self._bytes_beside = 0
        self._without_pause = 0
        self._is_full = False
        self._room = asyncio.Event()

    @property
    def size(self) -> int:
        """Rows that may be read and not taken, beside those that can only wait."""
        return self._size

    @property
    def is_full(self) -> bool:
        """Whether no row is read before others that are here have ended or were taken."""
        return self._is_full

    def try_enter(self) -> bool:
        """Count a row that is read next, where there is room for it; else the reader waits by ``enter``."""
        if self._without_pause >= self._size or self._inside() >= self._size:
            return False
        self._rows += 1
        self._without_pause += 1
        return True

    async def enter(self) -> None:
        """Wait until there is room, and count the row that is read next; other tasks get a turn, whatever the room."""
        self._without_pause = 0
        if self._inside() < self._size:
            await clock.turn()
        while self._inside() >= self._size:
            self._room.clear()
            self._is_full = True
            await self._room.wait()
            self._is_full = False
        self._rows += 1
        self._without_pause += 1

    def leave(self) -> None:
        """Count a row whose outcome was taken, or that was not there."""
        self._rows -= 1
        self._call_reader()

    def put_beside(self, rows: int, size: int) -> None:
        """Count rows as ones that can only wait.

        Args:
            rows: how many; 0 if one that is already there has grown.
            size: bytes that they take in all.
        """
        self._beside += rows
        self._bytes_beside += size
        self._call_reader()

    def take_back(self, rows: int, size: int) -> None:
        """Count rows like any others again, with the numbers that ``put_beside`` got."""
        self._beside -= rows
        self._bytes_beside -= size

    def _inside(self) -> int:
        beside, size = self._beside, self._bytes_beside
        if size > _MOST_BESIDE:
            beside = beside * _MOST_BESIDE // size  # as many as fit there, assuming equal sizes
        return self._rows - beside

    def _call_reader(self) -> None:
        if self._inside() <= self._low:
            self._room.set()


class AsTheyCome(Generic[T]):
    """Outcomes in the order in which they come."""

    def __init__(self, window: Window) -> None:
        """Start with none; taking an outcome makes room in the window."""
        self._window = window
        self._ready: deque[Outcome[T]] = deque()
        self._in_a_row = 0

    @property
    def is_empty(self) -> bool:
        """Whether none is there to be taken."""
        return not self._ready

    def put(self, outcome: Outcome[T], sent_size: int = 0) -> None:  # noqa: ARG002 - no outcome waits for another here
        """Add an outcome."""
        self._ready.append(outcome)

    def take(self) -> Outcome[T] | None:
        """Return the next outcome, and make room for another row; None where the consumer must wait first."""
        if not self._ready or self._in_a_row >= _MOST_IN_A_ROW:
            return None
        self._in_a_row += 1
        self._window.leave()
        return self._ready.popleft()

    def take_all(self) -> list[Outcome[T]]:
        """Return all that have come, once nothing more is read."""
        outcomes = [*self._ready]
        self._ready.clear()
        return outcomes

    def note_wait(self) -> None:
        """Note that the consumer waits, so that other tasks get their turn."""
        self._in_a_row = 0


class InOrder(AsTheyCome[T]):
    """Outcomes in the order of the rows: those that come early wait beside the window."""

    def __init__(self, window: Window) -> None:
        """Start with row 0."""
        super().__init__(window)
        self._early: dict[int, tuple[Outcome[T], int]] = {}
        self._next = 0

    def put(self, outcome: Outcome[T], sent_size: int = 0) -> None:
        """Add an outcome.

        Args:
            outcome: of a row, in any order.
            sent_size: bytes of metadata that were sent for it.
        """
        if outcome.index != self._next:
            size = _BARE_SIZE
            if outcome.value is not None or outcome.error is not None:
                size = _FULL_SIZE + _SIZE_AS_OBJECTS * sent_size
            self._early[outcome.index] = outcome, size
            self._window.put_beside(1, size)
            return
        self._add(outcome)
        while (early := self._early.pop(self._next, None)) is not None:
            outcome, size = early
            self._window.take_back(1, size)
            self._add(outcome)

    def take_all(self) -> list[Outcome[T]]:
        """Return all that have come, in the order of the rows, once nothing more is read."""
        early = [outcome for _, (outcome, _) in sorted(self._early.items())]
        self._early.clear()
        return [*super().take_all(), *early]

    def _add(self, outcome: Outcome[T]) -> None:
        self._ready.append(outcome)
        self._next += 1
