"""The circuit breaker of a bulk run: when it pauses, who probes, how the rate comes back."""

import asyncio
import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotdx_async.bulk.circuit_breaker import CircuitBreaker, Result
from spotdx_async.testing import run_virtual
from tests.long_set import with_long

pytestmark = pytest.mark.virtual_time


def make(
    limit_s: float = 1800.0, seed: int = 1, concurrency: int = 64, **told: Callable[..., object]
) -> tuple[CircuitBreaker, list[float]]:
    overdue: list[float] = []
    breaker = CircuitBreaker(
        limit_s=limit_s,
        concurrency=concurrency,
        on_overdue=lambda: overdue.append(asyncio.get_running_loop().time()),
        dice=random.Random(seed),
        **told,  # type: ignore[arg-type]  # on_change, on_probe, trouble, busy_s
    )
    return breaker, overdue


def now() -> float:
    return asyncio.get_running_loop().time()


async def passes(breaker: CircuitBreaker, row: int, within_s: float) -> float | None:
    """When the row may pass; None where it does not within that time."""
    try:
        async with asyncio.timeout(within_s):
            await breaker.enter(row)
    except TimeoutError:
        return None
    return now()


async def close(breaker: CircuitBreaker) -> None:
    for row in range(5):
        breaker.report(row, "bad", began_s=now())
    assert breaker.is_paused


async def test_it_is_open_and_free_at_the_start() -> None:
    breaker, _ = make()

    assert not breaker.is_paused
    assert breaker.is_free
    assert await passes(breaker, 1, 0.1) == now()


async def test_a_row_that_rests_keeps_its_place_until_it_leaves() -> None:
    breaker, _ = make(concurrency=2)
    assert breaker.try_enter(1)
    assert breaker.try_enter(2)

    breaker.report(1, "bad", began_s=now(), rests=True)

    assert not breaker.is_free
    waiting = asyncio.ensure_future(breaker.enter(3))
    await asyncio.sleep(1)
    assert not waiting.done()
    breaker.leave(1)
    assert await waiting
    assert not breaker.is_free
    breaker.report(3, "good", began_s=now(), rests=True)
    assert not breaker.is_free
    breaker.leave(3)  # with nobody who waits
    assert breaker.is_free


async def test_five_rows_that_fail_in_a_row_pause_it_and_four_do_not() -> None:
    breaker, _ = make()
    for row in range(4):
        breaker.report(row, "bad")
    assert not breaker.is_paused

    breaker.report(4, "bad")

    assert (not breaker.is_paused, breaker.is_free) == (False, False)


async def test_a_row_that_fails_again_and_again_counts_once() -> None:
    breaker, _ = make()

    for _ in range(100):
        for row in range(4):
            breaker.report(row, "bad", began_s=now())
        await asyncio.sleep(0.1)  # so that seconds pass in which nothing is served

    assert not breaker.is_paused


@pytest.mark.no_cover
@pytest.mark.parametrize("share", with_long([0.05, 0.25, 0.6], [0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.6]))
async def test_failures_by_chance_pause_it_hardly_ever(share: float) -> None:
    breaker, _ = make()
    dice = random.Random(5)
    pauses = 0

    for row in range(20_000):
        breaker.report(row, "bad" if dice.random() < share else "good", began_s=now())
        await asyncio.sleep(0.001)
        if not breaker.is_free:
            pauses += breaker.is_paused
            await breaker.enter(row)
            breaker.report(row, "good", began_s=now())

    assert pauses <= 1  # at the beginning, when nobody knows yet how many fail


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6])
async def test_an_outage_after_failures_by_chance_is_seen_soon(share: float) -> None:
    breaker, _ = make()
    dice = random.Random(5)
    for row in range(1000):
        breaker.report(row, "bad" if dice.random() < share else "good", began_s=now())

    count = 0
    while not breaker.is_paused:
        breaker.report(count, "bad", began_s=now())
        count += 1

    assert count <= 60


