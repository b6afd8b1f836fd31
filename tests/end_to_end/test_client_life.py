"""Tokens, and a client's life: opened, closed, moved to another loop, forked, shared."""

import asyncio
import gc
import pickle
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from spotdx_async import (
    AuthenticationError,
    ConfigError,
    NotSentError,
    OutcomeUnknownError,
    RateLimit,
    RetryPolicy,
    SpotClient,
    SpotError,
)
from spotdx_async._http import clock
from spotdx_async.testing import FakeSpot
from tests.forks import in_a_forked_child
from tests.patience import until


async def test_a_fixed_token_that_is_refused_is_an_authentication_error(fake_spot: FakeSpot) -> None:
    async with fake_spot.client(token="stale-token-1") as spot:
        with pytest.raises(AuthenticationError) as caught:
            await spot.kits.get("SPOT123456")
    assert caught.value.attempts == fake_spot.counts["requests"] == 1
    assert "stale-token-1" not in f"{caught.value!r} {pickle.dumps(caught.value)!r} {spot!r}"


async def test_a_token_function_is_asked_once_and_once_more_for_all_after_a_401(fake_spot: FakeSpot) -> None:
    asked: list[str] = []

    async def source() -> str:
        asked.append(fake_spot.token)
        await asyncio.sleep(0.01)
        return asked[-1]

    async with fake_spot.client(token=source) as spot:
        await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(50)))
        assert len(asked) == 1
        fake_spot.token = "rotated"
        kits = await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(50)))

    assert len(kits) == 50
    assert asked == ["test-token", "rotated"]


async def test_a_token_function_that_gives_the_refused_token_again_is_not_sent_again(fake_spot: FakeSpot) -> None:
    async with fake_spot.client(token=lambda: "wrong") as spot:
        with pytest.raises(AuthenticationError):
            await spot.kits.get("SPOT123456")
    assert fake_spot.counts["requests"] == 1


async def test_a_token_function_that_fails_says_so_without_its_words(fake_spot: FakeSpot) -> None:
    def source() -> str:
        raise LookupError("vault-secret")

    async with fake_spot.client(token=source) as spot:
        with pytest.raises(NotSentError, match="LookupError") as caught:
            await spot.kits.get("SPOT123456")
    assert caught.value.reason == "token"
    assert "vault-secret" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("token", ["", "a b", "a\n", "é", 5])
def test_an_unusable_token_is_refused_at_construction(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SpotClient(token)
    assert str(token) not in str(caught.value) or not token


def test_without_a_token_the_error_says_where_to_put_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="SPOTDX_TOKEN"):
        SpotClient()


@pytest.mark.parametrize(
    "options",
    [
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"deadline_s": -1},
        {"max_wait_s": -1},
        {"concurrency": 0},
        {"concurrency": True},
        {"max_body_bytes": 0},
        {"retry": 3},
        {"rate_limit": 50},
        {"session": object()},
        {"base_url": "http://example.org"},
        {"base_url": "https://user:secret@example.org"},
        {"base_url": "ftp://example.org"},
        {"base_url": "https://example.org:99999"},
    ],
)
def test_a_wrong_setting_is_refused_at_construction(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        SpotClient("token", **options)  # type: ignore[arg-type]  # what the test is about
    assert "secret" not in str(caught.value)


async def test_with_options_takes_only_what_matters_to_calls(spot_client: SpotClient) -> None:
    for options in ({"token": "x"}, {"timeout_s": 0}, {"retry": None}):
        with pytest.raises(ConfigError):
            spot_client.with_options(**options)


async def test_closing_a_view_leaves_the_client_open(spot_client: SpotClient) -> None:
    async with spot_client.with_options(deadline_s=5) as view:
        await view.kits.get("SPOT123456")
    await spot_client.kits.get("SPOT123456")


async def test_a_closed_client_says_so_and_closes_twice(fake_spot: FakeSpot) -> None:
    spot = fake_spot.client()
    await spot.kits.get("SPOT123456")
    await spot.close()
    await spot.close()

    with pytest.raises(NotSentError) as caught:
        await spot.kits.get("SPOT123456")
    assert caught.value.reason == "closed"


async def test_close_ends_what_waits_and_what_is_under_way(fake_spot: FakeSpot) -> None:
    fake_spot.latency_s = 30
    spot = fake_spot.client(concurrency=2, rate_limit=RateLimit(2, burst=1), retry=RetryPolicy(base_s=30))
    calls = [asyncio.create_task(spot.kits.update_metadata("SPOT123456", {})) for _ in range(5)]
    await until(lambda: fake_spot.in_flight)
    await spot.close()
    ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)

    assert {type(end) for end in ends} == {OutcomeUnknownError, NotSentError}
    assert sum(isinstance(end, OutcomeUnknownError) for end in ends) == 1


