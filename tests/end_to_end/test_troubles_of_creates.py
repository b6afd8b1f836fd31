"""What may happen to a create on the server's side, each played by the fake against the client, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from spotdx_async import (
    BadRequestError,
    KitActivation,
    NewOrder,
    NewPatient,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    SpotClient,
    read_journal,
)
from spotdx_async._http import clock
from spotdx_async.bulk.create_engine import CreateEngine
from spotdx_async.bulk.create_rows import CreateRow
from spotdx_async.bulk.journal.creates_file import CreatesFile, Entry, RowEntry
from spotdx_async.bulk.journal.creates_writer import CreatesWriter
from spotdx_async.bulk.journal.reading import CODES
from spotdx_async.testing import FakeSpot, Fault, faults
from spotdx_async.testing.listed_store import MetadataGap
from tests.model.bulk_session import copy_of
from tests.new_objects import ADDRESS, ORDER, PATIENT, REQUISITION

pytestmark = pytest.mark.virtual_time

REF = "cohort-7/1"
KIT = "SPOT234567"


@pytest.fixture
async def fake(wall: Callable[[], datetime]) -> AsyncIterator[FakeSpot]:
    """Serve with one time of day for server and client, which goes with the virtual one."""
    async with FakeSpot(wall=wall, orders=[], requisitions=[]) as fake:
        yield fake


@pytest.fixture
def spot(fake: FakeSpot) -> SpotClient:
    return fake.client(timeout_s=5)


async def doubt(spot: SpotClient, fake: FakeSpot, fault: Fault | str) -> OutcomeUnknownError:
    fake.faults.add(fault, method="POST")
    with pytest.raises(OutcomeUnknownError) as caught:
        await spot.orders.create(ORDER, client_ref=REF)
    return caught.value


LOST = {
    "dropped": faults.land_later(20, status=None),
    "timed out": faults.land_later(20, answers_after_s=600),
    "a page": faults.land_later(20),
    "drawn": faults.land_later((10, 30), seed=1),
}


@pytest.mark.parametrize("name", LOST)
async def test_an_order_lands_after_the_client_has_given_up(fake: FakeSpot, spot: SpotClient, name: str) -> None:
    error = await doubt(spot, fake, LOST[name])
    assert fake.creations == []

    found = await spot.orders.reconcile(error)

    (creation,) = fake.creations
    assert (found.value and found.value.order_id, fake.landing) == (creation.an_id, 0)
    assert creation.reference() == REF
    assert 10 <= creation.at_s - fake.requests[0].at_s <= 31
    assert fake.operation_counts["orders.list"] > 1


async def test_a_list_that_lags_shows_the_order_after_all(fake: FakeSpot, spot: SpotClient) -> None:
    fake.lag_lists(8)
    error = await doubt(spot, fake, "drop_after")
    (order_id,) = fake.orders
    assert [order.order_id async for order in spot.orders.list()] == []
    assert (await spot.orders.get(order_id)).order_id == order_id

    found = await spot.orders.reconcile(error)

    assert found.value is not None
    assert (found.value.order_id, 8 <= clock.now() <= 20) == (order_id, True)


@pytest.mark.parametrize("gap", ["missing", "null", "reference"])
async def test_an_order_without_its_reference_is_not_found_for_sure(
    fake: FakeSpot, spot: SpotClient, gap: MetadataGap
) -> None:
    fake.orders.strip_metadata(gap, only=lambda order: order.metadata is not None)
    error = await doubt(spot, fake, "drop_after")

    found = await spot.orders.reconcile(error)

    assert found.state != "found"
    assert fake.orders.ids_by_reference() == {REF: (fake.creations[0].an_id,)}


async def test_a_cancelled_order_is_listed_and_a_deleted_one_is_not(fake: FakeSpot, spot: SpotClient) -> None:
    cancelled, deleted = [(await spot.orders.create(ORDER, client_ref=f"r{n}")).order_id for n in range(2)]
    assert cancelled
    assert deleted
    fake.orders[cancelled].status = "canceled"
    del fake.orders[deleted]

    assert [(order.order_id, order.status) async for order in spot.orders.list()] == [(cancelled, "canceled")]
    with pytest.raises(NotFoundError):
        await spot.orders.get(deleted)
    assert {*fake.creations.ids_by_reference()} == {"r0", "r1"}
    assert {*fake.orders.ids_by_reference()} == {"r0"}


async def test_a_proxy_places_an_order_twice_and_both_are_found(fake: FakeSpot, spot: SpotClient) -> None:
    fake.faults.add(faults.repeated(2), method="POST")
    order = await spot.orders.create(ORDER, client_ref=REF)

    found = await spot.orders.reconcile(client_ref=REF, sent_at=clock.wall() - timedelta(seconds=30))

    first, last = fake.creations.duplicates()[REF]
    assert (order.order_id, found.value and found.value.order_id, found.duplicates) == (last, first, (last,))


@pytest.mark.parametrize("hours", [-11, 14])
async def test_days_of_another_zone_do_not_hide_an_order(fake: FakeSpot, spot: SpotClient, hours: float) -> None:
    fake.day_offset_hours = hours

    found = await spot.orders.reconcile(await doubt(spot, fake, "drop_after"))

    assert found.is_found


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_servers_clock_may_be_a_day_off(fake: FakeSpot, spot: SpotClient, days: int) -> None:
    fake.date_ahead_s = fake.stamps_ahead_s = days * 86_400.0

    found = await spot.orders.reconcile(await doubt(spot, fake, "drop_after"))

    assert found.is_found


async def test_without_a_date_nothing_is_not_found_for_sure(fake: FakeSpot, spot: SpotClient) -> None:
    fake.date_ahead_s = None

    found = await spot.orders.reconcile(await doubt(spot, fake, "drop_before"))

    assert found.state == "unknown"
    assert fake.creations == []


@pytest.mark.parametrize("fault", ["half_body", faults.unreadable(201), "broken_json", "wrapped", "without_id"])
async def test_an_order_whose_answer_cannot_be_read_is_found(
    fake: FakeSpot, spot: SpotClient, fault: Fault | str
) -> None:
    error = await doubt(spot, fake, fault)

    found = await spot.orders.reconcile(error)

    assert [one.an_id for one in fake.creations] == [found.value and found.value.order_id]


async def test_an_order_is_found_among_those_that_others_place_meanwhile(fake: FakeSpot, spot: SpotClient) -> None:
    fake.orders.add_foreign(150, metadata={"client_ref": "theirs"})
    error = await doubt(spot, fake, "drop_after")
    fake.orders.add_foreign(150)
    fake.latency_s = 0.05

    async def others() -> None:
        while True:
            fake.orders.add_foreign()
            await asyncio.sleep(0.11)

    busy = asyncio.create_task(others())
    found = await spot.orders.reconcile(error)
    busy.cancel()

    assert found.value is not None
    assert fake.orders.ids_by_reference()[REF] == (found.value.order_id,)
    assert len(fake.orders) > 302


async def test_an_activation_shows_when_it_has_landed(fake: FakeSpot, spot: SpotClient) -> None:
    fake.faults.add(faults.land_later(20, status=None), method="POST")
    with pytest.raises(OutcomeUnknownError) as caught:
        await spot.kits.activate(KIT, patient=PATIENT)
    assert (await spot.kits.get(KIT)).status == "preparing"

    found = await spot.kits.reconcile(caught.value)

    assert (found.state, fake.kits[KIT].status) == ("found", "registered")


async def test_an_activation_that_was_accepted_shows_later(fake: FakeSpot, spot: SpotClient) -> None:
    fake.faults.add(faults.accept_later(8), method="POST")
    await spot.kits.activate(KIT, patient=PATIENT)
    assert (await spot.kits.get(KIT)).status == "preparing"

    await asyncio.sleep(8)

    assert (await spot.kits.get(KIT)).status == "registered"


async def test_an_activation_is_forbidden_where_testing_is_not_allowed(fake: FakeSpot, spot: SpotClient) -> None:
    with pytest.raises(PermissionDeniedError):
        await spot.kits.activate(KIT, patient=evolve(PATIENT, address=evolve(ADDRESS, state="NY")))

    assert (fake.creations, fake.kits[KIT].status) == ([], "preparing")


async def test_a_second_requisition_with_a_barcode_is_refused(fake: FakeSpot, spot: SpotClient) -> None:
    fake.faults.add("drop_after", method="POST")
    with pytest.raises(OutcomeUnknownError):
        await spot.requisitions.create(REQUISITION, client_ref=REF)

    with pytest.raises(BadRequestError):
        await spot.requisitions.create(REQUISITION, client_ref=f"{REF}/again")

    refs: dict[str, Any] = fake.requisitions.ids_by_reference()
    assert {*refs} == {REF}


@pytest.mark.parametrize(("fault", "requests"), [(faults.drop_after(), 1), (faults.land_later(20), 1), ("504", 2)])
async def test_an_activation_in_doubt_is_settled_by_its_kit(
    fake: FakeSpot, spot: SpotClient, fault: Fault | str, requests: int
) -> None:
    fake.faults.add(faults.status(504) if fault == "504" else fault, method="POST")

    async with spot.kits.activate_many([KitActivation(KIT, patient=PATIENT)], journal=None) as run:
        (outcome,) = [outcome async for outcome in run]

    assert (outcome.state, outcome.key, outcome.error) == ("ok", KIT, None)
    assert fake.operation_counts["kits.activate"] == requests
    assert fake.kits[KIT].registered_to


async def test_an_activation_that_is_forbidden_fails_and_registers_nobody(fake: FakeSpot, spot: SpotClient) -> None:
    row = KitActivation(KIT, patient=evolve(PATIENT, address=evolve(ADDRESS, state="NY")))

    async with spot.kits.activate_many([row], journal=None) as run:
        (outcome,) = [outcome async for outcome in run]

    assert (outcome.state, type(outcome.error)) == ("failed", PermissionDeniedError)
    assert not fake.kits[KIT].registered_to


async def test_an_activation_that_was_in_doubt_when_its_row_changed_is_not_sent_for_another_patient(
    fake: FakeSpot, spot: SpotClient, tmp_path: Path
) -> None:
    fake.faults.add(faults.land_later(20, status=None), method="POST")

    async def states(*patients: NewPatient) -> list[tuple[str, str | None]]:
        rows = [KitActivation(KIT, patient=patient) for patient in patients]
        run = spot.kits.activate_many(rows, journal=tmp_path / "j")
        return [(outcome.state, outcome.object_id) async for outcome in run]

    run = spot.kits.activate_many([KitActivation(KIT, patient=PATIENT)], journal=tmp_path / "j")
    killed = asyncio.ensure_future(anext(run))
    while not fake.landing:
        await asyncio.sleep(0.01)
    killed.cancel()
    await asyncio.wait([killed])

    assert await states(evolve(PATIENT, last_name="Other")) == [("unknown", None)]
    assert await states(evolve(PATIENT, first_name="Other")) == [("rejected", KIT)]
    assert await states(PATIENT) == [("skipped", KIT)]
    assert fake.operation_counts["kits.activate"] == 1


async def test_an_activation_in_doubt_whose_row_is_gone_holds_the_run_up_for_one_look_alone(
    fake: FakeSpot, spot: SpotClient, tmp_path: Path
) -> None:
    fake.faults.add("drop_after", method="POST")
    run = spot.kits.activate_many([KitActivation(KIT, patient=PATIENT)], journal=tmp_path / "j")
    killed = asyncio.ensure_future(anext(run))
    while not fake.creations:
        await asyncio.sleep(0.01)
    killed.cancel()
    await asyncio.wait([killed])
    began_s = clock.now()

    others = [KitActivation("SPOT345678", patient=PATIENT)]
    async with spot.kits.activate_many(others, journal=tmp_path / "j") as run:
        states = [outcome.state async for outcome in run]

    assert (states, read_journal(tmp_path / "j").parked) == (["ok"], 1)
    assert 69 <= clock.now() - began_s <= 75


async def test_a_journal_of_activations_holds_no_kit_and_its_rows_have_it_as_what_was_created(
    fake: FakeSpot, spot: SpotClient, tmp_path: Path
) -> None:
    other = "SPOT345678"
    fake.faults.add("drop_after", method="POST")
    rows = [KitActivation(KIT, patient=PATIENT), KitActivation(other, patient=PATIENT)]

    for state in ("ok", "skipped"):
        async with spot.kits.activate_many(rows, journal=tmp_path / "j") as run:
            outcomes = {outcome.key: (outcome.state, outcome.object_id) async for outcome in run}
        assert outcomes == {KIT: (state, KIT), other: (state, other)}

    assert not any(kit.encode() in (tmp_path / "j").read_bytes() for kit in (KIT, other))


async def test_what_was_created_twice_is_reported_again_where_a_kill_came_before_the_end(
    fake: FakeSpot, spot: SpotClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.faults.add(faults.repeated(), method="POST")
    journal, left_behind = tmp_path / "journal", tmp_path / "left-behind"
    close = CreatesWriter.close

    async def close_late(book: CreatesWriter, ending: str) -> None:
        await asyncio.sleep(1)  # so that whatever is to be written before the end is written
        copy_of(journal, left_behind)
        await close(book, ending)

    with monkeypatch.context() as late:
        late.setattr(CreatesWriter, "close", close_late)
        reported = [await duplicates_of(spot, journal)]
    reported += [await duplicates_of(spot, each) for each in (left_behind, left_behind)]
    (ids,) = fake.creations.duplicates().values()
    assert [{*map(frozenset, each)} for each in reported] == [{frozenset(ids)}, {frozenset(ids)}, set()]
    assert len(fake.creations) == 2


async def duplicates_of(spot: SpotClient, journal: Path) -> tuple[tuple[str, str], ...]:
    async with spot.orders.create_many([("A", ORDER)], batch="b", journal=journal) as run:
        assert [outcome.is_done async for outcome in run] == [True]
    assert run.audit_error is None
    return run.duplicates


# In bulk


@pytest.mark.parametrize("at_once", [True, False], ids=["at one instant", "one by one"])
async def test_a_hundred_rows_that_a_kill_left_in_doubt_cost_few_requests(
    fake: FakeSpot, tmp_path: Path, *, at_once: bool
) -> None:
    rows = [(f"P{number}", ORDER) for number in range(120)]

    async def in_two_parts() -> AsyncIterator[tuple[str, NewOrder]]:
        for row in rows[:20]:
            yield row
        await asyncio.sleep(120)
        fake.faults.add(faults.slow_answer(1e6), times=50, method="POST")
        fake.faults.add(faults.land_later(1e6, answers_after_s=1e6), times=50, method="POST")
        for row in rows[20:]:
            yield row

    killed = asyncio.create_task(place(fake, tmp_path / "j", in_two_parts()))
    while fake.operation_counts["orders.create"] < 120:
        await asyncio.sleep(1)
    killed.cancel()
    await asyncio.wait([killed])
    for _ in range(1 if at_once else 500):
        fake.orders.add_foreign(500 if at_once else 1, metadata={"client_ref": "theirs"})
        await asyncio.sleep(0.02)
    before = Counter(fake.operation_counts)

    states = await place(fake, tmp_path / "j", rows)

    used = Counter(fake.operation_counts) - before
    assert states == {"skipped": 20, "ok": 100}
    assert used["orders.create"] == 50
    assert used["orders.list"] <= 12  # with those of the audit of what both sessions have placed
    assert used["orders.get"] <= 610
    assert sorted(map(len, fake.orders.ids_by_reference().values())) == [1] * 120 + [500]


async def place(fake: FakeSpot, journal: Path, rows: Any) -> Counter[str]:
    async with (
        fake.client(concurrency=100) as spot,
        spot.orders.create_many(rows, batch="cohort-7", journal=journal, concurrency=100) as run,
    ):
        return Counter([outcome.state async for outcome in run])


async def test_a_row_s_time_holds_its_wait_for_the_disk(
    spot: SpotClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intended = CreateEngine._intended

    async def slowly(engine: CreateEngine[Any], row: CreateRow) -> bool:
        await asyncio.sleep(3)
        return await intended(engine, row)

    monkeypatch.setattr(CreateEngine, "_intended", slowly)
    run = spot.orders.create_many([("P1", ORDER)], batch="cohort-7", journal=tmp_path / "j")
    assert [outcome.elapsed_s >= 3 async for outcome in run] == [True]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows that are about to be sent each sync of a journal holds."""
    write, groups = CreatesFile.write, list[int]()

    def counted(file: CreatesFile, entries: Sequence[Entry], ending: str | None = None) -> None:
        groups.append(sum(isinstance(one, RowEntry) and one.state == CODES["unknown"] for one in entries))
        write(file, entries, ending)

    monkeypatch.setattr(CreatesFile, "write", counted)
    return groups


