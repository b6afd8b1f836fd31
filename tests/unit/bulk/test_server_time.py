"""The server's clock as a run knows it: by the dates of answers, whatever the local clocks do meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from spotdx_async._http import clock
from spotdx_async.bulk.server_time import ServerTime

pytestmark = pytest.mark.virtual_time

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NIGHT = timedelta(hours=8)


def told(moment: datetime) -> float:
    """Return a moment as it is told: what is certainly not later leaves two seconds for a cut and slow date."""
    return moment.timestamp() - 2


async def test_a_moment_is_dated_by_the_latest_answer() -> None:
    time = ServerTime()
    time.note(NOW)
    await asyncio.sleep(100)
    time.note(NOW + timedelta(seconds=99))  # cut, and it took a while

    assert time.at(clock.now()) == NOW.timestamp() + 99
    assert time.not_later_than(clock.now()) == told(NOW) + 99


async def test_what_was_sent_before_the_machine_slept_is_dated_before_that() -> None:
    time = ServerTime()
    time.note(NOW)
    await asyncio.sleep(10)
    sent_s = clock.now()

    time.note(NOW + NIGHT)  # the loop's clock stood still
    await asyncio.sleep(10)

    assert time.not_later_than(sent_s) == told(NOW) + 10
    assert time.not_later_than(clock.now()) == told(NOW + NIGHT) + 10


async def test_a_slow_answer_hides_no_sleep_and_is_none() -> None:
    time = ServerTime()
    time.note(NOW - timedelta(seconds=60))
    time.note(NOW)
    await asyncio.sleep(10)
    sent_s = clock.now()
    time.note(NOW + NIGHT)
    time.note(NOW + NIGHT - timedelta(seconds=60))

    assert time.not_later_than(sent_s) == told(NOW) + 10


async def test_a_date_that_was_wrong_once_makes_no_moment_later_than_it_was() -> None:
    time = ServerTime()
    time.note(NOW + timedelta(days=1))
    time.note(NOW)
    await asyncio.sleep(10)

    assert time.not_later_than(clock.now()) == told(NOW) + 10


async def test_a_sleep_before_the_first_answer_shows_by_the_local_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    time, wall = ServerTime(), NOW - timedelta(days=1)
    monkeypatch.setattr(clock, "wall", lambda: wall)
    time.begin()
    sent_s = clock.now()
    await asyncio.sleep(1)
    wall += NIGHT + timedelta(seconds=1)

    time.note(NOW + NIGHT + timedelta(seconds=1))

    assert time.not_later_than(sent_s) == told(NOW)


async def test_before_any_answer_the_local_clock_may_be_a_day_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW + timedelta(days=1))

    assert ServerTime().not_later_than(clock.now()) < NOW.timestamp()
