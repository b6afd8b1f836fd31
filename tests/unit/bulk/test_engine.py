"""The engine over a send that the test plays: one outcome a row, one row of a key at a time, nothing left behind."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import pytest
from attrs import define
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotdx_async import (
    AuthenticationError,
    BadRequestError,
    BulkStopped,
    ConfigError,
    DecodeError,
    InvalidInputError,
    JournalError,
    MetadataUpdate,
    NotSentError,
    Outcome,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    WrongAnswerError,
)
from spotdx_async._http.messages import Action, AttemptResult, AttemptState, Verdict
from spotdx_async.bulk.engine import Engine
from spotdx_async.bulk.journal.records import Known, RowDigests
from spotdx_async.bulk.options import RunOptions
from spotdx_async.bulk.reader import Reader
from spotdx_async.testing import run_virtual

pytestmark = pytest.mark.virtual_time

LANDS_WITHIN_S = 60.0


def now() -> float:
    return asyncio.get_running_loop().time()


@define
class Sent:
    """One request that the engine has made."""

    index: int
    key: str
    attempt: int
    """Of its row, from 1."""
    began_s: float
    attempt_state: AttemptState
    verdict: Verdict | None = None
    """None while it is under way, and where it was cut off or something was raised."""
    ended_s: float | None = None


Play = Callable[[Sent], Awaitable[Verdict]]
Tries = Sequence[Callable[[], Verdict] | Verdict]
"""What the tries of a row bring, one after the other."""


class Bench:
    """An engine, the send that it is given, and the consumer: the only place that knows how one is built.

    What is sent for a row holds its number in the input. The send notes what must never happen in ``faults``.
    """

    def __init__(
        self,
        updates: Any,
        play: Play | Verdict | None = None,
        *,
        journal: "JournalDouble | None" = None,
        watch: "ObservationDouble | None" = None,
        before: Play | None = None,
        **options: Any,
    ) -> None:
        note_futures()
        self.reader = Reader(updates, MetadataUpdate)
        if journal is not None:
            self.reader.journal = journal  # type: ignore[assignment]
        usual: dict[str, Any] = {
            "concurrency": 4,
            "ordered": False,
            "coalesce": False,
            "stop_after": None,
            "outage_limit_s": 1800.0,
            "wait_for_server": False,
            "policy": RetryPolicy(),
            "operation": "POST /api/v2/kits/{kit_id}/",
            "host": "spot.example:8443",
            "lands_within_s": LANDS_WITHIN_S,
            "sleep": asyncio.sleep,
        }
        self.options = RunOptions(**{**usual, **options})
        self.play = play if callable(play) else always(play or OK)
        self.before = before
        self.news = asyncio.Event()
        self.on_news: Callable[[], object] = lambda: None
        self.engine: Engine[Any] = Engine(self.reader, self.send, self.options, watch, self._hear)  # type: ignore[arg-type]
        self.sent: list[Sent] = []
        self.outcomes: list[Outcome[Any]] = []
        self.faults: list[str] = []
        self.most_at_once = self.most_ahead = 0
        self._tries: Counter[int] = Counter()
        self._under_way: dict[str, int] = {}
        self._last_of_key: dict[str, int] = {}
        self._ended: set[int] = set()

    def _hear(self) -> None:
        self.news.set()
        self.on_news()

    async def send(
        self,
        key: str,
        body: bytes,
        attempt_state: AttemptState,
        is_repeat: bool,
        may_go: Callable[[], bool],
        _watch: object,
    ) -> AttemptResult:
        index = int(body[len(b'{"metadata":{"n":') : -2])
        sent = Sent(index, key, 1 + self._tries[index], now(), attempt_state)
        try:
            if self.before is not None:
                await self.before(sent)
        except NotSentError as error:  # a limiter that gives no slot, or no connection
            action = Action.REPEAT if error.reason == "refused" else Action.RAISE
            return AttemptResult(Verdict(action, error=error), 0, now(), now())
        if attempt_state.is_called_off or not may_go():
            return AttemptResult(Verdict(Action.RAISE), 0, now(), now())
        sent.began_s = attempt_state.last_byte_s = now()
        attempt_state.may_have_arrived = True
        self._look_for_faults(sent, is_repeat=is_repeat)
        self.sent.append(sent)
        try:
            sent.verdict = await self.play(sent)
        finally:
            sent.ended_s = now()
            self._under_way.pop(key, None)
        attempt_state.may_have_arrived = False
        return AttemptResult(sent.verdict, 1, sent.began_s, now())

    def _look_for_faults(self, sent: Sent, *, is_repeat: bool) -> None:
        if sent.key in self._under_way:
            self.faults.append(f"two requests of {sent.key} at once")
        if self._last_of_key.get(sent.key, 0) > sent.index:
            self.faults.append(f"row {sent.index} was sent after a later one of its key")
        if sent.index in self._ended:
            self.faults.append(f"row {sent.index} was sent after its outcome")
        if is_repeat != (sent.attempt > 1):
            self.faults.append(f"row {sent.index}: try {sent.attempt} was told to be the {is_repeat=} one")
        self._tries[sent.index] += 1
        self._last_of_key[sent.key] = self._under_way[sent.key] = sent.index
        self.most_at_once = max(self.most_at_once, len(self._under_way))

    def take(self, most: int = 10**9) -> None:
        """Take the outcomes that are there."""
        for _ in range(most):
            self.most_ahead = max(self.most_ahead, self.reader.read - len(self.outcomes))
            if (outcome := self.engine.outcomes.take()) is None:
                self.engine.outcomes.note_wait()
                if (outcome := self.engine.outcomes.take()) is None:
                    return
            self.outcomes.append(outcome)
            self._ended.add(outcome.index)

    async def take_rest(self) -> list[Outcome[Any]]:
        """Take outcomes as they come, until the run is over."""
        while True:
            self.news.clear()
            self.take()
            if all(task.done() for task in self.engine.tasks):
                break
            await self.news.wait()
        await asyncio.sleep(0)
        self.take()
        return self.outcomes

    async def run(self) -> list[Outcome[Any]]:
        self.engine.start()
        return await self.take_rest()

    @property
    def states(self) -> list[str]:
        """Of the rows, in the order of the input."""
        return [outcome.state for outcome in sorted(self.outcomes, key=lambda outcome: outcome.index)]

    @property
    def stopped(self) -> BulkStopped:
        error = self.engine.error_at_end()
        assert isinstance(error, BulkStopped)
        return error

    def check(self) -> None:
        """What holds of every run that is over."""
        assert self.faults == []
        assert sorted(outcome.index for outcome in self.outcomes) == list(range(self.reader.read))
        assert self.most_at_once <= self.options.concurrency
        assert all(task.done() for task in self.engine.tasks)
        progress = self.engine.progress()
        assert progress.done == self.reader.read
        assert {state: count for state, count in progress.by_state.items() if count} == Counter(self.states)
        if isinstance(error := self.engine.error_at_end(), BulkStopped):
            assert error.next_index == self.reader.read
            assert error.unsent == self.states.count("skipped")
        by_row: dict[int, list[Sent]] = {}
        for sent in self.sent:
            by_row.setdefault(sent.index, []).append(sent)
        for outcome in self.outcomes:
            assert outcome.state == "superseded" or outcome.error is not None or outcome.ok
            assert may_have_ended(outcome, by_row.get(outcome.index, [])), outcome


def may_have_ended(outcome: Outcome[Any], tries: list[Sent]) -> bool:
    """Whether what the send has played for a row allows this outcome of it."""
    verdicts = [sent.verdict for sent in tries]
    if outcome.attempts != len(tries):
        return False
    if tries and (last := verdicts[-1]) is not None and (last.action is Action.ACCEPT or is_done(last)):
        return outcome.state == "ok"
    if any(verdict is None or is_unknown(verdict) for verdict in verdicts):
        return outcome.state == "unknown"
    if not tries:
        return outcome.state in {"skipped", "superseded", "rejected", "failed"}
    return outcome.state in {"failed", "skipped"}


def left_in_the_loop() -> list[object]:
    """What would still happen here, or be waited for: timers, tasks and futures of this loop."""
    loop: Any = asyncio.get_running_loop()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return [*timers, *tasks, *(future for future in FUTURES.get(loop, ()) if not future.done())]


FUTURES: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[asyncio.Future[Any]]] = WeakKeyDictionary()
"""Of each loop in which an engine was built, the futures that were made since."""


def note_futures() -> None:
    loop: Any = asyncio.get_running_loop()
    if loop in FUTURES:
        return
    made = FUTURES[loop] = WeakSet()
    create = loop.create_future

    def create_future() -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = create()
        made.add(future)
        return future

    loop.create_future = create_future


class JournalDouble:
    """A journal that takes what it is given, and has room when the test says so."""

    def __init__(self, known: dict[int, Known] | None = None, **about: Any) -> None:
        self.rows = known or {}
        self.last_index = max(self.rows, default=None)
        self.doubtful_below: int = about.get("doubtful_below", 0)
        self.may_land = frozenset(about.get("may_land", ()))
        self.on_failure: Callable[[JournalError], object] = lambda _: None
        self.recorded: list[tuple[int, str, float]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.readable_to = 10**9
        self.progress = asyncio.Event()

    async def known(self, index: int) -> Known | None:
        return self.rows.get(index)

    def digests(self, key: str, content: bytes) -> RowDigests:
        return RowDigests(key.encode() + content, key.encode())

    @property
    def has_room(self) -> bool:
        return self.open.is_set()

    async def room(self) -> None:
        await self.open.wait()

    def may_read(self, index: int) -> bool:
        return index < self.readable_to

    async def wait_to_read(self, index: int) -> None:
        while not self.may_read(index):
            self.progress.clear()
            await self.progress.wait()

    def record(self, index: int, state: str, _digests: RowDigests, *, lands_until_s: float = float("-inf")) -> None:
        self.recorded.append((index, state, lands_until_s))


class ObservationDouble:
    """What observers would be told of the run, and of each row in the order of their being taken up."""

    def __init__(self) -> None:
        self.rows: list[ObservationDouble] = []
        self.ended: list[BaseException | None] = []
        self.gates: list[str] = []

    def row(self) -> "ObservationDouble":
        self.rows.append(ObservationDouble())
        return self.rows[-1]

    def end(self, error: BaseException | None) -> None:
        self.ended.append(error)

    def gate(self, state: str, _after_s: float) -> None:
        self.gates.append(state)

    def repeated(self, *_: object) -> None: ...


# What a try can bring, each made anew, since an error takes on what is known of its row

OK = Verdict(Action.ACCEPT)


def refused() -> Verdict:
    return Verdict(Action.REPEAT, error=NotSentError("refused", reason="refused"))


def dropped() -> Verdict:
    return Verdict(Action.REPEAT, error=OutcomeUnknownError("dropped"))


def unavailable() -> Verdict:
    return Verdict(Action.REPEAT, error=ServerError("503", status=503), may_be_executed=True)


def internal_error() -> Verdict:
    return Verdict(Action.REPEAT, error=ServerError("500", status=500))


def throttled() -> Verdict:
    return Verdict(Action.REPEAT, error=RateLimitError("429", status=429), is_throttle=True, retry_after_s=0.0)


def bad_request() -> Verdict:
    return Verdict(Action.RAISE, error=BadRequestError("400", status=400))


def done_in_another_shape() -> Verdict:
    return Verdict(Action.RAISE, error=DecodeError("no sample", outcome="done"), may_be_executed=True)


def forbidden() -> Verdict:
    return Verdict(Action.RAISE, error=PermissionDeniedError("403", status=403))


def wrong_answer() -> Verdict:
    return Verdict(Action.RAISE, error=WrongAnswerError("another kit"), may_be_executed=True)


def unauthorized() -> Verdict:
    return Verdict(Action.RAISE, error=AuthenticationError("401", status=401))


def not_sent(reason: str) -> Callable[[], Verdict]:
    return lambda: Verdict(Action.RAISE, error=NotSentError("not sent", reason=reason))


def misconfigured() -> Verdict:
    return Verdict(Action.RAISE, error=ConfigError("no token"))


def is_done(verdict: Verdict) -> bool:
    return isinstance(verdict.error, DecodeError) and verdict.error.outcome == "done"


def is_unknown(verdict: Verdict) -> bool:
    return verdict.may_be_executed or isinstance(verdict.error, OutcomeUnknownError)


def always(verdict: Verdict) -> Play:
    async def play(_: Sent) -> Verdict:
        await asyncio.sleep(0.1)
        return verdict

    return play


def by_row(*of_rows: Tries, latency_s: float = 0.1) -> Play:
    """Play for each row its verdicts one after the other, the last one for ever; for rows beyond them, OK."""
    scripts = [list(verdicts) for verdicts in of_rows]

    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(latency_s)
        script = scripts[sent.index] if sent.index < len(scripts) else [OK]
        verdict = script[min(sent.attempt, len(script)) - 1]
        return verdict() if callable(verdict) else verdict

    return play


def rows(count: int, keys: int = 10**9) -> list[tuple[str, dict[str, int]]]:
    return [(f"K{n % keys}", {"n": n}) for n in range(count)]


# Every row has one outcome, by what was sent

ENDINGS: list[tuple[Tries, str, type[Exception] | None]] = [
    ([OK], "ok", None),
    ([refused, OK], "ok", None),
    ([dropped, OK], "ok", None),
    ([unavailable, OK], "ok", None),
    ([throttled, throttled, OK], "ok", None),
    ([done_in_another_shape], "ok", DecodeError),
    ([bad_request], "failed", BadRequestError),
    ([refused, bad_request], "failed", BadRequestError),
    ([throttled, bad_request], "failed", BadRequestError),
    ([dropped, bad_request], "unknown", BadRequestError),
    ([unavailable, bad_request], "unknown", BadRequestError),
    ([wrong_answer], "unknown", WrongAnswerError),
    ([dropped], "unknown", OutcomeUnknownError),
    ([unavailable], "unknown", ServerError),
    ([refused], "failed", NotSentError),
    ([dropped, refused], "unknown", OutcomeUnknownError),
]


@pytest.mark.parametrize(("script", "state", "error"), ENDINGS)
@pytest.mark.parametrize("others", [0, 80])
async def test_a_row_ends_by_what_its_tries_have_shown(
    script: Tries, state: str, error: type[Exception] | None, others: int
) -> None:
    bench = Bench(rows(1 + others), by_row(script))

    await bench.run()

    bench.check()
    outcome = next(outcome for outcome in bench.outcomes if outcome.index == 0)
    assert (outcome.state, None if outcome.error is None else type(outcome.error)) == (state, error)
    assert bench.states[1:] == ["ok"] * others
    assert outcome.error is None or outcome.error.operation == "POST /api/v2/kits/{kit_id}/"
    assert outcome.error is None or outcome.error.attempts == outcome.attempts
    assert bench.engine.is_complete
    assert bench.engine.error_at_end() is None


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_a_row_that_fails_alone_has_the_policy_s_tries_and_no_more(attempts: int) -> None:
    bench = Bench(rows(101), by_row([unavailable]), policy=RetryPolicy(max_attempts=attempts), concurrency=2)

    await bench.run()

    bench.check()
    tries = sum(sent.index == 0 for sent in bench.sent)
    assert attempts <= tries <= attempts + 1  # one more where nothing else could be asked at the end
    assert bench.states == ["unknown", *["ok"] * 100]


async def test_the_answer_and_the_times_of_a_row_are_in_its_outcome() -> None:
    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(2)
        return Verdict(Action.ACCEPT, value=f"answer {sent.index}") if sent.attempt > 1 else throttled()

    bench = Bench(rows(2), play)

    for outcome in await bench.run():
        assert (outcome.value, outcome.attempts) == (f"answer {outcome.index}", 2)
        assert outcome.request_s == pytest.approx(2)
        assert 4 <= outcome.elapsed_s < 6


async def test_what_was_never_sent_names_the_server_in_its_error() -> None:
    bench = Bench(rows(1), by_row([not_sent("dns")]))

    (outcome,) = await bench.run()

    assert "spot.example:8443" in str(outcome.error)


async def test_bad_rows_come_out_rejected_and_good_ones_are_done() -> None:
    updates: list[Any] = rows(100)
    updates[::3] = [("", {})] * len(updates[::3])
    bench = Bench(updates)

    await bench.run()

    bench.check()
    assert Counter(bench.states) == {"ok": 66, "rejected": 34}
    assert len(bench.sent) == 66


async def test_an_empty_input_ends_at_once_and_is_complete() -> None:
    bench = Bench([])

    assert await bench.run() == []
    assert bench.engine.is_complete
    assert bench.engine.error_at_end() is None
    assert left_in_the_loop() == []


async def test_progress_tells_rows_by_state_while_they_go() -> None:
    bench = Bench(rows(10), by_row([bad_request], [throttled, OK]), concurrency=1, total=10)
    bench.engine.start()
    assert bench.engine.progress().done == 0
    await bench.take_rest()

    progress = bench.engine.progress()
    assert (progress.done, progress.total, progress.throttled, progress.is_paused) == (10, 10, 1, False)
    assert (progress.by_state["ok"], progress.by_state["failed"]) == (9, 1)


# Order


def uneven(count: int) -> Play:
    """Later rows are answered earlier, within every eight."""

    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(count - sent.index % 8)
        return OK

    return play


@pytest.mark.parametrize("ordered", [True, False])
async def test_outcomes_come_in_the_order_of_the_rows_only_where_that_is_asked_for(ordered: bool) -> None:
    bench = Bench(rows(64), uneven(64), ordered=ordered, concurrency=8)

    await bench.run()

    bench.check()
    assert ([outcome.index for outcome in bench.outcomes] == list(range(64))) == ordered


async def test_with_order_one_row_that_waits_holds_back_no_sending_of_others() -> None:
    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(1000 if not sent.index else 0.1)
        return OK

    bench = Bench(rows(200), play, ordered=True)
    bench.engine.start()
    await asyncio.sleep(900)
    bench.take()

    assert bench.outcomes == []
    assert len(bench.sent) == 200
    await bench.take_rest()
    assert [outcome.index for outcome in bench.outcomes] == list(range(200))


@pytest.mark.parametrize("keys", [1, 2, 5])
@pytest.mark.parametrize("latency", ["even", "uneven"])
async def test_of_one_key_one_row_is_under_way_at_a_time_in_the_input_s_order(keys: int, latency: str) -> None:
    bench = Bench(rows(40, keys), uneven(9) if latency == "uneven" else None, concurrency=8)

    await bench.run()

    bench.check()
    assert bench.states == ["ok"] * 40
    for key in range(keys):
        assert [sent.index for sent in bench.sent if sent.key == f"K{key}"] == list(range(key, 40, keys))
    assert bench.most_at_once == min(keys, 8)  # and different keys side by side


@pytest.mark.parametrize(
    ("script", "waits"),
    [
        ([OK], False),
        ([refused, OK], False),
        ([throttled, OK], False),
        ([bad_request], False),
        ([done_in_another_shape], False),
        ([dropped, OK], True),
        ([unavailable, OK], True),
        ([dropped, bad_request], True),
        ([wrong_answer], True),
    ],
)
@pytest.mark.parametrize("is_late", [False, True])
async def test_the_next_value_of_a_key_waits_until_an_earlier_one_cannot_land_any_more(
    script: Tries, waits: bool, is_late: bool
) -> None:
    """Whether it was read when the earlier one had no outcome yet, or afterwards."""

    async def updates() -> Any:
        yield "K", {"n": 0}
        if is_late:
            await asyncio.sleep(20)
        yield "K", {"n": 1}
        for n in range(2, 80):
            yield f"K{n}", {"n": n}

    bench = Bench(updates(), by_row(script))

    await bench.run()

    bench.check()
    may_land = [sent.began_s for sent in bench.sent if not sent.index and sent.verdict and is_unknown(sent.verdict)]
    second = next(sent for sent in bench.sent if sent.index == 1)
    until_s = (may_land[-1] if waits else -100.0) + LANDS_WITHIN_S
    assert until_s <= second.began_s
    assert waits or second.began_s < 25
    assert second.began_s < max(until_s, 20) + 5
    others = [sent.began_s for sent in bench.sent if sent.index > 1]
    assert max(others) < 30  # keys that nothing of is on its way are not held up


async def test_a_row_that_comes_behind_one_that_waits_goes_after_it() -> None:
    bench = Bench([("K", {"n": 0}), ("K", {"n": 1}), ("K", {"n": 2})], by_row([dropped, OK]))

    await bench.run()

    bench.check()
    assert [sent.index for sent in bench.sent] == [0, 0, 1, 2]
    assert now() < LANDS_WITHIN_S + 5


# Newer values


async def test_with_coalesce_a_newer_value_takes_the_place_of_one_that_was_not_taken_up() -> None:
    bench = Bench(rows(20, 1), coalesce=True, concurrency=1)

    await bench.run()

    bench.check()
    assert bench.states == ["superseded"] * 19 + ["ok"]
    assert [sent.index for sent in bench.sent] == [19]


async def test_with_coalesce_a_value_under_way_is_left_alone() -> None:
    async def updates() -> Any:
        for n in range(6):
            yield "K", {"n": n}
            await asyncio.sleep(0.3)

    bench = Bench(updates(), by_row(latency_s=1.0), coalesce=True)

    await bench.run()

    bench.check()
    assert bench.states[0] == bench.states[-1] == "ok"
    assert [sent.index for sent in bench.sent] == [n for n, state in enumerate(bench.states) if state == "ok"]
    assert "superseded" in bench.states


async def test_without_coalesce_every_value_is_sent() -> None:
    bench = Bench(rows(20, 1))

    await bench.run()

    assert [sent.index for sent in bench.sent] == list(range(20))


# How many at once, and how far ahead


@pytest.mark.parametrize("concurrency", [1, 2, 7, 32])
async def test_as_many_requests_are_under_way_as_the_plan_says_and_never_more(concurrency: int) -> None:
    scripts: list[Tries] = [[(OK, refused, unavailable, throttled)[n % 4], OK] for n in range(60)]
    bench = Bench(rows(300), by_row(*scripts), concurrency=concurrency)

    await bench.run()

    bench.check()
    assert bench.most_at_once == concurrency
    assert bench.states == ["ok"] * 300


@pytest.mark.parametrize("concurrency", [1, 4, 20])
@pytest.mark.parametrize("ordered", [False, True])
async def test_a_consumer_that_stops_reading_stops_the_run_within_the_window(concurrency: int, ordered: bool) -> None:
    taken = 0

    def endless() -> Iterator[Any]:
        nonlocal taken
        while True:
            yield f"K{taken}", {"n": taken}
            taken += 1

    bench = Bench(endless(), concurrency=concurrency, ordered=ordered)
    bench.engine.start()
    await asyncio.sleep(1000)
    assert bench.reader.read == len(bench.sent) == bench.options.window

    bench.take(3)
    await asyncio.sleep(1000)
    assert bench.options.window <= bench.reader.read <= bench.options.window + 3
    bench.take()
    await asyncio.sleep(1000)
    assert bench.reader.read == len(bench.outcomes) + bench.options.window

    bench.engine.end()
    await bench.take_rest()
    bench.check()
    assert taken + 1 == bench.reader.read


async def test_rows_are_read_no_further_ahead_than_the_window_whatever_the_consumer_does() -> None:
    bench = Bench(rows(500), concurrency=3)
    bench.engine.start()
    while not all(task.done() for task in bench.engine.tasks):
        await asyncio.sleep(0.7)
        bench.take(5)
    await bench.take_rest()

    bench.check()
    assert bench.most_ahead == bench.options.window


async def test_a_slow_input_does_not_hold_up_what_was_read() -> None:
    async def slow() -> Any:
        for row in rows(5):
            yield row
            await asyncio.sleep(100)

    bench = Bench(slow())

    await bench.run()

    assert [sent.began_s for sent in bench.sent] == pytest.approx([0, 100, 200, 300, 400], abs=0.1)


# Failures that only others can explain


async def test_a_last_row_that_fails_for_good_ends_at_once_where_the_input_is_read_up() -> None:
    bench = Bench(rows(3), by_row([OK], [OK], [unavailable]))

    await bench.run()

    assert bench.states == ["ok", "ok", "unknown"]
    assert now() < 30


async def test_a_row_that_fails_for_good_waits_fifteen_seconds_for_another_one_to_be_read() -> None:
    async def slow() -> Any:
        yield rows(1)[0]
        await asyncio.sleep(300)
        yield rows(2)[1]

    bench = Bench(slow(), by_row([unavailable]))
    bench.engine.start()
    told: list[float] = []
    bench.on_news = lambda: told.append(now())
    await bench.take_rest()

    bench.check()
    assert bench.states == ["unknown", "ok"]
    last = max(sent.ended_s or 0 for sent in bench.sent if not sent.index)
    assert last + 10 < told[0] < 30


async def test_where_a_row_rests_one_that_failed_waits_for_it() -> None:
    bench = Bench([("K", {"n": 0}), ("L", {"n": 1}), ("K", {"n": 2})], by_row([dropped, OK], [unavailable]))
    ended: dict[int, float] = {}

    def note_ends() -> None:
        bench.take()
        for outcome in bench.outcomes:
            ended.setdefault(outcome.index, now())

    bench.on_news = note_ends

    await bench.run()

    bench.check()
    assert bench.states == ["ok", "unknown", "ok"]
    assert ended[1] > LANDS_WITHIN_S


async def test_an_outage_pauses_the_run_and_probes_until_it_is_over() -> None:
    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(0.1)
        return unavailable() if 10 < sent.began_s < 200 else OK

    watch = ObservationDouble()
    bench = Bench(rows(600), play, watch=watch)
    is_paused: list[bool] = []
    asyncio.get_running_loop().call_at(100, lambda: is_paused.append(bench.engine.progress().is_paused))

    await bench.run()

    bench.check()
    assert bench.states == ["ok"] * 600
    assert sum(10 < sent.began_s < 200 for sent in bench.sent) < 80
    assert is_paused == [True]
    assert watch.gates == ["closed", "open"]


@pytest.mark.parametrize("state", ["closed", "open"])
async def test_what_an_observer_raises_when_the_run_pauses_leaves_known_what_became_of_the_rows(state: str) -> None:
    class Interrupt(BaseException):
        pass

    class Interrupting(ObservationDouble):
        def gate(self, now: str, _after_s: float) -> None:
            if now == state:
                raise Interrupt

    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(0.1)
        return unavailable() if 10 < sent.began_s < 20 else OK

    bench = Bench(rows(600), play, watch=Interrupting())

    await bench.run()

    bench.check()
    assert isinstance(bench.engine.foreign_error, Interrupt)
    assert set(bench.states) >= ({"ok", "unknown"} if state == "closed" else {"ok"})


async def test_the_rest_of_a_run_whose_rows_all_fail_ends_after_two_minutes_of_probing() -> None:
    scripts: list[Tries] = [*[[OK]] * 20, *[[internal_error]] * 6]
    bench = Bench(rows(26), by_row(*scripts))

    await bench.run()

    bench.check()
    assert bench.states == ["ok"] * 20 + ["failed"] * 6
    assert 120 < now() < 300


async def test_rows_that_all_fail_at_the_end_are_probed_before_they_are_given_up_where_many_failed_before() -> None:
    """So many that failures in a row may be chance, and show no outage while other rows are there."""
    mixed: list[Tries] = [[unavailable, OK], [OK]]
    scripts: list[Tries] = [*mixed * 100, *[[unavailable]] * 6]
    watch = ObservationDouble()
    bench = Bench(rows(206), by_row(*scripts), watch=watch)

    await bench.run()

    bench.check()
    assert bench.states == ["ok"] * 200 + ["unknown"] * 6
    assert watch.gates[:1] == ["closed"]


async def test_in_a_pause_rows_that_may_not_be_repeated_end_with_their_probe_and_the_next_one_goes() -> None:
    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(0.1)
        return unavailable() if 1 < sent.began_s < 100 else OK

    bench = Bench(rows(200), play, policy=RetryPolicy(max_attempts=1))

    await bench.run()

    bench.check()
    assert set(bench.states) == {"ok", "unknown"}
    assert 20 < bench.states.count("unknown") < 50
    assert len(bench.sent) == 200


async def test_a_probe_that_could_not_be_sent_and_has_ended_leaves_its_turn_to_the_next_one() -> None:
    given_up: list[int] = []

    async def before(sent: Sent) -> Verdict:
        if now() > 20 and not given_up:
            given_up.append(sent.index)
            raise NotSentError("no slot", reason="limit")
        return OK

    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(0.1)
        return unavailable() if 10 < sent.began_s < 100 else OK

    bench = Bench(rows(600), play, before=before)

    await bench.run()

    bench.check()
    assert Counter(bench.states) in ({"ok": 599, "failed": 1}, {"ok": 599, "unknown": 1})
    assert now() < 200


async def test_a_row_that_was_to_probe_when_a_pause_ended_holds_up_no_later_pause() -> None:
    since_the_first: list[int] = []

    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(0.5)
        if 10 < sent.began_s < 20 or 30 < sent.began_s < 40:
            return unavailable()
        if sent.began_s > 20:
            since_the_first.append(sent.index)
        if since_the_first[1:2] == [sent.index]:  # it waited for its moment when the first one came through
            await asyncio.sleep(1000)
        return OK

    watch = ObservationDouble()
    bench = Bench(rows(600), play, watch=watch)

    await bench.run()

    bench.check()
    assert watch.gates == ["closed", "open"] * 2
    assert sorted(sent.ended_s or 0 for sent in bench.sent)[-2] < 200
    assert now() > 1000


async def test_few_rows_that_all_fail_at_the_end_are_probed_before_they_are_given_up() -> None:
    bench = Bench(rows(6, 6), by_row(*[[unavailable]] * 6), concurrency=2, outage_limit_s=50)

    await bench.run()

    bench.check()
    assert isinstance(bench.stopped.cause, NotSentError)
    assert bench.stopped.cause.reason == "outage"
    assert 50 <= now() < 60


# What stops a run


STOPPING = [
    (unauthorized, 1),
    (misconfigured, 1),
    (not_sent("tls"), 1),
    (not_sent("token"), 1),
    (not_sent("closed"), 1),
    (forbidden, 3),
    (wrong_answer, 3),
]


@pytest.mark.parametrize(("verdict", "enough"), STOPPING)
@pytest.mark.parametrize("served_before", [0, 5])
async def test_what_every_further_row_would_meet_stops_the_run(
    verdict: Callable[[], Verdict], enough: int, served_before: int
) -> None:
    scripts: list[Tries] = [*[[OK]] * served_before, *[[verdict]] * 1000]
    bench = Bench(rows(1000), by_row(*scripts), concurrency=1)

    await bench.run()

    bench.check()
    assert len(bench.sent) == served_before + enough
    assert isinstance(bench.stopped.cause, type(verdict().error))
    assert bench.reader.read < 50
    assert not bench.engine.is_complete
    assert set(bench.states[served_before + enough :]) == {"skipped"}


@pytest.mark.parametrize("verdict", [bad_request, done_in_another_shape])
async def test_what_is_a_row_s_own_does_not_stop_the_run(verdict: Callable[[], Verdict]) -> None:
    bench = Bench(rows(100), by_row(*[[verdict]] * 100))

    await bench.run()

    assert len(bench.sent) == 100
    assert bench.engine.error_at_end() is None


@pytest.mark.parametrize("verdict", [forbidden, wrong_answer])
async def test_others_between_refusals_keep_the_run_going(verdict: Callable[[], Verdict]) -> None:
    two_of_three: list[Tries] = [[verdict], [verdict], [OK]] * 33
    bench = Bench(rows(99), by_row(*two_of_three), concurrency=1)

    await bench.run()

    assert len(bench.sent) == 99
    assert bench.engine.error_at_end() is None


@pytest.mark.parametrize(("limit", "sent"), [(1, 1), (3, 7), (None, 100)])
async def test_as_many_failures_as_the_caller_has_said_stop_the_run(limit: int | None, sent: int) -> None:
    one_of_three: list[Tries] = [[bad_request], [OK], [OK]] * 33
    bench = Bench(rows(100), by_row(*one_of_three), stop_after=limit, concurrency=1)

    await bench.run()

    bench.check()
    assert len(bench.sent) == sent
    assert (bench.engine.error_at_end() is None) == (limit is None)


async def test_rejected_rows_count_as_failures_too() -> None:
    bench = Bench([("", {})] * 100, stop_after=10)

    await bench.run()

    bench.check()
    assert isinstance(bench.stopped.cause, InvalidInputError)
    assert bench.reader.read == 10


@pytest.mark.parametrize("wait_for_server", [False, True])
async def test_a_server_that_was_never_reached_stops_the_run_after_thirty_seconds(wait_for_server: bool) -> None:
    async def before(_: Sent) -> Verdict:
        await asyncio.sleep(0.1)
        raise NotSentError("refused", reason="refused")  # no connection, so no byte of it

    bench = Bench(rows(100), before=before, wait_for_server=wait_for_server, outage_limit_s=100)

    await bench.run()

    bench.check()
    limit_s = 100 if wait_for_server else 30
    assert limit_s <= now() < limit_s + 5
    assert "spot.example:8443" in str(bench.stopped)


async def test_a_first_request_that_hangs_may_have_reached_the_server() -> None:
    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(200 if not sent.index else 0.1)
        return OK if not sent.index or now() > 200 else refused()

    bench = Bench(rows(20), play)

    await bench.run()

    bench.check()
    assert bench.states == ["ok"] * 20


async def test_waiting_for_rows_is_no_outage() -> None:
    async def slow() -> Any:
        yield rows(1)[0]
        await asyncio.sleep(10_000)
        yield rows(2)[1]

    bench = Bench(slow(), by_row([refused, refused, refused, OK], [OK]), outage_limit_s=60)

    await bench.run()

    assert bench.states == ["ok", "ok"]
    assert bench.engine.error_at_end() is None


async def test_the_time_without_rows_is_no_part_of_a_throttling_that_lasts() -> None:
    async def slow() -> Any:
        yield rows(1)[0]
        await asyncio.sleep(100)
        yield rows(2)[1]

    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(30 if sent.index else 0.1)
        return OK if sent.index else throttled()

    bench = Bench(slow(), play, outage_limit_s=60, policy=RetryPolicy(max_attempts=1))

    await bench.run()

    bench.check()
    assert bench.states == ["failed", "ok"]
    assert bench.engine.error_at_end() is None


async def test_the_first_trouble_that_stops_the_run_is_the_one_that_is_told() -> None:
    troubles: list[Tries] = [[unauthorized], [misconfigured], [not_sent("tls")]] * 30
    bench = Bench(rows(100), by_row(*troubles), concurrency=3)

    await bench.run()

    bench.check()
    assert isinstance(bench.stopped.cause, AuthenticationError)


# Stopping, ending, leaving


async def hang(_: Sent) -> Verdict:
    await asyncio.sleep(10_000)
    return OK


async def a_while(_: Sent) -> Verdict:
    await asyncio.sleep(3)
    return OK


async def test_a_stop_finishes_what_was_sent_and_skips_the_rest() -> None:
    bench = Bench(rows(1000), a_while)
    asyncio.get_running_loop().call_later(7, bench.engine.stop)

    await bench.run()

    bench.check()
    assert now() == pytest.approx(9)
    assert Counter(bench.states) == {"ok": 12, "skipped": bench.reader.read - 12}
    assert bench.engine.error_at_end() is None  # it was asked for
    assert not bench.engine.is_complete
    assert left_in_the_loop() == []


@pytest.mark.parametrize("count", [4, 6])
async def test_a_run_that_was_stopped_when_all_was_read_is_not_complete(count: int) -> None:
    bench = Bench(rows(count), a_while)
    asyncio.get_running_loop().call_later(1, bench.engine.stop)

    await bench.run()

    assert bench.states == ["ok"] * 4 + ["skipped"] * (count - 4)
    assert bench.reader.is_read_up
    assert not bench.engine.is_complete


async def test_a_stop_while_no_server_was_reached_leaves_nothing_behind() -> None:
    bench = Bench(rows(100), by_row(*[[refused]] * 100))
    asyncio.get_running_loop().call_later(5, bench.engine.stop)

    await bench.run()

    bench.check()
    assert now() < 5.2
    assert left_in_the_loop() == []


async def test_a_stop_before_the_start_reads_and_sends_nothing() -> None:
    bench = Bench(rows(1000))
    bench.engine.start()
    bench.engine.stop()
    bench.engine.stop()

    await bench.take_rest()

    bench.check()
    assert (bench.reader.read, bench.sent) == (0, [])
    assert left_in_the_loop() == []


@pytest.mark.parametrize("cause", [None, NotSentError("the client was closed", reason="closed")])
async def test_an_end_waits_for_no_answer_and_says_that_nobody_knows(cause: NotSentError | None) -> None:
    watch = ObservationDouble()
    bench = Bench(rows(1000), hang, watch=watch)
    asyncio.get_running_loop().call_later(7, bench.engine.end, cause)

    await bench.run()

    bench.check()
    assert now() == pytest.approx(7)
    assert Counter(bench.states) == {"unknown": 4, "skipped": 4}
    assert (bench.engine.error_at_end() is None) == (cause is None)
    told = {type(row.ended[0]) for row in watch.rows}
    assert told == ({asyncio.CancelledError} if cause is None else {OutcomeUnknownError})
    assert left_in_the_loop() == []


@pytest.mark.parametrize("where", ["input", "before", "send", "news"])
@pytest.mark.parametrize("also_ends", [False, True])
async def test_a_stop_from_within_ends_the_run(where: str, also_ends: bool) -> None:
    def stop_at(place: str, count: int) -> None:
        if place == where and count == 10:
            bench.engine.stop()
            if also_ends:
                bench.engine.end()

    def updates() -> Iterator[Any]:
        for n, row in enumerate(rows(1000)):
            yield row
            stop_at("input", n)

    async def before(_: Sent) -> Verdict:
        stop_at("before", len(bench.sent))
        return OK

    async def play(sent: Sent) -> Verdict:
        stop_at("send", sent.index)
        await asyncio.sleep(0.1)
        return OK

    bench = Bench(updates(), play, before=before)
    bench.on_news = lambda: stop_at("news", bench.engine.progress().done)

    await bench.run()

    bench.check()
    assert 8 <= bench.reader.read < 40
    assert len(bench.sent) < 20
    assert left_in_the_loop() == []


async def test_a_stop_wakes_what_waits_for_ever_before_it_was_sent() -> None:
    bench = Bench(rows(1000), before=hang)
    asyncio.get_running_loop().call_later(5, bench.engine.stop)

    await bench.run()

    bench.check()
    assert now() == pytest.approx(5)
    assert set(bench.states) == {"skipped"}


async def test_what_comes_to_wait_after_the_stop_is_woken_within_a_tenth_of_a_second() -> None:
    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(2)
        sent.attempt_state.may_have_arrived = False  # its answer was judged, and asks for another token, say
        await asyncio.sleep(10_000)
        return OK

    bench = Bench(rows(1000), play)
    asyncio.get_running_loop().call_later(1, bench.engine.stop)

    await bench.run()

    assert 2 < now() <= 2.11
    assert set(bench.states) == {"skipped"}


async def test_a_stop_wakes_an_input_that_never_goes_on() -> None:
    async def stuck() -> Any:
        yield rows(1)[0]
        await asyncio.Event().wait()

    bench = Bench(stuck())
    asyncio.get_running_loop().call_later(5, bench.engine.stop)

    await bench.run()

    bench.check()
    assert bench.states == ["ok"]
    assert now() == pytest.approx(5)
    assert left_in_the_loop() == []


async def test_an_input_that_is_being_closed_is_not_disturbed_by_the_end() -> None:
    closed: list[float] = []

    async def slow_to_close() -> Any:
        try:
            for row in rows(1000):
                yield row
        finally:
            await asyncio.sleep(5)
            closed.append(now())

    bench = Bench(slow_to_close(), hang)
    bench.engine.start()
    for seconds in (1, 2, 3):
        asyncio.get_running_loop().call_later(seconds, bench.engine.end)

    await bench.take_rest()

    bench.check()
    assert closed == [pytest.approx(6)]


async def test_an_input_that_is_read_up_and_slow_to_close_is_closed_to_its_end() -> None:
    closed: list[float] = []

    class Cursor:
        def __init__(self) -> None:
            self.left = rows(3)

        async def __anext__(self) -> Any:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

        async def aclose(self) -> None:
            await asyncio.sleep(5)
            closed.append(now())

        def __aiter__(self) -> "Cursor":
            return self

    class Table:
        def __aiter__(self) -> Cursor:
            return Cursor()

    bench = Bench(Table(), hang)
    asyncio.get_running_loop().call_later(1, bench.engine.end)

    await bench.run()

    bench.check()
    assert closed == [pytest.approx(5)]


async def test_before_whoever_waits_is_cancelled_its_request_is_called_off() -> None:
    called_off: list[bool] = []

    async def before(sent: Sent) -> Verdict:
        try:
            return await hang(sent)
        finally:
            called_off.append(sent.attempt_state.is_called_off)  # so that it is not written while this cleans up

    bench = Bench(rows(100), before=before)
    asyncio.get_running_loop().call_later(1, bench.engine.stop)

    await bench.run()

    assert called_off == [True] * 4


async def test_a_stop_while_a_row_waits_for_another_one_leaves_nothing_behind() -> None:
    async def slow() -> Any:
        yield rows(1)[0]
        await asyncio.sleep(300)

    bench = Bench(slow(), by_row([unavailable]))
    asyncio.get_running_loop().call_later(12, bench.engine.stop)

    await bench.run()

    bench.check()
    assert bench.states == ["unknown"]
    assert now() == pytest.approx(12)
    assert left_in_the_loop() == []


async def test_a_task_that_cleans_up_after_its_cancellation_is_cancelled_once() -> None:
    cleaned_up: list[int] = []

    async def play(sent: Sent) -> Verdict:
        try:
            return await hang(sent)
        finally:
            await asyncio.sleep(3)
            cleaned_up.append(sent.index)

    bench = Bench(rows(1000), play)
    bench.engine.start()
    for seconds in (1, 2, 3):
        asyncio.get_running_loop().call_later(seconds, bench.engine.end)

    await bench.take_rest()

    bench.check()
    assert len(cleaned_up) == 4


async def test_the_last_news_comes_when_every_task_has_ended_and_every_outcome_is_there() -> None:
    bench = Bench(rows(1000), hang)
    counts: list[tuple[bool, int]] = []
    bench.on_news = lambda: counts.append(
        (all(task.done() for task in bench.engine.tasks), bench.engine.progress().done)
    )
    bench.engine.start()
    await asyncio.sleep(1)
    bench.engine.end()
    await bench.take_rest()

    assert counts[-1] == (True, bench.reader.read)


# Whatever is raised


class Outside(BaseException):
    """Comes from nowhere that the SDK knows."""


class Empty(Exception):  # noqa: N818 - of the kind that collects others
    """Counts as false, as one that collects errors and has none."""

    def __len__(self) -> int:
        return 0


RAISED = [LookupError("x"), Outside(), GeneratorExit(), StopAsyncIteration(), TimeoutError(), Empty()]


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("is_sent", [False, True])
@pytest.mark.parametrize("at", [0, 17])
async def test_whatever_a_send_raises_ends_the_run_and_is_told(raised: BaseException, is_sent: bool, at: int) -> None:
    async def raise_it(sent: Sent) -> Verdict:
        await asyncio.sleep(0.1)
        if sent.index == at:
            raise raised
        return OK

    bench = Bench(rows(100), raise_it if is_sent else OK, before=None if is_sent else raise_it)

    await bench.run()

    bench.check()
    assert bench.engine.error_at_end() is raised
    assert bench.states[at] == ("unknown" if is_sent else "skipped")
    assert bench.reader.read < 100
    assert left_in_the_loop() == []


@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_cancellation_out_of_a_send_that_nobody_aimed_at_the_run_stops_it(is_sent: bool) -> None:
    async def cancelled(sent: Sent) -> Verdict:
        if sent.index == 5:
            raise asyncio.CancelledError
        return await always(OK)(sent)

    bench = Bench(rows(100), cancelled if is_sent else OK, before=None if is_sent else cancelled)

    await bench.run()

    bench.check()
    assert isinstance(bench.stopped.cause, NotSentError)
    assert "nobody had cancelled the run" in str(bench.stopped)
    assert bench.states[5] == ("unknown" if is_sent else "skipped")


@pytest.mark.parametrize("raised", [*RAISED, asyncio.CancelledError()])
@pytest.mark.parametrize("at", [0, 1, 17])
@pytest.mark.parametrize("is_async", [False, True])
async def test_whatever_an_input_raises_is_told_when_the_rows_that_were_read_are_done(
    raised: BaseException, at: int, is_async: bool
) -> None:
    def give() -> Iterator[Any]:
        yield from rows(at)
        raise raised

    async def give_async() -> Any:
        for row in rows(at):
            yield row
        raise raised

    bench = Bench(give_async() if is_async else give(), concurrency=2)

    await bench.run()

    bench.check()
    error = bench.engine.error_at_end()
    assert isinstance(error, (type(raised), RuntimeError, InvalidInputError))
    assert bench.reader.read == at
    if isinstance(raised, Exception):
        assert bench.states == ["ok"] * at
    assert not bench.engine.is_complete
    assert left_in_the_loop() == []


@pytest.mark.parametrize("raised", RAISED)
async def test_what_fails_beside_the_run_ends_it_in_order(raised: BaseException) -> None:
    bench = Bench(rows(1000), a_while)
    asyncio.get_running_loop().call_later(1, bench.engine.fail, raised)
    asyncio.get_running_loop().call_later(2, bench.engine.fail, ValueError("later"))

    await bench.run()

    bench.check()
    assert Counter(bench.states) == {"ok": 4, "skipped": 4}
    assert bench.engine.error_at_end() is raised


@pytest.mark.parametrize("what", [["foreign", "input", "cause", "close"], ["input", "cause", "close"], ["close"]])
async def test_of_several_troubles_the_one_that_explains_the_others_is_told(what: list[str]) -> None:
    errors = {name: LookupError(name) for name in ("foreign", "input", "close")}

    async def updates() -> Any:
        try:
            for row in rows(4):
                yield row
            if "input" in what:
                raise errors["input"]
        finally:
            if "close" in what and "input" not in what:
                raise errors["close"]

    async def play(sent: Sent) -> Verdict:
        await asyncio.sleep(1)
        if sent.index == 1 and "cause" in what:
            return unauthorized()
        if sent.index == 2 and "foreign" in what:
            raise errors["foreign"]
        return OK

    bench = Bench(updates(), play)

    await bench.run()

    bench.check()
    assert bench.engine.error_at_end() is errors[what[0]]


async def test_what_an_input_raises_when_it_is_closed_is_told_where_nothing_else_is() -> None:
    async def failing_to_close() -> Any:
        try:
            for row in rows(1000):
                yield row
        finally:
            raise OSError("the cursor is gone")

    bench = Bench(failing_to_close())
    asyncio.get_running_loop().call_later(1, bench.engine.stop)

    await bench.run()

    bench.check()
    assert isinstance(bench.engine.error_at_end(), OSError)


@pytest.mark.parametrize("steps", range(25))
async def test_any_task_of_a_run_may_be_cancelled_from_outside_at_any_await(steps: int) -> None:
    async def play(sent: Sent) -> Verdict:
        for _ in range(sent.index % 3):
            await asyncio.sleep(0)
        return OK

    for place in range(3):
        bench = Bench(rows(60), play, before=play, concurrency=2)
        bench.engine.start()
        for _ in range(steps):
            await asyncio.sleep(0)
        bench.take(4)
        is_cancelled = bench.engine.tasks[place].cancel()
        await bench.take_rest()

        bench.check()
        assert left_in_the_loop() == []
        if is_cancelled and not bench.engine.is_complete:
            assert bench.engine.error_at_end() is not None
        else:
            assert bench.states == ["ok"] * 60


@pytest.mark.parametrize("steps", range(0, 50, 2))
@pytest.mark.parametrize("how", ["end", "stop", "fail"])
async def test_a_run_may_end_at_any_await_and_leaves_nothing_behind(how: str, steps: int) -> None:
    async def play(sent: Sent) -> Verdict:
        for _ in range(sent.index % 3):
            await asyncio.sleep(0)
        return unavailable() if sent.index % 5 == 0 and sent.attempt == 1 else OK

    bench = Bench(rows(60, 20), play, before=play, concurrency=3, ordered=steps % 4 == 0)
    bench.engine.start()
    for _ in range(steps):
        await asyncio.sleep(0)
        bench.take(1)
    {"end": bench.engine.end, "stop": bench.engine.stop, "fail": lambda: bench.engine.fail(ValueError())}[how]()
    sent = len(bench.sent)
    await bench.take_rest()

    bench.check()
    assert len(bench.sent) == sent
    assert left_in_the_loop() == []


# With a journal


async def test_every_row_is_recorded_as_it_ended_but_those_that_were_only_skipped() -> None:
    journal = JournalDouble()
    scripts: list[Tries] = [[OK], [bad_request], [dropped, OK], [dropped, bad_request], [OK], [unauthorized]]
    bench = Bench([*rows(6), ("", {}), *rows(40)[7:]], by_row(*scripts), journal=journal, concurrency=1)

    await bench.run()

    bench.check()
    recorded = {index: state for index, state, _ in journal.recorded}
    assert len(recorded) == len(journal.recorded)
    assert recorded == {index: state for index, state in enumerate(bench.states) if state != "skipped"}
    assert "skipped" in bench.states
    landing = {index: until_s for index, _, until_s in journal.recorded}
    assert landing[0] == float("-inf")
    assert landing[2] >= LANDS_WITHIN_S
    assert landing[3] >= LANDS_WITHIN_S


@pytest.mark.parametrize(
    ("script", "of_older"), [([OK], "superseded"), ([bad_request], "failed"), ([dropped, bad_request], "failed")]
)
async def test_an_overtaken_row_is_recorded_as_done_only_when_the_newer_value_is(script: Tries, of_older: str) -> None:
    journal = JournalDouble()
    bench = Bench(rows(3, 1), by_row([], [], script), journal=journal, coalesce=True)

    await bench.run()

    bench.check()
    assert bench.states[:2] == ["superseded", "superseded"]
    assert [(index, state) for index, state, _ in journal.recorded[:2]] == [(0, of_older), (1, of_older)]


async def test_an_overtaken_row_that_an_earlier_session_may_have_sent_stays_unknown() -> None:
    journal = JournalDouble(doubtful_below=1)
    bench = Bench(rows(2, 1), by_row([], [bad_request]), journal=journal, coalesce=True)
    bench.reader.lands_until_s = 50.0

    await bench.run()

    assert [(index, state) for index, state, _ in journal.recorded] == [(0, "unknown"), (1, "failed")]
    assert [sent.began_s for sent in bench.sent] == [50.0]  # the older one could land over it till then


async def test_rows_that_the_journal_knows_as_done_are_not_sent() -> None:
    known = {n: Known("ok", b'K%d{"n":%d}' % (n, n)) for n in range(0, 20, 2)}
    bench = Bench(rows(20), journal=JournalDouble(known))

    for outcome in await bench.run():
        assert outcome.state == ("ok" if outcome.index % 2 else "skipped")
    assert {sent.index % 2 for sent in bench.sent} == {1}
    assert bench.engine.is_complete


async def test_while_the_journal_has_no_room_nothing_is_read_or_taken_up() -> None:
    journal = JournalDouble()
    bench = Bench(rows(100), journal=journal)
    loop = asyncio.get_running_loop()
    loop.call_later(1.05, journal.open.clear)
    loop.call_later(50, journal.open.set)

    await bench.run()

    bench.check()
    assert bench.states == ["ok"] * 100
    assert not [sent.began_s for sent in bench.sent if 1.05 < sent.began_s < 50]


async def test_no_further_is_read_than_a_killed_run_s_successor_would_doubt() -> None:
    journal = JournalDouble()
    journal.readable_to = 10
    bench = Bench(rows(100), journal=journal)
    bench.engine.start()
    consumer = asyncio.ensure_future(bench.take_rest())
    await asyncio.sleep(50)
    assert bench.reader.read == 10

    journal.readable_to = 1000
    journal.progress.set()
    await consumer
    bench.check()
    assert bench.states == ["ok"] * 100


async def test_a_journal_that_cannot_be_written_stops_the_run() -> None:
    journal = JournalDouble()
    failure = JournalError("no space left on the disk", reason="disk")
    bench = Bench(rows(1000), journal=journal)
    asyncio.get_running_loop().call_later(1, lambda: journal.on_failure(failure))

    await bench.run()

    bench.check()
    assert bench.stopped.cause is failure
    assert "the same journal" in str(bench.stopped)


async def test_another_input_than_the_journal_s_stops_the_run_before_more_is_sent() -> None:
    bench = Bench(rows(1000), a_while, journal=JournalDouble({9: Known("ok", b"another")}))

    await bench.run()

    bench.check()
    assert isinstance(bench.engine.error_at_end(), JournalError)
    assert bench.reader.read == 9
    assert 4 <= bench.states.count("ok") < 9  # what was under way is finished
    assert bench.states.count("ok") + bench.states.count("skipped") == 9
    assert left_in_the_loop() == []


# With observers


async def test_observers_are_told_once_how_each_row_that_was_taken_up_has_ended() -> None:
    watch = ObservationDouble()
    bench = Bench(rows(10), by_row([OK], [bad_request], [unauthorized]), watch=watch, concurrency=1)

    await bench.run()

    bench.check()
    assert [[type(error) for error in row.ended] for row in watch.rows] == [
        [type(None)],
        [BadRequestError],
        [AuthenticationError],
    ]


# Anything at once

VERDICTS: dict[str, Callable[[], Verdict]] = {
    "good": lambda: Verdict(Action.ACCEPT),
    "refused": refused,
    "unavailable": unavailable,
    "throttled": throttled,
    "dropped": dropped,
    "bad request": bad_request,
    "another shape": done_in_another_shape,
    "wrong answer": wrong_answer,
    "unauthorized": unauthorized,
}
RAISES: dict[str, type[BaseException]] = {
    "raise": LookupError,
    "raise outside": Outside,
    "raise cancelled": asyncio.CancelledError,
}
MILD = st.sampled_from(["good", "good", "good", "refused", "unavailable", "throttled", "dropped", "bad request"])
WILD = MILD | st.sampled_from([*VERDICTS, *RAISES])


@define
class Script:
    """What happens in one run."""

    keys: list[int]
    tries: list[list[tuple[str, float]]]
    """Of each row what its tries bring, and how long each takes; then they are good."""
    pauses: list[float]
    """Of the input, before each row."""
    concurrency: int
    ordered: bool
    coalesce: bool
    attempts: int
    events: list[tuple[float, str]]
    """When somebody does what to the run."""

    def updates(self) -> Any:
        async def give() -> Any:
            for n, (key, pause_s) in enumerate(zip(self.keys, self.pauses, strict=True)):
                if pause_s:
                    await asyncio.sleep(pause_s)
                yield f"K{key}", {"n": n}

        return give()

    async def play(self, sent: Sent) -> Verdict:
        script = self.tries[sent.index]
        what, latency_s = script[sent.attempt - 1] if sent.attempt <= len(script) else ("good", 0.1)
        await asyncio.sleep(latency_s)
        if what in RAISES:
            raise RAISES[what]
        return VERDICTS[what]()

    def act(self, bench: Bench, what: str) -> None:
        tasks = bench.engine.tasks
        acts: dict[str, Callable[[], object]] = {
            "stop": bench.engine.stop,
            "end": bench.engine.end,
            "end with a cause": lambda: bench.engine.end(NotSentError("closed", reason="closed")),
            "fail": lambda: bench.engine.fail(LookupError("progress")),
            "cancel the reader": tasks[0].cancel,
            "cancel a worker": tasks[-1].cancel,
        }
        acts[what]()


LATENCIES = st.sampled_from([0.0, 0.1, 0.1, 0.7, 5.0, 40.0])
EVENTS = st.sampled_from(["stop", "end", "end with a cause", "fail", "cancel the reader", "cancel a worker"])


@st.composite
def scripts(draw: st.DrawFn, verdicts: "st.SearchStrategy[str]", *, has_events: bool) -> Script:
    count = draw(st.integers(0, 25))
    keys = draw(st.integers(1, 25))
    times = st.sampled_from([0.0, 0.05, 0.3, 1.0, 6.0, 70.0])
    return Script(
        keys=draw(st.lists(st.integers(0, keys), min_size=count, max_size=count)),
        tries=draw(st.lists(st.lists(st.tuples(verdicts, LATENCIES), max_size=6), min_size=count, max_size=count)),
        pauses=draw(st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.5, 20.0]), min_size=count, max_size=count)),
        concurrency=draw(st.integers(1, 6)),
        ordered=draw(st.booleans()),
        coalesce=draw(st.booleans()),
        attempts=draw(st.integers(1, 5)),
        events=draw(st.lists(st.tuples(times, EVENTS), max_size=2)) if has_events else [],
    )


async def played(script: Script) -> Bench:
    bench = Bench(
        script.updates(),
        script.play,
        concurrency=script.concurrency,
        ordered=script.ordered,
        coalesce=script.coalesce,
        policy=RetryPolicy(max_attempts=script.attempts),
    )
    bench.engine.start()
    for after_s, what in script.events:
        asyncio.get_running_loop().call_later(after_s, script.act, bench, what)
    async with asyncio.timeout(1_000_000):
        await bench.take_rest()
    bench.check()
    assert [sent for sent in bench.sent if sent.ended_s is None] == []
    if script.ordered:
        assert [outcome.index for outcome in bench.outcomes] == list(range(len(bench.outcomes)))
    check_landing(bench)
    sent = len(bench.sent)
    await asyncio.sleep(1000)
    assert len(bench.sent) == sent
    assert left_in_the_loop() == []
    return bench


def check_landing(bench: Bench) -> None:
    """No value is sent while an earlier one of its key may still be executed."""
    for sent in bench.sent:
        for earlier in bench.sent:
            may_land = earlier.verdict is not None and is_unknown(earlier.verdict) and not is_done(earlier.verdict)
            if earlier.key == sent.key and earlier.index < sent.index and may_land:
                assert sent.began_s >= earlier.began_s + LANDS_WITHIN_S, (earlier, sent)


PROPERTY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.no_cover
@PROPERTY
@given(scripts(WILD, has_events=True))
def test_whatever_happens_each_row_that_was_read_has_the_outcome_that_its_tries_have_shown(script: Script) -> None:
    run_virtual(played(script))


@pytest.mark.no_cover
@PROPERTY
@given(scripts(MILD, has_events=False))
def test_a_run_that_nothing_stops_reads_every_row_and_ends_each(script: Script) -> None:
    bench = run_virtual(played(script))

    assert len(bench.outcomes) == len(script.keys)
    assert set(bench.states) <= {"ok", "failed", "unknown", "superseded"}
    assert bench.engine.is_complete
    assert bench.engine.error_at_end() is None
    last = {key: n for n, key in enumerate(script.keys)}
    assert all(state != "superseded" for n, state in enumerate(bench.states) if last[script.keys[n]] == n)
    assert script.coalesce or "superseded" not in bench.states
