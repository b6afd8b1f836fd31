"""Leases: whatever workers do, and however many are lost, the slots together stay within the limit."""

import asyncio
import bisect
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async import NotSentError, RateLimit
from spotdx_async.distributed.coordinator import LedgerLimiter, SlotBlock, SlotLedger
from spotdx_async.limits.block_limiter import HORIZON_S

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 300)),
        st.tuples(st.just("wait"), st.floats(0, 3)),
        st.tuples(st.just("pause"), st.floats(0, 2)),
    ),
    max_size=60,
)


@given(rate=st.floats(0.1, 2000), steps=STEPS)
def test_no_window_holds_more_slots_than_the_limit(rate: float, steps: list[tuple[str, float]]) -> None:
    book, now = SlotLedger(RateLimit(rate)), 1000.0
    slots: list[float] = []
    for act, number in steps:
        if act == "wait":
            now += number
        elif act == "pause":
            book.pause(now, number)
            kept = len(slots)
            block = book.take(now, 5)
            slots += [now + slot for slot in block.slots_s]
            assert all(slot >= now + number - 1e-6 for slot in slots[kept:])
        else:
            block = book.take(now, int(number))
            assert len(block.slots_s) <= number
            assert all(0 <= slot <= HORIZON_S + 1e-9 for slot in block.slots_s)
            assert block.slots_s or block.again_s > 0
            slots += [now + slot for slot in block.slots_s]
    assert slots == sorted(slots)
    for window in (0.1, 1.0, 5.0):
        for start, at in enumerate(slots):
            count = bisect.bisect_left(slots, at + window) - start
            assert count <= rate * window + 1 + 1e-3


class Workers:
    """Limiters of several processes at one book, with the time at which each slot was used."""

    def __init__(self, rate: float, *, delay_s: float = 0.0) -> None:
        self.limit = RateLimit(rate)
        self.book = SlotLedger(self.limit)
        self.used: list[float] = []
        self.is_away = False
        self.error: BaseException | None = None
        self.asked = 0
        self._delay_s = delay_s

    def limiter(self) -> LedgerLimiter:
        return LedgerLimiter(self._take, self._pause, limit=self.limit)

    async def _take(self, wanted: int) -> SlotBlock:
        self.asked += 1
        await asyncio.sleep(self._delay_s)
        if self.is_away:
            raise OSError("away")
        if self.error is not None:
            raise self.error
        return self.book.take(asyncio.get_running_loop().time(), wanted)

    async def _pause(self, seconds: float) -> None:
        self.book.pause(asyncio.get_running_loop().time(), seconds)

    async def use(self, limiter: LedgerLimiter) -> None:
        while True:
            await limiter.acquire()
            self.used.append(asyncio.get_running_loop().time())

    def most_within(self, seconds: float) -> int:
        used = sorted(self.used)
        return max(bisect.bisect_left(used, at + seconds) - start for start, at in enumerate(used))


async def run_for(seconds: float, *work: Callable[[], Awaitable[object]]) -> None:
    tasks = [asyncio.ensure_future(one()) for one in work]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.virtual_time
@pytest.mark.parametrize("rate", [0.5, 7, 300])
async def test_workers_come_and_go_and_the_rate_is_used_up_and_never_passed(rate: float) -> None:
    workers = Workers(rate, delay_s=0.003)
    crew = [workers.limiter() for _ in range(5)]

    async def worker(limiter: LedgerLimiter, from_s: float, until_s: float) -> None:
        await asyncio.sleep(from_s)
        await run_for(until_s - from_s, *[lambda: workers.use(limiter)] * 16)

    spans = [(0, 30), (0, 12), (5, 30), (20, 30), (29, 30)]
    await asyncio.gather(*(worker(limiter, *span) for limiter, span in zip(crew, spans, strict=True)))
    for limiter in crew:
        await limiter.close()

    for window in (1, 5):
        assert workers.most_within(window) <= rate * window + workers.limit.burst_size + 1
    # Each that goes takes up to a horizon of its own slots with it.
    assert len(workers.used) >= rate * 30 * 0.9 - 5


