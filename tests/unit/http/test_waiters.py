"""The queue of waiters: two classes, the order in each, a tenth for the rows, and nothing left of a cancelled wait."""

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async._http.waiters import Permits, Waiter, WaiterQueue
from spotdx_async.testing import run_virtual


def granted(queue: WaiterQueue[str]) -> list[str]:
    names = []
    while (waiter := queue.pop()) is not None:
        waiter.grant()
        names.append(waiter.data)
    return names


def never_back() -> None:
    pytest.fail("nothing was granted, so there is nothing to give back")


async def test_one_class_is_granted_in_the_order_of_coming() -> None:
    queue = WaiterQueue[str]()
    for name in "abc":
        queue.add(name)

    assert granted(queue) == ["a", "b", "c"]


async def test_single_calls_go_before_rows() -> None:
    queue = WaiterQueue[str]()
    queue.add("row", is_bulk=True)
    queue.add("call")

    assert granted(queue) == ["call", "row"]


async def test_every_tenth_grant_is_a_rows_while_single_calls_wait() -> None:
    queue = WaiterQueue[str]()
    for _ in range(3):
        queue.add("row", is_bulk=True)
    for _ in range(40):
        queue.add("call")

    order = granted(queue)

    assert [place for place, name in enumerate(order) if name == "row"] == [9, 19, 29]


async def test_grants_count_for_the_tenth_only_while_a_row_waits() -> None:
    queue = WaiterQueue[str]()
    for _ in range(30):
        queue.add("call")
    granted(queue)

    queue.add("row", is_bulk=True)
    queue.add("call")

    assert granted(queue) == ["call", "row"]


@given(steps=st.lists(st.sampled_from(["call", "row", "pop"]), max_size=120))
def test_the_order_that_is_told_beforehand_is_the_order_of_the_grants(steps: list[str]) -> None:
    async def check() -> None:
        queue, ahead = WaiterQueue[int](), list[int]()
        for number, step in enumerate(steps):
            if step == "pop":
                if (waiter := queue.pop()) is not None:
                    waiter.grant()
                continue
            is_bulk = step == "row"
            ahead.append(queue.before_next(is_bulk=is_bulk))
            queue.add(number, is_bulk=is_bulk)
            told = [waiter.data for waiter in queue]
            assert told.index(number) == ahead[-1]
        told, got = [waiter.data for waiter in queue], []
        while (waiter := queue.pop()) is not None:
            waiter.grant()
            got.append(waiter.data)
        assert got == told
        assert len(queue) == 0

    run_virtual(check())


class Stock:
    """A few things, handed out by a queue."""

    def __init__(self, free: int) -> None:
        self.queue = WaiterQueue[None]()
        self.free = free
        self.held = 0

    async def hold(self, waiter: Waiter[None]) -> None:
        await self.queue.wait(waiter, self.give_back)
        self.held += 1

    def hand_out(self) -> None:
        if self.free:
            self.free -= 1
            self.give_back()

    def give_back(self) -> None:
        waiter = self.queue.pop()
        if waiter is None:
            self.free += 1
        else:
            waiter.grant()

    def fail_one(self) -> None:
        waiter = self.queue.pop()
        if waiter is not None:
            waiter.fail(ConnectionError())


@given(
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from(["grant", "cancel", "fail"])), max_size=40),
    spare=st.integers(0, 5),
)
def test_nothing_that_is_granted_is_ever_lost(steps: list[tuple[bool, str]], spare: int) -> None:
    """Whatever happens to a waiter, in the step of its grant too: what it has, and what is free, stay as many."""

    async def check() -> None:
        stock = Stock(spare)
        waiters = [stock.queue.add(None, is_bulk=is_bulk) for is_bulk, _ in steps]
        tasks = [asyncio.create_task(stock.hold(waiter)) for waiter in waiters]
        await asyncio.sleep(0)
        for (_, what), task in zip(steps, tasks, strict=True):
            deeds: dict[str, Callable[[], object]] = {"grant": stock.hand_out, "fail": stock.fail_one}
            deeds.get(what, task.cancel)()
        for _ in range(5):
            await asyncio.sleep(0)

        assert stock.free + stock.held == spare
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(stock.queue) == 0

    run_virtual(check())


@pytest.mark.parametrize("is_bulk", [False, True])
async def test_a_cancelled_wait_leaves_the_queue_at_once(is_bulk: bool) -> None:
    queue = WaiterQueue[str]()
    waiter = queue.add("gone", is_bulk=is_bulk)
    waiting = asyncio.create_task(queue.wait(waiter, never_back))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.wait([waiting])

    assert len(queue) == 0
    assert waiting.cancelled()
    assert not queue.discard(waiter)