@pytest.mark.parametrize("a_second", [2, 20, 2000])
async def test_a_second_with_next_to_no_good_result_pauses_it_and_at_a_low_rate_twenty_results(a_second: int) -> None:
    breaker, _ = make()
    for row in range(300):  # so that 24 failures in a row are nothing new
        breaker.report(row, "good" if row % 2 else "bad", began_s=now())
        await asyncio.sleep(1 / a_second)
    assert (not breaker.is_paused, breaker.paused_s) == (True, 0)
    began_s = now()

    row = 300
    while not breaker.is_paused and row < 10_000:
        breaker.report(row, "good" if row % 25 == 12 else "bad", began_s=now())
        await asyncio.sleep(1 / a_second)
        row += 1

    assert breaker.is_paused
    assert now() - began_s <= max(2.1, 2 * 20 / a_second)


async def test_two_rows_a_second_show_an_outage_within_three_seconds() -> None:
    breaker, _ = make()
    for row in range(100):
        breaker.report(row, "good", began_s=now())
        await asyncio.sleep(0.5)
    began_s = now()

    row = 100
    while not breaker.is_paused:
        breaker.report(row, "bad", began_s=now())
        await asyncio.sleep(0.5)
        row += 1

    assert now() - began_s <= 3


async def test_failures_that_come_back_before_the_answers_are_no_outage() -> None:
    breaker, _ = make()
    rows = iter(range(100_000))
    pauses = 0
    for _ in range(20):  # 64 at once: two of five are refused within 5 ms, the others served after a second
        sent = [next(rows) for _ in range(breaker.concurrency)]
        for row in sent:
            assert await passes(breaker, row, 20) is not None
            assert breaker.sends(row)
        began_s = now()
        await asyncio.sleep(0.005)
        for place, row in enumerate(sent):
            if place % 5 < 2:
                breaker.report(row, "bad", began_s=began_s)
        pauses += breaker.is_paused
        await asyncio.sleep(1)
        for place, row in enumerate(sent):
            if place % 5 >= 2:
                breaker.report(row, "good", began_s=began_s)
        if breaker.is_paused:
            probe = next(rows)
            await breaker.enter(probe)
            breaker.report(probe, "good", began_s=now())

    assert pauses <= 1


async def test_no_more_pass_than_the_concurrency_allows() -> None:
    breaker, _ = make(concurrency=2)
    assert breaker.try_enter(1)
    assert breaker.try_enter(2)
    assert not breaker.try_enter(3)
    waiting = asyncio.create_task(breaker.enter(3))
    await asyncio.sleep(1)
    assert not waiting.done()

    breaker.report(1, "none")

    await waiting
    assert not breaker.is_free


async def test_throttling_and_rows_that_were_not_sent_are_no_outage() -> None:
    breaker, _ = make()

    for row in range(100):
        breaker.report(row, "throttled")
        breaker.report(row, "none")

    assert not breaker.is_paused


async def test_one_row_at_a_time_probes_at_most_five_seconds_apart() -> None:
    breaker, _ = make()
    await close(breaker)
    at: list[float] = [now()]

    async def knock(row: int) -> None:
        while True:
            await breaker.enter(row)
            at.append(now())
            await asyncio.sleep(0.3)
            assert at[-1] == now() - 0.3  # nobody else passed meanwhile
            breaker.report(row, "bad", began_s=now() - 0.3)

    knocking = [asyncio.create_task(knock(row)) for row in range(10, 20)]
    await asyncio.sleep(600)
    for task in knocking:
        task.cancel()

    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert max(gaps) <= 5.3 + 1e-9
    assert gaps[0] <= 1
    assert len(at) < 600 / 2.5
    assert max(gaps[20:]) - min(gaps[20:]) > 0.5  # jitter


async def test_a_probe_that_hangs_holds_up_no_other_one() -> None:
    breaker, _ = make()
    await close(breaker)
    at: list[float] = []
    for row in range(10, 20):
        await breaker.enter(row)
        assert breaker.sends(row)
        at.append(now())

    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert 4 <= min(gaps) <= max(gaps) <= 5

    breaker.report(19, "good", began_s=at[-1])
    assert not breaker.is_paused
    for row in range(10, 19):
        breaker.report(row, "bad", began_s=at[row - 10])
    assert not breaker.is_paused  # they went before it was back


