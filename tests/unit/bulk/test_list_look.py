"""One look in a list: what is found, what counts as not there, what proves that the list can be seen, what is twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from spotdx_async._requests.answers import ServerClock
from spotdx_async._requests.list_scan import Scan
from spotdx_async.bulk.create_reader import likeness_digest, mark_digest, reference_digest
from spotdx_async.bulk.journal.batch_index import BatchIndex
from spotdx_async.bulk.journal.creates_file import RowEntry
from spotdx_async.bulk.journal.creates_writer import CreatesWriter
from spotdx_async.bulk.journal.reading import CODES
from spotdx_async.bulk.journal.records import CreateDigests
from spotdx_async.bulk.list_look import ListLook
from spotdx_async.bulk.listed import Listed, evidence_of
from spotdx_async.bulk.server_time import ServerTime
from spotdx_async.bulk.settlement import Absent, Doubt, Finding, Found, Unsettled
from spotdx_async.errors import DecodeError, InvalidInputError, NotFoundError, ServerError, SpotError

pytestmark = pytest.mark.virtual_time

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
GONE = NotFoundError("gone", status=404)
DOWN = ServerError("down", status=503)


@attrs.frozen
class Row:
    """An order in the list; ages are seconds before NOW."""

    order_id: str | None
    created: datetime | None
    updated: datetime | None
    person: str | None = "P"
    barcode: str | None = None


class Server:
    """A list and its objects."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.metadata: dict[str, Any] = {}
        self.errors: dict[str, SpotError] = {}
        self.hidden: set[str] = set()
        self.trouble: SpotError | None = None
        self.has_clock = True
        self.pages_take_s = 0.0
        self.got: list[str] = []
        self.first_days: list[date] = []
        self.down_to: list[datetime | None] = []

    def add(self, order_id: str, reference: str | None, *, age_s: float = 100.0, **more: Any) -> None:
        created = NOW - timedelta(seconds=age_s)
        self.rows[order_id] = Row(order_id, created, created, more.get("person", "P"), more.get("barcode"))
        self.metadata[order_id] = more.get("metadata", {"client_ref": reference})

    async def get(self, order_id: str) -> Any:
        self.got.append(order_id)
        if order_id in self.errors:
            raise self.errors[order_id]
        return SimpleNamespace(order_id=order_id, metadata=self.metadata[order_id])

    async def scan(self, _runner: object, first_day: Callable[[Any], date], **options: Any) -> Scan[Row]:
        server = ServerClock(NOW, timedelta()) if self.has_clock else None
        self.first_days.append(first_day(server))
        await asyncio.sleep(self.pages_take_s)
        down_to = options["down_to"]
        self.down_to.append(down_to)
        rows = [
            row
            for an_id, row in self.rows.items()
            if an_id not in self.hidden and row.updated is not None and row.updated >= down_to
        ]
        return Scan(tuple(rows), server, self.trouble)


