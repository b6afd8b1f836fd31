"""Calls cancelled anywhere, and clients closed in the middle: nothing is left, and nothing is lost."""

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest

from spotdx_async import (
    NewPatient,
    NotSentError,
    OutcomeUnknownError,
    RateLimit,
    RetryPolicy,
    SpotClient,
    SpotError,
)
from spotdx_async._http.call import Call
from spotdx_async._http.messages import AttemptState, Reply, Request
from spotdx_async.testing import FakeSpot, Fault, faults

pytestmark = [pytest.mark.virtual_time, pytest.mark.no_cover]

CONCURRENCY = 8
RATE = 100.0
KITS = [f"SPOT{n}" for n in range(250)]
PATIENT = NewPatient(
    first_name="Robin", last_name="Sample", email="robin@example.com", sex="F", date_of_birth=date(1990, 1, 31)
)
OF_ONE_CALL = (Request, Reply, AttemptState, Call)
TROUBLES: tuple[Fault | str, ...] = (
    *("401", "429", "500", "503", "drop_before", "drop_after", "half_body", "unreadable"),
    *(faults.slow(0.2), faults.slow_answer(0.5), faults.status(503, retry_after=1)),
)
Act = Callable[[SpotClient, int], Awaitable[object]]


# What is cancelled.


async def update(spot: SpotClient, n: int) -> object:
    return await spot.kits.update_metadata(KITS[n % len(KITS)], {"n": n})


async def read(spot: SpotClient, n: int) -> object:
    return await spot.kits.get(KITS[n % len(KITS)])


async def create(spot: SpotClient, _: int) -> object:
    return await spot.patients.create(PATIENT)


async def write_once(spot: SpotClient, n: int) -> object:
    return await spot.request("POST", f"/api/v2/kits/{KITS[n % len(KITS)]}/", json={"metadata": {"n": n}})


async def walk_a_list(spot: SpotClient, _: int) -> object:
    count = 0
    async for _kit in spot.kits.list():
        count += 1
        if not count % 40:
            await asyncio.sleep(0)
    return count


async def read_one_page(spot: SpotClient, _: int) -> object:
    async for page in spot.kits.list().by_page():
        await asyncio.sleep(0.01)  # the next page is under way
        return len(page)
    return 0


async def run_a_bulk(spot: SpotClient, n: int) -> object:
    run = spot.kits.update_metadata_many(((KITS[(n + k) % 250], {"n": n}) for k in range(30)), concurrency=4)
    async with aclosing(run):
        return [outcome.state async for outcome in run]


async def leave_a_bulk(spot: SpotClient, n: int) -> object:
    async with spot.kits.update_metadata_many((KITS[(n + k) % 250], {"n": n}) for k in range(30)) as run:
        async for outcome in run:
            await asyncio.sleep(0)
            if outcome.index > 10:
                break
    return None


async def under_a_timeout(spot: SpotClient, n: int) -> object:
    with suppress(TimeoutError):
        async with asyncio.timeout(0.15):
            return await update(spot, n)
    return None


async def under_a_deadline(spot: SpotClient, n: int) -> object:
    return await spot.with_options(deadline_s=0.15).kits.get(KITS[n % len(KITS)])


ACTS: tuple[Act, ...] = (
    *(update, update, read, create, write_once, walk_a_list, read_one_page),
    *(run_a_bulk, leave_a_bulk, under_a_timeout, under_a_deadline),
)


# What must not be left.


def sockets() -> int:
    gc.collect()  # what earlier tests have left goes first
    found = 0
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder's own, closed meanwhile
            found += fd.readlink().name.startswith("socket:")
    return found


def other_tasks() -> list[str]:
    """Every task but this one and the server's, and a question for a token, which the next call takes up."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    names = [str(task.get_coro()) for task in others if task.get_name() != "spotdx token"]
    return [name for name in names if "RequestHandler." not in name]


def things_of_calls() -> set[int]:
    gc.collect()
    return {id(thing) for thing in gc.get_objects() if type(thing) in OF_ONE_CALL}


@pytest.fixture
def others() -> set[int]:
    """What other tests' modules hold of calls, before this test."""
    return things_of_calls()


def changing_token(fake: FakeSpot, wait_s: float = 0.05) -> Callable[[], Awaitable[str]]:
    """Give a token function that takes its time; a 401 makes it be asked again."""
    number = 0

    async def source() -> str:
        nonlocal number
        number += 1
        token = f"token-{number}"
        fake.accepted_tokens.add(token)
        await asyncio.sleep(wait_s)
        return token

    return source


