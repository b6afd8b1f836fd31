"""What observers are told, in which order, in which words; and that whatever they do changes no call."""

import asyncio
import gc
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from types import FrameType
from typing import Any

import attrs
import pytest

from spotdx_async import (
    AttemptRecord,
    AuthenticationError,
    BadRequestError,
    BulkStopped,
    ConfigError,
    DecodeError,
    EndRecord,
    GateRecord,
    InvalidInputError,
    NotSentError,
    Observer,
    OutcomeUnknownError,
    PauseRecord,
    RateLimit,
    RateLimitError,
    RetryPolicy,
    RetryRecord,
    ServerError,
    SpotError,
    StatusError,
    SubjectRecord,
)
from spotdx_async._http.auth import Auth, TokenSource
from spotdx_async._http.client_state import ClientState
from spotdx_async._http.messages import Action, AttemptResult, AttemptState, Reply, Request, TransportFailure, Verdict
from spotdx_async._http.rate_limiter import GcraLimiter
from spotdx_async._http.runner import Runner
from spotdx_async._observe.dispatch import CallObservation, Dispatcher, dispatcher_of
from spotdx_async.config import CallOptions
from spotdx_async.testing import VirtualTimeLoop
from tests.scripted_transport import CANARY, UNANSWERED, ScriptedTransport, Sent, Step, reply

pytestmark = pytest.mark.virtual_time

WRITE, READ = "POST /api/v2/kits/{kit_id}/", "GET /api/v2/kits/{kit_id}/"
SERVER = "https://spot.example"


def dispatcher(*observers: Observer, base_url: str = SERVER) -> Dispatcher:
    """What tells the observers of one client."""
    return Dispatcher(observers, base_url)


class Client:
    """A runner over a scripted transport, with observers, which are told through what is under test here."""

    def __init__(
        self,
        *steps: Step,
        observers: Sequence[Observer] = (),
        token: str | TokenSource = f"{CANARY}-token",
        limit: RateLimit | None = None,
        **options: Any,
    ) -> None:
        self.transport = ScriptedTransport(*steps)
        transport: Any = self.transport
        self.dispatcher = dispatcher(*observers) if observers else None
        self.limiter = GcraLimiter(limit)
        self._state = ClientState(
            auth=Auth(token), transport=transport, limiter=self.limiter, concurrency=1, dispatcher=self.dispatcher
        )
        policy = RetryPolicy(base_s=0, throttle_base_s=0)
        self._runner = Runner(self._state, CallOptions(**{"retry": policy, **options}))

    async def call(self) -> Any:
        return await self._runner.call(update(), lambda answer: answer.body)

    async def attempt(self, observation: CallObservation | None, **how: Any) -> AttemptResult:
        how = {"is_repeat": False, "may_go": lambda: True, **how}
        return await self._runner.attempt(
            update(), lambda answer: answer.body, attempt_state=AttemptState(), observation=observation, **how
        )

    async def close(self) -> None:
        await self._state.close()

    async def is_free_again(self) -> bool:
        """Whether the only permit is there, and the books are right."""
        stats = self._state.stats()
        if (stats.in_flight, stats.waiting, self.transport.under_way) != (0, 0, 0):
            return False
        async with asyncio.timeout(1000):
            return await Runner(self._state, CallOptions()).call(update(), lambda answer: answer.status == 200)


def update() -> Request:
    """A request that holds what nobody may be told."""
    return Request(
        WRITE,
        "POST",
        f"/api/v2/kits/{CANARY}/",
        query=f"name={CANARY}",
        body=f'{{"patient": "{CANARY}"}}'.encode(),
        is_replay_safe=True,
        an_id=CANARY,
    )


