"""Very many updates of few kits, with faults on: no older value lands after a newer one."""

import random
from collections import Counter
from typing import Any

import pytest

from spotdx_async.testing import FakeSpot

pytestmark = pytest.mark.no_cover


@pytest.mark.virtual_time
async def test_no_inversion_in_the_ledger(chaos: Any) -> None:
    dice = random.Random(chaos.seed)
    rows, kits = (100_000, 1_000) if chaos.is_full else (5_000, 50)
    kit_ids = [f"SPOT{n}" for n in range(kits)]
    updates = ((dice.choice(kit_ids), {"n": n}) for n in range(rows))
    async with FakeSpot(kits=kit_ids) as fake:
        fake.faults.random(0.05, seed=chaos.seed)
        async with fake.client(timeout_s=0.5, lands_within_s=0.5) as spot:
            states = Counter([outcome.state async for outcome in spot.kits.update_metadata_many(updates)])

    assert states == {"ok": rows}
    written: dict[str, list[int]] = {}
    for entry in fake.ledger:
        written.setdefault(entry.kit_id, []).append(entry.metadata["n"])
    assert all(numbers == sorted(numbers) for numbers in written.values())
    assert {n for numbers in written.values() for n in numbers} == set(range(rows))