@attrs.define
class Cancelled:
    """How the cancelled tasks ended."""

    cancels: int = 0
    took_s: float = 0.0
    """The longest virtual time that a cancellation took to come through."""
    steps: int = 0
    """The most loop steps of the same."""


async def cancel_at_random(task: "asyncio.Task[object]", dice: random.Random, found: Cancelled) -> None:
    """Let the task go on for some steps and some time, cancel it, and see how soon that comes through."""
    clock = asyncio.get_running_loop()
    if dice.random() < 0.7:
        await asyncio.sleep(dice.choice([0.01, 0.1, 0.5, 2.0]) * dice.random())
    for _ in range(dice.randrange(40)):
        await asyncio.sleep(0)
    if not task.cancel():
        return
    found.cancels += 1
    start, steps = clock.time(), 0
    while not task.done():
        await asyncio.sleep(0)
        steps += 1
        assert steps < 1000, f"a cancellation does not come through: {task}"
    assert task.cancelled(), f"a cancellation was swallowed: {task}"
    found.took_s = max(found.took_s, clock.time() - start)
    found.steps = max(found.steps, steps)


async def run_batch(spot: SpotClient, dice: random.Random, first: int, count: int, found: Cancelled) -> None:
    """Start calls of all kinds, more than there are places; cancel most of them."""
    tasks = [asyncio.ensure_future(dice.choice(ACTS)(spot, n)) for n in range(first, first + count)]
    async with asyncio.TaskGroup() as cancels:
        for task in tasks:
            if dice.random() < 0.95:
                cancels.create_task(cancel_at_random(task, dice, found))
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        assert not isinstance(end, BaseException) or isinstance(end, (SpotError, asyncio.CancelledError)), repr(end)


async def check_that_nothing_is_left(spot: SpotClient, others: set[int]) -> None:
    for _ in range(20):
        await asyncio.sleep(0)  # generators that were left are closed by the loop
    assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)
    assert other_tasks() == []
    assert things_of_calls() <= others


async def check_that_all_works(fake: FakeSpot, spot: SpotClient) -> None:
    """The next call works at once, all places are there, and the limiter hands out slots on its schedule."""
    clock = asyncio.get_running_loop()
    start = clock.time()
    await update(spot, 0)
    assert clock.time() - start <= 1
    latency_s, fake.latency_s, fake.peak_in_flight = fake.latency_s, 1.0, 0
    await asyncio.gather(*(update(spot, n) for n in range(3 * CONCURRENCY)))
    assert fake.peak_in_flight == CONCURRENCY
    fake.latency_s = latency_s
    limiter = spot._runner.state.limiter
    start = clock.time()
    for _ in range(101):
        await limiter.acquire()
    burst = RateLimit(RATE).burst_size
    assert clock.time() - start == pytest.approx((101 - burst) / RATE, abs=0.001)


async def test_calls_cancelled_at_random_points_leave_nothing_behind(chaos: Any, others: set[int]) -> None:
    dice, found, first = random.Random(chaos.seed), Cancelled(), 0
    before = sockets()
    async with FakeSpot(kits=KITS, latency_s=0.02, keep_requests=False) as fake:
        options = {"concurrency": CONCURRENCY, "rate_limit": RateLimit(RATE), "timeout_s": 5}
        async with fake.client(token=changing_token(fake), **options) as spot:
            while found.cancels < (10_000 if chaos.is_full else 400):
                fake.faults.random(0.2, seed=chaos.seed + first, kinds=TROUBLES)
                await run_batch(spot, dice, first, 100, found)
                fake.faults.clear()
                await check_that_nothing_is_left(spot, others)
                await asyncio.sleep(3)  # the longest pause that the server has asked for, and its own slow answers
                assert spot._runner.state.auth._asking is None
                await check_that_all_works(fake, spot)
                assert sockets() <= before + 1 + 2 * CONCURRENCY  # both ends of each, and the server's own
                first += 100
        await asyncio.sleep(0.1)
        assert sockets() <= before + 1
    print(f"{found.cancels} cancels; at most {found.steps} steps and {found.took_s:.3f} s until they came through")  # noqa: T201
    assert found.took_s == 0


STEPWISE: tuple[tuple[Act, str | None, bool], ...] = (
    (update, None, True),
    (update, "503", True),
    (update, "401", True),
    (update, "429", False),
    (read, "drop_before", False),
    (create, None, True),
    (walk_a_list, None, True),
    (walk_a_list, "503", False),
    (read_one_page, None, False),
    (run_a_bulk, None, True),
    (run_a_bulk, "503", False),
    (under_a_deadline, None, False),
)


