"""A share of all requests fails by chance: what a run keeps of its rate, however many it sends at once, and its rows.

``SPOTDX_CHAOS=full`` makes the whole table, and 200 runs in which no row may be lost.
"""

import asyncio
import random
from collections import Counter
from functools import cache
from itertools import product
from typing import Any

import pytest

from spotdx_async.testing import FakeSpot, faults, run_virtual
from tests.long_set import IS_FULL, with_long

pytestmark = [pytest.mark.virtual_time, pytest.mark.no_cover]

LATENCIES_S = [0.005, 0.2]
AT_ONCE = [1, 2, 3, 4, 5, 6, 8, 12, 16, 32, 64, 128]
SHARES = [0.0, 0.05, 0.1, 0.2, 0.3, 0.4]
IN_SHORT = {(0.005, 2, 0.4), (0.005, 6, 0.4), (0.005, 32, 0.1), (0.2, 3, 0.1), (0.2, 5, 0.4), (0.2, 32, 0.4)}
SEEDS = range(200 if IS_FULL else 1)


async def run(
    share: float, *, count: int, concurrency: int, latency_s: float = 0.02, seed: int = 1, bad: tuple[int, ...] = ()
) -> tuple[float, int, Counter[str], dict[int, int]]:
    """Rows a second, requests, states, and the attempts of rows that are not ok."""
    async with FakeSpot(latency_s=latency_s, keep_requests=False) as fake:
        kit_ids = [f"SPOT{n}" for n in range(count)]
        fake.kits.add_many(kit_ids)
        if share:
            fake.faults.random(share, seed=seed, kinds=["503"])
        for n in bad:
            fake.faults.add("503", kit_id=kit_ids[n], times=None)
        async with fake.client() as spot:
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            many = spot.kits.update_metadata_many([(kit_id, {}) for kit_id in kit_ids], concurrency=concurrency)
            outcomes = [outcome async for outcome in many]
            took_s = loop.time() - began_s
        states: Counter[str] = Counter(outcome.state for outcome in outcomes)
        attempts = {outcome.index: outcome.attempts for outcome in outcomes if not outcome.ok}
        return count / took_s, fake.counts["requests"], states, attempts


@cache
def healthy_rate(count: int, concurrency: int, latency_s: float) -> float:
    return run_virtual(run(0.0, count=count, concurrency=concurrency, latency_s=latency_s))[0]


@pytest.mark.parametrize(
    ("latency_s", "concurrency", "share"), with_long(IN_SHORT, product(LATENCIES_S, AT_ONCE, SHARES))
)
def test_the_rate_falls_by_what_fails_however_many_go_at_once(latency_s: float, concurrency: int, share: float) -> None:
    count = max(400, 60 * min(64, concurrency))  # a shorter run is over before the last repeats are
    rate, requests, states, _ = run_virtual(run(share, count=count, concurrency=concurrency, latency_s=latency_s))

    assert states == {"ok": count}
    assert rate >= 0.8 * (1 - share) * healthy_rate(count, concurrency, latency_s)
    assert requests / count <= 1.1 + share / (1 - share)


@pytest.mark.parametrize("concurrency", range(1, 9))
def test_no_row_is_lost_where_four_in_ten_fail_from_the_first_row_on(concurrency: int) -> None:
    for seed in SEEDS if concurrency == 1 else SEEDS[::8]:
        _, _, states, _ = run_virtual(run(0.4, count=300, concurrency=concurrency, seed=100 * concurrency + seed))

        assert states == {"ok": 300}, seed


@pytest.mark.parametrize("concurrency", [1, 4, 16])
@pytest.mark.parametrize("count", [5, 300])
@pytest.mark.parametrize("place", [0, 3])
def test_a_row_that_fails_by_itself_ends_after_the_policy_s_tries(concurrency: int, count: int, place: int) -> None:
    rate, _, states, attempts = run_virtual(run(0.0, count=count, concurrency=concurrency, bad=(place,)))

    assert states == {"ok": count - 1, "unknown": 1}
    # Tried once more where no other row was served meanwhile.
    assert attempts[place] in ({4, 5} if concurrency == 1 else {4})
    assert count / rate <= count * 0.02 / concurrency + 2


@pytest.mark.parametrize(("capacity", "concurrency"), [(2, 6), (3, 8)])
async def test_few_at_once_do_not_overload_a_server_that_can_do_fewer(
    fake_spot: FakeSpot, monkeypatch: pytest.MonkeyPatch, capacity: int, concurrency: int
) -> None:
    latency_s, dice = 0.02, random.Random(7)
    answer, refusal, served = fake_spot._answer, faults.status(503), 0

    async def answer_some(call: Any, authorization: str | None, early: Any) -> Any:
        nonlocal served
        # Were all equally long, the same one would come last for ever, and be refused.
        takes_s = dice.uniform(0.8, 1.2) * latency_s
        if served >= capacity:
            await asyncio.sleep(takes_s)
            return await fake_spot._play(refusal, call, authorization)
        served += 1
        try:
            await asyncio.sleep(takes_s)
            return await answer(call, authorization, early)
        finally:
            served -= 1

    monkeypatch.setattr(fake_spot, "_answer", answer_some)
    count = 200 * capacity
    kit_ids = [f"SPOT{n}" for n in range(count)]
    fake_spot.kits.add_many(kit_ids)
    async with fake_spot.client() as spot:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        many = spot.kits.update_metadata_many([(kit_id, {}) for kit_id in kit_ids], concurrency=concurrency)
        states = Counter([outcome.state async for outcome in many])
        took_s = loop.time() - began_s

    assert states == {"ok": count}
    assert count / took_s >= 0.8 * capacity / latency_s
    assert len(fake_spot.requests) <= 2 * count
