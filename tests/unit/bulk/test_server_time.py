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


class Local:
    """The local clock, which goes with the loop's."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._began_s = clock.now()

    def wall(self) -> datetime:
        return NOW + self.ahead + timedelta(seconds=clock.now() - self._began_s)


@pytest.fixture(autouse=True)
async def local(monkeypatch: pytest.MonkeyPatch) -> Local:
    local = Local()
    monkeypatch.setattr(clock, "wall", local.wall)
    return local


async def test_a_moment_is_dated_by_the_latest_answer() -> None:
    time = ServerTime()
    time.note(NOW)
    await asyncio.sleep(100)
    time.note(NOW + timedelta(seconds=99))  # cut, and it took a while

    assert time.at(clock.now()) == NOW.timestamp() + 99
    assert time.not_later_than(clock.now()) == told(NOW) + 99


async def test_what_was_sent_before_the_machine_slept_is_dated_before_that(local: Local) -> None:
    time = ServerTime()
    time.note(NOW)
    await asyncio.sleep(10)
    sent_s = clock.now()

    local.ahead += NIGHT
    time.note(NOW + NIGHT + timedelta(seconds=10))  # the loop's clock stood still
    await asyncio.sleep(10)

    assert time.not_later_than(sent_s) == told(NOW) + 10
    assert time.not_later_than(clock.now()) == told(NOW + NIGHT) + 20


async def test_a_slow_answer_hides_no_sleep_and_is_none(local: Local) -> None:
    time = ServerTime()
    time.note(NOW - timedelta(seconds=60))
    time.note(NOW)
    await asyncio.sleep(10)
    sent_s = clock.now()
    local.ahead += NIGHT
    time.note(NOW + NIGHT)
    time.note(NOW + NIGHT - timedelta(seconds=60))

    assert time.not_later_than(sent_s) == told(NOW) + 10


async def test_a_date_that_was_wrong_once_makes_no_moment_later_than_it_was() -> None:
    time = ServerTime()
    time.note(NOW + timedelta(days=1))
    time.note(NOW)
    await asyncio.sleep(10)

    assert time.not_later_than(clock.now()) == told(NOW) + 10


@pytest.mark.parametrize("hours", [1, -1])
async def test_where_servers_differ_a_moment_is_dated_by_the_earliest_and_the_latest(local: Local, hours: int) -> None:
    time = ServerTime()
    time.note(NOW)
    await asyncio.sleep(10)
    sent_s = clock.now()
    time.note(local.wall() + timedelta(hours=hours))
    await asyncio.sleep(10)

    assert not time.is_steady
    assert time.not_later_than(sent_s) == told(NOW + min(timedelta(), timedelta(hours=hours))) + 10
    assert time.not_earlier_than(sent_s) == (NOW + max(timedelta(), timedelta(hours=hours))).timestamp() + 10


async def test_a_first_date_that_is_ahead_of_the_local_clock_may_be_the_wrong_one_of_several(local: Local) -> None:
    time = ServerTime()
    time.note(local.wall() + timedelta(hours=1))
    assert time.not_later_than(clock.now()) == told(NOW)

    for _ in range(20):
        time.note(local.wall() + timedelta(hours=1))

    assert time.is_steady
    assert time.not_later_than(clock.now()) == told(NOW + timedelta(hours=1))


async def test_a_sleep_before_the_first_answer_shows_by_the_local_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    time, wall = ServerTime(), NOW - timedelta(days=2)
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