@pytest.mark.parametrize(
    ("act", "trouble", "in_short"), STEPWISE, ids=[f"{act.__name__}-{trouble}" for act, trouble, _ in STEPWISE]
)
async def test_a_call_cancelled_at_any_step_leaves_nothing_behind(
    act: Act, trouble: str | None, chaos: Any, others: set[int], *, in_short: bool
) -> None:
    if not in_short and not chaos.is_full:
        pytest.skip("only with SPOTDX_CHAOS=full")
    stride = 4 if act is run_a_bulk and not chaos.is_full else 1
    retry = RetryPolicy(base_s=0.001, throttle_base_s=0.001)
    options = {"concurrency": 2, "rate_limit": RateLimit(1000, burst=1), "retry": retry}
    async with FakeSpot(kits=KITS) as fake, fake.client(token=changing_token(fake, 0.001), **options) as spot:
        await update(spot, 0)
        steps = chaos.seed % stride
        if trouble is not None:
            fake.faults.add(trouble)
        while await cancel_after(asyncio.ensure_future(act(spot, steps)), steps):
            for _ in range(5):
                await asyncio.sleep(0)  # a list that was left between two pages is closed by the loop
            assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)
            fake.faults.clear()
            if trouble is not None:
                fake.faults.add(trouble)
            steps += stride
        print(f"done after {steps} steps")  # noqa: T201
        assert steps > 10
        fake.faults.clear()
        await check_that_nothing_is_left(spot, others)
        assert spot._runner.state.permits.free == 2
        await asyncio.wait_for(update(spot, 0), 1)


async def cancel_after(task: "asyncio.Task[object]", steps: int) -> bool:
    """Cancel a task after so many steps of the loop; False where it was done before."""
    for step in range(steps):
        if task.done():
            break
        await asyncio.sleep(0.001 if step % 8 == 7 else 0)  # time stands still during the others
    was_cancelled = task.cancel()
    for _ in range(100):
        if task.done():
            break
        await asyncio.sleep(0)
    assert task.cancelled() == was_cancelled
    if not was_cancelled:
        await task
    return was_cancelled


async def test_a_slot_whose_call_is_cancelled_before_it_is_sent_goes_to_the_next(fake_spot: FakeSpot) -> None:
    """The token was refused while the call waited for its slot: it has the slot, and waits for a new token."""
    async with fake_spot.client(token=changing_token(fake_spot), rate_limit=RateLimit(1, burst=1)) as spot:
        await read_the_example(spot)
        clock, auth = asyncio.get_running_loop(), spot._runner.state.auth
        waiting = asyncio.ensure_future(read_the_example(spot))
        await asyncio.sleep(0.9)
        auth.current = None  # as a 401 to another call does
        await asyncio.sleep(0.12)
        assert auth._asking is not None
        assert waiting.cancel()
        start = clock.time()
        await read_the_example(spot)
        assert clock.time() - start <= 0.2


async def read_the_example(spot: SpotClient) -> object:
    return await spot.kits.get("SPOT123456")


# What a failing sibling, a task group and a timeout do to calls.


async def test_a_failing_sibling_of_a_gather_leaves_the_others_to_their_end(
    fake_spot: FakeSpot, others: set[int]
) -> None:
    fake_spot.latency_s = 0.1
    fake_spot.kits.add("SPOT1")
    fake_spot.faults.add("404", kit_id="SPOT1", times=None)
    async with fake_spot.client(concurrency=4) as spot:
        failing = asyncio.ensure_future(spot.kits.get("SPOT1"))
        calls = [asyncio.ensure_future(spot.kits.update_metadata("SPOT123456", {"n": n})) for n in range(20)]
        with pytest.raises(SpotError):
            await asyncio.gather(failing, *calls)
        assert spot.stats.waiting > 0
        await asyncio.wait(calls)
        assert all(call.exception() is None for call in calls)
        await check_that_nothing_is_left(spot, others)
    assert {entry.metadata["n"] for entry in fake_spot.ledger} == set(range(20))


async def test_a_failing_call_of_a_task_group_ends_the_others_at_once(fake_spot: FakeSpot, others: set[int]) -> None:
    fake_spot.latency_s = 0.1
    fake_spot.kits.add("SPOT1")
    fake_spot.faults.add("404", kit_id="SPOT1", times=None)
    clock = asyncio.get_running_loop()
    async with fake_spot.client(concurrency=4) as spot:
        start = clock.time()
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(spot.kits.get("SPOT1"))
                for n in range(20):
                    group.create_task(spot.kits.update_metadata("SPOT123456", {"n": n}))
        assert len(caught.value.exceptions) == 1
        assert clock.time() - start == pytest.approx(0.1, abs=0.01)
        await check_that_nothing_is_left(spot, others)
        await asyncio.wait_for(spot.kits.get("SPOT123456"), 1)