async def test_a_session_of_the_callers_is_used_and_not_closed(fake_spot: FakeSpot) -> None:
    connector = aiohttp.TCPConnector(limit=3)
    async with aiohttp.ClientSession(connector=connector) as session:
        fake_spot.latency_s = 0.01
        async with fake_spot.client(session=session) as spot:
            await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(20)))
        assert fake_spot.peak_in_flight == 3
        assert not session.closed

    async with fake_spot.client(session=session) as spot:
        with pytest.raises(NotSentError):
            await spot.kits.get("SPOT123456")


def test_a_client_made_outside_a_loop_works_in_one_loop_after_another() -> None:
    spot: SpotClient | None = None

    async def use() -> int:
        nonlocal spot
        async with FakeSpot(port=port) as fake:
            spot = spot or SpotClient(fake.token, base_url=fake.url, rate_limit=RateLimit(1000))
            await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(20)))
            return int(fake.url.rpartition(":")[2])

    port = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        port = asyncio.run(use())
        port = asyncio.run(use())
        assert spot is not None
        asyncio.run(spot.close())
        gc.collect()
    assert spot.stats.calls == 40


async def test_a_second_loop_at_the_same_time_is_refused_clearly(spot_client: SpotClient) -> None:
    await spot_client.kits.get("SPOT123456")
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            asyncio.run(spot_client.kits.get("SPOT123456"))
        except SpotError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert isinstance(errors[0], ConfigError)
    assert "loop" in str(errors[0])


async def test_a_forked_child_uses_connections_of_its_own(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    await spot_client.kits.get("SPOT123456")

    def work() -> None:
        asyncio.run(spot_client.kits.update_metadata("SPOT123456", {"by": "child"}))

    assert await in_a_forked_child(work) == 0
    await spot_client.kits.get("SPOT123456")

    assert fake_spot.kits["SPOT123456"].metadata == {"by": "child"}
    first, child, last = (request.connection for request in fake_spot.requests)
    assert first == last != child


async def test_no_connection_from_before_the_machine_stood_still_is_used(
    fake_spot: FakeSpot, spot_client: SpotClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = SimpleNamespace(time=time.time)
    monkeypatch.setattr(clock, "time", wall)

    async def get_thrice() -> None:
        await asyncio.gather(*(spot_client.kits.get("SPOT123456") for _ in range(3)))

    fake_spot.latency_s = 0.01  # so that they are under way together
    await get_thrice()
    await get_thrice()
    wall.time = lambda: time.time() + 900
    await get_thrice()
    await get_thrice()

    connections = [request.connection for request in fake_spot.requests]
    before, later, after, at_last = (set(connections[begin : begin + 3]) for begin in (0, 3, 6, 9))
    assert before == later
    assert after == at_last
    assert not before & after


def sockets() -> int:
    found = 0
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder's own, closed meanwhile
            found += fd.readlink().name.startswith("socket:")
    return found


@contextmanager
def server_in_a_thread() -> Iterator[FakeSpot]:
    """A server that lives on while the client's loops come and go."""
    fake = FakeSpot()
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


async def use_all(spot: SpotClient) -> None:
    """Call in every way there is: kept and single connections, a list, a bulk run."""
    await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(5)))
    await spot.request("POST", "/api/v2/kits/SPOT123456/", json={"metadata": {}})
    assert len([kit async for kit in spot.kits.list()]) == 3
    updates = [("SPOT123456", {"n": n}) for n in range(10)]
    assert {outcome.state async for outcome in spot.kits.update_metadata_many(updates, concurrency=4)} == {"ok"}


