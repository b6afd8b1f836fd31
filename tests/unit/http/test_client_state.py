"""What all calls of one client share: when it opens and closes, whose loop it is, and the waits that it ends."""

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from spotdx_async import ConfigError, NotSentError, RateLimit, SpotError, Stats
from spotdx_async._http import clock
from spotdx_async._http.auth import Auth, TokenSource
from spotdx_async._http.client_state import ClientState, WaitTooLongError
from spotdx_async._http.messages import Request
from spotdx_async._http.rate_limiter import GcraLimiter, RateLimiter, SlotTooFarError, slots_of
from spotdx_async._http.runner import Runner
from spotdx_async.config import CallOptions, RetryPolicy
from spotdx_async.testing import VirtualTimeLoop, run_virtual
from tests.scripted_transport import ScriptedTransport, reply

pytestmark = pytest.mark.virtual_time


class Client:
    """The thing under test over a scripted transport, and a call on it."""

    def __init__(
        self,
        *,
        token: TokenSource | None = None,
        limiter: Any = None,
        concurrency: int = 2,
        most_connections: int | None = None,
        steps: tuple[Any, ...] = (),
    ) -> None:
        self.transport = ScriptedTransport(*steps)
        self.transport.most_connections = most_connections
        transport: Any = self.transport
        self.state = ClientState(
            auth=Auth(token or "token"),
            transport=transport,
            limiter=GcraLimiter() if limiter is None else limiter,
            concurrency=concurrency,
        )
        self.runner = self.with_options()

    def with_options(self, **options: Any) -> Runner:
        return Runner(self.state, CallOptions(**{"retry": RetryPolicy(base_s=0, throttle_base_s=0), **options}))

    async def call(self, runner: Runner | None = None) -> int:
        """Make a call and give the status of its answer."""
        request = Request("GET /x/", "GET", "/x/", is_replay_safe=True)
        return await (runner or self.runner).call(request, lambda answer: answer.status)

    async def close(self) -> None:
        await self.state.close()

    async def wait(self, seconds: float = 1000, until_s: float | None = None, what: str = "something") -> None:
        """Wait as before an attempt."""
        await self.state.bounded(lambda: asyncio.sleep(seconds), until_s, what=what)

    @property
    def stats(self) -> Stats:
        return self.state.stats()

    @property
    def life(self) -> list[str]:
        return self.transport.life


class Run:
    """A bulk run, as the client that closes knows it."""

    def __init__(self, *, fails_with: BaseException | None = None, closing_s: float = 0.0) -> None:
        self.told: list[str] = []
        self._fails_with = fails_with
        self._closing_s = closing_s

    def end_with_client(self) -> None:
        self.told.append("end")
        if self._fails_with is not None:
            raise self._fails_with

    async def closed(self) -> None:
        await asyncio.sleep(self._closing_s)
        self.told.append("closed")


async def end_of(doing: Awaitable[Any]) -> Any:
    try:
        return await doing
    except (SpotError, WaitTooLongError) as error:
        return error


@pytest.fixture
def two_loops() -> Iterator[tuple[VirtualTimeLoop, VirtualTimeLoop]]:
    loops = VirtualTimeLoop(), VirtualTimeLoop()
    yield loops
    for loop in loops:
        loop.close()


# Opening


async def test_nothing_is_opened_before_the_first_call() -> None:
    client = Client()
    assert (client.state.is_open, client.state.is_clear(), client.life) == (True, False, [])

    await client.call()

    assert (client.state.is_open, client.state.is_clear()) == (True, True)
    assert client.life == ["close orphans"]


async def test_it_is_entered_once() -> None:
    client = Client()

    for _ in range(3):
        await client.state.enter()

    assert client.life == ["close orphans"]


