"""What the callbacks and an observer of a client are told: of single calls, lists and bulk rows alike."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from spotdx_async import (
    AttemptRecord,
    ConfigError,
    EndRecord,
    GateRecord,
    NotFoundError,
    NotSentError,
    Observer,
    OutcomeUnknownError,
    PauseRecord,
    RateLimit,
    RetryPolicy,
    RetryRecord,
    SpotClient,
    SpotError,
    SubjectRecord,
)
from spotdx_async.testing import FakeSpot, Fault, faults
from tests.new_objects import ORDER

pytestmark = pytest.mark.virtual_time

UPDATE = "POST /api/v2/kits/{kit_id}/"
READ = "GET /api/v2/kits/{kit_id}/"
LIST = "GET /api/v2/kits/"


class Notes(Observer):
    """Keeps all that it is told, each with the mark that it came with."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, Any]] = []

    def begin(self, subject: SubjectRecord, parent: Any) -> Any:
        mark = f"{subject.kind} {len(self.told)}"
        self.told.append((parent, subject))
        return mark

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

    def of(self, kind: type) -> list[Any]:
        return [record for _, record in self.told if isinstance(record, kind)]


@pytest.fixture
async def failures() -> list[dict[str, Any]]:
    """What reaches the loop's exception handler."""
    caught: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context))
    return caught