@attrs.define
class World:
    """A look, with what is around it."""

    server: Server
    book: CreatesWriter
    index: BatchIndex
    look: ListLook[Row, Any]

    def reference(self, name: str) -> bytes:
        return reference_digest(self.book.digester, name)

    def mark(self, barcode: str | None) -> bytes | None:
        return None if barcode is None else mark_digest(self.book.digester, barcode)

    async def row(self, name: str, state: str = "unknown", *, age_s: float = 100.0, **more: Any) -> None:
        """Record a row of the batch that was sent so long ago, and what it has created."""
        began = NOW.timestamp() - age_s
        object_id = more.get("object_id")
        created = began if object_id is not None else None
        mark = self.mark(more.get("barcode"))
        digests = CreateDigests(name.encode().ljust(16), b"content".ljust(16), self.reference(name), mark)
        await self.book.intend(RowEntry(0, CODES["unknown"], digests, began))
        if state != "unknown":
            self.book.record(RowEntry(0, CODES[state], digests, None, object_id, created))  # type: ignore[index]

    async def own(self, name: str, order_id: str, *, age_s: float = 50.0, **more: Any) -> None:
        """A row that has surely created something, which the list shows."""
        await self.row(name, "ok", age_s=age_s, object_id=order_id)
        self.server.add(order_id, name, age_s=age_s, **more)

    def doubt(self, name: str, *, age_s: float = 100.0, person: str | None = None, barcode: str | None = None) -> Doubt:
        row: Any = None
        if person is not None:
            row = SimpleNamespace(likeness=likeness_digest(self.book.digester, person))
        began = NOW.timestamp() - age_s
        return Doubt(name.encode().ljust(16), self.reference(name), self.mark(barcode), began, 0.0, row=row)

    async def settle(self, *doubts: Doubt) -> list[Finding | None]:
        findings = await self.look.settle(doubts)
        return [findings.get(each) for each in doubts]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    server, server_time = Server(), ServerTime()
    server_time.note(NOW - timedelta(seconds=15))  # what may land until 0 on the loop's clock is 15 s old
    book = await CreatesWriter.open(None, operation="POST", server="s", batch="b")
    reader: Any = SimpleNamespace(book=book, index=BatchIndex(), on_twins=None)
    listing: Any = SimpleNamespace(scan=server.scan, id_of=lambda row: row.order_id, is_newest_change_first=True)
    listed: Listed[Row, Any] = Listed(
        noun="order",
        listing=listing,
        get=server.get,
        keep=lambda row: row,
        evidence_of=lambda order: evidence_of(order.metadata, "client_ref"),
        likeness_of=lambda row: row.person,
        mark_of=lambda row: row.barcode,
    )
    yield World(server, book, reader.index, ListLook(listed, None, reader, server_time))  # type: ignore[arg-type]
    reader.index.close()
    await book.close("stopped")


# --- Found, and not there ---------------------------------------------------------------------------------------------


async def test_an_object_with_the_reference_is_found(world: World) -> None:
    await world.row("a")
    world.server.add("o-1", "a")

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Found)
    assert finding.object_id == "o-1"


async def test_what_a_list_that_shows_the_newest_of_ours_does_not_show_is_not_there(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)

    assert await world.settle(world.doubt("a")) == [Absent()]


async def test_objects_of_others_are_fetched_once_and_own_ones_only_as_proof(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)
    world.server.add("o-2", "theirs")
    world.server.add("o-3", None, metadata={"their": "own"})

    await world.settle(world.doubt("a"))
    first, world.server.got = sorted(world.server.got), []
    await world.settle(world.doubt("a"))

    assert first == ["o-1", "o-2", "o-3"]
    assert world.server.got == ["o-1"]


async def test_an_object_from_before_the_row_was_sent_is_not_fetched_however_old_the_controls_are(
    world: World,
) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=86400 * 7)
    world.server.add("o-2", "theirs", age_s=86400 * 3)

    findings = await world.settle(world.doubt("a"))

    assert (findings, world.server.got) == ([Absent()], ["o-1"])


async def test_a_row_that_an_earlier_look_has_found_is_found_by_the_journal(world: World) -> None:
    await world.row("a")
    await world.row("b")
    await world.own("c", "o-3", age_s=20)
    world.server.add("o-1", "a")
    await world.settle(world.doubt("b"))

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Found)
    assert finding.object_id == "o-1"


# --- A look that cannot see -------------------------------------------------------------------------------------------


async def test_a_list_without_the_newest_of_ours_proves_nothing(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)
    world.server.hidden = {"o-1"}

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Unsettled)


async def test_a_run_that_has_created_nothing_yet_proves_nothing(world: World) -> None:
    await world.row("a")

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Unsettled)
    assert "no order that the run has surely created came back" in str(finding.why)


async def test_metadata_that_do_not_come_back_prove_nothing(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20, metadata=None)

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Unsettled)


async def test_answers_without_a_date_prove_nothing(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)
    world.server.has_clock = False

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Unsettled)


async def test_a_list_that_was_not_read_as_a_whole_proves_nothing(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)
    world.server.trouble = DecodeError("cut", outcome="done")

    (finding,) = await world.settle(world.doubt("a"))

    assert finding == Unsettled(world.server.trouble)


