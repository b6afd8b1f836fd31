"""The order of one kit's updates: through faults, late executions and newer values."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import Kit, Outcome, RetryPolicy, SpotClient
from spotdx_async.testing import FakeSpot, faults
from tests.long_set import with_long

pytestmark = [pytest.mark.virtual_time, pytest.mark.no_cover]


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
    updates = [(dice.choice(kit_ids), {"n": n}) for n in range(1500)]
    async with fake_spot.client(timeout_s=2) as spot:
        outcomes = await run(spot, updates)

    assert Counter(outcome.state for outcome in outcomes) == {"ok": 1500}
    assert all(are_in_order(written(fake_spot, kit_id)) for kit_id in kit_ids)
    last = dict(updates)
    assert all(fake_spot.kits[kit_id].metadata == metadata for kit_id, metadata in last.items())


async def test_a_late_execution_cannot_land_after_a_newer_value(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    # The connection breaks at once; the server executes the update four seconds later.
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


def late_after(answer: str, seconds: float = 40) -> faults.Fault:
    """A try that is answered at once without a usable word of the server's, and executed so much later."""
    if answer == "no answer":
        return faults.land_later(seconds, status=None)
    played = {"unreadable": faults.body(b"<html>", content_type="text/html"), "broken JSON": faults.body(b'{"id": ')}
    return replace(played.get(answer) or faults.named(answer), executes=False, lands_after_s=seconds)


NO_USABLE_ANSWER = ("500", "502", "503", "504", "408", "unreadable", "broken JSON", "no answer")


@pytest.mark.parametrize("answer", NO_USABLE_ANSWER)
async def test_a_try_without_a_usable_answer_holds_the_next_value_though_its_repeat_succeeded(
    fake_spot: FakeSpot, answer: str
) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.faults.add(late_after(answer), kit_id="SPOTX")
    async with fake_spot.client() as spot:
        outcomes = await run(spot, [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2})])

    assert [outcome.state for outcome in outcomes] == ["ok", "ok"]
    assert written(fake_spot, "SPOTX") == [1, 1, 2]
    assert fake_spot.kits["SPOTX"].metadata == {"n": 2}


@pytest.mark.parametrize("answer", ["429", "425", "400", "404"])
async def test_an_answer_that_settles_the_request_holds_nothing(fake_spot: FakeSpot, answer: str) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.faults.add(answer, kit_id="SPOTX")
    async with fake_spot.client() as spot:
        outcomes = await run(spot, [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2})])

    assert outcomes[1].ok
    assert now() < 5


async def test_an_answer_of_another_shape_settles_the_request(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.faults.add(faults.body(b'{"kit_id": "SPOTX", "status": 7}'), kit_id="SPOTX")
    async with fake_spot.client() as spot:
        outcomes = await run(spot, [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2})])

    assert [outcome.state for outcome in outcomes] == ["ok", "ok"]
    assert now() < 5


async def test_a_hold_counts_from_the_last_try_without_a_usable_answer(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.faults.add("503", kit_id="SPOTX", times=2)
    async with fake_spot.client(lands_within_s=40, retry=RetryPolicy(base_s=8)) as spot:
        await run(spot, [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2})])

    first, second, third, next_value = [request.at_s for request in fake_spot.requests]
    assert third - first > 1
    assert next_value - second == pytest.approx(40, abs=0.1)


