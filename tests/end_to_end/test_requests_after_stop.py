"""After a stop nothing new is sent, and nothing is waited for but the answers to what was: counted at the server."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from spotdx_async import BulkStopped, Kit, NotSentError, Outcome, RateLimit, SpotClient
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def rows_of(fake: FakeSpot, count: int) -> list[tuple[str, dict[str, int]]]:
    kit_ids = [f"SPOT{n}" for n in range(count)]
    fake.kits.add_many(kit_ids)
    return [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]


class Stopped:
    """A run that is stopped, or whose client is closed, at a moment; and what followed."""

    def __init__(self, fake: FakeSpot) -> None:
        self.fake = fake
        self.outcomes: list[Outcome[Kit]] = []
        self.error: BaseException | None = None
        self.requests_before = -1
        self.took_s = -1.0

    async def play(self, spot: SpotClient, rows: Any, after_s: float, how: str = "stop", **options: Any) -> None:
        async with spot.kits.update_metadata_many(rows, **options) as run:

            async def stop() -> None:
                # In virtual time: what was handed to a connection has arrived before the clock moves on.
                await asyncio.sleep(after_s)
                self.requests_before, self.took_s = self.fake.counts["requests"], now()
                if how == "stop":
                    run.stop()
                else:
                    await spot.close()

            stopping = asyncio.ensure_future(stop())
            try:
                async with asyncio.timeout(10_000):
                    async for outcome in run:
                        self.outcomes.append(outcome)
            except BulkStopped as error:
                self.error = error
            self.took_s = now() - self.took_s
            await stopping
        await asyncio.sleep(400)

    @property
    def requests_after(self) -> int:
        return self.fake.counts["requests"] - self.requests_before

    def check_books(self, states: set[str]) -> None:
        assert sorted(outcome.index for outcome in self.outcomes) == list(range(len(self.outcomes)))
        executed = {request.kit_id for request in self.fake.requests if request.executed}
        assert {outcome.state for outcome in self.outcomes} <= states
        assert not [o for o in self.outcomes if o.key in executed and o.state not in {"ok", "unknown"}]
        assert not [o for o in self.outcomes if o.key in executed and isinstance(o.error, NotSentError)]


@pytest.fixture
def stopped(fake_spot: FakeSpot) -> Stopped:
    return Stopped(fake_spot)


@pytest.mark.parametrize("how", ["stop", "close"])
async def test_nothing_is_sent_after_a_stop_under_a_rate_limit(fake_spot: FakeSpot, stopped: Stopped, how: str) -> None:
    rows = rows_of(fake_spot, 500)
    fake_spot.latency_s = 0.02
    async with fake_spot.client(rate_limit=RateLimit(10)) as spot:
        await stopped.play(spot, rows, 3.05, how)

    assert stopped.requests_before >= 20
    assert stopped.requests_after == 0
    assert stopped.took_s <= 0.1
    assert (stopped.error is None) == (how == "stop")
    stopped.check_books({"ok", "skipped"})


async def test_what_is_under_way_at_a_stop_is_finished(fake_spot: FakeSpot, stopped: Stopped) -> None:
    rows = rows_of(fake_spot, 500)
    fake_spot.latency_s = 2.0
    async with fake_spot.client() as spot:
        await stopped.play(spot, rows, 1.0, concurrency=20)

    assert stopped.requests_before == 20
    assert stopped.requests_after == 0
    assert stopped.took_s <= 1.1
    assert [outcome.state for outcome in stopped.outcomes].count("ok") == 20
    stopped.check_books({"ok", "skipped"})


@pytest.mark.parametrize("rate", [None, 10.0])
async def test_a_wrong_token_sends_nothing_after_the_first_refusal(fake_spot: FakeSpot, rate: float | None) -> None:
    rows = rows_of(fake_spot, 500)
    fake_spot.latency_s = 0.05
    limit = None if rate is None else RateLimit(rate, burst=1)
    async with fake_spot.client(token="wrong", rate_limit=limit) as spot:
        with pytest.raises(BulkStopped):
            async with spot.kits.update_metadata_many(rows, concurrency=64) as run:
                async for _ in run:
                    pass
        await asyncio.sleep(400)

    first_no_s = min(request.ended_at_s or 0.0 for request in fake_spot.requests)
    assert all(request.at_s <= first_no_s for request in fake_spot.requests)
    assert fake_spot.counts["requests"] <= (64 if rate is None else 2)


@pytest.mark.parametrize("rate", [None, 10.0])
async def test_nothing_is_sent_once_enough_rows_have_failed(fake_spot: FakeSpot, rate: float | None) -> None:
    rows = rows_of(fake_spot, 500)
    fake_spot.latency_s = 0.05
    fake_spot.faults.add("400", times=None)
    limit = None if rate is None else RateLimit(rate, burst=1)
    async with fake_spot.client(rate_limit=limit) as spot:
        with pytest.raises(BulkStopped):
            async with spot.kits.update_metadata_many(rows, stop_after=2, concurrency=64) as run:
                async for _ in run:
                    pass
        await asyncio.sleep(400)

    second_no_s = sorted(request.ended_at_s or 0.0 for request in fake_spot.requests)[1]
    assert all(request.at_s <= second_no_s for request in fake_spot.requests)
    # The place of the first row that failed went to another one.
    assert fake_spot.counts["requests"] <= (64 + 1 if rate is None else 3)


@pytest.mark.parametrize("how", ["stop", "close"])
async def test_a_stop_does_not_wait_for_the_end_of_a_pause(fake_spot: FakeSpot, stopped: Stopped, how: str) -> None:
    rows = rows_of(fake_spot, 200)
    fake_spot.faults.add(faults.status(429, retry_after=200), times=None)
    async with fake_spot.client() as spot:
        await stopped.play(spot, rows, 20.5, how, concurrency=8)

    assert 0 < stopped.requests_before <= 8
    assert stopped.requests_after == 0
    assert stopped.took_s <= 1.0
    stopped.check_books({"skipped"})


@pytest.mark.parametrize("how", ["stop", "close"])
async def test_a_stop_does_not_wait_for_a_token(fake_spot: FakeSpot, stopped: Stopped, how: str) -> None:
    async def slow() -> str:
        await asyncio.sleep(25)
        return fake_spot.token

    async with fake_spot.client(token=slow) as spot:
        await stopped.play(spot, rows_of(fake_spot, 200), 3.05, how)

    assert (stopped.requests_before, stopped.requests_after) == (0, 0)
    assert stopped.took_s <= 1.0
    stopped.check_books({"skipped"})


class Away:
    """A limiter of the caller's that never answers, as one whose server is away."""

    async def acquire(self) -> None:
        await asyncio.get_running_loop().create_future()

    def pause(self, seconds: float) -> None:
        pass


