"""Whatever is raised wherever code of the caller's runs: it gets out, and permits, slots and counts are right after."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from spotdx_async import ConfigError, NotSentError, Observer, RateLimit, SpotClient, SpotError
from spotdx_async._http.messages import AttemptState
from spotdx_async._requests.operation import unlisted_request
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time
CALLS = 5


class Outside(BaseException):
    """Comes from nowhere that the SDK knows: a signal handler, a task queue's time limit."""


class Raising(Observer):
    """An observer that raises when it is told of one thing."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.is_armed = True

    def begin(self, subject: Any, parent: Any) -> Any:  # noqa: ARG002 - as it is called
        self.come_to("begin")

    def sending(self, mark: Any, headers: dict[str, str]) -> Callable[[], object] | None:  # noqa: ARG002 - the same
        self.come_to("sending")
        return lambda: self.come_to("undo")

    def attempt(self, mark: Any, record: Any) -> None:  # noqa: ARG002 - the same
        self.come_to("attempt")

    def retry(self, mark: Any, record: Any) -> None:  # noqa: ARG002 - the same
        self.come_to("retry")

    def pause(self, mark: Any, record: Any) -> None:  # noqa: ARG002 - the same
        self.come_to("pause")

    def end(self, mark: Any, record: Any) -> None:  # noqa: ARG002 - the same
        self.come_to("end")

    def come_to(self, what: str) -> None:
        if what == self.at and self.is_armed:
            raise Outside(what)


async def assert_books_are_right(spot: SpotClient, *, rate: float | None = None) -> None:
    """All permits are free, nothing counts as under way, and the next slots come on time."""
    state = spot._runner.state
    assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)
    assert state.permits.free == 2
    start = asyncio.get_running_loop().time()
    await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(3)))
    if rate is not None:
        assert asyncio.get_running_loop().time() - start <= 3 / rate + 0.1


@pytest.mark.parametrize("at", ["begin", "sending", "undo", "attempt", "retry", "pause", "end"])
async def test_an_exception_out_of_an_observer_leaves_the_books_right(fake_spot: FakeSpot, at: str) -> None:
    observer = Raising(at)
    fake_spot.faults.add(faults.status(429, retry_after=1), times=CALLS)
    async with fake_spot.client(observer=observer, concurrency=2, rate_limit=RateLimit(10, burst=1)) as spot:
        for _ in range(CALLS):
            with pytest.raises(Outside, match=at):
                await spot.kits.get("SPOT123456")
        observer.is_armed = False
        fake_spot.faults.clear()

        await assert_books_are_right(spot)


async def test_a_slot_that_an_observer_kept_from_being_used_goes_to_the_next(fake_spot: FakeSpot) -> None:
    observer = Raising("sending")
    async with fake_spot.client(observer=observer, concurrency=2, rate_limit=RateLimit(1, burst=1)) as spot:
        for _ in range(CALLS):
            with pytest.raises(Outside):
                await spot.kits.get("SPOT123456")
        observer.is_armed = False

        start = asyncio.get_running_loop().time()
        await spot.kits.get("SPOT123456")

    assert asyncio.get_running_loop().time() - start < 0.1
    assert fake_spot.counts["requests"] == 1


@pytest.mark.parametrize("at", ["token", "renewal"])
async def test_an_exception_out_of_the_token_function_leaves_the_books_right(fake_spot: FakeSpot, at: str) -> None:
    is_armed = at == "token"

    async def token() -> str:
        await asyncio.sleep(0.1)
        if is_armed:
            raise Outside(at)
        return fake_spot.token

    async with fake_spot.client(token=token, concurrency=2, rate_limit=RateLimit(10, burst=1)) as spot:
        if at == "renewal":
            await spot.kits.get("SPOT123456")
            fake_spot.token, is_armed = "rotated", True
        for _ in range(CALLS):
            ends = await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(4)), return_exceptions=True)
            assert {type(end) for end in ends} == {Outside}
        is_armed = False

        await assert_books_are_right(spot, rate=10)


class OfTheCallers:
    """A limiter of a caller's that raises where it is told to."""

    def __init__(self, at: str) -> None:
        self.at = at

    async def acquire(self) -> None:
        await asyncio.sleep(0)
        self.come_to("acquire")

    def pause(self, seconds: float) -> None:  # noqa: ARG002 - as the protocol says
        self.come_to("pause")

    def give_back(self) -> None:
        self.come_to("give back")

    def throttled(self, sent_s: float) -> None:  # noqa: ARG002 - the same
        self.come_to("throttled")

    def come_to(self, what: str) -> None:
        if self.at == what:
            raise Outside(what)


