"""The shared limit on a real server of the Redis protocol, in one process. Its clock is real, so time here is too."""

import asyncio
import logging
import os
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest

from spotdx_async import ConfigError, NotSentError, RateLimit
from spotdx_async.config import AdaptiveRateLimit, Limiter
from spotdx_async.shared import SharedLimiter
from spotdx_async.testing import FakeSpot


class RedisServer(Protocol):
    """The fixture of conftest.py."""

    url: str

    def start(self) -> None: ...
    def kill(self) -> None: ...


@asynccontextmanager
async def limiters(server: RedisServer, count: int, rate: Any, **options: Any) -> AsyncIterator[list[SharedLimiter]]:
    made = [SharedLimiter(server.url, rate, **options) for _ in range(count)]
    await made[0].acquire()  # a server that knows nothing lets half a second pass
    try:
        yield made
    finally:
        for limiter in made:
            await limiter.close()


async def times_of(limiter: SharedLimiter, count: int) -> list[float]:
    """Take slots, one after the other."""
    taken = []
    for _ in range(count):
        await limiter.acquire()
        taken.append(time.monotonic())
    return taken


async def test_it_is_a_limiter_that_a_client_takes(redis_server: RedisServer, fake_spot: FakeSpot) -> None:
    async with SharedLimiter(redis_server.url, 200) as limiter:
        spot = fake_spot.client(rate_limit=limiter)

        await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(40)))

        assert isinstance(limiter, Limiter)
        assert spot.stats.rate == 200
        assert fake_spot.counts["200"] == 40


async def test_slots_come_at_the_rate_and_never_faster(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 1, RateLimit(100, burst=1)) as (limiter,):
        started = time.monotonic()

        taken = await times_of(limiter, 100)

        assert taken[-1] - started >= 0.97


@pytest.mark.parametrize("side_by_side", [False, True])
async def test_600_slots_cost_at_most_100_round_trips(redis_server: RedisServer, side_by_side: bool) -> None:
    async with limiters(redis_server, 1, 600) as (limiter,):
        before = limiter.round_trips

        if side_by_side:
            await asyncio.gather(*(limiter.acquire() for _ in range(600)))
        else:
            await times_of(limiter, 600)

        assert limiter.round_trips - before <= 100


async def test_the_first_to_ask_is_the_first_to_go(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 1, 200) as (limiter,):
        order: list[int] = []

        async def ask(number: int) -> None:
            await limiter.acquire()
            order.append(number)

        await asyncio.gather(*(ask(number) for number in range(50)))

        assert order == list(range(50))


async def test_a_cancelled_wait_leaves_its_slot_to_the_next(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 1, RateLimit(5, burst=1)) as (limiter,):
        started = time.monotonic()
        waits = [asyncio.create_task(limiter.acquire()) for _ in range(20)]
        await asyncio.sleep(0)
        for wait in waits[:10]:
            wait.cancel()
        await asyncio.wait(waits)

        assert [wait.cancelled() for wait in waits] == [True] * 10 + [False] * 10
        assert time.monotonic() - started < 3.5  # ten slots, not twenty


async def test_what_is_not_used_is_given_back(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 2, RateLimit(40, burst=1)) as (one, other):
        waits = [asyncio.create_task(one.acquire()) for _ in range(10)]
        while not one._slots:
            await asyncio.sleep(0)
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)

        await one.close()

        (slot_s,) = (await other._source.ask("take", 1)).slots_s
        assert slot_s < 0.2  # behind ten slots it would be a quarter of a second


async def test_two_limiters_share_one_rate_fairly(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 2, RateLimit(100, burst=1)) as both:
        started = time.monotonic()

        first, second = await asyncio.gather(*(times_of(limiter, 50) for limiter in both))

        assert time.monotonic() - started >= 0.95
        assert abs(first[-1] - second[-1]) < 2


async def test_a_pause_is_obeyed_by_all_within_a_second(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 2, 50) as (one, other):
        taking = asyncio.create_task(times_of(other, 60))
        while not other._slots:
            await asyncio.sleep(0)
        await one.acquire()
        paused = time.monotonic()

        one.pause(2.0)
        await one.acquire()

        assert time.monotonic() - paused >= 2.0
        between = [at for at in await taking if paused + 1.0 < at < paused + 2.0]
        assert between == []


