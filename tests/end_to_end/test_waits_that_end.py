"""What ends a wait before an attempt: its bound, a pause that breaks it, a resume, a foreign cancellation."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from spotdx_async import (
    AdaptiveRateLimit,
    AuthenticationError,
    ConfigError,
    NotSentError,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SpotClient,
)
from spotdx_async._http.rate_limiter import GcraLimiter
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time
A_LIFETIME = 999_999_999


def now() -> float:
    return asyncio.get_running_loop().time()


async def seconds_of(call: Awaitable[Any], error: type[BaseException]) -> tuple[float, Any]:
    start = now()
    with pytest.raises(error) as caught:
        await call
    return now() - start, caught.value


# A pause that breaks a bound


@pytest.mark.parametrize("options", [{"max_wait_s": 20}, {"deadline_s": 20}], ids=["max_wait_s", "deadline_s"])
async def test_what_the_server_asks_for_breaks_a_bound_that_max_pause_s_does_not(
    fake_spot: FakeSpot, options: dict[str, Any]
) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=A_LIFETIME))
    async with fake_spot.client(max_pause_s=10, **options) as spot:
        took_s, error = await seconds_of(spot.kits.get("SPOT123456"), RateLimitError)

        assert took_s < 0.1
        assert error.retry_after_s == A_LIFETIME
        start = now()
        await spot.kits.get("SPOT123456")  # the next call has room for the pause in force
        assert now() - start == pytest.approx(10, abs=0.1)


async def call_in_a_pause(spot: SpotClient) -> "list[asyncio.Task[Any]]":
    """Let one call hold the only permit through a pause of 100 s; another, with a bound, waits for it already."""
    bounded = spot.with_options(max_wait_s=5)
    first = asyncio.create_task(spot.kits.get("SPOT123456"))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(bounded.kits.get("SPOT123456"))
    while not spot.stats.throttled:
        await asyncio.sleep(0.01)
    return [first, waiting]


async def test_a_pause_ends_a_wait_for_a_permit_that_it_breaks_at_once(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=100))
    async with fake_spot.client(concurrency=1) as spot:
        first, waiting = await call_in_a_pause(spot)
        start = now()
        with pytest.raises(NotSentError) as caught:
            await waiting
        assert now() - start < 0.1
        assert caught.value.reason == "wait"

        took_s, error = await seconds_of(spot.with_options(max_wait_s=5).kits.get("SPOT123456"), NotSentError)
        assert (took_s < 0.1, error.reason) == (True, "wait")
        took_s, error = await seconds_of(spot.with_options(deadline_s=5).kits.get("SPOT123456"), NotSentError)
        assert (took_s < 0.1, error.reason) == (True, "deadline")
        await first


class EveryMinute:
    """A limiter of a caller's that cannot say beforehand how long it takes."""

    async def acquire(self) -> None:
        await asyncio.sleep(60)

    def pause(self, seconds: float) -> None:
        pass


async def test_a_pause_ends_a_wait_for_a_limiter_of_the_callers_that_it_breaks(fake_spot: FakeSpot) -> None:
    async with fake_spot.client(rate_limit=EveryMinute()) as spot:
        fake_spot.faults.add(faults.status(429, retry_after=200))
        first = asyncio.create_task(spot.kits.get("SPOT123456"))
        await asyncio.sleep(30)
        waiting = asyncio.create_task(spot.with_options(max_wait_s=70).kits.get("SPOT123456"))
        while not spot.stats.throttled:
            await asyncio.sleep(0.01)

        took_s, error = await seconds_of(waiting, NotSentError)
        assert (took_s < 0.1, error.reason) == (True, "wait")
        took_s, _ = await seconds_of(spot.with_options(max_wait_s=70).kits.get("SPOT123456"), NotSentError)
        assert took_s < 0.1
        await first


# What a bound does not count, and what it does


async def test_a_back_off_of_our_own_is_no_wait_that_max_wait_s_bounds(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(503), times=3)
    async with fake_spot.client(max_wait_s=0, retry=RetryPolicy(base_s=10)) as spot:
        await spot.kits.get("SPOT123456")

    assert fake_spot.counts["requests"] == 4


async def test_the_wait_that_the_server_asks_for_and_those_after_it_are_bounded_together(fake_spot: FakeSpot) -> None:
    class Slow:
        wait_s = 0.0

        async def acquire(self) -> None:
            await asyncio.sleep(self.wait_s)

        def pause(self, seconds: float) -> None:
            self.wait_s = seconds + 10

    fake_spot.faults.add(faults.status(429, retry_after=3))
    async with fake_spot.client(rate_limit=Slow(), max_wait_s=4, retry=RetryPolicy(throttle_base_s=0)) as spot:
        took_s, _ = await seconds_of(spot.kits.get("SPOT123456"), RateLimitError)

    assert took_s == pytest.approx(4, abs=0.1)


# A token that takes long


