"""Rows that fail whatever is done, many side by side: they hold up no other row, and end in minutes at most.

An outage looks the same for a while; the tests of outages hold that none is mistaken for such rows.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import pytest

from spotdx_async import BulkStopped, RateLimit, RetryPolicy
from spotdx_async.testing import FakeSpot, faults
from tests.long_set import with_long

pytestmark = [pytest.mark.virtual_time, pytest.mark.no_cover]

LATENCY_S = 0.05
COUNT = 1000

Update = tuple[str, dict[str, int]]


def now() -> float:
    return asyncio.get_running_loop().time()


def rows(fake: FakeSpot, count: int) -> list[Update]:
    kit_ids = [f"SPOT{n}" for n in range(count)]
    fake.kits.add_many(kit_ids)
    return [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]


def put_at_fault(fake: FakeSpot, updates: list[Update], fault: Any = "500") -> None:
    for kit_id, _ in updates:
        fake.faults.add(fault, times=None, kit_id=kit_id)


async def run(fake: FakeSpot, updates: Any, **options: Any) -> tuple[Counter[str], float, float]:
    """The outcomes' states, the seconds until the last row that went well, and those until the end."""
    states: Counter[str] = Counter()
    began_s = last_ok_s = now()
    async with fake.client() as spot:
        async for outcome in spot.kits.update_metadata_many(updates, **options):
            states[outcome.state] += 1
            if outcome.ok:
                last_ok_s = now()
    return states, last_ok_s - began_s, now() - began_s


@pytest.mark.parametrize(
    ("first", "concurrency", "ordered"),
    with_long(
        {(0, 1, True), (0, 16, False), (400, 4, False), (400, 16, True)}, product([0, 400], [1, 4, 16], [False, True])
    ),
)
async def test_neighbours_at_fault_hold_up_nobody(
    fake_spot: FakeSpot, first: int, concurrency: int, *, ordered: bool
) -> None:
    fake_spot.latency_s = LATENCY_S
    updates = rows(fake_spot, COUNT)
    put_at_fault(fake_spot, updates[first : first + 40])

    states, _, took_s = await run(fake_spot, updates, concurrency=concurrency, ordered=ordered)

    assert states == {"ok": COUNT - 40, "unknown": 40}
    assert took_s <= 15 + 1.5 * COUNT * LATENCY_S / concurrency
    assert len(fake_spot.requests) <= COUNT + 40 * 12


@pytest.mark.parametrize(("count", "concurrency"), with_long({(6, 16), (40, 4)}, product([6, 40], [4, 16])))
async def test_at_the_end_of_the_input_they_end_in_minutes(fake_spot: FakeSpot, count: int, concurrency: int) -> None:
    fake_spot.latency_s = LATENCY_S
    updates = rows(fake_spot, COUNT)
    put_at_fault(fake_spot, updates[-count:])

    states, last_ok_s, took_s = await run(fake_spot, updates, concurrency=concurrency)

    assert states == {"ok": COUNT - count, "unknown": count}
    assert last_ok_s <= 1.5 * COUNT * LATENCY_S / concurrency
    assert took_s - last_ok_s <= 240
    assert len(fake_spot.requests) <= COUNT + count * 12


async def test_an_input_of_nothing_but_rows_at_fault_ends_too(fake_spot: FakeSpot) -> None:
    """As when the rows that failed are given to another run."""
    updates = rows(fake_spot, 30)
    put_at_fault(fake_spot, updates)

    states, _, took_s = await run(fake_spot, updates)

    assert states == {"unknown": 30}
    assert took_s <= 180


async def test_where_the_server_was_never_there_the_run_waits_for_it_until_its_limit(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 30)
    fake_spot.faults.add("503", times=None)

    with pytest.raises(BulkStopped, match="outage_limit"):
        await run(fake_spot, updates, outage_limit=900)

    assert now() >= 900


@pytest.mark.parametrize("left", [5, 30])
async def test_an_outage_that_begins_with_the_last_rows_fails_none(fake_spot: FakeSpot, left: int) -> None:
    updates = rows(fake_spot, 500)

    async def until_it_is_away() -> AsyncIterator[Update]:
        for update in updates[:-left]:
            yield update
        await asyncio.sleep(1)
        fake_spot.faults.add("503", times=None)
        asyncio.get_running_loop().call_later(100, fake_spot.faults.clear)
        for update in updates[-left:]:
            yield update

    states, _, _ = await run(fake_spot, until_it_is_away())

    assert states == {"ok": 500}


@pytest.mark.parametrize("gap_s", [0.2, 2.0, 5.0, 12.0])
async def test_an_outage_while_rows_trickle_in_fails_none(fake_spot: FakeSpot, gap_s: float) -> None:
    updates = rows(fake_spot, 20)

    async def trickling() -> AsyncIterator[Update]:
        for update in updates:
            yield update
            await asyncio.sleep(gap_s)

    loop = asyncio.get_running_loop()
    loop.call_later(4.5 * gap_s, lambda: fake_spot.faults.add("503", times=None))
    loop.call_later(4.5 * gap_s + 60, fake_spot.faults.clear)

    states, _, _ = await run(fake_spot, trickling())

    assert states == {"ok": 20}


async def test_an_outage_while_other_rows_are_held_fails_none(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 14)
    for kit_id, _ in updates[:10]:
        fake_spot.faults.add(faults.status(504), kit_id=kit_id)

    async def with_more_than_one_value() -> AsyncIterator[Update]:
        for update in [*updates[:10], *updates[:10]]:  # the second ones are held for a minute
            yield update
        await asyncio.sleep(2)
        fake_spot.faults.add("503", times=None)
        asyncio.get_running_loop().call_later(30, fake_spot.faults.clear)
        for update in updates[10:]:
            yield update

    states, _, _ = await run(fake_spot, with_more_than_one_value())

    assert states == {"ok": 24}


