"""How long a run puts up with a server: only while rows wait for it."""

import asyncio
from collections.abc import Callable

import pytest

from spotdx_async.bulk.outage_signs import OutageLimit

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def make(busy_s: Callable[[], float] = lambda: float("inf")) -> tuple[OutageLimit, list[float]]:
    told: list[float] = []
    return OutageLimit(60, lambda: told.append(now()), busy_s), told


async def test_it_goes_off_once_after_the_limit() -> None:
    limit, told = make()
    await asyncio.sleep(7)

    limit.start()

    await asyncio.sleep(500)
    assert told == [67]


async def test_a_second_start_changes_nothing() -> None:
    limit, told = make()
    limit.start()
    await asyncio.sleep(50)

    limit.start()

    await asyncio.sleep(500)
    assert told == [60]


async def test_after_a_stop_it_counts_anew_from_the_next_start() -> None:
    limit, told = make()
    limit.stop()  # of one that has not begun
    limit.start()
    await asyncio.sleep(59)
    limit.stop()
    await asyncio.sleep(100)
    assert told == []

    limit.start()

    await asyncio.sleep(500)
    assert told == [219]


@pytest.mark.parametrize(("busy_since_s", "at_s"), [(-100, 60), (0, 60), (1, 61), (59, 119)])
async def test_time_in_which_no_row_waited_does_not_count(busy_since_s: float, at_s: float) -> None:
    limit, told = make(lambda: now() - busy_since_s)

    limit.start()

    await asyncio.sleep(500)
    assert told == [at_s]


async def test_it_counts_on_while_rows_come_and_go_and_can_be_stopped_then() -> None:
    limit, told = make(lambda: now() % 50)  # rows wait for 50 s, and then new ones
    limit.start()
    await asyncio.sleep(1000)
    assert told == []

    limit.stop()

    await asyncio.sleep(1000)
    assert told == []
