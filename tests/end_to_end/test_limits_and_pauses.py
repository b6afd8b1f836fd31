"""Pauses that are too long, waits that share one bound, who goes first, one limit for several clients."""

import asyncio
import logging
from datetime import date
from typing import Any

import pytest

from spotdx_async import (
    ConfigError,
    NewPatient,
    NotSentError,
    OutcomeUnknownError,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RetryPolicy,
    SpotClient,
)
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time
A_LIFETIME = 999_999_999


def now() -> float:
    return asyncio.get_running_loop().time()


def most_in(times: list[float], width_s: float) -> int:
    return max(sum(start <= one < start + width_s for one in times) for start in times)


# Pauses


async def test_a_pause_is_never_longer_than_max_pause_s(fake_spot: FakeSpot, caplog: pytest.LogCaptureFixture) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=A_LIFETIME))
    async with fake_spot.client(max_pause_s=10) as spot:
        with caplog.at_level(logging.WARNING, "spotdx_async"):
            await asyncio.gather(spot.kits.get("SPOT123456"), spot.kits.get("SPOT123456"))

    assert 10 <= fake_spot.requests[-1].at_s - fake_spot.requests[0].at_s <= 12
    (line,) = (record.getMessage() for record in caplog.records if "pause" in record.getMessage())
    assert "999999999.0 s" in line
    assert "10.0 s" in line
    assert "max_pause_s" in line
    assert "client.resume()" in line


async def test_a_call_whose_bound_a_pause_breaks_still_raises_at_once(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=A_LIFETIME))
    async with fake_spot.client(max_pause_s=10, max_wait_s=2) as spot:
        start = now()
        with pytest.raises(RateLimitError) as caught:
            await spot.kits.get("SPOT123456")
        with pytest.raises(NotSentError):
            await spot.kits.get("SPOT123456")

    assert caught.value.retry_after_s == A_LIFETIME
    assert now() - start < 0.5


@pytest.mark.parametrize("options", [{}, {"rate_limit": RateLimit(50)}])
async def test_a_pause_can_be_lifted(fake_spot: FakeSpot, options: dict[str, Any]) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=200))
    async with fake_spot.client(**options) as spot:
        start = now()
        calls = [asyncio.create_task(spot.kits.get("SPOT123456")) for _ in range(3)]
        while not spot.stats.throttled:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        spot.resume()
        await asyncio.gather(*calls)
        await spot.kits.get("SPOT123456")

    assert now() - start < 3


async def test_a_pause_is_lifted_for_the_rows_of_a_run_too(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=200))
    async with fake_spot.client() as spot:
        start = now()

        async def lift() -> None:
            while not spot.stats.throttled:
                await asyncio.sleep(0.01)
            await asyncio.sleep(1)
            spot.resume()

        lifting = asyncio.create_task(lift())
        async with spot.kits.update_metadata_many([("SPOT123456", {"n": n}) for n in range(5)]) as run:
            states = [outcome.state async for outcome in run]
        await lifting

    assert states == ["ok"] * 5
    assert now() - start < 5


# One bound for all waits before an attempt


async def test_max_wait_s_holds_in_front_of_the_pool(fake_spot: FakeSpot) -> None:
    fake_spot.latency_s = 1.0
    async with fake_spot.client(concurrency=1, max_wait_s=2.5) as spot:
        start = now()
        calls = [asyncio.create_task(timed(spot, start)) for _ in range(6)]
        ends = await asyncio.gather(*calls)

    assert [error for error, _ in ends if error is None] == [None] * 3
    late = [(error, at_s) for error, at_s in ends if error is not None]
    assert all(isinstance(error, NotSentError) and error.reason == "wait" for error, _ in late)
    assert all(at_s <= 2.6 for _, at_s in late)


async def timed(spot: SpotClient, start: float) -> tuple[BaseException | None, float]:
    try:
        await spot.kits.get("SPOT123456")
    except NotSentError as error:
        return error, now() - start
    return None, now() - start


async def test_the_waits_before_an_attempt_are_bounded_together(fake_spot: FakeSpot) -> None:
    async def token() -> str:
        await asyncio.sleep(0.8)
        return fake_spot.token

    class Slow:
        async def acquire(self) -> None:
            await asyncio.sleep(0.8)

        def pause(self, seconds: float) -> None:
            pass

    async with fake_spot.client(token=token, rate_limit=Slow(), max_wait_s=1.2) as spot:
        start = now()
        with pytest.raises(NotSentError) as caught:
            await spot.kits.get("SPOT123456")

    assert caught.value.reason == "wait"
    assert now() - start == pytest.approx(1.2, abs=0.05)