@pytest.mark.parametrize(("most_connections", "at_once"), [(None, 5), (9, 5), (3, 3)])
async def test_no_more_calls_go_at_once_than_there_are_connections(most_connections: int | None, at_once: int) -> None:
    client = Client(concurrency=5, most_connections=most_connections)

    calls = [asyncio.create_task(client.call()) for _ in range(20)]
    await asyncio.sleep(0)

    assert client.transport.under_way == client.stats.in_flight == at_once
    assert client.stats.waiting == 20 - at_once
    assert set(await asyncio.gather(*calls)) == {200}


@pytest.mark.parametrize(
    ("token", "limiter", "is_closed", "is_admitted"),
    [
        (None, GcraLimiter, False, True),
        (None, lambda: GcraLimiter(RateLimit(1)), False, True),
        (lambda: "token", GcraLimiter, False, False),  # has to be asked for
        (None, GcraLimiter, True, False),
        (None, lambda: slots_of(RateLimiter(RateLimit(1))), False, True),
        (None, lambda: RateLimiter(RateLimit(1)), False, False),  # only its own coroutine gives a slot
    ],
)
async def test_a_token_and_a_slot_come_at_once_where_nothing_has_to_be_waited_for(
    token: TokenSource | None, limiter: Callable[[], Any], *, is_closed: bool, is_admitted: bool
) -> None:
    client = Client(token=token, limiter=limiter())
    await client.state.enter()
    if is_closed:
        await client.close()

    assert (client.state.admit_now() is not None) is is_admitted


async def test_without_a_free_slot_nothing_comes_at_once() -> None:
    client = Client(limiter=GcraLimiter(RateLimit(1, burst=1)))
    await client.state.enter()

    assert [client.state.admit_now() is not None for _ in range(2)] == [True, False]


# What views share


async def test_views_share_all_but_their_options() -> None:
    client = Client(limiter=GcraLimiter(RateLimit(1, burst=1)), concurrency=1, steps=(reply(503), reply(503), reply()))
    one, other = client.with_options(timeout_s=1), client.with_options(timeout_s=2, retry=RetryPolicy(max_attempts=1))

    await asyncio.gather(*(end_of(client.call(view)) for view in (one, other, one)))

    assert [sent.timeout_s for sent in client.transport.sent] == [1, 1, 1, 2, 1]  # the first was sent three times
    assert client.transport.times == [0, 1, 2, 3, 4]
    assert one.state.stats() == other.state.stats()
    assert (client.stats.calls, client.stats.attempts, client.stats.retries) == (3, 5, 2)
    assert client.stats.retry_budget == pytest.approx(20 - 2 + 2 / 5)


async def test_a_pause_that_a_view_is_asked_for_holds_for_all_of_them() -> None:
    client = Client(steps=(reply(429, retry_after=5),))
    one, other = client.with_options(), client.with_options()

    first = asyncio.create_task(client.call(one))
    await asyncio.sleep(1)
    await asyncio.gather(first, client.call(other))

    assert client.transport.times == [0, 5, 5]


async def test_two_clients_share_nothing_but_a_limiter_that_is_given_to_both() -> None:
    slots = slots_of(RateLimiter(RateLimit(1, burst=1)))
    one, other = Client(limiter=slots), Client(limiter=slots)

    await asyncio.gather(one.call(), other.call())
    await one.close()

    assert sorted(one.transport.times + other.transport.times) == [0, 1]
    assert await other.call() == 200
    assert (one.stats.calls, other.stats.calls) == (1, 2)


# Closing


async def test_a_close_closes_the_connections_and_a_second_one_does_nothing() -> None:
    client = Client()
    await client.call()

    await client.close()
    await client.close()

    assert client.life == ["close orphans", "close"]
    assert not client.state.is_open


async def test_a_client_that_was_never_used_is_closed_too() -> None:
    client = Client()

    await client.close()

    assert client.life == ["close"]
    assert not client.state.is_open


