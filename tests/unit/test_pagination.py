"""Offset pages: laziness, duplicates, and servers that page badly. No HTTP: a list stands for the server."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotdx_async._codec.codec import BadItem
from spotdx_async.errors import DecodeError, InvalidInputError, NotSentError
from spotdx_async.pagination import PAGE_SIZE, Pages
from spotdx_async.testing import run_virtual

Identify = Callable[[Any], Hashable | None]


class Shelf:
    """A server's list that is read by offset and may change between two pages."""

    def __init__(self, *rows: Any) -> None:
        self.rows = list(rows)
        self.asked: list[int] = []
        self.before_page: dict[int, Callable[[list[Any]], object]] = {}
        self._changed = asyncio.Event()

    async def fetch(self, offset: int, size: int) -> Sequence[Any]:
        number = len(self.asked)
        self.asked.append(offset)
        self._changed.set()
        if change := self.before_page.pop(number, None):
            change(self.rows)
        return tuple(self.rows[offset : offset + size])

    async def was_asked(self, times: int) -> None:
        while len(self.asked) < times:
            self._changed.clear()
            await self._changed.wait()

    def pages(self, identify: Identify = lambda row: row) -> Pages[Any]:
        return Pages(self.fetch, identify)


def fail(_rows: list[Any]) -> None:
    raise NotSentError("no connection")


async def collect(items: AsyncIterator[Any] | Pages[Any]) -> list[Any]:
    return [item async for item in items]


async def test_an_empty_list_gives_nothing() -> None:
    shelf = Shelf()

    assert await collect(shelf.pages()) == []
    assert await collect(shelf.pages().by_page()) == []
    assert shelf.asked == [0, 0]


@pytest.mark.parametrize(
    ("count", "asked"), [(1, [0]), (99, [0]), (100, [0, 100]), (101, [0, 100]), (300, [0, 100, 200, 300])]
)
async def test_a_short_page_is_the_last_one(count: int, asked: list[int]) -> None:
    shelf = Shelf(*range(count))

    assert await collect(shelf.pages()) == list(range(count))
    assert shelf.asked == asked


def test_a_list_that_is_printed_says_how_it_is_read_and_asks_nothing() -> None:
    shelf = Shelf(1, 2, 3)

    assert repr(shelf.pages()) == '<Pages: read it with "async for", or await first(n)>'
    named = Pages(shelf.fetch, lambda row: row, "GET /api/v2/kits/")
    assert repr(named) == '<Pages of GET /api/v2/kits/: read it with "async for", or await first(n)>'
    assert shelf.asked == []


@pytest.mark.parametrize("most", [10, 25, 50])
@pytest.mark.parametrize("count", [90, 100, 101])
async def test_a_server_with_smaller_pages_is_read_to_the_end(most: int, count: int) -> None:
    shelf = Shelf(*range(count))

    async def fetch(offset: int, size: int) -> Sequence[Any]:
        return await shelf.fetch(offset, min(size, most))

    assert await collect(Pages(fetch, lambda row: row)) == list(range(count))
    assert len(shelf.asked) <= count // most + 2


async def test_behind_a_short_page_that_may_be_the_server_s_limit_one_more_is_asked_for() -> None:
    for count, asked in [(9, [0]), (10, [0, 10]), (12, [0]), (95, [0, 95]), (195, [0, 100])]:
        shelf = Shelf(*range(count))
        assert await collect(shelf.pages()) == list(range(count))
        assert shelf.asked == asked


async def test_a_short_page_for_every_offset_is_all_there_is() -> None:
    shelf = Shelf(*range(20))

    async def fetch(offset: int, size: int) -> Sequence[Any]:
        return await shelf.fetch(0 * offset, size)

    assert await collect(Pages(fetch, lambda row: row)) == list(range(20))
    assert len(shelf.asked) == 4


async def test_as_many_rows_added_as_a_small_page_has_are_no_end() -> None:
    shelf = Shelf(*range(90))
    shelf.before_page = {1: lambda rows: rows.__setitem__(slice(0, 0), range(1000, 1025))}

    async def fetch(offset: int, size: int) -> Sequence[Any]:
        return await shelf.fetch(offset, min(size, 25))

    assert await collect(Pages(fetch, lambda row: row)) == list(range(90))


