"""What an ailing server gets from many calls: hardly more requests than calls, and of a brownout no caller hears."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from spotdx_async import SpotClient, SpotError
from spotdx_async.testing import FakeSpot, Fault, faults

pytestmark = [pytest.mark.virtual_time, pytest.mark.no_cover]

OUTAGES: dict[str, Fault | str | None] = {
    "500": "500",
    "502": "502",
    "503": "503",
    "503 with Retry-After": faults.status(503, retry_after=2),
    "503 with a page": faults.status(503, form="html"),
    "408": "408",
    "429 without Retry-After": "429",
    "dropped before": "drop_before",
    "dropped after": "drop_after",
    "half a body": "half_body",
    "a proxy's page with 200": "unreadable",
    "no answer": faults.slow_answer(3600),
    "refused connections": None,
    "the token refused": "401",
}
ACTS: dict[str, Callable[[SpotClient, int], Awaitable[object]]] = {
    "updates": lambda spot, n: spot.kits.update_metadata("SPOT123456", {"n": n}),
    "reads": lambda spot, _: spot.kits.get("SPOT123456"),
    "lists": lambda spot, _: spot.kits.list().first(1),
    "creates": lambda spot, n: spot.request("POST", "/api/v2/kits/SPOT123456/", json={"metadata": {"n": n}}),
}
IN_SHORT = {
    *(("503", what) for what in ACTS),
    *((outage, "updates") for outage in ("dropped before", "half a body", "no answer", "refused connections")),
    ("dropped after", "reads"),
    ("429 without Retry-After", "reads"),
}
CALLS = 1000


async def gathered(spot: SpotClient, what: str, count: int) -> list[object]:
    return await asyncio.gather(*(ACTS[what](spot, n) for n in range(count)), return_exceptions=True)


async def one_by_one(spot: SpotClient, what: str, count: int) -> list[object]:
    return [(await asyncio.gather(ACTS[what](spot, n), return_exceptions=True))[0] for n in range(count)]


def rotating_token(fake: FakeSpot) -> Callable[[], str]:
    """Give another token each time, as a vault does whose tokens the server no longer takes."""
    given: Counter[str] = Counter()

    def source() -> str:
        given["tokens"] += 1
        return f"{fake.token}-{given['tokens']}"

    return source


async def suffer(fake: FakeSpot, spot: SpotClient, outage: str, what: str, run: Callable[..., Any]) -> float:
    """Make all calls during the outage; the requests that one call cost. They are counted where they begin."""
    fault = OUTAGES[outage]
    if fault is None:
        await fake.stop()
    else:
        fake.faults.add(fault, times=None)

    ends = await run(spot, what, CALLS)

    assert all(isinstance(end, SpotError) for end in ends), Counter(type(end).__name__ for end in ends)
    if fault is not None:
        assert fake.counts["requests"] == spot.stats.attempts, "requests that the client does not count"
    per_call = spot.stats.attempts / CALLS
    kinds = dict(Counter(type(end).__name__ for end in ends))
    print(f"{outage}, {what}, {run.__name__}: {per_call:.3f} requests a call; {kinds}")  # noqa: T201 - the figures
    return per_call


@pytest.mark.parametrize("what", list(ACTS))
@pytest.mark.parametrize("outage", [outage for outage in OUTAGES if outage != "503 with Retry-After"])
async def test_a_total_outage_gets_at_most_11_requests_for_10_calls(outage: str, what: str, chaos: Any) -> None:
    if not chaos.is_full and (outage, what) not in IN_SHORT:
        pytest.skip("only with SPOTDX_CHAOS=full")
    if (outage, what) == ("a proxy's page with 200", "creates"):
        pytest.skip("request gives the bytes as they are")
    async with FakeSpot() as fake, fake.client() as spot:
        assert await suffer(fake, spot, outage, what, gathered) <= 1.1


@pytest.mark.parametrize("outage", ["503", "dropped before", "no answer", "refused connections"])
async def test_a_total_outage_gets_no_more_from_calls_one_by_one(outage: str, chaos: Any) -> None:
    if not chaos.is_full and outage != "503":
        pytest.skip("only with SPOTDX_CHAOS=full")
    async with FakeSpot() as fake, fake.client() as spot:
        assert await suffer(fake, spot, outage, "updates", one_by_one) <= 1.1


async def test_an_outage_that_names_a_time_is_not_amplified() -> None:
    async with FakeSpot() as fake, fake.client() as spot:
        assert await suffer(fake, spot, "503 with Retry-After", "updates", gathered) <= 1.1


async def test_a_server_that_takes_no_token_any_more_gets_at_most_two_requests_a_call() -> None:
    async with FakeSpot() as fake, fake.client(token=rotating_token(fake)) as spot:
        assert await suffer(fake, spot, "the token refused", "updates", gathered) <= 2


async def test_an_outage_after_good_times_spends_what_was_saved_and_no_more() -> None:
    async with FakeSpot() as fake, fake.client() as spot:
        await gathered(spot, "updates", 600)
        assert spot.stats.retry_budget == 100  # its capacity
        before = spot.stats.attempts
        fake.faults.add("503", times=None)
        await gathered(spot, "updates", CALLS)

    assert (spot.stats.attempts - before) / CALLS <= 1.1


async def test_views_share_one_budget() -> None:
    async with FakeSpot() as fake, fake.client() as spot:
        fake.faults.add("503", times=None)
        for n in range(10):
            await gathered(spot.with_options(deadline_s=60 + n), "reads", CALLS // 10)

    assert spot.stats.attempts / CALLS <= 1.1


@pytest.mark.parametrize("run", [gathered, one_by_one])
@pytest.mark.parametrize("what", ["updates", "reads"])
async def test_a_brownout_is_hardly_noticed_and_costs_little(what: str, run: Callable[..., Any], chaos: Any) -> None:
    if not chaos.is_full and (what, run) not in {("updates", gathered), ("reads", one_by_one)}:
        pytest.skip("only with SPOTDX_CHAOS=full")
    count, seed = (10_000, chaos.seed) if chaos.is_full else (2000 if run is gathered else 1000, 7)
    async with FakeSpot(keep_requests=False) as fake, fake.client() as spot:
        fake.faults.random(0.1, seed=seed, kinds=["503"])
        ends = await run(spot, what, count)

    requests, played = fake.counts["requests"], fake.faults.played["503"]
    failed = sum(isinstance(end, BaseException) for end in ends)
    # Each answer that was a fault costs one request more; the dice give a share of a little more or less than 10 %.
    per_call = requests / count
    at_ten_percent = per_call - (1 / (1 - played / requests) - 1 / 0.9)
    print(f"{what}, {run.__name__}: {failed} of {count} failed, {per_call:.4f} ({at_ten_percent:.4f}) requests a call")  # noqa: T201
    assert failed <= count / 1000
    assert at_ten_percent <= 1.12
    assert requests <= count + played
    assert requests == spot.stats.attempts
