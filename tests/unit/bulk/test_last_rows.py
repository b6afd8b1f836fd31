"""Rows that have failed and have no company: for how long another one is waited for, and when they are at fault."""

import asyncio
import random

import pytest

from spotdx_async import NotSentError, ServerError, SpotError
from spotdx_async._http.messages import Action, Verdict
from spotdx_async.bulk.circuit_breaker import CircuitBreaker
from spotdx_async.bulk.outcomes import Window
from spotdx_async.bulk.row import Row
from spotdx_async.bulk.scheduler import ReadyRows
from spotdx_async.bulk.stop_rules import LastRows

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


class Bench:
    """The rows that are left of a run, and the circuit breaker and ready rows that are asked about them."""

    def __init__(self, *, is_read: bool = False) -> None:
        self.breaker = CircuitBreaker(limit_s=1800, concurrency=4, on_overdue=lambda: None, dice=random.Random(1))
        self.ready_rows = ReadyRows(lambda: None, Window(8))
        self.left: list[Row] = []
        self.is_read = is_read
        self.called: list[float] = []
        self.last_read_s = now()
        self.last_rows = LastRows(
            self.breaker,
            self.ready_rows,
            self.left,
            is_read=lambda: self.is_read,
            last_read_s=lambda: self.last_read_s,
            on_wait_over=lambda: self.called.append(now()),
        )

    def leave(self, error: SpotError | None, tries: int = 4) -> Row:
        row = Row(len(self.left), f"K{len(self.left)}", b"{}", tries=tries)
        row.last = None if error is None else Verdict(Action.REPEAT, error=error)
        self.left.append(row)
        return row

    def rest(self) -> None:
        self.ready_rows.enter(Row(99, "K99", b"{}", rests_until_s=now() + 1000))

    def serve(self) -> None:
        for row in range(50):
            self.breaker.report(row, "good", began_s=now(), is_first=True)

    async def pause(self, seconds: float, failures: int = 5) -> None:
        for row in range(900, 900 + failures):
            self.breaker.report(row, "bad", began_s=now())
        assert self.breaker.is_paused
        await asyncio.sleep(seconds)


# For how long another row is waited for


async def test_another_row_is_waited_for_for_fifteen_seconds() -> None:
    bench = Bench()

    assert bench.last_rows.may_have_company()
    await asyncio.sleep(14)
    assert bench.last_rows.may_have_company()
    assert bench.called == []
    await asyncio.sleep(2)

    assert bench.called == [15]
    assert not bench.last_rows.may_have_company()


@pytest.mark.parametrize("was_read", [True, False])
async def test_a_row_that_was_read_or_set_aside_begins_the_wait_anew(was_read: bool) -> None:
    bench = Bench()
    await asyncio.sleep(14)
    if was_read:
        bench.last_read_s = now()
    else:
        bench.last_rows.note_set_aside(now())
    await asyncio.sleep(14)

    assert bench.last_rows.may_have_company()
    await asyncio.sleep(2)
    assert bench.called == [29]


async def test_at_the_input_s_end_nobody_is_waited_for_but_a_row_that_rests() -> None:
    bench = Bench(is_read=True)
    assert not bench.last_rows.may_have_company()

    bench.rest()

    assert bench.last_rows.may_have_company()
    bench.ready_rows.close()


async def test_when_it_is_closed_nobody_is_called() -> None:
    bench = Bench()
    bench.last_rows.close()
    bench.last_rows.may_have_company()
    bench.last_rows.close()
    await asyncio.sleep(100)

    assert bench.called == []


# When the rest of a paused run is at fault

BAD_ROW = ServerError("500", status=500)


@pytest.mark.parametrize(("paused_s", "are_at_fault"), [(119, False), (121, True)])
async def test_they_are_at_fault_after_two_minutes_of_pause(paused_s: float, are_at_fault: bool) -> None:
    bench = Bench(is_read=True)
    bench.leave(BAD_ROW)
    await bench.pause(paused_s)

    assert bench.last_rows.are_at_fault() == are_at_fault
    bench.breaker.release()


async def test_while_the_run_is_not_paused_they_are_not() -> None:
    bench = Bench(is_read=True)
    bench.leave(BAD_ROW)
    await asyncio.sleep(1000)

    assert not bench.last_rows.are_at_fault()


@pytest.mark.parametrize(
    ("error", "was_served", "are_at_fault"),
    [
        (BAD_ROW, False, True),
        (ServerError("503", status=503), False, False),
        (ServerError("503", status=503), True, True),
        (NotSentError("refused", reason="refused"), False, False),
        (None, False, False),
    ],
)
async def test_they_are_only_where_the_server_was_seen_to_be_there(
    error: SpotError | None, was_served: bool, are_at_fault: bool
) -> None:
    bench = Bench(is_read=True)
    if was_served:
        bench.serve()
    bench.leave(BAD_ROW)
    bench.leave(error)
    await bench.pause(200)

    assert bench.last_rows.are_at_fault() == are_at_fault
    bench.breaker.release()


async def test_a_row_that_was_not_tried_may_still_show_the_server_and_one_behind_another_may_not() -> None:
    bench = Bench(is_read=True)
    bench.serve()
    first, second = bench.leave(BAD_ROW), bench.leave(None, tries=0)
    await bench.pause(200)

    assert not bench.last_rows.are_at_fault()
    first.following = second
    assert bench.last_rows.are_at_fault()
    bench.rest()
    assert not bench.last_rows.are_at_fault()
    bench.ready_rows.close()
    bench.breaker.release()


async def test_an_input_that_has_just_given_a_row_may_give_another() -> None:
    bench = Bench()
    bench.leave(BAD_ROW)
    await bench.pause(200)
    bench.last_read_s = now()
    await asyncio.sleep(119)
    assert not bench.last_rows.are_at_fault()
    await asyncio.sleep(2)

    assert bench.last_rows.are_at_fault()
    bench.breaker.release()


async def test_where_most_rows_failed_nothing_is_concluded() -> None:
    bench = Bench(is_read=True)
    for row in range(300):
        bench.breaker.report(row, "bad" if row % 4 else "good", began_s=now(), is_first=True)
    bench.leave(BAD_ROW)
    await bench.pause(200, failures=200)

    assert bench.breaker.first_tries.failing > 0.5
    assert not bench.last_rows.are_at_fault()
    bench.breaker.release()
