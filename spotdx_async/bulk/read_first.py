"""Finds out by a read whether the server is back: a create that is lost in an outage is in doubt, perhaps for good."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from attrs import evolve

from spotdx_async._http.messages import Action, AttemptResult, AttemptState, Verdict
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.bulk.options import Send
from spotdx_async.errors import FailureCause, NotSentError, OutcomeUnknownError, SpotError, StatusError

Ask: TypeAlias = Callable[[], Awaitable[AttemptResult]]
"""Makes one attempt of a read."""


def reading_first(send: Send, ask: Ask, is_paused: Callable[[], bool]) -> Send:
    """Return what sends a row, in an outage only once the server has answered a read.

    Args:
        send: makes one attempt of a row.
        ask: makes one of a read.
        is_paused: returns whether the run is paused, so that the row is a probe.
    """

    async def sending(  # noqa: PLR0917 - as every Send is called
        target: Any,
        body: bytes,
        attempt_state: AttemptState,
        is_repeat: bool,
        may_go: Callable[[], bool],
        observation: CallObservation | None,
    ) -> AttemptResult:
        if is_paused() and may_go():
            asked = await ask()
            if asked.verdict.action is Action.REPEAT and not asked.verdict.is_throttle:
                return _of_a_row(asked)
        return await send(target, body, attempt_state, is_repeat, may_go, observation)

    return sending


def _of_a_row(asked: AttemptResult) -> AttemptResult:
    """Return what a read without a usable answer says of the row that was to follow it: nothing of it was sent."""
    error = asked.verdict.error
    verdict = Verdict(Action.REPEAT, error=_not_sent(error), retry_after_s=asked.verdict.retry_after_s)
    return evolve(asked, verdict=verdict, attempts=0)


def _not_sent(error: SpotError | None) -> SpotError:
    if isinstance(error, StatusError):
        return error
    message = "the server does not answer a read either, so nothing was sent"
    if isinstance(error, (NotSentError, OutcomeUnknownError)):
        return NotSentError(message, reason=error.reason, cause=FailureCause.of(error))
    return NotSentError(message, reason="unreadable")