async def test_a_deleted_object_of_ours_proves_nothing_and_hides_nothing(world: World) -> None:
    await world.row("a", age_s=200)
    await world.own("b", "o-1", age_s=70)
    for n in range(2, 20):  # more than are fetched at once
        await world.own(f"c{n}", f"o-{n}", age_s=80)
        world.server.hidden.add(f"o-{n}")
        world.server.errors[f"o-{n}"] = GONE

    assert await world.settle(world.doubt("a", age_s=200)) == [Absent()]


@pytest.mark.parametrize(("age_s", "is_deleted"), [(90, False), (700, True)])
async def test_the_newest_of_ours_that_is_nowhere_may_be_behind_a_copy_of_the_data_that_is_late(
    world: World, age_s: float, *, is_deleted: bool
) -> None:
    await world.row("a", age_s=age_s)
    await world.own("b", "o-1", age_s=age_s + 50)
    await world.own("c", "o-2", age_s=age_s)
    world.server.hidden, world.server.errors = {"o-2"}, {"o-2": GONE}

    (finding,) = await world.settle(world.doubt("a", age_s=age_s))

    assert (finding == Absent()) is is_deleted


async def test_one_that_is_not_found_so_soon_may_only_be_late(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=90)
    await world.own("c", "o-2", age_s=30)
    world.server.hidden, world.server.errors = {"o-2"}, {"o-2": GONE}

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Unsettled)


async def test_a_list_of_which_only_the_first_page_came_soon_shows_nothing_younger_than_that(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=90)
    await world.own("c", "o-2", age_s=30)
    world.server.hidden = {"o-2"}
    world.server.pages_take_s = 100.0

    (finding,) = await world.settle(world.doubt("a"))  # it may have landed until 15 s ago

    assert isinstance(finding, Unsettled)


async def test_what_an_earlier_look_has_shown_need_not_be_shown_again(world: World) -> None:
    await world.row("a", age_s=4000)
    await world.row("b", age_s=4000)
    world.server.add("o-1", "b", age_s=3900)  # in doubt itself, and found by the first look
    world.server.add("o-2", "theirs", age_s=20)
    await world.settle(world.doubt("b", age_s=4000))

    (finding,) = await world.settle(world.doubt("a", age_s=4000))

    assert finding == Absent()
    assert world.server.down_to[1] == NOW - timedelta(seconds=80)


async def test_a_list_that_shows_nothing_any_more_proves_nothing_whatever_it_has_shown_before(world: World) -> None:
    await world.row("a")
    await world.row("b")
    await world.own("c", "o-1", age_s=50)
    assert await world.settle(world.doubt("b")) == [Absent()]
    world.server.hidden = {*world.server.rows}

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Unsettled)


async def test_a_list_of_no_known_order_must_show_all_controls_each_time(world: World) -> None:
    world.look._reading._listing.is_newest_change_first = False  # type: ignore[misc]
    await test_a_list_that_shows_nothing_any_more_proves_nothing_whatever_it_has_shown_before(world)


async def test_where_what_was_on_top_was_deleted_the_list_is_read_as_a_whole(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=90)
    world.server.add("o-2", "theirs", age_s=20)
    await world.settle(world.doubt("a"))
    world.server.hidden = {"o-2"}

    assert await world.settle(world.doubt("a")) == [Absent()]
    whole, latest, again = world.server.down_to
    assert whole == again
    assert latest == NOW - timedelta(seconds=80)


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_list_that_dates_objects_by_another_clock_hides_which_are_in_question(
    world: World, hours: float
) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)
    world.server.add("o-2", "a", age_s=90)
    for an_id, row in world.server.rows.items():
        created = NOW + timedelta(hours=hours) - (NOW - (row.created or NOW))
        world.server.rows[an_id] = attrs.evolve(row, created=created, updated=NOW)

    (finding,) = await world.settle(world.doubt("a"))

    assert not isinstance(finding, Absent)


async def test_an_object_dated_in_the_future_moves_no_beginning_of_the_next_scan_there(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=90)
    world.server.add("o-2", "theirs", age_s=-3600)
    await world.settle(world.doubt("a"))
    await world.row("c", age_s=30)
    world.server.add("o-3", "c", age_s=25)

    (finding,) = await world.settle(world.doubt("c", age_s=30))

    assert isinstance(finding, Found)


# --- Objects that cannot be judged ------------------------------------------------------------------------------------