class Notes(Observer):
    """Keeps all that it is told, each with the mark that it came with; the mark names what began, and when."""

    def __init__(self, *, name: str = "") -> None:
        self.told: list[tuple[Any, Any]] = []
        self._name = name

    def begin(self, subject: SubjectRecord, parent: Any) -> Any:
        mark = f"{self._name}{subject.kind} {len(self.told)}"
        self.told.append((parent, subject))
        return mark

    def sending(self, mark: Any, headers: dict[str, str]) -> Callable[[], object]:
        headers["x-mark"] = mark
        self.told.append((mark, "sending"))
        return lambda: self.told.append((mark, "sent"))

    def attempt(self, mark: Any, record: AttemptRecord) -> None:
        self.told.append((mark, record))

    def retry(self, mark: Any, record: RetryRecord) -> None:
        self.told.append((mark, record))

    def pause(self, mark: Any, record: PauseRecord) -> None:
        self.told.append((mark, record))

    def gate(self, mark: Any, record: GateRecord) -> None:
        self.told.append((mark, record))

    def end(self, mark: Any, record: EndRecord) -> None:
        self.told.append((mark, record))

    @property
    def words(self) -> list[str]:
        """What was told, a word each."""
        return [one if isinstance(one, str) else type(one).__name__.removesuffix("Record") for _, one in self.told]

    def of(self, kind: type) -> list[Any]:
        return [record for _, record in self.told if isinstance(record, kind)]


EVENTS = ("begin", "sending", "attempt", "retry", "pause", "gate", "end")


class Does(Observer):
    """Does the same whenever it is told anything, or only where it is told what is named."""

    def __init__(self, does: Callable[[], object], *where: str) -> None:
        for event in EVENTS:
            if not where or event in where:
                setattr(self, event, lambda *_about: does())


@pytest.fixture
async def failures() -> list[dict[str, Any]]:
    """What reaches the loop's exception handler."""
    caught: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context))
    return caught


async def end_of(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except SpotError as error:
        return error


# How things ended, in a word


class Ends(Observer):
    """Keeps how things ended."""

    def __init__(self) -> None:
        self.records: list[EndRecord] = []

    def end(self, mark: None, record: EndRecord) -> None:  # noqa: ARG002 - of the protocol
        self.records.append(record)


def ending(operation: str, error: BaseException | None) -> EndRecord:
    ends = Ends()
    dispatcher(ends).observe(operation).end(error)
    (record,) = ends.records
    return record


def after_an_open_attempt(error: SpotError) -> SpotError:
    error.may_be_executed = True
    return error


@pytest.mark.parametrize(
    "error",
    [
        BadRequestError("no", status=400),
        AuthenticationError("no", status=401),
        RateLimitError("no", status=429),
        ServerError("no", status=503),
        OutcomeUnknownError("no"),
    ],
)
async def test_a_write_that_may_have_been_carried_out_is_unknown_whatever_came_last(error: SpotError) -> None:
    assert ending(WRITE, after_an_open_attempt(error)).outcome == "unknown"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (None, "ok"),
        (BadRequestError("no", status=400), "refused"),
        (RateLimitError("no", status=429), "throttled"),
        (ServerError("no", status=503), "failed"),
        (NotSentError("no"), "not_sent"),
        (DecodeError("no"), "unreadable"),
        (BulkStopped("no"), "failed"),
        (InvalidInputError("no"), "not_sent"),
        (StatusError("no", status=408), "failed"),
        (StatusError("no", status=425), "failed"),
        (StatusError("no", status=418), "refused"),
        (LookupError("of a hook"), "failed"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (GeneratorExit(), "cancelled"),
    ],
)
async def test_otherwise_the_last_answer_gives_the_word(error: BaseException | None, word: str) -> None:
    assert ending(WRITE, error).outcome == word


@pytest.mark.parametrize(
    ("error", "word"), [(BadRequestError("no", status=400), "refused"), (ServerError("no", status=503), "failed")]
)
async def test_a_read_changes_nothing_so_that_the_last_answer_is_all_there_is(error: SpotError, word: str) -> None:
    assert ending(READ, after_an_open_attempt(error)).outcome == word


