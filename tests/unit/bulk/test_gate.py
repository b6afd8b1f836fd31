"""The circuit breaker of a bulk run: when it pauses, who probes, how the rate comes back."""

import asyncio
import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotdx_async.bulk.gate import OutageGate, Result
from spotdx_async.testing import run_virtual

pytestmark = pytest.mark.virtual_time


def make(
    limit_s: float = 1800.0, seed: int = 1, concurrency: int = 64, **told: Callable[..., object]
) -> tuple[OutageGate, list[float]]:
    overdue: list[float] = []
    gate = OutageGate(
        limit_s=limit_s,
        concurrency=concurrency,
        on_overdue=lambda: overdue.append(asyncio.get_running_loop().time()),
        dice=random.Random(seed),
        **told,  # type: ignore[arg-type]  # on_change, on_probe, trouble, busy_s
    )
    return gate, overdue


def now() -> float:
    return asyncio.get_running_loop().time()


async def passes(gate: OutageGate, row: int, within_s: float) -> float | None:
    """When the row may pass; None where it does not within that time."""
    try:
        async with asyncio.timeout(within_s):
            await gate.enter(row)
    except TimeoutError:
        return None
    return now()


async def close(gate: OutageGate) -> None:
    for row in range(5):
        gate.report(row, "bad", began_s=now())
    assert not gate.is_open


async def test_it_is_open_and_free_at_the_start() -> None:
    gate, _ = make()

    assert gate.is_open
    assert gate.is_free
    assert await passes(gate, 1, 0.1) == now()


async def test_a_row_that_rests_keeps_its_place_until_it_leaves() -> None:
    gate, _ = make(concurrency=2)
    assert gate.try_enter(1)
    assert gate.try_enter(2)

    gate.report(1, "bad", began_s=now(), rests=True)

    assert not gate.is_free
    waiting = asyncio.ensure_future(gate.enter(3))
    await asyncio.sleep(1)
    assert not waiting.done()
    gate.leave(1)
    assert await waiting
    assert not gate.is_free
    gate.report(3, "good", began_s=now(), rests=True)
    assert not gate.is_free
    gate.leave(3)  # with nobody who waits
    assert gate.is_free


async def test_five_rows_that_fail_in_a_row_pause_it_and_four_do_not() -> None:
    gate, _ = make()
    for row in range(4):
        gate.report(row, "bad")
    assert gate.is_open

    gate.report(4, "bad")

    assert (gate.is_open, gate.is_free) == (False, False)


async def test_a_row_that_fails_again_and_again_counts_once() -> None:
    gate, _ = make()

    for _ in range(100):
        for row in range(4):
            gate.report(row, "bad", began_s=now())
        await asyncio.sleep(0.1)  # so that seconds pass in which nothing is served

    assert gate.is_open


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.6])
async def test_failures_by_chance_pause_it_hardly_ever(share: float) -> None:
    gate, _ = make()
    dice = random.Random(5)
    pauses = 0

    for row in range(20_000):
        gate.report(row, "bad" if dice.random() < share else "good", began_s=now())
        await asyncio.sleep(0.001)
        if not gate.is_free:
            pauses += not gate.is_open
            await gate.enter(row)
            gate.report(row, "good", began_s=now())

    assert pauses <= 1  # at the beginning, when nobody knows yet how many fail


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6])
async def test_an_outage_after_failures_by_chance_is_seen_soon(share: float) -> None:
    gate, _ = make()
    dice = random.Random(5)
    for row in range(1000):
        gate.report(row, "bad" if dice.random() < share else "good", began_s=now())

    count = 0
    while gate.is_open:
        gate.report(count, "bad", began_s=now())
        count += 1

    assert count <= 60


@pytest.mark.parametrize("a_second", [2, 20, 2000])
async def test_a_second_with_next_to_no_good_result_pauses_it_and_at_a_low_rate_twenty_results(a_second: int) -> None:
    gate, _ = make()
    for row in range(300):  # so that 24 failures in a row are nothing new
        gate.report(row, "good" if row % 2 else "bad", began_s=now())
        await asyncio.sleep(1 / a_second)
    assert (gate.is_open, gate.paused_s) == (True, 0)
    began_s = now()

    row = 300
    while gate.is_open and row < 10_000:
        gate.report(row, "good" if row % 25 == 12 else "bad", began_s=now())
        await asyncio.sleep(1 / a_second)
        row += 1

    assert not gate.is_open
    assert now() - began_s <= max(2.1, 2 * 20 / a_second)


