"""The README's examples, run as they stand."""

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import (
    Address,
    GenotypeResult,
    KitStatus,
    NewOrder,
    OutcomeUnknownError,
    QuantityResult,
    ReactivityResult,
    Recipient,
    SampleStatus,
    SpotClient,
)
from spotdx_async.testing import FakeSpot
from tests.docs.pages import ROOT, blocks_of
from tests.docs.playing import FakeInThread, Player

BLOCKS = blocks_of(ROOT / "README.md")
EXAMPLE, ORDER, SHARED, TEST = (block.text for block in BLOCKS if block.language == "python")


def test_the_first_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> FakeSpot:
        async with FakeSpot() as fake:
            fake.kits.add("SPOT654321")
            monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
            monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
            await asyncio.to_thread(exec, EXAMPLE, {})
            return fake

    fake = asyncio.run(main())

    assert capsys.readouterr().out == "preparing quantity\n"
    assert [entry.metadata for entry in fake.ledger] == [{"cohort": "A"}, {"cohort": "B"}, {"cohort": "B"}]


@pytest.mark.virtual_time
async def test_the_order_that_ships_once_is_placed_or_told_not_to_be() -> None:
    scope: dict[str, Any] = {}
    exec(ORDER, scope)  # noqa: S102 - the README's own text
    address = Address(street1="1 Example Street", city="Springfield", state="CA", country="US", zip="00000")
    robin = Recipient(
        first_name="Robin", last_name="Sample", email="r@example.com", phone="2025550147", address=address
    )
    order = NewOrder(kit_types=["health_kit_1"], recipient=robin)
    async with FakeSpot() as fake:
        spot = fake.client()

        placed = await scope["place"](spot, order)
        fake.faults.add("drop_after", method="POST")
        placed_unheard = await scope["place"](spot, order)
        fake.faults.add("drop_before", method="POST")
        with pytest.raises(OutcomeUnknownError):
            await scope["place"](spot, order)

        assert [created.an_id for created in fake.creations] == [placed.order_id, placed_unheard.order_id]


def test_the_shared_limit_is_made_as_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "token")
    scope: dict[str, Any] = {"SpotClient": SpotClient}

    exec(SHARED, scope)  # noqa: S102 - the README's own text

    assert scope["spot"].stats.rate == 200


async def test_a_kit_lives_as_the_readme_says(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    (kit,) = fake_spot.orders["O1234567"].fulfil()
    kit.ship()
    kit.deliver()
    kit.register(next(iter(fake_spot.patients.values())))
    kit.collect()
    kit.result()

    found = await spot_client.kits.get(kit.kit_id)

    assert found.status == KitStatus.REGISTERED
    assert found.sample is not None
    assert found.sample.status == SampleStatus.RESULTED
    assert found.sample.reports[0] is not None
    assert {type(result) for result in found.sample.reports[0].results} == {
        QuantityResult,
        ReactivityResult,
        GenotypeResult,
    }


def test_the_example_test_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-o", "asyncio_mode=auto", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_the_commands_run(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "kits.csv.gz", "wt") as file:
        file.write("kit_id,cohort\nSPOT123456,A\n")
    with FakeInThread() as fake, Player(fake, tmp_path) as player:
        for block in BLOCKS:
            if block.act == "shell":
                player.play(block)
        player.finish()
        assert [entry.metadata for entry in fake.ledger] == [{"cohort": "A"}]
    assert (tmp_path / "night.html").exists()
