"""A row on its way: what its tries have shown, and the outcome that follows from them."""

from typing import Any

from attrs import define, field

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

__all__ = ["Row", "ended", "is_run_wide", "skipped", "superseded"]

_ACCEPT = Action.ACCEPT
_RUN_WIDE_REASONS = frozenset({"tls", "token", "closed"})
_EARLIER = "an earlier attempt may have been executed"
_SERVER_FAILED = 500
_MOST_OVERTAKEN = 250
"""Rows that one row may overtake while nothing tells the journal of them: their digests are kept until it has ended."""
_ROW_SIZE = 1024
"""Bytes that a row takes beside its body, with its timer while it rests (tracemalloc)."""
_OVERTAKEN_SIZE = 256
"""The same for each row that it has overtaken: a tuple and its digests."""


@define(eq=False)
class Row:
    """A row that was read and has no outcome yet, with what its tries have shown."""

    index: int
    key: str = field(repr=False)
    """Whose metadata to set."""
    body: bytes = field(repr=False)
    """What to send: written when the row was read, so that nothing that is done to the mapping later changes it."""
    digests: RowDigests | None = field(default=None, repr=False)
    """The journal's marks of it; None without a journal."""
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
    """How likely each of these was if it was not its own fault: what others failed with at the time."""
    seen: Seen = field(factory=Seen, repr=False)
    """What was known of others when it had first failed."""
    others_served: bool = False
    """Whether another row was served between the first and the last of its failures."""
    began_s: float | None = None
    """When it was taken up, on the loop's clock; None while it only waits."""
    request_s: float = 0.0
    """Seconds that the last request took."""
    lands_until_s: float = NEVER_S
    """Until when a try without a usable answer may still be carried out, also after a later one was answered."""
    rests_until_s: float = NEVER_S
    """Until when it is not tried: an earlier value of its key may land till then, or calls come too fast."""
    is_held: bool = False
    """Whether it waits until an earlier value of its key cannot land any more, or for another try, or has come behind
    a row that did: it stands beside the window until its turn has come."""
    is_probe: bool = False
    """Whether it is the one that is tried while the run is paused."""
    last: Verdict | None = field(default=None, repr=False)
    """On the last try that failed."""
    observation: CallObservation | None = field(default=None, repr=False)
    """Reports it to the observers, once it is taken up; None where there are none."""
    following: "Row | None" = field(default=None, repr=False)
    """The next row of the same key, which waits for this one's outcome."""

    overtaken: list[tuple[int, RowDigests, bool]] = field(factory=list, repr=False)
    """Rows whose place it has taken, and whether an earlier session may have sent them: the journal hears of them when
    it has ended."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return _ROW_SIZE + len(self.body) + len(self.overtaken) * _OVERTAKEN_SIZE

    @property
    def may_be_executed(self) -> bool:
        """Whether an attempt may have been carried out, in this session or an earlier one."""
        return self.attempt_state.may_be_executed or self.attempt_state.may_have_arrived

    @property
    def can_be_overtaken(self) -> bool:
        """Whether a newer row may take its place: it has not been taken up yet."""
        return self.began_s is None and len(self.overtaken) < _MOST_OVERTAKEN

    def hold(self) -> None:
        """Mark it as held, and let it take as little as its size says: orjson leaves 4 KB behind the smallest body."""
        self.is_held = True
        self.body = memoryview(self.body).tobytes()

    def become(self, newer: "Row") -> None:
        """Stand for the newer row from now on, in the same place; nothing has been tried yet."""
        if self.digests is not None:
            self.overtaken.append((self.index, self.digests, self.attempt_state.may_be_executed))
        self.index, self.body, self.digests, self.source, self.attempt_state = (
            newer.index,
            newer.body,
            newer.digests,
            newer.source,
            newer.attempt_state,
        )
        # What an earlier session may have sent of either: of the older one it would land over the newer.
        self.rests_until_s = max(self.rests_until_s, self.lands_until_s)
        self.lands_until_s = max(self.lands_until_s, newer.lands_until_s)
        if self.is_held:
            self.hold()


def ended(row: Row, verdict: Verdict, now_s: float) -> Outcome[Any]:
    """Return the outcome of a row that was tried, or could not be.

    1. A success, or a 2xx whose JSON has another shape: the update is done.
    2. An attempt may have been executed, or nobody knows what became of the last one: unknown, whatever came later.
    3. Refused by the server, or surely not executed: failed.
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
    """Return the outcome of a row that was not done when the run stopped; unknown where it may have been executed.

    A row whose update was accepted is done, although the run stopped before that was reported.
    """
    if row.last is not None and (row.last.action is _ACCEPT or _is_done(row.last.error)):
        return ended(row, row.last, now_s)
    error = None if row.last is None else row.last.error
    row.attempts += row.attempt_state.may_have_arrived  # one that was cut off, and so counted by nobody
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
    """Whether every further row would meet the same trouble."""
    return isinstance(error, (AuthenticationError, ConfigError)) or (
        isinstance(error, NotSentError) and error.reason in _RUN_WIDE_REASONS
    )


def _is_done(error: SpotError | None) -> bool:
    return isinstance(error, DecodeError) and error.outcome == "done"


def _unknown(row: Row, error: SpotError) -> SpotError:
    """Return the error that is true of all attempts, not only of the last.

    A refusal keeps its class, which says what the next attempt would meet. An error that says "surely not executed" is
    replaced, since that is not true of the row.
    """
    if isinstance(error, (OutcomeUnknownError, DecodeError)):
        return error
    if isinstance(error, StatusError) and not isinstance(error, RateLimitError):
        said = error.args[0] if error.args else ""
        # Of a 5xx to the only try it is that try which may have been executed.
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
