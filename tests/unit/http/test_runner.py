"""One call's way: what is sent and how often, what it waits for, what bounds it, and that nothing is held after it."""

import asyncio
import gc
import logging
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

import attrs
import pytest

from spotdx_async import (
    AdaptiveRateLimit,
    AuthenticationError,
    BadRequestError,
    ConfigError,
    DecodeError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimit,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SpotError,
    Stats,
)
from spotdx_async._http import clock
from spotdx_async._http.auth import Auth, TokenSource
from spotdx_async._http.client_state import ClientState
from spotdx_async._http.messages import Action, AttemptResult, AttemptState, Reply, Request, Response, TransportFailure
from spotdx_async._http.rate_limiter import GcraLimiter
from spotdx_async._http.runner import Runner
from spotdx_async.config import CallOptions
from spotdx_async.errors import Clue
from spotdx_async.testing import VirtualTimeLoop, run_virtual
from tests.scripted_transport import CANARY, NOT_SENT, UNANSWERED, ScriptedTransport, Sent, Step, reply

pytestmark = pytest.mark.virtual_time

AT_ONCE = RetryPolicy(base_s=0, throttle_base_s=0)
"""Four attempts without a wait, so that every moment can be told."""
LASTING = TransportFailure(
    "tls", "the certificate does not fit, so nothing was sent", may_have_arrived=False, is_lasting=True
)


class Client:
    """The thing under test: a runner over a scripted transport, and all that is asked of it here."""

    def __init__(
        self,
        *steps: Step,
        token: str | TokenSource = f"{CANARY}-token",
        limiter: Any = None,
        concurrency: int = 1,
        max_pause_s: float = 300.0,
        lands_within_s: float = 60.0,
        turns: int = 1,
        **options: Any,
    ) -> None:
        self.transport = ScriptedTransport(*steps, turns=turns)
        transport: Any = self.transport
        state = ClientState(
            auth=Auth(token),
            transport=transport,
            limiter=GcraLimiter() if limiter is None else limiter,
            concurrency=concurrency,
            lands_within_s=lands_within_s,
            max_pause_s=max_pause_s,
        )
        self.runner = Runner(state, CallOptions(**{"retry": AT_ONCE, **options}))
        self.close = state.close

    async def call(self, request: Request | None = None, decode: Callable[[Reply], Any] | None = None) -> Any:
        return await self.runner.call(request or update(), decode or body_of)

    def fetch(self, request: Request) -> Coroutine[Any, Any, Response]:
        return self.runner.fetch(request)

    def attempt(
        self, request: Request | None = None, *, attempt_state: AttemptState | None = None, **how: Any
    ) -> Coroutine[Any, Any, AttemptResult]:
        how = {"is_repeat": False, "may_go": lambda: True, **how}
        return self.runner.attempt(request or update(), body_of, attempt_state=attempt_state or AttemptState(), **how)

    @property
    def stats(self) -> Stats:
        return self.runner.state.stats()

    @property
    def attempts(self) -> int:
        return len(self.transport.sent)


def update() -> Request:
    """A request that is safe to repeat."""
    return Request("POST /x/{id}/", "POST", f"/x/{CANARY}/", body=CANARY.encode(), is_replay_safe=True)


def create(clue: Clue | None = None) -> Request:
    """A request that must not be executed twice."""
    return Request("POST /x/", "POST", "/x/", body=CANARY.encode(), clue=clue)


def body_of(answer: Reply) -> bytes:
    return answer.body


def unreadable(_answer: Reply) -> Any:
    raise DecodeError("the answer is not JSON", outcome="unknown")


class Slots:
    """A limiter of a caller's that counts, with what the SDK's own can do besides."""

    def __init__(self, *, turns: int = 2) -> None:
        self.wait_s = 0.0
        self.held = self.given_back = self.bulk = 0
        self.pauses: list[float] = []
        self.throttles: list[float] = []
        self._turns = turns

    async def acquire(self) -> None:
        for _ in range(self._turns):
            await asyncio.sleep(0)
        if self.wait_s:
            await asyncio.sleep(self.wait_s)
        self.held += 1

    async def acquire_bulk(self) -> None:
        self.bulk += 1
        await self.acquire()

    def give_back(self) -> None:
        self.held -= 1
        self.given_back += 1

    def throttled(self, sent_s: float) -> None:
        self.throttles.append(sent_s)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


class BareLimiter:
    """A limiter with no more than the protocol."""

    def __init__(self, wait_s: float = 0.0) -> None:
        self.wait_s = wait_s

    async def acquire(self) -> None:
        await asyncio.sleep(self.wait_s)

    def pause(self, seconds: float) -> None:
        pass


