"""Reading a whole list while it changes: what is missed, how often it is read again, and when that ends."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from spotdx_async._codec.codec import BadItem
from spotdx_async._requests.answers import ListPage, ServerClock
from spotdx_async._requests.list_scan import Scan, scan
from spotdx_async.errors import DecodeError
from spotdx_async.models import OrderSummary
from spotdx_async.testing import run_virtual

NOON = datetime(2024, 2, 9, 12, tzinfo=UTC)
DAY = date(2024, 2, 8)
SIZE = 10


class Server:
    """A list of orders, the last changed first, which may change before each request.

    So many changes as ``at_once`` says bear the same time; those are listed by their ids.
    """

    def __init__(self, count: int, *, at_once: int = 1) -> None:
        self.ticks, self.at_once = 0, at_once
        self.rows = self.sorted([self.changed(f"O{number}") for number in range(count)][::-1])
        self.asked: list[tuple[date | None, int]] = []
        self.before: Callable[[int], object] = lambda _number: None
        self.ahead: timedelta | None = timedelta()
        self.most = SIZE

    def changed(self, order_id: str) -> OrderSummary:
        self.ticks += 1
        updated = NOON + timedelta(milliseconds=self.ticks // self.at_once)
        return OrderSummary(order_id=order_id, created=NOON, updated=updated)

    def sorted(self, rows: list[OrderSummary]) -> list[OrderSummary]:
        if self.at_once == 1:
            return rows
        return sorted(rows, key=lambda row: (row.updated, row.order_id), reverse=True)

    def touch(self, *ids: str) -> None:
        for an_id in ids:
            self.rows = [self.changed(an_id), *(row for row in self.rows if row.order_id != an_id)]
        self.rows = self.sorted(self.rows)

    def remove(self, *ids: str) -> None:
        self.rows = [row for row in self.rows if row.order_id not in ids]

    async def fetch(self, day: date | None, offset: int) -> ListPage[OrderSummary]:
        self.before(len(self.asked))
        self.asked.append((day, offset))
        clock = None if self.ahead is None else ServerClock(NOON, self.ahead)
        return ListPage(tuple(self.rows[offset : offset + self.most]), clock)

    async def scan(self, *, is_newest_change_first: bool = True, **about: Any) -> Scan[OrderSummary]:
        options: dict[str, Any] = {"first_day": lambda _clock: DAY, "page_size": SIZE} | about
        return await scan(
            self.fetch,
            lambda row: row.order_id,
            is_newest_change_first=is_newest_change_first,
            **options,
        )


def ids_of(found: Scan[OrderSummary]) -> set[str | None]:
    return {row.order_id for row in found.rows}


async def test_one_page_is_one_moment() -> None:
    server = Server(9)

    found = await server.scan()

    assert len(found.rows) == 9
    assert found.trouble is None
    assert found.clock == ServerClock(NOON, timedelta())
    assert server.asked == [(DAY, 0)]


async def test_a_short_page_of_a_round_number_may_be_a_limit() -> None:
    server = Server(50)
    server.most = 100

    found = await server.scan(page_size=100)

    assert len(found.rows) == 50
    assert server.asked == [(DAY, 0), (DAY, 50)]  # the second is empty, and proves that the first is all there is


async def test_after_several_pages_the_head_is_read_again() -> None:
    server = Server(25)

    found = await server.scan()

    assert len(found.rows) == 25
    assert [offset for _, offset in server.asked] == [0, 10, 20, 0]


async def test_what_moves_to_the_front_before_it_was_read_is_not_missed() -> None:
    server = Server(25)
    server.before = lambda number: server.touch("O0") if number == 1 else None

    assert "O0" in ids_of(await server.scan())


async def test_more_changes_than_a_page_holds_are_followed_until_none_comes() -> None:
    server = Server(60)

    def change(number: int) -> None:
        if number == 3:  # the tail has not been read: all of it moves to the front
            server.touch(*(f"O{one}" for one in range(25)))
        elif number == 8:  # and some of it once more, while the head is read again
            server.touch("O20", "O21")

    server.before = change

    found = await server.scan()

    assert ids_of(found) == {f"O{number}" for number in range(60)}
    assert found.trouble is None
    assert server.asked[-1] == (DAY, 0)


@pytest.mark.parametrize("is_newest_change_first", [True, False])
@pytest.mark.parametrize("removed", [("O24",), ("O24", "O23", "O20"), tuple(f"O{number}" for number in range(8, 25))])
async def test_what_moves_up_since_others_were_removed_is_not_missed(
    removed: tuple[str, ...], *, is_newest_change_first: bool
) -> None:
    server = Server(25)
    server.before = lambda number: server.remove(*removed) if number == 1 else None

    found = await server.scan(expects_removals=True, is_newest_change_first=is_newest_change_first)

    assert ids_of(found) >= {f"O{number}" for number in range(25)} - {*removed}
    assert found.trouble is None


async def test_a_list_that_is_never_the_same_cannot_be_read() -> None:
    server = Server(500)

    def replace(number: int) -> None:
        if number >= 30:
            server.rows = [server.changed(f"N{number}-{one}") for one in range(500)]

    server.before = replace

    with pytest.raises(DecodeError, match="faster than it can be read"):
        await server.scan(expects_removals=True)


@settings(max_examples=300)
@given(
    st.integers(0, 80),
    st.lists(
        st.tuples(st.lists(st.integers(0, 79), max_size=12), st.lists(st.integers(0, 79), max_size=4)), max_size=9
    ),
)
def test_whatever_changes_and_is_removed_meanwhile_no_row_is_missed(
    count: int, changes: list[tuple[list[int], list[int]]]
) -> None:
    server, removed = Server(count), set[str]()

    def change(number: int) -> None:
        if 0 < number <= len(changes):
            touched, gone = ([f"O{one}" for one in ones if one < count] for ones in changes[number - 1])
            removed.update(gone)
            server.remove(*gone)
            server.touch(*(an_id for an_id in touched if an_id not in removed))

    server.before = change

    found = run_virtual(server.scan(expects_removals=True))

    assert ids_of(found) >= {f"O{number}" for number in range(count)} - removed


async def test_the_head_is_not_read_as_a_whole_again_if_all_was_changed_at_one_instant() -> None:
    server = Server(205, at_once=1000)

    found = await server.scan()

    assert len(found.rows) == 205
    # The one at 5 looks whether rows with the same time keep their places.
    assert [offset for _, offset in server.asked] == [0, 10, 5, *range(20, 210, 10), 0, 204]


async def test_what_changes_at_the_instant_of_the_head_is_not_missed() -> None:
    server = Server(205, at_once=1000)
    # Below all those of that instant, until it is changed at the same.
    late = OrderSummary(order_id="O5x", created=NOON, updated=NOON - timedelta(days=1))
    server.rows.append(late)

    def change(number: int) -> None:
        if number == 20:
            server.touch("O5x")

    server.before = change

    found = await server.scan()

    assert len(found.rows) == 206


@settings(max_examples=300)
@given(
    st.integers(0, 80),
    st.lists(st.lists(st.integers(0, 79), max_size=30), max_size=12),
    st.sampled_from([1, 7, 40, 1000]),
)
def test_whatever_changes_meanwhile_no_row_is_missed(count: int, changes: list[list[int]], at_once: int) -> None:
    server = Server(count, at_once=at_once)

    def change(number: int) -> None:
        if 0 < number <= len(changes):
            server.touch(*(f"O{one}" for one in changes[number - 1] if one < count))

    server.before = change

    found = run_virtual(server.scan())

    assert ids_of(found) == {f"O{number}" for number in range(count)}


async def test_in_no_known_order_all_is_read_again_until_nothing_is_new() -> None:
    server = Server(25)
    server.before = lambda number: server.touch("O0") if number == 1 else None

    found = await server.scan(is_newest_change_first=False)

    assert "O0" in ids_of(found)
    assert [offset for _, offset in server.asked] == [0, 10, 20] * 3


async def test_a_list_that_never_rests_is_not_read_for_ever() -> None:
    server = Server(25)
    server.before = lambda _number: server.touch(*(f"O{one}" for one in range(15)))

    found = await server.scan()

    assert "faster than it can be read" in str(found.trouble)
    assert len(server.asked) < 70


async def test_a_server_that_repeats_a_page_ends_it() -> None:
    page = ListPage(tuple(Server(SIZE).rows), None)

    async def fetch(_day: date | None, _offset: int) -> ListPage[OrderSummary]:
        return page

    with pytest.raises(DecodeError, match="same page for every offset"):
        await scan(
            fetch,
            lambda row: row.order_id,
            first_day=lambda _clock: DAY,
            page_size=SIZE,
            is_newest_change_first=True,
        )


@pytest.mark.parametrize("most", [10, 20, 25, 50, 75])
@pytest.mark.parametrize("is_newest_change_first", [True, False])
async def test_pages_that_are_shorter_than_was_asked_for_end_no_list(most: int, is_newest_change_first: bool) -> None:
    server = Server(160)
    server.most = most

    found = await server.scan(is_newest_change_first=is_newest_change_first, page_size=100)

    assert (len(found.rows), found.trouble) == (160, None)


async def test_a_short_page_that_comes_for_every_offset_is_all_there_is() -> None:
    page = ListPage(tuple(Server(20).rows), None)
    asked: list[int] = []

    async def fetch(_day: date | None, offset: int) -> ListPage[OrderSummary]:
        asked.append(offset)
        return page

    found = await scan(
        fetch, lambda row: row.order_id, first_day=lambda _: DAY, page_size=100, is_newest_change_first=True
    )

    assert (len(found.rows), found.trouble, asked[:2]) == (20, None, [0, 20])


@pytest.mark.parametrize(("is_stable", "moved"), [(True, 0), (True, 3), (False, 0)])
async def test_rows_of_one_time_that_change_places_leave_open_what_is_missing(is_stable: bool, moved: int) -> None:
    server, draw = Server(25), Random(2)
    server.rows = [evolve(row, updated=NOON) for row in server.rows]

    def change(number: int) -> None:
        if not is_stable:
            draw.shuffle(server.rows)
        elif number == 2:  # between the page behind the boundary and the look at both its sides
            server.touch(*(f"O{one}" for one in range(moved)))

    server.before = change

    found = await server.scan()

    assert ("in another order each time" in str(found.trouble)) is not is_stable
    assert [offset for _, offset in server.asked][:4] == [0, 10, 5, 20]
    assert not is_stable or len(found.rows) == 25


async def test_what_cannot_be_read_is_told_and_hides_nothing() -> None:
    server = Server(5)
    fault = DecodeError("[2].created should be a date and time and is text")
    server.rows[2] = BadItem(fault, 1)  # type: ignore[call-overload]  # a row in its place

    found = await server.scan()

    assert (len(found.rows), found.trouble) == (4, fault)


async def test_rows_without_an_id_are_all_kept() -> None:
    server = Server(3)
    server.rows += [OrderSummary(created=NOON), OrderSummary(status="held")]

    assert len((await server.scan()).rows) == 5


async def test_the_servers_clock_corrects_the_first_day() -> None:
    server = Server(3)
    server.ahead = timedelta(hours=-49)

    found = await server.scan(first_day=lambda clock: DAY if clock is None else DAY - timedelta(days=2))

    assert [day for day, _ in server.asked[:2]] == [DAY, DAY - timedelta(days=2)]
    assert len(found.rows) == 3


@pytest.mark.parametrize("stored_page", [0, 1, 2])
async def test_a_page_out_of_a_cache_leaves_open_what_is_missing(stored_page: int) -> None:
    server = Server(25)

    async def fetch(day: date | None, offset: int) -> ListPage[OrderSummary]:
        page = await server.fetch(day, offset)
        return ListPage(page.items, page.clock, is_from_cache=len(server.asked) - 1 == stored_page)

    found = await scan(
        fetch, lambda row: row.order_id, first_day=lambda _: DAY, page_size=SIZE, is_newest_change_first=True
    )

    assert (len(found.rows), "cache" in str(found.trouble)) == (25, True)


@given(
    st.integers(0, 80),
    st.lists(st.lists(st.integers(0, 79), max_size=30), max_size=12),
    st.sampled_from([1, 7, 40, 1000]),
)
def test_a_scan_that_begins_where_another_ended_misses_nothing_either(
    count: int, changes: list[list[int]], at_once: int
) -> None:
    server = Server(count, at_once=at_once)
    before = run_virtual(server.scan()).rows
    newest = max((row.updated for row in before if row.updated is not None), default=NOON)
    known = [row for row in before if row.updated == newest]
    server.asked.clear()
    touched: set[str] = set()

    def change(number: int) -> None:
        ids = [f"O{one}" for one in changes[number] if one < count] if number < len(changes) else []
        server.touch(*ids)
        touched.update(ids)

    server.before = change

    found = run_virtual(server.scan(down_to=newest, known=known))

    assert ids_of(found) >= touched


async def test_a_scan_does_not_read_what_it_is_told_again() -> None:
    server = Server(205, at_once=1000)
    known = (await server.scan()).rows
    server.asked.clear()

    found = await server.scan(down_to=known[0].updated, known=known)

    assert len(found.rows) == 205
    assert [offset for _, offset in server.asked] == [0, 204]
