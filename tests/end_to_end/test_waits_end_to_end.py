"""Rate limits, pauses, places and deadlines."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from spotdx_async import (
    NotSentError,
    OutcomeUnknownError,
    RateLimit,
    RateLimitError,
    ServerError,
    SpotClient,
    SpotError,
)
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= t < start + 1 for t in times[i : i + 1000]) for i, start in enumerate(times))


@pytest.mark.no_cover
@pytest.mark.parametrize(("rate", "burst"), [(400, 10), (50, 5), (5, 1)])
async def test_the_rate_is_used_and_never_exceeded(fake_spot: FakeSpot, rate: int, burst: int) -> None:
    async with fake_spot.client(rate_limit=RateLimit(rate)) as spot:
        await asyncio.gather(*(spot.kits.update_metadata("SPOT123456", {}) for _ in range(4 * rate)))

    times = sorted(request.at_s for request in fake_spot.requests)
    assert len(times) == 4 * rate
    assert len(times) / (times[-1] - times[0]) >= 0.97 * rate
    assert most_in_a_second(times) <= rate + burst


async def test_places_are_handed_out_without_eating_the_timeout(fake_spot: FakeSpot) -> None:
    fake_spot.latency_s = 0.05
    async with fake_spot.client(concurrency=10, timeout_s=1) as spot:
        await asyncio.gather(*(spot.kits.update_metadata("SPOT123456", {}) for _ in range(400)))

    assert fake_spot.counts["requests"] == 400
    assert fake_spot.peak_in_flight == 10


@pytest.mark.parametrize(
    "retry_after", [7, faults.HttpDateAhead(7), "Fri, 31 Dec 1999 23:59:59 GMT", "soon", "-5", "1.5", "٧"]
)
async def test_retry_after_pauses_every_call_of_the_client(
    fake_spot: FakeSpot, spot_client: SpotClient, retry_after: faults.RetryAfter
) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=retry_after))
    first = asyncio.create_task(spot_client.kits.update_metadata("SPOT123456", {}))
    while not fake_spot.counts["429"]:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.001)
    told_at = now()
    await asyncio.gather(first, *(spot_client.kits.get("SPOT123456") for _ in range(5)))

    waited = fake_spot.requests[1].at_s - told_at
    if retry_after == "1.5":
        assert 1.9 <= waited <= 2.1  # a fraction is rounded up
    elif retry_after == 7 or isinstance(retry_after, faults.HttpDateAhead):
        assert 6.9 <= waited <= 8.1  # a date has whole seconds
    else:
        assert waited <= 1.1
    assert spot_client.stats.throttled == 1


async def test_a_date_is_compared_with_the_servers_own_clock(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    server_now = datetime(2001, 2, 3, tzinfo=UTC)  # decades off ours
    ahead = (server_now + timedelta(seconds=30)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"Date": server_now.strftime("%a, %d %b %Y %H:%M:%S GMT"), "Retry-After": ahead}
    fake_spot.faults.add(faults.body(b"", status=503, headers=headers, executes=False))

    await spot_client.kits.get("SPOT123456")

    first, second = (request.at_s for request in fake_spot.requests)
    assert 30 <= second - first <= 30.1


async def test_a_retry_after_beyond_max_wait_raises_at_once(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=60))
    async with fake_spot.client(max_wait_s=5) as spot:
        start = now()
        with pytest.raises(RateLimitError) as caught:
            await spot.kits.get("SPOT123456")
        with pytest.raises(NotSentError) as second:
            await spot.kits.get("SPOT123456")

        assert now() - start < 0.1
        assert caught.value.retry_after_s == 60
        assert (second.value.reason, second.value.attempts) == ("wait", 0)


async def test_waits_for_the_rate_beyond_max_wait_raise_at_once(fake_spot: FakeSpot) -> None:
    async with fake_spot.client(rate_limit=RateLimit(10), max_wait_s=1) as spot:
        start = now()
        ends = await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(100)), return_exceptions=True)

        refused = [end for end in ends if isinstance(end, NotSentError)]
        assert len(ends) - len(refused) == 11  # one at once, and ten in the second that may be waited
        assert now() - start < 1.2


async def test_a_retry_after_beyond_the_deadline_raises_at_once(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(503, retry_after=60))
    async with fake_spot.client(deadline_s=5) as spot:
        start = now()
        with pytest.raises(ServerError):
            await spot.kits.get("SPOT123456")
        assert now() - start < 0.1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.slow_answer(60), OutcomeUnknownError),
        (faults.slow(60), OutcomeUnknownError),
        (faults.status(503), ServerError),
        (faults.drop_before(), OutcomeUnknownError),
    ],
)
async def test_a_call_ends_by_its_deadline(fake_spot: FakeSpot, fault: faults.Fault, error: type[SpotError]) -> None:
    fake_spot.faults.add(fault, times=None)
    async with fake_spot.client(deadline_s=2) as spot:
        start = now()
        with pytest.raises(error):
            await spot.kits.update_metadata("SPOT123456", {})
        assert now() - start <= 2.05


async def test_a_deadline_covers_the_wait_for_a_place(fake_spot: FakeSpot) -> None:
    fake_spot.latency_s = 10
    async with fake_spot.client(concurrency=1) as spot:
        slow = asyncio.create_task(spot.kits.get("SPOT123456"))
        await asyncio.sleep(0.1)
        start = now()
        with pytest.raises(NotSentError) as caught:
            await spot.with_options(deadline_s=1).kits.get("SPOT123456")
        assert now() - start == pytest.approx(1, abs=0.05)
        assert (caught.value.reason, caught.value.attempts) == ("deadline", 0)
        await slow


class OneAtATime:
    """A limiter of a caller's: lets a call through each second."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.pauses: list[float] = []

    async def acquire(self) -> None:
        async with self.lock:
            await asyncio.sleep(1)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_a_limiter_of_the_callers_is_asked_for_each_attempt_and_told_of_pauses(fake_spot: FakeSpot) -> None:
    limiter = OneAtATime()
    fake_spot.faults.add(faults.status(429, retry_after=3))
    async with fake_spot.client(rate_limit=limiter) as spot:
        start = now()
        await spot.kits.get("SPOT123456")
        assert now() - start == pytest.approx(1 + 3 + 1, abs=0.1)
        assert limiter.pauses == [3]

        with pytest.raises(NotSentError):
            await spot.with_options(max_wait_s=0.5).kits.get("SPOT123456")