def lasts(seconds: float, then: Reply | TransportFailure | None = None) -> Step:
    """A step that takes so long."""

    async def step(_sent: Sent) -> Reply | TransportFailure:
        await asyncio.sleep(seconds)
        return then or reply()

    return step


def lasts_unsent(seconds: float) -> Step:
    """A step that takes so long before the first byte goes out."""

    async def step(sent: Sent) -> Reply | TransportFailure:
        sent.attempt_state.may_have_arrived = False
        await asyncio.sleep(seconds)
        return reply()

    return step


def tokens(*texts: str, wait_s: float = 0.0) -> TokenSource:
    """A token function that gives one after the other, and fails after the last."""
    left = iter(texts)

    async def source() -> str:
        await asyncio.sleep(wait_s)
        return next(left)

    return source


async def end_of(call: Awaitable[Any]) -> Any:
    """The SDK's error in which a call ends, or what it brings."""
    try:
        return await call
    except SpotError as error:
        return error


async def is_free_again(client: Client) -> bool:
    """Whether every permit is there and the books are right: the next call, of a client with one permit, goes."""
    stats = client.stats
    if (stats.in_flight, stats.waiting, client.transport.under_way) != (0, 0, 0):
        return False
    async with asyncio.timeout(1000):  # virtual: longer than any pause here
        return bool(await client.call() == b"{}")


# What is sent, and how often


async def test_a_first_attempt_that_is_accepted_is_all_there_is() -> None:
    client = Client(reply(body=b"[1]"), timeout_s=7)

    assert await client.call() == b"[1]"

    (sent,) = client.transport.sent
    assert (sent.token.text, sent.timeout_s, sent.request.path) == (f"{CANARY}-token", 7, f"/x/{CANARY}/")
    counts = {"calls": 1, "attempts": 1, "retries": 0, "throttled": 0, "in_flight": 0, "waiting": 0}
    assert attrs.asdict(client.stats) == counts | {"retry_budget": pytest.approx(20.2), "rate": None}


async def test_a_fetch_gives_the_whole_answer_and_what_it_took() -> None:
    client = Client(reply(503), lasts(2, Reply(201, {"X-A": "b"}, b"text")))

    answer = await client.fetch(update())

    assert (answer.status, answer.headers, answer.body) == (201, {"X-A": "b"}, b"text")
    assert (answer.attempts, answer.elapsed_s) == (2, 2)


OK = b"{}"


@pytest.mark.parametrize(
    ("request_", "steps", "attempts", "end"),
    [
        # Surely not executed: repeated, whatever it is
        (create(), [NOT_SENT], 2, OK),
        (create(), [reply(429)], 2, OK),
        (create(), [reply(429, retry_after=3)], 2, OK),
        (create(), [NOT_SENT, reply(429), NOT_SENT], 4, OK),
        (create(), [NOT_SENT] * 4, 4, NotSentError),
        (create(), [reply(429)] * 4, 4, RateLimitError),
        (update(), [LASTING], 1, NotSentError),
        # May have been executed: repeated where twice is as good as once, else unknown at once
        (update(), [reply(500)], 2, OK),
        (update(), [reply(503)] * 3, 4, OK),
        (update(), [reply(503)] * 4, 4, ServerError),
        (update(), [reply(408)], 2, OK),
        (update(), [UNANSWERED], 2, OK),
        (update(), [UNANSWERED] * 4, 4, OutcomeUnknownError),
        (create(), [reply(500)], 1, OutcomeUnknownError),
        (create(), [reply(503, retry_after=1)], 1, OutcomeUnknownError),
        (create(), [reply(408)], 1, OutcomeUnknownError),
        (create(), [UNANSWERED], 1, OutcomeUnknownError),
        (create(), [NOT_SENT, reply(503)], 2, OutcomeUnknownError),
        # An answer that no repeat would change
        (update(), [reply(404)], 1, NotFoundError),
        (update(), [reply(400)], 1, BadRequestError),
        (update(), [reply(501)], 1, ServerError),
        (update(), [reply(302)], 1, OutcomeUnknownError),
        # All attempts together: what may have been executed is never called unsent
        (update(), [UNANSWERED, *[NOT_SENT] * 3], 4, OutcomeUnknownError),
        (update(), [reply(503), LASTING], 2, OutcomeUnknownError),
        (update(), [UNANSWERED, *[reply(429)] * 3], 4, OutcomeUnknownError),
        (update(), [UNANSWERED, reply(404)], 2, NotFoundError),
    ],
)
async def test_a_verdict_says_whether_it_is_sent_again(
    request_: Request, steps: list[Step], attempts: int, end: bytes | type[SpotError]
) -> None:
    client = Client(*steps)

    ended = await end_of(client.call(request_))

    assert client.attempts == client.stats.attempts == attempts
    assert client.stats.retries == attempts - 1
    if isinstance(end, bytes):
        assert ended == end
    else:
        assert type(ended) is end
        assert (ended.operation, ended.attempts, ended.elapsed_s) == (request_.operation, attempts, clock.now())
        assert ended.may_be_executed == any(step not in (NOT_SENT, LASTING) and one_may(step) for step in steps)
        assert ended.__cause__ is ended.__context__ is None
        assert CANARY not in f"{ended!r} {ended}"
    assert await is_free_again(client)


