"""Reading a list that changes between its pages: what is there from beginning to end is read, and reading ends."""

import random
from collections.abc import Callable
from contextlib import aclosing
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotdx_async._codec.codec import BadItem, dumps
from spotdx_async.changes.walk import RowPage, Window, named, walk
from spotdx_async.errors import DecodeError
from spotdx_async.models import KitSummary
from spotdx_async.testing import run_virtual

SIZE = 100


def kit(number: int, status: str = "pending") -> KitSummary:
    return KitSummary(kit_id=f"K{number}", kit_status=status)


class Listed:
    """A list that may change before each request."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows
        self.offsets: list[int] = []
        self.most = SIZE
        self.before: Callable[[int], object] = lambda _number: None

    async def fetch(self, offset: int) -> RowPage[Any]:
        self.before(len(self.offsets))
        self.offsets.append(offset)
        assert len(self.offsets) < 2000, "it reads for ever"
        rows = self.rows[offset : offset + self.most]
        return RowPage(tuple(named(rows, [*map(dumps, rows)], _id_of, "kit_id")), None)

    def walk(self) -> list[Any]:
        async def run() -> list[Any]:
            async with aclosing(walk(self.fetch)) as pages:
                return [found.row async for page in pages for found in page]

        return run_virtual(run())


@pytest.mark.parametrize(("rows", "requests"), [(0, 1), (99, 1), (100, 2), (198, 2), (199, 3), (300, 4)])
def test_pages_share_one_row(rows: int, requests: int) -> None:
    listed = Listed([kit(number) for number in range(rows)])

    assert listed.walk() == listed.rows
    assert listed.offsets == [99 * number for number in range(requests)]


@pytest.mark.parametrize("most", [10, 25, 50])
@pytest.mark.parametrize("rows", [25, 90, 100, 500])
def test_a_server_with_smaller_pages_is_read_to_the_end(most: int, rows: int) -> None:
    listed = Listed([kit(number) for number in range(rows)])
    listed.most = most

    assert listed.walk() == listed.rows
    assert len(listed.offsets) <= rows // (most - 1) + 2


@pytest.mark.parametrize("removed", [1, 2, 50, 51, 60, 99, 100, 150, 250])
@pytest.mark.parametrize("most", [50, 100])
def test_rows_that_are_removed_make_none_of_the_others_go_missing(removed: int, most: int) -> None:
    rows = [kit(number) for number in range(600)]
    listed = Listed(rows)
    listed.most = most

    def remove(number: int) -> None:
        if number == 2:
            del listed.rows[:removed]

    listed.before = remove
    read = listed.walk()

    assert {row.kit_id for row in read} >= {row.kit_id for row in rows[removed:]}


@pytest.mark.parametrize("pushed", [1, 49, 50, 99, 100, 150, 200, 500])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("most", [50, 100])
def test_rows_that_push_others_on_make_none_of_them_go_missing(pushed: int, at: int, most: int) -> None:
    listed = Listed([kit(number) for number in range(350)])
    listed.most = most

    def push(number: int) -> None:
        if number == at:
            listed.rows = [*(kit(1000 + new) for new in range(pushed)), *listed.rows]

    listed.before = push
    read = listed.walk()

    assert {row.kit_id for row in read} >= {f"K{number}" for number in range(350)}


def test_a_row_that_changed_meanwhile_comes_again() -> None:
    listed = Listed([kit(number) for number in range(150)])

    def change(number: int) -> None:
        if number == 1:
            listed.rows[99] = kit(99, "delivered")

    listed.before = change

    assert [row.kit_status for row in listed.walk() if row.kit_id == "K99"] == ["pending", "delivered"]


def test_the_same_page_for_every_offset_is_an_error() -> None:
    listed = Listed([])

    async def fetch(offset: int) -> RowPage[Any]:
        return await Listed.fetch(listed, 0 * offset)

    listed.rows, listed.fetch = [kit(number) for number in range(SIZE)], fetch  # type: ignore[method-assign]

    with pytest.raises(DecodeError, match="same page for every offset"):
        listed.walk()


def test_a_short_page_for_every_offset_is_all_there_is() -> None:
    listed = Listed([])

    async def fetch(offset: int) -> RowPage[Any]:
        return await Listed.fetch(listed, 0 * offset)

    listed.rows, listed.fetch = [kit(number) for number in range(20)], fetch  # type: ignore[method-assign]

    assert listed.walk() == listed.rows
    assert len(listed.offsets) == 4


def test_a_list_that_is_rewritten_between_all_pages_is_an_error_in_the_end() -> None:
    listed = Listed([])

    def rewrite(number: int) -> None:
        listed.rows = [kit(1000 * number + one) for one in range(500)]

    listed.before = rewrite

    with pytest.raises(DecodeError, match="changes faster than it can be read"):
        listed.walk()


@pytest.mark.parametrize("rows", [99, 100, 250])
def test_rows_without_an_id_are_read_to_the_end(rows: int) -> None:
    listed = Listed([KitSummary(kit_status=f"status {number}") for number in range(rows)])

    assert listed.walk() == listed.rows


def test_rows_without_anything_end_too() -> None:
    with pytest.raises(DecodeError, match="same page for every offset"):
        Listed([KitSummary()] * 5000).walk()


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), order=st.sampled_from(["creation", "change", "arbitrary"]))
def test_what_is_listed_throughout_is_read_whatever_comes_and_goes(seed: int, order: str) -> None:
    dice = random.Random(seed)
    listed = Listed([kit(number) for number in range(dice.randrange(500))])
    kept = {row.kit_id for row in listed.rows}
    new = 10_000

    def change(number: int) -> None:
        nonlocal new
        if number > 60:
            return
        for _ in range(dice.choice([0, 1, 5, 40, 120])):
            if listed.rows and dice.random() < 0.5:
                gone = listed.rows.pop(dice.randrange(len(listed.rows)))
                kept.discard(gone.kit_id)
                if order == "change" and dice.random() < 0.8:  # it has changed: it is not lost, and comes first now
                    listed.rows.insert(0, kit(int(gone.kit_id[1:]), f"after {number}"))
            else:
                new += 1
                places = {"creation": len(listed.rows), "change": 0, "arbitrary": dice.randrange(len(listed.rows) + 1)}
                listed.rows.insert(places[order], kit(new))

    listed.before = change

    assert {row.kit_id for row in listed.walk()} >= kept


def test_rows_are_named_even_if_they_cannot_be_read() -> None:
    def bad(raw: Any) -> BadItem:
        error = DecodeError("no")
        error.raw = raw
        return BadItem(error, 7)

    rows: list[KitSummary | BadItem] = [kit(1), KitSummary(), bad({"kit_id": "K2"}), bad({"kit_id": 3}), bad([])]
    found = list(named(rows, [b"1", b"2", b"", b"", b""], _id_of, "kit_id"))

    assert [(one.an_id, one.row) for one in found] == [
        ("K1", kit(1)),
        (None, KitSummary()),
        ("K2", None),
        (None, None),
        (None, None),
    ]
    assert [one.error is None for one in found] == [True, False, True, False, False]


def _id_of(row: KitSummary) -> str | None:
    return row.kit_id


def test_windows_are_halved_without_a_gap_down_to_single_days() -> None:
    today = date(2026, 11, 29)
    waiting, days = [Window()], []
    while waiting:
        window = waiting.pop()
        halves = window.halves(today)
        if halves is None:
            days.append(window)
        else:
            waiting += reversed(halves)

    assert (days[0].first, days[-1].last) == (None, None)
    for one, other in pairwise(days):
        assert one.last is not None
        assert other.first is not None
        assert (other.first - one.last).days == 1
    assert all(day.first == day.last for day in days[1:-1])
