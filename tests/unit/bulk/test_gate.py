"""The outage gate: when it closes, who probes, how the rate comes back."""

import asyncio
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async.bulk.gate import OutageGate
from spotdx_async.testing import run_virtual

pytestmark = pytest.mark.virtual_time


def make(limit_s: float = 1800.0, seed: int = 1) -> tuple[OutageGate, list[float]]:
    overdue: list[float] = []
    gate = OutageGate(
        limit_s=limit_s,
        on_overdue=lambda: overdue.append(asyncio.get_running_loop().time()),
        dice=random.Random(seed),
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


async def test_five_rows_that_fail_in_a_row_close_it_and_four_do_not() -> None:
    gate, _ = make()
    for row in range(4):
        gate.report(row, "bad")
    assert gate.is_open
    gate.report(7, "good")
    for row in range(4):
        gate.report(row, "bad")
    assert gate.is_open

    gate.report(4, "bad")

    assert (gate.is_open, gate.is_free) == (False, False)


async def test_a_row_that_fails_again_and_again_counts_once() -> None:
    gate, _ = make()

    for _ in range(100):
        for row in range(4):
            gate.report(row, "bad")

    assert gate.is_open


async def test_half_of_the_last_twenty_close_it() -> None:
    gate, _ = make()
    for row in range(0, 18, 2):
        gate.report(row, "good")
        gate.report(row + 1, "bad")
    assert gate.is_open

    gate.report(18, "good")
    gate.report(19, "bad")

    assert not gate.is_open


async def test_results_long_past_do_not_count() -> None:
    gate, _ = make()
    for row in range(9):
        gate.report(row, "bad")
        gate.report(row, "good")
    for row in range(20):
        gate.report(row, "good")

    gate.report(30, "bad")

    assert gate.is_open


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
    assert max(gaps) - min(gaps[3:]) > 1  # jitter


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


async def test_a_probe_that_comes_through_opens_it_and_the_rate_ramps_up() -> None:
    gate, _ = make()
    await close(gate)
    await gate.enter(9)
    gate.report(9, "good", began_s=now())
    opened_s = now()
    assert (gate.is_open, gate.is_free) == (True, False)

    at: list[float] = []
    while not gate.is_free:
        await gate.enter(1)
        at.append(now() - opened_s)
        gate.report(1, "good", began_s=now())

    per_second = [sum(second <= moment < second + 1 for moment in at) for second in range(5)]
    assert 10 <= per_second[0] <= 35
    assert all(later > 2 * earlier for earlier, later in itertools.pairwise(per_second))
    assert 4.9 < at[-1] <= 5.1


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
    gate, _ = make()
    await close(gate)
    first = asyncio.create_task(gate.enter(9))
    await asyncio.sleep(0)
    second = asyncio.create_task(passes(gate, 10, 60))
    if is_served:  # in the very turn of the loop in which it was let in
        asyncio.get_running_loop().call_at(gate._next_at_s + 1e-10, first.cancel)
    else:
        first.cancel()

    assert await second is not None
    assert gate.lets(10)


async def test_a_row_that_entered_before_it_closed_may_not_go_any_more() -> None:
    gate, _ = make()
    assert gate.lets(77)

    await close(gate)

    assert not gate.lets(77)


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
    before = now()
    await asyncio.sleep(1)

    gate.report(1, "good", began_s=before)

    assert gate.has_served_since(before)
    assert not gate.has_served_since(now())


@pytest.mark.parametrize(("one_in", "least", "most"), [(10**9, 1, 1), (20, 6, 8), (5, 11, 15), (2, 27, 32)])
async def test_the_more_rows_fail_the_more_failures_are_chance(one_in: int, least: int, most: int) -> None:
    gate, _ = make()
    for row in range(4000):
        gate.report(row, "bad" if row % one_in == one_in - 1 else "good", is_first=True)

    too_many = next(count for count in range(1, 100) if not gate.explains(count))

    assert least <= too_many <= most


async def test_everybody_passes_when_the_run_is_over() -> None:
    gate, _ = make()
    await close(gate)
    waiting = [asyncio.create_task(gate.enter(row)) for row in range(10, 20)]
    await asyncio.sleep(0)

    gate.release()

    await asyncio.gather(*waiting)
    assert now() == 0


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