def one_may(step: Step) -> bool:
    """Whether what was sent may have been executed."""
    return not isinstance(step, Reply) or step.status in {200, 302, 408} or step.status >= 500


@pytest.mark.parametrize(
    ("request_", "attempts", "end"), [(update(), 4, DecodeError), (create(), 1, OutcomeUnknownError)]
)
async def test_a_2xx_that_cannot_be_read_is_judged_as_unanswered(
    request_: Request, attempts: int, end: type[SpotError]
) -> None:
    client = Client()

    assert type(await end_of(client.call(request_, unreadable))) is end
    assert client.attempts == attempts


async def test_what_decoding_raises_besides_gets_out_and_holds_nothing() -> None:
    client = Client()

    with pytest.raises(ZeroDivisionError):
        await client.call(decode=lambda answer: len(answer.body) / 0)
    assert await is_free_again(client)


async def test_an_answer_is_let_go_before_the_wait_that_it_causes() -> None:
    """Neither the answer nor the request is held while it waits, and the body of a 503 may be large."""
    answers: list[weakref.ref[Reply]] = []

    async def fails(_sent: Sent) -> Reply:
        answer = reply(503, retry_after=5)
        answers.append(weakref.ref(answer))
        return answer

    client = Client(fails)
    call = asyncio.create_task(client.call())
    await asyncio.sleep(1)
    gc.collect()

    assert [answer() for answer in answers] == [None]
    assert client.transport.under_way == client.stats.in_flight == 0
    assert client.stats.waiting == 1
    assert await call == b"{}"


# How long it waits in between


async def test_the_server_s_own_time_is_waited_and_holds_for_every_call() -> None:
    client = Client(reply(429, retry_after=7), concurrency=3)

    first = asyncio.create_task(client.call())
    await asyncio.sleep(1)
    await asyncio.gather(first, client.call())

    assert client.transport.times == [0, 7, 7]


@pytest.mark.parametrize(("policy", "bound_s"), [(RetryPolicy(base_s=8, throttle_base_s=0), 8), (AT_ONCE, 0)])
async def test_without_one_the_policy_says_how_long(policy: RetryPolicy, bound_s: float) -> None:
    client = Client(reply(503), retry=policy)

    await client.call()

    first, second = client.transport.times
    assert 0 <= second - first <= bound_s
    assert (second > first) == (bound_s > 0)


async def test_a_pause_is_cut_at_its_bound_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(*[reply(429, retry_after=50)] * 3, max_pause_s=20, concurrency=3)

    with caplog.at_level(logging.INFO, "spotdx_async"):
        await asyncio.gather(client.call(), client.call(), client.call())

    assert client.transport.times == [0, 0, 0, 20, 20, 20]
    pauses = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage()[:48] for record in pauses] == ["the server asked for a pause of 50.0 s, which is"]
    assert len(caplog.records) == 4
    assert CANARY not in caplog.text


async def test_a_429_is_told_to_the_limiter_with_its_time_of_sending() -> None:
    limiter = Slots()
    client = Client(lasts(3, reply(429, retry_after=2)), lasts(1, reply(503)), limiter=limiter)

    await client.call()

    assert (limiter.throttles, limiter.pauses) == ([0], [2])
    assert client.stats.throttled == 1
    assert limiter.held == 3


async def test_a_limiter_that_cannot_be_told_of_a_429_is_not() -> None:
    client = Client(reply(429, retry_after=2), limiter=BareLimiter())

    assert await client.call() == b"{}"
    assert (client.transport.times, client.stats.throttled) == ([0, 2], 1)


@pytest.mark.parametrize(
    ("step", "repeats", "left"),
    [
        (reply(503), 20, 0),
        (reply(429), 20, 0),
        (reply(503, retry_after=1), 20, 0),
        (reply(429, retry_after=1), 30, 20),  # the server has asked for the repeat
    ],
)
async def test_the_budget_pays_for_repeats_that_the_server_did_not_ask_for(
    step: Reply, repeats: int, left: float
) -> None:
    client = Client(*[step] * 200)

    for _ in range(10):
        assert isinstance(await end_of(client.call()), SpotError)

    assert (client.attempts, client.stats.retry_budget) == (10 + repeats, left)