@pytest.mark.virtual_time
async def test_a_pause_holds_here_at_once_and_elsewhere_within_the_horizon() -> None:
    workers = Workers(100)
    one, other = workers.limiter(), workers.limiter()
    loop = asyncio.get_running_loop()

    async def pause() -> None:
        await asyncio.sleep(2)
        one.pause(3)

    began = loop.time()
    await run_for(8, lambda: workers.use(one), *[lambda: workers.use(other)] * 20, pause)
    used = [at - began for at in workers.used]

    assert not [at for at in used if 2 + HORIZON_S < at < 5]
    assert [at for at in used if at > 5.1]
    await one.close()
    await other.close()


@pytest.mark.virtual_time
async def test_nothing_goes_while_nobody_answers() -> None:
    workers = Workers(100)
    workers.is_away = True
    limiter = workers.limiter()
    await run_for(3, lambda: workers.use(limiter))
    assert not workers.used

    workers.is_away = False
    await run_for(1, lambda: workers.use(limiter))
    assert workers.used
    await limiter.close()


@pytest.mark.virtual_time
async def test_a_cancelled_wait_gives_its_slot_to_the_next() -> None:
    workers = Workers(1)
    limiter = workers.limiter()
    await limiter.acquire()
    first, second = asyncio.ensure_future(limiter.acquire()), asyncio.ensure_future(limiter.acquire())
    await asyncio.sleep(0.5)
    first.cancel()
    await asyncio.wait_for(second, 0.6)
    assert first.cancelled()
    await limiter.close()


@pytest.mark.virtual_time
async def test_a_closed_limiter_lets_nobody_wait() -> None:
    workers = Workers(0.1)
    limiter = workers.limiter()
    await limiter.acquire()
    waiting = asyncio.ensure_future(limiter.acquire())
    await asyncio.sleep(0.1)
    await limiter.close()

    for one in (waiting, limiter.acquire()):
        with pytest.raises(NotSentError) as caught:
            await one
        assert caught.value.reason == "closed"


@pytest.mark.virtual_time
async def test_an_error_that_nobody_expects_reaches_everybody_who_waits() -> None:
    workers = Workers(10)
    workers.error = MemoryError("unexpected")
    limiter = workers.limiter()
    waits = [asyncio.ensure_future(limiter.acquire()) for _ in range(5)]

    results = await asyncio.gather(*waits, return_exceptions=True)

    assert {(type(result), str(result)) for result in results} == {(MemoryError, "unexpected")}
    workers.error = None
    await limiter.acquire()
    await limiter.close()


@pytest.mark.virtual_time
async def test_whoever_cancels_the_limiter_s_own_task_leaves_nobody_waiting() -> None:
    workers = Workers(0.01)
    limiter = workers.limiter()
    await limiter.acquire()
    waits = [asyncio.ensure_future(limiter.acquire()) for _ in range(3)]
    await asyncio.sleep(1)
    assert limiter._pump is not None

    limiter._pump.cancel()

    results = await asyncio.gather(*waits, return_exceptions=True)
    assert {type(result) for result in results} == {NotSentError}
    await limiter.close()


@pytest.mark.virtual_time
async def test_single_calls_go_before_rows_which_get_a_tenth() -> None:
    workers = Workers(10, delay_s=0.003)
    limiter = workers.limiter()
    order: list[str] = []

    async def take(kind: str) -> None:
        await (limiter.acquire() if kind == "call" else limiter.acquire_bulk())
        order.append(kind)

    rows = [asyncio.create_task(take("row")) for _ in range(30)]
    await asyncio.sleep(1)
    before = len(order)
    await asyncio.gather(*(take("call") for _ in range(20)))
    during = order[before:]
    await asyncio.gather(*rows)
    await limiter.close()

    assert 1 <= during.count("row") <= 4


@pytest.mark.virtual_time
async def test_cancelled_waiters_are_not_kept_while_nobody_answers() -> None:
    workers = Workers(10)
    workers.is_away = True
    limiter = workers.limiter()
    waits = [asyncio.create_task(acquire()) for acquire in (limiter.acquire, limiter.acquire_bulk) for _ in range(5000)]
    await asyncio.sleep(1)
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)

    assert not limiter._waiters
    await limiter.close()


@pytest.mark.virtual_time
async def test_a_slot_that_is_given_back_goes_to_the_next() -> None:
    workers = Workers(1)
    limiter = workers.limiter()
    await limiter.acquire()
    waiting = asyncio.ensure_future(limiter.acquire())
    await asyncio.sleep(0.1)

    limiter.give_back()

    await asyncio.wait_for(waiting, 0.05)
    await limiter.close()
