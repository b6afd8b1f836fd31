"""A run over a send that the test plays: every row its outcome, by what was sent, however anything ends."""

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from spotdx_async import (
    AuthenticationError,
    BadRequestError,
    BulkRun,
    BulkStopped,
    ConfigError,
    InvalidInputError,
    MetadataUpdate,
    NotSentError,
    Outcome,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    read_journal,
)
from spotdx_async._http.messages import Action, AttemptResult, AttemptState, ClosableRun, Verdict
from spotdx_async.bulk.journal.records import Digester
from spotdx_async.bulk.options import Job
from spotdx_async.testing import VirtualTimeLoop, run_virtual

pytestmark = pytest.mark.virtual_time

OK = Verdict(Action.ACCEPT)
Play = Callable[[str, AttemptState], Awaitable[Verdict]]


def now() -> float:
    return asyncio.get_running_loop().time()


class Sender:
    """Plays the client: keeps the attempt state true, asks at the last moment, then hands over to the test."""

    def __init__(self, play: Play, before: Callable[[], Awaitable[object]] | None = None) -> None:
        self.play = play
        self.before = before
        self.sent: list[tuple[float, str, bytes]] = []

    async def __call__(
        self,
        key: str,
        body: bytes,
        attempt_state: AttemptState,
        _is_repeat: bool,
        may_go: Callable[[], bool],
        _watch: object,
    ) -> AttemptResult:
        if self.before is not None:
            await self.before()
        if not may_go():
            return AttemptResult(Verdict(Action.RAISE), 0, now(), now())
        sent_s = now()
        self.sent.append((sent_s, key, body))
        attempt_state.may_have_arrived = True
        verdict = await self.play(key, attempt_state)
        attempt_state.may_have_arrived = False
        return AttemptResult(verdict, 1, sent_s, now())


def run_of(send: Any, rows: Any, **options: Any) -> BulkRun[Any]:
    open_runs: WeakSet[ClosableRun] = options.pop("open_runs", WeakSet())
    job = Job(
        kind=MetadataUpdate,
        send=send,
        operation="POST /api/v2/kits/{kit_id}/",
        server="https://name:secret@spot.example:8443/base",
        policy=options.pop("policy", RetryPolicy()),
        lands_within_s=60,
        open_runs=open_runs,
        sleep=asyncio.sleep,
    )
    usual: dict[str, Any] = {
        "concurrency": 4,
        "ordered": False,
        "coalesce": False,
        "journal": None,
        "progress": None,
        "stop_after": None,
        "outage_limit": 1800,
    }
    return BulkRun(rows, job, **{**usual, **options})


def rows(count: int) -> list[tuple[str, dict[str, int]]]:
    return [(f"K{n}", {"n": n}) for n in range(count)]


async def taken(run: BulkRun[Any], outcomes: list[Outcome[Any]]) -> None:
    async for outcome in run:
        outcomes.append(outcome)  # noqa: PERF401 - those before an error count


async def states_of(run: BulkRun[Any]) -> list[str]:
    return [outcome.state for outcome in sorted([o async for o in run], key=lambda outcome: outcome.index)]


def bulk_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "spotdx bulk"]


def playing(*verdicts: Verdict) -> Sender:
    """Play the verdicts one after the other, the last one for ever."""
    left = list(verdicts)

    async def play(_key: str, _state: AttemptState) -> Verdict:
        return left.pop(0) if len(left) > 1 else left[0]

    return Sender(play)


def failing(error: Any, act: Action = Action.REPEAT, **about: Any) -> Verdict:
    return Verdict(act, error=error, **about)


# What is checked and written once


class CountedId(str):
    """An id that counts how often it is checked: nothing but the check asks whether it can be printed."""

    __slots__ = ("checks",)

    def isprintable(self) -> bool:
        self.checks = getattr(self, "checks", 0) + 1
        return super().isprintable()


