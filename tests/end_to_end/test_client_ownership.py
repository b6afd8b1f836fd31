"""Whose a client is: loops, threads, processes, contexts; what is wrong is said by an error of the SDK's."""

import asyncio
import copy
import gc
import pickle
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from spotdx_async import ConfigError, NotSentError, RateLimit, RetryPolicy, SpotClient
from spotdx_async.testing import FakeSpot, faults

TENANT: ContextVar[str] = ContextVar("tenant")


@pytest.fixture
def served() -> Iterator[FakeSpot]:
    """A fake in a thread of its own, for tests that run loops themselves."""
    with FakeSpot() as fake:
        yield fake


@pytest.fixture
def two_loops() -> Iterator[tuple[asyncio.AbstractEventLoop, asyncio.AbstractEventLoop]]:
    loops = asyncio.new_event_loop(), asyncio.new_event_loop()
    yield loops
    for loop in loops:
        loop.run_until_complete(asyncio.sleep(0))
        if closing := asyncio.all_tasks(loop):
            loop.run_until_complete(asyncio.wait(closing))
        loop.close()


def test_two_open_loops_use_a_client_in_turn(
    served: FakeSpot, two_loops: tuple[asyncio.AbstractEventLoop, asyncio.AbstractEventLoop]
) -> None:
    one, other = two_loops
    spot = served.client()
    for _ in range(3):
        for loop in (one, other):
            assert loop.run_until_complete(spot.kits.get("SPOT123456")).kit_id == "SPOT123456"
    one.run_until_complete(spot.close())

    connections = {request.connection for request in served.requests}
    assert len(connections) == 2  # each loop found its own again


def test_a_call_that_waits_in_an_idle_loop_is_told_that_another_took_over(
    served: FakeSpot, two_loops: tuple[asyncio.AbstractEventLoop, asyncio.AbstractEventLoop]
) -> None:
    one, other = two_loops
    spot = served.client(rate_limit=RateLimit(1, burst=1))

    async def begin() -> "asyncio.Future[Any]":
        await spot.kits.get("SPOT123456")
        waiting = asyncio.ensure_future(spot.kits.get("SPOT123456"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return waiting

    waiting = one.run_until_complete(begin())
    other.run_until_complete(spot.kits.get("SPOT123456"))

    with pytest.raises(ConfigError, match="another event loop took the client"):
        one.run_until_complete(asyncio.wait_for(waiting, 5))
    other.run_until_complete(spot.close())


@pytest.mark.parametrize("waits_for", ["its repeat", "a permit"])
def test_a_call_that_waits_in_an_idle_loop_for_what_is_its_own_goes_on(
    served: FakeSpot, two_loops: tuple[asyncio.AbstractEventLoop, asyncio.AbstractEventLoop], waits_for: str
) -> None:
    one, other = two_loops
    spot = served.client(retry=RetryPolicy(base_s=0.1, cap_s=0.1), concurrency=1)
    if waits_for == "its repeat":
        served.faults.add("503")
    else:
        served.faults.add(faults.slow_answer(0.1))

    async def begin() -> "asyncio.Future[Any]":
        first = asyncio.ensure_future(spot.kits.get("SPOT123456"))
        waiting = first if waits_for == "its repeat" else asyncio.ensure_future(spot.kits.get("SPOT123456"))
        while not served.requests or (waits_for == "its repeat" and not spot.stats.attempts):
            await asyncio.sleep(0.005)
        return waiting

    waiting = one.run_until_complete(begin())
    for _ in range(3):
        other.run_until_complete(spot.kits.get("SPOT123456"))

    assert one.run_until_complete(asyncio.wait_for(waiting, 5)).kit_id == "SPOT123456"
    other.run_until_complete(spot.kits.get("SPOT123456"))
    other.run_until_complete(spot.close())


@pytest.mark.parametrize("closer", [0, 1])
def test_a_client_of_an_idle_loop_is_closed_in_another(
    served: FakeSpot, two_loops: tuple[asyncio.AbstractEventLoop, asyncio.AbstractEventLoop], closer: int
) -> None:
    spot = served.client()
    two_loops[0].run_until_complete(spot.kits.get("SPOT123456"))

    two_loops[closer].run_until_complete(spot.close())

    with pytest.raises(NotSentError):
        two_loops[closer].run_until_complete(spot.kits.get("SPOT123456"))


# Each loop ends with the client's connections open: asyncio says so, and nobody can close them any more.
@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_threads_with_loops_of_their_own_hear_a_config_error_or_are_served(served: FakeSpot) -> None:
    spot = served.client()
    ends: list[object] = []
    start = threading.Barrier(8)

    async def call_often() -> None:
        calls = (spot.kits.get("SPOT123456") for _ in range(20))
        results = await asyncio.gather(*calls, return_exceptions=True)
        ends.extend(result if isinstance(result, BaseException) else "served" for result in results)

    def work() -> None:
        start.wait()
        try:
            asyncio.run(call_often())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test is to see it
            ends.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(spot.close())

    assert "served" in ends
    assert [end for end in ends if end != "served" and not isinstance(end, ConfigError)] == []
    gc.collect()


def test_without_a_loop_of_asyncio_s_a_call_says_so() -> None:
    spot = SpotClient("token")

    for call in (spot.kits.get("SPOT123456"), spot.request("GET", "/x"), spot.close()):
        with pytest.raises(ConfigError, match="running asyncio event loop"):
            call.send(None)  # as another framework would drive it


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_is_neither_pickled_nor_copied(duplicate: Callable[[Any], Any]) -> None:
    spot = SpotClient("canary-token")

    for client in (spot, spot.with_options(timeout_s=1)):
        with pytest.raises(TypeError, match="create one in each process") as caught:
            duplicate(client)
        assert "canary" not in str(caught.value)


async def test_a_token_function_that_uses_its_own_client_is_told(fake_spot: FakeSpot) -> None:
    async def token() -> str:
        await spot.kits.types()
        return fake_spot.token

    async with fake_spot.client(token=token) as spot:
        with pytest.raises(ConfigError, match="the token function uses the client"):
            await spot.kits.get("SPOT123456")

    assert fake_spot.requests == []


async def test_a_token_function_may_use_another_client(fake_spot: FakeSpot) -> None:
    async def token() -> str:
        await other.kits.types()
        return fake_spot.token

    async with fake_spot.client() as other, fake_spot.client(token=token) as spot:
        assert (await spot.kits.get("SPOT123456")).kit_id == "SPOT123456"


@pytest.mark.virtual_time
async def test_a_token_function_that_hangs_ends_after_timeout_s(fake_spot: FakeSpot) -> None:
    async def token() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    async with fake_spot.client(token=token, timeout_s=2) as spot:
        start = asyncio.get_running_loop().time()
        with pytest.raises(NotSentError, match="returned no token within timeout_s") as caught:
            await spot.kits.get("SPOT123456")

    assert caught.value.reason == "token"
    assert asyncio.get_running_loop().time() - start == pytest.approx(2, abs=0.1)


async def test_there_is_one_token_a_client_whatever_the_context(fake_spot: FakeSpot) -> None:
    asked: list[str] = []

    def token() -> str:
        asked.append(TENANT.get())
        return fake_spot.token

    async with fake_spot.client(token=token) as spot:
        for tenant in ("one", "two"):
            TENANT.set(tenant)
            await spot.kits.get("SPOT123456")

    assert asked == ["one"]