async def test_by_page_gives_the_server_s_pages_and_no_empty_one() -> None:
    pages = await collect(Shelf(*range(200)).pages().by_page())

    assert pages == [tuple(range(100)), tuple(range(100, 200))]


async def test_nothing_is_asked_before_the_first_item_is_read() -> None:
    shelf = Shelf(*range(300))

    iterator = aiter(shelf.pages())

    assert shelf.asked == []
    assert await anext(iterator) == 0
    assert shelf.asked == [0]


async def test_one_page_is_read_ahead_and_no_more() -> None:
    shelf = Shelf(*range(400))
    iterator = aiter(shelf.pages())

    await anext(iterator)
    await asyncio.wait_for(shelf.was_asked(2), 1)
    for _ in range(PAGE_SIZE - 1):
        await anext(iterator)

    assert shelf.asked == [0, 100]
    assert await anext(iterator) == 100
    await asyncio.wait_for(shelf.was_asked(3), 1)
    assert shelf.asked == [0, 100, 200]


async def test_a_page_is_read_ahead_while_the_one_before_is_worked_on() -> None:
    shelf = Shelf(*range(250))

    async for _ in shelf.pages().by_page():
        await asyncio.wait_for(shelf.was_asked(2), 1)
        break

    assert shelf.asked == [0, 100]


async def test_a_page_that_fails_ahead_is_told_after_the_items_before_it() -> None:
    shelf = Shelf(*range(250))
    shelf.before_page[1] = fail
    seen: list[Any] = []

    with pytest.raises(NotSentError):
        async for row in shelf.pages():
            await asyncio.wait_for(shelf.was_asked(2), 1)
            seen.append(row)

    assert seen == list(range(100))


async def test_an_iterator_that_is_let_go_while_its_item_comes_still_gives_it() -> None:
    assert await anext(aiter(Shelf(*range(250)).pages())) == 0


async def test_an_iterator_may_be_let_go_in_another_thread() -> None:
    shelf = Shelf(*range(250))
    held = [aiter(shelf.pages())]
    assert await anext(held[0]) == 0

    await asyncio.to_thread(held.clear)
    await asyncio.wait_for(shelf.was_asked(2), 1)

    assert shelf.asked == [0, 100]


def test_an_iterator_may_be_let_go_after_its_loop() -> None:
    async def read() -> AsyncIterator[Any]:
        rows = aiter(Shelf(*range(250)).pages())
        assert await anext(rows) == 0
        return rows

    with asyncio.Runner() as runner:
        rows = runner.run(read())
    del rows


@pytest.mark.parametrize("leave", ["break", "raise", "cancel"])
async def test_leaving_the_loop_ends_the_page_that_is_read_ahead(leave: str) -> None:
    is_under_way, is_ended = asyncio.Event(), asyncio.Event()

    async def fetch(offset: int, size: int) -> Sequence[int]:
        if offset:
            try:
                is_under_way.set()
                await asyncio.Event().wait()
            finally:
                is_ended.set()
        return range(offset, offset + size)

    async def read() -> None:
        async for _ in Pages(fetch, lambda row: row):
            await is_under_way.wait()
            if leave == "break":
                break
            if leave == "raise":
                raise KeyError
            await asyncio.Event().wait()

    task = asyncio.create_task(read())
    await is_under_way.wait()
    if leave == "cancel":
        task.cancel()
    await asyncio.wait([task])

    await asyncio.wait_for(is_ended.wait(), 1)
    assert task.cancelled() if leave == "cancel" else (task.exception() is None) == (leave == "break")


async def test_a_page_that_failed_ahead_unread_is_no_exception_that_nobody_retrieved() -> None:
    shelf = Shelf(*range(250))
    shelf.before_page[1] = fail
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async for _ in shelf.pages():
        await asyncio.wait_for(shelf.was_asked(2), 1)
        break
    gc.collect()
    await asyncio.wait_for(shelf.was_asked(2), 1)

    assert told == []


async def test_rows_added_in_front_meanwhile_do_not_come_twice() -> None:
    shelf = Shelf(*range(250))
    shelf.before_page[1] = lambda rows: rows.insert(0, "new")

    assert await collect(shelf.pages()) == list(range(250))


