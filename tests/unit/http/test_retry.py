"""Repeats: how many, how long the waits, what ends them, and the budget that pays."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async._http import clock
from spotdx_async._http.client_state import RetryBudget
from spotdx_async._http.messages import Action, Verdict
from spotdx_async._http.retry import repeat
from spotdx_async.config import RetryPolicy
from spotdx_async.errors import NotSentError, OutcomeUnknownError, RateLimitError, ServerError
from spotdx_async.testing import run_virtual

FAILED = Verdict(Action.REPEAT, error=ServerError("503", status=503))
THROTTLED = Verdict(Action.REPEAT, error=RateLimitError("429", status=429), is_throttle=True)
DONE = Verdict(Action.ACCEPT, value="done")
FINAL = Verdict(Action.RAISE, error=OutcomeUnknownError("final"))
MANY = RetryPolicy(max_attempts=1000)


def asking(seconds: float) -> Verdict:
    return Verdict(Action.REPEAT, error=ServerError("503", status=503), retry_after_s=seconds)


class Walk:
    """One run of ``repeat`` over scripted verdicts, with what it asked and did."""

    def __init__(self, *verdicts: Verdict) -> None:
        self._script = iter(verdicts)
        self.attempts = 1
        self.slept: list[float] = []
        self.asked: list[tuple[Verdict, float]] = []
        self.told: list[tuple[Verdict, float]] = []
        self.may_wait: Callable[[Verdict, float], bool] = lambda _verdict, _seconds: True

    async def attempt(self) -> Verdict:
        self.attempts += 1
        return next(self._script)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def ask(self, verdict: Verdict, seconds: float) -> bool:
        self.asked.append((verdict, seconds))
        return self.may_wait(verdict, seconds)

    def tell(self, verdict: Verdict, seconds: float) -> None:
        self.told.append((verdict, seconds))

    async def run(
        self,
        first: Verdict = FAILED,
        policy: RetryPolicy = MANY,
        *,
        attempt: Callable[[], Awaitable[Verdict]] | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> Verdict:
        return await repeat(
            first,
            attempt or self.attempt,
            policy=policy,
            may_wait=self.ask,
            on_wait=self.tell,
            sleep=sleep or self.sleep,
        )


def waits_of(verdicts: Iterable[Verdict], policy: RetryPolicy) -> list[float]:
    script = [*verdicts]
    walk = Walk(*script[1:], DONE)
    assert asyncio.run(walk.run(script[0], policy)) is DONE
    return walk.slept


# How many


@pytest.mark.parametrize("most", [1, 2, 3, 4, 10])
async def test_the_first_attempt_counts(most: int) -> None:
    walk = Walk(*[FAILED] * 20)

    await walk.run(policy=RetryPolicy(max_attempts=most))

    assert walk.attempts == most
    assert len(walk.slept) == len(walk.told) == most - 1


async def test_the_last_verdict_comes_back() -> None:
    last = asking(0)
    walk = Walk(FAILED, THROTTLED, last)

    assert await walk.run(policy=RetryPolicy(max_attempts=4)) is last


async def test_a_success_comes_back_at_once() -> None:
    walk = Walk(FAILED, DONE, FAILED)

    assert await walk.run() is DONE
    assert walk.attempts == 3


@pytest.mark.parametrize("act", [Action.RAISE, Action.RENEW_TOKEN])
async def test_a_verdict_that_is_final_ends_it(act: Action) -> None:
    final = Verdict(act, error=ServerError("no", status=501))
    walk = Walk(FAILED, final, DONE)

    assert await walk.run() is final
    assert walk.attempts == 3


async def test_a_first_verdict_that_is_final_comes_back_untouched() -> None:
    walk = Walk(DONE)

    assert await walk.run(FINAL) is FINAL
    assert (walk.attempts, walk.slept) == (1, [])


async def test_an_exception_of_an_attempt_goes_through_as_it_is() -> None:
    error = NotSentError("no token", reason="token")

    async def attempt() -> Verdict:
        raise error

    with pytest.raises(NotSentError) as caught:
        await Walk().run(attempt=attempt)

    assert caught.value is error
    assert (error.__cause__, error.__context__) == (None, None)


# May it wait?


async def test_a_no_to_waiting_ends_it_with_the_last_verdict() -> None:
    last = asking(30)
    walk = Walk(last, DONE)
    walk.may_wait = lambda _verdict, seconds: seconds < 20

    assert await walk.run() is last
    assert walk.attempts == 2
    assert len(walk.told) == len(walk.slept) == 1


async def test_waiting_is_asked_for_once_a_repeat_and_told_the_truth() -> None:
    five = asking(5)
    walk = Walk(five, THROTTLED, DONE)

    await walk.run()

    assert walk.asked == walk.told
    assert [seconds for _, seconds in walk.asked] == walk.slept
    assert [verdict for verdict, _ in walk.asked] == [FAILED, five, THROTTLED]


async def test_nothing_is_asked_or_paid_for_after_the_last_attempt() -> None:
    walk = Walk(*[FAILED] * 5)

    await walk.run(policy=RetryPolicy(max_attempts=3))

    assert len(walk.asked) == 2


# How long


@given(st.integers(1, 40), st.floats(0.001, 10), st.floats(0, 100), st.randoms(use_true_random=False))
def test_a_wait_lies_under_a_doubling_bound_with_a_cap(count: int, base_s: float, cap_s: float, seed: Any) -> None:
    random.seed(seed.random())

    waits = waits_of([FAILED] * count, RetryPolicy(max_attempts=100, base_s=base_s, cap_s=cap_s))

    assert len(waits) == count
    for repeat_number, wait_s in enumerate(waits):
        assert 0 <= wait_s <= min(cap_s, base_s * 2**repeat_number) * (1 + 1e-9)


@given(st.integers(1, 40), st.floats(0.001, 10), st.floats(0, 100))
def test_after_a_429_the_bound_starts_from_its_own_base(count: int, throttle_base_s: float, cap_s: float) -> None:
    policy = RetryPolicy(max_attempts=100, base_s=0, throttle_base_s=throttle_base_s, cap_s=cap_s)

    for repeat_number, wait_s in enumerate(waits_of([THROTTLED] * count, policy)):
        assert 0 <= wait_s <= min(cap_s, throttle_base_s * 2**repeat_number) * (1 + 1e-9)


@pytest.mark.parametrize(("verdict", "base_s"), [(FAILED, 0.05), (THROTTLED, 1.0)])
def test_the_jitter_is_full_and_even(verdict: Verdict, base_s: float) -> None:
    random.seed(7)

    waits = [waits_of([verdict] * 4, RetryPolicy(max_attempts=9)) for _ in range(500)]

    for repeat_number, column in enumerate(zip(*waits, strict=True)):
        bound = base_s * 2**repeat_number
        assert max(column) > 0.95 * bound
        assert min(column) < 0.05 * bound
        assert sum(column) / len(column) == pytest.approx(bound / 2, rel=0.15)


def test_a_policy_without_waits_does_not_wait() -> None:
    policy = RetryPolicy(max_attempts=9, base_s=0, throttle_base_s=0)

    assert waits_of([FAILED, THROTTLED, FAILED], policy) == [0, 0, 0]


@pytest.mark.parametrize("seconds", [1.0, 7.0, 86400.0, 999999999.0])
def test_what_the_server_asks_for_is_neither_shortened_nor_stretched(seconds: float) -> None:
    assert waits_of([asking(seconds)], RetryPolicy(cap_s=1, base_s=100)) == [seconds]


def test_a_server_that_asks_for_no_wait_gets_the_throttle_s_back_off() -> None:
    waits = waits_of([asking(0.0)] * 2000, RetryPolicy(max_attempts=3000, throttle_base_s=2, cap_s=2))

    assert 0.9 <= sum(waits) / len(waits) <= 1.1  # evenly between 0 and 2


def test_a_429_that_names_a_time_is_waited_for_so_long() -> None:
    verdict = Verdict(Action.REPEAT, error=RateLimitError("429"), is_throttle=True, retry_after_s=7.0)

    assert waits_of([verdict], RetryPolicy()) == [7.0]


def test_a_thousand_repeats_overflow_nothing() -> None:
    waits = waits_of([FAILED] * 1100, RetryPolicy(max_attempts=2000))

    assert max(waits) <= 20


# Cancellation


@pytest.mark.virtual_time
async def test_a_cancellation_while_waiting_goes_through_at_once() -> None:
    walk = Walk(DONE)
    start = clock.now()
    task = asyncio.create_task(walk.run(asking(3600), sleep=asyncio.sleep))
    await asyncio.sleep(5)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.now() - start == pytest.approx(5)
    assert walk.attempts == 1


@pytest.mark.virtual_time
async def test_a_cancellation_while_attempting_goes_through_at_once() -> None:
    begun: list[int] = []

    async def attempt() -> Verdict:
        begun.append(1)
        await asyncio.sleep(3600)
        return FAILED

    task = asyncio.create_task(Walk().run(attempt=attempt))
    start = clock.now()
    await asyncio.sleep(5)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.now() - start == pytest.approx(5)
    assert begun == [1]


def test_fifty_calls_at_once_do_not_take_each_other_s_attempts() -> None:
    async def all_of_them() -> list[Walk]:
        walks = [Walk(*[FAILED] * 9) for _ in range(50)]
        await asyncio.gather(*(walk.run(policy=RetryPolicy(max_attempts=4), sleep=asyncio.sleep) for walk in walks))
        return walks

    assert [walk.attempts for walk in run_virtual(all_of_them())] == [4] * 50


# The budget


def test_the_budget_starts_at_twenty_and_pays_for_twenty() -> None:
    budget = RetryBudget()

    assert budget.left == 20
    assert [budget.spend() for _ in range(22)] == [True] * 20 + [False] * 2
    assert budget.left == 0


def test_a_success_earns_a_fifth() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass

    paid = []
    for _ in range(15):
        budget.earn()
        paid.append(budget.spend())

    assert paid.count(True) == 3
    assert budget.left < 1


def test_five_successes_pay_for_one_repeat_exactly() -> None:
    budget = RetryBudget()
    budget.left = 0.0

    for _ in range(5):
        budget.earn()

    assert budget.spend()


def test_the_budget_holds_a_hundred_and_no_more() -> None:
    budget = RetryBudget()

    for _ in range(10_000):
        budget.earn()

    assert budget.left == 100
    assert sum(budget.spend() for _ in range(200)) == 100


def test_a_thousand_calls_in_an_outage_make_at_most_eleven_hundred_requests() -> None:
    budget, requests = RetryBudget(), 0

    async def outage() -> None:
        nonlocal requests
        for _ in range(1000):
            walk = Walk(*[FAILED] * 9)
            walk.may_wait = lambda _verdict, _seconds: budget.spend()
            await walk.run(policy=RetryPolicy())
            requests += walk.attempts

    asyncio.run(outage())

    assert 1000 < requests <= 1100


@given(st.lists(st.booleans(), max_size=2000))
def test_the_budget_never_leaves_its_bounds(events: list[bool]) -> None:
    budget = RetryBudget()
    spent = earned = 0

    for is_success in events:
        if is_success:
            budget.earn()
            earned += 1
        else:
            spent += budget.spend()
        assert 0 <= budget.left <= 100

    assert spent <= 20 + earned * 0.2 + 1e-6