async def test_another_rate_is_taken_over_by_all_within_a_second(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 2, RateLimit(20, burst=1)) as (one, other):
        await other.acquire()

        await one.set_rate(200)
        changed = time.monotonic()
        taken = await times_of(other, 60)

        assert other.rate == 200
        assert taken[-1] - changed < 2.5  # at the old rate it would have taken three seconds


async def test_a_process_that_comes_with_another_rate_changes_it_for_all(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 1, 20) as (one,), SharedLimiter(redis_server.url, 80) as newer:
        await newer.acquire()
        await times_of(one, 3)

        assert one.rate == newer.rate == 80


async def test_a_learned_rate_is_one_for_all(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 2, AdaptiveRateLimit(start=100, ceiling=100)) as (one, other):
        await other.acquire()
        sent_s = asyncio.get_running_loop().time()

        for _ in range(5):
            one.throttled(sent_s)  # five answers of one round trip
        while one.rate >= 100:
            await asyncio.sleep(0)
        await times_of(other, 3)

        assert 90 <= other.rate < 92


# The server goes away


async def test_while_the_server_is_away_calls_wait_for_it(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 1, 100) as (limiter,):
        redis_server.kill()
        waiting = asyncio.create_task(times_of(limiter, 20))
        done, _ = await asyncio.wait([waiting], timeout=0.7)
        assert not done

        redis_server.start()

        assert len(await asyncio.wait_for(waiting, 10)) == 20


async def test_while_the_server_is_away_a_local_share_goes_on(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 1, 200, on_outage="local_share", share=0.1) as (limiter,):
        redis_server.kill()
        started = time.monotonic()

        taken = await times_of(limiter, 20)

        late = [at for at in taken if at > started + 0.5]  # what the server had given is used first
        assert late[-1] - late[0] >= (len(late) - 1) / 20 * 0.95


async def test_while_the_server_is_away_calls_fail_where_that_is_asked_for(
    redis_server: RedisServer, fake_spot: FakeSpot
) -> None:
    async with limiters(redis_server, 1, 100, on_outage="fail") as (limiter,):
        redis_server.kill()
        limiter._slots.clear()

        with pytest.raises(NotSentError) as caught:
            await fake_spot.client(rate_limit=limiter).kits.get("SPOT123456")

        assert caught.value.reason == "limit"
        assert caught.value.__context__ is None
        assert fake_spot.counts["requests"] == 0