@pytest.mark.parametrize("use", ["enter", "check_open", "call"])
async def test_a_closed_client_says_what_to_do(use: str) -> None:
    client = Client()
    await client.call()
    await client.close()

    with pytest.raises(NotSentError, match="the client is closed, so nothing was sent: open a new one") as caught:
        if use == "check_open":
            client.state.check_open()
        else:
            await (client.state.enter() if use == "enter" else client.call())

    assert caught.value.reason == "closed"
    assert len(client.transport.sent) == 1


async def test_a_close_lets_calls_under_way_end_as_their_transport_says() -> None:
    is_broken = asyncio.Event()

    async def breaks(_sent: object) -> Any:
        await is_broken.wait()
        return reply(404)

    client = Client(steps=(breaks,))
    call = asyncio.create_task(end_of(client.call()))
    await asyncio.sleep(1)

    await client.close()
    assert not call.done()
    is_broken.set()

    assert (await call).status == 404
    assert (client.stats.in_flight, client.stats.waiting) == (0, 0)


@pytest.mark.parametrize("until_s", [None, 500, 5000])
async def test_a_close_ends_every_wait(until_s: float | None) -> None:
    client = Client()
    await client.state.enter()
    waits = [asyncio.create_task(end_of(client.wait(until_s=until_s))) for _ in range(3)]
    sleeps = [asyncio.create_task(client.state.sleep(1000, for_pause=for_pause)) for for_pause in (False, True)]
    await asyncio.sleep(1)

    await client.close()
    ends = await asyncio.gather(*waits, *sleeps)

    assert clock.now() == 1
    assert [getattr(end, "reason", None) for end in ends] == ["closed"] * 3 + [None] * 2


async def test_a_close_sends_those_away_who_wait_for_the_client_s_own_limiter() -> None:
    limiter = GcraLimiter(RateLimit(1, per_s=1000, burst=1))
    client = Client(limiter=limiter)
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(1)

    await client.close()

    with pytest.raises(SlotTooFarError):
        await waiting


async def test_a_close_ends_a_question_for_the_token() -> None:
    async def source() -> str:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(clock.now())
        return "token"

    ended: list[float] = []
    client = Client(token=source)
    call = asyncio.create_task(end_of(client.call()))
    await asyncio.sleep(1)

    await client.close()

    assert ended == [1]
    assert (await call).reason == "closed"


async def test_a_close_ends_bulk_runs_first_and_waits_for_them_last() -> None:
    client, run = Client(), Run(closing_s=3)
    client.state.open_runs.add(run)

    closing = asyncio.create_task(client.close())
    await asyncio.sleep(1)
    assert (run.told, client.life, closing.done()) == (["end"], ["close"], False)
    await closing

    assert run.told == ["end", "closed"]


async def test_a_run_that_is_forgotten_is_not_held() -> None:
    client, run = Client(), Run()
    client.state.open_runs.add(run)
    kept = weakref.ref(run)

    del run
    gc.collect()

    assert kept() is None
    await client.close()


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
async def test_a_run_that_cannot_end_keeps_nothing_else_open(kind: type[BaseException]) -> None:
    client, runs = Client(), [Run(fails_with=kind()), Run(), Run(fails_with=kind())]
    client.state.open_runs.update(runs)
    await client.state.enter()
    wait = asyncio.create_task(end_of(client.wait()))
    await asyncio.sleep(1)

    with pytest.raises(kind):
        await client.close()

    assert [run.told for run in runs] == [["end"]] * 3
    assert (await wait).reason == "closed"
    assert "close" in client.life
    assert not client.state.is_open


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
async def test_a_close_whose_connections_fail_is_made_good_by_the_next(kind: type[BaseException]) -> None:
    client = Client()
    await client.call()
    client.transport.close_fails_with = kind()

    with pytest.raises(kind):
        await client.close()
    assert not client.state.is_open
    await client.close()
    await client.close()

    assert client.life.count("close") == 2