async def test_a_policy_may_leave_the_budget_alone() -> None:
    client = Client(*[reply(503)] * 200, retry=attrs.evolve(AT_ONCE, budget=False))

    for _ in range(10):
        await end_of(client.call())

    assert (client.attempts, client.stats.retry_budget) == (40, 20)


async def test_only_a_success_at_once_earns() -> None:
    client = Client(reply(503), reply(), reply())

    await client.call()
    assert client.stats.retry_budget == 19
    await client.call()
    assert client.stats.retry_budget == pytest.approx(19.2)


# A token that is refused


@pytest.mark.parametrize(
    ("token", "steps", "sent", "end"),
    [
        ("one", [reply(401)], ["one"], AuthenticationError),  # there is no other
        (tokens("one", "one"), [reply(401)], ["one"], AuthenticationError),
        (tokens("one", "two"), [reply(401)], ["one", "two"], None),
        (tokens("one", "two", "three"), [reply(401), reply(401)], ["one", "two"], AuthenticationError),
        (tokens("one", "two"), [reply(401), reply(503)], ["one", "two", "two"], None),
        (
            tokens("one", "two", "three"),
            [reply(401), reply(503), reply(401)],
            ["one", "two", "two"],
            AuthenticationError,
        ),
        (tokens("one"), [reply(401)], ["one"], NotSentError),  # the function fails
        (tokens(), [], [], NotSentError),
        (tokens("with space\n"), [], [], ConfigError),
    ],
)
async def test_a_refused_token_is_renewed_once(
    token: str | TokenSource, steps: list[Step], sent: list[str], end: type[SpotError] | None
) -> None:
    client = Client(*steps, token=token)

    ended = await end_of(client.call(update()))

    assert client.transport.tokens == sent
    assert ended == b"{}" if end is None else type(ended) is end
    assert (client.stats.in_flight, client.stats.waiting) == (0, 0)


async def test_a_create_goes_again_with_another_token() -> None:
    client = Client(reply(401), token=tokens("one", "two"))

    assert await client.call(create()) == b"{}"
    assert client.transport.tokens == ["one", "two"]


async def test_a_token_is_renewed_for_all_calls_at_once() -> None:
    client = Client(*[lasts(1, reply(401))] * 5, token=tokens("one", "two"), concurrency=5)

    await asyncio.gather(*(client.call() for _ in range(5)))

    assert Counter(client.transport.tokens) == {"one": 5, "two": 5}


async def test_a_slot_that_came_while_the_token_was_refused_goes_back() -> None:
    limiter = Slots()
    client = Client(lasts(1, reply(401)), token=tokens("one", "two", wait_s=2), limiter=limiter, concurrency=2)
    first = asyncio.create_task(client.call())  # it is sent at 2, refused at 3, and renews until 5
    await asyncio.sleep(2.5)
    limiter.wait_s = 1

    await asyncio.gather(first, client.call())  # this has its slot at 3.5, without a token: another one at 6

    assert client.transport.tokens == ["one", "two", "two"]
    assert client.transport.times == [2, 6, 6]
    assert (limiter.held, limiter.given_back) == (3, 1)


# What bounds it


def waits_for_permit(**options: Any) -> Client:
    return Client(lasts(100), **options)


def waits_for_limit(**options: Any) -> Client:
    return Client(limiter=GcraLimiter(RateLimit(1, per_s=100, burst=1)), **options)


def waits_for_foreign_limit(**options: Any) -> Client:
    return Client(limiter=BareLimiter(100), **options)


def waits_for_token(**options: Any) -> Client:
    return Client(token=tokens("one", wait_s=100), **options)


WAITS = [waits_for_permit, waits_for_limit, waits_for_foreign_limit, waits_for_token]


async def begin_the_wait(client: Client, make: Callable[..., Client]) -> None:
    """Bring it to where the next call has to wait: for the only permit, or for the next slot."""
    if make is waits_for_permit:
        asyncio.create_task(client.call()).add_done_callback(lambda call: call.exception())
        while not client.attempts:
            await asyncio.sleep(0)
    elif make is waits_for_limit:
        await client.call()


@pytest.mark.parametrize("make", WAITS)
@pytest.mark.parametrize(
    ("bounds", "named", "reason"),
    [
        ({"max_wait_s": 5}, "max_wait_s", "wait"),
        ({"max_wait_s": 5, "deadline_s": 50}, "max_wait_s", "wait"),
        ({"deadline_s": 5}, "deadline_s", "deadline"),
        ({"deadline_s": 5, "max_wait_s": 50}, "deadline_s", "deadline"),
    ],
)
async def test_a_wait_before_the_first_attempt_is_bounded(
    make: Callable[..., Client], bounds: dict[str, Any], named: str, reason: str
) -> None:
    client = make(**bounds) if make is not waits_for_permit else make()
    await begin_the_wait(client, make)
    sent, start = client.attempts, clock.now()
    runner = Runner(client.runner.state, CallOptions(**{"retry": AT_ONCE, **bounds}))

    error = await end_of(runner.call(update(), body_of))

    assert type(error) is NotSentError
    assert (error.reason, error.attempts, client.attempts) == (reason, 0, sent)
    assert named in str(error)
    # A limiter of the SDK's can tell at once that it would take too long.
    assert clock.now() - start == (0 if make is waits_for_limit else 5)
    await client.close()