async def test_two_rows_a_second_show_an_outage_within_three_seconds() -> None:
    gate, _ = make()
    for row in range(100):
        gate.report(row, "good", began_s=now())
        await asyncio.sleep(0.5)
    began_s = now()

    row = 100
    while gate.is_open:
        gate.report(row, "bad", began_s=now())
        await asyncio.sleep(0.5)
        row += 1

    assert now() - began_s <= 3


async def test_failures_that_come_back_before_the_answers_are_no_outage() -> None:
    gate, _ = make()
    rows = iter(range(100_000))
    pauses = 0
    for _ in range(20):  # 64 at once: two of five are refused within 5 ms, the others served after a second
        sent = [next(rows) for _ in range(gate.concurrency)]
        for row in sent:
            assert await passes(gate, row, 20) is not None
            assert gate.sends(row)
        began_s = now()
        await asyncio.sleep(0.005)
        for place, row in enumerate(sent):
            if place % 5 < 2:
                gate.report(row, "bad", began_s=began_s)
        pauses += not gate.is_open
        await asyncio.sleep(1)
        for place, row in enumerate(sent):
            if place % 5 >= 2:
                gate.report(row, "good", began_s=began_s)
        if not gate.is_open:
            probe = next(rows)
            await gate.enter(probe)
            gate.report(probe, "good", began_s=now())

    assert pauses <= 1


async def test_no_more_pass_than_the_concurrency_allows() -> None:
    gate, _ = make(concurrency=2)
    assert gate.try_enter(1)
    assert gate.try_enter(2)
    assert not gate.try_enter(3)
    waiting = asyncio.create_task(gate.enter(3))
    await asyncio.sleep(1)
    assert not waiting.done()

    gate.report(1, "none")

    await waiting
    assert not gate.is_free


async def test_throttling_and_rows_that_were_not_sent_are_no_outage() -> None:
    gate, _ = make()

    for row in range(100):
        gate.report(row, "throttled")
        gate.report(row, "none")

    assert gate.is_open


async def test_one_row_at_a_time_probes_at_most_five_seconds_apart() -> None:
    gate, _ = make()
    await close(gate)
    at: list[float] = [now()]

    async def knock(row: int) -> None:
        while True:
            await gate.enter(row)
            at.append(now())
            await asyncio.sleep(0.3)
            assert at[-1] == now() - 0.3  # nobody else passed meanwhile
            gate.report(row, "bad", began_s=now() - 0.3)

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
    gate, _ = make()
    await close(gate)
    at: list[float] = []
    for row in range(10, 20):
        await gate.enter(row)
        assert gate.sends(row)
        at.append(now())

    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert 4 <= min(gaps) <= max(gaps) <= 5

    gate.report(19, "good", began_s=at[-1])
    assert gate.is_open
    for row in range(10, 19):
        gate.report(row, "bad", began_s=at[row - 10])
    assert gate.is_open  # they went before it was back


async def test_a_probe_that_was_not_sent_yet_is_not_overtaken() -> None:
    """As while the client pauses, since the server has named a time."""
    gate, _ = make()
    await close(gate)
    await gate.enter(10)
    second = asyncio.create_task(passes(gate, 11, 1000))
    await asyncio.sleep(300)
    assert not second.done()

    assert gate.sends(10)
    sent_s = now()

    passed_s = await second
    assert passed_s is not None
    assert 4 <= passed_s - sent_s <= 5


async def test_a_probe_that_fails_soon_lets_the_next_one_go_sooner() -> None:
    gate, _ = make()
    await close(gate)
    await gate.enter(10)
    gate.report(10, "bad", began_s=now())
    began_s = now()

    await gate.enter(11)

    assert now() - began_s <= 0.2


async def test_rows_take_turns_in_probing() -> None:
    gate, _ = make()
    await close(gate)
    order: list[int] = []

    async def knock(row: int) -> None:
        for _ in range(2):
            await gate.enter(row)
            order.append(row)
            gate.report(row, "bad", began_s=now())

    await asyncio.gather(*(knock(row) for row in range(10, 14)))

    assert order == [10, 11, 12, 13] * 2


