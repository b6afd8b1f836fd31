"""Which row goes next: turns of fresh rows and of those set aside, and in a pause ever further ahead."""

import asyncio
import random

import pytest

from spotdx_async.bulk.circuit_breaker import CircuitBreaker
from spotdx_async.bulk.outcomes import Window
from spotdx_async.bulk.row import Row
from spotdx_async.bulk.scheduler import ReadyRows, Scheduler

pytestmark = pytest.mark.virtual_time


class Bench:
    """A scheduler with fresh rows 0 to 9, and the circuit breaker that it asks."""

    def __init__(self) -> None:
        self.breaker = CircuitBreaker(limit_s=1800, concurrency=4, on_overdue=lambda: None, dice=random.Random(1))
        self.window = Window(8)
        self.ready_rows = ReadyRows(lambda: None, self.window)
        self.blocked: set[int] = set()
        self.scheduler = Scheduler(self.breaker, self.ready_rows, self.window, may_go_on=self.may_go_on)
        self.looks = 0
        self.read = 0
        self.read_on(10)

    def may_go_on(self, row: Row) -> bool:
        self.looks += 1
        return row.index not in self.blocked

    def read_on(self, count: int) -> None:
        for index in range(self.read, self.read + count):
            self.read_on_by(Row(index, f"SPOT{index}", b"{}"))

    def read_on_by(self, row: Row) -> None:
        self.window._rows += 1  # whether or not there is room
        self.scheduler.enter(row)
        self.read += 1

    def may_be_read(self) -> int:
        """Rows that may be read now, in steps that give no turn."""
        return self.window.size - self.window._inside()

    def next(self) -> int | None:
        row = self.scheduler.next()
        return None if row is None else row.index

    def set_aside(self, *indexes: int) -> None:
        for index in indexes:
            self.scheduler.set_aside(Row(index, f"SPOT{index}", b"{}", tries=1))

    def pause(self) -> None:
        for row in range(900, 905):
            self.breaker.report(row, "bad", began_s=asyncio.get_running_loop().time())
        assert self.breaker.is_paused

    def probe_in_vain(self) -> int:
        row = self.scheduler.next()
        assert row is not None
        row.tries += 1
        self.scheduler.set_aside(row)
        self.scheduler.end(row)
        return row.index


async def test_rows_set_aside_and_fresh_ones_take_turns() -> None:
    bench = Bench()
    bench.set_aside(100, 101)

    assert [bench.next() for _ in range(5)] == [100, 0, 101, 1, 2]


async def test_none_that_has_failed_goes_while_the_server_is_in_doubt_and_a_fresh_one_is_there() -> None:
    bench = Bench()
    bench.set_aside(100)
    bench.breaker.report(900, "bad")
    bench.breaker.report(901, "bad")

    assert [bench.next() for _ in range(11)] == [*range(9, -1, -1), 100]


async def test_one_that_may_not_go_yet_holds_up_no_other() -> None:
    bench = Bench()
    bench.set_aside(100, 101, 102)
    bench.blocked = {100, 102}

    assert [bench.next() for _ in range(3)] == [101, 0, 1]
    bench.blocked = {101}
    bench.breaker.report(900, "good")
    assert bench.next() in {100, 102}


async def test_thousands_that_may_not_go_yet_are_not_looked_at_again_and_again() -> None:
    bench = Bench()
    bench.blocked = {*range(1000, 6000)}
    bench.set_aside(*bench.blocked)

    assert [bench.next() for _ in range(10)] == [*range(10)]
    assert bench.looks <= 10 * 16

    for _ in range(1000):
        assert bench.next() is None
    assert bench.looks <= 11 * 16 + 5000

    bench.breaker.report(900, "good", began_s=asyncio.get_running_loop().time())
    bench.blocked.remove(4321)
    assert bench.next() == 4321


async def test_in_a_pause_one_goes_at_a_time_and_a_fresh_one_where_there_is_one() -> None:
    bench = Bench()
    bench.set_aside(100)
    bench.pause()

    row = bench.scheduler.next()
    assert row is not None
    assert (row.index, row.is_probe) == (9, True)
    assert bench.next() is None

    bench.scheduler.end(row)
    assert not row.is_probe
    assert [bench.probe_in_vain() for _ in range(10)] == [*range(8, -1, -1), 100]


async def test_each_probe_in_vain_lets_twice_as_many_be_read_ahead_until_the_pause_ends() -> None:
    bench = Bench()
    bench.pause()
    room = bench.may_be_read()
    more: list[int] = []
    for count in range(1, 11):
        bench.probe_in_vain()
        more.append(bench.may_be_read() - room - count)  # those that have probed may be read past too

    assert more == [8, 16, 32, 64, 128, 256, 512, 1024, 2000, 2000]
    bench.breaker.report(900, "good", began_s=asyncio.get_running_loop().time())
    assert bench.next() is not None
    assert bench.may_be_read() - room in {9, 10}  # one of those set aside has its turn


async def test_rows_read_ahead_are_fewer_where_they_are_large() -> None:
    bench = Bench()
    bench.pause()
    for _ in range(40):
        bench.probe_in_vain()
        for _ in range(min(8, bench.may_be_read())):
            row = Row(bench.read, f"SPOT{bench.read}", bytes(2**20))
            bench.read_on_by(row)

    assert 10 + 16 <= bench.read <= 10 + 16 + 8 + 2 * 8  # and what the first probes had allowed before a large one came


async def test_a_row_that_was_to_probe_when_the_pause_ends_is_a_row_as_any_other() -> None:
    bench = Bench()
    bench.pause()
    row = bench.scheduler.next()
    assert row is not None
    bench.breaker.report(900, "good", began_s=asyncio.get_running_loop().time())

    bench.scheduler.end_probing([row, None])

    assert not row.is_probe
    bench.pause()
    assert bench.next() is not None  # while that one is still under way


async def test_a_row_that_a_pause_has_kept_from_its_first_try_goes_before_those_that_failed() -> None:
    bench = Bench()
    while bench.next() is not None:
        pass
    bench.set_aside(100)
    bench.scheduler.set_aside(Row(5, "SPOT5", b"{}"))
    bench.pause()

    assert bench.next() == 5