@pytest.mark.parametrize("limit", [None, RateLimit(500)], ids=["no rate", "a fixed rate"])
def test_a_client_goes_from_loop_to_loop_while_its_server_lives_on(limit: RateLimit | None) -> None:
    before = sockets()
    with warnings.catch_warnings(), server_in_a_thread() as fake:
        # asyncio's own, of connections whose loop ended before they were closed; only `python -X dev` shows it.
        warnings.simplefilter("ignore", ResourceWarning)
        spot = SpotClient(fake.token, base_url=fake.url, rate_limit=limit)
        for _ in range(3):
            asyncio.run(use_all(spot))
        asyncio.run(spot.close())
        with pytest.raises(NotSentError, match="closed"):
            asyncio.run(spot.kits.get("SPOT123456"))
        gc.collect()
    assert sockets() == before


def test_a_rate_holds_from_loop_to_loop() -> None:
    with warnings.catch_warnings(), server_in_a_thread() as fake:
        warnings.simplefilter("ignore", ResourceWarning)  # as above
        spot = SpotClient(fake.token, base_url=fake.url, rate_limit=RateLimit(10, burst=1))
        began_s = time.monotonic()
        for _ in range(4):
            asyncio.run(spot.kits.get("SPOT123456"))
        took_s = time.monotonic() - began_s  # when the requests arrive says less: the first may be held up
        asyncio.run(spot.close())
        gc.collect()
    assert took_s >= 3 * 0.1


def test_a_loop_that_ends_with_calls_under_way_leaves_the_next_one_a_clean_client() -> None:
    async def leave() -> None:
        fake.latency_s = 60
        calls = [asyncio.create_task(spot.kits.get("SPOT123456")) for _ in range(10)]
        await until(lambda: fake.in_flight)
        fake.latency_s = 0
        assert not any(call.done() for call in calls)

    async def go_on() -> None:
        await asyncio.wait_for(use_all(spot), 5)
        assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)
        await spot.close()

    with warnings.catch_warnings(), server_in_a_thread() as fake:
        warnings.simplefilter("ignore", ResourceWarning)  # as above
        spot = SpotClient(fake.token, base_url=fake.url, concurrency=2, rate_limit=RateLimit(1000))
        asyncio.run(leave())
        asyncio.run(go_on())
        gc.collect()


def test_two_loops_in_two_threads_at_once_work_or_say_so() -> None:
    ends: Counter[str] = Counter()

    def work(spot: SpotClient, barrier: threading.Barrier) -> None:
        async def go() -> None:
            await asyncio.to_thread(barrier.wait)
            for end in await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(5)), return_exceptions=True):
                ends["loop" if isinstance(end, ConfigError) and "loop" in str(end) else type(end).__name__] += 1
            await asyncio.to_thread(barrier.wait)

        asyncio.run(go())

    with warnings.catch_warnings(), server_in_a_thread() as fake:
        warnings.simplefilter("ignore", ResourceWarning)  # as above
        for _ in range(10):
            spot = SpotClient(fake.token, base_url=fake.url, rate_limit=RateLimit(1000))
            barrier = threading.Barrier(2)
            threads = [threading.Thread(target=work, args=(spot, barrier)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            asyncio.run(spot.close())
            gc.collect()

    assert ends == {"loop": 50, "Kit": 50}


async def test_a_callers_session_of_another_loop_is_refused_clearly(fake_spot: FakeSpot) -> None:
    async with aiohttp.ClientSession() as session, fake_spot.client(session=session) as spot:
        errors: list[BaseException] = []

        def elsewhere() -> None:
            try:
                asyncio.run(spot.request("POST", "/api/v2/kits/SPOT123456/", json={"metadata": {}}))
            except SpotError as error:
                errors.append(error)

        await asyncio.to_thread(elsewhere)

    assert not fake_spot.requests
    assert isinstance(errors[0], ConfigError), repr(errors[0])  # nothing was sent, and repeating will not help
    assert "loop" in str(errors[0])


async def test_a_forked_child_works_and_closes_while_the_parents_calls_go_on(fake_spot: FakeSpot) -> None:
    def work() -> None:
        async def use_and_close() -> None:
            assert (spot.stats.in_flight, spot.stats.waiting) != (0, 0)  # the parent's, until the child's first call
            await use_all(spot)
            assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)
            await spot.close()

        asyncio.run(use_and_close())

    async with fake_spot.client(concurrency=3, rate_limit=RateLimit(500)) as spot:
        await spot.kits.get("SPOT123456")
        fake_spot.latency_s = 0.2
        calls = [asyncio.create_task(spot.kits.update_metadata("SPOT123456", {"n": n})) for n in range(9)]
        await until(lambda: fake_spot.in_flight == 3)
        fake_spot.latency_s = 0
        assert await in_a_forked_child(work) == 0
        await asyncio.gather(*calls)
        await use_all(spot)
        assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)