async def test_a_short_outage_is_probed_soon() -> None:
    gate, _ = make()
    await close(gate)
    probes = await probes_until(gate, 2.7)

    gaps = [later - earlier for earlier, later in itertools.pairwise([0.0, *probes])]
    assert gaps[0] <= 0.1
    assert gaps[1] <= 0.2
    assert max(gaps) <= 0.4


async def probes_until(gate: OutageGate, end_s: float) -> list[float]:
    """Probe until then, always in vain; the moments."""
    at: list[float] = []
    while True:
        await gate.enter(900)
        if now() >= end_s:
            return at
        at.append(now())
        gate.report(900, "bad", began_s=now())


@pytest.mark.parametrize(("outage_s", "ramp_s"), [(0.3, 0.06), (2, 0.21), (60, 5), (600, 5)])
async def test_after_a_probe_that_comes_through_the_rate_ramps_up_the_sooner_the_shorter_the_outage(
    outage_s: float, ramp_s: float
) -> None:
    gate, _ = make()
    await close(gate)
    await probes_until(gate, outage_s)
    gate.report(900, "good", began_s=now())
    opened_s = now()
    assert (gate.is_open, gate.is_free) == (True, False)

    at: list[float] = []
    while not gate.is_free:
        await gate.enter(1)
        at.append(now() - opened_s)
        gate.report(1, "good", began_s=now())

    assert 0.5 * ramp_s < at[-1] <= ramp_s + 0.01
    if ramp_s == 5:
        per_second = [sum(second <= moment < second + 1 for moment in at) for second in range(5)]
        assert 10 <= per_second[0] <= 35
        assert all(later > 2 * earlier for earlier, later in itertools.pairwise(per_second))


async def test_it_pauses_where_all_rows_that_are_left_fail_whatever_chance_says() -> None:
    gate, _ = make()
    for row in range(200):
        gate.report(row, "bad" if row % 5 else "good", began_s=now())
    gate.report(200, "good", began_s=now())
    for row in range(201, 206):
        assert not gate.pause_if_all_fail()
        gate.report(row, "bad", began_s=now())
    assert gate.is_open

    assert gate.pause_if_all_fail()

    assert not gate.is_open


async def test_it_closes_again_when_the_ramp_fails() -> None:
    gate, _ = make()
    await close(gate)
    await gate.enter(9)
    gate.report(9, "good", began_s=now())

    for row in range(20, 25):
        await gate.enter(row)
        gate.report(row, "bad", began_s=now())

    assert not gate.is_open


async def test_an_answer_to_a_request_from_before_does_not_open_it() -> None:
    gate, _ = make()
    began_s = now()
    await asyncio.sleep(1)
    await close(gate)

    gate.report(50, "good", began_s=began_s)

    assert not gate.is_open


async def test_an_answer_that_throttles_shows_that_the_server_is_back() -> None:
    gate, _ = make()
    await close(gate)
    await gate.enter(9)

    gate.report(9, "throttled", began_s=now())

    assert gate.is_open


async def test_a_probe_that_was_not_sent_lets_the_next_one_go_at_once() -> None:
    gate, _ = make()
    await close(gate)
    await gate.enter(9)

    gate.report(9, "none")

    assert await passes(gate, 10, 0.001) == now()


@pytest.mark.parametrize("is_served", [False, True])
async def test_a_cancelled_probe_gives_its_turn_to_the_next(*, is_served: bool) -> None:
    like, _ = make()  # with the same jitter: it shows when the first probe passes
    await close(like)
    began_s = now()
    passed_s = await passes(like, 9, 60)
    assert passed_s is not None
    waits_s = passed_s - began_s
    gate, _ = make()
    await close(gate)
    first = asyncio.create_task(gate.enter(9))
    await asyncio.sleep(0)
    second = asyncio.create_task(passes(gate, 10, 60))
    if is_served:  # in the very turn of the loop in which it was let in
        asyncio.get_running_loop().call_at(now() + waits_s + 1e-10, first.cancel)
    else:
        first.cancel()

    assert await second is not None
    assert first.cancelled()
    assert gate.lets(10)
    assert not gate.lets(9)


