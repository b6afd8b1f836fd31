"""Very many calls with deadlines under faults of every kind: none ends more than 50 ms after its deadline."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from typing import Any

import attrs
import pytest

from spotdx_async import NewPatient, NotSentError, RateLimit, SpotClient, SpotError
from spotdx_async.testing import FakeSpot, Fault, faults

pytestmark = pytest.mark.no_cover

LATE_S = 0.05
KITS = [f"SPOT{n}" for n in range(250)]
TROUBLES: tuple[Fault | str, ...] = (
    *("500", "502", "503", "408", "429", "401", "drop_before", "drop_after", "half_body", "unreadable", "broken_json"),
    *(faults.slow(seconds) for seconds in (0.3, 2.0, 20.0)),
    *(faults.slow_answer(seconds) for seconds in (0.3, 2.0, 20.0)),
    *(faults.status(429, retry_after=seconds) for seconds in (1, 2, 4)),
    *(faults.status(503, retry_after=seconds) for seconds in (1, 3)),
)
PASSING: tuple[Fault | str, ...] = (
    *(trouble for trouble in TROUBLES if isinstance(trouble, str)),
    faults.slow(0.3),
    faults.slow_answer(2.0),
)

Act = Callable[[SpotClient, int], Awaitable[object]]


@attrs.frozen
class End:
    """How a call with a deadline ended."""

    n: int
    deadline_s: float
    late_s: float
    """Seconds after its deadline; below 0 before it."""
    error: SpotError | None


def acts() -> tuple[Act, ...]:
    """Everything that a deadline bounds: a write, a read, a page of a list, what must not be done twice."""
    patient = NewPatient(
        first_name="Robin", last_name="Sample", email="robin@example.com", sex="F", date_of_birth=date(1990, 1, 31)
    )
    return (
        lambda spot, n: spot.kits.update_metadata(KITS[n % len(KITS)], {"n": n}),
        lambda spot, n: spot.kits.get(KITS[n % len(KITS)]),
        lambda spot, _: spot.kits.list().first(10),
        lambda spot, n: spot.request("POST", f"/api/v2/kits/{KITS[n % len(KITS)]}/", json={"metadata": {"n": n}}),
        lambda spot, _: spot.patients.create(patient),
    )


async def run_to_deadline(spot: SpotClient, act: Act, n: int, deadline_s: float) -> End:
    clock = asyncio.get_running_loop()
    start = clock.time()
    error = None
    try:
        await act(spot.with_options(deadline_s=deadline_s), n)
    except SpotError as raised:
        error = raised
    return End(n, deadline_s, clock.time() - start - deadline_s, error)


async def run_many(spot: SpotClient, count: int, dice: random.Random, longest_s: float = 5.0) -> list[End]:
    """Start calls one after the other within a few seconds, as callers do, so that waits of all kinds come about."""
    choices = acts()

    async def start_later(n: int, act: Act, deadline_s: float, wait_s: float) -> End:
        await asyncio.sleep(wait_s)
        return await run_to_deadline(spot, act, n, deadline_s)

    return await asyncio.gather(
        *(
            start_later(n, dice.choice(choices), dice.uniform(0.1, longest_s), dice.uniform(0.0, longest_s))
            for n in range(count)
        )
    )


def tell(what: str, ends: list[End]) -> float:
    """Print the figures; the lateness of the latest."""
    kinds = Counter("ok" if end.error is None else type(end.error).__name__ for end in ends)
    latest_s = max(end.late_s for end in ends)
    print(f"{what}: {len(ends)} calls, the latest {latest_s * 1000:+.1f} ms after its deadline; {dict(kinds)}")  # noqa: T201
    return latest_s


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("options", "troubles"),
    [
        ({"concurrency": 64}, PASSING),
        ({"concurrency": 64}, TROUBLES),
        ({"concurrency": 5}, TROUBLES),
        ({"concurrency": 64, "rate_limit": RateLimit(25)}, PASSING),
        ({"concurrency": 64, "timeout_s": 0.5, "max_wait_s": 1.0}, TROUBLES),
    ],
    ids=["passing-troubles", "pauses", "few-places", "a-slow-rate", "short-attempts"],
)
async def test_no_call_ends_after_its_deadline(options: dict[str, Any], troubles: tuple[Any, ...], chaos: Any) -> None:
    dice = random.Random(chaos.seed)
    count, batch = (2000, 200) if chaos.is_full else (80, 80)
    ends: list[End] = []
    async with FakeSpot(kits=KITS, latency_s=0.02) as fake:
        fake.faults.random(0.4, seed=chaos.seed, kinds=troubles)
        for _ in range(count // batch):
            async with fake.client(token=slow_token(fake, dice), **options) as spot:
                ends += await run_many(spot, batch, dice)

    assert tell("virtual time", ends) <= LATE_S
    assert any(end.error is None for end in ends)


def slow_token(fake: FakeSpot, dice: random.Random) -> Callable[[], Awaitable[str]]:
    """Answer after up to three seconds, so that deadlines pass in that wait too."""

    async def source() -> str:
        await asyncio.sleep(dice.choice([0.0, 0.2, 3.0]))
        return fake.token

    return source


@pytest.mark.virtual_time
async def test_what_a_deadline_calls_not_sent_was_never_executed(chaos: Any) -> None:
    dice = random.Random(chaos.seed)
    count = 2000 if chaos.is_full else 200
    async with FakeSpot(kits=KITS, latency_s=0.05) as fake:
        fake.faults.random(0.3, seed=chaos.seed, kinds=PASSING)
        async with fake.client(concurrency=10, rate_limit=RateLimit(60)) as spot:
            write = acts()[0]
            ends = await asyncio.gather(
                *(run_to_deadline(spot, write, n, dice.uniform(0.1, count / 60)) for n in range(count))
            )
        await asyncio.sleep(60)
        executed = {entry.metadata["n"] for entry in fake.ledger}

    not_sent = {end.n for end in ends if isinstance(end.error, NotSentError)}
    tell("not sent", ends)
    assert not_sent
    assert not_sent.isdisjoint(executed)
    assert {end.n for end in ends if end.error is None} <= executed


@pytest.mark.virtual_time
async def test_a_deadline_holds_while_a_callers_limiter_and_token_never_come(chaos: Any) -> None:
    class Never:
        async def acquire(self) -> None:
            await asyncio.Event().wait()

        def pause(self, seconds: float) -> None:
            """There is nothing to pause."""

    async def never() -> str:
        await asyncio.Event().wait()
        return "never"

    dice = random.Random(chaos.seed)
    async with FakeSpot(kits=KITS) as fake:
        for options in ({"rate_limit": Never()}, {"token": never}):
            async with fake.client(concurrency=20, **options) as spot:
                ends = await run_many(spot, 40, dice)
                assert tell(next(iter(options)), ends) <= LATE_S
                assert all(isinstance(end.error, NotSentError) for end in ends)


@contextmanager
def server_in_a_thread(seed: int) -> Iterator[FakeSpot]:
    """A fake server that answers from a loop of its own, so that its work is not the client's."""
    fake = FakeSpot(kits=KITS, latency_s=0.02)
    fake.faults.random(0.4, seed=seed, kinds=TROUBLES)
    is_up, is_over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with fake:
            is_up.set()
            await asyncio.to_thread(is_over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert is_up.wait(10)
        yield fake
    finally:
        is_over.set()
        thread.join()


@asynccontextmanager
async def lateness_of_the_machine() -> AsyncIterator[list[float]]:
    """Notes how late a plain timer of this loop comes, which is nobody's fault here."""
    late_s = [0.0]

    async def watch() -> None:
        clock = asyncio.get_running_loop()
        while True:
            due = clock.time() + 0.005
            await asyncio.sleep(0.005)
            late_s.append(clock.time() - due)

    watcher = asyncio.create_task(watch())
    try:
        yield late_s
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])


async def test_in_real_time_no_call_ends_after_its_deadline(chaos: Any) -> None:
    dice = random.Random(chaos.seed)
    count, longest_s = (100, 5.0) if chaos.is_full else (40, 1.0)
    with server_in_a_thread(chaos.seed) as fake:
        async with SpotClient(fake.token, base_url=fake.url) as spot, lateness_of_the_machine() as machine:
            ends = await run_many(spot, count, dice, longest_s)

    latest_s = tell(f"real time, a plain timer {max(machine) * 1000:.1f} ms late at worst", ends)
    if chaos.is_full:  # the normal run shares its machine with other work
        assert latest_s <= LATE_S + max(machine)