class CountedMetadata(Mapping[str, Any]):
    """Metadata that count how often they are read."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_now = values
        self.reads = 0

    def __getitem__(self, name: str) -> Any:
        return self.values_now[name]

    def __iter__(self) -> Iterator[str]:
        self.reads += 1
        return iter(self.values_now)

    def __len__(self) -> int:
        return len(self.values_now)


async def test_a_row_is_read_once_whatever_is_done_to_it_and_the_bytes_that_are_digested_are_sent(
    tmp_path: Path,
) -> None:
    kit_id, metadata = CountedId("K1"), CountedMetadata({"n": 1})

    async def play(_key: str, _state: AttemptState) -> Verdict:
        metadata.values_now["n"] += 1
        if len(sender.sent) < 3:
            return failing(ServerError("503", status=503))
        return OK

    sender = Sender(play)
    path = tmp_path / "run.journal"

    states = await states_of(run_of(sender, [(kit_id, metadata)], journal=path))

    assert states == ["ok"]
    assert (kit_id.checks, metadata.reads) == (1, 1)
    assert [body for _, _, body in sender.sent] == [b'{"metadata":{"n":1}}'] * 3
    with closing(sqlite3.connect(path)) as database:
        secret = database.execute("SELECT secret FROM meta").fetchone()[0]
        assert database.execute("SELECT digest FROM rows").fetchall() == [
            (Digester(secret).row("K1", b'{"n":1}').content,)
        ]


# What was sent


async def test_a_refused_connection_after_an_attempt_that_may_have_been_executed_is_unknown() -> None:
    dropped = failing(OutcomeUnknownError("dropped"))
    refused = failing(NotSentError("refused", reason="refused"))
    run = run_of(playing(dropped, refused), rows(1))

    (outcome,) = [outcome async for outcome in run]

    assert outcome.state == "unknown"
    assert isinstance(outcome.error, OutcomeUnknownError)
    assert "earlier attempt" in str(outcome.error)


async def test_a_row_whose_every_try_got_a_5xx_is_unknown_with_that_error() -> None:
    run = run_of(playing(failing(ServerError("503", status=503), may_be_executed=True)), rows(1))

    (outcome,) = [outcome async for outcome in run]

    assert (outcome.state, type(outcome.error)) == ("unknown", ServerError)
    assert outcome.error is not None
    assert outcome.error.may_be_executed


async def test_a_final_no_after_an_attempt_that_may_have_been_executed_says_so() -> None:
    bad_gateway = failing(ServerError("502", status=502), may_be_executed=True)
    run = run_of(playing(bad_gateway, failing(BadRequestError("400", status=400), Action.RAISE)), rows(1))

    (outcome,) = [outcome async for outcome in run]

    assert (outcome.state, type(outcome.error)) == ("unknown", BadRequestError)
    assert outcome.error is not None
    assert outcome.error.may_be_executed
    assert "an earlier attempt may have been executed" in str(outcome.error)


async def test_a_failing_token_still_stops_the_run_where_the_row_itself_is_unknown() -> None:
    no_token = failing(NotSentError("the token function failed", reason="token"), Action.RAISE)
    outcomes: list[Outcome[Any]] = []
    with pytest.raises(BulkStopped) as caught:
        await taken(
            run_of(playing(failing(OutcomeUnknownError("dropped")), no_token), rows(20), concurrency=1), outcomes
        )

    assert Counter(outcome.state for outcome in outcomes)["unknown"] == 1
    assert isinstance(caught.value.cause, NotSentError)
    assert caught.value.next_index == len(outcomes)


async def test_a_resumed_row_that_was_unknown_does_not_become_failed(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    never = RetryPolicy(max_attempts=1)
    first = run_of(playing(failing(OutcomeUnknownError("dropped"))), rows(1), journal=journal, policy=never)
    assert await states_of(first) == ["unknown"]

    refused = playing(failing(NotSentError("refused", reason="refused")))
    assert await states_of(run_of(refused, rows(1), journal=journal, policy=never)) == ["unknown"]

    not_found = playing(failing(BadRequestError("400", status=400), Action.RAISE))
    assert await states_of(run_of(not_found, rows(1), journal=journal)) == ["unknown"]

    assert await states_of(run_of(playing(OK), rows(1), journal=journal)) == ["ok"]


async def test_what_is_cut_off_after_it_was_sent_is_recorded_as_unknown(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"

    async def play(key: str, _state: AttemptState) -> Verdict:
        if key == "K1":
            await asyncio.sleep(1000)
        return OK

    async with run_of(Sender(play), rows(2), journal=journal) as run:
        assert (await anext(run)).key == "K0"

    by_state = read_journal(journal).by_state
    assert (by_state["ok"], by_state["unknown"]) == (1, 1)


async def test_an_attempt_that_was_cut_off_counts() -> None:
    async def play(_key: str, _state: AttemptState) -> Verdict:
        await asyncio.sleep(1000)
        return OK

    open_runs: WeakSet[ClosableRun] = WeakSet()
    run = run_of(Sender(play), rows(2), open_runs=open_runs)
    outcomes: list[Outcome[Any]] = []
    consumer = asyncio.create_task(taken(run, outcomes))
    await asyncio.sleep(1)
    for one in list(open_runs):
        one.end_with_client()
    with pytest.raises(BulkStopped):
        await consumer

    assert [(one.state, one.attempts, one.error and one.error.attempts) for one in outcomes] == [("unknown", 1, 1)] * 2


async def test_a_session_that_follows_at_once_lets_no_earlier_request_land_over_a_newer_value(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    same_kit = [("K0", {"n": 1}), ("K1", {"n": 1}), ("K0", {"n": 2}), ("K1", {"n": 2})]

    async def play(key: str, _state: AttemptState) -> Verdict:
        if key == "K0":
            await asyncio.sleep(1000)
        return OK

    async with run_of(Sender(play), same_kit, journal=journal) as run:
        assert (await anext(run)).key == "K1"
        assert (await anext(run)).key == "K1"  # K0's first value was sent, and may still land

    again = playing(OK)
    began_s = now()
    assert await states_of(run_of(again, same_kit, journal=journal)) == ["ok", "skipped", "ok", "skipped"]
    first, second = (sent_s - began_s for sent_s, _, _ in again.sent)
    assert first < 1
    assert 60 <= second < 61


class Outside(BaseException):
    """Comes from nowhere that the SDK knows."""


async def test_a_cancellation_is_not_replaced_by_what_comes_up_while_the_run_is_closed() -> None:
    async def before() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise Outside from None

    async def consume() -> None:
        async with run_of(Sender(lambda _key, _flight: asyncio.sleep(0, OK), before), rows(1)) as run:
            async for _ in run:
                pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


async def test_with_coalesce_an_earlier_session_s_value_does_not_land_over_the_newer_one(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    never = RetryPolicy(max_attempts=1)
    first = run_of(playing(failing(OutcomeUnknownError("dropped"))), [("K", {"n": 1})], journal=journal, policy=never)
    assert await states_of(first) == ["unknown"]

    again, began_s = playing(OK), now()
    both = [("K", {"n": 1}), ("K", {"n": 2})]
    states = await states_of(run_of(again, both, journal=journal, coalesce=True))

    assert states == ["superseded", "ok"]
    assert [60 <= sent_s - began_s < 61 for sent_s, _, _ in again.sent] == [True]


def stopping_rows() -> Iterator[tuple[str, dict[str, int]]]:
    yield from rows(3)
    raise StopAsyncIteration


async def test_a_stop_async_iteration_out_of_an_input_is_an_error_and_no_end_of_it() -> None:
    outcomes: list[Outcome[Any]] = []

    with pytest.raises(InvalidInputError, match="StopAsyncIteration after 3 rows"):
        await taken(run_of(playing(OK), stopping_rows()), outcomes)

    assert len(outcomes) == 3


# Nothing lost, nothing silent


@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_foreign_exception_gets_out_and_the_row_ends_by_what_was_sent(is_sent: bool) -> None:
    class TimeLimit(BaseException):
        pass

    async def raise_it(*_: object) -> Any:
        raise TimeLimit

    async def play(_key: str, _state: AttemptState) -> Verdict:
        return await raise_it() if is_sent else OK

    send = Sender(play, before=None if is_sent else raise_it)
    outcomes: list[Outcome[Any]] = []
    with pytest.raises(TimeLimit):
        await taken(run_of(send, rows(1)), outcomes)

    (outcome,) = outcomes
    assert outcome.state == ("unknown" if is_sent else "skipped")


@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_cancellation_that_nobody_aimed_at_the_run_stops_it_with_an_error(is_sent: bool) -> None:
    async def cancelled(*_: object) -> Any:
        raise asyncio.CancelledError

    async def play(_key: str, _state: AttemptState) -> Verdict:
        return await cancelled() if is_sent else OK

    send = Sender(play, before=None if is_sent else cancelled)
    outcomes: list[Outcome[Any]] = []
    with pytest.raises(BulkStopped) as caught:
        await taken(run_of(send, rows(3), concurrency=1), outcomes)

    assert isinstance(caught.value.cause, NotSentError)
    assert caught.value.cause.reason == "closed"
    assert outcomes[0].state == ("unknown" if is_sent else "skipped")
    assert caught.value.next_index == len(outcomes) == 3


async def test_a_run_whose_tasks_are_cancelled_from_outside_ends_with_an_error() -> None:
    async def play(_key: str, _state: AttemptState) -> Verdict:
        await asyncio.sleep(1000)
        return OK

    run = run_of(Sender(play), rows(10))
    asyncio.get_running_loop().call_later(1, lambda: [task.cancel() for task in bulk_tasks()])
    outcomes: list[Outcome[Any]] = []
    with pytest.raises(BulkStopped):
        await taken(run, outcomes)

    assert len(outcomes) == 8 or len(outcomes) == 10
    assert Counter(outcome.state for outcome in outcomes)["unknown"] == 4
    assert bulk_tasks() == []


async def test_an_input_that_is_cancelled_is_no_end_of_the_input() -> None:
    async def cancelled() -> AsyncIterator[Any]:
        for row in rows(10):
            yield row
        helper = asyncio.ensure_future(asyncio.sleep(100))
        helper.cancel()
        await helper

    outcomes: list[Outcome[Any]] = []
    with pytest.raises(InvalidInputError, match="the input was cancelled after 10 rows"):
        await taken(run_of(playing(OK), cancelled()), outcomes)

    assert [outcome.state for outcome in outcomes] == ["ok"] * 10


@pytest.mark.parametrize("kind", [GeneratorExit, LookupError, StopAsyncIteration])
async def test_whatever_an_input_raises_gets_out(kind: type[BaseException]) -> None:
    class Raising:
        def __init__(self) -> None:
            self.left = rows(3)

        def __aiter__(self) -> "Raising":
            return self

        async def __anext__(self) -> Any:
            if self.left:
                return self.left.pop()
            raise kind

    outcomes: list[Outcome[Any]] = []
    if kind is StopAsyncIteration:
        await taken(run_of(playing(OK), Raising()), outcomes)
    else:
        with pytest.raises(kind):
            await taken(run_of(playing(OK), Raising()), outcomes)
    assert len(outcomes) == 3


class Unnamed:
    """A row of no known kind, whose own code fails."""

    @property
    def key(self) -> str:
        raise LookupError


async def test_what_the_code_of_a_row_raises_ends_the_run_and_leaves_no_row_without_an_outcome() -> None:
    outcomes: list[Outcome[Any]] = []
    with pytest.raises(LookupError):
        await asyncio.wait_for(taken(run_of(playing(OK), [*rows(3), Unnamed(), *rows(3)]), outcomes), 60)

    assert [outcome.state for outcome in outcomes] == ["ok"] * 3


class Empty(Exception):  # noqa: N818 - of the kind that collects others
    """Counts as false, as one that collects errors and has none."""

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("who", ["send", "progress", "input", "close"])
@pytest.mark.parametrize("is_left", [False, True])
async def test_an_exception_that_counts_as_false_is_told_as_any_other(who: str, is_left: bool) -> None:
    async def input_of() -> AsyncIterator[Any]:
        try:
            for row in rows(7):
                yield row
            if who == "input":
                raise Empty
        finally:
            if who == "close":
                raise Empty

    async def play(key: str, _state: AttemptState) -> Verdict:
        await asyncio.sleep(1)
        if who == "send" and key == "K1":
            raise Empty
        return OK

    def progress(_: object) -> None:
        if who == "progress":
            raise Empty

    run = run_of(Sender(play), input_of(), progress=progress)
    with pytest.raises(Empty):
        async with run:
            await anext(run)
            await asyncio.sleep(5)
            if not is_left:
                await taken(run, [])

    assert bulk_tasks() == []


class Storm:
    """A run in which anything may happen, by a seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.foreign = (LookupError, KeyError, GeneratorExit, asyncio.CancelledError)
        self.executed: set[str] = set()

    async def before(self) -> None:
        if self.dice.random() < 0.3:
            await asyncio.sleep(self.dice.random())
        if self.dice.random() < 0.003:
            raise self.dice.choice(self.foreign)

    async def play(self, key: str, _state: AttemptState) -> Verdict:
        dice = self.dice
        if dice.random() < 0.5:
            self.executed.add(key)
        await asyncio.sleep(dice.random())
        if dice.random() < 0.002:
            raise dice.choice(self.foreign)
        if dice.random() < 0.7:
            self.executed.add(key)
            return OK
        if key in self.executed:
            maybe = ServerError("504", status=504)
            return dice.choice([failing(maybe, may_be_executed=True), failing(OutcomeUnknownError("dropped"))])
        if dice.random() < 0.02:
            return failing(AuthenticationError("401", status=401), Action.RAISE)
        throttled = failing(RateLimitError("429", status=429), is_throttle=True, retry_after_s=0.0)
        return dice.choice([throttled, failing(NotSentError("refused", reason="refused"))])

    async def rows(self) -> AsyncIterator[Any]:
        for number in range(60):
            if self.dice.random() < 0.1:
                await asyncio.sleep(self.dice.random())
            if self.dice.random() < 0.003:
                raise self.dice.choice(self.foreign)
            key = f"K{self.dice.randrange(20)}" if self.dice.random() < 0.8 else ""
            yield key, {"n": number}


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_no_run_ends_or_hangs_with_rows_read_that_have_no_outcome(first: int) -> None:
    for seed in range(first, first + 50):
        run_virtual(one_storm(seed))


