"""Who gets how much of one shared rate: processes near and far, those that leave, calls and rows. Virtual time."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import pytest

from spotdx_async import ConfigError, NotSentError, RateLimit

pytest.importorskip("redis", reason="the extra redis is not installed")

from redis.exceptions import AuthenticationError, ReadOnlyError

from spotdx_async.limits.redis_source import RedisFailure, SourceAwayError
from spotdx_async.shared import SharedLimiter
from tests.long_set import with_long

if TYPE_CHECKING:
    from tests.limits.virtual_server import VirtualServer

pytestmark = pytest.mark.virtual_time

SETTLED_S = 3.0


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def takers(limiter: SharedLimiter, count: int = 16, *, every_s: float = 0.0) -> AsyncIterator[list[float]]:
    """Take slots in so many tasks; gives the times at which they were had."""
    taken: list[float] = []

    async def take() -> None:
        while True:
            await limiter.acquire()
            taken.append(now())
            await asyncio.sleep(every_s)

    tasks = [asyncio.create_task(take()) for _ in range(count)]
    yield taken
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def shares(server: "VirtualServer", rate: float, trips_s: Sequence[float], seconds: float = 60) -> list[float]:
    """Let processes at such distances take all that they get; give what each had a second, and hold the limit."""
    limiters = [server.limiter(RateLimit(rate), trip_s=trip_s) for trip_s in trips_s]
    began = now()
    async with AsyncExitStack() as stack:
        taken = [await stack.enter_async_context(takers(limiter)) for limiter in limiters]
        await asyncio.sleep(seconds)
    for limiter in limiters:
        await limiter.close()
    times = sorted(at for one in taken for at in one)
    worst = max(bisect_left(times, at + 1) - place for place, at in enumerate(times))
    assert worst <= rate + RateLimit(rate).burst_size + 1
    return [sum(at > began + SETTLED_S for at in one) / (seconds - SETTLED_S) for one in taken]


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("trip_s", "rate"), with_long({(0.3, 1), (0.3, 50), (0.6, 10), (0.6, 400)}, product([0.3, 0.6], [1, 10, 50, 400]))
)
async def test_one_near_and_three_far_away_have_equal_parts(
    virtual_server: "VirtualServer", trip_s: float, rate: float
) -> None:
    found = await shares(virtual_server, rate, [0.001, trip_s, trip_s, trip_s])

    assert sum(found) >= rate * 0.97
    assert all(one == pytest.approx(rate / 4, rel=0.3) for one in found), found


@pytest.mark.no_cover
@pytest.mark.parametrize("rate", with_long([1, 10], [1, 10, 100]))
async def test_twenty_have_equal_parts(virtual_server: "VirtualServer", rate: float) -> None:
    found = await shares(virtual_server, rate, [0.001] * 15 + [0.2] * 5, 80)

    assert sum(found) >= rate * 0.97
    assert all(one == pytest.approx(rate / 20, rel=0.3) for one in found), found


@pytest.mark.no_cover
@pytest.mark.parametrize("rate", [1, 10, 100])
async def test_one_far_away_by_itself_uses_most_of_the_rate(virtual_server: "VirtualServer", rate: float) -> None:
    (found,) = await shares(virtual_server, rate, [0.6])

    assert found >= rate * 0.8


async def test_what_one_does_not_want_the_others_have(virtual_server: "VirtualServer") -> None:
    modest, greedy = (virtual_server.limiter(RateLimit(100), trip_s=trip_s) for trip_s in (0.001, 0.3))
    async with takers(modest, 1, every_s=0.2) as few, takers(greedy, 64) as many:
        await asyncio.sleep(20)
    for limiter in (modest, greedy):
        await limiter.close()

    assert len(few) >= 20 / (0.2 + 0.2)  # it waits a fifth of a second at most, on an average
    assert len(many) >= 20 * 75


@pytest.mark.parametrize("way", ["close", "cancel", "kill"])
async def test_a_process_that_goes_stalls_nobody(virtual_server: "VirtualServer", way: str) -> None:
    here, gone = (virtual_server.limiter(RateLimit(1, burst=1), trip_s=0.001) for _ in range(2))
    async with takers(here) as taken:
        async with takers(gone):
            await asyncio.sleep(10.3)
            if way == "close":
                await gone.close()
            elif way == "kill":
                gone._source.ask = never  # type: ignore[assignment, method-assign]
        left = now()
        await asyncio.sleep(10)
    for limiter in (here, gone):
        await limiter.close()

    after = [left, *(at for at in taken if at > left)]
    # One slot may have been given to the other, up to half a second ahead.
    assert max(later - at for at, later in pairwise(after)) <= 2.1
    assert len(after) >= 9


async def never(*_: Any) -> Any:
    await asyncio.Event().wait()


async def test_leaving_tells_the_server(virtual_server: "VirtualServer") -> None:
    limiter = virtual_server.limiter(RateLimit(1))
    await limiter.acquire()
    await limiter.close()
    assert virtual_server.acts[-1] == "leave"

    untouched = virtual_server.limiter(RateLimit(1))
    await untouched.close()
    assert virtual_server.acts.count("leave") == 1


async def test_single_calls_go_before_rows_which_get_a_tenth(virtual_server: "VirtualServer") -> None:
    limiter = virtual_server.limiter(RateLimit(10, burst=1))
    order: list[str] = []

    async def take(kind: str) -> None:
        await (limiter.acquire() if kind == "call" else limiter.acquire_bulk())
        order.append(kind)

    rows = [asyncio.create_task(take("row")) for _ in range(40)]
    await asyncio.sleep(2)
    began, before = now(), len(order)
    async with asyncio.TaskGroup() as calls:
        for _ in range(30):
            calls.create_task(take("call"))
    seconds = now() - began
    during = order[before:]
    await asyncio.gather(*rows)
    await limiter.close()

    assert seconds <= 30 / 10 * 1.2 + 0.5
    assert 2 <= during.count("row") <= 5


async def test_cancelled_waiters_are_not_kept_while_the_server_is_away(virtual_server: "VirtualServer") -> None:
    virtual_server.trouble = ConnectionResetError()
    limiter = virtual_server.limiter(RateLimit(100))
    waits = [asyncio.create_task(acquire()) for acquire in (limiter.acquire, limiter.acquire_bulk) for _ in range(5000)]
    await asyncio.sleep(1)
    for wait in waits[1:]:
        wait.cancel()
    await asyncio.wait(waits[1:])

    assert len(limiter._waiters) == 1
    waits[0].cancel()
    await limiter.close()


async def test_an_error_that_nobody_expects_reaches_everybody_who_waits(virtual_server: "VirtualServer") -> None:
    virtual_server.trouble = MemoryError("unexpected")
    limiter = virtual_server.limiter(RateLimit(100))
    waits = [asyncio.create_task(limiter.acquire()) for _ in range(10)]

    results = await asyncio.gather(*waits, return_exceptions=True)

    assert {(type(result), str(result)) for result in results} == {(MemoryError, "unexpected")}
    virtual_server.trouble = None
    await limiter.acquire()
    await limiter.close()


async def test_whoever_cancels_the_limiter_s_own_task_leaves_nobody_waiting(virtual_server: "VirtualServer") -> None:
    limiter = virtual_server.limiter(RateLimit(0.01))
    await limiter.acquire()
    waits = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await asyncio.sleep(1)
    assert limiter._pump is not None

    limiter._pump.cancel()

    results = await asyncio.gather(*waits, return_exceptions=True)
    assert {(type(result), getattr(result, "reason", "")) for result in results} == {(NotSentError, "closed")}
    await limiter.close()


# Pauses


async def test_a_pause_that_is_lifted_is_over_for_everybody(virtual_server: "VirtualServer") -> None:
    one, other = (virtual_server.limiter(RateLimit(10), trip_s=0.01) for _ in range(2))
    await asyncio.gather(one.acquire(), other.acquire())
    one.pause(300)
    other.pause(200)  # each had an answer that said so
    waits = [asyncio.create_task(limiter.acquire()) for limiter in (one, other)]
    await asyncio.sleep(30)
    assert not any(wait.done() for wait in waits)

    one.resume()

    lifted = now()
    await asyncio.gather(*waits)
    assert now() - lifted <= 1.5
    for limiter in (one, other):
        await limiter.close()


async def test_a_pause_holds_here_though_the_server_forgets_it(virtual_server: "VirtualServer") -> None:
    limiter = virtual_server.limiter(RateLimit(10))
    await limiter.acquire()
    paused = now()
    limiter.pause(20)
    await asyncio.sleep(1)
    virtual_server._redis.flushall()

    await limiter.acquire()

    assert now() - paused >= 20
    await limiter.close()


async def test_a_clock_that_jumps_back_an_hour_pauses_nobody_longer(virtual_server: "VirtualServer") -> None:
    one, other = (virtual_server.limiter(RateLimit(10)) for _ in range(2))
    await asyncio.gather(one.acquire(), other.acquire())
    one.pause(5)
    await asyncio.sleep(1)

    virtual_server.set_ahead_s -= 3600

    jumped = now()
    await asyncio.gather(one.acquire(), other.acquire())
    assert 3.9 <= now() - jumped <= 6
    for limiter in (one, other):
        await limiter.close()


async def test_the_rest_of_a_block_is_dropped_when_the_server_says_that_all_pause(
    virtual_server: "VirtualServer",
) -> None:
    one, far = virtual_server.limiter(RateLimit(50)), virtual_server.limiter(RateLimit(50), trip_s=0.6)
    async with takers(far) as taken:
        await asyncio.sleep(5)
        one.pause(10)
        paused = now()
        await asyncio.sleep(12)
    for limiter in (one, far):
        await limiter.close()

    assert not [at for at in taken if paused + 0.5 + 0.6 < at < paused + 10]
    assert [at for at in taken if at > paused + 10]


# The server is away


async def test_with_local_shares_the_sum_is_what_is_promised(virtual_server: "VirtualServer") -> None:
    rate, share, count = 100, 0.1, 6
    limiters = [
        virtual_server.limiter(RateLimit(rate, burst=1), on_outage="local_share", share=share) for _ in range(count)
    ]
    async with AsyncExitStack() as stack:
        taken = [await stack.enter_async_context(takers(limiter)) for limiter in limiters]
        await asyncio.sleep(5)
        for limiter in limiters[: count // 2]:
            limiter._source._run = away  # type: ignore[assignment, method-assign]
        await asyncio.sleep(20)
        until = now()
    for limiter in limiters:
        await limiter.close()

    in_ten_s = sum(until - 10 < at <= until for one in taken for at in one)
    assert in_ten_s <= 10 * rate * (1 + share * count / 2) * 1.03
    for one in taken[: count // 2]:
        assert sum(until - 10 < at <= until for at in one) == pytest.approx(10 * rate * share, rel=0.1)


async def away(*_: Any) -> Any:
    raise SourceAwayError(RedisFailure("connection refused"))


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("on_outage", ["wait", "local_share", "fail"])
async def test_closing_and_cancelling_never_wait_for_a_server_that_is_away(
    virtual_server: "VirtualServer", on_outage: Any, hangs: bool
) -> None:
    limiter = virtual_server.limiter(RateLimit(1), on_outage=on_outage, timeout_s=2)
    await limiter.acquire()
    virtual_server.trouble = ConnectionResetError()
    if hangs:
        limiter._source._ask = never  # type: ignore[attr-defined]
        limiter._source._make()
    waits = [asyncio.create_task(limiter.acquire()) for _ in range(2)]
    limiter.pause(1)
    limiter.resume()
    await asyncio.sleep(0.1)

    began = now()
    waits[0].cancel()
    await asyncio.wait(waits[:1])
    assert now() == began
    await limiter.close()

    assert now() - began <= 2.1
    (error,) = await asyncio.gather(waits[1], return_exceptions=True)
    assert isinstance(error, NotSentError)


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_closing_that_is_cancelled_again_and_again_leaves_no_task(
    virtual_server: "VirtualServer", times: int
) -> None:
    limiter = virtual_server.limiter(RateLimit(1), trip_s=0.5)
    await limiter.acquire()
    limiter.pause(1)
    wait = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0.1)
    closing = asyncio.create_task(limiter.close())
    for _ in range(times):
        await asyncio.sleep(0.1)
        closing.cancel()
    await asyncio.wait([closing, wait])
    await asyncio.sleep(1)

    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("on_outage", ["wait", "local_share", "fail"])
async def test_what_lasts_is_a_wrong_setting_after_ten_seconds(virtual_server: "VirtualServer", on_outage: Any) -> None:
    virtual_server.trouble = AuthenticationError("canary")
    limiter = virtual_server.limiter(RateLimit(100), on_outage=on_outage)
    began = now()
    while now() - began < 9:
        with suppress(NotSentError, TimeoutError):
            await asyncio.wait_for(limiter.acquire(), 1)

    with pytest.raises(ConfigError, match="does not accept the credentials") as caught:
        async with asyncio.timeout(5):
            while True:
                with suppress(NotSentError):
                    await limiter.acquire()
                await asyncio.sleep(0.2)

    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r}"
    virtual_server.trouble = None
    await limiter.acquire()  # somebody has set it right
    await limiter.close()


async def test_what_passes_is_waited_for_however_long(virtual_server: "VirtualServer") -> None:
    virtual_server.trouble = ReadOnlyError("canary")
    limiter = virtual_server.limiter(RateLimit(100))
    wait = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(600)
    assert not wait.done()

    virtual_server.trouble = None

    await wait
    await limiter.close()
