"""One row: how often it is tried, what it waits for, and what is known of it afterwards."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from spotdx_async import RetryPolicy
from spotdx_async._http.clock import NEVER_S
from spotdx_async._http.messages import Action, AttemptResult, AttemptState, Verdict
from spotdx_async._observe.dispatch import CallObservation, Dispatcher
from spotdx_async.bulk.circuit_breaker import CircuitBreaker, Result
from spotdx_async.bulk.options import RunOptions
from spotdx_async.bulk.row import Row
from spotdx_async.bulk.row_runner import RowRunner
from spotdx_async.bulk.stats import RunCounts
from spotdx_async.errors import (
    DecodeError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    SpotError,
    WrongAnswerError,
)
from spotdx_async.observers import Observer, RetryRecord

pytestmark = pytest.mark.virtual_time

LANDS_WITHIN_S = 60.0
OPERATION = "POST /api/v2/kits/{kit_id}/"


def now() -> float:
    return asyncio.get_running_loop().time()


@attrs.frozen
class Answer:
    """What the server makes of one request."""

    verdict: Verdict
    takes_s: float = 0.0
    last_byte_s: float | None = None
    """Seconds after which the last byte of the request was written; None: nobody saw it."""
    waits_s: float = 0.0
    """For the rate limit, before the request may go."""
    raises: BaseException | None = None
    attempts: int = 1


def ok(**about: Any) -> Answer:
    return Answer(Verdict(Action.ACCEPT, value="done"), **about)


def bad(*, retry_after_s: float | None = None, error: SpotError | None = None, **about: Any) -> Answer:
    error = error or ServerError("it failed", status=503, operation=OPERATION)
    return Answer(Verdict(Action.REPEAT, error=error, retry_after_s=retry_after_s), **about)


def throttled(*, retry_after_s: float | None = None, **about: Any) -> Answer:
    error = RateLimitError("too many", status=429, operation=OPERATION)
    return Answer(Verdict(Action.REPEAT, error=error, retry_after_s=retry_after_s, is_throttle=True), **about)


def ended(error: SpotError, **about: Any) -> Answer:
    return Answer(Verdict(Action.RAISE, error=error), **about)


@attrs.define
class Waiting:
    """Which other rows wait to be tried, as the scheduler tells it."""

    has_fresh: bool = False
    has_waiting: bool = False


class Bench:
    """A row runner over a real circuit breaker, one row, and a server that answers as scripted, then always well."""

    def __init__(self, *answers: Answer, policy: RetryPolicy | None = None, concurrency: int = 64) -> None:
        self.answers = list(answers)
        self.sent_s: list[float] = []
        self.said_to_be_repeats: list[bool] = []
        self.waits_s: list[float] = []
        self.told: list[tuple[AttemptResult, int]] = []
        """The tries that it has told of, and how many results the circuit breaker knew of then."""
        self.waiting = Waiting()
        self.while_waiting: Callable[[], object] = lambda: None
        self.stopping = asyncio.Event()
        self.run_counts = RunCounts(now(), None)
        self.breaker = CircuitBreaker(
            limit_s=1800, concurrency=concurrency, on_overdue=lambda: None, dice=random.Random(1)
        )
        self.row = Row(0, "SPOT1", b"{}", target="SPOT1")
        self.row_runner = RowRunner(
            self._send,
            RunOptions(
                concurrency=concurrency,
                ordered=False,
                coalesce=False,
                stop_after=None,
                outage_limit_s=1800,
                wait_for_server=False,
                policy=policy or RetryPolicy(),
                operation=OPERATION,
                host="spot.example",
                lands_within_s=LANDS_WITHIN_S,
                sleep=self._sleep,
            ),
            self.breaker,
            self.waiting,  # type: ignore[arg-type]
            counts=self.run_counts,
            stopping=self.stopping,
            on_try=lambda tried: self.told.append((tried, self.breaker.reports)),
        )

    async def _send(
        self,
        key: str,
        body: bytes,
        attempt_state: AttemptState,
        is_repeat: bool,
        may_go: Callable[[], bool],
        _watch: CallObservation | None,
    ) -> AttemptResult:
        assert (key, body) == (self.row.key, self.row.body)
        answer = self.answers.pop(0) if self.answers else ok()
        await asyncio.sleep(answer.waits_s)
        if not answer.attempts:
            return AttemptResult(answer.verdict, 0, now(), now())
        if not may_go():
            return AttemptResult(Verdict(Action.RAISE), 0, now(), now())
        sent_s = now()
        self.sent_s.append(sent_s)
        self.said_to_be_repeats.append(is_repeat)
        if answer.last_byte_s is not None:
            attempt_state.last_byte_s = sent_s + answer.last_byte_s
        await asyncio.sleep(answer.takes_s)
        if answer.raises is not None:
            raise answer.raises
        return AttemptResult(answer.verdict, answer.attempts, sent_s, now())

    async def _sleep(self, seconds: float) -> None:
        self.waits_s.append(seconds)
        await asyncio.sleep(seconds)
        self.while_waiting()

    def run(self) -> Awaitable[Verdict | None]:
        return self.row_runner.run(self.row)

    def others(self, results: str, *, took_s: float = 0.0) -> None:
        """First tries of other rows that end now: ``g`` good, ``b`` bad."""
        for place, result in enumerate(results):
            kind: Result = "good" if result == "g" else "bad"
            self.breaker.report(f"OTHER{place}", kind, began_s=now() - took_s, is_first=True)

    def pause(self) -> None:
        self.others("bbbbb")
        assert self.breaker.pause_if_all_fail()

    def stop(self) -> None:
        """As the engine does."""
        self.stopping.set()
        self.breaker.release()

    def has_place(self) -> bool:
        """Whether another row may go: of one place in all, that this one has given its place back."""
        return self.breaker.is_free


def act(verdict: Verdict | None) -> Action | None:
    return None if verdict is None else verdict.action


AT_ONCE = RetryPolicy(base_s=0, throttle_base_s=0)
HALF = "bg" * 100
FORTY = "g" * 40


async def test_a_row_that_is_served_at_first_is_done_and_leaves_its_place() -> None:
    bench = Bench(ok(takes_s=0.2), concurrency=1)

    verdict = await bench.run()

    assert verdict == Verdict(Action.ACCEPT, value="done")
    row = bench.row
    assert (row.tries, row.attempts, row.charged, row.last) == (1, 1, 0, verdict)
    assert row.request_s == pytest.approx(0.2)
    assert not row.may_be_executed
    assert bench.breaker.has_served_since(-1.0)
    assert (bench.breaker.reports, bench.has_place()) == (1, True)


@pytest.mark.parametrize(
    ("failure", "policy", "most_s"),
    [
        (bad(), RetryPolicy(base_s=1), (1, 2)),
        (bad(), RetryPolicy(base_s=8, cap_s=9), (8, 9)),
        (bad(), AT_ONCE, (0, 0)),
        (throttled(), RetryPolicy(base_s=0, throttle_base_s=4), (4, 8)),
    ],
)
async def test_a_failed_row_is_repeated_in_place_after_a_wait_within_the_policy_s_bound(
    failure: Answer, policy: RetryPolicy, most_s: tuple[float, float]
) -> None:
    bench = Bench(failure, failure, ok(), policy=policy)

    assert act(await bench.run()) is Action.ACCEPT

    assert len(bench.waits_s) == 2
    assert all(wait_s <= bound_s for wait_s, bound_s in zip(bench.waits_s, most_s, strict=True))
    assert sum(bench.waits_s) > 0 or policy is AT_ONCE
    assert bench.said_to_be_repeats == [False, True, True]
    assert (bench.row.tries, bench.row.attempts) == (3, 3)


async def test_what_the_server_asks_to_wait_is_kept() -> None:
    bench = Bench(bad(retry_after_s=3), bad(retry_after_s=5), ok(), policy=AT_ONCE)

    assert act(await bench.run()) is Action.ACCEPT

    assert bench.sent_s == [0, 3, 8]


@pytest.mark.parametrize(
    ("failure", "others", "waits"),
    [
        (bad(), HALF, 0),
        (bad(), "g" * 200, 3),
        (bad(), "", 3),
        (bad(retry_after_s=2), HALF, 6),  # as long as the server says
        (throttled(), HALF, 6),
    ],
)
async def test_where_as_many_others_fail_a_row_is_repeated_at_once(failure: Answer, others: str, waits: int) -> None:
    failures = 6 if others == HALF else 3
    bench = Bench(*[failure] * failures, ok())
    bench.others(others)

    assert act(await bench.run()) is Action.ACCEPT

    assert len(bench.sent_s) == failures + 1
    assert len(bench.waits_s) == waits
    assert waits or bench.sent_s == [0] * 7


async def test_more_failures_than_chance_makes_are_repeated_after_waits() -> None:
    bench = Bench(*[bad()] * 24, ok(), policy=AT_ONCE)
    bench.others(HALF * 5)

    assert act(await bench.run()) is Action.ACCEPT

    assert 3 <= len(bench.waits_s) <= 6


async def test_a_no_among_repeats_at_once_ends_the_row() -> None:
    bench = Bench(bad(), ended(NotFoundError("no", status=404)))
    bench.others(HALF)

    verdict = await bench.run()

    assert (act(verdict), len(bench.sent_s)) == (Action.RAISE, 2)


async def test_repeats_at_once_end_when_a_pause_begins() -> None:
    bench = Bench(bad(), bad(waits_s=1), ok())
    bench.others(HALF)
    asyncio.get_running_loop().call_at(0.5, bench.pause)

    assert await bench.run() is None

    assert bench.sent_s == [0]


@pytest.mark.parametrize("is_probe", [False, True])
async def test_in_a_pause_a_row_is_set_aside_unless_it_is_to_probe(*, is_probe: bool) -> None:
    bench = Bench(ok())
    bench.pause()
    bench.row.is_probe = is_probe

    verdict = await bench.run()

    assert act(verdict) == (Action.ACCEPT if is_probe else None)
    assert len(bench.sent_s) == is_probe
    assert bench.breaker.is_paused is not is_probe


@pytest.mark.parametrize(
    ("happens", "is_set_aside"),
    [
        (lambda bench: bench.pause(), True),  # while it waits
        (lambda bench: bench.others("bb"), True),  # the server is in doubt, and others were not tried yet
        (lambda bench: bench.others(FORTY + "bb"), True),  # it has tries left, whoever was served
        (lambda bench: bench.others("bbg"), False),
        (lambda _bench: None, False),
    ],
)
async def test_a_row_that_waits_is_set_aside_when_the_server_is_not_well(
    happens: Callable[[Bench], object], *, is_set_aside: bool
) -> None:
    bench = Bench(bad(retry_after_s=1), ok())
    bench.waiting.has_fresh = True
    bench.while_waiting = lambda: happens(bench)

    verdict = await bench.run()

    assert act(verdict) is (None if is_set_aside else Action.ACCEPT)
    assert len(bench.sent_s) == (1 if is_set_aside else 2)


@pytest.mark.parametrize("has_others", [False, True])
async def test_in_doubt_rows_that_were_not_tried_yet_go_first(*, has_others: bool) -> None:
    bench = Bench(bad(retry_after_s=1), ok())
    bench.waiting.has_fresh = has_others
    bench.others("b")

    assert act(await bench.run()) is (None if has_others else Action.ACCEPT)


@pytest.mark.parametrize(
    ("others", "tries", "is_final"),
    [
        ("", 4, False),  # nobody tells whose fault it is
        ("g" * 14, 4, True),
        ("g" * 13, 4, False),  # too few, three times
        ("bgg" * 13, 8, None),  # as many others fail
    ],
)
async def test_a_row_ends_after_the_policy_s_tries_only_when_enough_others_were_served(
    others: str, tries: int, *, is_final: bool | None
) -> None:
    failure = bad(retry_after_s=1)
    bench = Bench(*[failure] * 7, ok())
    bench.while_waiting = lambda: bench.others(others)

    verdict = await bench.run()

    assert len(bench.sent_s) == tries
    assert act(verdict) is {True: Action.REPEAT, False: None, None: Action.ACCEPT}[is_final]


@pytest.mark.parametrize(("is_awaited", "tries"), [(False, 8), (True, 4)])
@pytest.mark.parametrize("failure", [bad(), bad(retry_after_s=1)])
async def test_after_the_policy_s_tries_a_row_holds_up_nobody_who_waits(
    failure: Answer, tries: int, *, is_awaited: bool
) -> None:
    bench = Bench(*[failure] * 7, ok())
    bench.others(HALF)
    bench.waiting.has_waiting = is_awaited

    verdict = await bench.run()

    assert len(bench.sent_s) == tries
    assert act(verdict) is (None if is_awaited else Action.ACCEPT)
    assert bench.row_runner.may_go_on(bench.row)  # it may well be chance


async def test_a_row_that_had_all_its_tries_goes_on_when_others_were_served_and_ends_with_the_next_failure() -> None:
    bench = Bench(*[bad(retry_after_s=1)] * 9)
    row, row_runner = bench.row, bench.row_runner
    assert row_runner.may_go_on(row)
    assert await bench.run() is None
    assert (len(bench.sent_s), row_runner.may_go_on(row)) == (4, False)

    bench.others(FORTY)

    assert row_runner.may_go_on(row)
    assert act(await bench.run()) is Action.REPEAT
    assert len(bench.sent_s) == 5


async def test_others_that_were_sent_before_a_row_had_failed_do_not_tell_whose_fault_it_was() -> None:
    bench = Bench(*[bad(retry_after_s=1)] * 9)
    bench.while_waiting = lambda: bench.others(FORTY, took_s=100)

    assert await bench.run() is None

    assert (len(bench.sent_s), bench.row_runner.may_go_on(bench.row)) == (4, False)


async def test_in_a_pause_no_row_ends_by_its_failures_though_others_were_served_before() -> None:
    bench = Bench(*[bad(retry_after_s=1)] * 9)
    assert await bench.run() is None
    bench.others(FORTY)
    bench.pause()
    bench.row.is_probe = True

    assert await bench.run() is None

    assert (len(bench.sent_s), bench.row.charged) == (5, 4)


async def test_a_row_that_was_set_aside_until_enough_others_were_tried_then_ends_without_a_request() -> None:
    bench = Bench(*[bad(retry_after_s=1)] * 9)
    bench.while_waiting = lambda: bench.others("g")
    assert await bench.run() is None
    assert (len(bench.sent_s), bench.row_runner.may_go_on(bench.row)) == (4, False)
    bench.others("g" * 36)
    assert not bench.row_runner.may_go_on(bench.row)

    bench.others("g")

    assert bench.row_runner.may_go_on(bench.row)
    assert await bench.run() is bench.row.last
    assert (act(bench.row.last), len(bench.sent_s)) == (Action.REPEAT, 4)


async def test_where_only_rows_are_left_that_have_failed_each_has_the_policy_s_tries() -> None:
    bench = Bench(*[bad()] * 9, policy=RetryPolicy(base_s=0, max_attempts=3))
    bench.others(HALF)
    bench.breaker.stop_pausing()

    assert act(await bench.run()) is Action.REPEAT

    assert len(bench.sent_s) == 3


@pytest.mark.parametrize("is_paused", [False, True])
async def test_with_one_attempt_a_row_ends_with_its_first_failure(*, is_paused: bool) -> None:
    bench = Bench(bad(), policy=RetryPolicy(max_attempts=1))
    bench.others(HALF)
    if is_paused:
        bench.pause()
        bench.row.is_probe = True
    assert bench.row_runner.may_go_on(bench.row)  # it was set aside before it was tried, say

    verdict = await bench.run()

    assert (act(verdict), len(bench.sent_s), bench.waits_s) == (Action.REPEAT, 1, [])
    assert not bench.row_runner.may_go_on(bench.row)


@pytest.mark.parametrize(
    ("failure", "at_s"), [(throttled(takes_s=0.2), 0.5), (throttled(takes_s=2), 2), (throttled(retry_after_s=3), 3)]
)
async def test_a_throttled_row_rests_for_half_a_second_from_its_request(failure: Answer, at_s: float) -> None:
    bench = Bench(failure, failure, ok(), policy=AT_ONCE, concurrency=1)

    running = asyncio.ensure_future(bench.run())
    await asyncio.sleep(at_s - 0.1)
    assert bench.has_place() is (failure.takes_s < at_s)  # it rests without its place

    assert act(await running) is Action.ACCEPT
    assert bench.sent_s == pytest.approx([0, at_s, 2 * at_s])
    assert (bench.row.charged, bench.run_counts.throttled) == (0, 2)


async def learn(bench: Bench, takes_s: float) -> None:
    """Let answers usually take so long."""
    answers, bench.answers = bench.answers, [ok(takes_s=takes_s)] * 300
    while bench.answers:
        await bench.run()
    bench.answers = answers
    bench.row = Row(1, "SPOT2", b"{}", target="SPOT2")
    bench.sent_s.clear()


@pytest.mark.parametrize(
    ("failure", "usual_s", "rests_until_s"),
    [
        (bad(takes_s=0.1, retry_after_s=100), 1.0, 1.0),
        (ended(WrongAnswerError("another"), takes_s=0.1), 1.0, 1.0),
        (bad(takes_s=0.1, retry_after_s=100), 0.05, None),
        (throttled(takes_s=0.1, retry_after_s=100), 1.0, None),
        (ended(NotFoundError("no", status=404), takes_s=0.1), 1.0, None),
    ],
)
async def test_what_fails_sooner_than_others_are_served_keeps_its_place_until_then(
    failure: Answer, usual_s: float, rests_until_s: float | None
) -> None:
    bench = Bench(failure, concurrency=1)
    await learn(bench, usual_s)
    began_s = now()

    running = asyncio.ensure_future(bench.run())
    await asyncio.sleep(0.01)
    await bench.breaker.enter("NEXT")

    assert now() - began_s == pytest.approx(rests_until_s or 0.1, abs=0.02)
    running.cancel()


@pytest.mark.parametrize("how", ["cancelled", "stopped"])
async def test_a_rest_that_is_cut_off_gives_its_place_back(how: str) -> None:
    bench = Bench(bad(takes_s=0.1, retry_after_s=100), concurrency=1)
    await learn(bench, 1.0)
    began_s = now()
    running = asyncio.ensure_future(bench.run())
    await asyncio.sleep(0.5)
    assert not bench.has_place()

    if how == "cancelled":
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        bench.stop()
        assert await running is None

    assert bench.has_place()
    assert now() == began_s + 0.5


async def test_the_failure_that_begins_a_pause_does_not_rest_and_is_not_charged() -> None:
    bench = Bench(bad(takes_s=0.1))
    await learn(bench, 1.0)
    bench.others("bbbb")
    began_s = now()

    assert await bench.run() is None

    assert bench.breaker.is_paused
    assert now() == pytest.approx(began_s + 0.1)
    assert (bench.row.tries, bench.row.charged) == (1, 0)


async def test_failures_count_against_a_row_only_while_the_run_is_not_paused() -> None:
    bench = Bench(*[bad()] * 2, ok(), policy=AT_ONCE)
    bench.pause()
    bench.row.is_probe = True
    for tries in (1, 2):
        assert await bench.run() is None
        assert (bench.row.tries, bench.row.charged, bench.row.odds) == (tries, 0, ())

    assert act(await bench.run()) is Action.ACCEPT

    bench.answers = [bad()]
    await asyncio.sleep(60)  # the rate is back
    assert act(await bench.run()) is Action.ACCEPT
    assert (bench.row.charged, len(bench.row.odds)) == (1, 1)


UNKNOWN = OutcomeUnknownError("no answer")


@pytest.mark.parametrize(
    ("answer", "may_be_executed", "lands_until_s"),
    [
        (ok(takes_s=1, last_byte_s=0.3), False, NEVER_S),
        (bad(takes_s=1, last_byte_s=0.3), False, NEVER_S),
        (bad(error=UNKNOWN, takes_s=1, last_byte_s=0.3), True, 1000.3 + LANDS_WITHIN_S),
        (bad(error=UNKNOWN, takes_s=1, last_byte_s=0.0), True, 1000 + LANDS_WITHIN_S),
        (bad(error=UNKNOWN, takes_s=1, last_byte_s=-5.0), True, 1001 + LANDS_WITHIN_S),  # of a request before it
        (bad(error=UNKNOWN, takes_s=1), True, 1001 + LANDS_WITHIN_S),
        (ended(WrongAnswerError("another"), takes_s=1), True, 1001 + LANDS_WITHIN_S),
        (bad(error=DecodeError("not JSON"), takes_s=1), True, 1001 + LANDS_WITHIN_S),
        (ended(DecodeError("another shape", outcome="done"), takes_s=1, last_byte_s=0.3), True, NEVER_S),
        (ended(NotFoundError("no", status=404), takes_s=1, last_byte_s=0.3), False, NEVER_S),
    ],
)
async def test_it_knows_what_may_be_executed_and_until_when_it_may_land(
    answer: Answer, lands_until_s: float, *, may_be_executed: bool
) -> None:
    bench = Bench(answer, policy=RetryPolicy(max_attempts=1))
    await asyncio.sleep(1000)

    await bench.run()

    assert bench.row.attempt_state.may_be_executed is may_be_executed
    assert bench.row.lands_until_s == pytest.approx(lands_until_s)


async def test_a_verdict_may_say_by_itself_that_it_may_be_executed() -> None:
    error = ServerError("it failed", status=502)
    bench = Bench(
        Answer(Verdict(Action.REPEAT, error=error, may_be_executed=True), takes_s=1), policy=RetryPolicy(max_attempts=1)
    )

    await bench.run()

    assert (bench.row.attempt_state.may_be_executed, bench.row.lands_until_s) == (True, 1 + LANDS_WITHIN_S)


@pytest.mark.parametrize("last", [ok(), ended(NotFoundError("no", status=404)), ended(DecodeError("", outcome="done"))])
async def test_what_may_be_executed_stays_so_whatever_comes_later(last: Answer) -> None:
    bench = Bench(bad(error=UNKNOWN, takes_s=1, retry_after_s=5), last, policy=AT_ONCE)

    await bench.run()

    assert len(bench.sent_s) == 2
    assert bench.row.attempt_state.may_be_executed
    assert bench.row.lands_until_s == 1 + LANDS_WITHIN_S


async def test_a_row_that_could_not_be_sent_at_all_ends_and_says_nothing_of_the_server() -> None:
    bench = Bench(ended(NotSentError("too long", reason="wait"), attempts=0), concurrency=1)

    verdict = await bench.run()

    assert verdict is bench.row.last
    assert (act(verdict), bench.row.tries, bench.row.attempts) == (Action.RAISE, 1, 0)
    assert not bench.breaker.has_served_since(-1.0)
    assert bench.breaker.first_tries.seen.count == 0
    assert bench.has_place()


async def test_every_request_of_a_try_counts() -> None:
    bench = Bench(bad(attempts=2), ok(), policy=AT_ONCE)

    await bench.run()

    assert (bench.row.tries, bench.row.attempts) == (2, 3)


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("error", [ValueError("theirs"), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_whatever_is_raised_while_it_is_sent_gives_its_place_back(
    error: BaseException, *, is_paused: bool
) -> None:
    bench = Bench(attrs.evolve(ok(), raises=error), concurrency=1)
    if is_paused:
        bench.pause()
        bench.row.is_probe = True

    with pytest.raises(type(error)) as caught:
        await bench.run()

    assert caught.value is error
    assert bench.told == []
    assert (bench.row.tries, bench.row.charged) == (0, 0)
    async with asyncio.timeout(0):
        assert await bench.breaker.enter("NEXT")  # to probe, in a pause


async def test_every_try_is_told_before_the_circuit_breaker_hears_of_it() -> None:
    bench = Bench(bad(takes_s=0.5), throttled(), ok())

    await bench.run()

    assert [(tried.verdict.is_throttle, tried.verdict.action) for tried, _ in bench.told] == [
        (False, Action.REPEAT),
        (True, Action.REPEAT),
        (False, Action.ACCEPT),
    ]
    assert [reports for _, reports in bench.told] == [0, 1, 2]
    assert (bench.told[0][0].sent_s, bench.told[0][0].ended_s) == (0, 0.5)


@pytest.mark.parametrize(
    ("answers", "at_s", "is_paused", "sent", "ends"),
    [
        ([], 0, False, 0, None),  # before
        ([ok(waits_s=2)], 1, False, 0, None),  # at the rate limit
        ([ok(takes_s=2)], 1, False, 1, Action.ACCEPT),  # on its way: it is finished
        ([bad(takes_s=2)], 1, False, 1, None),
        ([throttled(), ok()], 0.2, False, 1, None),  # while it rests
        ([bad(retry_after_s=2), ok()], 1, False, 1, None),  # between two tries
        ([ok()], 0.01, True, 0, None),  # before its turn to probe
    ],
)
async def test_a_run_that_stops_sends_nothing_more_wherever_a_row_is(
    answers: list[Answer], at_s: float, sent: int, ends: Action | None, *, is_paused: bool
) -> None:
    bench = Bench(*answers, policy=AT_ONCE)
    if is_paused:
        bench.pause()
        bench.row.is_probe = True
    if at_s:
        asyncio.get_running_loop().call_at(at_s, bench.stop)
    else:
        bench.stop()

    verdict = await bench.run()

    assert act(verdict) is ends
    assert len(bench.sent_s) == sent


async def test_a_run_that_stops_while_a_row_waits_for_a_place_sends_nothing_and_keeps_no_place() -> None:
    bench = Bench(ok(waits_s=100), concurrency=1)
    assert bench.breaker.try_enter("OTHER")
    running = asyncio.ensure_future(bench.run())
    await asyncio.sleep(1)
    assert not running.done()

    bench.stop()

    assert await running is None
    assert (bench.sent_s, now()) == ([], 1)  # nor did it wait for the rate limit
    bench.breaker.report("OTHER", "none")
    assert bench.has_place()


async def test_a_row_that_waits_for_the_rate_limit_when_a_pause_begins_was_not_tried() -> None:
    bench = Bench(ok(waits_s=1))
    asyncio.get_running_loop().call_at(0.5, bench.pause)

    assert await bench.run() is None

    assert (bench.sent_s, bench.row.tries, bench.told) == ([], 0, [])


async def test_a_row_rests_before_its_first_try_as_long_as_it_is_to() -> None:
    bench = Bench(ok())
    bench.row.rests_until_s = 7

    assert act(await bench.run()) is Action.ACCEPT

    assert bench.sent_s == [7]


async def test_each_repeat_is_told_with_its_wait_to_the_log_and_to_observers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "spotdx_async")
    seen: list[RetryRecord] = []

    class Retries(Observer):
        def retry(self, mark: object, record: RetryRecord) -> None:  # noqa: ARG002 - as it is called
            seen.append(record)

    bench = Bench(bad(), bad(retry_after_s=2), ok(), policy=AT_ONCE)
    bench.others(HALF)
    bench.row.observation = Dispatcher([Retries()], "https://spot.example").observe(OPERATION, "row")

    await bench.run()

    assert caplog.messages == [
        f"{OPERATION}: attempt 1 ended in ServerError (503); the next one in 0.00 s",
        f"{OPERATION}: attempt 2 ended in ServerError (503); the next one in 2.00 s",
    ]
    assert [(record.wait_s, record.error, record.status) for record in seen] == [
        (0, "ServerError", 503),
        (2, "ServerError", 503),
    ]