@pytest.mark.parametrize(
    ("error", "kind", "status", "reason"),
    [
        (None, None, None, None),
        (ServerError("no", status=503), "ServerError", 503, None),
        (StatusError("no"), "StatusError", None, None),
        (OutcomeUnknownError("no", reason="status", status=502), "OutcomeUnknownError", 502, "status"),
        (NotSentError("no", reason="dns"), "NotSentError", None, "dns"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, CANARY), "UnicodeDecodeError", None, None),  # whose reason is a text
        (asyncio.CancelledError(CANARY), "CancelledError", None, None),
        (GeneratorExit(), None, None, None),  # a consumer who leaves a run's loop
    ],
)
async def test_of_an_error_its_class_status_and_reason_are_told(
    error: BaseException | None, kind: str | None, status: int | None, reason: str | None
) -> None:
    record = ending(READ, error)

    assert (record.error, record.status, record.reason) == (kind, status, reason)
    assert CANARY not in repr(record)


# What is told of a call, in order


def lasts(seconds: float, then: Reply | TransportFailure) -> Step:
    async def step(_sent: Sent) -> Reply | TransportFailure:
        await asyncio.sleep(seconds)
        return then

    return step


def call_record(record: Any) -> Any:
    """A record without what all of a call have."""
    assert record.operation == WRITE
    return attrs.asdict(record, filter=lambda field, _: field.name not in {"operation", "method"})


async def test_all_that_happens_to_a_call_is_told_in_order() -> None:
    notes = Notes()
    steps = lasts(2, reply(429, retry_after=7)), lasts(1, reply(503)), lasts(3, reply())

    assert await Client(*steps, observers=[notes]).call() == b"{}"

    turn = ["sending", "sent", "Attempt"]
    assert notes.words == ["Subject", *turn, "Pause", "Retry", *turn, "Retry", *turn, "End"]
    (parent, subject), *others = notes.told
    assert parent is None
    assert attrs.asdict(subject) == {
        "kind": "call",
        "operation": WRITE,
        "method": "POST",
        "template": "/api/v2/kits/{kit_id}/",
        "host": "spot.example",
        "port": 443,
    }
    assert {mark for mark, _ in others} == {"call 0"}
    attempts = notes.of(AttemptRecord)
    assert [one.method for one in attempts] == ["POST"] * 3
    about = {"reason": None}
    names = ("attempt", "outcome", "status", "error", "request_s", "waited_s")
    assert [call_record(one) for one in attempts] == [
        dict(zip(names, values, strict=True), limiter_s=0, **about)
        for values in (
            (1, "throttled", 429, "RateLimitError", 2, 0),
            (2, "failed", 503, "ServerError", 1, 7),
            (3, "ok", 200, None, 3, 0),
        )
    ]
    assert [call_record(one) for one in notes.of(RetryRecord)] == [
        {"attempt": 1, "wait_s": 7, "error": "RateLimitError", "status": 429, "retry_after_s": 7, **about},
        {"attempt": 2, "wait_s": 0, "error": "ServerError", "status": 503, "retry_after_s": None, **about},
    ]
    assert [call_record(one) for one in notes.of(PauseRecord)] == [{"wait_s": 7}]
    assert [call_record(one) for one in notes.of(EndRecord)] == [
        {"outcome": "ok", "status": 200, "error": None, "reason": None, "attempts": 3, "elapsed_s": 13}
    ]


async def test_waits_before_an_attempt_are_told_and_how_much_was_for_the_limit() -> None:
    async def token() -> str:
        await asyncio.sleep(3)
        return "token"

    notes = Notes()
    client = Client(observers=[notes], token=token, limit=RateLimit(1, per_s=10, burst=1))
    await client.call()
    await asyncio.sleep(2)
    await client.call()

    waits = [(one.waited_s, one.limiter_s) for one in notes.of(AttemptRecord)]
    assert waits == [(3, 0), (8, 8)]


async def test_a_wait_is_told_with_the_attempt_that_it_was_for_alone() -> None:
    notes = Notes()
    steps = reply(), lasts(20, reply(503))
    client = Client(*steps, observers=[notes], limit=RateLimit(1, per_s=10, burst=1))
    await client.call()

    await client.call()

    assert [(one.waited_s, one.limiter_s) for one in notes.of(AttemptRecord)] == [(0, 0), (10, 10), (0, 0)]