async def test_each_attempt_of_a_call_is_told_when_it_ends(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add("503")
    attempts: list[AttemptRecord] = []
    retries: list[RetryRecord] = []
    spot = fake_spot.client(on_attempt=attempts.append, on_retry=retries.append)

    await spot.kits.get("SPOT123456")

    first, second = attempts
    (retry,) = retries
    assert first == AttemptRecord(
        operation=READ,
        method="GET",
        attempt=1,
        outcome="failed",
        status=503,
        error="ServerError",
        reason=None,
        request_s=first.request_s,
        waited_s=0.0,
        limiter_s=0.0,
    )
    assert attrs.evolve(second, request_s=0.0, waited_s=0.0) == AttemptRecord(
        operation=READ,
        method="GET",
        attempt=2,
        outcome="ok",
        status=200,
        error=None,
        reason=None,
        request_s=0.0,
        waited_s=0.0,
        limiter_s=0.0,
    )
    assert second.waited_s >= retry.wait_s > 0
    assert retry == RetryRecord(
        operation=READ,
        attempt=1,
        wait_s=retry.wait_s,
        error="ServerError",
        status=503,
        reason=None,
        retry_after_s=None,
    )


@pytest.mark.parametrize(
    ("fault", "outcome", "status", "error", "reason"),
    [
        ("429", "throttled", 429, "RateLimitError", None),
        ("503", "failed", 503, "ServerError", None),
        ("408", "failed", 408, "StatusError", None),
        ("403", "refused", 403, "PermissionDeniedError", None),
        ("drop_after", "unknown", None, "OutcomeUnknownError", "dropped"),
        ("half_body", "unknown", 200, "OutcomeUnknownError", "dropped"),
        ("unreadable", "unreadable", 200, "DecodeError", None),
        (faults.slow(60), "unknown", None, "OutcomeUnknownError", "timeout"),
    ],
)
async def test_an_attempt_that_failed_is_named_in_a_word(
    fake_spot: FakeSpot, fault: str | Fault, *, outcome: str, status: int | None, error: str, reason: str | None
) -> None:
    fake_spot.faults.add(fault)
    attempts: list[AttemptRecord] = []
    spot = fake_spot.client(on_attempt=attempts.append, retry=RetryPolicy(max_attempts=1))

    with pytest.raises(SpotError):
        await spot.kits.get("SPOT123456")

    (record,) = attempts
    assert (record.outcome, record.status, record.error, record.reason) == (outcome, status, error, reason)


async def test_an_attempt_without_a_connection_was_not_sent() -> None:
    attempts: list[AttemptRecord] = []
    url = "http://127.0.0.1:1"
    async with SpotClient("x", base_url=url, on_attempt=attempts.append, retry=RetryPolicy(max_attempts=1)) as spot:
        with pytest.raises(NotSentError):
            await spot.kits.types()

    (record,) = attempts
    assert (record.outcome, record.error, record.reason) == ("not_sent", "NotSentError", "refused")


async def test_the_attempt_with_a_stale_token_is_told_too(fake_spot: FakeSpot) -> None:
    tokens = iter(["stale", fake_spot.token])
    attempts: list[AttemptRecord] = []
    spot = fake_spot.client(token=lambda: next(tokens), on_attempt=attempts.append)

    await spot.kits.get("SPOT123456")

    assert [(one.attempt, one.outcome, one.status) for one in attempts] == [(1, "refused", 401), (2, "ok", 200)]


async def test_the_pages_of_a_list_are_told_like_calls(fake_spot: FakeSpot) -> None:
    for number in range(1, 151):
        fake_spot.kits.add(f"SPOT{number}")
    fake_spot.faults.add("503", times=1)
    attempts: list[AttemptRecord] = []

    count = len([kit async for kit in fake_spot.client(on_attempt=attempts.append).kits.list()])

    assert count > 150
    assert {one.operation for one in attempts} == {LIST}
    assert [(one.attempt, one.outcome) for one in attempts] == [(1, "failed"), (2, "ok"), (1, "ok")]


@pytest.mark.parametrize("by_page", [False, True])
async def test_a_list_that_is_left_has_not_begun_the_page_that_nobody_asked_for(
    fake_spot: FakeSpot, by_page: bool
) -> None:
    fake_spot.kits.add_many(150)
    notes = Notes()

    async with fake_spot.client(observer=notes) as spot:
        kits = spot.kits.list()
        async for _ in kits.by_page() if by_page else kits:
            break

    assert [(one.operation, one.outcome) for one in notes.of(EndRecord)] == [(LIST, "ok")]
    assert fake_spot.counts["requests"] == 1


async def test_the_page_ahead_of_a_list_that_is_left_is_cancelled_and_not_refused(fake_spot: FakeSpot) -> None:
    fake_spot.kits.add_many(150)
    notes = Notes()

    async with fake_spot.client(observer=notes, rate_limit=RateLimit(1, burst=1)) as spot:
        async for _ in spot.kits.list():
            await asyncio.sleep(0.1)  # virtual: the page ahead waits for the rate limit
            break

    assert [(one.outcome, one.reason) for one in notes.of(EndRecord)] == [("ok", None), ("cancelled", None)]


async def test_a_path_of_the_callers_is_not_told(fake_spot: FakeSpot) -> None:
    attempts: list[AttemptRecord] = []
    spot = fake_spot.client(on_attempt=attempts.append)

    await spot.request("GET", "/api/v2/kits/SPOT123456/", query={"email": "robin@example.com"})

    assert [one.operation for one in attempts] == ["GET (a path given to request)"]


async def test_the_attempts_of_rows_are_told_and_counted_by_row(fake_spot: FakeSpot) -> None:
    for number in range(40):
        fake_spot.kits.add(f"SPOT{number}")
    fake_spot.faults.add("503", times=2, kit_id="SPOT7")
    attempts: list[AttemptRecord] = []
    retries: list[RetryRecord] = []
    spot = fake_spot.client(on_attempt=attempts.append, on_retry=retries.append)

    rows: list[tuple[str, dict[str, int]]] = [(f"SPOT{number}", {}) for number in range(40)]
    outcomes = [outcome async for outcome in spot.kits.update_metadata_many(rows)]

    assert {one.operation for one in attempts} == {UPDATE}
    assert len(attempts) == sum(outcome.attempts for outcome in outcomes) == 42
    assert Counter((one.attempt, one.outcome) for one in attempts) == {
        (1, "ok"): 39,
        (1, "failed"): 1,
        (2, "failed"): 1,
        (3, "ok"): 1,
    }
    assert [(one.attempt, one.error, one.status) for one in retries] == [
        (1, "ServerError", 503),
        (2, "ServerError", 503),
    ]


async def test_a_view_tells_the_same_observers(fake_spot: FakeSpot) -> None:
    attempts: list[AttemptRecord] = []
    spot = fake_spot.client(on_attempt=attempts.append)

    await spot.with_options(timeout_s=5).kits.get("SPOT123456")

    assert len(attempts) == 1


async def test_a_pause_is_told_once_for_all_who_were_asked(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=7), times=3)
    pauses: list[PauseRecord] = []
    spot = fake_spot.client(on_pause=pauses.append)

    await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(3)))

    assert pauses == [PauseRecord(operation=READ, wait_s=7.0)]