async def test_an_input_that_waits_for_the_outcome_of_a_row_at_fault_goes_on(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 8)
    put_at_fault(fake_spot, updates[3:5])
    is_done = asyncio.Event()
    states: Counter[str] = Counter()

    async def one_by_one() -> AsyncIterator[Update]:
        for update in updates:
            is_done.clear()
            yield update
            await is_done.wait()

    began_s = now()
    async with fake_spot.client() as spot:
        async for outcome in spot.kits.update_metadata_many(one_by_one()):
            states[outcome.state] += 1
            is_done.set()

    assert states == {"ok": 6, "unknown": 2}
    assert now() - began_s <= 60


@pytest.mark.parametrize(("concurrency", "up_s"), [(64, 0.3), (64, 2.0), (16, 1.0)])
async def test_two_outages_one_after_the_other_before_the_end_fail_none(
    fake_spot: FakeSpot, concurrency: int, up_s: float
) -> None:
    """In between others are served past those that have failed."""
    fake_spot.latency_s = LATENCY_S
    updates = rows(fake_spot, 400)
    loop, down_s = asyncio.get_running_loop(), 0.8 * 400 * LATENCY_S / concurrency
    for begin_s, end_s in ((down_s, down_s + 20), (down_s + 20 + up_s, down_s + 50 + up_s)):
        loop.call_later(begin_s, lambda: fake_spot.faults.add("503", times=None))
        loop.call_later(end_s, fake_spot.faults.clear)

    states, _, _ = await run(fake_spot, updates, concurrency=concurrency)

    assert states == {"ok": 400}


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_few_at_once_probe_as_well(fake_spot: FakeSpot, concurrency: int) -> None:
    fake_spot.latency_s = LATENCY_S
    updates = rows(fake_spot, 39)
    put_at_fault(fake_spot, updates[::4] + updates[-3:])
    asyncio.get_running_loop().call_later(60, fake_spot.faults.clear)

    states, _, took_s = await run(fake_spot, updates, concurrency=concurrency)

    assert states["ok"] >= 35
    assert states["ok"] + states["unknown"] == 39
    assert took_s <= 90


@pytest.mark.parametrize("values", [(1, 1, 1, 1, 1, 2), (6,)], ids=["six kits", "one kit"])
async def test_rows_behind_the_last_ones_at_fault_end_too(fake_spot: FakeSpot, values: tuple[int, ...]) -> None:
    updates = rows(fake_spot, 100 + len(values))
    put_at_fault(fake_spot, updates[100:])
    more = [
        (kit_id, {"n": n}) for (kit_id, _), count in zip(updates[100:], values, strict=True) for n in range(1, count)
    ]

    states, _, took_s = await run(fake_spot, updates + more)

    assert states == {"ok": 100, "unknown": sum(values)}
    assert took_s <= 200 + 60 * max(values)  # each value waits until the one before cannot land any more


async def test_a_queue_that_never_ends_gets_rid_of_rows_at_fault_and_rides_out_the_next_outage(
    fake_spot: FakeSpot,
) -> None:
    updates = rows(fake_spot, 225)
    put_at_fault(fake_spot, updates[200:205])
    queue: asyncio.Queue[Update] = asyncio.Queue()
    states: Counter[str] = Counter()

    async def from_queue() -> AsyncIterator[Update]:
        while True:
            yield await queue.get()

    async def consume() -> None:
        async with fake_spot.client() as spot:
            async for outcome in spot.kits.update_metadata_many(from_queue()):
                states[outcome.state] += 1

    consumer = asyncio.create_task(consume())
    for update in updates[:205]:
        queue.put_nowait(update)
    await asyncio.sleep(200)
    assert states == {"ok": 200, "unknown": 5}

    fake_spot.faults.add("503", times=None)
    asyncio.get_running_loop().call_later(60, fake_spot.faults.clear)
    for update in updates[205:]:
        queue.put_nowait(update)
    await asyncio.sleep(100)
    consumer.cancel()
    await asyncio.wait([consumer])
    assert states == {"ok": 220, "unknown": 5}


async def test_rows_that_a_pause_has_kept_from_their_only_try_get_it(fake_spot: FakeSpot) -> None:
    fake_spot.latency_s = LATENCY_S
    updates = rows(fake_spot, 14)
    fake_spot.faults.add("503", times=8)
    fake_spot.faults.add(faults.status(429), times=2)
    states: Counter[str] = Counter()
    async with fake_spot.client(retry=RetryPolicy(max_attempts=1), rate_limit=RateLimit(10)) as spot:
        async for outcome in spot.kits.update_metadata_many(updates, concurrency=8):
            states[outcome.state] += 1

    assert states == {"unknown": 8, "failed": 2, "ok": 4}


async def test_where_the_server_names_a_time_one_probe_goes_after_it(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 400)
    fake_spot.faults.add(faults.status(503, retry_after=60), times=None)
    asyncio.get_running_loop().call_later(200, fake_spot.faults.clear)

    states, _, _ = await run(fake_spot, updates, concurrency=32)

    assert states == {"ok": 400}
    times = Counter(round(request.at_s - fake_spot.requests[0].at_s) for request in fake_spot.requests)
    assert [times[second] for second in (60, 120, 180)] == [1, 1, 1]
