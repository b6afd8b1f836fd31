"""Rows of a run that creates, as they are read: known by their keys, and never one place for two."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from spotdx_async import InvalidInputError, InvalidRow, JournalError, NewOrder, NewOrderRow, Outcome, SpotClient
from spotdx_async.bulk.create_reader import CreateReader, likeness_digest, reference_digest
from spotdx_async.bulk.create_rows import CreateRow
from spotdx_async.bulk.journal.batch_index import BatchIndex
from spotdx_async.bulk.journal.creates_file import RowEntry
from spotdx_async.bulk.journal.creates_writer import CreatesWriter
from spotdx_async.bulk.journal.reading import CODES, NOT_SENT, PARKED
from spotdx_async.bulk.records import Journal
from tests.new_objects import ORDER

pytestmark = pytest.mark.virtual_time

BAD = attrs.evolve(ORDER, kit_types=())
OTHER = attrs.evolve(ORDER, kit_types=("another",))

Session = Callable[[Iterable[Any]], Awaitable[list[Any]]]


def with_ref(reference: str, order: NewOrder = ORDER) -> NewOrder:
    return attrs.evolve(order, metadata={"client_ref": reference})


async def reader_of(rows: Iterable[Any], journal: Path, batch: str = "cohort") -> CreateReader:
    job: Any = SpotClient(token="t").orders.create_many([], batch=batch, journal=None)._inputs.job
    reader = CreateReader(rows, job.creation)
    reader.index = BatchIndex()
    reader.book = await CreatesWriter.open(Journal(journal), operation="POST", server="s", batch=batch)
    return reader


async def end(reader: CreateReader) -> None:
    reader.index.close()
    await reader.book.close("stopped")


async def items_of(reader: CreateReader) -> list[Any]:
    items = []
    while (item := await reader.next()) is not None:
        items.append(item)
    assert reader.error is None
    return items


async def read(rows: Iterable[Any], journal: Path, batch: str = "cohort") -> list[Any]:
    """Read rows as one session does, and end it."""
    reader = await reader_of(rows, journal, batch)
    items = await items_of(reader)
    await reader.close()
    await end(reader)
    return items


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Reads rows as one session does, and ends it, on one journal."""

    return lambda rows: read(rows, tmp_path / "cohort.journal")


async def record(journal: Path, row: CreateRow, state: int, object_id: str | None = None) -> None:
    """Let an earlier session have recorded so of a row."""
    book = await CreatesWriter.open(Journal(journal), operation="POST", server="s", batch="cohort")
    await book.intend(RowEntry(row.index, CODES["unknown"], row.ids, 1.0))
    book.record(RowEntry(row.index, state, row.ids, None, object_id))
    await book.close("stopped")


def told(item: Any) -> tuple[str, str | None]:
    return (item.state, item.object_id) if isinstance(item, Outcome) else ("row", None)


# --- References -------------------------------------------------------------------------------------------------------


async def test_the_same_row_of_the_same_batch_has_the_same_reference_for_ever(tmp_path: Path) -> None:
    first = await read([("a", ORDER), ("b", ORDER)], tmp_path / "1")
    again = await read([("x", ORDER), ("b", OTHER), ("a", ORDER)], tmp_path / "2")
    other = await read([("a", ORDER)], tmp_path / "3", "other")

    references = [row.target.clue.client_ref for row in (*first, *again, *other)]

    assert references[:2] == [references[4], references[3]]
    assert len(set(references)) == 4
    assert references[0] == "231c2b3c-7fe4-5ee5-aebb-0471123935f0"  # changing it would place every batch once more


async def test_a_key_and_a_batch_are_the_same_in_every_form_of_unicode(tmp_path: Path) -> None:
    composed, decomposed = ("\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}")

    first, second = await read([(composed, ORDER), (decomposed, ORDER)], tmp_path / "1", composed)
    (again,) = await read([(decomposed, ORDER)], tmp_path / "2", decomposed)

    assert "the row with index 0 has the same key" in str(second.error)
    assert again.target.clue.client_ref == first.target.clue.client_ref
    assert (again.key, second.key) == (decomposed, decomposed)


async def test_a_reference_of_the_row_s_own_goes_before(session: Session) -> None:
    (row,) = await session([("a", with_ref("mine"))])

    assert row.target.clue.client_ref == "mine"
    assert b'"client_ref":"mine"' in row.body


async def test_two_rows_with_one_reference_of_their_own_are_not_both_sent(session: Session) -> None:
    first, second = await session([("a", with_ref("mine")), ("b", with_ref("mine"))])

    assert told(first) == ("row", None)
    assert second.state == "rejected"
    assert "the row with index 0 has the same reference in its metadata" in str(second.error)


@pytest.mark.parametrize("copy_first", [False, True])
async def test_a_reference_that_is_copied_from_another_row_of_the_batch_is_sent_once(
    session: Session, *, copy_first: bool
) -> None:
    (row,) = await session([("a", ORDER)])
    rows = [("a", ORDER), ("b", with_ref(row.target.clue.client_ref))]

    first, second = await session(reversed(rows) if copy_first else rows)

    assert told(first) == ("row", None)
    assert second.state == "rejected"
    assert "the row with index 0 has the same reference in its metadata" in str(second.error)