async def test_stats_tell_what_waits_and_what_is_in_flight(fake_spot: FakeSpot) -> None:
    fake_spot.latency_s = 1
    async with fake_spot.client(concurrency=3, rate_limit=RateLimit(1000)) as spot:
        calls = [asyncio.create_task(spot.kits.get("SPOT123456")) for _ in range(8)]
        await asyncio.sleep(0.5)
        stats = spot.stats
        assert (stats.calls, stats.in_flight, stats.waiting, stats.rate) == (8, 3, 5, 1000)
        await asyncio.gather(*calls)
        assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)
        assert spot.stats.retry_budget == pytest.approx(21.6)


async def test_a_thousand_cancelled_waits_lose_no_slot_and_no_place(fake_spot: FakeSpot) -> None:
    async with fake_spot.client(concurrency=5, rate_limit=RateLimit(100)) as spot:
        calls = [asyncio.create_task(spot.kits.get("SPOT123456")) for _ in range(1000)]
        for n, call in enumerate(calls):
            if n % 10:
                call.cancel()
            if not n % 100:
                await asyncio.sleep(0.01)
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not isinstance(end, asyncio.CancelledError) for end in ends) >= 100
        start = now()
        await spot.kits.get("SPOT123456")
        assert now() - start < 0.2


async def test_a_server_that_limits_the_rate_gets_every_update() -> None:
    async with FakeSpot(kits=200, rate_limit=50) as limited, limited.client() as spot:
        kit_ids = list(limited.kits)
        await asyncio.gather(*(spot.kits.update_metadata(k, {"of": k}) for k in kit_ids))
        assert all(limited.kits[k].metadata == {"of": k} for k in kit_ids)
