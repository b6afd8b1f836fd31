"""One call's memory over its attempts, and what they say of it together. It sends nothing."""

from collections.abc import Callable
from typing import Any

from spotdx_async._http.answer_check import fault_of, fault_of_other_shape, fault_unread
from spotdx_async._http.messages import Action, AttemptState, Reply, Request, Verdict
from spotdx_async._http.verdict import judge_decode_error
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.errors import (
    DecodeError,
    FailureCause,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    SpotError,
)

__all__ = ["Call", "decoded", "final_error", "note"]

_ACCEPT = Action.ACCEPT


class Call:
    """One call's memory over its attempts."""

    __slots__ = (
        *("admit_by_s", "asked_s", "attempts", "decode", "earlier_may_be_executed", "ends_at_s", "error"),
        *("attempt_state", "has_renewed", "is_paused", "may_go", "observation", "request", "sent_s", "started_s"),
    )

    def __init__(
        self,
        request: Request,
        decode: Callable[[Reply], Any],
        *,
        started_s: float = 0.0,
        ends_at_s: float | None = None,
        may_go: Callable[[], bool] | None = None,
        attempt_state: AttemptState | None = None,
    ) -> None:
        self.attempt_state = AttemptState() if attempt_state is None else attempt_state
        # What the observers are told through; None where there are none.
        self.observation: CallObservation | None = None
        self.request = request
        self.decode = decode
        self.started_s = started_s
        self.ends_at_s = ends_at_s
        # Asked once more when the slot has come: the wait for it may have been long.
        self.may_go = may_go
        # Until when the waits before the current attempt may take, all together; None: as long as it takes.
        self.admit_by_s: float | None = None
        # What the server asked to wait after the last attempt, be it granted or not.
        self.asked_s = 0.0
        # Whether it waits before a repeat because the server asked for it.
        self.is_paused = False
        self.attempts = 0
        # Of the last attempt that failed.
        self.error: SpotError | None = None
        # Whether an attempt before the last one that was judged may have been carried out.
        self.earlier_may_be_executed = False
        self.has_renewed = False
        # When the last request was sent.
        self.sent_s = 0.0

    @property
    def is_bulk(self) -> bool:
        """Whether it is a row of a bulk run, whose caller repeats by itself."""
        return self.may_go is not None

    @property
    def latest_s(self) -> float | None:
        """Until when the next attempt must be on its way; None: no bound."""
        if self.admit_by_s is None or self.ends_at_s is None:
            return self.ends_at_s if self.admit_by_s is None else self.admit_by_s
        return min(self.admit_by_s, self.ends_at_s)


def final_error(call: Call, verdict: Verdict) -> SpotError:
    """The error that tells the truth about all attempts, not only about the last."""
    assert verdict.error is not None  # noqa: S101 - whatever is not accepted has an error; for the type checker
    error = verdict.error
    # One that is still under way was not judged: the error came out of a hook that runs while it is sent.
    if not (call.attempt_state.may_be_executed or call.attempt_state.may_have_arrived):
        return error
    message = "an earlier attempt may have been executed, and no later one got through"
    if isinstance(error, NotSentError):
        return OutcomeUnknownError(message, reason="dropped", cause=FailureCause.of(error))
    if call.request.method == "GET":
        return error  # a read changes nothing, whenever it is carried out
    if isinstance(error, RateLimitError):
        return OutcomeUnknownError(message, reason="dropped", status=error.status, request_id=error.request_id)
    error.may_be_executed = True
    is_of_an_earlier = call.earlier_may_be_executed or error is not call.error
    if is_of_an_earlier and not isinstance(error, (OutcomeUnknownError, DecodeError)):
        error.args = (f"{error.args[0]}; an earlier attempt may have been executed",)
    return error


def decoded(call: Call, reply: Reply) -> Verdict:
    """Judge a 2xx by what it holds: the answer to this very request, and one that can be read."""
    request = call.request
    identity = request.identity
    if identity is not None and reply.body.startswith(identity.unfit):
        return judge_decode_error(request, reply, fault_unread(identity))
    try:
        value = call.decode(reply)
    except DecodeError as raised:
        error = raised.with_traceback(None)  # its frames hold the whole answer
        if identity is not None and error.outcome == "done":
            error = fault_of_other_shape(request, identity, error.raw) or error
        return judge_decode_error(request, reply, error)
    fault = None if identity is None else fault_of(request, identity, reply.body, value)
    return Verdict(_ACCEPT, value) if fault is None else judge_decode_error(request, reply, fault)


def note(call: Call, verdict: Verdict) -> None:
    """Keep what a judged attempt tells of the call; from here on no attempt is under way."""
    attempt_state = call.attempt_state
    if verdict.error is not None:
        call.error = verdict.error
        call.earlier_may_be_executed = attempt_state.may_be_executed
        if verdict.may_be_executed:
            attempt_state.may_be_executed = True
    attempt_state.may_have_arrived = False