async def test_a_hundred_rows_added_meanwhile_are_no_end() -> None:
    shelf = Shelf(*range(250))
    shelf.before_page[1] = lambda rows: rows.__setitem__(slice(0, 0), [f"new {n}" for n in range(100)])

    assert await collect(shelf.pages()) == list(range(250))


async def test_a_row_twice_in_one_page_is_given_once() -> None:
    assert await collect(Shelf(1, 2, 1).pages()) == [1, 2]


async def test_rows_without_identity_are_all_given() -> None:
    assert await collect(Shelf("a", "a", "b").pages(lambda _: None)) == ["a", "a", "b"]


@pytest.mark.parametrize("identify", [lambda row: row, lambda _: None])
async def test_a_server_that_ignores_the_offset_is_found_out(identify: Identify) -> None:
    asked: list[int] = []

    async def fetch(offset: int, size: int) -> list[int]:
        asked.append(offset)
        return list(range(size))

    given_rows: list[Any] = []
    with pytest.raises(DecodeError, match="same page"):
        async for row in Pages(fetch, identify):
            given_rows.append(row)  # noqa: PERF401 - what came before the error counts

    assert given_rows == list(range(PAGE_SIZE))
    assert len(asked) == 3


async def test_a_server_that_gives_more_than_asked_for_is_read_on_from_there() -> None:
    rows = list(range(620))

    async def fetch(offset: int, _size: int) -> list[int]:
        return rows[offset : offset + 250]

    assert await collect(Pages(fetch, lambda row: row)) == rows


async def test_two_iterations_know_nothing_of_each_other() -> None:
    shelf = Shelf(*range(150))
    pages = shelf.pages()
    one, other = aiter(pages), aiter(pages)

    seen = [await anext(one), await anext(one), await anext(other)]

    assert seen == [0, 1, 0]
    assert [*await collect(one)] == list(range(2, 150))
    assert [*await collect(other)] == list(range(1, 150))


async def test_after_a_page_that_failed_the_list_can_be_read_again() -> None:
    shelf = Shelf(*range(150))

    shelf.before_page[1] = fail
    pages = shelf.pages()

    with pytest.raises(NotSentError):
        await collect(pages)

    assert await collect(pages) == list(range(150))


@pytest.mark.parametrize(
    ("n", "asked"), [(0, []), (1, [0]), (100, [0]), (101, [0, 100]), (250, [0, 100, 200]), (9999, [0, 100, 200])]
)
async def test_first_asks_for_no_page_beyond(n: int, asked: list[int]) -> None:
    shelf = Shelf(*range(250))

    assert await shelf.pages().first(n) == list(range(min(n, 250)))
    assert shelf.asked == asked


async def test_first_counts_an_item_that_came_twice_once() -> None:
    shelf = Shelf(*range(250))
    shelf.before_page[1] = lambda rows: rows.insert(0, "new")

    assert await shelf.pages().first(120) == list(range(120))


@pytest.mark.parametrize("n", [-1, 1.0, "3", None, True])
async def test_first_of_no_count_is_refused_before_anything_is_asked(n: Any) -> None:
    shelf = Shelf(1, 2, 3)

    with pytest.raises(InvalidInputError, match="n must be"):
        await shelf.pages().first(n)

    assert shelf.asked == []


@settings(max_examples=50)
@given(
    st.integers(0, 420),
    st.dictionaries(st.integers(1, 4), st.integers(1, 99), max_size=4),
)
def test_whatever_is_added_in_front_each_old_row_comes_once_and_in_order(count: int, added: dict[int, int]) -> None:
    shelf = Shelf(*range(count))
    for page, more in added.items():
        shelf.before_page[page] = lambda rows, page=page, more=more: rows.__setitem__(  # type: ignore[misc]
            slice(0, 0), [f"new {page} {n}" for n in range(more)]
        )

    found = run_virtual(collect(shelf.pages()))

    assert [row for row in found if isinstance(row, int)] == list(range(count))
    assert len(set(found)) == len(found)


# Items that cannot be read


def bad(number: int) -> BadItem:
    error = DecodeError(f"[{number}].created should be a date and time and is text", path="created", outcome="done")
    return BadItem(error, number)


def shelf_with_bad(*offsets: int, count: int = 250) -> Shelf:
    return Shelf(*(bad(number) if number in offsets else number for number in range(count)))


