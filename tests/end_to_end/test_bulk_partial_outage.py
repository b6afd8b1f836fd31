"""What a bulk run does while a part of its requests fails: it goes on with what is left of the rate."""

import asyncio
from collections import Counter
from functools import cache
from itertools import product
from typing import Any

import pytest

from spotdx_async import RateLimit
from spotdx_async.testing import FakeSpot, faults, run_virtual
from tests.long_set import with_long

pytestmark = [pytest.mark.virtual_time, pytest.mark.no_cover]

LATENCY_S = 0.02


def now() -> float:
    return asyncio.get_running_loop().time()


def rows(fake: FakeSpot, count: int) -> list[tuple[str, dict[str, int]]]:
    kit_ids = [f"SPOT{n}" for n in range(count)]
    fake.kits.add_many(kit_ids)
    return [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]


async def run(
    share: float, *, count: int, concurrency: int, rate: float | None = None, ordered: bool = False
) -> tuple[float, float, float]:
    """Rows a second, requests a row, and failures a row, where that share of all requests is answered 503."""
    async with FakeSpot(latency_s=LATENCY_S, keep_requests=False) as fake:
        updates = rows(fake, count)
        fake.faults.random(share, seed=11, kinds=["503"])
        limit = None if rate is None else RateLimit(rate)
        async with fake.client(rate_limit=limit) as spot:
            began_s = now()
            many = spot.kits.update_metadata_many(updates, concurrency=concurrency, ordered=ordered)
            states = Counter([outcome.state async for outcome in many])
            took_s = now() - began_s
        assert states == {"ok": count}
        return count / took_s, fake.counts["requests"] / count, fake.faults.played["503"] / count


KINDS = {
    "16 at once": {"count": 1200, "concurrency": 16},
    "in order": {"count": 1600, "concurrency": 16, "ordered": True},
    "50 a second": {"count": 400, "concurrency": 64, "rate": 50.0},
    "2 a second": {"count": 60, "concurrency": 64, "rate": 2.0},
    "1 at once": {"count": 400, "concurrency": 1},
}


@cache
def healthy_rate(kind: str) -> float:
    return run_virtual(run(0.0, **KINDS[kind]))[0]  # type: ignore[arg-type]  # named as the arguments


SHARES = [0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4]
IN_SHORT = {
    *(("16 at once", 0.05), ("16 at once", 0.25), ("16 at once", 0.4)),
    *(("in order", 0.1), ("in order", 0.4), ("50 a second", 0.2), ("50 a second", 0.4)),
}


@pytest.mark.parametrize(
    ("kind", "share"), with_long(IN_SHORT, product(["16 at once", "in order", "50 a second"], SHARES))
)
def test_the_rate_falls_by_no_more_than_what_fails(kind: str, share: float) -> None:
    rate, requests, failures = run_virtual(run(share, **KINDS[kind]))  # type: ignore[arg-type]  # named as the arguments

    assert rate >= 0.8 * (1 - share) * healthy_rate(kind)
    assert requests <= 1.1 + failures  # a row's share / (1 - share), but for the dice


@pytest.mark.parametrize(("kind", "share"), [("2 a second", 0.4), ("1 at once", 0.4)])
def test_the_same_holds_at_a_low_rate_and_one_by_one(kind: str, share: float) -> None:
    rate, requests, failures = run_virtual(run(share, **KINDS[kind]))  # type: ignore[arg-type]  # named as the arguments

    assert rate >= 0.8 * (1 - share) * healthy_rate(kind)
    assert requests <= 1.1 + failures  # a row's share / (1 - share), but for the dice


@pytest.mark.parametrize(("up_s", "down_s"), [(2.7, 0.3), (2.0, 2.0)], ids=["maintenance", "flapping upstream"])
async def test_a_server_that_comes_and_goes_is_used_while_it_is_there(up_s: float, down_s: float) -> None:
    rate, seconds = 100, 12.0
    async with FakeSpot(latency_s=LATENCY_S, keep_requests=False) as fake:
        updates = rows(fake, int(rate * seconds))
        loop, done = asyncio.get_running_loop(), 0
        for n in range(int(seconds / (up_s + down_s))):
            down_at_s = now() + n * (up_s + down_s) + up_s
            loop.call_at(down_at_s, lambda: fake.faults.add("503", times=None))
            loop.call_at(down_at_s + down_s, fake.faults.clear)
        async with fake.client(rate_limit=RateLimit(rate)) as spot:
            end_s = now() + seconds
            async with spot.kits.update_metadata_many(updates) as many:
                async for outcome in many:
                    assert outcome.ok
                    done += 1
                    if now() >= end_s:
                        break
        requests = fake.counts["requests"]

    assert done >= 0.7 * rate * seconds * up_s / (up_s + down_s)
    assert requests <= 1.1 * done


