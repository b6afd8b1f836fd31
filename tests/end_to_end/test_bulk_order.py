"""The order of one kit's updates: through faults, late executions and newer values."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from spotdx_async import Kit, Outcome, RetryPolicy, SpotClient
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


async def run(spot: SpotClient, updates: Any, **options: Any) -> list[Outcome[Kit]]:
    outcomes = [outcome async for outcome in spot.kits.update_metadata_many(updates, **options)]
    return sorted(outcomes, key=lambda outcome: outcome.index)


async def in_two_parts(updates: list[Any], first: int) -> AsyncIterator[Any]:
    """Give some rows, and the others when the first of those are on their way."""
    for update in updates[:first]:
        yield update
    await asyncio.sleep(0.5)
    for update in updates[first:]:
        yield update


def written(fake: FakeSpot, kit_id: str) -> list[int]:
    return [entry.metadata["n"] for entry in fake.ledger if entry.kit_id == kit_id]


def are_in_order(numbers: list[int]) -> bool:
    return numbers == sorted(numbers)


async def test_no_inversion_on_a_few_kits_with_faults_on(fake_spot: FakeSpot) -> None:
    kit_ids = [f"SPOT{n}" for n in range(30)]
    fake_spot.kits.add_many(kit_ids)
    fake_spot.faults.random(0.1, seed=4)
    dice = random.Random(4)
    updates = [(dice.choice(kit_ids), {"n": n}) for n in range(3000)]
    async with fake_spot.client(timeout_s=2) as spot:
        outcomes = await run(spot, updates)

    assert Counter(outcome.state for outcome in outcomes) == {"ok": 3000}
    assert all(are_in_order(written(fake_spot, kit_id)) for kit_id in kit_ids)
    last = dict(updates)
    assert all(fake_spot.kits[kit_id].metadata == metadata for kit_id, metadata in last.items())


async def test_a_late_execution_cannot_land_after_a_newer_value(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    # The connection breaks at once; the server carries the update out four seconds later.
    fake_spot.faults.add(faults.Fault("late", executes=True, wait_before_s=4, reshape=lambda _: None), kit_id="SPOTX")
    async with fake_spot.client(timeout_s=5, retry=RetryPolicy(max_attempts=1)) as spot:
        outcomes = await run(spot, [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2})])

    assert [outcome.state for outcome in outcomes] == ["unknown", "ok"]
    assert written(fake_spot, "SPOTX") == [1, 2]


@pytest.mark.parametrize(
    ("options", "hold_s"),
    [({}, 60), ({"lands_within_s": 20}, 20), ({"lands_within_s": 5, "timeout_s": 10}, 10), ({"timeout_s": 90}, 90)],
)
async def test_after_an_unknown_outcome_the_key_waits_until_its_request_cannot_land(
    fake_spot: FakeSpot, options: dict[str, Any], hold_s: float
) -> None:
    fake_spot.kits.add_many(["SPOTX", "SPOTY"])
    fake_spot.faults.add("drop_after", kit_id="SPOTX")
    updates = [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2}), ("SPOTY", {"n": 3})]
    async with fake_spot.client(**{"timeout_s": 3, **options}, retry=RetryPolicy(max_attempts=1)) as spot:
        outcomes = await run(spot, updates)

    assert [outcome.state for outcome in outcomes] == ["unknown", "ok", "ok"]
    at = {request.metadata["n"]: request.at_s for request in fake_spot.requests}
    assert at[2] - at[1] == pytest.approx(hold_s, abs=0.1)
    assert at[3] - at[1] < 0.1


async def test_an_update_that_lands_after_its_timeout_does_not_land_on_a_newer_value(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    late = faults.Fault("late", executes=True, wait_before_s=40, reshape=lambda _: None)
    fake_spot.faults.add(late, kit_id="SPOTX")
    async with fake_spot.client(timeout_s=5, retry=RetryPolicy(max_attempts=1)) as spot:
        outcomes = await run(spot, [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2})])

    assert [outcome.state for outcome in outcomes] == ["unknown", "ok"]
    assert written(fake_spot, "SPOTX") == [1, 2]


async def test_a_try_without_an_answer_is_waited_for_though_a_later_one_succeeded(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    late = faults.Fault("late", executes=True, wait_before_s=40, reshape=lambda _: None)
    fake_spot.faults.add(late, kit_id="SPOTX")
    async with fake_spot.client(timeout_s=5) as spot:
        outcomes = await run(spot, [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2})])

    assert [outcome.state for outcome in outcomes] == ["ok", "ok"]
    assert written(fake_spot, "SPOTX") == [1, 1, 2]


async def test_a_held_key_does_not_keep_a_stopped_run_open(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many(["SPOTX", "SPOTY"])
    fake_spot.faults.add("drop_after", kit_id="SPOTX")
    async with fake_spot.client(timeout_s=1000, retry=RetryPolicy(max_attempts=1)) as spot:
        handle = spot.kits.update_metadata_many([("SPOTX", {"n": 1}), ("SPOTX", {"n": 2})])
        states = []
        async for outcome in handle:
            states.append(outcome.state)
            handle.stop()

    assert states == ["unknown", "skipped"]
    assert now() < 1


async def test_with_coalesce_the_last_waiting_value_wins(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many(["SPOTX", "SPOTY"])
    fake_spot.latency_s = 1
    updates = [("SPOTX", {"n": n}) for n in range(50)] + [("SPOTY", {"n": 50})]
    async with fake_spot.client() as spot:
        outcomes = await run(spot, in_two_parts(updates, 1), coalesce=True)

    assert Counter(outcome.state for outcome in outcomes) == {"superseded": 48, "ok": 3}
    assert [outcome.index for outcome in outcomes if outcome.ok] == [0, 49, 50]
    assert written(fake_spot, "SPOTX") == [0, 49]
    assert all(outcome.key == "SPOTX" and outcome.is_done for outcome in outcomes[1:49])


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_rows_that_only_wait_for_a_worker_are_superseded_as_well(fake_spot: FakeSpot, concurrency: int) -> None:
    fake_spot.kits.add_many([f"SPOT{n}" for n in range(5)])
    fake_spot.latency_s = 1
    updates = [(f"SPOT{n % 5}", {"n": n}) for n in range(40)]
    async with fake_spot.client() as spot:
        outcomes = await run(spot, in_two_parts(updates, 5), coalesce=True, concurrency=concurrency)

    assert Counter(outcome.state for outcome in outcomes) == {"superseded": 40 - 5 - concurrency, "ok": 5 + concurrency}
    assert [fake_spot.kits[f"SPOT{n}"].metadata["n"] for n in range(5)] == [35, 36, 37, 38, 39]


async def test_a_bad_row_takes_no_other_s_place(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.latency_s = 1
    updates = [("SPOTX", {"n": 0}), ("SPOTX", {"n": 1}), ("SPOTX", {"n": float("nan")})]
    async with fake_spot.client() as spot:
        outcomes = await run(spot, in_two_parts(updates, 1), coalesce=True)

    assert [outcome.state for outcome in outcomes] == ["ok", "ok", "rejected"]
    assert fake_spot.kits["SPOTX"].metadata == {"n": 1}


async def test_without_coalesce_every_value_is_sent(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    async with fake_spot.client() as spot:
        outcomes = await run(spot, [("SPOTX", {"n": n}) for n in range(50)])

    assert all(outcome.ok for outcome in outcomes)
    assert written(fake_spot, "SPOTX") == list(range(50))


@pytest.mark.parametrize("seed", range(8))
async def test_every_row_is_accounted_for_whatever_happens(seed: int) -> None:
    dice = random.Random(seed)
    kit_ids = [f"SPOT{n}" for n in range(20)]
    updates: list[Any] = [(dice.choice([*kit_ids, "SPOTGONE", ""]), {"n": n}) for n in range(400)]
    for index in range(7, 400, 50):
        updates[index] = ("SPOT1", {"n": float("inf")})
    async with FakeSpot(kits=kit_ids) as fake:
        fake.faults.random(0.3, seed=seed)
        async with fake.client(timeout_s=3) as spot:
            handle = spot.kits.update_metadata_many(
                updates, coalesce=dice.random() < 0.5, concurrency=dice.choice([1, 3, 20, 64])
            )
            stop_at = dice.choice([None, dice.randrange(400)])
            outcomes = []
            async for outcome in handle:
                outcomes.append(outcome)
                if len(outcomes) == stop_at:
                    handle.stop()

    indexes = sorted(outcome.index for outcome in outcomes)
    assert indexes == list(range(len(indexes)))
    assert stop_at is not None or len(indexes) == 400
    assert all(outcome.key == updates[outcome.index][0] or outcome.state == "rejected" for outcome in outcomes)