async def test_a_call_that_is_not_sent_has_no_attempt() -> None:
    notes = Notes()
    client = Client(observers=[notes])
    await client.close()

    assert isinstance(await end_of(client.call()), NotSentError)

    assert notes.words == ["Subject", "End"]
    (end,) = notes.of(EndRecord)
    assert (end.outcome, end.error, end.reason, end.attempts) == ("not_sent", "NotSentError", "closed", 0)


@pytest.mark.parametrize("ends_by", ["its caller", "its deadline"])
async def test_an_attempt_that_is_cut_off_is_told_before_the_end(ends_by: str) -> None:
    notes = Notes()
    client = Client(lasts(100, reply()), observers=[notes], deadline_s=5 if ends_by == "its deadline" else None)
    call = asyncio.create_task(end_of(client.call()))
    await asyncio.sleep(5)
    if ends_by == "its caller":
        call.cancel()
    await asyncio.wait([call])

    assert notes.words == ["Subject", "sending", "Attempt", "sent", "End"]
    (attempt,), (end,) = notes.of(AttemptRecord), notes.of(EndRecord)
    assert (attempt.outcome, attempt.request_s) == ("cancelled", 5)
    assert end.outcome == ("cancelled" if ends_by == "its caller" else "unknown")
    assert await client.is_free_again()


async def test_what_the_transport_raises_besides_ends_the_call_and_undoes_what_was_done() -> None:
    notes = Notes()
    client = Client(LookupError("of the session's hook"), observers=[notes])

    with pytest.raises(LookupError):
        await client.call()

    assert notes.words == ["Subject", "sending", "sent", "End"]
    assert await client.is_free_again()


@pytest.mark.parametrize(
    ("base_url", "host", "port"),
    [
        (SERVER, "spot.example", 443),
        ("http://localhost", "localhost", 80),
        ("http://127.0.0.1:8080/spot", "127.0.0.1", 8080),
        ("https://[::1]:9", "::1", 9),
        ("https://", "", 443),
    ],
)
async def test_the_server_is_told_by_name_and_port(base_url: str, host: str, port: int) -> None:
    notes = Notes()

    dispatcher(notes, base_url=base_url).observe(READ)

    (subject,) = notes.of(SubjectRecord)
    assert (subject.host, subject.port) == (host, port)


async def test_a_path_that_was_given_is_no_template() -> None:
    notes = Notes()

    dispatcher(notes).observe("PUT (a path given to request)")

    (subject,) = notes.of(SubjectRecord)
    assert (subject.method, subject.template) == ("PUT", None)


async def test_each_observer_is_told_with_its_own_mark_also_one_that_stands_there_twice() -> None:
    one, other = Notes(name="one's "), Notes(name="other's ")

    await Client(observers=[one, other, one]).call()

    assert other.words == ["Subject", "sending", "sent", "Attempt", "End"]
    assert one.words == [word for word in other.words for _ in range(2)]
    assert {mark for mark, _ in other.told[1:]} == {"other's call 0"}
    assert {mark for mark, _ in one.told[2:]} == {"one's call 0", "one's call 1"}


async def test_headers_go_with_the_request_and_are_made_anew_for_each() -> None:
    client = Client(reply(503), observers=[Notes()])

    await client.call()
    await client.call()

    headers = [sent.headers for sent in client.transport.sent]
    assert headers == [{"x-mark": mark} for mark in ("call 0", "call 0", "call 9")]
    assert headers[0] is not headers[1]


# Runs and rows