async def test_rows_that_go_next_share_a_sync_with_those_that_go(
    fake: FakeSpot, spot: SpotClient, tmp_path: Path, groups: list[int]
) -> None:
    fake.latency_s = 0.05
    rows = [(f"P{number}", ORDER) for number in range(200)]
    run = spot.orders.create_many(rows, batch="cohort-7", journal=tmp_path / "j")
    assert {outcome.state async for outcome in run} == {"ok"}
    assert sum(groups) == 200
    assert sum(group > 0 for group in groups) <= 70


async def test_rows_that_were_recorded_and_not_sent_are_not_in_doubt_after_a_stop(
    fake: FakeSpot, spot: SpotClient, tmp_path: Path, groups: list[int]
) -> None:
    fake.latency_s = 0.05
    rows = [(f"P{number}", ORDER) for number in range(100)]
    async with spot.orders.create_many(rows, batch="cohort-7", journal=tmp_path / "j") as run:
        async for _ in run:
            run.stop()
    placed = len(fake.orders)
    state = read_journal(tmp_path / "j")
    assert sum(groups) > placed
    assert (state.by_state["ok"], state.by_state["unknown"]) == (placed, 0)
    assert await place(fake, tmp_path / "j", rows) == {"skipped": placed, "ok": 100 - placed}