async def test_an_object_that_cannot_be_read_may_be_it(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)
    world.server.add("o-2", "theirs")
    world.server.errors["o-2"] = DecodeError("broken", outcome="done")

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Unsettled)
    assert finding.may_change


async def test_one_that_is_gone_for_two_looks_is_nobody(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)
    world.server.add("o-2", "theirs")
    world.server.errors["o-2"] = GONE

    first = await world.settle(world.doubt("a"))
    second = await world.settle(world.doubt("a"))

    assert isinstance(first[0], Unsettled)
    assert second == [Absent()]


@pytest.mark.parametrize("metadata", [None, {}, {"shop": "their own"}])
async def test_one_without_a_reference_for_the_same_person_may_be_it(
    world: World, metadata: dict[str, str] | None
) -> None:
    await world.row("a")
    await world.row("b")
    await world.own("c", "o-1", age_s=20)
    world.server.add("o-2", None, metadata=metadata, person="Robin")

    findings = await world.settle(world.doubt("a", person="Robin"), world.doubt("b", person="Kim"))

    assert isinstance(findings[0], Unsettled)
    assert not findings[0].may_change
    assert str(findings[0].why) == "an order that may be it shows no reference"  # and no id
    assert findings[1] == Absent()


async def test_one_that_fails_among_others_is_fetched_again_by_the_next_look(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)
    world.server.add("o-2", "a")
    world.server.add("o-3", "theirs")
    world.server.errors["o-2"] = DOWN

    first = await world.settle(world.doubt("a"))
    world.server.errors.clear()
    (second,) = await world.settle(world.doubt("a"))

    assert isinstance(first[0], Unsettled)
    assert isinstance(second, Found)


async def test_one_that_always_fails_and_is_the_only_one_left_does_not_end_the_look(world: World) -> None:
    await world.row("a")
    await world.own("b", "o-1", age_s=20)
    world.server.add("o-2", "theirs", person="Robin")
    world.server.errors["o-2"] = DOWN

    await world.row("c")
    findings = await world.settle(world.doubt("a", person="Kim"), world.doubt("c", person="Robin"))

    assert findings[0] == Absent()
    assert isinstance(findings[1], Unsettled)


async def test_a_look_that_failed_half_way_leaves_nothing_out_of_the_next(world: World) -> None:
    await world.row("a", age_s=4000)
    await world.own("b", "o-1", age_s=20)
    for n in range(2, 5):
        world.server.add(f"o-{n}", "a" if n == 2 else "theirs", age_s=3900)
        world.server.errors[f"o-{n}"] = DOWN

    with pytest.raises(ServerError):
        await world.settle(world.doubt("a", age_s=4000))
    world.server.errors.clear()
    (finding,) = await world.settle(world.doubt("a", age_s=4000))

    assert isinstance(finding, Found)


# --- Barcodes ---------------------------------------------------------------------------------------------------------


async def test_what_shows_no_metadata_is_found_by_its_barcode_by_a_later_look_too(world: World) -> None:
    await world.row("a", barcode="1")
    await world.row("b", barcode="2")
    await world.own("c", "o-3", age_s=20)
    world.server.add("o-1", None, metadata=None, barcode="1")

    first = await world.settle(world.doubt("b", barcode="2"))  # while the answer of the other is awaited
    (second,) = await world.settle(world.doubt("a", barcode="1"))

    assert first == [Absent()]
    assert isinstance(second, Found)
    assert second.object_id == "o-1"


async def test_what_two_rows_with_one_barcode_may_have_created_is_neither_s(world: World) -> None:
    await world.row("a", barcode="1")
    await world.row("b", barcode="1")
    await world.own("c", "o-3", age_s=20)
    world.server.add("o-1", None, metadata=None, barcode="1")

    findings = await world.settle(world.doubt("a", barcode="1"), world.doubt("b", barcode="1"))

    assert all(isinstance(each, Unsettled) for each in findings)