async def test_a_close_that_is_cancelled_at_any_moment_is_made_good_by_the_next() -> None:
    async def source() -> str:
        try:
            await asyncio.sleep(1000)
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
        return "token"

    for moment in range(100):
        client, run = Client(token=source), Run()
        client.state.open_runs.add(run)
        call = asyncio.create_task(end_of(client.call()))
        await asyncio.sleep(1)
        closing = asyncio.create_task(client.close())
        for _ in range(moment):
            await asyncio.sleep(0)
        if closing.done():
            break
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

        await client.close()

        assert client.life[-1] == "close"
        assert not client.state.is_open
        assert moment == 0 or (await call).reason == "closed"
        assert (client.stats.in_flight, client.stats.waiting) == (0, 0)
    else:
        pytest.fail("the closing never ended")
    assert moment > 5


async def test_two_closings_at_once_both_come_back_when_it_is_closed() -> None:
    client = Client()
    await client.call()

    await asyncio.gather(client.close(), client.close())

    assert not client.state.is_open


# Waits before an attempt


@pytest.mark.parametrize(
    ("until_s", "kind", "ended_s"), [(5, WaitTooLongError, 5), (50, type(None), 10), (None, type(None), 10)]
)
async def test_a_wait_is_bounded(until_s: float | None, kind: type[object], ended_s: float) -> None:
    end = await end_of(Client().wait(10, until_s))

    assert (type(end), clock.now()) == (kind, ended_s)


async def test_a_wait_gives_what_was_waited_for() -> None:
    async def give() -> str:
        return "slot"

    assert await Client().state.bounded(give, 5, what="the rate limit") == "slot"


@pytest.mark.parametrize(("pause_s", "is_ended"), [(50, True), (20, False), (10, False)])
@pytest.mark.parametrize("is_before", [True, False])
async def test_a_pause_ends_the_waits_whose_bound_it_breaks_and_no_others(
    pause_s: float, *, is_ended: bool, is_before: bool
) -> None:
    client = Client()
    if is_before:
        client.state.pause(pause_s)
    unbounded = asyncio.create_task(end_of(client.wait(30)))
    bounded = asyncio.create_task(end_of(client.wait(15, until_s=20)))
    await asyncio.sleep(0)
    if not is_before:
        await asyncio.sleep(0)
        client.state.pause(pause_s)

    end = await bounded
    assert isinstance(end, WaitTooLongError) is is_ended
    assert clock.now() == (0 if is_ended else 15)
    assert await unbounded is None
    assert clock.now() == 30


async def test_a_shorter_pause_shortens_no_longer_one() -> None:
    client = Client()

    client.state.pause(50)
    client.state.pause(10)

    assert client.state.paused_until_s == 50


async def test_a_cancellation_of_who_waits_is_its_own() -> None:
    waiting = asyncio.create_task(Client().wait())
    await asyncio.sleep(1)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("reason", ["limit", "token"])
async def test_a_cancellation_of_what_is_waited_for_is_named(reason: str) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(NotSentError, match=f"the wait for the {reason} was cancelled, and not by the caller") as caught:
        await Client().state.bounded(cancelled, None, what=f"the {reason}", reason=reason)

    assert caught.value.reason == reason


async def test_a_cancellation_that_was_told_before_the_wait_is_not_taken_for_a_new_one() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def after_one() -> Any:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return await end_of(Client().state.bounded(cancelled, None, what="it"))

    task = asyncio.create_task(after_one())
    await asyncio.sleep(1)
    task.cancel()

    assert isinstance(await task, NotSentError)


async def test_a_timeout_of_what_is_waited_for_gets_out_as_it_is() -> None:
    async def times_out() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await Client().state.bounded(times_out, 50, what="it")


# A pause that is lifted


async def test_a_pause_that_is_lifted_ends_the_sleeps_for_it_alone() -> None:
    client = Client()
    await client.state.enter()
    client.state.pause(100)
    for_pause = asyncio.create_task(client.state.sleep(100, for_pause=True))
    for_back_off = asyncio.create_task(client.state.sleep(40))
    await asyncio.sleep(1)

    client.state.resume()
    await for_pause
    assert clock.now() == 1
    await for_back_off
    assert clock.now() == 40
    await client.call()
    assert client.transport.times == [40]

    client.state.pause(10)  # the next pause is one again
    await client.state.sleep(10, for_pause=True)
    assert clock.now() == 50


