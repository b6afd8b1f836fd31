"""The handle of a bulk run: stopping in order, leaving at once, progress."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from spotdx_async import BulkRun, BulkStopped, InvalidInputError, Kit, Outcome, Progress, RateLimit, SpotClient
from spotdx_async.testing import FakeSpot

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def bulk_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "spotdx bulk"]


def endless() -> Iterator[tuple[str, dict[str, int]]]:
    number = 0
    while True:
        yield f"SPOT{number}", {"n": number}
        number += 1


async def rest(run: BulkRun[Kit]) -> list[Outcome[Kit]]:
    return [outcome async for outcome in run]


async def test_stop_finishes_what_is_under_way_and_skips_what_was_read(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many([f"SPOT{n}" for n in range(100)])
    fake_spot.latency_s = 2
    async with fake_spot.client() as spot:
        run = spot.kits.update_metadata_many(endless(), concurrency=4)
        asyncio.get_running_loop().call_at(now() + 1, run.stop)
        outcomes = await rest(run)

    assert Counter(outcome.state for outcome in outcomes) == {"ok": 4, "skipped": 4}
    assert all(outcome.error is not None and not outcome.is_done for outcome in outcomes if not outcome.ok)
    assert fake_spot.counts["requests"] == 4
    assert bulk_tasks() == []


async def test_a_stop_before_the_start_reads_nothing(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    run = spot_client.kits.update_metadata_many(endless())
    run.stop()

    assert await rest(run) == []
    assert fake_spot.counts["requests"] == 0


async def test_a_stop_wakes_rows_that_wait_for_a_repeat_or_for_input(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add("429", times=None)

    async def waiting() -> AsyncIterator[Any]:
        yield "SPOT123456", {}
        await asyncio.sleep(10_000)

    async with fake_spot.client() as spot:
        run = spot.kits.update_metadata_many(waiting())
        asyncio.get_running_loop().call_at(now() + 30, run.stop)
        outcomes = await rest(run)

    assert [outcome.state for outcome in outcomes] == ["skipped"]
    assert now() < 31


async def test_aclose_cancels_what_is_under_way(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many([f"SPOT{n}" for n in range(100)])
    async with fake_spot.client() as spot:
        run = spot.kits.update_metadata_many(endless(), concurrency=4)
        await anext(run)
        fake_spot.latency_s = 1000
        await run.aclose()

        assert bulk_tasks() == []
        assert spot.stats.in_flight == 0
        with pytest.raises(StopAsyncIteration):
            await anext(run)


async def test_a_run_that_is_dropped_unfinished_leaves_no_task(spot_client: SpotClient, fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many([f"SPOT{n}" for n in range(100)])
    run = spot_client.kits.update_metadata_many(endless(), concurrency=4)
    await anext(run)

    kept = [run]
    del run
    with pytest.warns(ResourceWarning, match=r"a bulk run of POST /api/v2/kits/\{kit_id\}/ was left"):
        kept.clear()
    gc.collect()
    await asyncio.sleep(1)

    assert bulk_tasks() == []


async def test_progress_is_told_every_half_second_and_at_the_end(fake_spot: FakeSpot) -> None:
    kit_ids = [f"SPOT{n}" for n in range(200)]
    fake_spot.kits.add_many(kit_ids)
    told: list[Progress] = []
    async with fake_spot.client(rate_limit=RateLimit(20)) as spot:
        await rest(spot.kits.update_metadata_many([(k, {}) for k in kit_ids], progress=told.append))

    assert len(told) == pytest.approx(200 / 20 / 0.5, abs=2)
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    middle = told[len(told) // 2]
    assert middle.rate == pytest.approx(20, rel=0.2)
    assert middle.eta_s == pytest.approx((200 - middle.done) / 20, rel=0.3)
    assert (told[-1].done, told[-1].by_state["ok"], told[-1].total) == (200, 200, 200)


async def test_a_progress_function_that_fails_stops_the_run_and_is_raised(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many([f"SPOT{n}" for n in range(1000)])
    outcomes: list[Outcome[Kit]] = []

    def broken(_: Progress) -> None:
        raise LookupError("no screen")

    async with fake_spot.client(rate_limit=RateLimit(20)) as spot:
        with pytest.raises(LookupError):
            async for outcome in spot.kits.update_metadata_many(endless(), progress=broken):
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count

    assert sorted(outcome.index for outcome in outcomes) == list(range(len(outcomes)))


async def test_an_input_that_raises_is_raised_after_an_outage_as_well(fake_spot: FakeSpot) -> None:
    def rows() -> Iterator[tuple[str, dict[str, int]]]:
        for n in range(20):
            yield f"SPOT{n}", {}
        raise OSError("the disk is gone")

    fake_spot.kits.add_many([f"SPOT{n}" for n in range(20)])
    fake_spot.faults.add("503", times=None)
    asyncio.get_running_loop().call_at(now() + 30, fake_spot.faults.clear)
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client() as spot:
        with pytest.raises(OSError, match="the disk is gone"):
            async for outcome in spot.kits.update_metadata_many(rows()):
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count

    assert Counter(outcome.state for outcome in outcomes) == {"ok": 20}


async def test_a_live_input_that_waits_for_outcomes_is_not_starved(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many([f"SPOT{n}" for n in range(5)])
    fake_spot.faults.add("500", times=None, kit_id="SPOT2")
    fed: asyncio.Queue[int | None] = asyncio.Queue()

    async def live() -> AsyncIterator[Any]:
        while (number := await fed.get()) is not None:
            yield f"SPOT{number}", {}

    states = []
    fed.put_nowait(0)
    async with fake_spot.client() as spot:
        async for outcome in spot.kits.update_metadata_many(live(), concurrency=1):
            states.append(outcome.state)
            fed.put_nowait(len(states) if len(states) < 5 else None)

    assert states == ["ok", "ok", "unknown", "ok", "ok"]
    assert now() < 60


@pytest.mark.parametrize(
    "options",
    [
        {"outage_limit": 0},
        {"outage_limit": "30"},
        {"progress": 5},
        {"journal": ""},
        {"journal": 5},
        {"concurrency": True},
    ],
)
async def test_unusable_options_are_refused_at_once(spot_client: SpotClient, options: Any) -> None:
    with pytest.raises(InvalidInputError):
        spot_client.kits.update_metadata_many([], **options)


async def test_rejected_rows_count_towards_stop_after(spot_client: SpotClient) -> None:
    with pytest.raises(BulkStopped):
        await rest(spot_client.kits.update_metadata_many([("", {})] * 1000, stop_after=10))