@pytest.mark.parametrize("state", [CODES["ok"], CODES["unknown"], PARKED])
async def test_the_reference_of_a_row_that_an_earlier_session_has_sent_is_taken(
    session: Session, tmp_path: Path, state: int
) -> None:
    (row,) = await session([("a", with_ref("mine"))])
    await record(tmp_path / "cohort.journal", row, state, "o-1")

    renamed, same = await session([("b", with_ref("mine")), ("c", with_ref("other"))])

    assert renamed.state == "rejected"
    assert "with another key, has the same reference" in str(renamed.error)
    assert told(same) == ("row", None)


async def test_a_reference_that_came_to_nothing_is_free(session: Session, tmp_path: Path) -> None:
    (row,) = await session([("a", with_ref("mine"))])
    await record(tmp_path / "cohort.journal", row, NOT_SENT)

    assert [told(item) for item in await session([("b", with_ref("mine"))])] == [("row", None)]


# --- Keys -------------------------------------------------------------------------------------------------------------


async def test_the_second_row_of_a_key_is_rejected_and_says_which_has_it(session: Session) -> None:
    _, _, third = await session([("a", ORDER), ("b", ORDER), ("a", OTHER)])

    assert third.state == "rejected"
    assert "the row with index 0 has the same key" in str(third.error)


@pytest.mark.parametrize("sessions", [1, 2])
async def test_a_bad_row_has_its_key_too_in_every_session(session: Session, sessions: int) -> None:
    items: list[Any] = []
    for _ in range(sessions):
        items = await session([("a", BAD), ("a", ORDER)])

    assert [item.state for item in items] == ["rejected", "rejected"]


async def test_a_bad_second_row_does_not_take_back_what_is_said_of_the_first(tmp_path: Path) -> None:
    reader = await reader_of([("a", ORDER), ("a", BAD)], tmp_path / "cohort.journal")
    first = await reader.next()
    assert isinstance(first, CreateRow)
    sent = reader.book.intend(RowEntry(0, CODES["unknown"], first.ids, 1.0))  # not written yet

    second = await reader.next()
    await sent
    await end(reader)
    again = await CreatesWriter.open(Journal(tmp_path / "cohort.journal"), operation="POST", server="s", batch="cohort")

    assert isinstance(second, Outcome)
    assert second.state == "rejected"
    assert [each.key for each in again.in_doubt] == [first.ids.key]
    await again.close("stopped")


@pytest.mark.parametrize(
    "item", [("", ORDER), (" ", ORDER), (7, ORDER), ("\ud800", ORDER), ORDER, "a", ("a", ORDER, 1)]
)
async def test_what_is_no_row_is_rejected(session: Session, item: Any) -> None:
    assert [each.state for each in await session([item])] == ["rejected"]


async def test_an_error_stands_for_a_bad_row_and_a_source_comes_back(session: Session) -> None:
    error = InvalidInputError("line 7")

    items = await session([error, InvalidRow(error, source="b"), NewOrderRow("c", BAD, source="c")])

    assert [(each.state, each.source) for each in items] == [("rejected", None), ("rejected", "b"), ("rejected", "c")]
    assert items[0].error is error


async def test_a_full_disk_under_the_index_of_keys_ends_the_input_and_counts_no_row(tmp_path: Path) -> None:
    reader = await reader_of([("a", ORDER), ("b", ORDER)], tmp_path / "j")
    await reader.next()
    reader.index._database.execute("PRAGMA query_only = ON")

    item = await reader.next()

    assert (item, reader.read) == (None, 1)
    assert isinstance(reader.error, JournalError)
    assert reader.error.reason == "disk"
    await end(reader)


# --- What earlier sessions have done ----------------------------------------------------------------------------------


async def test_a_row_that_is_done_is_skipped_with_its_id_wherever_it_stands(session: Session, tmp_path: Path) -> None:
    (row,) = await session([("a", ORDER)])
    await record(tmp_path / "cohort.journal", row, CODES["ok"], "o-1")

    items = await session([("z", ORDER), ("a", ORDER)])

    assert [told(item) for item in items] == [("row", None), ("skipped", "o-1")]


async def test_a_row_that_is_done_and_bad_now_tells_what_was_placed(session: Session, tmp_path: Path) -> None:
    (row,) = await session([("a", ORDER)])
    await record(tmp_path / "cohort.journal", row, CODES["ok"], "o-1")

    items = await session([("a", BAD), ("a", BAD)])

    assert [told(item) for item in items] == [("rejected", "o-1"), ("rejected", None)]