def cancel_one(dice: random.Random) -> None:
    if tasks := bulk_tasks():
        dice.choice(tasks).cancel()


async def one_storm(seed: int) -> None:
    storm = Storm(seed)
    dice = storm.dice
    concurrency, coalesce = dice.choice([1, 3, 16]), dice.random() < 0.5
    run = run_of(Sender(storm.play, storm.before), storm.rows(), concurrency=concurrency, coalesce=coalesce)
    if dice.random() < 0.3:
        asyncio.get_running_loop().call_later(dice.random() * 10, run.stop)
    if dice.random() < 0.2:
        asyncio.get_running_loop().call_later(dice.random() * 10, cancel_one, dice)
    outcomes: list[Outcome[Any]] = []
    error: BaseException | None = None
    try:
        async with asyncio.timeout(100_000):
            await taken(run, outcomes)
    except BaseException as raised:  # noqa: BLE001 - anything may come
        error = raised

    assert not isinstance(error, TimeoutError), seed
    assert sorted(outcome.index for outcome in outcomes) == list(range(len(outcomes))), seed
    assert not isinstance(error, BulkStopped) or error.next_index == len(outcomes), seed
    assert error is not None or len(outcomes) == 60 or "skipped" in {o.state for o in outcomes} or run._is_stopped, seed
    wrong = [o for o in outcomes if o.state == "failed" and o.attempts and o.key in storm.executed and not coalesce]
    assert all(isinstance(o.error, (AuthenticationError, NotSentError, RateLimitError)) for o in wrong), seed
    assert bulk_tasks() == [], seed


