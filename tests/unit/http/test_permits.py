"""The gate in front of the connections: first come, first served, and no place is ever lost."""

import asyncio

from spotdx_async._http.permits import Places


async def test_a_free_place_is_taken_without_waiting() -> None:
    places = Places(1)

    assert places.try_take()
    assert not places.try_take()


async def test_places_are_handed_on_in_the_order_of_coming() -> None:
    places, order = Places(1), list[int]()

    async def visit(number: int) -> None:
        await places.take()
        order.append(number)
        await asyncio.sleep(0)
        places.leave()

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(visit(number))

    assert order == [0, 1, 2, 3, 4]
    assert places.free == 1


async def test_nobody_overtakes_those_who_wait() -> None:
    places = Places(1)
    places.try_take()
    waiting = asyncio.create_task(places.take())
    await asyncio.sleep(0)

    places.leave()  # hands the place on: it is never free in between

    assert not places.try_take()
    await waiting


async def test_a_cancelled_wait_leaves_the_line() -> None:
    places = Places(1)
    places.try_take()
    first, second = asyncio.create_task(places.take()), asyncio.create_task(places.take())
    await asyncio.sleep(0)

    first.cancel()
    places.leave()
    await second

    assert first.cancelled() or first.cancelling()
    places.leave()
    assert places.free == 1


async def test_a_place_that_was_just_handed_to_a_cancelled_wait_goes_to_the_next() -> None:
    places = Places(1)
    places.try_take()
    first, second = asyncio.create_task(places.take()), asyncio.create_task(places.take())
    await asyncio.sleep(0)

    places.leave()
    first.cancel()  # in the same step: the place is the first one's already
    await asyncio.wait([first, second])

    assert first.cancelled()
    assert second.result() is None
    places.leave()
    assert places.free == 1