@pytest.mark.parametrize(
    ("before", "now", "is_same"),
    [
        ({"site": "n", "n": {"a": 1, "b": [1, 2]}}, {"n": {"b": [1, 2], "a": 1}, "site": "n"}, True),
        ({"n": 10**30}, {"n": 10**30}, True),
        ({"n": 10**30}, {"n": 10**30 + 1}, False),
        ({"n": 1}, {"n": "1"}, False),
        ({"site": "Zo\u00eb"}, {"site": "Zoe\u0308"}, True),
        ({"n": [1, 2]}, {"n": [2, 1]}, False),
    ],
)
async def test_content_is_the_same_in_whatever_order_and_form_it_is_written(
    session: Session, tmp_path: Path, before: dict[str, Any], now: dict[str, Any], is_same: bool
) -> None:
    (row,) = await session([("a", attrs.evolve(ORDER, metadata=before))])
    await record(tmp_path / "cohort.journal", row, CODES["ok"], "o-1")

    (item,) = await session([("a", attrs.evolve(ORDER, metadata=now))])

    assert told(item) == ("skipped" if is_same else "rejected", "o-1")


async def test_a_row_that_is_done_with_other_content_is_rejected_with_its_id(session: Session, tmp_path: Path) -> None:
    (row,) = await session([("a", ORDER)])
    await record(tmp_path / "cohort.journal", row, CODES["ok"], "o-1")

    (item,) = await session([("a", OTHER)])

    assert told(item) == ("rejected", "o-1")
    assert "placed before with other content" in str(item.error)


@pytest.mark.parametrize("state", [CODES["unknown"], PARKED])
@pytest.mark.parametrize(("order", "is_other"), [(ORDER, False), (OTHER, True)])
async def test_a_row_in_doubt_is_known_to_be(
    session: Session, tmp_path: Path, state: int, order: NewOrder, is_other: bool
) -> None:
    (row,) = await session([("a", ORDER)])
    await record(tmp_path / "cohort.journal", row, state)

    (again,) = await session([("a", order)])

    assert (again.is_known_in_doubt, again.is_other, again.may_be_executed) == (True, is_other, True)


@pytest.mark.parametrize("state", [CODES["failed"], NOT_SENT])
async def test_a_row_that_failed_is_sent_as_it_is_now(session: Session, tmp_path: Path, state: int) -> None:
    (row,) = await session([("a", ORDER)])
    await record(tmp_path / "cohort.journal", row, state)

    (again,) = await session([("a", OTHER)])

    assert (again.is_known_in_doubt, b"another" in again.body) == (False, True)


async def test_a_bad_row_that_was_mended_is_sent(session: Session) -> None:
    await session([("a", BAD)])

    assert [told(item) for item in await session([("a", ORDER)])] == [("row", None)]


# --- What was there before the run ------------------------------------------------------------------------------------


async def test_what_the_first_look_has_found_is_skipped_and_recorded(tmp_path: Path) -> None:
    reader = await reader_of([("a", with_ref("mine")), ("b", ORDER)], tmp_path / "cohort.journal")
    reader.first_look = SimpleNamespace(since=1.0)  # type: ignore[assignment]
    twins: list[Any] = []
    reader.on_twins = lambda first, others: twins.append((first, others))
    digest = reference_digest(reader.book.digester, "mine")
    reader.index.add_found(digest, "o-2", 20.0)
    reader.index.add_found(digest, "o-1", 10.0)

    items = await items_of(reader)
    own = await reader.book.ask(lambda file: file.objects_among(["o-1"]))

    assert [told(item) for item in items] == [("skipped", "o-1"), ("row", None)]
    assert (own, twins) == ({"o-1"}, [("o-1", ("o-2",))])
    await end(reader)


@pytest.mark.parametrize("sign", ["whom it is for", "nothing"])
async def test_a_row_that_may_be_among_what_shows_no_reference_is_parked(tmp_path: Path, sign: str) -> None:
    reader = await reader_of([("a", ORDER)], tmp_path / "cohort.journal")
    reader.first_look = SimpleNamespace(since=1.0)  # type: ignore[assignment]
    reader.index.add_bare(b"" if sign == "nothing" else likeness_digest(reader.book.digester, "robin\nsample"))

    (item,) = await items_of(reader)
    await end(reader)
    again = await CreatesWriter.open(Journal(tmp_path / "cohort.journal"), operation="POST", server="s", batch="cohort")

    assert item.state == "unknown"
    assert "shows no reference, and may be this one" in str(item.error)
    assert [each.state for each in again.in_doubt] == [PARKED]
    await again.close("stopped")


async def test_a_row_in_doubt_that_the_first_look_has_found_is_rejected_if_its_content_has_changed(
    session: Session, tmp_path: Path
) -> None:
    journal = tmp_path / "cohort.journal"
    (row,) = await session([("a", with_ref("mine"))])
    await record(journal, row, CODES["unknown"])
    changed = attrs.evolve(OTHER, metadata=with_ref("mine").metadata)
    reader = await reader_of([("a", changed)], journal)
    reader.first_look = SimpleNamespace(since=1.0)  # type: ignore[assignment]
    reader.index.add_found(reference_digest(reader.book.digester, "mine"), "o-1", 10.0)

    found = [told(item) for item in await items_of(reader)]
    await end(reader)
    again = [told(item) for item in await session([("a", changed)])]

    assert (found, again) == ([("rejected", "o-1")], [("rejected", "o-1")])
