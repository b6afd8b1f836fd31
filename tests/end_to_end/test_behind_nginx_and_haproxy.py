"""Rows and orders through real nginx and haproxy, which reload, lose workers, and answer with pages of their own.

``SPOTDX_CHAOS=full`` sends 20,000 rows and 1,000 orders through each.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from spotdx_async import AttemptRecord, NewOrder, NotSentError, Outcome, SpotClient, StatusError
from spotdx_async.testing import FakeSpot, faults
from tests.fronts import FRONTS, LONG_BODY, LONG_PATH, Front, front, trouble
from tests.long_set import ONLY_IN_FULL, with_long
from tests.new_objects import ORDER, RECIPIENT

pytestmark = pytest.mark.no_cover

WITHIN_S = 3.0
"""How long an attempt may take, and land, in the long runs."""
DEFINITE = {413, 414, 431, 429}
STATUSES = ("413", "414", "429", "431", "502", "503", "504", "dropped", "a page with 200")


@asynccontextmanager
async def troubled(one: Front, dice: random.Random) -> AsyncIterator[None]:
    task = asyncio.create_task(trouble(one, dice))
    try:
        yield
    finally:
        if task.done():
            task.result()  # a front that does not come back is a fault of the test
        task.cancel()
        await asyncio.wait([task])


def rows_of(count: int, dice: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Rows in which kits come several times; some bodies and some ids are too long for what is in between."""
    kit_ids = [f"SPOT{n:06}" for n in range(count // 4)]
    rows: list[tuple[str, dict[str, Any]]] = []
    for n in range(count):
        kit_id = dice.choice(kit_ids)
        rows.append((kit_id, {"n": n}))
    for n in dice.sample(range(count), count // 200):
        rows[n] = (rows[n][0], {"n": n, "text": "x" * LONG_BODY})
    for n in dice.sample(range(count), count // 200):
        rows[n] = ("X" * LONG_PATH + str(n), {"n": n})
    return rows


class Met(Counter[str]):
    """What the attempts of a client have met, by status or by the reason for none."""

    def note(self, attempt: AttemptRecord) -> None:
        is_page = "unreadable" in {attempt.outcome, attempt.reason}
        self["a page with 200" if is_page else str(attempt.status or attempt.reason)] += 1

    def tell(self, name: str, outcomes: Iterable[Outcome[Any]], fake: FakeSpot, one: Front) -> None:
        """Say what a person wants to know of a long run, and make sure that there was trouble."""
        states = Counter(outcome.state for outcome in outcomes)
        print(  # noqa: T201
            f"{name}: {dict(states)}; {dict(one.told)}; attempts met {dict(self.most_common())}; "
            f"{fake.counts['requests']} requests reached the fake, {fake.counts['executed']} were executed"
        )
        assert {status for status in STATUSES if not self[status]} == set()
        assert min(one.told["reload"], one.told["kill"]) >= 3


def check_rows(fake: FakeSpot, rows: list[tuple[str, dict[str, Any]]], outcomes: dict[int, Outcome[Any]]) -> None:
    """Compare what was told with the ledger."""
    assert sorted(outcomes) == [*range(len(rows))]
    written: dict[str, list[int]] = {}
    for entry in fake.ledger:
        written.setdefault(entry.kit_id, []).append(entry.metadata["n"])
    executed = {n for numbers in written.values() for n in numbers}
    wrong: dict[str, list[Any]] = {
        "ok, and not executed": [n for n, one in outcomes.items() if one.state == "ok" and n not in executed],
        "certainly not executed, and executed": [
            n for n, one in outcomes.items() if one.state in {"failed", "rejected", "skipped"} and n in executed
        ],
        "before an earlier one of its kit": [
            kit_id for kit_id, numbers in written.items() if [*dict.fromkeys(numbers)] != sorted({*numbers})
        ],
        "an older value is the last": [kit_id for kit_id, numbers in written.items() if numbers[-1] != max(numbers)],
        "other statuses": [
            n
            for n, one in outcomes.items()
            if one.state == "failed"
            and not (isinstance(one.error, StatusError) and one.error.status in DEFINITE | {400})
        ],
        "long, and not refused": [
            n
            for n, (kit_id, metadata) in enumerate(rows)
            if ("text" in metadata or len(kit_id) > LONG_PATH) and outcomes[n].state not in {"failed", "unknown"}
        ],
    }
    assert {name: found[:5] for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize("name", with_long(["nginx"], FRONTS))
async def test_rows_and_orders_pass_a_reload_and_the_death_of_a_worker(
    name: str,
    tmp_path: Path,
    soon: None,  # noqa: ARG001 - a fixture
) -> None:
    kit_ids = [f"SPOT{n}" for n in range(400)]
    async with (
        FakeSpot(kits=kit_ids, orders=[]) as fake,
        front(name, tmp_path, fake, rate=2000, share=0.0) as one,
        SpotClient(fake.token, base_url=one.url, timeout_s=5) as spot,
    ):
        acts = {100: one.reload, 200: one.kill, 300: one.reload}
        states: Counter[str] = Counter()
        async with spot.kits.update_metadata_many(
            [(kit_id, {"n": kit_id}) for kit_id in kit_ids], concurrency=8
        ) as run:
            async for outcome in run:
                states[outcome.state] += 1
                if (act := acts.get(sum(states.values()))) is not None:
                    await act()
        assert states == {"ok": len(kit_ids)}
        assert all(fake.kits[kit_id].metadata == {"n": kit_id} for kit_id in kit_ids)

        rows = [(str(n), ORDER) for n in range(20)]
        async with spot.orders.create_many(rows, batch="b", journal=None) as placing:
            assert {outcome.state async for outcome in placing} == {"ok"}
        assert len(fake.orders) == len(fake.creations) == len(rows)


@ONLY_IN_FULL
@pytest.mark.parametrize("name", FRONTS)
async def test_twenty_thousand_rows_pass_all_troubles(name: str, tmp_path: Path, chaos: Any) -> None:
    dice = random.Random(chaos.seed)
    rows, met = rows_of(20_000, dice), Met()
    async with (
        FakeSpot(kits=sorted({kit_id for kit_id, _ in rows})) as fake,
        front(name, tmp_path, fake, rate=350) as one,
        SpotClient(
            fake.token, base_url=one.url, timeout_s=WITHIN_S, lands_within_s=WITHIN_S, on_attempt=met.note
        ) as spot,
    ):
        lands = faults.land_later((0.0, 2.0), status=504, seed=chaos.seed)
        kinds = ("drop_before", "drop_after", "503", "half_body", faults.slow_answer(1.5), lands)
        fake.faults.random(0.02, seed=chaos.seed, kinds=kinds)
        outcomes: dict[int, Outcome[Any]] = {}
        async with troubled(one, dice), spot.kits.update_metadata_many(rows, concurrency=32) as run:
            async for outcome in run:
                assert outcome.index not in outcomes
                outcomes[outcome.index] = outcome
        await asyncio.sleep(2.0)  # what is still to land
        met.tell(name, outcomes.values(), fake, one)
        check_rows(fake, rows, outcomes)
        async with SpotClient(fake.token, base_url=one.url, headers={"X-Long": "x" * LONG_PATH}) as other:
            with pytest.raises(StatusError) as caught:
                await other.kits.types()
        assert caught.value.status == 431


@ONLY_IN_FULL
@pytest.mark.parametrize("name", FRONTS)
async def test_a_thousand_orders_are_placed_once_in_all_troubles(
    name: str, tmp_path: Path, chaos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotdx_async.bulk.settlement.LIST_LAG_S", 0.5)
    dice = random.Random(chaos.seed)
    rows, met = [(str(n), order_of(n)) for n in range(1_000)], Met()
    long = {*dice.sample(range(len(rows)), 10)}
    for n in long:
        rows[n] = (str(n), attrs.evolve(rows[n][1], metadata={"n": n, "text": "x" * LONG_BODY}))
    async with (
        FakeSpot(orders=[]) as fake,
        front(name, tmp_path, fake, rate=60) as one,
        SpotClient(
            fake.token, base_url=one.url, timeout_s=WITHIN_S, lands_within_s=WITHIN_S, on_attempt=met.note
        ) as spot,
    ):
        lands = faults.land_later((0.0, 2.0), status=504, seed=chaos.seed)
        kinds = ("drop_before", "drop_after", "503", "half_body", faults.slow_answer(1.5), lands)
        fake.faults.random(0.05, seed=chaos.seed, kinds=kinds)
        async with troubled(one, dice):
            outcomes = await placed(spot, rows, tmp_path / "journal")
        await asyncio.sleep(2.0)
        met.tell(name, outcomes.values(), fake, one)
        check_orders(fake, outcomes)

        # The same call goes on, and leaves only what is too long.
        one.share, one.rate = 0.0, 10_000
        await one.reload()
        fake.faults.clear()
        later = await placed(spot, rows, tmp_path / "journal")
        check_orders(fake, later)
        assert {n for n, outcome in later.items() if not outcome.is_done} == long
        assert len(fake.creations) == len(rows) - len(long)


async def placed(spot: SpotClient, rows: list[tuple[str, NewOrder]], journal: Path) -> dict[int, Outcome[Any]]:
    async with spot.orders.create_many(rows, batch="b", journal=journal) as run:
        outcomes = {outcome.index: outcome async for outcome in run}
    assert run.duplicates == ()
    return outcomes


def check_orders(fake: FakeSpot, outcomes: dict[int, Outcome[Any]]) -> None:
    """Nothing was placed twice, and what was told is true."""
    placed: dict[int, list[str]] = {}
    for creation in fake.creations:
        placed.setdefault(creation.body["metadata"]["n"], []).append(creation.an_id)
    assert {n: ids for n, ids in placed.items() if len(ids) > 1} == {}
    assert sorted(outcomes) == [*range(len(outcomes))]
    for n, outcome in outcomes.items():
        error = outcome.error
        if outcome.is_done:
            assert placed[n] == [outcome.object_id]
        elif outcome.state == "failed":
            assert n not in placed
            is_absent = isinstance(error, NotSentError) and error.reason == "absent"
            assert is_absent or (isinstance(error, StatusError) and error.status in DEFINITE)
        else:
            assert outcome.state == "unknown"


def order_of(n: int) -> NewOrder:
    return attrs.evolve(ORDER, recipient=attrs.evolve(RECIPIENT, first_name=f"Robin{n}"), metadata={"n": n})