async def test_a_value_that_is_read_later_waits_as_well(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.faults.add(late_after("503"), kit_id="SPOTX")
    async with fake_spot.client() as spot:
        outcomes = await run(spot, in_two_parts([("SPOTX", {"n": n}) for n in range(3)], 1))

    assert [outcome.state for outcome in outcomes] == ["ok", "ok", "ok"]
    assert written(fake_spot, "SPOTX") == [0, 0, 1, 2]


async def test_with_coalesce_the_last_value_that_came_during_a_hold_is_sent(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.faults.add(late_after("503"), kit_id="SPOTX")
    async with fake_spot.client() as spot:
        outcomes = await run(spot, in_two_parts([("SPOTX", {"n": n}) for n in range(9)], 1), coalesce=True)

    assert Counter(outcome.state for outcome in outcomes) == {"superseded": 7, "ok": 2}
    assert written(fake_spot, "SPOTX") == [0, 0, 8]


async def test_kits_without_a_next_value_wait_for_nothing(fake_spot: FakeSpot) -> None:
    kit_ids = [f"SPOT{n}" for n in range(500)]
    fake_spot.kits.add_many(kit_ids)
    fake_spot.faults.random(0.1, seed=1, kinds=["503", "drop_after"])
    async with fake_spot.client(retry=RetryPolicy(budget=False)) as spot:
        outcomes = await run(spot, [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)])

    assert all(outcome.ok for outcome in outcomes)
    assert len(fake_spot.requests) > 520
    assert now() < 20


async def test_rows_that_are_held_do_not_keep_those_behind_them_from_being_read(fake_spot: FakeSpot) -> None:
    kit_ids = [f"SPOT{n}" for n in range(400)]
    fake_spot.kits.add_many(kit_ids)
    # One kit in four fails once: more held rows than the window takes, and three values each.
    for kit_id in kit_ids[::4]:
        fake_spot.faults.add("drop_after", kit_id=kit_id)
    updates = [(kit_id, {"n": n}) for kit_id in kit_ids for n in range(3)]
    async with fake_spot.client(retry=RetryPolicy(budget=False), concurrency=8) as spot:
        outcomes = await run(spot, updates, concurrency=8)

    assert all(outcome.ok for outcome in outcomes)
    assert all(are_in_order(written(fake_spot, kit_id)) for kit_id in kit_ids)
    assert now() < 90


@pytest.mark.parametrize("decode", [True, False])
async def test_five_holds_in_order_take_no_longer_than_one(fake_spot: FakeSpot, decode: bool) -> None:
    kit_ids = [f"SPOT{n}" for n in range(1200)]
    fake_spot.kits.add_many(kit_ids)
    updates = [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]
    for place in (1000, 800, 600, 400, 200):
        updates.insert(place + 10, (kit_ids[place], {"n": place + 10_000}))
        fake_spot.faults.add("504", kit_id=kit_ids[place])
    async with fake_spot.client() as spot:
        outcomes = [o async for o in spot.kits.update_metadata_many(updates, ordered=True, decode=decode)]

    assert [outcome.index for outcome in outcomes] == list(range(1205))
    assert all(outcome.ok for outcome in outcomes)
    assert now() == pytest.approx(60, abs=2)


async def test_in_order_a_row_that_takes_long_keeps_others_from_nothing(fake_spot: FakeSpot) -> None:
    kit_ids = [f"SPOT{n}" for n in range(1000)]
    fake_spot.kits.add_many(kit_ids)
    fake_spot.faults.add(faults.Fault("slow", executes=True, wait_before_s=8), kit_id="SPOT0")
    async with fake_spot.client() as spot:
        await run(spot, [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)], ordered=True)

    at_s = {request.metadata["n"]: request.at_s for request in fake_spot.requests}
    assert max(at_s.values()) < 5


async def test_outcomes_that_wait_for_their_turn_are_bounded(fake_spot: FakeSpot) -> None:
    kit_ids = [f"SPOT{n}" for n in range(3000)]
    fake_spot.kits.add_many(kit_ids)
    fake_spot.faults.add(faults.Fault("slow", executes=True, wait_before_s=8), kit_id="SPOT0")
    read_at_s: list[float] = []

    def updates() -> Iterator[Any]:
        for n, kit_id in enumerate(kit_ids):
            read_at_s.append(now())
            yield kit_id, {"n": n}

    async with fake_spot.client() as spot:
        await run(spot, updates(), ordered=True)

    before_the_first_is_done = sum(at_s < 7 for at_s in read_at_s)
    assert 2000 < before_the_first_is_done < 2048 + 2 * 64


