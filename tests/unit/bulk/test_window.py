"""The window: how far the reader may read ahead, and what stands beside it."""

import asyncio

import pytest

from spotdx_async.bulk import outcomes as outcomes_module
from spotdx_async.bulk.outcomes import Window

pytestmark = pytest.mark.virtual_time


def may_enter(window: Window) -> bool:
    """Read a row where there is room for it, a turn for others left out."""
    window._without_pause = 0
    return window.try_enter()


def read_on(window: Window, most: int = 1000) -> int:
    """Read as many rows as there is room for."""
    count = 0
    while count < most and may_enter(window):
        count += 1
    return count


async def test_no_more_rows_are_read_than_it_has_room_for() -> None:
    window = Window(8)

    assert read_on(window) == 8
    assert not may_enter(window)
    window.leave()
    assert read_on(window) == 1


async def test_the_reader_goes_on_when_a_quarter_is_free() -> None:
    window = Window(8)
    read_on(window)
    reader = asyncio.ensure_future(window.enter())
    await asyncio.sleep(1)
    window.leave()
    await asyncio.sleep(1)
    assert not reader.done()

    window.leave()

    await asyncio.wait_for(reader, 1)


async def test_rows_beside_it_leave_their_room_to_others() -> None:
    window = Window(8)
    read_on(window)
    reader = asyncio.ensure_future(window.enter())
    await asyncio.sleep(1)

    window.put_beside(5, 5000)

    await asyncio.wait_for(reader, 1)
    assert read_on(window) == 4


async def test_a_row_that_is_taken_back_takes_room_again() -> None:
    window = Window(8)
    read_on(window)
    window.put_beside(5, 5000)
    window.take_back(2, 2000)

    assert read_on(window) == 3


async def test_rows_beside_it_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes_module, "_MOST_BESIDE", 100_000)
    window = Window(8)
    total = 0
    while may_enter(window):
        window.put_beside(1, 1000)
        total += 1

    assert total == 108


async def test_what_is_beyond_the_bytes_comes_in_again_as_soon_as_they_are_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outcomes_module, "_MOST_BESIDE", 100_000)
    window = Window(8)
    for _ in range(108):
        assert may_enter(window)
        window.put_beside(1, 1000)
    assert not may_enter(window)

    window.take_back(5, 5000)
    for _ in range(5):
        window.leave()

    assert read_on(window) == 5


async def test_a_row_that_grows_beside_it_counts_with_all_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes_module, "_MOST_BESIDE", 100_000)
    window = Window(8)
    for _ in range(10):
        assert may_enter(window)
        window.put_beside(1, 1000)
    window.put_beside(0, 990_000)

    assert window._inside() == 9


async def test_others_get_a_turn_however_many_rows_there_is_room_for() -> None:
    window = Window(8)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.ensure_future(take_turns())
    for _ in range(800):
        if not window.try_enter():
            await window.enter()
        window.put_beside(1, 1000)
    other.cancel()

    assert turns >= 90