# What is sent


async def test_a_row_is_what_it_was_when_it_was_read(tmp_path: Path) -> None:
    def refilled() -> Iterator[Any]:
        metadata: dict[str, int] = {}
        for n in range(200):
            metadata["n"] = n
            yield f"K{n}", metadata

    send = playing(OK)
    journal = tmp_path / "run.journal"
    assert set(await states_of(run_of(send, refilled(), journal=journal))) == {"ok"}

    assert all(body == b'{"metadata":{"n":%d}}' % int(key[1:]) for _, key, body in send.sent)
    assert set(await states_of(run_of(send, rows(200), journal=journal))) == {"skipped"}


async def test_a_bad_row_is_rejected_when_it_is_read_and_supersedes_nothing() -> None:
    bad = [("K0", {"x": object()}), ("K0", {"n": float("nan")}), ("K0", 5)]

    outcomes = [outcome async for outcome in run_of(playing(OK), [*rows(1), *bad], coalesce=True)]

    assert Counter(outcome.state for outcome in outcomes) == {"ok": 1, "rejected": 3}
    assert {outcome.key for outcome in outcomes} == {"K0"}


# Stopping


async def test_a_stop_sends_nothing_that_was_not_handed_to_a_connection() -> None:
    async def slots() -> None:
        await asyncio.sleep(random.Random(len(send.sent)).random() * 2 + 0.1)

    async def play(_key: str, _state: AttemptState) -> Verdict:
        await asyncio.sleep(1)
        return OK

    send = Sender(play, before=slots)
    run = run_of(send, rows(1000), concurrency=64)
    asyncio.get_running_loop().call_later(3, run.stop)
    outcomes: list[Outcome[Any]] = []
    await taken(run, outcomes)

    assert max(sent_s for sent_s, _, _ in send.sent) <= 3
    assert now() <= 4.1
    assert Counter(outcome.state for outcome in outcomes)["ok"] == len(send.sent)


