"""Repeats after a failed first attempt; the only importer of tenacity.

The first attempt runs outside: entering tenacity on every call would add half the cost of the call itself.
"""

from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_random_exponential

from spotdx_async._http.messages import Action, Verdict
from spotdx_async.config import RetryPolicy
from spotdx_async.errors import (
    DecodeError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    SpotError,
    StatusError,
)

_MAY_PASS = (DecodeError, OutcomeUnknownError, RateLimitError, ServerError)
_MAY_PASS_STATUSES = frozenset({408, 425})


async def repeat(
    first: Verdict,
    attempt: Callable[[], Awaitable[Verdict]],
    *,
    policy: RetryPolicy,
    may_wait: Callable[[Verdict, float], bool],
    on_wait: Callable[[Verdict, float], None],
    sleep: Callable[[float], Awaitable[None]],
) -> Verdict:
    """Attempt again until a verdict is not REPEAT, or the policy or ``may_wait`` ends it; return the last verdict.

    Args:
        first: the verdict on the attempt that the caller has made.
        attempt: makes one more.
        policy: how often, and how long to wait in between.
        may_wait: called before each repeat with the last verdict and the seconds to wait.
        on_wait: called with the same when the wait begins.
        sleep: waits; it may return early if waiting has become pointless.
    """
    known: list[Verdict] = [first]

    async def next_verdict() -> Verdict:
        # tenacity counts the attempt that was made outside as its first.
        return known.pop() if known else await attempt()

    def is_over(state: RetryCallState) -> bool:
        return state.attempt_number >= policy.max_attempts or not may_wait(_verdict(state), state.upcoming_sleep)

    # A fresh object per call: tasks that share one mix up their attempts.
    retrying = AsyncRetrying(
        sleep=sleep,
        wait=_wait(policy),
        stop=is_over,
        retry=retry_if_result(lambda verdict: verdict.action is Action.REPEAT),
        before_sleep=lambda state: on_wait(_verdict(state), state.upcoming_sleep),
        retry_error_callback=_verdict,
    )
    verdict: Verdict = await retrying(next_verdict)
    return verdict


def _wait(policy: RetryPolicy) -> Callable[[RetryCallState], float]:
    """Full jitter under a doubling bound; a wait that the server asks for is never shortened."""
    usual = wait_random_exponential(multiplier=policy.base_s, max=policy.cap_s)
    throttled = wait_random_exponential(multiplier=policy.throttle_base_s, max=policy.cap_s)

    def wait(state: RetryCallState) -> float:
        verdict = _verdict(state)
        if verdict.retry_after_s is not None:
            # A server that says 0, or a time that is over, would be hammered by all who asked it at once.
            return max(verdict.retry_after_s, throttled(state))
        return throttled(state) if verdict.is_throttle else usual(state)

    return wait


def _verdict(state: RetryCallState) -> Verdict:
    assert state.outcome is not None  # noqa: S101 - tenacity asks only after an attempt; for the type checker
    verdict: Verdict = state.outcome.result()
    return verdict


def may_pass(error: SpotError) -> bool:
    """Return whether the same read may succeed later: a refused token, for example, stays refused."""
    if isinstance(error, NotSentError):
        return error.reason != "closed"
    return isinstance(error, _MAY_PASS) or (isinstance(error, StatusError) and error.status in _MAY_PASS_STATUSES)
