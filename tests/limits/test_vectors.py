"""The GCRA and the adaptive law are written in several places; one table of vectors holds each of them together."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from spotdx_async._http.rate_control import LearnedPace
from spotdx_async._http.rate_limiter import GcraLimiter
from spotdx_async.config import AdaptiveRateLimit, RateLimit
from spotdx_async.distributed.coordinator import SlotLedger
from spotdx_async.testing import run_virtual
from tests.limits import adaptive_vectors, gcra_vectors
from tests.limits.timed_script import MARK, OPENS, RATE, SLOTS, TimedScript, fixed, learned

GCRA = pytest.mark.parametrize("vector", gcra_vectors.VECTORS, ids=lambda vector: vector.name)
LAW = pytest.mark.parametrize("vector", adaptive_vectors.VECTORS, ids=lambda vector: vector.name)
NEAR_S = 5e-6  # the script counts in whole microseconds


@pytest.fixture
def script(redis_server: Any) -> Iterator[Callable[[list[float]], TimedScript]]:
    redis = pytest.importorskip("redis")
    server = redis.Redis.from_url(redis_server.url)
    yield lambda settings: TimedScript(server, settings)
    server.close()


@GCRA
def test_the_local_limiter_gives_the_slots_of_the_table(vector: gcra_vectors.Vector) -> None:
    limiter = GcraLimiter(RateLimit(vector.rate, burst=vector.burst))

    async def run() -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()

        async def slot() -> float:
            await limiter.acquire()
            return loop.time() - began_s

        for step in vector.steps:
            await asyncio.sleep(step.at_s - (loop.time() - began_s))
            if step.act == "ask":
                slots_s = await asyncio.gather(*(slot() for _ in range(int(step.number))))
                assert slots_s == pytest.approx(step.slots_s, abs=NEAR_S)
            elif step.act == "pause":
                limiter.pause(step.number)
            elif step.act == "resume":
                limiter.resume()
            else:
                limiter.give_back()

    run_virtual(run())


@pytest.mark.parametrize(
    "vector",
    [
        vector
        for vector in gcra_vectors.VECTORS
        if vector.burst == 1 and {step.act for step in vector.steps} <= {"ask", "pause"}  # it knows no more
    ],
    ids=lambda vector: vector.name,
)
def test_the_ledger_gives_the_slots_of_the_table(vector: gcra_vectors.Vector) -> None:
    ledger = SlotLedger(RateLimit(vector.rate, burst=1))
    for step in vector.steps:
        now_s = step.at_s
        if step.act == "pause":
            ledger.pause(now_s, step.number)
            continue
        slots_s: list[float] = []
        while len(slots_s) < step.number:
            block = ledger.take(now_s, int(step.number) - len(slots_s))
            slots_s += [now_s + slot_s for slot_s in block.slots_s]
            now_s += block.again_s
        assert slots_s == pytest.approx(step.slots_s, abs=NEAR_S)


@GCRA
def test_the_script_gives_the_slots_of_the_table(
    script: Callable[[list[float]], TimedScript], vector: gcra_vectors.Vector
) -> None:
    one = script(fixed(vector.rate, vector.burst))
    began_s, mark = one.now, b""
    for step in vector.steps:
        one.now = began_s + step.at_s
        if step.act == "ask":
            slots_s: list[float] = []
            while len(slots_s) < step.number:
                answer = one.run("take", int(step.number) - len(slots_s))
                slots_s += [one.now - began_s + float(slot) / 1e6 for slot in answer[SLOTS]]
                one.now += float(answer[OPENS]) / 1e6
                mark = answer[MARK]
            assert slots_s == pytest.approx(step.slots_s, abs=NEAR_S)
        elif step.act == "give back":
            one.run("back", 1, mark=mark)
        else:
            one.run(step.act, step.number * 1e6)


@LAW
def test_the_local_law_learns_the_rates_of_the_table(vector: adaptive_vectors.Vector) -> None:
    pace = LearnedPace(AdaptiveRateLimit(vector.start, floor=vector.floor, ceiling=vector.ceiling))
    now = held_since = paused_until = 1000.0
    for step in vector.steps:
        if step.act == "held":
            held_since = now
            for _ in range(round(step.seconds * 10)):
                now += 0.1
                pace.grow(now, now - max(held_since, paused_until))
                held_since = now
        elif step.act == "429":
            pace.cut(now, now - 0.01)
        else:
            if step.act == "pause":
                paused_until = now + step.seconds
                pace.pause(now, paused_until)
            now += step.seconds
        assert pace.rate == pytest.approx(step.rate, rel=1e-5)


@LAW
def test_the_script_s_law_learns_the_rates_of_the_table(
    script: Callable[[list[float]], TimedScript], vector: adaptive_vectors.Vector
) -> None:
    one = script(learned(vector.start, vector.floor, vector.ceiling))
    for step in vector.steps:
        if step.act == "held":
            one.run("take", 1)  # nobody waits yet
            for _ in range(round(step.seconds * 10)):
                one.now += 0.1
                one.run("take", 2, waiting=2)
        elif step.act == "429":
            one.run("cut", 10_000)
        else:
            if step.act == "pause":
                one.run("pause", step.seconds * 1e6)
            one.now += step.seconds
        assert float(one.run("look")[RATE]) == pytest.approx(step.rate, rel=1e-5)


def test_steps_stand_in_the_order_of_time() -> None:
    for vector in gcra_vectors.VECTORS:
        assert all(before.at_s <= after.at_s for before, after in pairwise(vector.steps)), vector.name
