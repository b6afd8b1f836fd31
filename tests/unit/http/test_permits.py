"""The gate in front of the connections: first come, first served, and no place is ever lost."""

import asyncio

from spotdx_async._http.permits import Permits


async def test_a_free_place_is_taken_without_waiting() -> None:
    permits = Permits(1)

    assert permits.try_take()
    assert not permits.try_take()


async def test_places_are_handed_on_in_the_order_of_coming() -> None:
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


async def test_nobody_overtakes_those_who_wait() -> None:
    permits = Permits(1)
    permits.try_take()
    waiting = asyncio.create_task(permits.take())
    await asyncio.sleep(0)

    permits.leave()  # hands the place on: it is never free in between

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


async def test_a_place_that_was_just_handed_to_a_cancelled_wait_goes_to_the_next() -> None:
    permits = Permits(1)
    permits.try_take()
    first, second = asyncio.create_task(permits.take()), asyncio.create_task(permits.take())
    await asyncio.sleep(0)

    permits.leave()
    first.cancel()  # in the same step: the place is the first one's already
    await asyncio.wait([first, second])

    assert first.cancelled()
    assert second.result() is None
    permits.leave()
    assert permits.free == 1