def pages_of(shelf: Shelf, **options: Any) -> Pages[Any]:
    return Pages(shelf.fetch, lambda row: row, "GET /things/", **options)


async def test_a_bad_item_is_raised_after_all_that_stands_before_it_and_named() -> None:
    seen: list[Any] = []

    with pytest.raises(DecodeError) as caught:
        async for row in pages_of(shelf_with_bad(137)):
            seen.append(row)  # noqa: PERF401 - what was read before the error counts

    assert seen == list(range(137))
    assert str(caught.value) == (
        "GET /things/: item 37 of the page at offset 100 cannot be read: [137].created should be a date and time and "
        "is text; start_offset=138 continues after it (2 attempts, 0.00 s)"
    )
    assert (caught.value.path, caught.value.outcome) == ("created", "done")


async def test_reading_goes_on_behind_a_bad_item() -> None:
    shelf = shelf_with_bad(137)

    assert await collect(pages_of(shelf, start_offset=138)) == list(range(138, 250))
    assert shelf.asked == [138, 238]


async def test_bad_items_are_skipped_where_that_is_asked_for() -> None:
    shelf = shelf_with_bad(0, 99, 100, 249)

    found = await collect(pages_of(shelf, on_bad_item="skip"))

    assert found == [number for number in range(250) if number not in {0, 99, 100, 249}]
    assert shelf.asked == [0, 100, 200]


async def test_bad_items_are_told_to_a_function_in_their_order() -> None:
    told: list[tuple[int, int, DecodeError]] = []

    found = await collect(pages_of(shelf_with_bad(5, 103, 120), on_bad_item=lambda *about: told.append(about)))

    assert len(found) == 247
    assert [(offset, index) for offset, index, _ in told] == [(0, 5), (100, 3), (100, 20)]
    assert "item 3 of the page at offset 100" in str(told[1][2])


async def test_what_the_function_raises_ends_the_reading() -> None:
    def refuse(_offset: int, _index: int, error: DecodeError) -> None:
        raise ZeroDivisionError from error

    with pytest.raises(ZeroDivisionError):
        await collect(pages_of(shelf_with_bad(5), on_bad_item=refuse))


async def test_first_does_not_meet_what_stands_behind_its_last_item() -> None:
    assert await pages_of(shelf_with_bad(5)).first(5) == [0, 1, 2, 3, 4]
    with pytest.raises(DecodeError):
        await pages_of(shelf_with_bad(5)).first(6)
    assert await pages_of(shelf_with_bad(5), on_bad_item="skip").first(6) == [0, 1, 2, 3, 4, 6]


async def test_by_page_gives_the_part_of_a_page_before_a_bad_item() -> None:
    pages: list[Any] = []

    with pytest.raises(DecodeError):
        async for page in pages_of(shelf_with_bad(103)).by_page():
            pages.append(page)  # noqa: PERF401 - as above

    assert pages == [tuple(range(100)), (100, 101, 102)]


async def test_a_page_of_bad_items_alone_does_not_end_the_list() -> None:
    shelf = shelf_with_bad(*range(300), count=450)

    assert await collect(pages_of(shelf, on_bad_item="skip")) == list(range(300, 450))


async def test_a_bad_item_that_comes_twice_is_told_once() -> None:
    shelf = shelf_with_bad(99)
    shelf.before_page[1] = lambda rows: rows.insert(0, "new")
    told: list[int] = []

    await collect(pages_of(shelf, on_bad_item=lambda _offset, index, _error: told.append(index)))

    assert told == [99]


async def test_a_server_that_repeats_a_page_with_a_bad_item_ends_in_a_clear_error() -> None:
    page = (*range(99), bad(99))

    async def fetch(_offset: int, _size: int) -> Sequence[Any]:
        return page

    with pytest.raises(DecodeError, match="same page for every offset"):
        await collect(Pages(fetch, lambda row: row, on_bad_item="skip"))


async def later(*_about: object) -> None:
    """Stand for a function that nobody would await."""


@pytest.mark.parametrize(
    "options",
    [{"on_bad_item": "ignore"}, {"on_bad_item": None}, {"on_bad_item": later}, {"start_offset": -1}]
    + [{"start_offset": offset} for offset in (1.0, True, "1", None)],
)
def test_a_wrong_option_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        pages_of(Shelf(), **options)
