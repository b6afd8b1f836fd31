"""Idle workers: a call wakes one who still waits, the longest first, and a call with nobody there is lost."""

import asyncio

import pytest

from spotdx_async.bulk.scheduler import IdleWorkers

pytestmark = pytest.mark.virtual_time


class Waiting:
    """Workers that wait of one run, and the order in which they were woken."""

    def __init__(self, count: int) -> None:
        self.idle_workers = IdleWorkers()
        self.woken: list[int] = []
        self.workers = [asyncio.ensure_future(self._wait(number)) for number in range(count)]

    async def _wait(self, number: int) -> None:
        await self.idle_workers.wait()
        self.woken.append(number)

    async def settle(self) -> list[int]:
        await asyncio.sleep(0.1)
        return self.woken

    async def end(self) -> None:
        for worker in self.workers:
            worker.cancel()
        await asyncio.wait(self.workers)


async def test_a_call_wakes_the_one_that_has_waited_longest() -> None:
    waiting = Waiting(3)
    assert await waiting.settle() == []

    waiting.idle_workers.call()
    assert await waiting.settle() == [0]
    waiting.idle_workers.call()
    waiting.idle_workers.call()

    assert await waiting.settle() == [0, 1, 2]


async def test_a_call_is_not_spent_on_one_that_was_cancelled() -> None:
    waiting = Waiting(3)
    await waiting.settle()

    waiting.workers[0].cancel()
    waiting.idle_workers.call()

    assert await waiting.settle() == [1]
    await waiting.end()


async def test_a_call_to_all_wakes_all_and_nobody_who_comes_later() -> None:
    waiting = Waiting(3)
    await waiting.settle()

    waiting.idle_workers.call_all()
    late = asyncio.ensure_future(waiting.idle_workers.wait())

    assert await waiting.settle() == [0, 1, 2]
    assert not late.done()
    late.cancel()


async def test_a_call_with_nobody_there_is_lost() -> None:
    waiting = Waiting(1)

    waiting.idle_workers.call()
    waiting.idle_workers.call_all()

    assert await waiting.settle() == []
    await waiting.end()
