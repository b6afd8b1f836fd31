"""Bulk creates where the world is not as it should be, each trouble by itself: what is promised, and what is parked."""

import asyncio
import math
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio

from spotdx_async import (
    BulkRun,
    BulkStopped,
    ConfigError,
    InvalidInputError,
    JournalError,
    NewOrder,
    Outcome,
    SpotClient,
    SpotError,
)
from spotdx_async._http import clock
from spotdx_async.bulk.journal.creates_file import CreatesFile, Entry, RowEntry
from spotdx_async.testing import FakeSpot, Fault, faults
from tests.model.bulk_session import disk_full
from tests.new_objects import ORDER, RECIPIENT, REQUISITION

pytestmark = pytest.mark.virtual_time


@pytest_asyncio.fixture
async def fake(wall: Callable[[], datetime]) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(wall=wall, orders=[], requisitions=[]) as server:
        yield server


def rows(count: int = 6) -> list[tuple[str, NewOrder]]:
    return [
        (f"k{n}", attrs.evolve(ORDER, recipient=attrs.evolve(RECIPIENT, first_name=f"Robin{n}"))) for n in range(count)
    ]


@attrs.frozen
class Batch:
    """A batch of orders with its journal."""

    fake: FakeSpot
    journal: Path

    async def run(self, wanted: list[tuple[str, NewOrder]] | None = None, **options: Any) -> "Session":
        async with self.fake.client(timeout_s=5) as spot:
            run = self.begun(spot, rows() if wanted is None else wanted, **options)
            outcomes = [outcome async for outcome in run]
        return Session(outcomes, run)

    def begun(self, spot: SpotClient, wanted: Any, **options: Any) -> BulkRun[Any]:
        return spot.orders.create_many(wanted, batch="7", **{"journal": self.journal, **options})

    @property
    def placed(self) -> dict[str, int]:
        """How many orders there are for each first name."""
        names = Counter(order.document["recipient"]["first_name"] for order in self.fake.orders.values())
        return {name.removeprefix("Robin"): count for name, count in names.items()}

    @property
    def is_placed_once(self) -> bool:
        return self.placed == {f"{n}": 1 for n in range(6)}

    @property
    def posts(self) -> int:
        return sum(request.method == "POST" for request in self.fake.requests)


@attrs.frozen
class Session:
    """What a session gave."""

    outcomes: list[Outcome[Any]]
    run: BulkRun[Any]

    @property
    def states(self) -> dict[str, int]:
        return Counter(outcome.state for outcome in self.outcomes)


@pytest.fixture
def batch(fake: FakeSpot, tmp_path: Path) -> Batch:
    return Batch(fake, tmp_path / "j")


async def killed(batch: Batch, fault: Fault | str = "drop_after") -> None:
    """Leave two rows in doubt: one was executed, one was not."""
    batch.fake.faults.add(fault, method="POST")
    batch.fake.faults.add("drop_before", method="POST")
    async with batch.fake.client(timeout_s=5) as spot:
        run = batch.begun(spot, rows(2))
        consumer = asyncio.ensure_future(anext(run))
        while batch.posts < 2:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        consumer.cancel()
        await asyncio.wait([consumer])


