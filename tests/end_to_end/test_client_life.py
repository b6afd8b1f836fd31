"""Tokens, and a client's life: opened, closed, moved to another loop, forked, shared."""

import asyncio
import gc
import os
import pickle
import threading
import warnings

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
from spotdx_async.testing import FakeSpot


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
    while not fake_spot.in_flight:
        await asyncio.sleep(0.01)
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking where threads run, from Python 3.12
        pid = os.fork()
    if pid == 0:  # the child: nothing of pytest may run here
        code = 1
        try:
            asyncio.events._set_running_loop(None)  # as a worker of a forking server has
            asyncio.run(spot_client.kits.update_metadata("SPOT123456", {"by": "child"}))
            code = 0
        finally:
            os._exit(code)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    await spot_client.kits.get("SPOT123456")

    assert os.waitstatus_to_exitcode(status) == 0
    assert fake_spot.kits["SPOT123456"].metadata == {"by": "child"}
    first, child, last = (request.connection for request in fake_spot.requests)
    assert first == last != child


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