@pytest.mark.parametrize(
    ("step", "elapsed_s", "end"),
    [
        (lasts(100), 10, OutcomeUnknownError),
        (lasts_unsent(100), 10, NotSentError),
        (reply(503, retry_after=100), 0, ServerError),  # it would end in the wait: at once
        (reply(429, retry_after=100), 0, RateLimitError),
        (reply(429, retry_after=10), 0, RateLimitError),
    ],
)
async def test_the_deadline_bounds_attempts_and_waits(step: Step, elapsed_s: float, end: type[SpotError]) -> None:
    client = Client(step, deadline_s=10)

    error = await end_of(client.call())

    assert type(error) is end
    assert error.elapsed_s == clock.now() == elapsed_s
    assert client.transport.under_way == client.stats.in_flight == client.stats.waiting == 0


async def test_a_deadline_after_an_attempt_that_failed_tells_of_that() -> None:
    client = Client(reply(429), lasts_unsent(100), deadline_s=10)

    error = await end_of(client.call())

    assert type(error) is RateLimitError
    assert (error.attempts, error.elapsed_s) == (2, 10)


@pytest.mark.parametrize(
    ("bounds", "asked_s", "is_repeated"),
    [
        ({"max_wait_s": 5}, 6, False),
        ({"max_wait_s": 5}, 5, True),
        ({"deadline_s": 5}, 4, True),
        ({"deadline_s": 50}, 60, False),
        ({"max_wait_s": 5, "deadline_s": 50}, 6, False),
    ],
)
async def test_a_pause_beyond_a_bound_ends_the_call_at_once(
    bounds: dict[str, Any], asked_s: float, *, is_repeated: bool
) -> None:
    client = Client(reply(429, retry_after=asked_s), **bounds)

    ended = await end_of(client.call())

    assert (ended == b"{}") is is_repeated
    assert clock.now() == (asked_s if is_repeated else 0)


async def test_what_the_server_asks_for_counts_not_what_is_granted() -> None:
    client = Client(reply(429, retry_after=60), max_pause_s=1, max_wait_s=5)

    assert type(await end_of(client.call())) is RateLimitError
    assert (client.attempts, clock.now()) == (1, 0)


async def test_a_back_off_of_its_own_is_none_of_the_waits_that_max_wait_s_bounds() -> None:
    """It begins after it: there may still be as long a wait for the limit then."""
    client = Client(reply(503), limiter=BareLimiter(5), retry=RetryPolicy(base_s=1000, cap_s=1000), max_wait_s=6)

    assert await client.call() == b"{}"
    assert clock.now() > 10


async def test_a_wait_before_a_repeat_that_takes_too_long_ends_in_the_error_before_it() -> None:
    limiter = BareLimiter()

    async def fails(_sent: Sent) -> Reply:
        limiter.wait_s = 100
        return reply(503)

    client = Client(fails, limiter=limiter, max_wait_s=5)

    error = await end_of(client.call())

    assert type(error) is ServerError
    assert (error.attempts, error.elapsed_s) == (1, 5)


async def test_a_renewal_that_takes_too_long_leaves_the_401() -> None:
    texts = iter(["one"])

    async def source() -> str:
        for text in texts:
            return text
        await asyncio.sleep(100)
        return "two"

    client = Client(reply(401), token=source, max_wait_s=5)

    assert type(await end_of(client.call())) is AuthenticationError
    assert clock.now() == 5
    await client.close()


@pytest.mark.parametrize("deadline_s", [None, 10])
async def test_a_timeout_of_somebody_else_s_gets_out_as_it_is(deadline_s: float | None) -> None:
    raised = TimeoutError("of the session's hook")
    client = Client(raised, deadline_s=deadline_s)

    with pytest.raises(TimeoutError) as caught:
        await client.call()

    assert caught.value is raised
    assert await is_free_again(client)


async def test_without_bounds_a_call_waits_as_long_as_it_takes() -> None:
    client = Client(limiter=BareLimiter(1000), deadline_s=10, max_wait_s=5, timeout_s=3)

    assert await client.runner.without_bounds().call(update(), body_of) == b"{}"

    assert clock.now() == 1000
    assert client.transport.sent[0].timeout_s == 3
    assert client.stats.calls == 1  # of the same client


