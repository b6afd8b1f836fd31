"""Repeats after a failed first attempt, and the budget that pays for them; the only importer of tenacity.

The first attempt runs outside: entering tenacity on every call would add half the cost of the call itself.
"""

from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_random_exponential

from spotdx_async._http.messages import Action, Verdict
from spotdx_async.config import RetryPolicy

__all__ = ["RetryBudget", "repeat"]

# The AWS SDKs' standard retry quota holds 500, takes 5 for a retry and returns 1 for a success: 100 retries, a fifth of
# one earned each time. Theirs starts full. A choice: starting at 20, a process that has never seen the server answer
# makes 1.02 requests a call over 1,000 calls in a total outage, where a full one would make 1.1.
_CAPACITY = 100.0
_START = 20.0
_EARNED = 0.2


class RetryBudget:
    """Repeats that the client may still make: each costs 1, each call that succeeds at once earns a fifth.

    So 1,000 calls in a total outage get 20 repeats on top, not 3,000.
    """

    def __init__(self) -> None:
        self.left: float = _START

    def earn(self) -> None:
        """Note a call whose first attempt succeeded."""
        if self.left < _CAPACITY:
            self.left = min(_CAPACITY, self.left + _EARNED)

    def spend(self) -> bool:
        """Pay for a repeat; False where nothing is left."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


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