async def test_a_wait_that_is_cancelled_in_the_step_of_its_grant_gives_it_back() -> None:
    queue, back = WaiterQueue[str](), list[str]()
    waiting = asyncio.create_task(queue.wait(queue.add("a"), lambda: back.append("a")))
    await asyncio.sleep(0)

    waiter = queue.pop()
    assert waiter is not None
    waiter.grant()
    waiting.cancel()
    await asyncio.wait([waiting])

    assert back == ["a"]


async def test_one_who_was_cancelled_a_moment_ago_is_passed_over() -> None:
    queue = WaiterQueue[str]()
    first = asyncio.create_task(queue.wait(queue.add("first"), never_back))
    queue.add("second")
    await asyncio.sleep(0)

    first.cancel()  # in the same step: it stands in the queue still

    assert granted(queue) == ["second"]
    await asyncio.wait([first])


async def test_a_closed_coroutine_leaves_nothing_behind() -> None:
    queue = WaiterQueue[str]()
    waiting = queue.wait(queue.add("a"), never_back)
    waiting.send(None)

    waiting.close()

    assert len(queue) == 0


async def test_everybody_can_be_failed_each_with_an_error_of_its_own() -> None:
    queue = WaiterQueue[str]()
    waits = [
        asyncio.create_task(queue.wait(queue.add(name, is_bulk=name == "row"), never_back)) for name in ("a", "row")
    ]
    await asyncio.sleep(0)

    queue.fail_all(ConnectionError)
    await asyncio.wait(waits)

    errors = [wait.exception() for wait in waits]
    assert [type(error) for error in errors] == [ConnectionError, ConnectionError]
    assert errors[0] is not errors[1]
    assert len(queue) == 0


async def test_waiters_of_a_loop_that_is_gone_are_forgotten() -> None:
    queue = WaiterQueue[str]()
    queue.add("a")
    queue.add("row", is_bulk=True)

    queue.clear()

    assert queue.pop() is None


async def test_removing_from_the_middle_of_many_costs_the_same_as_from_few() -> None:
    queue = WaiterQueue[int]()
    waiters = [queue.add(number) for number in range(100_000)]

    began = time.process_time()
    for waiter in waiters[::2]:
        queue.discard(waiter)
    for _ in range(50_000):
        queue.pop()

    assert len(queue) == 0
    assert time.process_time() - began < 5  # a tenth of a second; quadratic it is minutes


# Permits


async def test_a_free_permit_is_taken_without_waiting() -> None:
    permits = Permits(1)

    assert permits.try_take()
    assert not permits.try_take()


async def test_permits_are_handed_on_in_the_order_of_coming() -> None:
    permits, order = Permits(1), list[int]()

    async def visit(number: int) -> None:
        await permits.take()
        order.append(number)
        await asyncio.sleep(0)
        permits.leave()

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(visit(number))

    assert order == [0, 1, 2, 3, 4]
    assert permits.free == 1


async def test_a_permit_that_was_one_too_many_is_out_of_use_until_a_hundred_were_left() -> None:
    permits = Permits(2)
    assert [permits.try_take(), permits.try_take()] == [True, True]

    assert permits.retire()
    assert not permits.retire()  # the last one in use
    for _ in range(99):
        permits.leave()
        assert permits.try_take()
    assert not permits.try_take()
    permits.leave()

    assert permits.free == 2


async def test_nobody_overtakes_those_who_wait() -> None:
    permits = Permits(1)
    permits.try_take()
    waiting = asyncio.create_task(permits.take())
    await asyncio.sleep(0)

    permits.leave()  # hands the permit on: it is never free in between

    assert not permits.try_take()
    await waiting


async def test_a_cancelled_wait_leaves_the_line() -> None:
    permits = Permits(1)
    permits.try_take()
    first, second = asyncio.create_task(permits.take()), asyncio.create_task(permits.take())
    await asyncio.sleep(0)

    first.cancel()
    permits.leave()
    await second

    assert first.cancelled() or first.cancelling()
    permits.leave()
    assert permits.free == 1


async def test_a_permit_that_was_just_handed_to_a_cancelled_wait_goes_to_the_next() -> None:
    permits = Permits(1)
    permits.try_take()
    first, second = asyncio.create_task(permits.take()), asyncio.create_task(permits.take())
    await asyncio.sleep(0)

    permits.leave()
    first.cancel()  # in the same step: the permit is the first one's already
    await asyncio.wait([first, second])

    assert first.cancelled()
    assert second.result() is None
    permits.leave()
    assert permits.free == 1