# Every way out gives back what was taken


class OfNobodyError(BaseException):
    """Comes from nowhere that the SDK knows."""


RAISED = [ValueError, asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit, OfNobodyError]


@pytest.mark.parametrize("bounds", [{}, {"deadline_s": 10, "max_wait_s": 5}])
@pytest.mark.parametrize("kind", RAISED)
async def test_whatever_the_transport_raises_holds_nothing(kind: type[BaseException], bounds: dict[str, Any]) -> None:
    limiter, raised = Slots(), kind("raised")
    client = Client(reply(503), raised, limiter=limiter, **bounds)

    with pytest.raises(kind) as caught:
        await client.call()

    assert caught.value is raised
    assert limiter.held == client.attempts == 2
    assert await is_free_again(client)


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, LookupError])
async def test_whatever_a_token_function_raises_holds_nothing_and_is_not_told(kind: type[BaseException]) -> None:
    def source() -> str:
        if len(asked) < 2:
            asked.append(1)
            raise kind(CANARY)
        return "one"

    asked: list[int] = []
    client = Client(token=source)

    for _ in range(2):
        error = await end_of(client.call())
        assert (type(error), error.reason) == (NotSentError, "token")
        assert kind.__name__ in str(error)
        assert CANARY not in str(error)
        assert error.__cause__ is error.__context__ is None
    assert await is_free_again(client)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_token_function_ends_the_loop_and_holds_nothing(kind: type[BaseException]) -> None:
    def source() -> str:
        if not asked:
            asked.append(1)
            raise kind
        return "one"

    asked: list[int] = []
    client = Client(token=source)
    loop = VirtualTimeLoop()
    call = loop.create_task(client.call())
    try:
        with pytest.raises(kind):
            loop.run_until_complete(call)
        with pytest.raises(kind):
            loop.run_until_complete(call)
        assert loop.run_until_complete(is_free_again(client))
    finally:
        loop.close()


def way_with_everything() -> tuple[Client, Slots]:
    """A call that waits wherever it can: for token, slot, answer, another token, and a repeat."""
    limiter = Slots()
    steps = [reply(401), reply(503), reply(429, retry_after=1)]
    return Client(*steps, token=tokens("one", "two", "three"), limiter=limiter, turns=2, deadline_s=100), limiter


async def test_a_call_that_is_cancelled_at_any_moment_is_cancelled_and_holds_nothing() -> None:
    reached = set[int]()
    for moment in range(400):
        client, limiter = way_with_everything()
        call = asyncio.create_task(client.call())
        for turn in range(moment):
            await asyncio.sleep(0.25 if turn % 50 == 49 else 0)  # so that it gets through the wait before a repeat
        if call.done():
            break
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        reached.add(client.attempts)
        assert limiter.held == client.attempts
        assert await is_free_again(client)
    else:
        pytest.fail("the call never ended")

    assert reached == {0, 1, 2, 3, 4}


async def test_a_call_that_is_cancelled_while_it_waits_for_a_permit_lets_the_next_one_go() -> None:
    client = Client(lasts(10))
    first, second, third = (asyncio.create_task(client.call()) for _ in range(3))
    await asyncio.sleep(1)
    second.cancel()

    await asyncio.gather(first, third)

    assert second.cancelled()
    assert client.transport.times == [0, 10]
    assert await is_free_again(client)


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, KeyboardInterrupt, TimeoutError])
async def test_whatever_a_limiter_raises_holds_nothing(kind: type[BaseException]) -> None:
    class Raising(BareLimiter):
        async def acquire(self) -> None:
            if not asked:
                asked.append(1)
                raise kind("raised")

    asked: list[int] = []
    client = Client(limiter=Raising(), deadline_s=10)

    if kind is asyncio.CancelledError:  # aimed at nobody here
        error = await end_of(client.call())
        assert (type(error), error.reason) == (NotSentError, "limit")
    else:
        with pytest.raises(kind, match="raised"):
            await client.call()
    assert await is_free_again(client)


# The clue of a create


@pytest.mark.parametrize(
    ("step", "timeout_s", "left_s"),
    [
        (reply(503), 30, 60),
        (lasts(20, UNANSWERED), 30, 40),  # its last byte went out 20 s ago
        (lasts(500, UNANSWERED), 30, 0),
        (UNANSWERED, 90, 90),
        (UNANSWERED, 1e300, 366 * 86400),
    ],
)
async def test_an_unknown_create_says_until_when_it_may_land(step: Step, timeout_s: float, left_s: float) -> None:
    client = Client(step, timeout_s=timeout_s)
    before = clock.wall()

    error = await end_of(client.call(create(Clue(client_ref="ref"))))

    assert isinstance(error, OutcomeUnknownError)
    assert error.clue is not None
    assert error.clue.client_ref == "ref"
    assert error.clue.may_land_until is not None
    assert abs(error.clue.may_land_until - before - timedelta(seconds=left_s)) < timedelta(seconds=30)