async def test_a_probe_that_was_not_sent_yet_is_not_overtaken() -> None:
    """As while the client pauses, since the server has named a time."""
    breaker, _ = make()
    await close(breaker)
    await breaker.enter(10)
    second = asyncio.create_task(passes(breaker, 11, 1000))
    await asyncio.sleep(300)
    assert not second.done()

    assert breaker.sends(10)
    sent_s = now()

    passed_s = await second
    assert passed_s is not None
    assert 4 <= passed_s - sent_s <= 5


async def test_a_probe_that_fails_soon_lets_the_next_one_go_sooner() -> None:
    breaker, _ = make()
    await close(breaker)
    await breaker.enter(10)
    breaker.report(10, "bad", began_s=now())
    began_s = now()

    await breaker.enter(11)

    assert now() - began_s <= 0.2


async def test_rows_take_turns_in_probing() -> None:
    breaker, _ = make()
    await close(breaker)
    order: list[int] = []

    async def knock(row: int) -> None:
        for _ in range(2):
            await breaker.enter(row)
            order.append(row)
            breaker.report(row, "bad", began_s=now())

    await asyncio.gather(*(knock(row) for row in range(10, 14)))

    assert order == [10, 11, 12, 13] * 2


async def test_a_short_outage_is_probed_soon() -> None:
    breaker, _ = make()
    await close(breaker)
    probes = await probes_until(breaker, 2.7)

    gaps = [later - earlier for earlier, later in itertools.pairwise([0.0, *probes])]
    assert gaps[0] <= 0.1
    assert gaps[1] <= 0.2
    assert max(gaps) <= 0.4


async def probes_until(breaker: CircuitBreaker, end_s: float) -> list[float]:
    """Probe until then, always in vain; the moments."""
    at: list[float] = []
    while True:
        await breaker.enter(900)
        if now() >= end_s:
            return at
        at.append(now())
        breaker.report(900, "bad", began_s=now())


@pytest.mark.parametrize(("outage_s", "ramp_s"), [(0.3, 0.06), (2, 0.21), (60, 5), (600, 5)])
async def test_after_a_probe_that_comes_through_the_rate_ramps_up_the_sooner_the_shorter_the_outage(
    outage_s: float, ramp_s: float
) -> None:
    breaker, _ = make()
    await close(breaker)
    await probes_until(breaker, outage_s)
    breaker.report(900, "good", began_s=now())
    opened_s = now()
    assert (not breaker.is_paused, breaker.is_free) == (True, False)

    at: list[float] = []
    while not breaker.is_free:
        await breaker.enter(1)
        at.append(now() - opened_s)
        breaker.report(1, "good", began_s=now())

    assert 0.5 * ramp_s < at[-1] <= ramp_s + 0.01
    if ramp_s == 5:
        per_second = [sum(second <= moment < second + 1 for moment in at) for second in range(5)]
        assert 10 <= per_second[0] <= 35
        assert all(later > 2 * earlier for earlier, later in itertools.pairwise(per_second))


async def test_it_pauses_where_all_rows_that_are_left_fail_whatever_chance_says() -> None:
    breaker, _ = make()
    for row in range(200):
        breaker.report(row, "bad" if row % 5 else "good", began_s=now())
    breaker.report(200, "good", began_s=now())
    for row in range(201, 206):
        assert not breaker.pause_if_all_fail()
        breaker.report(row, "bad", began_s=now())
    assert not breaker.is_paused

    assert breaker.pause_if_all_fail()

    assert breaker.is_paused


async def test_it_closes_again_when_the_ramp_fails() -> None:
    breaker, _ = make()
    await close(breaker)
    await breaker.enter(9)
    breaker.report(9, "good", began_s=now())

    for row in range(20, 25):
        await breaker.enter(row)
        breaker.report(row, "bad", began_s=now())

    assert breaker.is_paused