async def test_what_else_shows_the_barcode_of_a_row_is_reported_as_a_duplicate(world: World) -> None:
    await world.row("a", barcode="1")
    await world.row("b", barcode="2")
    await world.own("c", "o-3", age_s=20)
    world.server.add("o-1", None, age_s=50, metadata=None, barcode="1")
    world.server.add("o-2", None, age_s=40, metadata=None, barcode="1")
    world.server.add("o-4", "b", age_s=50, barcode="2")
    world.server.add("o-5", None, age_s=40, metadata=None, barcode="2")

    findings = await world.settle(world.doubt("a", barcode="1"), world.doubt("b", barcode="2"))

    assert [each.object_id for each in findings if isinstance(each, Found)] == ["o-1", "o-4"]
    assert world.look.duplicates == [("o-1", "o-2"), ("o-4", "o-5")]


async def test_a_further_audit_reports_nothing_again(world: World) -> None:
    world.server.add("o-1", "a", age_s=50)  # seen before its row was sent
    await world.own("c", "o-3", age_s=20)
    await world.settle(world.doubt("c"))
    await world.own("a", "o-2", age_s=10)

    lengths = []
    for _ in range(2):
        await world.look.audit(NOW.timestamp() - 200)
        lengths.append(len(world.look.duplicates))

    assert {frozenset(pair) for pair in world.look.duplicates} == {frozenset({"o-1", "o-2"})}
    assert lengths[0] == lengths[1]


async def test_what_another_row_has_surely_created_is_not_found_by_its_barcode(world: World) -> None:
    await world.row("a", barcode="1")
    await world.row("b", barcode="1")
    await world.own("c", "o-3", age_s=20)
    world.server.add("o-1", None, metadata=None, barcode="1")
    await world.settle(world.doubt("c"))
    await world.row("a", "ok", object_id="o-1", barcode="1")

    (finding,) = await world.settle(world.doubt("b", barcode="1"))

    assert not isinstance(finding, Found)


async def test_the_audit_finds_what_a_row_has_created_with_the_barcode_that_it_had_before(world: World) -> None:
    await world.row("a", barcode="1")
    await world.row("a", "ok", barcode="2", object_id="o-2")
    world.server.add("o-2", "a", age_s=50, barcode="2")
    world.server.add("o-1", "a", age_s=40, barcode="1")

    left = await world.look.audit(NOW.timestamp() - 200)

    assert (left, world.look.duplicates) == (0, [("o-2", "o-1")])


# --- Twice ------------------------------------------------------------------------------------------------------------


async def test_two_new_objects_with_one_reference_are_a_pair_and_the_first_is_the_row_s(world: World) -> None:
    await world.row("a")
    world.server.add("o-2", "a", age_s=80)
    world.server.add("o-1", "a", age_s=90)

    (finding,) = await world.settle(world.doubt("a"))

    assert isinstance(finding, Found)
    assert (finding.object_id, world.look.duplicates) == ("o-1", [("o-1", "o-2")])


async def test_the_audit_finds_a_second_object_of_a_row_that_is_done(world: World) -> None:
    await world.own("a", "o-1")
    world.server.add("o-2", "a", age_s=10)

    left = await world.look.audit(NOW.timestamp() - 200)

    assert (left, world.look.duplicates) == (0, [("o-1", "o-2")])


async def test_the_audit_counts_what_it_cannot_judge_and_leaves_out_what_comes_later(world: World) -> None:
    await world.own("a", "o-1")
    world.server.add("o-2", "a", age_s=10)
    world.server.add("o-3", "theirs", age_s=-1000)  # created while the audit was under way
    world.server.errors = {"o-2": DecodeError("broken", outcome="done"), "o-3": DOWN}

    left = await world.look.audit(NOW.timestamp() - 200)

    assert left == 1


async def test_an_object_that_was_seen_before_another_one_was_told_by_the_answer_is_a_pair_with_that(
    world: World,
) -> None:
    await world.row("a")
    await world.row("b")  # its answer is still awaited; a proxy has repeated it
    world.server.add("o-1", "b")
    world.server.add("o-2", "b")
    world.server.hidden = {"o-2"}
    await world.settle(world.doubt("a"))
    await world.row("b", "ok", object_id="o-2", age_s=90)
    world.server.hidden = set()

    await world.look.audit(NOW.timestamp() - 200)

    assert world.look.duplicates == [("o-2", "o-1")]