@pytest.mark.parametrize("how", ["stop", "close"])
async def test_a_stop_does_not_wait_for_a_limiter(fake_spot: FakeSpot, stopped: Stopped, how: str) -> None:
    async with fake_spot.client(rate_limit=Away()) as spot:
        await stopped.play(spot, rows_of(fake_spot, 200), 3.05, how)

    assert (stopped.requests_before, stopped.requests_after) == (0, 0)
    assert stopped.took_s <= 1.0
    stopped.check_books({"skipped"})


def _never_resolves(monkeypatch: pytest.MonkeyPatch) -> str:
    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return "https://spot.example"


def _never_connects(monkeypatch: pytest.MonkeyPatch) -> str:
    async def sock_connect(*_: Any, **__: Any) -> Any:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect)
    return "http://127.0.0.1:9"


@pytest.mark.parametrize("how", ["stop", "close"])
@pytest.mark.parametrize("network", [_never_resolves, _never_connects])
async def test_a_stop_does_not_wait_for_a_connection(
    fake_spot: FakeSpot,
    stopped: Stopped,
    network: Callable[[pytest.MonkeyPatch], str],
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = rows_of(fake_spot, 200)
    with monkeypatch.context() as patch:
        async with fake_spot.client(base_url=network(patch), timeout_s=60) as spot:
            await stopped.play(spot, rows, 3.05, how)

    assert (stopped.requests_before, stopped.requests_after) == (0, 0)
    assert stopped.took_s <= 1.0
    stopped.check_books({"skipped"})


async def test_a_row_that_was_refused_before_the_stop_is_not_said_to_be_unsent(fake_spot: FakeSpot) -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        if asked > 1:
            run.stop()
            await asyncio.sleep(10)
        return fake_spot.token if asked > 1 else "old"

    async with fake_spot.client(token=token) as spot:
        run = spot.kits.update_metadata_many(rows_of(fake_spot, 1))
        outcomes = [outcome async for outcome in run]

    assert [outcome.state for outcome in outcomes] == ["skipped"]
    assert fake_spot.counts["401"] == 1
    assert "it was not executed" in str(outcomes[0].error)