async def test_the_wait_for_the_rate_limit_is_told(fake_spot: FakeSpot) -> None:
    attempts: list[AttemptRecord] = []
    spot = fake_spot.client(rate_limit=RateLimit(1, burst=1), on_attempt=attempts.append)

    await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(3)))

    assert [one.limiter_s for one in attempts] == pytest.approx([0, 1, 2], abs=0.05)
    assert [one.waited_s for one in attempts] == pytest.approx([0, 1, 2], abs=0.05)


async def test_the_wait_for_a_place_is_no_wait_for_the_rate_limit(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.slow(3), times=None)
    attempts: list[AttemptRecord] = []
    spot = fake_spot.client(concurrency=1, on_attempt=attempts.append)

    await asyncio.gather(spot.kits.get("SPOT123456"), spot.kits.get("SPOT123456"))

    assert [one.request_s for one in attempts] == pytest.approx([3, 3], abs=0.05)
    assert [one.waited_s for one in attempts] == pytest.approx([0, 3], abs=0.05)
    assert [one.limiter_s for one in attempts] == [0, 0]


async def test_a_cancelled_attempt_is_told(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.slow(60), times=None)
    attempts: list[AttemptRecord] = []
    call = asyncio.create_task(fake_spot.client(on_attempt=attempts.append).kits.get("SPOT123456"))
    await asyncio.sleep(2)

    call.cancel()
    await asyncio.wait([call])

    (record,) = attempts
    assert (record.outcome, record.status, record.error) == ("cancelled", None, "CancelledError")
    assert record.request_s == pytest.approx(2, abs=0.05)
    assert call.cancelled()


async def test_a_deadline_cancels_the_attempt_and_ends_the_call_as_unknown(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.slow(60), times=None)
    notes = Notes()
    spot = fake_spot.client(observer=notes, deadline_s=2)

    with pytest.raises(OutcomeUnknownError):
        await spot.kits.get("SPOT123456")

    assert [one.outcome for one in notes.of(AttemptRecord)] == ["cancelled"]
    (end,) = notes.of(EndRecord)
    assert (end.outcome, end.error, end.reason, end.attempts) == ("unknown", "OutcomeUnknownError", "deadline", 1)
    assert end.elapsed_s == pytest.approx(2, abs=0.05)


async def test_rows_under_way_are_cancelled_when_the_loop_is_left(fake_spot: FakeSpot) -> None:
    for number in range(20):
        fake_spot.kits.add(f"SPOT{number}")
    fake_spot.faults.add(faults.slow(60), times=None, kit_id="SPOT3")
    notes = Notes()
    run = fake_spot.client(observer=notes).kits.update_metadata_many((f"SPOT{n}", {}) for n in range(20))

    async for _ in run:
        break
    await run.aclose()

    begun = Counter(one.kind for one in notes.of(SubjectRecord))
    ended = notes.of(EndRecord)
    assert len(ended) == begun["row"] + begun["run"]
    assert (ended[-1].outcome, ended[-1].error) == ("cancelled", None)
    assert Counter(one.outcome for one in ended[:-1]).keys() == {"ok", "cancelled"}


async def test_a_run_begins_before_its_rows_and_ends_after_them(fake_spot: FakeSpot) -> None:
    notes = Notes()

    run = fake_spot.client(observer=notes).kits.update_metadata_many([("SPOT123456", {}), ("UNKNOWN", {})])
    states = [outcome.state async for outcome in run]

    assert states == ["ok", "failed"]
    (parent, subject), *between, (_, end) = notes.told
    assert (parent, subject.kind, subject.method, subject.template) == (None, "run", "POST", "/api/v2/kits/{kit_id}/")
    assert {mark for mark, record in between if isinstance(record, SubjectRecord)} == {"run 0"}
    assert [(one.outcome, one.attempts) for one in notes.of(EndRecord)] == [("ok", 1), ("refused", 1), ("ok", 0)]
    assert end.operation == UPDATE