async def test_an_answer_to_a_request_from_before_does_not_open_it() -> None:
    breaker, _ = make()
    began_s = now()
    await asyncio.sleep(1)
    await close(breaker)

    breaker.report(50, "good", began_s=began_s)

    assert breaker.is_paused


async def test_an_answer_that_throttles_shows_that_the_server_is_back() -> None:
    breaker, _ = make()
    await close(breaker)
    await breaker.enter(9)

    breaker.report(9, "throttled", began_s=now())

    assert not breaker.is_paused


async def test_a_probe_that_was_not_sent_lets_the_next_one_go_at_once() -> None:
    breaker, _ = make()
    await close(breaker)
    await breaker.enter(9)

    breaker.report(9, "none")

    assert await passes(breaker, 10, 0.001) == now()


@pytest.mark.parametrize("is_served", [False, True])
async def test_a_cancelled_probe_gives_its_turn_to_the_next(*, is_served: bool) -> None:
    like, _ = make()  # with the same jitter: it shows when the first probe passes
    await close(like)
    began_s = now()
    passed_s = await passes(like, 9, 60)
    assert passed_s is not None
    waits_s = passed_s - began_s
    breaker, _ = make()
    await close(breaker)
    first = asyncio.create_task(breaker.enter(9))
    await asyncio.sleep(0)
    second = asyncio.create_task(passes(breaker, 10, 60))
    if is_served:  # in the very turn of the loop in which it was let in
        asyncio.get_running_loop().call_at(now() + waits_s + 1e-10, first.cancel)
    else:
        first.cancel()

    assert await second is not None
    assert first.cancelled()
    assert breaker.lets(10)
    assert not breaker.lets(9)


async def test_a_probe_s_turn_that_nobody_takes_is_there_for_the_next_who_comes() -> None:
    breaker, _ = make()
    await close(breaker)
    assert await passes(breaker, 9, 0.01) is None  # gone before its turn
    await asyncio.sleep(10)

    assert await passes(breaker, 10, 0.001) == now()

    assert breaker.lets(10)


async def test_a_row_that_entered_before_it_closed_may_not_go_any_more() -> None:
    breaker, _ = make()
    assert breaker.lets(77)

    await close(breaker)

    assert not breaker.lets(77)


async def test_who_waits_for_a_place_is_sent_back_when_a_pause_begins() -> None:
    breaker, _ = make(concurrency=1)
    assert breaker.try_enter(20)
    waiting = [asyncio.create_task(breaker.enter(row)) for row in (21, 22)]
    await asyncio.sleep(0)

    await close(breaker)

    assert await asyncio.gather(*waiting) == [False, False]
    assert await passes(breaker, 23, 0.2) is not None  # they hold no place


async def test_first_tries_in_a_pause_say_nothing_of_chance() -> None:
    breaker, _ = make()
    await close(breaker)
    for row in range(10, 1000):
        breaker.report(row, "bad", began_s=now(), is_first=True)

    assert breaker.first_tries.failing < 0.05


async def test_a_pause_can_be_ended_for_good() -> None:
    breaker, overdue = make(limit_s=60)
    await close(breaker)
    await probes_until(breaker, 10)
    breaker.report(900, "none")

    breaker.stop_pausing()

    assert not breaker.is_paused
    assert breaker.paused_s == 0
    for row in range(2000):
        breaker.report(row, "bad", began_s=now())
        assert not breaker.pause_if_all_fail()
    await asyncio.sleep(100)
    assert not breaker.is_paused
    assert overdue == []


async def test_an_outage_that_lasts_is_told_once() -> None:
    breaker, overdue = make(limit_s=60)
    await close(breaker)
    closed_s = now()

    await asyncio.sleep(500)

    assert overdue == [closed_s + 60]


async def test_an_outage_that_ends_in_time_is_not_told() -> None:
    breaker, overdue = make(limit_s=60)
    await close(breaker)
    await breaker.enter(9)
    breaker.report(9, "good", began_s=now())

    await asyncio.sleep(500)

    assert overdue == []


