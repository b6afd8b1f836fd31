import asyncio
import math
from datetime import timedelta

import pytest

from spotdx_async.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


async def test_time_passes_as_it_is_told_and_what_is_due_happens() -> None:
    clock = VirtualClock(asyncio.get_running_loop())
    happened: list[float] = []
    for due in (5, 10, 11):
        asyncio.get_running_loop().call_later(due, lambda: happened.append(clock.elapsed_s))

    await clock.advance(10)

    assert happened == [5, 10]
    assert clock.elapsed_s == 10
    assert repr(clock) == "<VirtualClock: 10 virtual seconds>"


async def test_the_time_of_day_goes_along() -> None:
    await asyncio.sleep(1000)
    clock = VirtualClock(asyncio.get_running_loop())
    before = clock.wall()

    await clock.advance(3600)

    assert clock.wall() - before == timedelta(hours=1)
    assert before.utcoffset() == timedelta(0)


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan])
async def test_time_does_not_go_back(seconds: float) -> None:
    with pytest.raises(ValueError, match="time does not go back"):
        await VirtualClock(asyncio.get_running_loop()).advance(seconds)