# Slots and tokens


async def test_a_token_s_renewal_lets_no_burst_of_slots_through(fake_spot: FakeSpot) -> None:
    async def token() -> str:
        await asyncio.sleep(3)
        return fake_spot.token

    async with fake_spot.client(token=token, rate_limit=RateLimit(50), concurrency=400) as spot:
        calls = [asyncio.create_task(spot.kits.get("SPOT123456")) for _ in range(300)]
        await asyncio.sleep(4)
        fake_spot.token = "rotated"
        await asyncio.gather(*calls)

    times = [request.at_s for request in fake_spot.requests]
    assert len(times) > 300
    assert most_in(times, 1.0) <= 50 + 5 + 2
    assert most_in(times, 0.1) <= 5 + 5 + 2


# Who goes first


async def test_a_single_call_does_not_queue_behind_a_bulk_run(fake_spot: FakeSpot) -> None:
    async with fake_spot.client(rate_limit=RateLimit(5)) as spot:
        rows = [("SPOT123456", {"n": str(number)}) for number in range(100)]
        waits: list[float] = []

        async def call_now_and_then() -> None:
            for _ in range(8):
                await asyncio.sleep(1.5)
                start = now()
                await spot.kits.get("SPOT654321")
                waits.append(now() - start)

        fake_spot.kits.add("SPOT654321")
        caller = asyncio.create_task(call_now_and_then())
        async for outcome in spot.kits.update_metadata_many(rows):
            assert outcome.ok
        await caller

    assert max(waits) <= 0.5


async def test_a_bulk_run_has_a_tenth_though_single_calls_take_all_they_get(fake_spot: FakeSpot) -> None:
    for number in range(40):
        fake_spot.kits.add(f"K{number}")
    async with fake_spot.client(rate_limit=RateLimit(50), concurrency=500) as spot:

        async def call_all_the_time() -> None:
            while True:
                await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(100)))

        callers = [asyncio.create_task(call_all_the_time()) for _ in range(3)]
        start = now()
        rows: list[tuple[str, dict[str, str]]] = [(f"K{number}", {}) for number in range(40)]
        states = [outcome.state async for outcome in spot.kits.update_metadata_many(rows)]
        took_s = now() - start
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)

    assert states == ["ok"] * 40
    assert took_s <= 40 / 5 + 1


# One limit for several clients


async def test_two_clients_with_one_limiter_share_its_rate(fake_spot: FakeSpot) -> None:
    limiter = RateLimiter(RateLimit(20))
    async with fake_spot.client(rate_limit=limiter) as one, fake_spot.client(rate_limit=limiter) as other:
        await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(50) for spot in (one, other)))

    assert most_in([request.at_s for request in fake_spot.requests], 1.0) <= 22


async def test_a_client_that_closes_sends_only_its_own_waiters_away(fake_spot: FakeSpot) -> None:
    limiter = RateLimiter(RateLimit(1))
    one, other = fake_spot.client(rate_limit=limiter), fake_spot.client(rate_limit=limiter)
    await one.kits.get("SPOT123456")
    of_one = asyncio.create_task(one.kits.get("SPOT123456"))
    of_other = asyncio.create_task(other.kits.get("SPOT123456"))
    await asyncio.sleep(0.1)

    await one.close()

    with pytest.raises(NotSentError) as caught:
        await of_one
    assert caught.value.reason == "closed"
    assert (await of_other).kit_id == "SPOT123456"
    await other.close()


def test_a_limiter_takes_a_limit() -> None:
    with pytest.raises(ConfigError, match="RateLimit or an AdaptiveRateLimit"):
        RateLimiter(20)  # type: ignore[arg-type]


# Timeouts


@pytest.mark.parametrize("timeout_s", [0.3, 7.25])
async def test_an_attempt_ends_with_timeout_s_unrounded(fake_spot: FakeSpot, timeout_s: float) -> None:
    fake_spot.faults.add(faults.slow_answer(100), times=None)
    async with fake_spot.client(timeout_s=timeout_s, retry=RetryPolicy(max_attempts=1)) as spot:
        start = now()
        with pytest.raises(OutcomeUnknownError) as caught:
            await spot.kits.get("SPOT123456")

    assert caught.value.reason == "timeout"
    assert now() - start == pytest.approx(timeout_s, abs=0.01)