async def test_a_run_s_rows_have_it_for_parent_and_end_before_it() -> None:
    notes = Notes()
    run = dispatcher(notes).observe(WRITE, "run")
    rows = [run.row() for _ in range(3)]
    rows[1].end(None)
    run.gate("closed", 0)
    await asyncio.sleep(4)
    run.gate("open", 4)

    stopped = BulkStopped(CANARY)
    run.__exit__(BulkStopped, stopped, None)

    assert notes.words == ["Subject"] * 4 + ["End", "Gate", "Gate", "End", "End", "End"]
    assert [parent for parent, one in notes.told if isinstance(one, SubjectRecord)] == [None, *["run 0"] * 3]
    assert {subject.kind for subject in notes.of(SubjectRecord)[1:]} == {"row"}
    assert [(one.state, one.after_s) for one in notes.of(GateRecord)] == [("closed", 0), ("open", 4)]
    told = notes.told
    ends: list[Any] = [(mark, one.outcome, one.error, one.elapsed_s) for mark, one in told if type(one) is EndRecord]
    assert ends[0] == ("row 2", "ok", None, 0)
    assert sorted(ends[1:3]) == [
        ("row 1", "cancelled", "CancelledError", 4),
        ("row 3", "cancelled", "CancelledError", 4),
    ]
    assert ends[3] == ("run 0", "failed", "BulkStopped", 4)


async def test_a_row_s_parent_is_each_observer_s_own_mark_of_the_run() -> None:
    one, other = Notes(name="one's "), Notes(name="other's ")

    dispatcher(one, other).observe(WRITE, "run").row()

    assert [[parent for parent, _ in notes.told] for notes in (one, other)] == [
        [None, "one's run 0"],
        [None, "other's run 0"],
    ]


async def test_a_row_s_tries_are_told_through_what_its_run_began() -> None:
    notes = Notes()
    client = Client(lasts(1, reply(503)), observers=[notes])
    assert client.dispatcher is not None
    row = client.dispatcher.observe(WRITE, "run").row()

    await client.attempt(row)
    await asyncio.sleep(9)
    await client.attempt(row, is_repeat=True)
    tried = await client.attempt(row, is_repeat=True, may_go=lambda: False)
    row.end(None)

    turn = ["sending", "sent", "Attempt"]
    assert notes.words == ["Subject", "Subject", *turn, *turn, "End"]
    assert [(one.attempt, one.waited_s) for one in notes.of(AttemptRecord)] == [(1, 0), (2, 9)]
    assert (notes.of(EndRecord)[0].attempts, tried.attempts) == (2, 0)


async def test_without_a_watch_a_row_is_not_told() -> None:
    notes = Notes()

    await Client(observers=[notes]).attempt(None)

    assert notes.told == []


# What observers do changes no call


class UnshowableError(Exception):
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise LookupError

    __str__ = __repr__


def raises(kind: type[BaseException]) -> Callable[[], object]:
    def act() -> None:
        raise kind

    return act


STEPS = reply(429, retry_after=2), reply(503)
"""After these a call has met every event but those of a bulk run."""


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, UnshowableError, TimeoutError, StopIteration])
@pytest.mark.parametrize("where", [*EVENTS, None])
async def test_what_an_observer_raises_is_told_to_the_loop_and_changes_no_call(
    failures: list[dict[str, Any]], where: str | None, kind: type[BaseException]
) -> None:
    notes, broken = Notes(), Does(raises(kind), *([where] if where else []))
    client = Client(*STEPS, observers=[broken, notes], deadline_s=100)

    assert await client.call() == b"{}"

    turn = ["sending", "sent", "Attempt"]
    assert notes.words == ["Subject", *turn, "Pause", "Retry", *turn, "Retry", *turn, "End"]
    assert notes.of(EndRecord)[0].outcome == "ok"
    counts = {"begin": 1, "sending": 3, "attempt": 3, "retry": 2, "pause": 1, "gate": 0, "end": 1}
    assert len(failures) == (counts[where] if where else sum(counts.values()))
    for failure in failures:
        assert type(failure["exception"]) is kind
        assert failure["exception"].__context__ is None
        assert failure["message"].startswith("an observer of spotdx_async failed in ")
    assert await client.is_free_again()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["begin", "sending", "attempt", "retry", "pause", "end"])