async def test_a_probe_s_turn_that_nobody_takes_is_there_for_the_next_who_comes() -> None:
    gate, _ = make()
    await close(gate)
    assert await passes(gate, 9, 0.01) is None  # gone before its turn
    await asyncio.sleep(10)

    assert await passes(gate, 10, 0.001) == now()

    assert gate.lets(10)


async def test_a_row_that_entered_before_it_closed_may_not_go_any_more() -> None:
    gate, _ = make()
    assert gate.lets(77)

    await close(gate)

    assert not gate.lets(77)


async def test_who_waits_for_a_place_is_sent_back_when_a_pause_begins() -> None:
    gate, _ = make(concurrency=1)
    assert gate.try_enter(20)
    waiting = [asyncio.create_task(gate.enter(row)) for row in (21, 22)]
    await asyncio.sleep(0)

    await close(gate)

    assert await asyncio.gather(*waiting) == [False, False]
    assert await passes(gate, 23, 0.2) is not None  # they hold no place


async def test_first_tries_in_a_pause_say_nothing_of_chance() -> None:
    gate, _ = make()
    await close(gate)
    for row in range(10, 1000):
        gate.report(row, "bad", began_s=now(), is_first=True)

    assert gate.first_tries.failing < 0.05


async def test_a_pause_can_be_ended_for_good() -> None:
    gate, overdue = make(limit_s=60)
    await close(gate)
    await probes_until(gate, 10)
    gate.report(900, "none")

    gate.stay_open()

    assert gate.is_open
    assert gate.paused_s == 0
    for row in range(2000):
        gate.report(row, "bad", began_s=now())
        assert not gate.pause_if_all_fail()
    await asyncio.sleep(100)
    assert gate.is_open
    assert overdue == []


async def test_an_outage_that_lasts_is_told_once() -> None:
    gate, overdue = make(limit_s=60)
    await close(gate)
    closed_s = now()

    await asyncio.sleep(500)

    assert overdue == [closed_s + 60]


async def test_an_outage_that_ends_in_time_is_not_told() -> None:
    gate, overdue = make(limit_s=60)
    await close(gate)
    await gate.enter(9)
    gate.report(9, "good", began_s=now())

    await asyncio.sleep(500)

    assert overdue == []


async def test_throttling_without_end_is_told() -> None:
    gate, overdue = make(limit_s=60)
    for _ in range(70):
        gate.report(1, "throttled")
        await asyncio.sleep(1)
    assert len(overdue) == 1

    gate.report(1, "good")
    for _ in range(50):
        gate.report(1, "throttled")
        await asyncio.sleep(1)
    assert len(overdue) == 1


async def test_it_says_whether_a_row_was_served_since() -> None:
    gate, _ = make()
    assert not gate.has_served_since(now())
    await asyncio.sleep(1)
    began_s = now()
    await asyncio.sleep(1)

    gate.report(1, "good", began_s=began_s)

    gate.report(2, "good", began_s=began_s - 1)  # sent sooner, and answered later

    assert gate.has_served_since(began_s - 0.1)
    assert not gate.has_served_since(began_s)  # it had gone before an outage that began just then


async def test_everybody_passes_when_the_run_is_over() -> None:
    gate, _ = make()
    await close(gate)
    waiting = [asyncio.create_task(gate.enter(row)) for row in range(10, 20)]
    await asyncio.sleep(0)

    gate.release()

    await asyncio.gather(*waiting)
    assert now() == 0