async def test_throttling_without_end_is_told() -> None:
    breaker, overdue = make(limit_s=60)
    for _ in range(70):
        breaker.report(1, "throttled")
        await asyncio.sleep(1)
    assert len(overdue) == 1

    breaker.report(1, "good")
    for _ in range(50):
        breaker.report(1, "throttled")
        await asyncio.sleep(1)
    assert len(overdue) == 1


async def test_it_says_whether_a_row_was_served_since() -> None:
    breaker, _ = make()
    assert not breaker.has_served_since(now())
    await asyncio.sleep(1)
    began_s = now()
    await asyncio.sleep(1)

    breaker.report(1, "good", began_s=began_s)

    breaker.report(2, "good", began_s=began_s - 1)  # sent sooner, and answered later

    assert breaker.has_served_since(began_s - 0.1)
    assert not breaker.has_served_since(began_s)  # it had gone before an outage that began just then


async def test_everybody_passes_when_the_run_is_over() -> None:
    breaker, _ = make()
    await close(breaker)
    waiting = [asyncio.create_task(breaker.enter(row)) for row in range(10, 20)]
    await asyncio.sleep(0)

    breaker.release()

    await asyncio.gather(*waiting)
    assert now() == 0


def state(breaker: CircuitBreaker, name: str) -> object:
    return {
        "doubt": breaker.is_doubtful,
        "likely once": breaker.makes_likely(1),
        "likely thrice": breaker.makes_likely(3),
        "reports": breaker.reports,
        "first tries": (breaker.first_tries.seen.count, breaker.first_tries.seen.bad),
    }[name]


Told = list[tuple[object, str]]
SERVED: Told = [(row, "good") for row in range(50)]
HALF: Told = [(row, "good" if row % 2 else "bad") for row in range(200)]


@pytest.mark.parametrize(
    ("results", "name", "value"),
    [
        ([], "doubt", False),
        ([(1, "bad")] * 5, "doubt", False),
        ([(1, "bad")] * 6, "doubt", True),
        ([(1, "bad"), (2, "bad")], "doubt", True),
        ([(1, "bad"), (2, "bad"), (3, "good")], "doubt", False),
        ([(1, "bad"), (2, "bad"), (3, "none"), (4, "throttled")], "doubt", True),
        ([], "likely once", False),
        (SERVED, "likely once", False),
        (HALF, "likely thrice", True),
        ([*SERVED, (1, "none"), (2, "throttled")], "reports", 52),
        ([(1, "good"), (2, "bad"), (3, "throttled"), (4, "none"), (5, "good")], "first tries", (3, 1)),
    ],
)
async def test_it_knows_from_the_results_whether_to_doubt_the_server_and_what_is_likely(
    results: list[tuple[object, Result]], name: str, value: object
) -> None:
    breaker, _ = make()

    for row, result in results:
        breaker.report(row, result, began_s=now(), is_first=True)

    assert state(breaker, name) == value


async def test_only_a_row_s_first_try_counts_as_such() -> None:
    breaker, _ = make()

    breaker.report(1, "bad", began_s=now(), is_first=True)
    breaker.report(1, "good", began_s=now())

    assert state(breaker, "first tries") == (1, 1)


async def test_failures_of_before_the_pause_between_answers_count_as_chance() -> None:
    breaker, _ = make()
    began_s = now()
    await asyncio.sleep(1)
    await close(breaker)

    for row, result in HALF:
        breaker.report(row, result, began_s=began_s)  # type: ignore[arg-type]  # from the allowed words

    assert breaker.is_paused
    assert breaker.makes_likely(8)


async def test_failures_of_before_the_pause_bring_no_probe_forward() -> None:
    breaker, _ = make()
    began_s = now()
    await asyncio.sleep(1)
    await close(breaker)
    await breaker.enter(9)
    assert breaker.sends(9)
    sent_s = now()

    for row in range(50, 60):
        breaker.report(row, "bad", began_s=began_s)

    passed_s = await passes(breaker, 10, 60)
    assert passed_s is not None
    assert passed_s - sent_s >= 4


