"""A mirror of a server that changes is the one that is made anew, whatever came between."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.mirror import Mirror, PullReport
from spotdx_async.testing import FakeSpot
from tests.long_set import IS_FULL
from tests.unit.mirror.scripted import dump, rows_of


async def pulled(fake: FakeSpot, path: Path, **options: Any) -> PullReport:
    async with fake.client() as spot:
        return await Mirror(path, phi=True).pull(spot, **options)


def change(fake: FakeSpot, dice: random.Random) -> None:
    """Let something happen."""
    kit = fake.kits[dice.choice([*fake.kits])]
    order = fake.orders[dice.choice([*fake.orders])]
    requisition = fake.requisitions[dice.choice([*fake.requisitions])]
    patient = fake.patients[dice.choice([*fake.patients])]

    def touch(item: Any, **fields: Any) -> None:
        item.document.update(fields)
        item.updated = fake.state.now()

    steps: list[Callable[[], object]] = [
        *(kit.ship, kit.deliver, lambda: kit.register(patient), kit.collect, kit.result, kit.result, kit.cancel),
        lambda: [fake.kits.add(fake.kits.free_id(), created=fake.state.now()) for _ in range(3)],
        lambda: touch(kit),  # as where its metadata alone change
        *(fake.orders.add_foreign, lambda: touch(order, kits=[])),
        *(fake.requisitions.add_foreign, lambda: touch(requisition, reports=[])),
    ]
    try:
        dice.choice(steps)()
    except ValueError:  # not its turn
        change(fake, dice)


@pytest.mark.parametrize("seed", range(40 if IS_FULL else 3))
async def test_what_was_pulled_bit_by_bit_is_what_a_new_mirror_holds(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with FakeSpot(kits=5) as fake:
        for _ in range(8):
            for _ in range(dice.randrange(8)):
                change(fake, dice)
            await pulled(fake, tmp_path / "spot.db")

        await pulled(fake, tmp_path / "new.db")

    assert dump(tmp_path / "spot.db") == dump(tmp_path / "new.db")


async def test_a_kit_that_can_be_read_days_later_keeps_what_the_list_had_said(tmp_path: Path) -> None:
    now = datetime(2026, 11, 29, 10, tzinfo=UTC)
    path = tmp_path / "spot.db"
    async with FakeSpot(kits=0, wall=lambda: now) as fake:
        kit = fake.kits.add("SPOT1", order_id="O1", created=now, document={"kit_id": "SPOT1", "status": "preparing"})
        await pulled(fake, path)
        kit.ship()
        fake.faults.add("500", path="/api/v2/kits/SPOT1/", times=None)
        for _ in range(5):
            assert (await pulled(fake, path)).kits.unread == 1
            now += timedelta(days=1)
        fake.faults.clear()

        report = await pulled(fake, path)

    assert (report.kits.delivered, report.unread) == (1, 0)
    assert rows_of(path, "SELECT order_id, created, status FROM kits") == [
        ("O1", "2026-11-29T10:00:00.000000Z", "in_transit")
    ]
    Mirror(path).export(tmp_path / "out", "csv", tables=["kits"], since=now.date())
    assert (tmp_path / "out" / "kits.csv").read_text().count("SPOT1") == 1


async def test_a_sweep_finds_what_no_list_tells_and_counts_it(tmp_path: Path) -> None:
    path = tmp_path / "spot.db"
    async with FakeSpot(kits=8) as fake:
        await pulled(fake, path)
        quiet = fake.kits[[*fake.kits][3]]
        quiet.document["events"] = []
        assert (await pulled(fake, path)).kits.gets == 0

        report = await pulled(fake, path, sweep=True)
        again = await pulled(fake, path, sweep=True)
        await pulled(fake, tmp_path / "new.db")

    assert (report.kits.gets, report.kits.untold, report.orders.untold, report.requisitions.untold) == (8, 1, 0, 0)
    assert again.kits.untold == 0
    assert dump(path) == dump(tmp_path / "new.db")


async def test_nouns_may_be_pulled_alone(tmp_path: Path) -> None:
    path = tmp_path / "spot.db"
    async with FakeSpot() as fake:
        report = await pulled(fake, path, nouns=["orders"])
        assert fake.operation_counts["kits.list"] == 0
        await pulled(fake, path)

    assert (report.orders.delivered, report.kits.delivered) == (3, 0)
    assert rows_of(path, "SELECT noun FROM cursors") == [("kits",), ("orders",), ("requisitions",)]


async def test_a_first_pull_begins_with_the_changes_of_a_day(tmp_path: Path) -> None:
    path = tmp_path / "spot.db"
    async with FakeSpot(kits=3, orders=0, requisitions=0) as fake:
        ids = [*fake.kits]
        for number, an_id in enumerate(ids):
            fake.kits[an_id].updated = f"2026-11-0{number + 1}T10:00:00.000Z"

        await pulled(fake, path, since="2026-11-02")

    assert [an_id for (an_id,) in rows_of(path, "SELECT kit_id FROM kits")] == ids[1:]


async def test_a_listed_object_that_cannot_be_found_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "spot.db"
    async with FakeSpot(kits=3) as fake:
        gone = [*fake.kits][1]
        fake.faults.add("404", path=f"/api/v2/kits/{gone}/", times=None)

        first, second = [await pulled(fake, path), await pulled(fake, path)]
        fake.faults.clear()
        third = await pulled(fake, path)

    assert [report.unread for report in (first, second, third)] == [1, 1, 0]
    assert rows_of(path, "SELECT unread FROM pulls") == [(1,), (1,), (0,)]
    assert rows_of(path, "SELECT count(*) FROM kits") == [(3,)]