async def test_a_last_byte_that_nobody_saw_may_have_gone_out_just_now() -> None:
    async def unseen(sent: Sent) -> TransportFailure:
        sent.attempt_state.last_byte_s = float("-inf")
        await asyncio.sleep(50)
        return UNANSWERED

    client = Client(unseen)
    before = clock.wall()

    error = await end_of(client.call(create(Clue())))

    assert error.clue.may_land_until - before > timedelta(seconds=55)


async def test_a_create_that_was_not_sent_has_no_clue() -> None:
    error = await end_of(Client(*[NOT_SENT] * 4).call(create(Clue())))

    assert getattr(error, "clue", None) is None


# A client that is closed


async def test_a_closed_client_sends_nothing() -> None:
    client = Client()
    await client.call()
    await client.close()

    error = await end_of(client.call())

    assert (type(error), error.reason, error.attempts) == (NotSentError, "closed", 0)
    assert client.attempts == 1


@pytest.mark.parametrize("make", WAITS)
async def test_a_close_ends_a_call_that_waits(make: Callable[..., Client]) -> None:
    client = make()
    await begin_the_wait(client, make)
    sent = client.attempts
    call = asyncio.create_task(client.call())
    await asyncio.sleep(1)

    await client.close()

    error = await end_of(call)
    assert (type(error), error.reason, error.attempts) == (NotSentError, "closed", 0)
    assert clock.now() == 1
    assert client.attempts == sent


@pytest.mark.parametrize(
    ("step", "end"), [(reply(429, retry_after=50), NotSentError), (reply(503, retry_after=50), OutcomeUnknownError)]
)
async def test_a_close_ends_the_wait_before_a_repeat_by_what_is_true(step: Step, end: type[SpotError]) -> None:
    client = Client(step)
    call = asyncio.create_task(client.call())
    await asyncio.sleep(1)

    await client.close()

    error = await end_of(call)
    assert (type(error), error.attempts, clock.now()) == (end, 1, 1)
    assert (client.stats.in_flight, client.stats.waiting) == (0, 0)


# One loop after another


def test_a_client_goes_from_loop_to_loop() -> None:
    client = Client(reply(503, retry_after=2))

    for loops in (1, 2, 3):
        assert run_virtual(client.call()) == b"{}"
        assert client.stats.calls == loops

    assert client.stats.attempts == 4


def test_a_call_in_a_second_loop_while_the_first_runs_is_refused_and_harmless() -> None:
    client = Client(lasts(5))
    ends: list[Any] = []

    async def both() -> None:
        call = asyncio.create_task(client.call())
        await asyncio.sleep(1)
        async with asyncio.timeout(20):
            await asyncio.to_thread(lambda: ends.append(run_virtual(end_of(client.call()))))
        ends.append(await call)

    run_virtual(both())

    assert (type(ends[0]), ends[1]) == (ConfigError, b"{}")
    assert client.attempts == 1


@pytest.mark.parametrize("waits_for", ["its repeat", "its slot"])
def test_a_call_that_another_loop_overtook_while_it_waited_comes_back_to_its_own(waits_for: str) -> None:
    limiter = Slots()
    client = Client(*[reply(429, retry_after=3)] * (waits_for == "its repeat"), limiter=limiter)
    one, other = VirtualTimeLoop(), VirtualTimeLoop()
    try:
        limiter.wait_s = 3 * (waits_for == "its slot")
        call = one.create_task(client.call())
        one.run_until_complete(asyncio.sleep(1))
        limiter.wait_s = 0

        assert other.run_until_complete(client.call()) == b"{}"
        assert one.run_until_complete(call) == b"{}"

        assert limiter.held == client.attempts == (3 if waits_for == "its repeat" else 2)
        assert one.run_until_complete(is_free_again(client))
    finally:
        one.close()
        other.close()


def test_without_a_loop_of_asyncio_a_call_says_so() -> None:
    client = Client()

    with pytest.raises(ConfigError, match="running asyncio event loop"):
        client.call().send(None)  # as another framework would drive it
    assert client.stats.calls == 0


# One try, for a caller who repeats by itself


