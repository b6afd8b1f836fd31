"""Waiting that sees a job through: cancelled once or again and again, the job is done first."""

import asyncio
from collections.abc import Awaitable

import pytest

from spotdx_async._http.clock import seen_through

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


async def done_after(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def through(job: "asyncio.Future[str]") -> str:
    return await seen_through(job)


async def test_what_the_job_gives_or_raises_comes_back() -> None:
    async def fail() -> str:
        raise OSError("no disk")

    assert await seen_through(asyncio.ensure_future(done_after(1))) == "done"
    with pytest.raises(OSError, match="no disk"):
        await seen_through(asyncio.ensure_future(fail()))


@pytest.mark.parametrize("times", [1, 2, 3, 50])
async def test_a_cancellation_waits_until_the_job_is_done(times: int) -> None:
    job = asyncio.ensure_future(done_after(1))
    waiter = asyncio.ensure_future(through(job))
    for _ in range(times):
        await asyncio.sleep(0)
        waiter.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert now() == pytest.approx(1)
    assert job.result() == "done"


async def test_a_job_that_hangs_holds_a_cancellation_for_five_seconds_and_goes_on() -> None:
    job = asyncio.ensure_future(done_after(100))
    waiter: Awaitable[str] = asyncio.ensure_future(through(job))
    await asyncio.sleep(0)
    assert isinstance(waiter, asyncio.Task)
    waiter.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert now() == pytest.approx(5)
    assert not job.done()
    assert await job == "done"