@pytest.mark.parametrize(
    ("capacity", "concurrency", "refused_in_s"),
    with_long(
        [(3, 32, LATENCY_S / 10), (16, 24, LATENCY_S)],
        [(8, 32, LATENCY_S / 4), (8, 64, LATENCY_S / 10), (3, 32, LATENCY_S / 10), (16, 24, LATENCY_S)],
    ),
)
async def test_a_server_with_too_much_to_do_is_asked_for_less(
    fake_spot: FakeSpot, monkeypatch: pytest.MonkeyPatch, capacity: int, concurrency: int, refused_in_s: float
) -> None:
    """It refuses more than it can serve at once, and mostly sooner than it serves: these are not sent again and again.

    Rows that are refused keep their places meanwhile; else others would be refused in them, as if it was no matter of
    load.
    """
    fake_spot.latency_s = LATENCY_S
    answer, refusal, served = fake_spot._answer, faults.status(503), 0

    async def answer_some(call: Any, authorization: str | None, early: Any) -> Any:
        nonlocal served
        if served >= capacity:
            await asyncio.sleep(refused_in_s)
            return await fake_spot._play(refusal, call, authorization)
        served += 1
        try:
            return await answer(call, authorization, early)
        finally:
            served -= 1

    monkeypatch.setattr(fake_spot, "_answer", answer_some)
    count = 300 * capacity
    updates = rows(fake_spot, count)
    async with fake_spot.client() as spot:
        began_s = now()
        many = spot.kits.update_metadata_many(updates, concurrency=concurrency)
        states = Counter([outcome.state async for outcome in many])
        took_s = now() - began_s

    assert states == {"ok": count}
    assert count / took_s >= 0.8 * capacity / LATENCY_S
    # The overload shows within the first second or two.
    assert len(fake_spot.requests) <= 1.3 * count + 2 * concurrency / LATENCY_S


async def test_refusals_that_come_at_once_make_no_more_requests_a_second(
    fake_spot: FakeSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_spot.faults.random(0.4, seed=3, kinds=["503"])

    async def answer(call: Any, authorization: str | None, _early: Any) -> Any:
        fault = fake_spot.faults.pick(call)
        if fault is not None:
            return await fake_spot._play(fault, call, authorization)
        await asyncio.sleep(0.5)
        return fake_spot._execute(call, authorization)

    monkeypatch.setattr(fake_spot, "_answer", answer)
    updates = rows(fake_spot, 600)
    async with fake_spot.client() as spot:
        began_s = now()
        many = spot.kits.update_metadata_many(updates, concurrency=16)
        states = Counter([outcome.state async for outcome in many])
        took_s = now() - began_s

    assert states == {"ok": 600}
    assert 600 / took_s >= 0.8 * 0.6 * 16 / 0.5
    assert len(fake_spot.requests) / took_s <= 1.2 * 16 / 0.5


@pytest.mark.parametrize("concurrency", with_long([1, 64], [1, 5, 64]))
async def test_a_total_outage_within_a_partial_one_fails_no_row(fake_spot: FakeSpot, concurrency: int) -> None:
    fake_spot.latency_s = LATENCY_S
    updates = rows(fake_spot, 600)
    fake_spot.faults.random(0.4, seed=5, kinds=["503"])
    loop, began_s = asyncio.get_running_loop(), now()
    ours = [None]
    loop.call_at(began_s + 2, lambda: ours.append(fake_spot.faults.add("503", times=None)))  # type: ignore[arg-type]
    loop.call_at(began_s + 62, lambda: fake_spot.faults.withdraw(ours.pop()))  # type: ignore[arg-type]
    async with fake_spot.client(rate_limit=RateLimit(100)) as spot:
        many = spot.kits.update_metadata_many(updates, concurrency=concurrency)
        states = Counter([outcome.state async for outcome in many])

    assert states == {"ok": 600}
    during = sum(began_s + 2.1 <= request.at_s < began_s + 62 for request in fake_spot.requests)
    assert during <= 90