async def test_a_stop_wakes_a_row_that_waits_for_ever_for_its_slot() -> None:
    async def never() -> None:
        await asyncio.sleep(10_000)

    run = run_of(Sender(playing(OK).play, before=never), rows(100))
    asyncio.get_running_loop().call_later(1, run.stop)

    assert set(await states_of(run)) == {"skipped"}
    assert now() < 1.1


async def test_a_wrong_token_is_asked_for_no_more_than_was_under_way() -> None:
    slot = asyncio.Lock()

    async def slots() -> None:
        async with slot:
            await asyncio.sleep(0.1)

    async def play(_key: str, _state: AttemptState) -> Verdict:
        await asyncio.sleep(0.15)
        return failing(AuthenticationError("401", status=401), Action.RAISE)

    send = Sender(play, before=slots)
    outcomes: list[Outcome[Any]] = []
    with pytest.raises(BulkStopped):
        await taken(run_of(send, rows(1000), concurrency=64), outcomes)

    assert len(send.sent) <= 3
    assert Counter(outcome.state for outcome in outcomes)["failed"] == len(send.sent)


async def test_a_row_that_comes_to_wait_after_the_stop_is_woken_too() -> None:
    async def play(_key: str, attempt_state: AttemptState) -> Verdict:
        await asyncio.sleep(2)
        attempt_state.may_have_arrived = False  # a 401 was judged
        await asyncio.sleep(10_000)  # and the function that gives tokens hangs
        return OK

    run = run_of(Sender(play), rows(100))
    asyncio.get_running_loop().call_later(1, run.stop)

    assert set(await states_of(run)) == {"skipped"}
    assert now() < 2.2