async def test_an_object_of_a_row_that_was_sent_only_later_is_a_pair_with_its_new_one(world: World) -> None:
    await world.row("a")
    world.server.add("o-1", "b")  # a session whose journal is lost has created it
    await world.settle(world.doubt("a"))
    await world.own("b", "o-2", age_s=10)

    await world.look.audit(NOW.timestamp() - 200)

    assert world.look.duplicates == [("o-2", "o-1")]


async def test_an_audit_of_a_list_that_is_late_waits_for_it(world: World) -> None:
    await world.own("a", "o-1")
    await world.own("b", "o-2")
    world.server.add("o-3", "a")
    world.server.hidden = {"o-2", "o-3"}
    asyncio.get_running_loop().call_later(8, world.server.hidden.clear)

    left = await world.look.audit(NOW.timestamp() - 200)

    assert (left, world.look.duplicates) == (0, [("o-1", "o-3")])


async def test_an_audit_of_a_list_that_shows_nothing_is_none(world: World) -> None:
    await world.own("a", "o-1")
    world.server.hidden = {"o-1"}

    assert await world.look.audit(NOW.timestamp() - 200) == 1


async def test_the_audit_counts_what_the_run_has_created_and_the_list_does_not_show(world: World) -> None:
    await world.own("a", "o-1")
    await world.own("b", "o-2")
    world.server.hidden = {"o-2"}
    since = NOW.timestamp() - 200

    assert await world.look.audit(since) == 1
    world.server.hidden = set()
    assert await world.look.audit(since) == 0


async def test_the_audit_does_not_wait_for_what_was_deleted(world: World) -> None:
    await world.own("a", "o-1", age_s=90)
    world.server.hidden, world.server.errors = {"o-1"}, {"o-1": GONE}

    assert await world.look.audit(NOW.timestamp() - 200) == 0


# --- The look before a run whose journal is lost ----------------------------------------------------------------------


@pytest.mark.parametrize("metadata", [None, {}, {"site": "of somebody who has replaced them"}])
async def test_the_first_look_notes_references_and_whom_objects_without_one_are_for(
    world: World, metadata: dict[str, Any] | None
) -> None:
    world.server.add("o-2", "a", age_s=80)
    world.server.add("o-1", "a", age_s=90)
    world.server.add("o-3", None, metadata=metadata, person="Robin")

    await world.look.look_first(NOW.timestamp() - 86400)

    assert [an_id for an_id, _ in world.index.found(world.reference("a"))] == ["o-1", "o-2"]
    assert world.index.has_bare(likeness_digest(world.book.digester, "Robin"))
    assert not world.index.has_bare(likeness_digest(world.book.digester, "Kim"))


async def test_what_shows_neither_a_reference_nor_whom_it_is_for_may_be_any_row_s(world: World) -> None:
    world.server.add("o-1", None, metadata={}, person=None)

    await world.look.look_first(NOW.timestamp() - 86400)

    assert world.index.has_bare(likeness_digest(world.book.digester, "Kim"))
    assert world.index.has_bare()


async def test_the_first_look_fetches_what_shows_a_barcode_and_notes_that_of_what_shows_no_metadata(
    world: World,
) -> None:
    world.server.add("o-1", "a", barcode="1")
    world.server.add("o-2", None, metadata=None, barcode="2")

    await world.look.look_first(NOW.timestamp() - 86400)

    assert [an_id for an_id, _ in world.index.found(world.reference("a"))] == ["o-1"]
    assert [an_id for an_id, _ in world.index.found(mark_digest(world.book.digester, "2"))] == ["o-2"]
    assert world.index.found(mark_digest(world.book.digester, "1")) == []


async def test_a_first_look_that_cannot_see_all_sends_nothing(world: World) -> None:
    world.server.add("o-1", "a")
    world.server.add("o-2", "b")
    world.server.errors["o-1"] = DOWN

    with pytest.raises(DecodeError, match="1 of the orders of that time cannot be read"):
        await world.look.look_first(NOW.timestamp() - 86400)


async def test_a_first_look_into_the_future_sends_nothing(world: World) -> None:
    await world.look.look_first(NOW.timestamp() + 300)  # two clocks may differ by that

    with pytest.raises(InvalidInputError, match="in the future"):
        await world.look.look_first(NOW.timestamp() + 3600)