@pytest.mark.parametrize("has_resume", [True, False])
async def test_a_limiter_of_the_caller_s_is_told_where_it_can_be(*, has_resume: bool) -> None:
    told: list[object] = []

    class Limiter:
        async def acquire(self) -> None:
            pass

        def pause(self, seconds: float) -> None:
            told.append(seconds)

    limiter = Limiter()
    if has_resume:
        limiter.resume = lambda: told.append("resume")  # type: ignore[attr-defined]  # beyond the protocol
    client = Client(limiter=limiter)

    client.state.pause(5)
    client.state.resume()

    assert told == [5, "resume"] if has_resume else [5]


async def test_a_closed_client_may_be_resumed() -> None:
    client = Client()
    await client.call()
    await client.close()

    client.state.resume()

    assert not client.state.is_open


def test_a_resume_before_the_first_use_needs_no_loop() -> None:
    Client().state.resume()

    with pytest.raises(ConfigError, match="running asyncio event loop"):
        Client(limiter=slots_of(RateLimiter(RateLimit(1)))).state.resume()  # others may have been paused


# Another loop, another process


def test_one_loop_after_another_has_it(two_loops: tuple[VirtualTimeLoop, VirtualTimeLoop]) -> None:
    one, other = two_loops
    client = Client(limiter=GcraLimiter(RateLimit(1, burst=1)))

    for loop in (one, other, other, one):
        assert loop.run_until_complete(client.call()) == 200

    come = ["leave", "come", "close orphans"]
    assert client.life == ["close orphans", *come, *come]
    # The rate holds from loop to loop, on the clock of each.
    assert client.transport.times == [0, 1, 2, 1]


def test_a_loop_that_runs_keeps_it() -> None:
    client = Client()
    ends: list[Any] = []

    async def resume() -> None:
        client.state.resume()

    uses: list[Callable[[], Any]] = [client.call, client.close, resume]

    async def first() -> None:
        await client.call()
        for use in uses:
            end = await asyncio.to_thread(run_virtual, end_of(use()))
            ends.append(end)
        await client.call()

    run_virtual(first())

    assert [type(end) for end in ends] == [ConfigError] * 3
    assert all("make one client for each loop" in str(end) for end in ends)
    assert len(client.transport.sent) == 2
    assert client.life == ["close orphans"]


def test_threads_that_come_at_once_get_it_or_are_refused() -> None:
    """Whoever is refused has sent nothing."""
    client = Client()
    ends: list[Any] = []
    start = threading.Barrier(6)

    def use() -> None:
        start.wait()
        ends.append(run_virtual(end_of(client.call())))

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    served = [end for end in ends if end == 200]
    assert all(isinstance(end, ConfigError) for end in ends if end != 200)
    assert len(served) == len(client.transport.sent) >= 1


def test_what_waits_in_an_idle_loop_is_told_that_another_took_over(
    two_loops: tuple[VirtualTimeLoop, VirtualTimeLoop],
) -> None:
    one, other = two_loops
    client = Client(limiter=GcraLimiter(RateLimit(1, per_s=100, burst=1)))
    one.run_until_complete(client.call())
    waiting = one.create_task(client.call())
    one.run_until_complete(asyncio.sleep(1))

    other.run_until_complete(client.call())

    with pytest.raises(ConfigError, match="another event loop took the client"):
        one.run_until_complete(waiting)


