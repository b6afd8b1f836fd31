import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import aiohttp
import pytest

from spotdx_async.testing import SpotServer, VirtualTimeLoop, faults, run_virtual

pytestmark = pytest.mark.virtual_time


@pytest.fixture(autouse=True)
def no_real_time() -> Iterator[None]:
    """Fail a test whose virtual waits took real time."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 10


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_an_hour_of_sleep_moves_the_clock_by_an_hour() -> None:
    start = now()

    await asyncio.sleep(3600)

    assert now() - start == pytest.approx(3600)


async def test_days_are_jumped_although_the_loop_looks_once_a_day() -> None:
    start = now()

    await asyncio.sleep(timedelta(days=400).total_seconds())

    assert now() - start == pytest.approx(timedelta(days=400).total_seconds())


async def test_timers_fire_in_their_order_at_their_time() -> None:
    start = now()
    fired: list[float] = []
    for delay in (5.0, 0.001, 3600.0, 2.5):
        asyncio.get_running_loop().call_later(delay, lambda: fired.append(now() - start))

    await asyncio.sleep(4000)

    assert fired == pytest.approx([0.001, 2.5, 5.0, 3600.0])


async def test_time_stands_still_while_there_is_something_to_run() -> None:
    start = now()
    asyncio.get_running_loop().call_later(0.001, lambda: None)

    for _ in range(1000):
        await asyncio.sleep(0)

    assert now() == start


async def test_a_timeout_fires_when_its_virtual_time_has_come() -> None:
    start = now()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await asyncio.Event().wait()

    assert now() - start == pytest.approx(30)


async def test_a_timeout_that_is_not_reached_does_not_fire() -> None:
    async with asyncio.timeout(30):
        await asyncio.sleep(29.9)


async def test_a_sleeping_task_is_cancelled_at_once() -> None:
    start = now()
    task = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.sleep(1)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert now() - start == pytest.approx(1)


async def test_a_call_over_loopback_is_not_timed_out_by_a_jump() -> None:
    async with SpotServer() as server, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        for _ in range(50):
            async with session.get(f"{server.url}/api/v2/kits/") as response:
                assert response.status == 401
                await response.read()

        assert now() < 60


async def test_a_call_over_loopback_is_timed_out_by_virtual_time() -> None:
    async with SpotServer() as server, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        server.faults.add(faults.slow(3600))
        start = now()

        with pytest.raises(TimeoutError):
            await session.get(f"{server.url}/api/v2/kits/")

        assert now() - start == pytest.approx(60, abs=1)  # aiohttp rounds long timeouts up to whole seconds


async def test_megabytes_over_loopback_take_no_time() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(10_000_000))
        await writer.drain()
        writer.close()

    start = now()
    async with asyncio.timeout(60), await asyncio.start_server(echo, "127.0.0.1") as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x" * 10_000_000)

        assert len(await reader.read()) == 10_000_000

        writer.close()
    assert now() == start


async def test_time_stands_still_for_a_job_in_a_thread() -> None:
    finish = threading.Event()
    start = now()

    async with asyncio.timeout(3600):
        job = asyncio.create_task(asyncio.to_thread(finish.wait, 5))
        threading.Timer(0.05, finish.set).start()
        assert await job

    assert now() == start


async def test_time_goes_on_after_the_job() -> None:
    await asyncio.to_thread(lambda: None)
    start = now()

    await asyncio.sleep(10)

    assert now() - start == pytest.approx(10)


async def test_time_stands_still_for_another_thread_on_demand() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    done = asyncio.Event()
    start = now()

    with loop.standing_still():
        threading.Timer(0.05, loop.call_soon_threadsafe, [done.set]).start()
        async with asyncio.timeout(3600):
            await done.wait()

    assert now() == start


async def test_without_a_timer_it_waits_for_another_thread() -> None:
    done = asyncio.Event()
    threading.Timer(0.02, asyncio.get_running_loop().call_soon_threadsafe, [done.set]).start()

    await done.wait()

    assert now() == 0


def impatient() -> VirtualTimeLoop:
    return VirtualTimeLoop(patience_s=0.02)


def test_a_wait_that_nothing_can_end_is_an_error_and_not_a_hang() -> None:
    with (
        asyncio.Runner(loop_factory=impatient) as runner,
        pytest.raises(RuntimeError, match=r"nothing happened for 0\.02 real seconds .* no timer and no traffic"),
    ):
        runner.run(asyncio.Event().wait())


def test_a_thread_that_never_ends_is_an_error_and_not_a_hang() -> None:
    async def hang() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        with loop.standing_still():
            await asyncio.sleep(1)

    with (
        asyncio.Runner(loop_factory=impatient) as runner,
        pytest.raises(RuntimeError, match="a thread that time stands still for"),
    ):
        runner.run(hang())


def test_run_virtual_gives_the_result_and_closes_its_threads() -> None:
    async def work() -> str:
        await asyncio.sleep(3600)
        return await asyncio.to_thread(str, now())

    assert run_virtual(work(), debug=True) == "3600.0"


def test_run_virtual_raises_what_the_coroutine_raises() -> None:
    async def fail() -> None:
        await asyncio.sleep(1)
        raise LookupError("as it is")

    with pytest.raises(LookupError, match="as it is"):
        run_virtual(fail())


def test_the_marker_leaves_other_loops_real() -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert not isinstance(runner.get_loop(), VirtualTimeLoop)