async def test_a_probe_that_still_hangs_takes_nobody_s_place() -> None:
    breaker, _ = make(concurrency=1)
    await close(breaker)
    await breaker.enter(9)
    assert breaker.sends(9)
    await breaker.enter(10)

    breaker.report(10, "good", began_s=now())

    assert await passes(breaker, 11, 0.2) is not None


async def test_a_pause_within_a_pause_is_the_same() -> None:
    breaker, _ = make()
    await close(breaker)
    await asyncio.sleep(10)

    assert breaker.pause_if_all_fail()

    assert breaker.paused_s == 10


async def test_the_first_tries_with_which_an_outage_began_say_nothing_of_chance() -> None:
    breaker, _ = make()
    breaker.report(50, "good", began_s=now(), is_first=True)

    for row in range(5):
        breaker.report(row, "bad", began_s=now(), is_first=True)

    assert breaker.is_paused
    assert state(breaker, "first tries") == (1, 0)


async def keep_failing(breaker: CircuitBreaker, rows: range, seconds: float) -> None:
    for place in range(round(seconds * 50)):
        breaker.report(rows[place % len(rows)], "bad", began_s=now())
        await asyncio.sleep(0.02)


async def test_four_rows_that_fail_and_later_four_others_pause_nothing() -> None:
    breaker, _ = make()
    await keep_failing(breaker, range(4), 2)
    for row in range(100, 200):
        breaker.report(row, "good", began_s=now())
        await asyncio.sleep(0.02)

    await keep_failing(breaker, range(4, 8), 5)

    assert not breaker.is_paused


async def test_four_rows_that_fail_after_an_outage_do_not_pause_it_again() -> None:
    breaker, _ = make()
    await close(breaker)
    await breaker.enter(9)
    breaker.report(9, "good", began_s=now())
    await asyncio.sleep(1)
    assert await passes(breaker, 50, 1) is not None  # the rate is back
    breaker.report(50, "good", began_s=now())

    await keep_failing(breaker, range(10, 14), 5)

    assert not breaker.is_paused


async def half_fail(breaker: CircuitBreaker, seconds: float) -> int:
    """Let half of the rows fail; the least concurrency meanwhile."""
    least = breaker.concurrency
    for row in range(round(seconds * 50)):
        breaker.report(row, "good" if row % 2 else "bad", began_s=now())
        least = min(least, breaker.concurrency)
        await asyncio.sleep(0.02)
    return least


async def test_an_outage_takes_back_a_cut_of_the_concurrency_that_was_on_trial() -> None:
    breaker, _ = make()
    await half_fail(breaker, 1.1)
    assert breaker.concurrency < 64
    for row in range(40):
        breaker.report(row, "bad", began_s=now())
    assert breaker.is_paused
    await probes_until(breaker, 10)
    breaker.report(900, "good", began_s=now())

    while not breaker.is_free:
        assert await passes(breaker, 1, 5) is not None
        breaker.report(1, "none")

    assert breaker.concurrency == 64


async def test_failures_while_the_rate_comes_back_cut_no_concurrency() -> None:
    breaker, _ = make()
    await close(breaker)
    await probes_until(breaker, 60)
    breaker.report(900, "good", began_s=now())

    assert await half_fail(breaker, 3) == 64

    assert (not breaker.is_paused, breaker.is_free) == (True, False)


async def test_in_a_pause_nothing_but_a_probe_is_sent() -> None:
    probes: list[float] = []
    breaker, _ = make(on_probe=lambda: probes.append(now()))
    assert breaker.try_enter(77)
    assert breaker.try_enter(78)
    assert breaker.sends(77)
    for row in range(5):
        breaker.report(row, "bad", began_s=now())
    assert breaker.pause_if_all_fail()
    assert probes == []

    assert not breaker.sends(78)
    assert await breaker.enter(9)
    assert probes == []  # it may still wait for the rate limit
    assert breaker.sends(9)

    assert probes == [now()]