@pytest.mark.parametrize("act", [update, walk_a_list, run_a_bulk])
async def test_a_timeout_around_a_call_comes_through_as_a_timeout(act: Act, others: set[int]) -> None:
    clock = asyncio.get_running_loop()
    async with FakeSpot(kits=KITS, latency_s=60) as fake, fake.client(retry=RetryPolicy(base_s=5)) as spot:
        start = clock.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await act(spot, 1)
        assert clock.time() - start == pytest.approx(1.5)
        await check_that_nothing_is_left(spot, others)


async def test_a_timeout_and_a_cancel_in_the_same_tick_end_as_cancelled(fake_spot: FakeSpot, others: set[int]) -> None:
    fake_spot.latency_s = 60
    async with fake_spot.client(deadline_s=1) as spot:
        for _ in range(20):
            call = asyncio.ensure_future(spot.kits.get("SPOT123456"))
            asyncio.get_running_loop().call_later(1, call.cancel)
            await asyncio.wait([call])
            assert call.cancelled() or isinstance(call.exception(), OutcomeUnknownError)
            assert call.cancelling() == call.cancelled()
        await check_that_nothing_is_left(spot, others)


# Closing.


async def close_in_the_middle(fake: FakeSpot, dice: random.Random, number: int) -> "Counter[str]":
    """Close a client at a random point of many calls, twice at once; tell how the calls ended."""
    clock = asyncio.get_running_loop()
    options = {"concurrency": 4, "rate_limit": RateLimit(60), "timeout_s": 5}
    spot = fake.client(token=changing_token(fake), **options)
    before, first = len(fake.ledger), 100 * number
    calls = [asyncio.ensure_future(dice.choice([update, write_once])(spot, first + n)) for n in range(15)]
    calls += [asyncio.ensure_future(dice.choice([walk_a_list, create])(spot, 0)) for _ in range(3)]
    await asyncio.sleep(dice.random() * dice.choice([0.05, 0.5]))
    for _ in range(dice.randrange(20)):
        await asyncio.sleep(0)
    start = clock.time()
    await asyncio.gather(spot.close(), spot.close())
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert clock.time() - start <= 0.01
    await asyncio.sleep(2)
    executed = {entry.metadata["n"] for entry in fake.ledger[before:]}
    for n, end in enumerate(ends):
        assert isinstance(end, SpotError) or not isinstance(end, BaseException), repr(end)
        if isinstance(end, NotSentError):
            assert end.reason == "closed", repr(end)
            assert first + n not in executed
    with pytest.raises(NotSentError, match="closed"):
        await read(spot, 0)
    assert (spot.stats.in_flight, spot.stats.waiting, other_tasks()) == (0, 0, [])
    return Counter(type(end).__name__ if isinstance(end, BaseException) else "ok" for end in ends)


WHAT_FAULTS_MAKE = frozenset(
    {"OutcomeUnknownError", "ServerError", "RateLimitError", "AuthenticationError", "DecodeError", "StatusError"}
)


async def test_a_close_at_a_random_point_ends_every_call_at_once_and_truly(chaos: Any, others: set[int]) -> None:
    dice, ends = random.Random(chaos.seed), Counter[str]()
    before = sockets()
    async with FakeSpot(kits=KITS, latency_s=0.02) as fake:
        fake.faults.random(0.3, seed=chaos.seed, kinds=TROUBLES)
        for number in range(300 if chaos.is_full else 25):
            ends += await close_in_the_middle(fake, dice, number)
        assert sockets() <= before + 1
    print(dict(ends))  # noqa: T201
    assert things_of_calls() <= others
    assert {"ok", "NotSentError", "OutcomeUnknownError"} <= ends.keys()
    assert ends.keys() <= {"ok", "NotSentError"} | WHAT_FAULTS_MAKE


async def test_a_close_that_is_interrupted_is_made_good_by_another(fake_spot: FakeSpot) -> None:
    asked: list[str] = []

    async def stubborn() -> str:
        asked.append(fake_spot.token)
        if len(asked) > 1:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            await asyncio.sleep(0.5)  # as one that finishes its own business first
        return asked[-1]

    before = sockets()
    spot = fake_spot.client(token=stubborn)
    await read_the_example(spot)
    fake_spot.token = "rotated"
    waits = asyncio.ensure_future(read_the_example(spot))
    await asyncio.sleep(0.1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await spot.close()
    await spot.close()
    with pytest.raises(NotSentError):
        await waits
    await asyncio.sleep(2)

    left = sockets() - before
    await spot._runner.state.transport.close()  # so that no later test gets the warning
    assert left == 0
