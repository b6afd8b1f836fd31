"""How a row can end: from its last verdict to its outcome, and what an error says of the rows to come."""

from typing import Any

from spotdx_async._codec.compiled import draft_of
from spotdx_async._http.messages import Action, Verdict
from spotdx_async.bulk.key_queues import Row
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

__all__ = ["ended", "is_run_wide", "skipped", "superseded"]

_ACCEPT = Action.ACCEPT
_Draft = draft_of(Outcome)
_RUN_WIDE_REASONS = frozenset({"tls", "token", "closed"})
_EARLIER = "an earlier attempt may have been executed"
_SERVER_FAILED = 500


def ended(row: Row, verdict: Verdict, now_s: float) -> Outcome[Any]:
    """Say how a row ended that was tried, or could not be.

    1. A success, or a 2xx whose JSON has another shape: the update is done.
    2. An attempt may have been executed, or nobody knows what became of the last one: unknown, whatever came later.
    3. The server's no, or surely not executed: failed.
    """
    if verdict.action is _ACCEPT:
        return _done(row, verdict.value, now_s)
    assert verdict.error is not None  # noqa: S101 - whatever is not accepted has an error; for the type checker
    error = verdict.error
    if _is_done(error):
        return _outcome(row, "ok", error, now_s)
    if row.may_be_executed or isinstance(error, (OutcomeUnknownError, DecodeError)):
        return _outcome(row, "unknown", _unknown(row, error), now_s)
    return _outcome(row, "failed", error, now_s)


def skipped(row: Row, now_s: float) -> Outcome[Any]:
    """Say that the run stopped before the row was done; unknown where an attempt may have been executed.

    A row whose update was accepted is done, although the run stopped before anybody was told.
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
    """Say that a newer value took the row's place."""
    return _outcome(row, "superseded", None, now_s)


def is_run_wide(error: SpotError) -> bool:
    """Whether every further row would meet the same trouble."""
    return isinstance(error, (AuthenticationError, ConfigError)) or (
        isinstance(error, NotSentError) and error.reason in _RUN_WIDE_REASONS
    )


def _is_done(error: SpotError | None) -> bool:
    return isinstance(error, DecodeError) and error.outcome == "done"


def _unknown(row: Row, error: SpotError) -> SpotError:
    """Give the error that tells the truth about all attempts, not only about the last.

    A no of the server's keeps its class: it says what the next attempt would meet. Of a trouble that was surely not
    executed nothing is left to say.
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


def _done(row: Row, value: Any, now_s: float) -> Outcome[Any]:
    """Most rows end so: made as a draft, which costs 2 kI and not 13 (callgrind)."""
    draft = _Draft()
    draft.index = row.index
    draft.key = row.key
    draft.state = "ok"
    draft.value = value
    draft.error = None
    draft.attempts = row.attempts
    draft.elapsed_s = 0.0 if row.began_s is None else now_s - row.began_s
    draft.request_s = row.request_s
    draft.__class__ = Outcome
    outcome: Outcome[Any] = draft
    return outcome


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
    )