async def test_throttling_of_a_request_from_before_does_not_open_it() -> None:
    breaker, _ = make()
    began_s = now()
    await asyncio.sleep(1)
    await close(breaker)

    breaker.report(50, "throttled", began_s=began_s)

    assert breaker.is_paused


async def test_the_pause_is_told_with_its_cause_and_its_length(caplog: pytest.LogCaptureFixture) -> None:
    changes: list[tuple[str, float]] = []
    breaker, _ = make(
        on_change=lambda change, after_s: changes.append((change, after_s)), trouble=lambda: "spot.example: refused"
    )
    await close(breaker)
    assert (changes, breaker.paused_s) == ([("closed", 0.0)], 0)
    assert "the server is unavailable (spot.example: refused)" in caplog.messages[-1]
    await probes_until(breaker, 3)
    paused_s = now()
    assert breaker.paused_s == paused_s

    breaker.report(900, "good", began_s=now())

    assert (changes[1:], breaker.paused_s) == ([("open", paused_s)], 0)
    assert f"the server is back after {paused_s:.1f} s" in caplog.messages[-1]

    for row in range(5):
        breaker.report(row, "bad", began_s=now())
    breaker.stop_pausing()

    assert changes[2:] == [("closed", 0.0), ("open", 0.0)]
    assert "after 0.0 s only rows that have failed are left" in caplog.messages[-1]


async def test_while_it_is_to_stay_open_nothing_pauses_it() -> None:
    breaker, _ = make()
    stays = [breaker.never_pauses]
    breaker.stop_pausing()
    stays.append(breaker.never_pauses)
    for row in range(100):
        breaker.report(row, "bad", began_s=now())
    assert not breaker.is_paused

    breaker.allow_pauses()

    stays.append(breaker.never_pauses)
    assert stays == [False, True, False]
    assert breaker.pause_if_all_fail()


async def test_who_waits_passes_when_the_pause_is_ended_for_good() -> None:
    breaker, _ = make()
    await close(breaker)
    waiting = asyncio.create_task(breaker.enter(9))
    await asyncio.sleep(0)

    breaker.stop_pausing()

    assert await waiting
    assert now() == 0


async def test_an_outage_is_told_only_when_rows_have_waited_all_the_time() -> None:
    waiting_since_s = 50.0
    breaker, overdue = make(limit_s=60, busy_s=lambda: now() - waiting_since_s)
    await close(breaker)

    await asyncio.sleep(500)

    assert overdue == [110]


async def test_throttling_that_began_anew_after_an_answer_is_counted_from_there() -> None:
    breaker, overdue = make(limit_s=60)
    breaker.report(1, "throttled", began_s=now())
    await asyncio.sleep(50)
    breaker.report(2, "good", began_s=now())
    breaker.report(3, "throttled", began_s=now())

    await asyncio.sleep(500)

    assert overdue == [110]


async def test_nothing_is_told_when_the_run_is_over() -> None:
    breaker, overdue = make(limit_s=60)
    breaker.release()
    breaker.report(1, "throttled", began_s=now())
    await close(breaker)
    gone = asyncio.create_task(breaker.enter(9))
    await asyncio.sleep(0)
    gone.cancel()

    breaker.release()

    await asyncio.sleep(500)
    assert overdue == []
    assert breaker.try_enter(10) is False  # it stays paused, and has no place left that nobody gives back


@pytest.mark.no_cover
@settings(deadline=None)  # the machine's speed is no matter here
@given(
    results=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["good", "bad", "throttled", "none"])), min_size=1, max_size=120
    ),
    seed=st.integers(0, 1000),
)
def test_whatever_happens_a_row_that_waits_passes_in_time(results: list[tuple[int, str]], seed: int) -> None:
    async def play() -> None:
        breaker, _ = make(seed=seed)
        for row, result in results:
            if not breaker.is_free:
                async with asyncio.timeout(5.01):
                    await breaker.enter(row)
            breaker.report(row, result, began_s=now())  # type: ignore[arg-type]  # drawn from the allowed words

    run_virtual(play())
