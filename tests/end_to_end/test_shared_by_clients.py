"""Token functions that use clients, one limiter in several loops and processes, and what a close takes with it."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from spotdx_async import ConfigError, NotSentError, RateLimit, RateLimiter, SpotClient
from spotdx_async.testing import FakeSpot
from tests.forks import in_a_forked_child


@pytest.fixture
def served() -> Iterator[FakeSpot]:
    """A fake in a thread of its own, for tests that run loops themselves."""
    with FakeSpot() as fake:
        yield fake


# Token functions


@pytest.mark.virtual_time
@pytest.mark.parametrize("concurrency", [1, 3, 64])
async def test_a_token_function_that_uses_its_own_client_is_told_whatever_it_waits_for(
    fake_spot: FakeSpot, concurrency: int
) -> None:
    async def token() -> str:
        await spot.kits.types()
        return fake_spot.token

    start = asyncio.get_running_loop().time()
    async with fake_spot.client(token=token, concurrency=concurrency, rate_limit=RateLimit(1)) as spot:
        ends = await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(3)), return_exceptions=True)

    for end in ends:
        assert type(end) is ConfigError
        assert "the token function uses the client" in str(end)
    assert asyncio.get_running_loop().time() - start < 1
    assert fake_spot.requests == []


@pytest.mark.virtual_time
async def test_token_functions_of_two_clients_that_ask_one_another_are_told(fake_spot: FakeSpot) -> None:
    async def token_of_one() -> str:
        await other.kits.types()
        return fake_spot.token

    async def token_of_other() -> str:
        await one.kits.types()
        return fake_spot.token

    async with fake_spot.client(token=token_of_one) as one, fake_spot.client(token=token_of_other) as other:
        for spot in (one, other):
            with pytest.raises(ConfigError, match="the token function uses the client"):
                await spot.kits.get("SPOT123456")


@pytest.mark.virtual_time
async def test_a_task_that_a_token_function_began_may_use_the_client_later(fake_spot: FakeSpot) -> None:
    later: list[asyncio.Task[Any]] = []

    async def use() -> None:
        await asyncio.sleep(5)  # by then the token is refused, and asked for anew
        await spot.kits.get("SPOT123456")

    async def token() -> str:
        if not later:
            later.append(asyncio.create_task(use()))
        await asyncio.sleep(1)
        return fake_spot.token

    async with fake_spot.client(token=token) as spot:
        await spot.kits.get("SPOT123456")
        fake_spot.token = "rotated"
        await later[0]


# One limiter, several loops


def test_a_limiter_goes_from_loop_to_loop_and_keeps_its_account(served: FakeSpot) -> None:
    limiter = RateLimiter(RateLimit(10, burst=1))

    async def call() -> None:
        async with served.client(rate_limit=limiter) as one, served.client(rate_limit=limiter) as other:
            await asyncio.gather(one.kits.get("SPOT123456"), other.kits.get("SPOT123456"))

    began_s = time.monotonic()
    for _ in range(3):
        asyncio.run(call())

    # When the requests arrive says less: the first may be held up.
    assert time.monotonic() - began_s >= 5 * 0.1


def test_a_limiter_in_two_running_loops_says_so(served: FakeSpot) -> None:
    limiter = RateLimiter(RateLimit(1000))
    is_running, is_over = threading.Event(), threading.Event()

    async def stay() -> None:
        async with served.client(rate_limit=limiter) as spot:
            await spot.kits.get("SPOT123456")
            is_running.set()
            await asyncio.to_thread(is_over.wait)

    async def call() -> None:
        async with served.client(rate_limit=limiter) as spot:
            await spot.kits.get("SPOT123456")

    thread = threading.Thread(target=asyncio.run, args=(stay(),))
    thread.start()
    try:
        assert is_running.wait(10)
        with pytest.raises(ConfigError, match="RateLimiter is in use in another running event loop"):
            asyncio.run(call())
    finally:
        is_over.set()
        thread.join()


async def test_a_forked_child_has_the_limiter_for_itself() -> None:
    limiter = RateLimiter(RateLimit(1000))
    await limiter.acquire()

    assert await in_a_forked_child(lambda: asyncio.run(limiter.acquire())) == 0


# Closing


class Outside(BaseException):
    """Comes from nowhere that the SDK knows."""


class Run:
    """A run as the client knows it."""

    def __init__(self, spot: SpotClient, error: BaseException | None = None) -> None:
        self.spot = spot
        self.error = error
        self.ended_while_open: bool | None = None

    def end_with_client(self) -> None:
        self.ended_while_open = self.spot._runner.state.is_open
        if self.error is not None:
            raise self.error

    async def closed(self) -> None:
        pass


async def test_runs_end_first_and_one_that_fails_keeps_nothing_open(fake_spot: FakeSpot) -> None:
    spot = fake_spot.client()
    await spot.kits.get("SPOT123456")
    runs = [Run(spot, error) for error in (None, Outside("one"), None, Outside("other"), None)]
    for run in runs:
        spot._runner.state.open_runs.add(run)

    with pytest.raises(Outside):
        await spot.close()

    assert [run.ended_while_open for run in runs] == [True] * 5
    with pytest.raises(NotSentError):
        await spot.kits.get("SPOT123456")
    for run in runs:
        run.error = None
    await spot.close()


# Elsewhere than in a loop of asyncio's


def in_another_framework(coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        coroutine.send(None)
    finally:
        coroutine.close()


@pytest.mark.parametrize("what", ["list", "many", "reconcile", "get"])
def test_everything_that_is_awaited_asks_for_a_loop_of_asyncio_s(what: str) -> None:
    spot = SpotClient("token")

    async def use() -> None:
        if what == "list":
            async for _ in spot.kits.list():
                pass
        elif what == "many":
            async for _ in spot.kits.update_metadata_many([("SPOT123456", {})]):
                pass
        elif what == "reconcile":
            await spot.orders.reconcile(client_ref="x")
        else:
            await spot.kits.get("SPOT123456")

    with pytest.raises(ConfigError, match="running asyncio event loop"):
        in_another_framework(use())


def test_a_client_that_was_forgotten_says_nothing_wrong_when_the_interpreter_ends() -> None:
    script = """
        import asyncio, warnings
        from spotdx_async import SpotClient
        from spotdx_async.testing import FakeSpot

        fake = FakeSpot().__enter__()
        spot = SpotClient(fake.token, base_url=fake.url)
        asyncio.run(spot.kits.get("SPOT123456"))
        warnings.kept = spot  # until even this module is taken apart
        fake.__exit__(None, None, None)
    """
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0
    assert "in: <function Transport.__del__" not in done.stderr  # aiohttp's own finalisers do fail there