async def test_credentials_are_shown_nowhere(guarded_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    limiter = SharedLimiter(guarded_redis.url.replace("canary-password", "canary-wrong"), 100, on_outage="fail")

    error = await error_of(limiter)
    await limiter.close()

    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "canary" not in f"{shown} {limiter!r} {caplog.text}"
    async with SharedLimiter(guarded_redis.url, 100) as right:
        await right.acquire()


async def error_of(limiter: SharedLimiter) -> NotSentError:
    try:
        await limiter.acquire()
    except NotSentError as error:
        return error
    raise AssertionError("no error came")


@pytest.mark.parametrize("url", ["", "canary", "http://canary:secret@localhost", "redis://canary:secret@localhost:x/0"])
def test_a_url_that_is_none_is_refused_unseen(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SharedLimiter(url, 100)

    assert "canary" not in f"{caught.value} {caught.value.__context__!r}"


@pytest.mark.parametrize(
    ("about", "name"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": 1, "on_outage": "panic"}, "on_outage"),
        ({"rate": 1, "share": 0}, "share"),
        ({"rate": 1, "share": 1.5}, "share"),
        ({"rate": 1, "key": ""}, "key"),
        ({"rate": 1, "burst": 0}, "burst"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(about: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        SharedLimiter("redis://127.0.0.1:1/0", **about)


class FarAway:
    """A way to the server on which each direction takes so long."""

    def __init__(self, server: RedisServer, one_way_s: float) -> None:
        self._to = server.url.rpartition(":")[2].partition("/")[0]
        self._one_way_s = one_way_s
        self.connections: set[asyncio.Task[None] | None] = set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(65536):
            loop.call_later(self._one_way_s, writer.write, data)
        loop.call_later(self._one_way_s, writer.close)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", int(self._to))
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer), return_exceptions=True)
        for side in (back, writer):
            side.close()
            await asyncio.gather(side.wait_closed(), return_exceptions=True)


@pytest.mark.no_cover
async def test_a_server_behind_300_ms_each_way_is_used_like_a_near_one(redis_server: RedisServer) -> None:
    way = FarAway(redis_server, 0.3)
    listening = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with (
        listening,
        SharedLimiter(redis_server.url, 50) as near,
        SharedLimiter(f"redis://127.0.0.1:{port}/0", 50) as far,
    ):
        await asyncio.gather(near.acquire(), far.acquire())
        counts = [0, 0]

        async def take(which: int, limiter: SharedLimiter) -> None:
            while True:
                await limiter.acquire()
                counts[which] += 1

        takers = [asyncio.create_task(take(*one)) for one in enumerate((near, far)) for _ in range(16)]
        await asyncio.wait(takers, timeout=3)  # until the one far away knows how far
        before = [*counts]
        await asyncio.wait(takers, timeout=4)
        for taker in takers:
            taker.cancel()
        await asyncio.wait(takers)
    await asyncio.gather(*filter(None, way.connections))

    near_had, far_had = (count - at_first for count, at_first in zip(counts, before, strict=True))
    assert far_had >= 0.6 * near_had, (near_had, far_had)
    assert near_had + far_had <= 4 * 50 * 1.05 + 10


# Loops and processes


def test_it_works_in_one_loop_after_another(redis_server: RedisServer) -> None:
    limiter = SharedLimiter(redis_server.url, 100)

    async def take() -> float:
        return (await times_of(limiter, 5))[-1]

    first, second = asyncio.run(take()), asyncio.run(take())

    assert second > first
    asyncio.run(limiter.close())


def test_it_works_in_a_forked_child(redis_server: RedisServer) -> None:
    limiter = SharedLimiter(redis_server.url, 100)
    asyncio.run(limiter.acquire())

    child = os.fork()
    if not child:
        try:
            asyncio.run(asyncio.wait_for(limiter.acquire(), 5))
        except BaseException:  # noqa: BLE001 - the parent judges by the exit code
            os._exit(1)
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(limiter.close())


async def test_closing_ends_waiting_calls_as_not_sent(redis_server: RedisServer) -> None:
    async with limiters(redis_server, 1, RateLimit(1, burst=1)) as (limiter,):
        waits = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
        await asyncio.sleep(0)

        await limiter.close()

        results = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(result) for result in results} == {NotSentError}


def test_who_waits_in_an_idle_loop_hears_that_another_one_has_the_limiter(redis_server: RedisServer) -> None:
    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    limiter = SharedLimiter(redis_server.url, RateLimit(1, burst=1))

    async def begin() -> "asyncio.Future[None]":
        await limiter.acquire()
        waiting = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0)
        return waiting

    waiting = one.run_until_complete(begin())
    other.run_until_complete(asyncio.wait_for(limiter.acquire(), 5))

    with pytest.raises(ConfigError, match="another event loop took the client, or its limiter"):
        one.run_until_complete(asyncio.wait_for(waiting, 5))
    other.run_until_complete(asyncio.wait_for(limiter.acquire(), 5))  # what the first left behind spoils nothing
    other.run_until_complete(limiter.close())
    one.run_until_complete(asyncio.sleep(0))
    for loop in (one, other):
        while left := asyncio.all_tasks(loop):
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


async def test_two_running_loops_do_not_share_a_limiter(redis_server: RedisServer) -> None:
    async with SharedLimiter(redis_server.url, 100) as limiter:
        await limiter.acquire()

        with pytest.raises(ConfigError, match="another running event loop"):
            await asyncio.to_thread(asyncio.run, limiter.acquire())