def state(gate: OutageGate, name: str) -> object:
    return {
        "doubt": gate.is_doubtful,
        "likely once": gate.makes_likely(1),
        "likely thrice": gate.makes_likely(3),
        "reports": gate.reports,
        "first tries": (gate.first_tries.seen.count, gate.first_tries.seen.bad),
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
    gate, _ = make()

    for row, result in results:
        gate.report(row, result, began_s=now(), is_first=True)

    assert state(gate, name) == value


async def test_only_a_row_s_first_try_counts_as_such() -> None:
    gate, _ = make()

    gate.report(1, "bad", began_s=now(), is_first=True)
    gate.report(1, "good", began_s=now())

    assert state(gate, "first tries") == (1, 1)


async def test_failures_of_before_the_pause_between_answers_count_as_chance() -> None:
    gate, _ = make()
    began_s = now()
    await asyncio.sleep(1)
    await close(gate)

    for row, result in HALF:
        gate.report(row, result, began_s=began_s)  # type: ignore[arg-type]  # from the allowed words

    assert not gate.is_open
    assert gate.makes_likely(8)


async def test_failures_of_before_the_pause_bring_no_probe_forward() -> None:
    gate, _ = make()
    began_s = now()
    await asyncio.sleep(1)
    await close(gate)
    await gate.enter(9)
    assert gate.sends(9)
    sent_s = now()

    for row in range(50, 60):
        gate.report(row, "bad", began_s=began_s)

    passed_s = await passes(gate, 10, 60)
    assert passed_s is not None
    assert passed_s - sent_s >= 4


async def test_a_probe_that_still_hangs_takes_nobody_s_place() -> None:
    gate, _ = make(concurrency=1)
    await close(gate)
    await gate.enter(9)
    assert gate.sends(9)
    await gate.enter(10)

    gate.report(10, "good", began_s=now())

    assert await passes(gate, 11, 0.2) is not None


async def test_a_pause_within_a_pause_is_the_same() -> None:
    gate, _ = make()
    await close(gate)
    await asyncio.sleep(10)

    assert gate.pause_if_all_fail()

    assert gate.paused_s == 10


async def test_the_first_tries_with_which_an_outage_began_say_nothing_of_chance() -> None:
    gate, _ = make()
    gate.report(50, "good", began_s=now(), is_first=True)

    for row in range(5):
        gate.report(row, "bad", began_s=now(), is_first=True)

    assert not gate.is_open
    assert state(gate, "first tries") == (1, 0)


async def keep_failing(gate: OutageGate, rows: range, seconds: float) -> None:
    for place in range(round(seconds * 50)):
        gate.report(rows[place % len(rows)], "bad", began_s=now())
        await asyncio.sleep(0.02)


async def test_four_rows_that_fail_and_later_four_others_pause_nothing() -> None:
    gate, _ = make()
    await keep_failing(gate, range(4), 2)
    for row in range(100, 200):
        gate.report(row, "good", began_s=now())
        await asyncio.sleep(0.02)

    await keep_failing(gate, range(4, 8), 5)

    assert gate.is_open


async def test_four_rows_that_fail_after_an_outage_do_not_pause_it_again() -> None:
    gate, _ = make()
    await close(gate)
    await gate.enter(9)
    gate.report(9, "good", began_s=now())
    await asyncio.sleep(1)
    assert await passes(gate, 50, 1) is not None  # the rate is back
    gate.report(50, "good", began_s=now())

    await keep_failing(gate, range(10, 14), 5)

    assert gate.is_open


async def half_fail(gate: OutageGate, seconds: float) -> int:
    """Let half of the rows fail; the least concurrency meanwhile."""
    least = gate.concurrency
    for row in range(round(seconds * 50)):
        gate.report(row, "good" if row % 2 else "bad", began_s=now())
        least = min(least, gate.concurrency)
        await asyncio.sleep(0.02)
    return least


async def test_an_outage_takes_back_a_cut_of_the_concurrency_that_was_on_trial() -> None:
    gate, _ = make()
    await half_fail(gate, 1.1)
    assert gate.concurrency < 64
    for row in range(40):
        gate.report(row, "bad", began_s=now())
    assert not gate.is_open
    await probes_until(gate, 10)
    gate.report(900, "good", began_s=now())

    while not gate.is_free:
        assert await passes(gate, 1, 5) is not None
        gate.report(1, "none")

    assert gate.concurrency == 64


async def test_failures_while_the_rate_comes_back_cut_no_concurrency() -> None:
    gate, _ = make()
    await close(gate)
    await probes_until(gate, 60)
    gate.report(900, "good", began_s=now())

    assert await half_fail(gate, 3) == 64

    assert (gate.is_open, gate.is_free) == (True, False)


async def test_in_a_pause_nothing_but_a_probe_is_sent() -> None:
    probes: list[float] = []
    gate, _ = make(on_probe=lambda: probes.append(now()))
    assert gate.try_enter(77)
    assert gate.try_enter(78)
    assert gate.sends(77)
    for row in range(5):
        gate.report(row, "bad", began_s=now())
    assert gate.pause_if_all_fail()
    assert probes == []

    assert not gate.sends(78)
    assert await gate.enter(9)
    assert probes == []  # it may still wait for the rate limit
    assert gate.sends(9)

    assert probes == [now()]


async def test_throttling_of_a_request_from_before_does_not_open_it() -> None:
    gate, _ = make()
    began_s = now()
    await asyncio.sleep(1)
    await close(gate)

    gate.report(50, "throttled", began_s=began_s)

    assert not gate.is_open


async def test_the_pause_is_told_with_its_cause_and_its_length(caplog: pytest.LogCaptureFixture) -> None:
    changes: list[tuple[str, float]] = []
    gate, _ = make(
        on_change=lambda change, after_s: changes.append((change, after_s)), trouble=lambda: "spot.example: refused"
    )
    await close(gate)
    assert (changes, gate.paused_s) == ([("closed", 0.0)], 0)
    assert "the server is out of order (spot.example: refused)" in caplog.messages[-1]
    await probes_until(gate, 3)
    paused_s = now()
    assert gate.paused_s == paused_s

    gate.report(900, "good", began_s=now())

    assert (changes[1:], gate.paused_s) == ([("open", paused_s)], 0)
    assert f"the server is back after {paused_s:.1f} s" in caplog.messages[-1]

    for row in range(5):
        gate.report(row, "bad", began_s=now())
    gate.stay_open()

    assert changes[2:] == [("closed", 0.0), ("open", 0.0)]
    assert "after 0.0 s only rows are left that have failed" in caplog.messages[-1]


async def test_while_it_is_to_stay_open_nothing_pauses_it() -> None:
    gate, _ = make()
    stays = [gate.stays_open]
    gate.stay_open()
    stays.append(gate.stays_open)
    for row in range(100):
        gate.report(row, "bad", began_s=now())
    assert gate.is_open

    gate.may_pause()

    stays.append(gate.stays_open)
    assert stays == [False, True, False]
    assert gate.pause_if_all_fail()


async def test_who_waits_passes_when_the_pause_is_ended_for_good() -> None:
    gate, _ = make()
    await close(gate)
    waiting = asyncio.create_task(gate.enter(9))
    await asyncio.sleep(0)

    gate.stay_open()

    assert await waiting
    assert now() == 0


async def test_an_outage_is_told_only_when_rows_have_waited_all_the_time() -> None:
    waiting_since_s = 50.0
    gate, overdue = make(limit_s=60, busy_s=lambda: now() - waiting_since_s)
    await close(gate)

    await asyncio.sleep(500)

    assert overdue == [110]


async def test_throttling_that_began_anew_after_an_answer_is_counted_from_there() -> None:
    gate, overdue = make(limit_s=60)
    gate.report(1, "throttled", began_s=now())
    await asyncio.sleep(50)
    gate.report(2, "good", began_s=now())
    gate.report(3, "throttled", began_s=now())

    await asyncio.sleep(500)

    assert overdue == [110]


async def test_nothing_is_told_when_the_run_is_over() -> None:
    gate, overdue = make(limit_s=60)
    gate.release()
    gate.report(1, "throttled", began_s=now())
    await close(gate)
    gone = asyncio.create_task(gate.enter(9))
    await asyncio.sleep(0)
    gone.cancel()

    gate.release()

    await asyncio.sleep(500)
    assert overdue == []
    assert gate.try_enter(10) is False  # it stays paused, and has no place left that nobody gives back


@settings(deadline=None)  # the machine's speed is no matter here
@given(
    results=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["good", "bad", "throttled", "none"])), min_size=1, max_size=120
    ),
    seed=st.integers(0, 1000),
)
def test_whatever_happens_a_row_that_waits_passes_in_time(results: list[tuple[int, str]], seed: int) -> None:
    async def play() -> None:
        gate, _ = make(seed=seed)
        for row, result in results:
            if not gate.is_free:
                async with asyncio.timeout(5.01):
                    await gate.enter(row)
            gate.report(row, result, began_s=now())  # type: ignore[arg-type]  # drawn from the allowed words

    run_virtual(play())