@pytest.mark.parametrize("step", [reply(503), reply(429, retry_after=3), UNANSWERED, NOT_SENT, reply(404)])
async def test_a_try_is_one_request_whatever_becomes_of_it(step: Reply | TransportFailure) -> None:
    client, attempt_state = Client(step), AttemptState()

    tried = await client.attempt(attempt_state=attempt_state)

    assert (tried.attempts, client.attempts) == (1, 1)
    assert tried.verdict.error is not None
    assert tried.verdict.error.operation == update().operation
    assert attempt_state.may_be_executed == one_may(step) if step is not NOT_SENT else not attempt_state.may_be_executed
    assert not attempt_state.may_have_arrived
    assert await is_free_again(client)


@pytest.mark.parametrize(
    ("is_repeat", "calls", "retries", "budget"), [(False, 1, 0, pytest.approx(20.2)), (True, 0, 1, 20)]
)
async def test_a_try_is_counted_as_a_call_or_as_a_repeat(
    *, is_repeat: bool, calls: int, retries: int, budget: float
) -> None:
    client = Client(lasts(2))

    tried = await client.attempt(is_repeat=is_repeat)

    assert (tried.verdict.action, tried.verdict.value) == (Action.ACCEPT, b"{}")
    assert (tried.sent_s, tried.ended_s) == (0, 2)
    assert (client.stats.calls, client.stats.retries, client.stats.retry_budget) == (calls, retries, budget)


async def test_a_try_renews_a_refused_token() -> None:
    client = Client(reply(401), token=tokens("one", "two"))

    tried = await client.attempt()

    assert (tried.verdict.action, tried.attempts) == (Action.ACCEPT, 2)


@pytest.mark.parametrize("limiter", [Slots, BareLimiter, GcraLimiter])
async def test_a_try_that_may_not_go_sends_nothing_and_gives_its_slot_back(limiter: Callable[[], Any]) -> None:
    slots = limiter()
    client = Client(limiter=slots)
    await asyncio.sleep(3)

    tried = await client.attempt(may_go=lambda: False)

    assert (tried.verdict.error, tried.attempts, client.attempts) == (None, 0, 0)
    assert (tried.sent_s, tried.ended_s) == (3, 3)
    assert not isinstance(slots, Slots) or slots.held == 0
    assert await is_free_again(client)


async def test_a_try_that_may_not_go_on_after_a_401_keeps_its_error() -> None:
    client = Client(reply(401), token=tokens("one", "two"))
    answers = iter([True, False])

    tried = await client.attempt(may_go=lambda: next(answers))

    assert (tried.verdict.action, type(tried.verdict.error)) == (Action.REPEAT, AuthenticationError)
    assert (tried.attempts, client.transport.tokens) == (1, ["one"])


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
async def test_a_slot_goes_back_whatever_the_question_raises(kind: type[BaseException]) -> None:
    def may_go() -> bool:
        raise kind

    limiter = Slots()
    client = Client(limiter=limiter)

    with pytest.raises(kind):
        await client.attempt(may_go=may_go)

    assert (limiter.held, client.attempts) == (0, 0)
    assert await is_free_again(client)


@pytest.mark.parametrize(("limiter", "bulk"), [(Slots(), 1), (BareLimiter(), None)])
async def test_a_try_lets_single_calls_go_first_where_the_limiter_can(limiter: Any, bulk: int | None) -> None:
    client = Client(limiter=limiter)

    await client.attempt()
    await client.call()

    assert getattr(limiter, "bulk", None) == bulk


async def test_a_try_of_a_closed_client_says_so_in_its_verdict() -> None:
    client = Client()
    await client.close()

    tried = await client.attempt()

    assert isinstance(tried.verdict.error, NotSentError)
    assert (tried.verdict.error.reason, tried.attempts) == ("closed", 0)


async def test_a_try_that_waits_too_long_says_so_in_its_verdict() -> None:
    client = Client(limiter=BareLimiter(100), max_wait_s=5)

    tried = await client.attempt()

    assert isinstance(tried.verdict.error, NotSentError)
    assert (tried.verdict.error.reason, clock.now()) == ("wait", 5)


# Smaller things


@pytest.mark.parametrize(("timeout_s", "lands_within_s", "taken_s"), [(30, 60, 60), (90, 60, 90)])
def test_a_request_lands_within_the_longer_of_two_times(
    timeout_s: float, lands_within_s: float, taken_s: float
) -> None:
    assert Client(timeout_s=timeout_s, lands_within_s=lands_within_s).runner.lands_within_s == taken_s


async def test_a_learned_rate_slows_down_by_a_429() -> None:
    client = Client(reply(429), limiter=GcraLimiter(AdaptiveRateLimit(10)))

    await client.call()

    assert client.stats.rate == pytest.approx(9)


async def test_a_token_function_that_waits_for_its_own_client_is_told_so() -> None:
    async def source() -> str:
        return str(await client.call())

    client = Client(token=source)

    error = await end_of(client.call())

    assert type(error) is ConfigError
    assert "uses the client that waits for its token" in str(error)
