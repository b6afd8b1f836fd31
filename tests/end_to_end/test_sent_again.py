"""What is to be sent again after a bulk run, as docs/etl.md collects it: every kit comes to have its last value."""

import random
from typing import Any

import pytest

from spotdx_async.testing import FakeSpot, faults
from tests.docs.pages import DOCS, blocks_of

(EXAMPLE,) = (block for block in blocks_of(DOCS / "etl.md") if "def update(" in block.text)


def example() -> Any:
    names: dict[str, Any] = {}
    exec(EXAMPLE.text, names)  # noqa: S102 - our own page
    return names["update"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("seed", range(30))
async def test_every_kit_gets_its_last_value(seed: int) -> None:
    dice = random.Random(seed)
    kit_ids = [f"SPOT{number}" for number in range(6)]
    rows = [(dice.choice(kit_ids), {"n": number}) for number in range(60)]
    async with FakeSpot(kits=kit_ids) as fake, fake.client(concurrency=dice.choice([1, 3, 9])) as spot:
        for kit_id in dice.sample(kit_ids, 4):
            fake.faults.add("400", times=dice.randint(1, 3), kit_id=kit_id)
        stop: Any = dice.choice([None, "401", faults.redirect(), faults.wrong_object()])
        if stop is not None:
            fake.faults.add(stop, times=3, kit_id=dice.choice([None, *kit_ids]))
        left = await example()(spot, rows)
        fake.faults.clear()

        assert await example()(spot, left) == []

        want = dict(rows)
        assert {kit_id: fake.kits[kit_id].metadata for kit_id in want} == want


@pytest.mark.virtual_time
async def test_a_row_that_a_later_one_has_overtaken_is_not_sent_again() -> None:
    async with FakeSpot(kits=["SPOT1", "SPOT2"]) as fake, fake.client() as spot:
        fake.faults.add("400", kit_id="SPOT1")
        fake.faults.add("400", times=2, kit_id="SPOT2")
        rows = [("SPOT1", {"n": 0}), ("SPOT2", {"n": 1}), ("SPOT1", {"n": 2}), ("SPOT2", {"n": 3}), ("", {})]

        assert await example()(spot, rows) == [("SPOT2", {"n": 3})]