async def test_a_forked_child_may_close_what_it_never_used(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    await spot_client.kits.get("SPOT123456")

    assert await in_a_forked_child(lambda: asyncio.run(spot_client.close())) == 0

    await spot_client.kits.get("SPOT123456")
    first, last = (request.connection for request in fake_spot.requests)
    assert first == last


A_SCRIPT = """
import asyncio
from spotdx_async import SpotClient
from spotdx_async.testing import FakeSpot

async def use(spot):
    await spot.kits.get("SPOT123456")
    await spot.request("POST", "/api/v2/kits/SPOT123456/", json={"metadata": {}})
    async for kit in spot.kits.list():
        break
    async with spot.kits.update_metadata_many([("SPOT123456", {})] * 20) as run:
        async for outcome in run:
            break
    call = asyncio.create_task(spot.kits.get("SPOT123456"))
    await asyncio.sleep(0)
    call.cancel()

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is no fault of the client's
    async with FakeSpot() as fake:
        spot = SpotClient(fake.token, base_url=fake.url)
        SPOT

asyncio.run(main())
"""


async def words_of(how: str) -> tuple[int | None, str]:
    """Run the script as developers do who want to hear of everything; its exit code and standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-c", A_SCRIPT.replace("SPOT\n", how + "\n")),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    return process.returncode, said.decode()


async def test_a_client_that_is_closed_gives_no_warning_in_development_mode() -> None:
    assert await words_of("await use(spot); await spot.close()") == (0, "")


async def test_a_client_that_was_never_used_needs_no_closing() -> None:
    assert await words_of("del spot") == (0, "")


async def test_a_client_that_is_forgotten_gives_a_resource_warning_without_its_token() -> None:
    code, said = await words_of("await use(spot)")

    assert code == 0
    assert "ResourceWarning: a SpotClient of http://127.0.0.1" in said
    assert "use async with, or await its close()" in said
    assert "test-token" not in said


async def test_errors_have_no_foreign_cause_or_context_and_pickle(fake_spot: FakeSpot) -> None:
    canary = "SPOT-canary-7"
    fake_spot.kits.add(canary)
    for fault in ("400", "500", "drop_after", "half_body", "unreadable", "broken_json", "redirect"):
        fake_spot.faults.clear()
        fake_spot.faults.add(fault, times=None)
        async with fake_spot.client(retry=RetryPolicy(max_attempts=2, base_s=0)) as spot:
            with pytest.raises(SpotError) as caught:
                await spot.kits.update_metadata(canary, {"name": "canary-9"})
        error = caught.value
        assert error.__cause__ is error.__context__ is None
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.attempts) == (type(error), str(error), error.attempts)
        text = f"{error} {error!r} {error.args}"
        assert "canary" not in text
        assert fake_spot.token not in text