async def test_a_stop_by_the_input_itself_wakes_it() -> None:
    async def stopping() -> AsyncIterator[Any]:
        yield rows(1)[0]
        run.stop()
        await asyncio.sleep(10_000)

    run = run_of(playing(OK), stopping())

    assert len(await states_of(run)) == 1
    assert now() < 1


async def test_leaving_the_block_closes_the_input_and_the_journal(tmp_path: Path) -> None:
    journal, closed = tmp_path / "run.journal", []

    async def input_of() -> AsyncIterator[Any]:
        try:
            for row in rows(1000):
                yield row
        finally:
            closed.append(now())

    send = playing(OK)
    async with run_of(send, input_of(), journal=journal) as run:
        async for _ in run:
            break
    sent = len(send.sent)

    assert closed
    assert bulk_tasks() == []
    assert not read_journal(journal).in_use
    await asyncio.sleep(100)
    assert len(send.sent) == sent


async def test_a_client_that_closes_ends_its_runs_though_nobody_takes_the_outcomes(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    runs: WeakSet[ClosableRun] = WeakSet()
    send = playing(OK)
    run = run_of(send, rows(1000), journal=journal, open_runs=runs)
    await anext(run)
    (known,) = runs

    known.end_with_client()
    await asyncio.sleep(0.1)

    assert bulk_tasks() == []
    assert not read_journal(journal).in_use
    outcomes: list[Outcome[Any]] = []
    with pytest.raises(BulkStopped, match="the client was closed") as caught:
        await taken(run, outcomes)
    assert caught.value.next_index == len(outcomes) + 1


@pytest.mark.parametrize("how", ["sync", "async", "class"])
@pytest.mark.parametrize("ending", ["stop", "close", "error", "end"])
async def test_an_input_is_closed_as_soon_as_the_run_ends(how: str, ending: str) -> None:
    closed: list[float] = []

    def sync() -> Iterator[Any]:
        try:
            yield from rows(6 if ending == "end" else 1000)
        finally:
            closed.append(now())

    async def asynchronous() -> AsyncIterator[Any]:
        try:
            for row in rows(6 if ending == "end" else 1000):
                yield row
        finally:
            await asyncio.sleep(0.1)
            closed.append(now())

    class Cursor:
        def __iter__(self) -> Iterator[Any]:
            return sync()

    async def play(key: str, _state: AttemptState) -> Verdict:
        if ending == "error" and key == "K5":
            raise LookupError
        await asyncio.sleep(0.1)
        return OK

    source = {"sync": sync, "async": asynchronous, "class": Cursor}[how]
    run = run_of(Sender(play), source())
    if ending == "stop":
        asyncio.get_running_loop().call_later(1, run.stop)
    if ending == "close":
        asyncio.get_running_loop().call_later(1, lambda: asyncio.ensure_future(run.aclose()))
    outcomes: list[Outcome[Any]] = []
    try:
        await taken(run, outcomes)
    except LookupError:
        assert ending == "error"
    await asyncio.sleep(0.2)

    assert len(closed) == 1


async def test_what_the_caller_opened_stays_open() -> None:
    class Cursor:
        def __init__(self) -> None:
            self.is_closed, self.left = False, rows(3)

        def __aiter__(self) -> "Cursor":
            return self

        async def __anext__(self) -> Any:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

        async def aclose(self) -> None:
            self.is_closed = True

    cursor = Cursor()
    assert await states_of(run_of(playing(OK), cursor)) == ["ok"] * 3
    assert not cursor.is_closed


async def test_an_input_that_fails_to_close_is_told_at_the_end() -> None:
    async def failing_to_close() -> AsyncIterator[Any]:
        try:
            for row in rows(1000):
                yield row
        finally:
            raise OSError("the cursor is gone")

    run = run_of(playing(OK), failing_to_close())
    with pytest.raises(OSError, match="the cursor is gone"):
        async with run:
            async for _ in run:
                break


@pytest.mark.parametrize("steps", range(60))
async def test_three_cancellations_at_any_await_leave_nothing_behind(steps: int, tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"

    async def play(_key: str, _state: AttemptState) -> Verdict:
        await asyncio.sleep(0)
        return OK

    async def consume() -> None:
        run = run_of(Sender(play), rows(30), journal=journal, progress=lambda _: None)
        async with run:
            await taken(run, [])

    consumer = asyncio.create_task(consume())
    for _ in range(steps):
        await asyncio.sleep(0.01 if steps % 3 else 0)
    for _ in range(3):
        consumer.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([consumer])

    assert bulk_tasks() == []
    assert not journal.exists() or not read_journal(journal).in_use


# Throttling, pauses, a server that is not there


async def test_a_server_that_throttles_without_a_wait_gets_two_requests_a_second_and_row() -> None:
    throttled = failing(RateLimitError("429", status=429), is_throttle=True, retry_after_s=0.0)
    send = playing(throttled)
    run = run_of(send, rows(4))
    asyncio.get_running_loop().call_later(5, run.stop)
    await states_of(run)

    assert max(Counter(key for _, key, _ in send.sent).values()) <= 2 * 5 + 1


async def test_a_pause_counts_towards_the_outage_limit() -> None:
    paused_until = 0.0

    async def limiter() -> None:
        await asyncio.sleep(max(0.0, paused_until - now()))

    async def play(_key: str, _state: AttemptState) -> Verdict:
        nonlocal paused_until
        paused_until = now() + 300
        return failing(RateLimitError("429", status=429), is_throttle=True, retry_after_s=300.0)

    outcomes: list[Outcome[Any]] = []
    with pytest.raises(BulkStopped, match="outage_limit"):
        await taken(run_of(Sender(play, before=limiter), rows(20), outage_limit=2), outcomes)

    assert 2 <= now() <= 2.1
    assert {outcome.state for outcome in outcomes} == {"skipped"}


async def test_a_throttled_run_with_nothing_left_to_send_is_not_stopped() -> None:
    async def slow_input() -> AsyncIterator[Any]:
        yield rows(1)[0]
        await asyncio.sleep(100)
        yield rows(2)[1]

    throttled = failing(RateLimitError("429", status=429), is_throttle=True)
    run = run_of(playing(throttled, OK), slow_input(), outage_limit=2, policy=RetryPolicy(max_attempts=1))

    assert await states_of(run) == ["failed", "ok"]


@pytest.mark.parametrize(
    ("reason", "words"), [("dns", "name not found"), ("refused", "connection refused"), ("tls", "certificate")]
)
async def test_a_server_that_was_never_reached_stops_the_run_after_30_s(
    reason: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    send = playing(failing(NotSentError("no connection", reason=reason)))
    outcomes: list[Outcome[Any]] = []
    with pytest.raises(BulkStopped, match=rf"spot\.example:8443: {words}") as caught:
        await taken(run_of(send, rows(100)), outcomes)

    assert 30 <= now() < 31
    assert isinstance(caught.value.cause, NotSentError)
    assert caught.value.cause.reason == reason
    assert f"spot.example:8443: {words}" in caplog.text
    assert "secret" not in caplog.text + str(caught.value)
    assert {outcome.state for outcome in outcomes} == {"skipped"}


async def test_with_wait_for_server_it_is_waited_for() -> None:
    async def play(_key: str, _state: AttemptState) -> Verdict:
        return failing(NotSentError("refused", reason="refused")) if now() < 100 else OK

    assert set(await states_of(run_of(Sender(play), rows(10), wait_for_server=True))) == {"ok"}


async def test_a_server_that_was_reached_once_is_waited_for_as_in_any_outage() -> None:
    async def play(key: str, _state: AttemptState) -> Verdict:
        return failing(NotSentError("refused", reason="refused")) if key != "K0" and now() < 100 else OK

    assert set(await states_of(run_of(Sender(play), rows(10)))) == {"ok"}


async def test_the_end_of_an_outage_that_was_too_long_names_host_and_reason() -> None:
    send = playing(failing(ServerError("503", status=503), may_be_executed=True))
    with pytest.raises(BulkStopped, match=r"outage_limit \(60 s\): spot\.example:8443: status 503"):
        await taken(run_of(send, rows(100), outage_limit=60), [])


# One consumer, one loop, a plain progress


async def test_a_second_consumer_is_refused_at_once() -> None:
    async def play(_key: str, _state: AttemptState) -> Verdict:
        await asyncio.sleep(1)
        return OK

    run = run_of(Sender(play), rows(20))
    outcomes: list[Outcome[Any]] = []
    first = asyncio.create_task(taken(run, outcomes))
    await asyncio.sleep(0.5)

    with pytest.raises(InvalidInputError, match="one consumer"):
        await anext(run)
    with pytest.raises(InvalidInputError, match="one consumer"):
        async for _ in run:
            pass

    await first
    assert len(outcomes) == 20


def test_a_second_loop_is_refused_at_once() -> None:
    loop, other = VirtualTimeLoop(), VirtualTimeLoop()
    run = run_of(playing(OK), rows(20))

    async def take_one() -> object:
        return await anext(run)

    try:
        loop.run_until_complete(take_one())
        with pytest.raises(ConfigError, match="another event loop"):
            other.run_until_complete(take_one())
        loop.run_until_complete(run.aclose())
    finally:
        loop.close()
        other.close()


async def a_progress(_: object) -> None: ...


class AnAsyncProgress:
    async def __call__(self, _: object) -> None: ...


@pytest.mark.parametrize("progress", [a_progress, AnAsyncProgress()])
async def test_an_async_function_as_progress_is_refused_at_once(progress: Any) -> None:
    with pytest.raises(InvalidInputError, match="async"):
        run_of(playing(OK), rows(1), progress=progress)


def returning(function: Callable[[object], object], told: object) -> object:
    return function(told)


async def test_a_progress_that_turns_out_to_be_async_is_told_at_the_end() -> None:
    with pytest.raises(InvalidInputError, match="async"):
        await taken(run_of(playing(OK), rows(1), progress=partial(returning, a_progress)), [])


# Newer values


async def test_an_older_row_is_superseded_in_the_journal_only_with_the_newer_ones_success(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"

    async def in_two_parts() -> AsyncIterator[Any]:
        for number in range(4):
            yield "K", {"n": number}
            await asyncio.sleep(0 if number else 0.5)

    async def play(_key: str, _state: AttemptState) -> Verdict:
        await asyncio.sleep(1)
        return OK if len(send.sent) == 1 else failing(BadRequestError("400", status=400), Action.RAISE)

    send = Sender(play)
    first = await states_of(run_of(send, in_two_parts(), journal=journal, coalesce=True))
    assert first == ["ok", "superseded", "superseded", "failed"]
    assert read_journal(journal).by_state["superseded"] == 0

    again = playing(OK)
    states = await states_of(run_of(again, in_two_parts(), journal=journal, coalesce=True))
    assert (states[0], states[-1]) == ("skipped", "ok")
    assert again.sent[-1][2] == b'{"metadata":{"n":3}}'
    third = playing(OK)
    assert set(await states_of(run_of(third, in_two_parts(), journal=journal))) <= {"skipped", "superseded"}
    assert third.sent == []


async def test_a_kill_between_the_newer_value_and_its_record_sends_the_newer_one_last(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    same = [("K", {"n": n}) for n in range(3000)]

    async def play(_key: str, _state: AttemptState) -> Verdict:
        await asyncio.sleep(0.01)
        return OK

    send = Sender(play)
    async with run_of(send, same, journal=journal, coalesce=True) as run:
        async for outcome in run:
            if outcome.ok and outcome.index:
                break
    again = Sender(play)
    await states_of(run_of(again, same, journal=journal, coalesce=True))

    sent = [int(body[len(b'{"metadata":{"n":') : -2]) for _, _, body in [*send.sent, *again.sent]]
    assert sent[-1] == 2999