async def test_an_interrupt_gets_out_and_holds_nothing(where: str, kind: type[BaseException]) -> None:
    is_first = iter([True])

    def interrupt() -> object:
        if next(is_first, False):
            raise kind
        return None

    notes = Notes()
    client = Client(*STEPS, observers=[notes, Does(interrupt, where)], limit=RateLimit(1, per_s=500, burst=2))

    with pytest.raises(kind):
        await client.call()

    assert notes.words.count("sending") == notes.words.count("sent")
    assert len(client.transport.sent) == {"begin": 0, "sending": 0, "end": 3}.get(where, 1)
    assert await client.is_free_again()


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
async def test_what_was_done_for_a_request_is_undone_to_the_last(
    failures: list[dict[str, Any]], kind: type[BaseException]
) -> None:
    undone: list[int] = []

    def does(number: int) -> Callable[[], object]:
        def undo() -> None:
            undone.append(number)
            if number != 1:
                raise kind

        return lambda: undo

    client = Client(observers=[Does(does(number), "sending") for number in range(3)])

    if kind is KeyboardInterrupt:
        with pytest.raises(kind):
            await client.call()
        undone.clear()  # of the first call
        with pytest.raises(kind):
            await client.call()
    else:
        assert await client.call() == b"{}"

    assert undone == [2, 1, 0]
    assert len(failures) == 2 * (kind is not KeyboardInterrupt)


async def test_what_is_no_undoing_and_what_cannot_be_looked_up_change_no_call(failures: list[dict[str, Any]]) -> None:
    class Odd(Observer):
        def sending(self, _mark: Any, _headers: dict[str, str]) -> Any:
            return "nothing to call"

        @property
        def attempt(self) -> Any:
            raise LookupError

    client = Client(observers=[Odd()])

    assert await client.call() == b"{}"
    assert [type(failure["exception"]) for failure in failures] == [AttributeError, LookupError]
    assert await client.is_free_again()