@pytest.mark.parametrize("kind", ["orders", "patients", "look first"])
async def test_rows_are_recorded_ahead_only_where_a_kill_leaves_none_in_doubt_for_good(
    fake: FakeSpot, spot: SpotClient, tmp_path: Path, groups: list[int], kind: str
) -> None:
    rows = [(f"P{number}", PATIENT if kind == "patients" else ORDER) for number in range(100)]
    noun: Any = spot.patients if kind == "patients" else spot.orders
    more = {"look_first": datetime.now(UTC).date()} if kind == "look first" else {}
    fake.faults.add(faults.slow(4), times=None, method="POST")
    async with noun.create_many(rows, batch="cohort-7", journal=tmp_path / "j", **more) as run:
        taking = asyncio.ensure_future(anext(aiter(run)))
        while fake.in_flight < 8:
            await asyncio.sleep(0.5)
        recorded = sum(groups)
        await taking
    assert recorded in (range(9, 17) if kind == "orders" else {8})


async def test_an_audit_does_not_believe_a_list_that_hides_what_the_run_has_created(
    fake: FakeSpot, spot: SpotClient, tmp_path: Path
) -> None:
    await place(fake, tmp_path / "j", [("P1", ORDER)])
    fake.orders.list_lag_s = 600  # far longer than is assumed: what is there now is shown, what comes is not
    fake.faults.add("drop_after", method="POST")
    rows = [("P1", ORDER), ("P2", ORDER)]
    run = spot.orders.create_many(rows, batch="cohort-7", journal=tmp_path / "j")
    assert [outcome.state async for outcome in run] == ["skipped", "ok"]
    assert (run.duplicates, run.audit_error is None) == ((), False)

    fake.orders.list_lag_s = 0
    again = spot.orders.create_many(rows, batch="cohort-7", journal=tmp_path / "j")
    assert [outcome.state async for outcome in again] == ["skipped", "skipped"]
    assert (len(again.duplicates), again.audit_error) == (1, None)
