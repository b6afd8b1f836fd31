"""What the journal of a run that creates tells before and after it, and a run that only settles."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from spotdx_async import InvalidInputError, JournalError, KitActivation, SpotClient, read_journal
from spotdx_async.testing import FakeSpot
from tests.new_objects import ORDER, PATIENT


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(orders=[]) as server:
        yield server


@pytest_asyncio.fixture
async def spot(fake: FakeSpot) -> AsyncIterator[SpotClient]:
    async with fake.client() as client:
        yield client


async def test_keys_are_told_with_what_was_created_and_new_ones_as_new(spot: SpotClient, tmp_path: Path) -> None:
    rows = [("a", ORDER), ("b", ORDER)]
    (tmp_path / "j").touch()  # as mktemp makes it
    run = spot.orders.create_many(rows, batch="7", journal=tmp_path / "j")
    assert [*run.recorded(["a"])] == [("a", None, None)]
    made = {outcome.key: outcome.object_id async for outcome in run}
    assert [*run.recorded(["b", "new", "a"])] == [("b", "ok", made["b"]), ("new", None, None), ("a", "ok", made["a"])]
    state = read_journal(tmp_path / "j")
    assert (state.creates, state.by_state["ok"], state.parked) == (True, 2, 0)


async def test_the_kits_of_activations_are_told_though_the_journal_does_not_hold_them(
    spot: SpotClient, tmp_path: Path
) -> None:
    kit, unknown = "SPOT234567", "SPOT999999"
    rows = [KitActivation(kit, patient=PATIENT), KitActivation(unknown, patient=PATIENT)]
    run = spot.kits.activate_many(rows, journal=tmp_path / "j")
    assert {outcome.key: outcome.state async for outcome in run} == {kit: "ok", unknown: "failed"}
    assert [*run.recorded([kit, unknown])] == [(kit, "ok", kit), (unknown, "failed", None)]

    again = spot.kits.activate_many([KitActivation(kit)], journal=tmp_path / "j")  # without a patient: a bad row
    assert [(outcome.state, outcome.object_id) async for outcome in again] == [("rejected", kit)]


async def test_a_row_in_doubt_is_unknown_whether_it_was_parked_or_not(
    fake: FakeSpot, spot: SpotClient, tmp_path: Path
) -> None:
    fake.faults.add("drop_after", times=1, method="POST")
    run = spot.patients.create_many([("a", PATIENT)], batch="7", journal=tmp_path / "j")
    assert [outcome.state async for outcome in run] == ["unknown"]
    assert [*run.recorded(["a"])] == [("a", "unknown", None)]


async def test_the_journal_of_another_batch_and_one_in_use_are_refused(spot: SpotClient, tmp_path: Path) -> None:
    run = spot.orders.create_many([("a", ORDER)], batch="7", journal=tmp_path / "j")
    async for _ in run:
        with pytest.raises(JournalError, match="in use"):
            [*run.recorded(["a"])]
    other = spot.orders.create_many([], batch="8", journal=tmp_path / "j")
    with pytest.raises(JournalError, match="another batch"):
        [*other.recorded(["a"])]


async def test_a_run_that_only_settles_sends_nothing(fake: FakeSpot, spot: SpotClient, tmp_path: Path) -> None:
    run = spot.orders.create_many([("a", ORDER)], batch="7", journal=tmp_path / "j")
    run.only_settle()
    outcomes = [outcome async for outcome in run]
    assert [(outcome.state, outcome.is_done) for outcome in outcomes] == [("skipped", False)]
    assert not fake.orders


async def test_other_runs_settle_and_record_no_keys(spot: SpotClient) -> None:
    run = spot.kits.update_metadata_many([])
    with pytest.raises(InvalidInputError, match="only a run that creates"):
        run.only_settle()
    with pytest.raises(InvalidInputError, match="only a run that creates"):
        run.recorded(["a"])


async def test_no_refusal_of_a_journal_advises_what_would_create_once_more(spot: SpotClient, tmp_path: Path) -> None:
    path = tmp_path / "j"
    async with spot.orders.create_many([("a", ORDER)], batch="7", journal=path) as first:
        async for _ in first:
            with pytest.raises(JournalError, match="with another journal the same rows would be created once more"):
                [*spot.orders.create_many([], batch="7", journal=path).recorded(["a"])]
            with pytest.raises(JournalError, match="with another journal the same rows would be created once more"):
                [outcome async for outcome in spot.orders.create_many([], batch="7", journal=path)]
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))
    run = spot.orders.create_many([("a", ORDER)], batch="7", journal=path)
    with pytest.raises(JournalError, match="pass look_first either way"):
        [outcome async for outcome in run]