async def test_the_gate_of_a_run_is_told(fake_spot: FakeSpot) -> None:
    for number in range(20):
        fake_spot.kits.add(f"SPOT{number}")
    fake_spot.faults.add("503", times=20)
    notes = Notes()

    async for _ in fake_spot.client(observer=notes).kits.update_metadata_many((f"SPOT{n}", {}) for n in range(20)):
        pass

    closed, opened = notes.of(GateRecord)
    assert closed == GateRecord(operation=UPDATE, state="closed", after_s=0.0)
    assert opened.state == "open"
    assert opened.after_s > 0


async def test_rows_that_a_stop_leaves_unsent_end_with_the_run(fake_spot: FakeSpot) -> None:
    for number in range(20):
        fake_spot.kits.add(f"SPOT{number}")
    fake_spot.faults.add("503", times=None)
    notes = Notes()
    run = fake_spot.client(observer=notes).kits.update_metadata_many((f"SPOT{n}", {}) for n in range(20))
    asyncio.get_running_loop().call_later(30, run.stop)

    states = Counter([outcome.state async for outcome in run])

    rows = [one for mark, one in notes.told if isinstance(one, EndRecord) and mark.startswith("row")]
    assert states["unknown"] + states["failed"] + states["skipped"] == 20
    assert len(rows) == len([one for one in notes.of(SubjectRecord) if one.kind == "row"])
    assert "cancelled" not in {one.outcome for one in rows}


def fails(_record: object) -> None:
    raise LookupError("of the hook's own")


@pytest.mark.parametrize("name", ["on_attempt", "on_retry", "on_pause"])
async def test_a_hook_that_raises_changes_no_call(
    fake_spot: FakeSpot, failures: list[dict[str, Any]], name: str
) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=2))

    kit = await fake_spot.client(**{name: fails}).kits.get("SPOT123456")

    assert kit.kit_id == "SPOT123456"
    assert {type(one["exception"]) for one in failures} == {LookupError}
    assert all("an observer of spotdx_async failed" in one["message"] for one in failures)


async def test_an_observer_that_always_raises_changes_no_call_and_no_row(
    fake_spot: FakeSpot, failures: list[dict[str, Any]]
) -> None:
    class Broken(Observer):
        def __getattribute__(self, name: str) -> Callable[..., None]:
            return lambda *_: fails(name)

    spot = fake_spot.client(observer=Broken())

    with pytest.raises(NotFoundError):
        await spot.kits.get("UNKNOWN")
    states = [outcome.state async for outcome in spot.kits.update_metadata_many([("SPOT123456", {})])]

    assert states == ["ok"]
    # Of the call and of the row: begin, sending, attempt and end; of the run: begin and end.
    assert len(failures) == 4 + 4 + 2


async def test_a_hook_that_raises_shows_no_frame_of_a_cancelled_call(
    fake_spot: FakeSpot, failures: list[dict[str, Any]]
) -> None:
    fake_spot.faults.add(faults.slow(60))
    call = asyncio.create_task(fake_spot.client(on_attempt=fails).kits.get("SPOT123456"))
    await asyncio.sleep(1)

    call.cancel()
    await asyncio.wait([call])

    assert call.cancelled()
    (failure,) = failures
    assert failure["exception"].__context__ is None


async def test_the_cause_of_what_a_hook_raises_is_kept(fake_spot: FakeSpot, failures: list[dict[str, Any]]) -> None:
    def hook(_record: object) -> None:
        try:
            fails(None)
        except LookupError:
            raise RuntimeError from None

    await fake_spot.client(on_attempt=hook).kits.get("SPOT123456")

    assert isinstance(failures[0]["exception"].__context__, LookupError)