async def test_of_a_failure_its_own_cause_is_kept_and_what_was_under_way_is_not(failures: list[dict[str, Any]]) -> None:
    def fails() -> None:
        try:
            dict[str, int]()["its own"]
        except LookupError:
            raise RuntimeError from None

    call = asyncio.create_task(Client(lasts(100, reply()), observers=[Does(fails, "attempt")]).call())
    await asyncio.sleep(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    (failure,) = failures
    inner = failure["exception"].__context__
    assert (type(inner), inner.__context__) == (KeyError, None)


async def test_an_observer_that_blocks_takes_nothing_from_the_request_s_time() -> None:
    class SlowLoop(VirtualTimeLoop):
        behind_s = 0.0

        def time(self) -> float:
            return super().time() + self.behind_s

    def block() -> None:
        loop.behind_s += 20

    loop = SlowLoop()
    client = Client(observers=[Does(block, "begin", "sending", "attempt", "end")], timeout_s=7)
    try:
        assert await asyncio.to_thread(loop.run_until_complete, client.call()) == b"{}"
        assert [sent.timeout_s for sent in client.transport.sent] == [7]
        assert client.transport.times == [40]
    finally:
        loop.close()


@pytest.mark.parametrize("where", ["begin", "sending", "attempt", "retry", "pause", "end"])
async def test_an_observer_may_call_its_client(where: str) -> None:
    calls: list[asyncio.Task[Any]] = []

    def call() -> None:
        if not calls:
            calls.append(asyncio.get_running_loop().create_task(client.call()))

    client = Client(*STEPS, observers=[Does(call, where)])

    assert await client.call() == b"{}"
    assert await calls[0] == b"{}"
    assert await client.is_free_again()


@pytest.mark.parametrize("where", ["begin", "sending", "attempt", "retry", "pause", "end"])
async def test_an_observer_may_close_its_client(where: str) -> None:
    closings: list[asyncio.Task[None]] = []

    def close() -> None:
        closings.append(asyncio.get_running_loop().create_task(client.close()))

    notes = Notes()
    client = Client(lasts(1, UNANSWERED), observers=[Does(close, where), notes])

    ended = await end_of(client.call())

    await asyncio.gather(*closings)
    # A closing that was begun before the first request ended keeps the repeat from being sent.
    is_early = where in {"begin", "sending"}
    assert type(ended) is OutcomeUnknownError if is_early else ended == b"{}"
    assert len(client.transport.sent) == (1 if is_early else 2)
    assert notes.words[-1] == "End"


@pytest.mark.parametrize("turns", range(8))
def test_a_call_whose_loop_is_gone_ends_without_a_word(turns: int, recwarn: pytest.WarningsRecorder) -> None:
    """Its coroutine is closed where no loop runs, which must raise nothing."""
    notes = Notes()
    client = Client(lasts(5, reply()), observers=[notes], limit=RateLimit(1, per_s=100, burst=1))
    loop = VirtualTimeLoop()
    try:
        coroutine = client.call()
        task = loop.create_task(coroutine)
        for _ in range(turns):
            loop.run_until_complete(asyncio.sleep(0))
        del task
        coroutine.close()
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
    gc.collect()

    assert not notes.told or notes.of(EndRecord)[0].outcome == "cancelled"
    assert recwarn.list == []


# Nothing private, and nothing for nobody


async def test_nothing_private_is_handed_on_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes()
    body = f'{{"detail": "{CANARY} is a patient"}}'.encode()
    steps = reply(429, retry_after=2, body=body), reply(503, body=body), reply(404, body=body)
    client = Client(*steps, observers=[notes, Does(raises(ValueError))])

    with caplog.at_level(logging.DEBUG):  # the loop's own handler logs what the second one raises
        error = await end_of(client.call())

    assert CANARY in f"{error.body} {error.details}"
    assert CANARY not in f"{notes.told} {caplog.text}"
    assert all(CANARY not in str(vars(record)) for record in caplog.records)
    assert len(caplog.records) > 5


async def test_nothing_of_the_watching_runs_without_observers() -> None:
    files = {inspect.getfile(one) for one in (Dispatcher, Observer, dispatcher_of)}
    seen: list[str] = []

    def note(frame: FrameType, event: str, _about: object) -> None:
        if event == "call" and frame.f_code.co_filename in files:
            seen.append(frame.f_code.co_name)

    async def ran(client: Client) -> list[str]:
        seen.clear()
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            await client.call()
        finally:
            sys.setprofile(before)
        return [*seen]

    client = Client(*STEPS)
    assert await ran(client) == []
    assert [sent.headers for sent in client.transport.sent] == [None] * 3
    assert {"observe", "attempted"} <= {*await ran(Client(*STEPS, observers=[Observer()]))}


# Callbacks


def test_nobody_who_wants_to_be_told_makes_no_dispatcher() -> None:
    assert dispatcher_of(SERVER, None, {"on_attempt": None, "on_retry": None, "on_pause": None}) is None


async def test_a_hook_that_is_not_there_is_not_called(failures: list[dict[str, Any]]) -> None:
    made = dispatcher_of(SERVER, None, {"on_attempt": None, "on_retry": None, "on_pause": print})
    assert made is not None

    made.observe(WRITE).attempted(None, 200)

    assert failures == []


async def test_callbacks_get_the_records_that_an_observer_gets() -> None:
    notes, records = Notes(), dict[str, list[Any]]()
    hooks = {name: records.setdefault(name, []).append for name in ("on_attempt", "on_retry", "on_pause")}
    made = dispatcher_of(SERVER, notes, {**hooks, "on_other": None})
    assert made is not None
    watched = made.observe(WRITE)

    watched.going_out(AttemptState())
    watched.attempted(ServerError("no", status=503), 503)
    watched.paused(5)
    watched.repeated(Verdict(Action.REPEAT, error=ServerError("no", status=503)), 5)
    watched.end(None)

    kinds = {"on_attempt": AttemptRecord, "on_retry": RetryRecord, "on_pause": PauseRecord}
    assert records == {name: notes.of(kind) for name, kind in kinds.items()}
    assert [len(kept) for kept in records.values()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("observer", "hook", "message"),
    [
        (Observer, None, "observer must be an Observer"),
        (None, 1, "on_retry must be a plain function"),
        (None, end_of, "on_retry must be a plain function"),
    ],
)
def test_what_is_neither_an_observer_nor_a_function_is_refused(observer: object, hook: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dispatcher_of(SERVER, observer, {"on_attempt": None, "on_retry": hook})
