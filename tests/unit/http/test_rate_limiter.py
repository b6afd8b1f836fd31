"""The local rate limit: its bound, its order, that no slot is lost, pauses, waits that would be too long, learning."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotdx_async._http import clock
from spotdx_async._http.rate_control import LearnedPace
from spotdx_async._http.rate_limiter import GcraLimiter, SlotTooFarError
from spotdx_async.config import AdaptiveRateLimit, RateLimit
from spotdx_async.testing import run_virtual

EPSILON_S = 1e-6
RATES = st.sampled_from([0.5, 1.0, 3.0, 10.0, 33.3, 400.0])
BURSTS = st.sampled_from([None, 1, 1.5, 2, 10, 37])
LIMITS = st.builds(lambda rate, burst: RateLimit(rate, burst=burst), RATES, BURSTS)


class Log:
    """Who got a slot when, who was sent away and who was cancelled."""

    def __init__(self, limiter: GcraLimiter) -> None:
        self.limiter = limiter
        self.granted: list[tuple[int, float]] = []
        self.refused: list[tuple[int, float]] = []
        self.cancelled: list[int] = []

    @property
    def times(self) -> list[float]:
        return [at for _, at in self.granted]

    @property
    def order(self) -> list[int]:
        return [number for number, _ in self.granted]

    async def take(self, number: int = 0, within_s: float | None = None) -> None:
        try:
            await self.limiter.acquire(within_s)
        except SlotTooFarError:
            self.refused.append((number, clock.now()))
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        else:
            self.granted.append((number, clock.now()))

    def start(self, *numbers: int, within_s: float | None = None) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.take(number, within_s)) for number in numbers]


def most_in_a_window(times: list[float], window_s: float) -> int:
    """The most grants in any window of that length, both ends included."""
    most = first = 0
    for last, end in enumerate(times):
        while times[first] < end - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def assert_within_limit(times: list[float], limit: RateLimit) -> None:
    assert times == sorted(times)
    spans = {last - first for first in times[:20] for last in times if last >= first}
    windows = {0.0, limit.interval_s, 0.1, 1.0, 10.0} | set(sorted(spans)[:: max(1, len(spans) // 30)])
    for window_s in windows:
        allowed = window_s / limit.interval_s + limit.burst_size
        assert most_in_a_window(times, window_s) <= allowed + EPSILON_S * (1 + limit.rate)


def virtual(*, examples: int = 60) -> Callable[[Callable[..., Awaitable[None]]], Any]:
    """Run a property on a loop of virtual time of its own."""

    def decorate(check: Callable[..., Awaitable[None]]) -> Any:
        def run(**drawn: Any) -> None:
            run_virtual(_as_coroutine(check(**drawn)))

        run.__name__ = check.__name__
        return settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow])(run)

    return decorate


async def _as_coroutine(check: Awaitable[None]) -> None:
    await check


@pytest.fixture
def limiter() -> GcraLimiter:
    """Ten a second, one at a time."""
    return GcraLimiter(RateLimit(10, burst=1))


# The bound


@given(
    limit=LIMITS,
    gaps=st.lists(st.floats(0, 3) | st.just(0.0), min_size=1, max_size=150),
    cancels=st.dictionaries(st.integers(0, 149), st.floats(0, 5) | st.just(0.0), max_size=30),
    pauses=st.dictionaries(st.integers(0, 149), st.floats(0, 5), max_size=5),
)
@virtual()
async def test_whatever_comes_the_limit_holds_in_every_window_and_the_order_is_kept(
    limit: RateLimit, gaps: list[float], cancels: dict[int, float], pauses: dict[int, float]
) -> None:
    limiter = GcraLimiter(limit)
    log = Log(limiter)
    tasks: list[asyncio.Task[None]] = []
    paused: list[tuple[float, float]] = []
    for number, gap in enumerate(gaps):
        await asyncio.sleep(gap)
        tasks += log.start(number)
        if number in cancels:
            clock.call_at(clock.now() + cancels[number], tasks[-1].cancel)
        if number in pauses:
            limiter.pause(pauses[number])
            paused.append((clock.now(), clock.now() + pauses[number]))
    await asyncio.wait(tasks)

    assert_within_limit(log.times, limit)
    assert log.order == sorted(log.order)
    assert sorted(log.order + log.cancelled) == [n for n, task in enumerate(tasks) if n in log.cancelled or task.done()]
    assert len(log.granted) == sum(not task.cancelled() for task in tasks)
    assert limiter.waiting == 0
    for start, end in paused:
        assert not [at for at in log.times if start + EPSILON_S < at < end - EPSILON_S]


@given(limit=LIMITS, count=st.integers(1, 300))
@virtual()
async def test_while_somebody_waits_no_slot_stays_unused(limit: RateLimit, count: int) -> None:
    log = Log(GcraLimiter(limit))
    start = clock.now()

    await asyncio.gather(*log.start(*range(count)))

    took_s = clock.now() - start
    assert took_s == pytest.approx(max(0.0, count - limit.burst_size) * limit.interval_s, abs=1e-6)
    assert log.order == list(range(count))


@given(limit=LIMITS, count=st.integers(1, 100), share=st.integers(2, 5), later=st.booleans())
@virtual()
async def test_a_cancelled_waiter_s_slot_goes_to_the_next(
    limit: RateLimit, count: int, share: int, later: bool
) -> None:
    log = Log(GcraLimiter(limit))
    start = clock.now()
    tasks = log.start(*range(count))
    if later:
        await asyncio.sleep(0)
    for task in tasks[::share]:
        task.cancel()
    await asyncio.wait(tasks)

    got = len(log.granted)
    assert got == sum(not task.cancelled() for task in tasks)
    assert clock.now() - start <= max(0.0, got - limit.burst_size) * limit.interval_s + EPSILON_S
    assert_within_limit(log.times, limit)


@pytest.mark.virtual_time
async def test_a_waiter_cancelled_in_the_very_tick_of_its_grant_gives_the_slot_back(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    first, second = log.start(1, 2)
    await asyncio.sleep(0)
    grant_s = clock.now() + 0.1
    clock.call_at(grant_s, first.cancel)  # set after the limiter's own timer, so that it runs after the grant

    await asyncio.wait([first, second])

    assert log.cancelled == [1]
    assert log.order == [0, 2]
    assert log.times[1] == pytest.approx(grant_s)


@pytest.mark.virtual_time
async def test_cancelling_all_in_the_tick_of_their_grant_loses_nothing() -> None:
    limiter = GcraLimiter(RateLimit(10, burst=5))
    log = Log(limiter)
    limiter.pause(1)
    tasks = log.start(*range(5))
    await asyncio.sleep(0)
    for task in tasks:
        clock.call_at(clock.now() + 1, task.cancel)
    await asyncio.wait(tasks)
    assert sorted(log.cancelled) == list(range(5))
    before = clock.now()

    await asyncio.gather(*log.start(*range(5, 10)))

    assert clock.now() == pytest.approx(before)
    assert log.order == [5, 6, 7, 8, 9]


@pytest.mark.virtual_time
async def test_a_slot_that_was_used_is_not_given_back_by_a_later_cancellation(limiter: GcraLimiter) -> None:
    log = Log(limiter)

    async def use() -> None:
        await log.take(0)
        await asyncio.sleep(3600)

    user = asyncio.create_task(use())
    await asyncio.sleep(0)
    user.cancel()
    before = clock.now()

    await log.take(1)

    assert clock.now() - before == pytest.approx(0.1)


@pytest.mark.virtual_time
async def test_the_burst_comes_back_after_a_quiet_time() -> None:
    log = Log(GcraLimiter(RateLimit(10, burst=5)))
    await asyncio.gather(*log.start(*range(5)))
    await asyncio.sleep(0.3)
    before = clock.now()

    await asyncio.gather(*log.start(*range(5)))

    assert [at - before for at in log.times[5:]] == pytest.approx([0, 0, 0, 0.1, 0.2])


@pytest.mark.virtual_time
async def test_a_quiet_time_saves_up_no_more_than_the_burst() -> None:
    log = Log(GcraLimiter(RateLimit(10, burst=2)))
    await asyncio.sleep(86400)
    before = clock.now()

    await asyncio.gather(*log.start(*range(4)))

    assert [at - before for at in log.times] == pytest.approx([0, 0, 0.1, 0.2], abs=1e-6)


@given(rate=RATES, burst=st.integers(2, 37), start_s=st.floats(0, 1e7))
@virtual()
async def test_a_burst_goes_at_once_whatever_the_clock_shows(rate: float, burst: int, start_s: float) -> None:
    await asyncio.sleep(start_s)
    log = Log(GcraLimiter(RateLimit(rate, burst=burst)))
    before = clock.now()

    await asyncio.gather(*log.start(*range(burst), within_s=0.0))

    assert log.refused == []
    assert log.times == [before] * burst


@pytest.mark.parametrize("place", [1, 2, 3, 7])
@pytest.mark.parametrize("start_s", [0.0, 1234.567, 98765.4321])
@pytest.mark.virtual_time
async def test_who_allows_exactly_the_wait_that_is_needed_gets_its_slot(place: int, start_s: float) -> None:
    await asyncio.sleep(start_s)
    log = Log(GcraLimiter(RateLimit(10, burst=1)))
    ahead = log.start(*range(place))
    await asyncio.sleep(0)

    await log.take(place, within_s=place / 10)
    await asyncio.gather(*ahead)

    assert log.refused == []


@pytest.mark.virtual_time
async def test_who_comes_when_a_slot_is_free_does_not_wait(limiter: GcraLimiter) -> None:
    steps: list[str] = []

    async def other() -> None:
        steps.append("other")

    task = asyncio.create_task(other())
    await limiter.acquire()
    steps.append("mine")
    await task

    assert steps == ["mine", "other"]


@pytest.mark.virtual_time
async def test_who_comes_in_the_tick_of_a_free_slot_does_not_overtake(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    tasks = log.start(1)
    await asyncio.sleep(0.1)

    tasks += log.start(2)
    await asyncio.gather(*tasks)

    assert log.order == [0, 1, 2]


@pytest.mark.virtual_time
async def test_who_comes_before_a_late_timer_has_run_does_not_overtake(
    limiter: GcraLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(limiter)
    await log.take(0)
    tasks = log.start(1)
    await asyncio.sleep(0)
    late_s = clock.now() + 0.15
    monkeypatch.setattr(clock, "now", lambda: late_s)  # the loop was busy: a slot is due, its timer has not run

    tasks += log.start(2)
    await asyncio.sleep(0)
    monkeypatch.undo()
    await asyncio.gather(*tasks)

    assert log.order == [0, 1, 2]


@pytest.mark.virtual_time
async def test_ten_thousand_waiters_need_one_timer_and_one_hand_out_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = GcraLimiter(RateLimit(1000, burst=1))
    hand_outs = 0
    real = limiter._hand_out

    def counted() -> None:
        nonlocal hand_outs
        hand_outs += 1
        real()

    monkeypatch.setattr(limiter, "_hand_out", counted)
    log = Log(limiter)

    await asyncio.gather(*log.start(*range(10_000)))

    assert log.order == list(range(10_000))
    assert clock.now() == pytest.approx(9.999, abs=0.01)
    assert hand_outs <= 11_000


@pytest.mark.virtual_time
async def test_ten_thousand_cancelled_waiters_leave_nothing(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    tasks = log.start(*range(10_000))
    await asyncio.sleep(0)
    assert limiter.waiting == 10_000

    for task in reversed(tasks):
        task.cancel()
    await asyncio.wait(tasks)

    assert limiter.waiting == 0
    before = clock.now()
    await log.take(1)
    assert clock.now() - before == pytest.approx(0.1)


# Without a rate


@pytest.mark.virtual_time
async def test_without_a_rate_all_go_at_once() -> None:
    log = Log(GcraLimiter())

    await asyncio.gather(*log.start(*range(1000)))

    assert set(log.times) == {0.0}


@pytest.mark.virtual_time
async def test_without_a_rate_a_pause_holds_everybody() -> None:
    limiter = GcraLimiter()
    log = Log(limiter)
    await log.take(0)
    limiter.pause(7)

    await asyncio.gather(*log.start(*range(1, 100)))

    assert log.times[1:] == [pytest.approx(7)] * 99
    assert log.order == list(range(100))


@pytest.mark.parametrize(
    ("limit", "rate"), [(None, None), (RateLimit(50), 50.0), (RateLimit(60, per_s=60), 1.0), (RateLimit(0.1), 0.1)]
)
def test_the_rate_is_told_in_calls_a_second(limit: RateLimit | None, rate: float | None) -> None:
    assert GcraLimiter(limit).rate == (rate if rate is None else pytest.approx(rate))


# Pauses


@pytest.mark.virtual_time
async def test_a_pause_holds_those_who_wait_and_those_who_come(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    tasks = log.start(1, 2)
    await asyncio.sleep(0)
    limiter.pause(5)
    await asyncio.sleep(1)
    tasks += log.start(3)

    await asyncio.gather(*tasks)

    assert log.times == pytest.approx([0, 5, 5.1, 5.2])
    assert log.order == [0, 1, 2, 3]


@pytest.mark.virtual_time
async def test_the_longer_of_two_pauses_holds(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    limiter.pause(5)
    limiter.pause(1)
    limiter.pause(0)
    limiter.pause(-3)

    await log.take()

    assert log.times == [pytest.approx(5)]


@pytest.mark.virtual_time
async def test_a_pause_that_is_made_longer_meanwhile_is_kept_in_full(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    limiter.pause(5)
    (task,) = log.start(1)
    await asyncio.sleep(4.9)

    limiter.pause(10)
    await task

    assert log.times == [pytest.approx(14.9)]


@pytest.mark.virtual_time
async def test_a_pause_saves_up_no_more_than_the_burst() -> None:
    limiter = GcraLimiter(RateLimit(10, burst=3))
    log = Log(limiter)
    limiter.pause(60)

    await asyncio.gather(*log.start(*range(6)))

    assert log.times == pytest.approx([60, 60, 60, 60.1, 60.2, 60.3])


# Waits that would be too long


@pytest.mark.virtual_time
async def test_a_wait_that_would_be_too_long_is_refused_at_once(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    tasks = log.start(1, 2, 3, 4)
    await asyncio.sleep(0)
    before = clock.now()

    await log.take(5, within_s=0.49)

    assert log.refused == [(5, before)]
    tasks += log.start(6, within_s=0.51)
    await asyncio.gather(*tasks)
    assert log.order == [0, 1, 2, 3, 4, 6]


@pytest.mark.virtual_time
async def test_a_bound_of_nothing_takes_a_free_slot_only(limiter: GcraLimiter) -> None:
    log = Log(limiter)

    await log.take(0, within_s=0)
    await log.take(1, within_s=0)

    assert (log.order, log.refused) == ([0], [(1, 0.0)])


@pytest.mark.virtual_time
async def test_a_refused_wait_costs_no_slot(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    for _ in range(100):
        await log.take(1, within_s=0.01)
    before = clock.now()

    await log.take(2)

    assert clock.now() - before == pytest.approx(0.1)
    assert len(log.refused) == 100


@pytest.mark.virtual_time
async def test_a_pause_sends_those_away_at_once_for_whom_it_is_too_long(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    tasks = [*log.start(1, within_s=1), *log.start(2), *log.start(3, within_s=20)]
    await asyncio.sleep(0.05)

    limiter.pause(10)
    await asyncio.gather(*tasks)

    assert log.refused == [(1, 0.05)]
    assert log.times == pytest.approx([0, 10.05, 10.15])
    assert log.order == [0, 2, 3]


@pytest.mark.virtual_time
async def test_who_is_sent_away_by_a_pause_makes_room_for_those_behind(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    tasks = [*log.start(1, 2, 3, within_s=1), *log.start(4, within_s=10.15)]
    await asyncio.sleep(0)

    limiter.pause(10.1)
    await asyncio.gather(*tasks)

    assert [number for number, _ in log.refused] == [1, 2, 3]
    assert log.order == [0, 4]
    assert log.times[1] == pytest.approx(10.1)


@pytest.mark.virtual_time
async def test_the_places_behind_a_pause_count_towards_a_wait(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    limiter.pause(5)
    tasks = log.start(1, 2, 3)
    await asyncio.sleep(0)

    await log.take(4, within_s=5.25)

    assert log.refused == [(4, 0.0)]
    tasks += log.start(5, within_s=5.35)
    await asyncio.gather(*tasks)
    assert log.order == [1, 2, 3, 5]
    assert log.times[-1] == pytest.approx(5.3)


@given(
    limit=LIMITS,
    waits=st.lists(st.floats(0, 5) | st.none(), min_size=1, max_size=60),
    gaps=st.lists(st.floats(0, 0.3) | st.just(0.0), min_size=60, max_size=60),
    pauses=st.dictionaries(st.integers(0, 59), st.floats(0, 3), max_size=4),
)
@virtual()
async def test_nobody_waits_longer_than_allowed_and_nobody_is_refused_a_slot_in_time(
    limit: RateLimit, waits: list[float | None], gaps: list[float], pauses: dict[int, float]
) -> None:
    limiter = GcraLimiter(limit)
    log = Log(limiter)
    came: list[float] = []
    tasks: list[asyncio.Task[None]] = []
    pause_times: list[float] = []
    for number, within_s in enumerate(waits):
        await asyncio.sleep(gaps[number])
        came.append(clock.now())
        tasks += log.start(number, within_s=within_s)
        if number in pauses:
            await asyncio.sleep(0)
            limiter.pause(pauses[number])
            pause_times.append(clock.now())
    await asyncio.wait(tasks)

    assert len(log.granted) + len(log.refused) == len(waits)
    for number, at in log.granted:
        within_s = waits[number]
        assert within_s is None or at - came[number] <= within_s + EPSILON_S
    for number, at in log.refused:
        assert any(at == pytest.approx(moment) for moment in (came[number], *pause_times))


# The end


@pytest.mark.virtual_time
async def test_closing_sends_everybody_away(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    tasks = [*log.start(1, 2), *log.start(3, within_s=50)]
    await asyncio.sleep(0)

    limiter.close()
    await asyncio.gather(*tasks)

    assert [number for number, _ in log.refused] == [1, 2, 3]
    assert limiter.waiting == 0
    assert clock.now() == 0


@pytest.mark.virtual_time
async def test_a_waiter_that_is_sent_away_and_cancelled_in_one_tick_is_cancelled(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    (task,) = log.start(1)
    await asyncio.sleep(0)

    limiter.close()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    before = clock.now()
    await log.take(2)
    assert clock.now() - before == pytest.approx(0.1)


@pytest.mark.virtual_time
async def test_a_waiter_cancelled_and_then_sent_away_in_one_tick_is_cancelled(limiter: GcraLimiter) -> None:
    log = Log(limiter)
    await log.take(0)
    (task,) = log.start(1)
    await asyncio.sleep(0)

    task.cancel()
    limiter.close()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert limiter.waiting == 0


def test_made_outside_a_loop_it_works_in_one_after_the_other() -> None:
    limiter = GcraLimiter(RateLimit(10, burst=1))

    async def use() -> float:
        log = Log(limiter)
        start = clock.now()
        await asyncio.gather(*log.start(1, 2))
        return clock.now() - start

    first = run_virtual(use())
    limiter.move_to_loop(-0.2)

    assert first == pytest.approx(0.1)
    assert run_virtual(use()) == pytest.approx(0.1)


def test_the_account_of_slots_and_the_pause_move_to_the_new_loop_s_clock() -> None:
    limiter = GcraLimiter(RateLimit(1, burst=1))

    async def use_up_at_1000() -> None:
        await asyncio.sleep(1000)
        await limiter.acquire()
        limiter.pause(7)

    async def take() -> float:
        await limiter.acquire()
        return clock.now()

    run_virtual(use_up_at_1000())
    limiter.move_to_loop(-1000)

    assert run_virtual(take()) == pytest.approx(7)


def test_waiters_of_a_loop_that_is_gone_are_forgotten() -> None:
    limiter = GcraLimiter(RateLimit(1, burst=1))
    stopped = asyncio.new_event_loop()

    async def wait_for_ever() -> None:
        await limiter.acquire()
        waiting.append(asyncio.create_task(limiter.acquire()))
        await asyncio.sleep(0)

    waiting: list[asyncio.Task[None]] = []
    stopped.run_until_complete(wait_for_ever())
    timer = limiter._timer
    limiter.move_to_loop(-stopped.time())

    assert limiter.waiting == 0
    assert timer is not None
    assert timer.cancelled()
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        stopped.run_until_complete(waiting[0])
    stopped.close()


# A pace that is learned


@given(
    start=st.sampled_from([1.0, 10.0, 40.0]),
    gaps=st.lists(st.floats(0, 1) | st.just(0.0), min_size=1, max_size=120),
    cancels=st.dictionaries(st.integers(0, 119), st.floats(0, 3) | st.just(0.0), max_size=30),
    pauses=st.dictionaries(st.integers(0, 119), st.floats(0, 3), max_size=4),
    throttles=st.sets(st.integers(0, 119), max_size=20),
)
@virtual()
async def test_whatever_is_learned_the_highest_rate_holds_in_every_window_and_the_order_is_kept(
    start: float, gaps: list[float], cancels: dict[int, float], pauses: dict[int, float], throttles: set[int]
) -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(start, ceiling=60))
    log = Log(limiter)
    rates = [(0.0, start)]
    real = limiter._adopt

    def adopt(pace: LearnedPace, now: float) -> None:
        real(pace, now)
        rates.append((now, limiter.rate or 0.0))

    limiter._adopt = adopt  # type: ignore[method-assign]
    tasks: list[asyncio.Task[None]] = []
    paused: list[tuple[float, float]] = []
    for number, gap in enumerate(gaps):
        await asyncio.sleep(gap)
        tasks += log.start(number)
        if number in cancels:
            clock.call_at(clock.now() + cancels[number], tasks[-1].cancel)
        if number in throttles:
            limiter.throttled(clock.now() - 0.01)
        if number in pauses:
            limiter.pause(pauses[number])
            paused.append((clock.now(), clock.now() + pauses[number]))
    await asyncio.wait(tasks)

    assert log.order == sorted(log.order)
    assert len(log.granted) == sum(not task.cancelled() for task in tasks)
    assert limiter.waiting == 0
    for from_s, to_s in paused:
        assert not [at for at in log.times if from_s + EPSILON_S < at < to_s - EPSILON_S]
    for first, begin in list(enumerate(log.times))[::3]:
        for last, end in enumerate(log.times[first:], first):
            # The rate that was in force when the window began, and every one since.
            before = max(index for index, (at, _) in enumerate(rates) if index == 0 or at < begin)
            highest = max(rate for at, rate in rates[before:] if at <= end)
            assert last - first + 1 <= highest * (end - begin) + max(1.0, highest / 10) + 1e-3


@pytest.mark.virtual_time
async def test_a_learned_rate_is_used_in_full_while_somebody_waits() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(20, ceiling=20))
    log = Log(limiter)

    await asyncio.gather(*log.start(*range(202)))

    assert clock.now() == pytest.approx(10, abs=1e-6)
    assert log.order == list(range(202))


@pytest.mark.virtual_time
async def test_a_cut_sets_the_timer_of_those_who_wait_anew() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(1, floor=0.1, ceiling=1))
    log = Log(limiter)
    await log.take(0)
    tasks = log.start(1, 2)
    await asyncio.sleep(0.1)

    limiter.throttled(0.0)
    await asyncio.gather(*tasks)

    assert log.times[1] == pytest.approx(0.1 + 0.9 / 0.9)  # what was owed then, at the new rate
    assert log.order == [0, 1, 2]
    assert 0.9 <= (limiter.rate or 0) <= 1


@pytest.mark.virtual_time
async def test_answers_of_one_round_trip_cut_once_and_a_fixed_rate_is_never_cut() -> None:
    learning, fixed = GcraLimiter(AdaptiveRateLimit(50)), GcraLimiter(RateLimit(50))
    await asyncio.sleep(1)
    for number in range(100):
        learning.throttled(0.9 + number / 1000)
        fixed.throttled(0.9)

    assert learning.rate == pytest.approx(45)
    assert fixed.rate == pytest.approx(50)


@pytest.mark.virtual_time
async def test_without_a_limit_a_429_is_nothing_to_learn_from() -> None:
    limiter = GcraLimiter()
    limiter.throttled(-1.0)
    log = Log(limiter)

    await asyncio.gather(*log.start(*range(100)))

    assert set(log.times) == {0.0}


@pytest.mark.virtual_time
async def test_an_idle_client_keeps_what_it_has_learned() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(10))
    limiter.throttled(-1.0)
    for _ in range(500):
        await limiter.acquire()
        await asyncio.sleep(60)

    assert limiter.rate == pytest.approx(9)


@pytest.mark.virtual_time
async def test_a_caller_who_takes_one_slot_after_the_other_makes_the_rate_grow() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(5))
    while clock.now() < 10:
        await limiter.acquire()
        await asyncio.sleep(0.01)

    assert 30 <= (limiter.rate or 0) <= 100  # and not beyond what it can use


@pytest.mark.virtual_time
async def test_after_a_pause_a_learned_rate_starts_without_a_burst() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(50, ceiling=50))
    log = Log(limiter)
    limiter.pause(10)

    await asyncio.gather(*log.start(*range(5)))

    assert log.times == pytest.approx([10, 10.02, 10.04, 10.06, 10.08])


@pytest.mark.virtual_time
async def test_a_cut_in_a_pause_makes_the_pause_no_longer() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(10, floor=0.1))
    log = Log(limiter)
    limiter.pause(60)
    tasks = log.start(0)
    for _ in range(5):
        await asyncio.sleep(1)
        limiter.throttled(clock.now() - 0.01)

    await asyncio.gather(*tasks)

    assert log.times == pytest.approx([60])


@pytest.mark.virtual_time
async def test_a_cut_sends_those_away_at_once_for_whom_it_is_too_slow() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(1, floor=0.1, ceiling=1))
    log = Log(limiter)
    await log.take(0)
    tasks = [*log.start(1), *log.start(2, within_s=2.1), *log.start(3, within_s=4)]
    await asyncio.sleep(0.1)

    limiter.throttled(0.0)
    await asyncio.gather(*tasks)

    assert log.refused == [(2, 0.1)]
    assert log.order == [0, 1, 3]


@pytest.mark.virtual_time
async def test_a_slot_given_back_after_a_cut_is_one_slot() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(10, ceiling=10))
    log = Log(limiter)
    await log.take(0)
    limiter.throttled(-1.0)
    limiter.give_back()

    await asyncio.gather(*log.start(1, 2))

    assert log.times == pytest.approx([0, 0, 1 / 9], rel=0.01)


@pytest.mark.virtual_time
async def test_closing_sends_everybody_away_from_a_learned_rate_too() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(1))
    log = Log(limiter)
    await log.take(0)
    tasks = log.start(1, 2)
    await asyncio.sleep(0)

    limiter.close()
    await asyncio.gather(*tasks)

    assert [number for number, _ in log.refused] == [1, 2]


def test_what_was_learned_moves_to_the_next_loop() -> None:
    limiter = GcraLimiter(AdaptiveRateLimit(10, ceiling=10))

    async def learn_at_1000() -> None:
        await asyncio.sleep(1000)
        await limiter.acquire()
        limiter.throttled(999.0)

    async def take() -> float:
        limiter.throttled(-0.1)  # sent before the cut
        await limiter.acquire()
        return clock.now()

    run_virtual(learn_at_1000())
    limiter.move_to_loop(-1000)

    assert run_virtual(take()) == pytest.approx(1 / 9)
    assert limiter.rate == pytest.approx(9, rel=0.01)