async def test_many_small_held_rows_are_read_past(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many(["SPOTX", "SPOTY"])
    fake_spot.faults.add("504", kit_id="SPOTX")
    updates = [("SPOTX", {"n": n}) for n in range(10_000)] + [("SPOTY", {"n": 0})]
    async with fake_spot.client() as spot, spot.kits.update_metadata_many(in_two_parts(updates, 1)) as run_:
        async for outcome in run_:
            if outcome.key == "SPOTY":
                break

    assert now() < 5


async def test_held_rows_are_bounded_by_their_bytes(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many(["SPOTX"])
    fake_spot.faults.add("504", kit_id="SPOTX")
    count = 0

    def updates() -> Iterator[Any]:
        nonlocal count
        for count in range(2000):
            yield "SPOTX", {"n": count, "text": "x" * 100_000}

    async with fake_spot.client() as spot, spot.kits.update_metadata_many(updates()) as run_:
        asyncio.get_running_loop().call_at(50, run_.stop)
        async for _ in run_:
            pass

    assert 16 * 2**20 / 101_100 < count < 16 * 2**20 / 100_000 + 2 * 64 + 1


async def test_with_coalesce_a_held_row_counts_with_the_value_that_it_stands_for(
    fake_spot: FakeSpot, tmp_path: Path
) -> None:
    # All but the first are held, and each is overtaken again and again by a larger value.
    kit_ids = [f"SPOT{n}" for n in range(20)]
    fake_spot.kits.add_many(kit_ids)
    fake_spot.faults.random(0.5, seed=3, kinds=["504"])
    dice = random.Random(3)
    updates = [(dice.choice(kit_ids), {"n": n, "text": "x" * dice.randrange(2000)}) for n in range(4000)]
    async with fake_spot.client() as spot:
        run_ = spot.kits.update_metadata_many(updates, coalesce=True, journal=tmp_path / "journal")
        outcomes = [outcome async for outcome in run_]
        engine = run_._session._engine  # type: ignore[union-attr]

    assert all(outcome.is_done for outcome in outcomes)
    assert engine is not None
    window = engine._window
    assert (window._rows, window._beside, window._bytes_beside) == (0, 0, 0)


async def test_what_was_behind_a_held_row_slows_only_its_own_kit_afterwards(fake_spot: FakeSpot) -> None:
    others = [f"SPOT{n}" for n in range(300)]
    fake_spot.kits.add_many(["SPOTX", *others])
    fake_spot.faults.add("504", kit_id="SPOTX")
    fake_spot.latency_s = 0.1

    async def updates() -> AsyncIterator[Any]:
        for n in range(1000):
            yield "SPOTX", {"n": n}
        await asyncio.sleep(65)  # by now the hold is over, and the rows behind it go one after the other
        for kit_id in others:
            yield kit_id, {"n": 0}

    async with fake_spot.client() as spot, spot.kits.update_metadata_many(updates()) as run_:
        left = set(others)
        async for outcome in run_:
            left.discard(str(outcome.key))
            if not left:
                break

    assert 65 < now() < 70


@pytest.mark.parametrize("coalesce", [True, False])
async def test_thousands_of_outcomes_that_come_at_once_leave_others_their_turns(
    fake_spot: FakeSpot, coalesce: bool
) -> None:
    kit_ids = ["SPOTX"] * 3000 if coalesce else [f"SPOT{n}" for n in range(3000)]
    fake_spot.kits.add_many(set(kit_ids))
    fake_spot.faults.add(faults.Fault("slow", executes=True, wait_before_s=5), kit_id=kit_ids[0])
    updates = [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]
    in_a_row = most_in_a_row = 0

    def begin_anew() -> None:
        nonlocal in_a_row
        in_a_row = 0

    async with fake_spot.client() as spot:
        run_ = spot.kits.update_metadata_many(updates, ordered=True, coalesce=coalesce, decode=False)
        async for _ in run_:
            if not in_a_row:
                asyncio.get_running_loop().call_soon(begin_anew)
            in_a_row += 1
            most_in_a_row = max(most_in_a_row, in_a_row)

    assert 2 < most_in_a_row <= 200


@pytest.mark.parametrize("answer", ["503", "504", "unreadable", "no answer"])
async def test_the_next_value_waits_in_the_next_session_as_well(
    fake_spot: FakeSpot, tmp_path: Path, answer: str
) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.faults.add(late_after(answer), kit_id="SPOTX")
    updates = [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2}), ("SPOTX", {"n": 3})]
    async with fake_spot.client() as spot:
        async with spot.kits.update_metadata_many(updates, journal=tmp_path / "journal") as first:
            outcomes = [await anext(first)]
            first.stop()
            outcomes += [outcome async for outcome in first]
        resumed = await run(spot, updates, journal=tmp_path / "journal")

    assert [outcome.state for outcome in outcomes] == ["ok", "skipped", "skipped"]
    assert [outcome.state for outcome in resumed] == ["skipped", "ok", "ok"]
    assert written(fake_spot, "SPOTX") == [1, 1, 2, 3]


async def test_two_quick_resumes_forget_no_hold_and_a_late_one_has_none(fake_spot: FakeSpot, tmp_path: Path) -> None:
    fake_spot.kits.add_many(["SPOTX", "SPOTY"])
    fake_spot.faults.add(late_after("503", 50), kit_id="SPOTX")
    updates = [("SPOTX", {"n": 1}), ("SPOTX", {"n": 2})]
    async with fake_spot.client() as spot:
        for _ in range(3):
            run_ = spot.kits.update_metadata_many(updates, journal=tmp_path / "journal")
            async for _outcome in run_:
                run_.stop()
        assert now() < 5
        await run(spot, [*updates, ("SPOTY", {"n": 3})], journal=tmp_path / "journal")
        assert written(fake_spot, "SPOTX") == [1, 1, 2]
        ended_s = now()
        # The journal knows that nothing can land any more: the last session has seen the time pass.
        await run(spot, [*updates, ("SPOTY", {"n": 3}), ("SPOTX", {"n": 4})], journal=tmp_path / "journal")

    assert now() - ended_s < 5


async def test_what_was_overtaken_by_an_unknown_value_is_not_sent_over_a_newer_one(
    fake_spot: FakeSpot, tmp_path: Path
) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.latency_s = 2

    async def updates() -> AsyncIterator[Any]:
        yield "SPOTX", {"n": 0}
        await asyncio.sleep(1)
        # The first is under way: the next one is overtaken by the third, which ends unknown, and the last is ok.
        yield "SPOTX", {"n": 1}
        yield "SPOTX", {"n": 2}
        await asyncio.sleep(2)
        fake_spot.faults.add("drop_after", kit_id="SPOTX")
        await asyncio.sleep(10)
        yield "SPOTX", {"n": 3}

    async with fake_spot.client(retry=RetryPolicy(max_attempts=1), timeout_s=5) as spot:
        outcomes = await run(spot, updates(), coalesce=True, journal=tmp_path / "journal")
        resumed = await run(spot, updates(), coalesce=True, journal=tmp_path / "journal")

    assert [outcome.state for outcome in outcomes] == ["ok", "superseded", "unknown", "ok"]
    assert written(fake_spot, "SPOTX") == [0, 2, 3]
    assert all(outcome.is_done for outcome in resumed)


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


@pytest.mark.parametrize("seed", with_long(range(4), range(8)))
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
