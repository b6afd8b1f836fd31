"""Whose turn it is among those who wait."""

import asyncio
import random

import pytest

from spotdx_async._pipeline.waiters import WaiterQueue


@pytest.fixture
def queue() -> WaiterQueue:
    return WaiterQueue()


def waiters(count: int) -> list["asyncio.Future[None]"]:
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(count)]


def taken(queue: WaiterQueue) -> list["asyncio.Future[None]"]:
    found = []
    while (waiter := queue.pop()) is not None:
        found.append(waiter)
    return found


async def test_nobody_is_next_in_an_empty_queue(queue: WaiterQueue) -> None:
    assert queue.pop() is None
    assert len(queue) == 0


@pytest.mark.parametrize("is_bulk", [False, True])
async def test_those_of_one_class_go_in_the_order_of_their_coming(queue: WaiterQueue, *, is_bulk: bool) -> None:
    those = waiters(30)
    for waiter in those:
        queue.add(waiter, is_bulk=is_bulk)

    assert taken(queue) == those


async def test_a_single_call_goes_before_bulk_rows(queue: WaiterQueue) -> None:
    rows, (call,) = waiters(64), waiters(1)
    for row in rows:
        queue.add(row, is_bulk=True)
    queue.add(call)

    assert taken(queue) == [call, *rows]


async def test_every_tenth_turn_is_a_bulk_row_s_however_many_calls_wait(queue: WaiterQueue) -> None:
    calls, rows = waiters(100), waiters(50)
    for row in rows:
        queue.add(row, is_bulk=True)
    for call in calls:
        queue.add(call)

    first = taken(queue)[:100]

    assert [number for number, waiter in enumerate(first) if waiter in rows] == list(range(9, 100, 10))


async def test_bulk_rows_have_their_tenth_though_calls_come_all_the_time(queue: WaiterQueue) -> None:
    (row,) = waiters(1)
    queue.add(row, is_bulk=True)
    turns = 0
    while True:
        queue.add(*waiters(1))
        turns += 1
        if queue.pop() is row:
            break

    assert turns == 10


async def test_who_gave_up_has_no_turn_and_uses_none(queue: WaiterQueue) -> None:
    gone, stays = waiters(2)
    queue.add(gone)
    queue.add(stays)
    gone.cancel()

    assert queue.pop() is stays


async def test_who_was_removed_is_not_kept(queue: WaiterQueue) -> None:
    those = waiters(10_000)
    for number, waiter in enumerate(those):
        queue.add(waiter, is_bulk=number % 2 == 0)

    assert all(queue.discard(waiter) for waiter in those)
    assert len(queue) == 0
    assert not queue.discard(those[0])


async def test_the_order_can_be_seen_and_a_newcomer_s_turn_foretold(queue: WaiterQueue) -> None:
    dice = random.Random(1)
    for _ in range(300):
        action = dice.randrange(4)
        if action < 2:
            is_bulk = dice.random() < 0.5
            (waiter,) = waiters(1)
            before = queue.before(is_bulk=is_bulk)
            queue.add(waiter, is_bulk=is_bulk)
            assert [one for one, _ in queue].index(waiter) == before
        elif len(queue):
            first = next(iter(queue))[0]
            assert queue.pop() is first
    assert [waiter for waiter, _ in queue] == taken(queue)


async def test_each_is_seen_with_the_latest_time_of_its_turn(queue: WaiterQueue) -> None:
    call, row = waiters(2)
    queue.add(row, is_bulk=True)
    queue.add(call, latest_s=5.0)

    assert list(queue) == [(call, 5.0), (row, float("inf"))]


async def test_all_can_be_forgotten(queue: WaiterQueue) -> None:
    for number, waiter in enumerate(waiters(4)):
        queue.add(waiter, is_bulk=number % 2 == 0)
    queue.clear()

    assert queue.pop() is None
