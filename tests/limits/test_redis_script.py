"""The server's script by itself, with a clock that the test sets: the limit holds whoever asks, from how far away."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spotdx_async.limits.block_limiter import HORIZON_S
from tests.limits.timed_script import SLOTS, TimedScript, fixed

HOUR_S = 3600.0


@pytest.fixture
def script(redis_server: Any) -> Iterator[Callable[..., TimedScript]]:
    redis = pytest.importorskip("redis")
    server = redis.Redis.from_url(redis_server.url)
    yield lambda rate, burst=1.0: TimedScript(server, fixed(rate, burst))
    server.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 40), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("pause"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("give back"), st.integers(0, 40), st.just(0)),
        st.tuples(st.just("leave"), st.just(0), st.integers(0, 5)),
        st.tuples(st.just("resume"), st.just(0), st.just(0)),
    ),
    max_size=60,
)
AHEAD_S = (0.0, 0.0, 0.06, 0.3, 1.3, 2.0)
"""Of six processes; the last is as far away as may be."""
GIVEN_BACK_AMONG_GAPS: list[tuple[str, float, int]] = [
    *(("take", 1, 0), ("take", 2, 4), ("give back", 2, 0), ("leave", 0, 0), ("take", 2, 4)),
]
FAR_AND_THEN_ALONE: list[tuple[str, float, int]] = [("take", 2, 0), ("take", 6, 4), ("leave", 0, 0), ("take", 4, 4)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate=st.floats(0.5, 300), burst=st.integers(1, 10), steps=STEPS)
@example(rate=6.0, burst=1, steps=FAR_AND_THEN_ALONE)
@example(rate=2.0, burst=1, steps=GIVEN_BACK_AMONG_GAPS)
def test_no_window_holds_more_than_the_limit_whoever_is_how_far_away(
    script: Callable[..., TimedScript], rate: float, burst: int, steps: list[tuple[str, float, int]]
) -> None:
    one = script(rate, burst)
    slots: list[float] = []
    block: list[float] = []
    mark = b""
    for act, number, who in steps:
        if act == "wait":
            one.now += number
        elif act == "take":
            ahead_s = AHEAD_S[who]
            answer = one.run(act, int(number), me=str(who), ahead_s=ahead_s)
            block = [one.now + float(slot) / 1e6 for slot in answer[SLOTS]]
            mark = answer[2]
            reach_s = HORIZON_S if ahead_s < 0.1 else max(HORIZON_S, ahead_s + 0.1)
            assert all(-1e-5 <= slot - one.now - ahead_s <= reach_s + 1e-5 for slot in block)
            slots += block
        elif act == "give back":
            count = min(int(number), sum(slot > one.now for slot in block)) if mark else 0
            if not count:
                continue
            given = [*block[len(block) - count :]]
            one.run("back", count, mark=mark)
            # Of those that were given back, later ones may be given anew.
            for slot in given:
                slots.remove(slot)
            block, mark = [], b""
        else:
            one.run(act, number * 1e6, me=str(who))
    slots.sort()
    for window in (0.05, 0.5, 2.0):
        for place, start in enumerate(slots):
            assert bisect_left(slots, start + window) - place <= rate * window + burst + 1e-3


def test_a_pause_moves_with_a_clock_that_is_set_back(script: Callable[..., TimedScript]) -> None:
    one = script(10)
    one.run("pause", 20e6)
    one.now += 5
    one.run("look")  # what passed since it was last asked, it cannot know

    one.now -= HOUR_S

    assert one.paused_s() == pytest.approx(15, abs=0.01)
    one.now += 15.5
    assert one.take()


def test_a_pause_further_ahead_than_the_longest_ever_asked_for_is_dropped(
    script: Callable[..., TimedScript], redis_server: Any
) -> None:
    one = script(10)
    one.run("pause", 20e6)
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(redis_server.url) as server:
        server.hset("k", "paused", int((one.now + 21) * 1e6))

    assert one.paused_s() == 0
    assert one.take()


def test_a_pause_of_an_earlier_version_holds_unless_it_is_an_hour(
    script: Callable[..., TimedScript], redis_server: Any
) -> None:
    one = script(10)
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(redis_server.url) as server:
        for seconds, held_s in ((1800, 1800), (HOUR_S + 1, 0)):
            server.hset("k", "paused", int((one.now + seconds) * 1e6))

            assert one.paused_s() == pytest.approx(held_s, abs=0.01)


@pytest.mark.parametrize("way", [-1, 1])
@pytest.mark.parametrize("jump_s", [0.3, 3.0, HOUR_S])
def test_a_clock_that_jumps_there_and_back_neither_stops_nor_floods(
    script: Callable[..., TimedScript], jump_s: float, way: int
) -> None:
    one = script(10, 2)
    taken: list[int] = []
    for second in range(12):
        if second in {4, 8}:
            one.now += jump_s * way * (1 if second == 4 else -1)
        count = 0
        for _ in range(20):
            count += len(one.take(5, me="near")) + len(one.take(5, me="far", ahead_s=0.3))
            one.now += 0.05
        taken.append(count)

    # What was given ahead, with a burst, comes once more where the clock leaps forward: as after any quiet time.
    assert max(taken) <= 10 + 2 + 10 * (HORIZON_S + 0.3) + 1
    assert min(taken) >= 5
    assert sum(taken) <= 12 * 10 + 2 * (2 + 10 * (HORIZON_S + 0.3)) + 1


def members(redis_server: Any) -> list[bytes]:
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(redis_server.url) as server:
        return list(server.hkeys("{k}:shares"))


def test_a_member_that_leaves_counts_no_longer(script: Callable[..., TimedScript], redis_server: Any) -> None:
    one = script(100)
    one.take(100, me="gone")
    one.take(100, me="here")

    one.run("leave", me="gone")

    assert members(redis_server) == [b"here"]


def test_one_that_was_killed_counts_for_two_seconds_at_most(
    script: Callable[..., TimedScript], redis_server: Any
) -> None:
    one = script(100)
    one.take(100, me="killed")

    one.now += 2.1
    one.take(1, me="here")

    assert members(redis_server) == [b"here"]