def test_books_begin_anew_with_a_loop_and_a_late_call_of_the_earlier_one_is_not_in_them(
    two_loops: tuple[VirtualTimeLoop, VirtualTimeLoop],
) -> None:
    one, other = two_loops

    async def slow(_sent: object) -> Any:
        await asyncio.sleep(5)
        return reply()

    client = Client(steps=(slow,), concurrency=1)
    late = one.create_task(client.call())
    one.run_until_complete(asyncio.sleep(1))
    assert (client.stats.in_flight, client.stats.waiting) == (1, 0)

    other.run_until_complete(client.call())  # it has a permit of its own
    assert (client.stats.in_flight, client.stats.waiting, client.stats.calls) == (0, 0, 2)
    assert one.run_until_complete(late) == 200
    assert (client.stats.in_flight, client.stats.waiting, client.stats.calls) == (0, 0, 2)
    assert one.run_until_complete(client.call()) == 200


@pytest.mark.parametrize("closes_in", [0, 1])
def test_a_client_of_an_idle_loop_is_closed_in_whichever(
    two_loops: tuple[VirtualTimeLoop, VirtualTimeLoop], closes_in: int
) -> None:
    client = Client()
    two_loops[0].run_until_complete(client.call())

    two_loops[closes_in].run_until_complete(client.close())

    assert client.life == ["close orphans", *["leave", "come"] * closes_in, "close"]
    assert not client.state.is_open


def test_a_client_that_was_closed_in_one_loop_is_closed_in_the_same_and_opens_in_the_next(
    two_loops: tuple[VirtualTimeLoop, VirtualTimeLoop],
) -> None:
    one, other = two_loops
    client = Client()
    one.run_until_complete(client.call())
    one.run_until_complete(client.close())

    end = one.run_until_complete(end_of(client.call()))
    assert end.reason == "closed"
    end = other.run_until_complete(end_of(client.call()))
    assert end.reason == "closed"


def test_a_closed_client_is_not_opened_by_a_resume_in_another_loop(
    two_loops: tuple[VirtualTimeLoop, VirtualTimeLoop],
) -> None:
    one, other = two_loops
    client = Client()
    one.run_until_complete(client.call())
    one.run_until_complete(client.close())

    async def resume() -> None:
        client.state.resume()

    other.run_until_complete(resume())

    assert not client.state.is_open
    assert other.run_until_complete(end_of(client.call())).reason == "closed"


def test_a_close_needs_a_loop_of_asyncio() -> None:
    with pytest.raises(ConfigError, match="running asyncio event loop"):
        Client().close().send(None)


def in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it seem as if this were a forked child: what forks truly is tested with real connections."""
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)


def test_a_forked_child_has_connections_and_permits_of_its_own(
    monkeypatch: pytest.MonkeyPatch, two_loops: tuple[VirtualTimeLoop, VirtualTimeLoop]
) -> None:
    one, other = two_loops

    async def hangs(_sent: object) -> Any:
        await asyncio.sleep(1000)

    client = Client(concurrency=1, steps=(hangs,))
    under_way = one.create_task(end_of(client.call()))
    one.run_until_complete(asyncio.sleep(1))
    in_a_child(monkeypatch)

    assert other.run_until_complete(client.call()) == 200

    assert client.life == ["close orphans", "leave to parent", "close orphans"]
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        one.run_until_complete(under_way)


async def test_a_forked_child_takes_over_from_a_loop_that_seems_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop that ran in the parent when it forked looks the same in the child."""
    client = Client()
    await client.call()
    in_a_child(monkeypatch)

    await asyncio.to_thread(run_virtual, client.call())

    assert len(client.transport.sent) == 2
    assert "leave to parent" in client.life


@pytest.mark.parametrize("is_used", [True, False])
def test_a_forked_child_that_closes_what_it_never_used_closes_nothing_of_the_parent_s(
    monkeypatch: pytest.MonkeyPatch, two_loops: tuple[VirtualTimeLoop, VirtualTimeLoop], *, is_used: bool
) -> None:
    one, other = two_loops
    client = Client(limiter=GcraLimiter(RateLimit(1)))
    one.run_until_complete(client.call())
    in_a_child(monkeypatch)
    if is_used:
        other.run_until_complete(client.call())

    other.run_until_complete(client.close())

    assert client.life.count("close") == is_used
    assert not client.state.is_open
