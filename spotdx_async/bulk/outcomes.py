"""Rows on their way, the outcomes that follow from their tries, and the window in which both are kept."""

import asyncio
from collections import deque
from typing import Any, Generic, TypeVar

from attrs import define, field

from spotdx_async._http import clock
from spotdx_async._http.clock import NEVER_S
from spotdx_async._http.messages import Action, AttemptState, Verdict
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.bulk.journal.records import RowDigests
from spotdx_async.bulk.outage_signs import Seen
from spotdx_async.bulk.records import Outcome, State
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
_MOST_OVERTAKEN = 250
"""Rows that one row may overtake before the journal hears of them: their digests are kept until it has ended."""
_ROW_SIZE = 1024
"""Bytes that a row takes beside its body, with its timer while it rests (tracemalloc)."""
_OVERTAKEN_SIZE = 256
"""The same for each row that it has overtaken: a tuple and its digests."""

_MOST_BESIDE = 16 * 2**20
"""Bytes, about 15,000 small rows: if one row in twenty holds its next for a minute, a run keeps 5,000 a second."""
_BARE_SIZE = 512
_FULL_SIZE = 8 * 2**10
"""With a decoded answer, or an error: the documented Kit takes 7.3 KB as objects (tracemalloc)."""
_SIZE_AS_OBJECTS = 4
"""Memory of the metadata that an answer returns, over the bytes of their JSON."""
_MOST_IN_A_ROW = 128
"""Outcomes that are taken without a turn for the loop's other tasks: thousands may be ready after a held row."""


@define(eq=False)
class Row:
    """A row that was read and has no outcome yet, with what its attempts have shown."""

    index: int
    key: str = field(repr=False)
    """The id whose metadata to set."""
    body: bytes = field(repr=False)
    """The body to send: written when the row was read, so that later changes to the mapping have no effect."""
    digests: RowDigests | None = field(default=None, repr=False)
    """Its digests for the journal; None without a journal."""
    source: Any = field(default=None, repr=False)
    """Whatever the caller identifies the row by: handed back with its outcome, and used for nothing else."""
    attempt_state: AttemptState = field(factory=AttemptState, repr=False)
    """What is known of its attempts."""
    tries: int = 0
    """Tries so far; a try with a renewed token makes two requests."""
    attempts: int = 0
    """Requests made."""
    failing_since_s: float = float("-inf")
    """When the request of its first failed try began."""
    charged: int = 0
    """Failed tries while the run was not paused."""
    odds: tuple[float, ...] = ()
    """How likely each of these was if it was not the row's own fault: the share of others that failed at the time."""
    seen: Seen = field(factory=Seen, repr=False)
    """What was known of other rows when it first failed."""
    others_served: bool = False
    """Whether another row was served between the first and the last of its failures."""
    began_s: float | None = None
    """When it was taken up, on the loop's clock; None while it only waits."""
    request_s: float = 0.0
    """Seconds that the last request took."""
    lands_until_s: float = NEVER_S
    """Until when a try without a usable answer may still be executed, even after a later one was answered."""
    rests_until_s: float = NEVER_S
    """Not tried before then: an earlier value of its key may land until then, or calls come too fast."""
    is_held: bool = False
    """Whether it waits until an earlier value of its key cannot land any more, or for another try, or is behind a row
    that does: it then counts beside the window until its turn comes."""
    is_probe: bool = False
    """Whether it is the one that is tried while the run is paused."""
    last: Verdict | None = field(default=None, repr=False)
    """The verdict on the last try that failed."""
    observation: CallObservation | None = field(default=None, repr=False)
    """Reports it to the observers, once it is taken up; None if there are none."""
    following: "Row | None" = field(default=None, repr=False)
    """The next row of the same key, which waits for this one's outcome."""

    overtaken: list[tuple[int, RowDigests, bool]] = field(factory=list, repr=False)
    """Rows whose place it has taken, and whether an earlier session may have sent them: the journal records them when
    it has ended."""

    @property
    def size(self) -> int:
        """Approximate memory in bytes."""
        return _ROW_SIZE + len(self.body) + len(self.overtaken) * _OVERTAKEN_SIZE

    @property
    def may_be_executed(self) -> bool:
        """Whether an attempt may have been executed, in this session or an earlier one."""
        return self.attempt_state.may_be_executed or self.attempt_state.may_have_arrived

    @property
    def can_be_overtaken(self) -> bool:
        """Whether a newer row may take its place: it has not been taken up yet."""
        return self.began_s is None and len(self.overtaken) < _MOST_OVERTAKEN

    def hold(self) -> None:
        """Mark it as held, and shrink it to the size it reports: orjson leaves 4 KB behind the smallest body."""
        self.is_held = True
        self.body = memoryview(self.body).tobytes()

    def become(self, newer: "Row") -> None:
        """Become the newer row, in the same place; nothing has been tried yet."""
        if self.digests is not None:
            self.overtaken.append((self.index, self.digests, self.attempt_state.may_be_executed))
        self.index, self.body, self.digests, self.source, self.attempt_state = (
            newer.index,
            newer.body,
            newer.digests,
            newer.source,
            newer.attempt_state,
        )
        # What an earlier session may have sent of either: the older value would land over the newer one.
        self.rests_until_s = max(self.rests_until_s, self.lands_until_s)
        self.lands_until_s = max(self.lands_until_s, newer.lands_until_s)
        if self.is_held:
            self.hold()


def ended(row: Row, verdict: Verdict, now_s: float) -> Outcome[Any]:
    """Return the outcome of a row that was tried, or could not be.

    1. A success, or a 2xx whose JSON has another shape: the update is done.
    2. An attempt may have been executed, or nobody knows what became of the last one: unknown, whatever came later.
    3. Refused by the server, or certainly not executed: failed.
    """
    if verdict.action is _ACCEPT:
        return _outcome(row, "ok", None, now_s, verdict.value)
    assert verdict.error is not None  # noqa: S101 - whatever is not accepted has an error; for the type checker
    error = verdict.error
    if _is_done(error):
        return _outcome(row, "ok", error, now_s)
    if row.may_be_executed or isinstance(error, (OutcomeUnknownError, DecodeError)):
        return _outcome(row, "unknown", _unknown(row, error), now_s)
    return _outcome(row, "failed", error, now_s)


def skipped(row: Row, now_s: float) -> Outcome[Any]:
    """Return the outcome of a row that was not done when the run stopped; unknown if it may have been executed.

    A row whose update was accepted is done, although the run stopped before that was reported.
    """
    if row.last is not None and (row.last.action is _ACCEPT or _is_done(row.last.error)):
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


def _is_done(error: SpotError | None) -> bool:
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
        self._room = asyncio.Event()

    @property
    def size(self) -> int:
        """Rows that may be read and not taken, beside those that can only wait."""
        return self._size

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
            await self._room.wait()
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