async def test_an_interrupt_in_a_hook_is_not_held_up(fake_spot: FakeSpot) -> None:
    class Stop(BaseException):
        pass

    def hook(_record: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        await fake_spot.client(on_attempt=hook).kits.get("SPOT123456")


class Interrupts(Observer):
    """Raises what is no ordinary error, at one time of all that it is told of one kind, and from then on or not."""

    def __init__(self, what: str, at: int, *, goes_on: bool) -> None:
        self.raised: list[BaseException] = []
        self._what, self._at, self._goes_on = what, at, goes_on

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name != self._what:
            return found

        def told(*about: Any) -> Any:
            self._at -= 1
            if self._at < 0 and (self._goes_on or not self.raised):
                self.raised.append(Interrupt(name))
                raise self.raised[-1]
            return found(*about)

        return told


class Interrupt(BaseException):
    """As a framework's way to end a task."""


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("what", ["begin", "sending", "attempt", "retry", "end"])
@pytest.mark.parametrize("creates", [False, True])
async def test_whatever_an_interrupted_observer_ends_each_row_has_its_outcome(
    tmp_path: Path, *, creates: bool, what: str, goes_on: bool
) -> None:
    read: list[int] = []

    def rows(of: Callable[[int], Any]) -> Iterator[Any]:
        for n in range(9):
            read.append(n)
            yield of(n)

    for at in (0, 3) if what != "retry" else (0,):
        read.clear()
        async with FakeSpot(kits=9, orders=[]) as fake:
            fake.faults.add("429", method="POST")
            spot = fake.client(observer=Interrupts(what, at, goes_on=goes_on))
            options: dict[str, Any] = {"journal": tmp_path / f"{at}", "concurrency": 2}
            given = rows((lambda n: (f"k{n}", ORDER)) if creates else (lambda n: (f"SPOT00000{n + 1}", {"n": n})))
            run: Any = (
                spot.orders.create_many(given, batch="b", **options)
                if creates
                else spot.kits.update_metadata_many(given, **options)
            )
            outcomes = []
            with pytest.raises(Interrupt):
                async for outcome in run:
                    outcomes.append(outcome)  # noqa: PERF401 - those that come before it raises

            assert sorted(outcome.index for outcome in outcomes) == read
            assert sum(outcome.ok for outcome in outcomes) <= fake.counts["executed"]
            assert given.gi_frame is None, "the input was not closed"  # type: ignore[attr-defined]


async def test_callbacks_and_an_observer_are_told_the_same(fake_spot: FakeSpot) -> None:
    attempts: list[AttemptRecord] = []
    notes = Notes()

    await fake_spot.client(observer=notes, on_attempt=attempts.append).kits.get("SPOT123456")

    assert notes.of(AttemptRecord) == attempts != []


async def an_async_hook(_record: object) -> None:
    """Never awaited by anybody."""


@pytest.mark.parametrize("name", ["on_attempt", "on_retry", "on_pause"])
@pytest.mark.parametrize("hook", [1, "print", an_async_hook])
def test_a_hook_must_be_a_plain_function(name: str, hook: object) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be a plain function"):
        SpotClient("x", **{name: hook})  # type: ignore[arg-type]  # what is refused


def test_an_observer_must_be_one() -> None:
    with pytest.raises(ConfigError, match=r"observer must be an Observer.*, not type"):
        SpotClient("x", observer=Observer)  # type: ignore[arg-type]  # what is refused


@pytest.mark.parametrize("kind", [AttemptRecord, RetryRecord, PauseRecord, GateRecord, EndRecord, SubjectRecord])
def test_a_record_has_the_fields_of_the_allow_list_alone(kind: type[attrs.AttrsInstance]) -> None:
    allowed = {
        *("operation", "method", "template", "host", "port", "kind", "attempt", "attempts", "outcome", "status"),
        *("error", "reason", "state", "request_s", "waited_s", "limiter_s", "wait_s", "retry_after_s", "after_s"),
        "elapsed_s",
    }

    assert {field.name for field in attrs.fields(kind)} <= allowed
