"""Bulk creates against the fake in virtual time, where clocks, lists and journals are not what they seem."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from spotdx_async import BulkRun, InvalidInputError, KitActivation, Outcome
from spotdx_async._http import clock
from spotdx_async.testing import FakeSpot, Fault, faults
from tests.new_objects import ORDER, PATIENT, REQUISITION

pytestmark = pytest.mark.virtual_time

EVENING = datetime(2026, 11, 29, 22, tzinfo=UTC)


@attrs.define
class Wall:
    """The time of day, which goes with the virtual time, and on while the machine of the client sleeps."""

    now_s: Callable[[], float]
    slept: timedelta = timedelta()

    def __call__(self) -> datetime:
        return EVENING + timedelta(seconds=self.now_s()) + self.slept


@pytest.fixture
async def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall(clock.of_loop())
    monkeypatch.setattr(clock, "wall", wall)
    return wall


@pytest.fixture
async def fake(wall: Wall) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(wall=wall, orders=[], requisitions=[], kits=[]) as fake:
        yield fake


async def place(fake: FakeSpot, keys: Iterable[str], journal: Path | None, **options: Any) -> dict[str, Outcome[Any]]:
    """Order for each key as one session does."""
    async with fake.client(timeout_s=5) as spot:
        run = spot.orders.create_many([(key, ORDER) for key in keys], batch="cohort-7", journal=journal, **options)
        return await outcomes_of(run)


async def outcomes_of(run: BulkRun[Any]) -> dict[str, Outcome[Any]]:
    async with run:
        return {str(outcome.key): outcome async for outcome in run}


def placed(fake: FakeSpot) -> list[int]:
    """Return how many orders there are of each reference."""
    return sorted(map(len, fake.orders.ids_by_reference().values()))


@pytest.mark.parametrize("lost", [3, 0], ids=["after an answer", "before any"])
async def test_what_was_sent_before_the_machine_slept_is_not_sent_again(
    fake: FakeSpot, wall: Wall, tmp_path: Path, lost: int
) -> None:
    keys = [f"P{number}" for number in range(6)]

    async def rows() -> AsyncIterator[Any]:
        for number, key in enumerate(keys):
            while fake.operation_counts.get("orders.create", 0) < number:
                await asyncio.sleep(0.1)
            if number == lost:
                fake.faults.add("drop_after", method="POST")
            if number == lost + 1:
                wall.slept = timedelta(hours=8)
            yield key, ORDER

    async with fake.client(timeout_s=5) as spot:
        run = spot.orders.create_many(rows(), batch="cohort-7", journal=tmp_path / "j", concurrency=1)
        outcomes = await outcomes_of(run)

    assert {outcome.state for outcome in outcomes.values()} == {"ok"}
    assert placed(fake) == [1] * 6


@pytest.mark.parametrize("day", ["2026-11-30", "0001-01-01"], ids=["the day in Sydney", "everything"])
async def test_a_batch_of_that_day_wherever_it_began_is_found_without_its_journal(
    fake: FakeSpot, tmp_path: Path, day: str
) -> None:
    first = await place(fake, ["P1", "P2"], tmp_path / "lost")

    again = await place(fake, ["P1", "P2"], tmp_path / "new", look_first=day)

    assert {key: (outcome.state, outcome.object_id) for key, outcome in again.items()} == {
        key: ("skipped", outcome.object_id) for key, outcome in first.items()
    }
    assert placed(fake) == [1, 1]


async def test_a_day_that_is_yet_to_come_is_no_day_to_look_from(fake: FakeSpot, tmp_path: Path) -> None:
    await place(fake, ["P1"], tmp_path / "lost")

    with pytest.raises(InvalidInputError, match="in the future by the server"):
        await place(fake, ["P1"], tmp_path / "new", look_first="2026-12-01")

    assert placed(fake) == [1]


async def test_a_lost_batch_of_requisitions_is_found_though_no_journal_knows_its_barcodes(
    fake: FakeSpot, tmp_path: Path
) -> None:
    async with fake.client() as spot:
        runs = [
            spot.requisitions.create_many([("P1", REQUISITION)], batch="7", journal=tmp_path / name, look_first=day)
            for name, day in (("lost", None), ("new", EVENING.date()))
        ]
        first, again = [(await outcomes_of(run))["P1"] for run in runs]

    assert (again.state, again.object_id) == ("skipped", first.object_id)


async def test_a_barcode_that_the_server_writes_otherwise_is_that_of_the_row(fake: FakeSpot, tmp_path: Path) -> None:
    fake.faults.add("drop_after", method="POST")

    def tidy() -> None:
        for requisition in fake.requisitions.values():
            requisition.document["barcode"] = requisition.barcode.replace(" ", "").upper()

    asyncio.get_running_loop().call_later(30, tidy)
    rows = [(f"P{n}", attrs.evolve(REQUISITION, barcode=f"ab 774{n}")) for n in range(2)]
    async with fake.client(timeout_s=5) as spot:
        run = spot.requisitions.create_many(rows, batch="7", journal=tmp_path / "j", concurrency=1)
        outcomes = await outcomes_of(run)

    assert {key: outcome.object_id for key, outcome in outcomes.items()} == dict(
        zip(["P0", "P1"], fake.requisitions, strict=True)
    )


# --- Activations ------------------------------------------------------------------------------------------------------

KIT = "SPOT234567"


async def activate(fake: FakeSpot) -> Outcome[Any]:
    fake.kits.add(KIT, status="delivered", events=[], registered_to=None)
    async with fake.client(timeout_s=5) as spot:
        outcomes = await outcomes_of(spot.kits.activate_many([KitActivation(KIT, patient=PATIENT)], journal=None))
    return outcomes[KIT]


@pytest.mark.parametrize(("executes", "requests"), [(True, 1), (False, 2)])
async def test_an_answer_that_does_not_say_success_leaves_an_activation_in_doubt(
    fake: FakeSpot, *, executes: bool, requests: int
) -> None:
    fake.faults.add(faults.body(b'{"data": {"result": "failure"}}', executes=executes), method="POST")

    outcome = await activate(fake)

    assert (outcome.state, fake.operation_counts["kits.activate"]) == ("ok", requests)
    assert fake.kits[KIT].registered_to


async def test_a_kit_that_shows_nothing_of_its_registrant_may_be_registered_to_anybody(fake: FakeSpot) -> None:
    fake.faults.add("drop_before", method="POST")
    hidden = {"status": "registered", "registered_to": {"first_name": "Robin"}}
    asyncio.get_running_loop().call_later(30, lambda: fake.kits[KIT].document.update(hidden))

    outcome = await activate(fake)

    assert (outcome.state, fake.operation_counts["kits.activate"]) == ("unknown", 1)
    assert "does not tell whether it is registered to this patient" in str(outcome.error)


# --- Outages ----------------------------------------------------------------------------------------------------------


PAGE = faults.body(b"<html>", content_type="text/html", executes=False)


@pytest.mark.parametrize("fault", [faults.status(503), faults.drop_before(), PAGE])
async def test_an_outage_takes_few_rows_with_it_whose_fate_nobody_can_find_out(
    fake: FakeSpot, tmp_path: Path, fault: Fault
) -> None:
    fake.faults.add(fault, times=10_000)
    asyncio.get_running_loop().call_later(60, fake.faults.clear)

    async with fake.client(timeout_s=5) as spot:
        rows = [(f"P{number}", PATIENT) for number in range(100)]
        outcomes = await outcomes_of(spot.patients.create_many(rows, batch="7", journal=tmp_path / "j"))

    states = Counter(outcome.state for outcome in outcomes.values())
    assert states["ok"] + states["unknown"] == 100
    assert 5 <= states["unknown"] <= 12  # what was in flight when it began