# Clocks and days


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_client_whose_clock_is_a_day_off_places_each_order_once(
    batch: Batch, wall: Callable[[], datetime], monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    monkeypatch.setattr(clock, "wall", lambda: wall() + timedelta(days=days))
    await killed(batch)
    monkeypatch.setattr(clock, "wall", lambda: wall() - timedelta(days=days))  # on another machine

    session = await batch.run()

    assert (session.states, batch.is_placed_once) == ({"ok": 6}, True)


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_lost_journal_is_made_good_though_the_clients_clock_is_a_day_off(
    batch: Batch, wall: Callable[[], datetime], monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    monkeypatch.setattr(clock, "wall", lambda: wall() + timedelta(days=days))
    await killed(batch)
    batch.journal.unlink()

    session = await batch.run(look_first=wall().date())

    assert (session.states, batch.is_placed_once) == ({"skipped": 1, "ok": 5}, True)


async def test_what_was_sent_while_a_server_with_a_wrong_clock_answered_is_found(batch: Batch) -> None:
    async def one_by_one() -> AsyncIterator[tuple[str, NewOrder]]:
        for row in rows(2):
            yield row
            await asyncio.sleep(1)  # so that the second is recorded with the time of the first one's answer

    batch.fake.date_ahead_s = 3600.0
    batch.fake.faults.add(faults.slow(0), method="POST")
    batch.fake.faults.add("drop_after", method="POST")
    async with batch.fake.client(timeout_s=5) as spot, batch.begun(spot, one_by_one()) as run:
        await anext(run)
        while batch.posts < 2:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
    batch.fake.date_ahead_s = 0.0

    session = await batch.run()

    assert (session.states, batch.is_placed_once) == ({"skipped": 1, "ok": 5}, True)


@pytest.mark.parametrize("hours", [-11, 14])
async def test_days_of_another_zone_hide_no_order(batch: Batch, hours: float) -> None:
    batch.fake.day_offset_hours = hours
    await killed(batch)

    session = await batch.run()

    assert (session.states, batch.is_placed_once) == ({"ok": 6}, True)


async def test_a_list_that_lags_makes_nobody_place_an_order_again(batch: Batch) -> None:
    batch.fake.lag_lists(8)
    await killed(batch, faults.land_later(59, status=None))

    session = await batch.run()

    assert (session.states, batch.is_placed_once) == ({"ok": 6}, True)


@pytest.mark.parametrize("option", ["lands_within_s", "outage_limit"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, 10**400, "60", True])
async def test_a_time_that_is_none_is_refused_at_once(batch: Batch, option: str, value: Any) -> None:
    async with batch.fake.client() as spot:
        with pytest.raises(InvalidInputError, match=f"{option} must be a number of seconds above 0"):
            batch.begun(spot, rows(), **{option: value})


async def test_a_window_shorter_than_a_request_may_take_counts_as_that(batch: Batch) -> None:
    batch.fake.faults.add(faults.land_later(4, status=None), method="POST")
    async with batch.fake.client(timeout_s=5) as spot:
        with pytest.raises(InvalidInputError, match="lands_within_s"):
            batch.begun(spot, rows(), lands_within_s=math.inf)  # what is in doubt would never be looked for
        states = Counter([outcome.state async for outcome in batch.begun(spot, rows(), lands_within_s=0.001)])

    assert (states, batch.is_placed_once) == ({"ok": 6}, True)


# Answers


@pytest.mark.parametrize("fault", [faults.unreadable(201), "half_body", "broken_json", "without_id", "wrong_object"])
async def test_an_order_whose_answer_cannot_be_read_is_found_and_not_placed_again(
    batch: Batch, fault: Fault | str
) -> None:
    batch.fake.faults.add(fault, method="POST", times=2)

    session = await batch.run()

    assert (session.states, batch.posts, batch.is_placed_once) == ({"ok": 6}, 6, True)
    assert {outcome.object_id for outcome in session.outcomes} == {*batch.fake.orders}


@pytest.mark.parametrize("is_placed", [True, False])
@pytest.mark.parametrize("sessions", [1, 2])
async def test_an_answer_about_the_order_of_another_row_is_not_taken_for_this_one_s(
    batch: Batch, sessions: int, *, is_placed: bool
) -> None:
    cached = faults.body(b'{"order_id": "O0000001", "status": "pending"}', status=201, executes=is_placed)
    if sessions == 1:
        batch.fake.faults.add(faults.slow(0), method="POST")
    else:
        await batch.run(rows(1))
    batch.fake.faults.add(cached, method="POST")

    session = await batch.run(concurrency=1)

    assert (session.states["ok"] + session.states["skipped"], batch.is_placed_once) == (6, True)
    assert {outcome.object_id for outcome in session.outcomes} == {*batch.fake.orders}
    assert session.run.duplicates == ()


async def test_rows_whose_metadata_does_not_come_back_are_parked_and_never_sent_again(batch: Batch) -> None:
    batch.fake.orders.strip_metadata("null")
    await killed(batch)

    sessions = [await batch.run(), await batch.run()]
    sent = batch.posts
    batch.fake.orders.show_metadata()
    last = await batch.run()

    assert [session.states for session in sessions] == [{"unknown": 2, "ok": 4}, {"unknown": 2, "skipped": 4}]
    parked = [outcome.error for outcome in sessions[1].outcomes if outcome.error is not None]
    assert all(
        "looking has not settled it: no order that the run has surely created came back" in f"{each}" for each in parked
    )
    assert sent == 2 + 4
    assert (last.states, batch.is_placed_once) == ({"ok": 2, "skipped": 4}, True)


async def test_in_order_what_cannot_be_settled_does_not_hold_up_the_rows_behind_it_for_ever(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotdx_async.bulk.options._LEAST_WINDOW", 20)
    monkeypatch.setattr("spotdx_async.bulk.outcomes._MOST_BESIDE", 100_000)
    batch.fake.orders.strip_metadata("null")
    batch.fake.faults.add("drop_after", method="POST")

    session = await asyncio.wait_for(batch.run(rows(100), ordered=True), 300)

    assert session.states == {"unknown": 1, "ok": 99}
    assert [outcome.index for outcome in session.outcomes] == [*range(100)]


async def test_an_input_that_waits_for_the_outcome_of_its_row_gets_it(batch: Batch) -> None:
    batch.fake.orders.strip_metadata("null")
    batch.fake.faults.add("drop_after", method="POST")
    has_come = asyncio.Event()

    async def one_by_one() -> AsyncIterator[tuple[str, NewOrder]]:
        for row in rows(3):
            has_come.clear()
            yield row
            await has_come.wait()

    states = []
    async with batch.fake.client(timeout_s=5) as spot, asyncio.timeout(900):
        async for outcome in batch.begun(spot, one_by_one()):
            states.append(outcome.state)
            has_come.set()

    assert states == ["unknown", "ok", "ok"]


async def test_a_cancelled_order_is_found_and_a_deleted_one_is_placed_anew_only_if_nobody_knew_it(batch: Batch) -> None:
    await killed(batch)
    (unknown,) = batch.fake.orders.values()
    unknown.status = "canceled"
    first = await batch.run()
    known = [outcome.object_id for outcome in first.outcomes if outcome.object_id is not None]
    del batch.fake.orders[known[-1]]
    again = await batch.run()

    assert (first.states, unknown.order_id in known) == ({"ok": 6}, True)
    assert (again.states, len(batch.fake.orders)) == ({"skipped": 6}, 5)


async def test_an_order_that_was_deleted_before_anybody_looked_is_placed_again(batch: Batch) -> None:
    await killed(batch)
    (unknown,) = batch.fake.orders
    del batch.fake.orders[unknown]

    session = await batch.run()

    assert (session.states, batch.is_placed_once) == ({"ok": 6}, True)


@pytest.mark.parametrize("answer", ["first", "last"])
async def test_what_a_proxy_repeats_is_reported_as_duplicates_and_not_cancelled(batch: Batch, answer: Any) -> None:
    batch.fake.faults.add(faults.repeated(2, answer=answer), method="POST", times=2)
    batch.fake.lag_lists(3)

    session = await batch.run()
    later = await batch.run()

    assert (session.states, len(batch.fake.orders)) == ({"ok": 6}, 8)
    twins = {frozenset(ids) for ids in batch.fake.creations.duplicates().values()}
    # The list did not show yet what was placed last, so the audit has waited for that.
    assert {frozenset(pair) for pair in session.run.duplicates} == twins
    assert (later.states, later.run.audit_error) == ({"skipped": 6}, None)
    assert {order.status for order in batch.fake.orders.values()} == {"pending"}


# The journal and its disk


async def test_a_disk_that_is_full_before_the_first_intent_sends_nothing(batch: Batch) -> None:
    with disk_full(CreatesFile, _has_intents), pytest.raises(BulkStopped) as caught:
        await batch.run()

    assert (batch.posts, caught.value.unsent) == (0, 6)
    assert isinstance(caught.value.cause, JournalError)
    assert caught.value.cause.reason == "disk"
    assert "cannot be written" in str(caught.value)
    assert (await batch.run()).states == {"ok": 6}
    assert batch.is_placed_once


def _intents(entries: list[Entry]) -> int:
    return sum(isinstance(entry, RowEntry) and entry.state == 4 for entry in entries)


def _has_intents(entries: list[Entry]) -> bool:
    return _intents(entries) > 0


async def test_a_disk_that_fills_up_in_the_middle_places_nothing_twice(batch: Batch) -> None:
    batch.fake.latency_s = 0.1
    groups: list[int] = []

    def fails(entries: list[Entry]) -> bool:
        if _has_intents(entries):
            groups.append(_intents(entries))
        return len(groups) > 2

    with disk_full(CreatesFile, fails), pytest.raises(BulkStopped):
        await batch.run(concurrency=1)
    placed = len(batch.fake.orders)
    session = await batch.run()

    assert placed <= sum(groups[:2]) < 6  # rows are recorded ahead, and may not have gone yet
    assert (session.states["ok"] + session.states["skipped"], batch.is_placed_once) == (6, True)


async def test_without_its_journal_a_batch_is_placed_once_more_and_the_audit_says_so(batch: Batch) -> None:
    await batch.run()
    batch.journal.unlink()

    again = await batch.run()

    assert (again.states, {*batch.placed.values()}) == ({"ok": 6}, {2})
    assert len(again.run.duplicates) == 6


async def test_a_lost_journal_with_a_look_first_skips_with_ids(batch: Batch, wall: Callable[[], datetime]) -> None:
    await batch.run()
    batch.journal.unlink()

    again = await batch.run(look_first=wall().date())

    assert (again.states, batch.is_placed_once) == ({"skipped": 6}, True)
    assert {outcome.object_id for outcome in again.outcomes} == {*batch.fake.orders}


@pytest.mark.parametrize("gap", [None, "null"])
async def test_requisitions_whose_journal_is_lost_are_found_by_reference_or_barcode(
    fake: FakeSpot, tmp_path: Path, wall: Callable[[], datetime], gap: Any
) -> None:
    wanted = [(f"k{n}", attrs.evolve(REQUISITION, barcode=f"B-{n}")) for n in range(4)]
    if gap is not None:
        fake.requisitions.strip_metadata(gap)

    async def session(journal: str, count: int, **options: Any) -> dict[str, int]:
        async with fake.client() as spot:
            run = spot.requisitions.create_many(wanted[:count], batch="7", journal=tmp_path / journal, **options)
            outcomes = [outcome async for outcome in run]
            ids = {outcome.object_id for outcome in outcomes}
        assert ids <= {*fake.requisitions}
        return Counter(outcome.state for outcome in outcomes)

    first = await session("j", 3)
    again = await session("new", 4, look_first=wall().date())

    assert (first, again) == ({"ok": 3}, {"skipped": 3, "ok": 1})
    assert fake.operation_counts["requisitions.create"] == 4


async def test_one_requisition_without_metadata_is_that_of_one_row_with_its_barcode(
    fake: FakeSpot, tmp_path: Path, wall: Callable[[], datetime]
) -> None:
    wanted = [("a", REQUISITION), ("b", REQUISITION)]
    fake.requisitions.strip_metadata("null")

    async def session(journal: str, count: int, **options: Any) -> list[tuple[str, str | None]]:
        async with fake.client() as spot:
            run = spot.requisitions.create_many(wanted[:count], batch="7", journal=tmp_path / journal, **options)
            return [(outcome.state, outcome.object_id) async for outcome in run]

    await session("lost", 1)
    states = [await session("new", 2, look_first=wall().date()), await session("new", 2)]

    assert states == 2 * [[("skipped", *fake.requisitions), ("unknown", None)]]
    assert fake.operation_counts["requisitions.create"] == 1


@pytest.mark.parametrize("gap", ["missing", "null", "reference"])
async def test_what_came_back_without_its_reference_is_not_placed_again_where_the_journal_is_lost(
    batch: Batch, wall: Callable[[], datetime], gap: Any
) -> None:
    batch.fake.orders.strip_metadata(gap)
    await batch.run()
    batch.journal.unlink()

    session = await batch.run(look_first=wall().date())

    assert (session.states, batch.is_placed_once) == ({"unknown": 6}, True)


async def test_what_a_look_first_has_begun_is_resumed_with_one_though_it_is_not_asked_for(
    batch: Batch, wall: Callable[[], datetime]
) -> None:
    async def slowly() -> AsyncIterator[tuple[str, NewOrder]]:
        for row in rows():
            yield row
            await asyncio.sleep(1)

    await batch.run()
    await asyncio.sleep(60)  # so that no audit has to look at the orders once more
    batch.journal.unlink()
    async with batch.fake.client() as spot, batch.begun(spot, slowly(), look_first=wall().date()) as run:
        await anext(run)
        run.stop()
    states = []
    for _ in range(2):
        lists = batch.fake.operation_counts["orders.list"]
        session = await batch.run()
        states.append((session.states, batch.fake.operation_counts["orders.list"] > lists))

    assert states == [({"skipped": 6}, True), ({"skipped": 6}, False)]
    assert batch.is_placed_once


async def test_rows_in_doubt_are_not_sent_again_to_another_account(batch: Batch) -> None:
    await batch.run(rows(1))
    await killed(batch)
    for order_id in [*batch.fake.orders]:
        del batch.fake.orders[order_id]  # the token of another account does not show them

    session = await batch.run()

    in_doubt = [outcome.error for outcome in session.outcomes if outcome.state == "unknown"]
    assert session.states == {"skipped": 1, "ok": 4, "unknown": 1}
    assert "is this another account's token?" in str(in_doubt)
    assert batch.placed == {f"{n}": 1 for n in range(2, 6)}


async def test_a_journal_that_is_deleted_during_the_run_stops_it(batch: Batch) -> None:
    batch.fake.latency_s = 0.1
    async with batch.fake.client() as spot:
        run = batch.begun(spot, rows(), concurrency=1)
        await anext(run)
        batch.journal.unlink()
        with pytest.raises(BulkStopped, match="moved or deleted"):
            [outcome async for outcome in run]

    assert batch.posts <= 3  # that one, and the next two, which may have been on the disk before


# A second loop


async def test_a_run_that_was_begun_in_another_loop_is_refused_there_and_goes_on_here(batch: Batch) -> None:
    async with batch.fake.client() as spot:
        run = batch.begun(spot, rows(), concurrency=1)
        first = await anext(run)

        async def elsewhere() -> None:
            for act in (run.__anext__, run.aclose):
                with pytest.raises(ConfigError, match="another event loop"):
                    await act()

        await asyncio.to_thread(asyncio.run, elsewhere())
        rest = [outcome async for outcome in run]

    assert ({first.state, *(outcome.state for outcome in rest)}, batch.is_placed_once) == ({"ok"}, True)


async def test_a_run_whose_loop_has_ended_is_resumed_in_the_next_one(batch: Batch) -> None:
    spot = SpotClient(batch.fake.token, base_url=batch.fake.url)

    async def left() -> str:
        return (await anext(batch.begun(spot, rows(), concurrency=1))).state

    with pytest.warns(ResourceWarning, match="left before its end"):
        state = await asyncio.to_thread(asyncio.run, left())
    await asyncio.to_thread(asyncio.run, spot.close())
    session = await batch.run()

    assert state == "ok"
    assert (session.states["ok"] + session.states["skipped"], batch.is_placed_once) == (6, True)


# What is left behind


@pytest.fixture
def left_open(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many of the databases that were opened since are open still."""
    connect: Any = sqlite3.connect
    opened: list[sqlite3.Connection] = []

    def noted(*args: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **options))
        return opened[-1]

    def count() -> int:
        left = 0
        for database in opened:
            with suppress(sqlite3.ProgrammingError):  # it is closed
                left += database.total_changes >= 0
        return left

    monkeypatch.setattr(sqlite3, "connect", noted)
    return count


@pytest.mark.parametrize("is_lasting", [True, False])
@pytest.mark.parametrize("turns", range(8))
async def test_a_run_that_is_cancelled_at_any_of_its_first_steps_leaves_no_database_open(
    batch: Batch, left_open: Callable[[], int], turns: int, *, is_lasting: bool
) -> None:
    async with batch.fake.client(timeout_s=5) as spot:
        run = batch.begun(spot, rows(), journal=batch.journal if is_lasting else None)
        before = asyncio.all_tasks()
        consumer = asyncio.ensure_future(anext(run))
        while not (keepers := asyncio.all_tasks() - before - {consumer}):
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        for keeper in keepers:
            keeper.cancel()
        await asyncio.wait([consumer], timeout=60)
        await run.aclose()

    assert (consumer.done(), left_open()) == (True, 0)
    assert isinstance(consumer.exception(), SpotError) or consumer.result().state


async def failing() -> AsyncIterator[tuple[str, NewOrder]]:
    yield rows()[0]
    raise LookupError


@pytest.mark.parametrize("how", ["ends", "is left", "the input raises", "the journal cannot be opened"])
async def test_however_a_run_ends_it_leaves_no_database_open(
    batch: Batch, left_open: Callable[[], int], how: str
) -> None:
    if how == "the journal cannot be opened":
        batch.journal.write_bytes(b"no journal")
    raised: type[Exception] | None = None
    try:
        async with (
            batch.fake.client(timeout_s=5) as spot,
            batch.begun(spot, failing() if how == "the input raises" else rows()) as run,
        ):
            async for _ in run:
                if how == "is left":
                    break
    except (LookupError, JournalError) as error:
        raised = type(error)

    expected = {"the input raises": LookupError, "the journal cannot be opened": JournalError}
    assert (raised, left_open()) == (expected.get(how), 0)