@pytest.mark.parametrize("at", ["acquire", "pause", "throttled"])
async def test_an_exception_out_of_a_limiter_leaves_the_books_right(fake_spot: FakeSpot, at: str) -> None:
    limiter = OfTheCallers(at)
    fake_spot.faults.add(faults.status(429, retry_after=1), times=CALLS)
    async with fake_spot.client(rate_limit=limiter, concurrency=2) as spot:
        for _ in range(CALLS):
            with pytest.raises(Outside, match=at):
                await spot.kits.get("SPOT123456")
        limiter.at = ""
        fake_spot.faults.clear()

        await assert_books_are_right(spot)


# A hook of a caller's session may use a client of its own, whose errors are the SDK's too


@pytest.mark.parametrize("raised", [NotSentError("of another client", reason="refused"), ConfigError("of another")])
async def test_another_client_s_error_out_of_a_hook_is_no_proof_that_nothing_was_sent(
    fake_spot: FakeSpot, raised: SpotError
) -> None:
    async def hook(*_about: Any) -> None:
        raise raised

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(hook)
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        fake_spot.client(session=session, concurrency=2) as spot,
    ):
        with pytest.raises(SpotError) as caught:
            await spot.kits.update_metadata("SPOT123456", {"n": "1"})

        assert fake_spot.kits["SPOT123456"].metadata == {"n": "1"}
        assert caught.value.may_be_executed
        assert not isinstance(caught.value, NotSentError)
        assert (spot.stats.in_flight, spot.stats.waiting, spot._runner.state.permits.free) == (0, 0, 2)


# Rows of bulk runs: what is known of them stays known


@pytest.mark.parametrize("at", ["attempt", "undo"])
async def test_a_row_whose_observer_ends_it_after_the_answer_may_be_executed(fake_spot: FakeSpot, at: str) -> None:
    async with fake_spot.client(observer=Raising(at), concurrency=2) as spot:
        state, attempt_state = spot._runner.state, AttemptState()
        assert state.dispatcher is not None
        request = unlisted_request(
            "POST", "/api/v2/kits/SPOT123456/", json={"metadata": {}}, query=None, replay_safe=False
        )
        with pytest.raises(Outside, match=at):
            await spot._runner.attempt(
                request,
                lambda reply: reply,
                attempt_state=attempt_state,
                is_repeat=False,
                may_go=lambda: True,
                observation=state.dispatcher.observe(request.operation),
            )

        assert fake_spot.counts["requests"] == 1
        assert attempt_state.may_have_arrived or attempt_state.may_be_executed
        assert (spot.stats.in_flight, spot.stats.waiting, state.permits.free) == (0, 0, 2)


async def test_a_row_that_is_not_let_go_gives_its_slot_to_the_next(fake_spot: FakeSpot) -> None:
    def raising() -> bool:
        raise Outside("may go")

    async with fake_spot.client(rate_limit=RateLimit(1, burst=1), concurrency=2) as spot:
        request = unlisted_request("GET", "/api/v2/kits/SPOT123456/", json=None, query=None, replay_safe=False)
        for may_go in (raising, lambda: False, raising):
            attempt_state, ends = AttemptState(), list[object]()
            try:
                ends.append(
                    await spot._runner.attempt(
                        request, lambda reply: reply, attempt_state=attempt_state, is_repeat=False, may_go=may_go
                    )
                )
            except Outside as raised:
                ends.append(raised)
            assert len(ends) == 1
            assert not attempt_state.may_have_arrived

        start = asyncio.get_running_loop().time()
        await spot.kits.get("SPOT123456")
        assert asyncio.get_running_loop().time() - start < 0.1
        assert spot._runner.state.permits.free == 2