async def test_the_wait_for_a_renewed_token_is_bounded_too(fake_spot: FakeSpot) -> None:
    takes_s = 0.1

    async def token() -> str:
        await asyncio.sleep(takes_s)
        return fake_spot.token

    async with fake_spot.client(token=token, max_wait_s=1) as spot:
        await spot.kits.get("SPOT123456")
        fake_spot.token, takes_s = "rotated", 3

        took_s, _ = await seconds_of(spot.kits.get("SPOT123456"), AuthenticationError)

        assert took_s == pytest.approx(1, abs=0.05)
        await asyncio.sleep(3)  # the question goes on, and the next call has its answer
        await spot.kits.get("SPOT123456")


# Single calls that have a bound, and rows that come later


async def test_a_wait_that_rows_make_too_long_ends_at_once_and_not_later_than_its_bound() -> None:
    limiter, granted, refused = GcraLimiter(RateLimit(10, burst=1)), list[float](), list[float]()

    async def take(within_s: float | None, *, is_bulk: bool) -> None:
        try:
            await limiter.acquire(within_s, is_bulk=is_bulk)
        except Exception:  # noqa: BLE001 - of the limiter's module, for the runner
            refused.append(now())
        else:
            granted.append(now())

    await limiter.acquire()
    start = now()
    calls = [asyncio.create_task(take(3.0, is_bulk=False)) for _ in range(30)]
    await asyncio.sleep(0.05)
    rows = [asyncio.create_task(take(None, is_bulk=True)) for _ in range(5)]
    await asyncio.gather(*calls, *rows)

    assert len(refused) == 3  # three of the rows' turns come within these 3 s
    assert max(refused) - start < 0.2
    assert len(granted) == 32


# A pause that is lifted


async def test_a_resume_wakes_only_those_who_wait_for_the_pause(fake_spot: FakeSpot) -> None:
    """A back-off of our own goes on: it does not wait for the server's pause."""
    fake_spot.faults.add(faults.status(503), times=1)
    fake_spot.faults.add(faults.status(429, retry_after=100), times=1)
    policy = RetryPolicy(base_s=40, cap_s=40, throttle_base_s=0)
    async with fake_spot.client(retry=policy) as spot:
        backing_off = asyncio.create_task(spot.kits.get("SPOT123456"))
        while not spot.stats.retries:
            await asyncio.sleep(0.01)
        paused = asyncio.create_task(spot.kits.get("SPOT123456"))
        while not spot.stats.throttled:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        start = now()

        spot.resume()

        await paused
        assert now() - start < 0.1
        assert not backing_off.done()
        await backing_off


@pytest.mark.parametrize("limit", [RateLimit(10, burst=1), AdaptiveRateLimit(10, floor=10, ceiling=10)])
async def test_a_resume_lets_no_more_through_than_the_limit(limit: RateLimit | AdaptiveRateLimit) -> None:
    limiter, times = RateLimiter(limit), list[float]()
    for _ in range(20):
        await limiter.acquire()
        times.append(now())
        limiter.pause(100)
        limiter.resume()

    assert times[-1] - times[0] >= 1.9 - 1e-6


def test_a_resume_before_the_first_call_does_nothing() -> None:
    SpotClient("token").resume()


def test_a_resume_from_outside_the_client_s_loop_says_so() -> None:
    with FakeSpot() as fake:
        spot = fake.client()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(spot.kits.get("SPOT123456"))
        with pytest.raises(ConfigError, match="loop"):
            spot.resume()
        loop.run_until_complete(spot.close())
        loop.close()


# Somebody else's cancellation


async def test_a_limiter_s_own_cancellation_is_named(fake_spot: FakeSpot) -> None:
    class Cancelled:
        async def acquire(self) -> None:
            raise asyncio.CancelledError

        def pause(self, seconds: float) -> None:
            pass

    async with fake_spot.client(rate_limit=Cancelled(), concurrency=1) as spot:
        for _ in range(3):
            _, error = await seconds_of(spot.kits.get("SPOT123456"), NotSentError)
            assert error.reason == "limit"
            assert "rate limit" in str(error)
            assert error.__context__ is error.__cause__ is None


async def test_a_token_function_s_task_that_somebody_cancels_is_named(fake_spot: FakeSpot) -> None:
    async def token() -> str:
        await asyncio.sleep(10)
        return fake_spot.token

    async with fake_spot.client(token=token) as spot:
        calls = [asyncio.create_task(spot.kits.get("SPOT123456")) for _ in range(3)]
        await asyncio.sleep(0.1)
        for task in asyncio.all_tasks():  # as some shut-downs do
            if task.get_name() == "spotdx token":
                task.cancel()

        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, NotSentError)
            assert error.reason == "token"
            assert "closed" not in str(error)


# A server that says 0


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_always_says_0_gets_little_more_than_a_request_a_call(
    fake_spot: FakeSpot, status: int
) -> None:
    fake_spot.faults.add(faults.status(status, retry_after=0), times=None)
    async with fake_spot.client() as spot:
        calls = [spot.kits.update_metadata("SPOT123456", {}) for _ in range(1000)]
        ends = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(end) for end in ends} <= {RateLimitError, ServerError}
    assert fake_spot.counts["requests"] <= 1100