@pytest.mark.parametrize("is_kept", [False, True], ids=["a new connection", "a kept connection"])
@pytest.mark.parametrize("how", ["cancel", "timeout", "wait_for"])
async def test_a_cancellation_at_the_very_moment_of_the_timeout_is_not_swallowed(
    fake_spot: FakeSpot, how: str, is_kept: bool
) -> None:
    async with fake_spot.client(timeout_s=1.0) as spot:
        if is_kept:
            await spot.kits.get("SPOT123456")
        fake_spot.faults.add(faults.slow_answer(50), times=None)
        start, before = now(), len(fake_spot.requests)
        if how == "timeout":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await spot.kits.get("SPOT123456")
        elif how == "wait_for":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(spot.kits.get("SPOT123456"), 1.0)
        else:
            call = asyncio.create_task(spot.kits.get("SPOT123456"))
            asyncio.get_running_loop().call_later(1.0, call.cancel)
            with pytest.raises(asyncio.CancelledError):
                await call

        assert now() - start == pytest.approx(1.0, abs=0.01)
        assert len(fake_spot.requests) - before <= 1


async def test_a_cancellation_that_came_while_the_caller_s_own_code_ran_is_not_swallowed(fake_spot: FakeSpot) -> None:
    """As a signal's handler does it: the task is cancelled while it runs, and was not told of it yet."""
    async with fake_spot.client() as spot:

        async def use() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await spot.kits.update_metadata("SPOT123456", {})

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(use())

    assert fake_spot.ledger == []


async def test_what_runs_after_a_cancellation_that_was_told_is_carried_out(fake_spot: FakeSpot) -> None:
    async with fake_spot.client() as spot:

        async def use() -> str | None:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                return (await spot.kits.get("SPOT123456")).kit_id  # cleaning up
            return None

        task = asyncio.create_task(use())
        await asyncio.sleep(0.1)
        task.cancel()

        assert await task == "SPOT123456"


@pytest.mark.parametrize("huge", [1e12, 1.7e308])
async def test_times_that_stand_for_no_bound_lose_no_clue(fake_spot: FakeSpot, huge: float) -> None:
    fake_spot.faults.add("drop_after", method="POST")
    async with fake_spot.client(lands_within_s=huge) as spot:
        with pytest.raises(OutcomeUnknownError) as caught:
            await spot.patients.create(
                NewPatient(
                    first_name="Robin",
                    last_name="Sample",
                    email="robin@example.com",
                    sex="F",
                    date_of_birth=date(1990, 1, 31),
                )
            )
    assert caught.value.may_be_executed


# Limiters of the caller's


class Hanging:
    """A limiter whose server is away."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def acquire(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def pause(self, seconds: float) -> None:
        pass


async def test_a_limiter_that_hangs_holds_up_no_closing(fake_spot: FakeSpot) -> None:
    limiter = Hanging()
    spot = fake_spot.client(rate_limit=limiter)
    calls = [asyncio.create_task(spot.kits.get("SPOT123456")) for _ in range(3)]
    await asyncio.sleep(0.01)

    await spot.close()

    for error in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(error, NotSentError)
        assert error.reason == "closed"
    assert limiter.cancelled == 3


async def test_a_limiter_that_cancels_itself_cancels_no_call(fake_spot: FakeSpot) -> None:
    class Cancelling(Hanging):
        async def acquire(self) -> None:
            inner = asyncio.create_task(asyncio.sleep(10))
            asyncio.get_running_loop().call_later(0.1, inner.cancel)
            await inner

    async with fake_spot.client(rate_limit=Cancelling()) as spot:
        with pytest.raises(NotSentError, match="the wait for the rate limit was cancelled"):
            await spot.kits.get("SPOT123456")
        assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)


class Outside(BaseException):
    """Comes from nowhere that the SDK knows."""


@pytest.mark.parametrize("raised", [RuntimeError("mine"), Outside("mine"), TimeoutError("mine"), KeyError("mine")])
async def test_what_a_limiter_raises_gets_out_and_leaves_the_books_right(
    fake_spot: FakeSpot, raised: BaseException
) -> None:
    class Raising(Hanging):
        async def acquire(self) -> None:
            raise raised

    async with fake_spot.client(rate_limit=Raising(), concurrency=1) as spot:
        for _ in range(3):
            with pytest.raises(type(raised)) as caught:
                await spot.kits.get("SPOT123456")
            assert caught.value is raised
        assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)


async def test_a_call_that_is_cancelled_while_it_waits_for_a_limiter_is_cancelled(fake_spot: FakeSpot) -> None:
    async with fake_spot.client(rate_limit=Hanging(), retry=RetryPolicy(max_attempts=1)) as spot:
        call = asyncio.create_task(spot.kits.get("SPOT123456"))
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
