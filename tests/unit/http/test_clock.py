"""The SDK's view of time, on a loop whose time jumps."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from spotdx_async._http import clock

pytestmark = pytest.mark.virtual_time


async def test_now_is_the_running_loop_s_time() -> None:
    before = clock.now()

    await asyncio.sleep(5)

    assert clock.now() - before == pytest.approx(5)
    assert clock.now() == asyncio.get_running_loop().time()


async def test_wall_is_aware_and_in_utc() -> None:
    assert clock.wall().tzinfo is UTC
    assert abs(clock.wall() - datetime.now(UTC)) < timedelta(seconds=10)


async def test_a_watch_notices_once_that_only_the_wall_clock_went_on(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = SimpleNamespace(time=lambda: 1000.0)
    monkeypatch.setattr(clock, "time", wall)
    watch, now_s = clock.SuspensionWatch(), clock.now()
    seen = []
    # Both go on; a clock is corrected; the machine sleeps for an hour; the clock is set back; then forward again.
    for wall_s, loop_s in [(1060, 60), (1063, 60), (4663, 60), (4664, 61), (4604, 61), (4606, 62), (4700, 62)]:
        wall.time = lambda wall_s=wall_s: float(wall_s)
        seen.append(watch.has_stood_still(now_s + loop_s))

    assert seen == [False, False, True, False, False, False, True]


@pytest.mark.parametrize("seconds", [0.001, 0.1, 1 / 3, 20.0, 86400.0 * 3])
async def test_sleep_lasts_as_long_as_told_and_no_longer(seconds: float) -> None:
    before = clock.now()

    await clock.sleep(seconds, unless=asyncio.Event())

    assert clock.now() - before >= seconds
    assert clock.now() - before == pytest.approx(seconds)


@pytest.mark.parametrize("seconds", [0, 0.0, -1.0])
async def test_sleep_of_nothing_ends_at_once(seconds: float) -> None:
    before = clock.now()

    await clock.sleep(seconds, unless=asyncio.Event())

    assert clock.now() == before


async def test_sleep_ends_when_the_event_is_set() -> None:
    event, before = asyncio.Event(), clock.now()
    clock.call_at(before + 3, event.set)

    await clock.sleep(3600, unless=event)

    assert clock.now() - before == pytest.approx(3)


async def test_sleep_does_not_begin_when_the_event_is_set_already() -> None:
    event, before = asyncio.Event(), clock.now()
    event.set()

    await clock.sleep(3600, unless=event)

    assert clock.now() == before


async def test_sleep_can_be_cancelled_at_once() -> None:
    before = clock.now()
    task = asyncio.create_task(clock.sleep(3600, unless=asyncio.Event()))
    await asyncio.sleep(1)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.now() - before == pytest.approx(1)


async def test_a_cancellation_in_the_tick_of_waking_is_not_swallowed() -> None:
    task = asyncio.create_task(clock.sleep(5, unless=asyncio.Event()))
    clock.call_at(clock.now() + 5, task.cancel)

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_around_a_sleep_is_not_taken_for_its_own() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await clock.sleep(5, unless=asyncio.Event())


async def test_a_timeout_at_the_very_end_of_a_sleep_is_not_taken_for_its_own() -> None:
    before = clock.now()
    try:
        async with asyncio.timeout_at(before + 5):
            await clock.sleep(5, unless=asyncio.Event())
    except TimeoutError:
        pass

    assert clock.now() - before == pytest.approx(5)


async def test_sleep_reads_the_clock_again_when_woken_early(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[float] = []
    real = asyncio.timeout_at

    def early(when: float) -> asyncio.Timeout:
        woken.append(when)
        return real(when - 0.01 if len(woken) == 1 else when)

    monkeypatch.setattr(asyncio, "timeout_at", early)
    before = clock.now()

    await clock.sleep(1, unless=asyncio.Event())

    assert clock.now() - before >= 1
    assert len(woken) == 2


async def test_call_at_calls_when_the_clock_gets_there() -> None:
    called: list[float] = []
    before = clock.now()

    clock.call_at(before + 2, lambda: called.append(clock.now()))
    await asyncio.sleep(3)

    assert called == [pytest.approx(before + 2)]


async def test_call_at_can_be_taken_back() -> None:
    called: list[int] = []

    clock.call_at(clock.now() + 2, lambda: called.append(1)).cancel()
    await asyncio.sleep(3)

    assert called == []
