"""Finding out what became of a create: when it is looked for, how long is waited, which troubles end it."""

import asyncio
import copy
import dataclasses
import pickle
import traceback
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from spotdx_async._http import clock
from spotdx_async._requests.answers import ServerClock
from spotdx_async._requests.list_scan import Scan
from spotdx_async._requests.object_search import Look, Search, Times
from spotdx_async.errors import (
    AuthenticationError,
    BadRequestError,
    Clue,
    ConfigError,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpotError,
)
from spotdx_async.models import Order, OrderSummary, Recipient
from spotdx_async.reconciliation import Reconciliation, clue_and_times, clue_of, reconcile
from tests.new_objects import part

virtual_time = pytest.mark.virtual_time

NOON = datetime(2024, 2, 9, 12, tzinfo=UTC)
CREATE = "POST /api/v2/orders/"
CANARY = "canary-7f3a"
ORDER = Order(order_id="O1")
CLUE = Clue(
    client_ref="ref-1",
    client_ref_key="client_ref",
    began_at=NOON,
    may_land_until=NOON + timedelta(seconds=30),
    subject={"barcode": CANARY},
)
PASSING = [
    DecodeError("not JSON"),
    NotSentError("no connection", reason="refused"),
    NotSentError("no connection", reason="deadline"),
    NotSentError("no connection", reason="wait"),
    OutcomeUnknownError("no answer", reason="timeout"),
    RateLimitError("too many", status=429),
    ServerError("failed", status=503),
]
LASTING = [
    AuthenticationError("who?", status=401),
    PermissionDeniedError("no", status=403),
    BadRequestError("what?", status=400),
    NotFoundError("where?", status=404),
    InvalidInputError("wrong"),
    ConfigError("wrong"),
    NotSentError("the client is closed", reason="closed"),
]


def name_of(error: Exception) -> str:
    return f"{type(error).__name__}-{getattr(error, 'reason', '')}".rstrip("-")


each_passing = pytest.mark.parametrize("trouble", PASSING, ids=name_of)
each_lasting = pytest.mark.parametrize("trouble", LASTING, ids=name_of)


class Looks:
    """Looks whose results are given beforehand, and the seconds at which they were made."""

    def __init__(self, *results: Order | Look[Order] | Exception | None) -> None:
        self.at: list[float] = []
        self._results = list(results)

    async def __call__(self) -> Look[Order]:
        self.at.append(clock.now())
        result = self._results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result if isinstance(result, Look) else Look(found=result, clock=server_ahead(0))


def server_ahead(seconds: float) -> ServerClock:
    """A server whose clock is so much ahead of ours."""
    return ServerClock(clock.wall() + timedelta(seconds=seconds), timedelta(seconds=seconds))


async def outcome_of(
    look: Callable[[], Awaitable[Look[Order]]],
    clue: Clue = CLUE,
    *,
    lands_within_s: float = 60.0,
    patience_s: float | None = None,
) -> Reconciliation[Order]:
    return await reconcile(look, clue, lands_within_s=lands_within_s, patience_s=patience_s, sleep=asyncio.sleep)


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Let it be noon, or whatever time is given, while no virtual second has passed."""

    def begin(moment: datetime) -> None:
        monkeypatch.setattr(clock, "wall", lambda: moment + timedelta(seconds=clock.now()))

    begin(NOON)
    return begin


# When it is looked for


@virtual_time
async def test_what_is_found_at_once_is_asked_for_once_and_not_waited_for() -> None:
    look = Looks(ORDER)

    outcome = await outcome_of(look)

    assert outcome == Reconciliation(state="found", value=ORDER)
    assert look.at == [0.0]
    assert clock.now() == 0.0


@virtual_time
async def test_what_is_not_found_is_looked_for_less_and_less_often_until_it_cannot_land_any_longer() -> None:
    look = Looks(*[None] * 6)

    outcome = await outcome_of(look)

    assert outcome == Reconciliation(state="not found")
    assert look.at == [0.0, 1.0, 3.0, 7.0, 15.0, 30.0]


@virtual_time
@pytest.mark.parametrize("before", range(1, 6))
async def test_what_lands_meanwhile_is_found_at_the_next_look(before: int) -> None:
    look = Looks(*[None] * before, ORDER)

    outcome = await outcome_of(look)

    assert outcome == Reconciliation(state="found", value=ORDER)
    assert look.at == [0.0, 1.0, 3.0, 7.0, 15.0, 30.0][: before + 1]


@virtual_time
async def test_however_slow_looking_is_the_last_look_begins_when_it_cannot_land_any_longer() -> None:
    looks = Looks(*[None] * 6)

    async def slow() -> Look[Order]:
        found = await looks()
        await asyncio.sleep(12)
        return found

    outcome = await outcome_of(slow)

    assert outcome.state == "not found"
    assert looks.at[-1] >= 30.0


@virtual_time
@pytest.mark.parametrize(
    ("dates", "state"),
    [
        ([0, 1, 3, 7, 15, 30], "not found"),
        ([100, 101, 103, 107, 115, 130], "not found"),
        ([0, 1, -2, 7, 8, 30], "not found"),  # servers whose clocks differ a little
        ([0, 0, 0, 0, 0, 0], "unknown"),
        ([0, 1, 3, 7, 15, 15], "unknown"),
        ([0, 1, 3, 7, 15, -90], "unknown"),
        ([0, 1, 3, 3, 3, 30], "not found"),  # only the last one proves anything
    ],
)
async def test_an_answer_that_is_dated_as_an_earlier_one_proves_no_absence(dates: list[float], state: str) -> None:
    left = [*dates]

    async def look() -> Look[Order]:
        date_ = NOON + timedelta(seconds=left.pop(0))
        return Look(clock=ServerClock(date_, date_ - clock.wall()))

    outcome = await outcome_of(look)

    assert (outcome.state, "Date" in str(outcome.error)) == (state, state == "unknown")


@virtual_time
@pytest.mark.parametrize(
    ("local_s", "date_s"),
    [
        (lambda _: 0.0, lambda _: 0.0),  # a test's time, which goes on for the loop alone
        (lambda passed_s: passed_s + (3600.0 if passed_s > 2 else 0.0), lambda passed_s: passed_s),
        (lambda passed_s: passed_s - (3600.0 if passed_s > 2 else 0.0), lambda passed_s: passed_s),
    ],
)
async def test_a_local_clock_that_stands_still_or_is_set_makes_no_answer_old(
    monkeypatch: pytest.MonkeyPatch, local_s: Callable[[float], float], date_s: Callable[[float], float]
) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOON + timedelta(seconds=local_s(clock.now())))

    async def look() -> Look[Order]:
        date_ = NOON + timedelta(seconds=date_s(clock.now()))
        return Look(clock=ServerClock(date_, date_ - clock.wall()))

    assert (await outcome_of(look)).state == "not found"


@virtual_time
@pytest.mark.parametrize("may_land_until", [NOON, NOON - timedelta(hours=1)])
async def test_what_cannot_land_any_longer_is_looked_for_once(may_land_until: datetime) -> None:
    look = Looks(None)

    outcome = await outcome_of(look, dataclasses.replace(CLUE, may_land_until=may_land_until))

    assert outcome == Reconciliation(state="not found")
    assert look.at == [0.0]
    assert clock.now() == 0.0


@virtual_time
async def test_where_nobody_knows_when_it_was_sent_it_may_have_been_sent_now() -> None:
    look = Looks(*[None] * 7)

    outcome = await outcome_of(look, dataclasses.replace(CLUE, may_land_until=None), lands_within_s=45.0)

    assert outcome == Reconciliation(state="not found")
    assert look.at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 45.0]


@virtual_time
@pytest.mark.parametrize("seconds", [-3600, -49 * 3600])
async def test_a_local_clock_that_has_jumped_ahead_ends_nothing_too_early(seconds: float) -> None:
    landed = Looks(*[Look(clock=server_ahead(seconds))] * 5, ORDER)

    outcome = await outcome_of(landed, dataclasses.replace(CLUE, may_land_until=NOON), lands_within_s=30.0)

    assert outcome.is_found
    assert landed.at[-1] == 30.0


@virtual_time
async def test_a_server_whose_clock_is_ahead_ends_nothing_too_early() -> None:
    outcome = await outcome_of(Looks(*[Look(clock=server_ahead(3600))] * 5, ORDER))

    assert outcome.is_found


@virtual_time
async def test_where_the_server_never_tells_its_time_nothing_is_surely_not_there() -> None:
    outcome = await outcome_of(Looks(*[Look()] * 6))

    assert outcome.state == "unknown"
    assert "no Date" in str(outcome.error)


@virtual_time
async def test_one_answer_with_a_time_is_enough() -> None:
    outcome = await outcome_of(Looks(Look(), None, *[Look()] * 4))

    assert outcome.state == "not found"


@virtual_time
async def test_several_with_one_reference_are_told() -> None:
    outcome = await outcome_of(Looks(Look(found=ORDER, duplicates=("O2",))))

    assert outcome == Reconciliation(state="found", value=ORDER, duplicates=("O2",))


@virtual_time
async def test_what_could_not_be_judged_is_not_what_is_not_there() -> None:
    doubt = DecodeError("no metadata")

    outcome = await outcome_of(Looks(*[None] * 5, Look(trouble=doubt, clock=server_ahead(0))))

    assert (outcome.state, outcome.error) == ("unknown", doubt)


@virtual_time
async def test_one_that_is_not_there_yet_is_looked_at_again() -> None:
    doubt = Look[Order](trouble=NotFoundError("where?", status=404), clock=server_ahead(0))
    looks = Looks(doubt, ORDER)

    outcome = await outcome_of(looks, dataclasses.replace(CLUE, may_land_until=NOON))

    assert outcome.is_found
    assert looks.at == [0.0, 1.0]


@virtual_time
async def test_one_that_stays_away_leaves_it_unknown() -> None:
    doubt = Look[Order](trouble=NotFoundError("where?", status=404), clock=server_ahead(0))
    looks = Looks(doubt, doubt, doubt)

    outcome = await outcome_of(looks, dataclasses.replace(CLUE, may_land_until=NOON))

    assert (outcome.state, outcome.error) == ("unknown", doubt.trouble)
    assert looks.at == [0.0, 1.0, 2.0]


# How long is waited


@virtual_time
@pytest.mark.parametrize(
    ("patience_s", "looks_at"),
    [(0, [0.0]), (-1, [0.0]), (0.5, [0.0, 0.5]), (5.0, [0.0, 1.0, 3.0, 5.0]), (29.5, [0.0, 1.0, 3.0, 7.0, 15.0, 29.5])],
)
async def test_where_patience_ends_sooner_nothing_is_known(patience_s: float, looks_at: list[float]) -> None:
    look = Looks(*[None] * len(looks_at))

    outcome = await outcome_of(look, patience_s=patience_s)

    assert outcome == Reconciliation(state="unknown")
    assert look.at == looks_at


@virtual_time
@pytest.mark.parametrize("patience_s", [30, 31.0, 3600.0])
async def test_patience_is_not_waited_out(patience_s: float) -> None:
    look = Looks(*[None] * 6)

    outcome = await outcome_of(look, patience_s=patience_s)

    assert outcome.state == "not found"
    assert look.at[-1] == 30.0


@virtual_time
async def test_what_is_found_at_the_end_of_patience_is_found() -> None:
    outcome = await outcome_of(Looks(None, ORDER), patience_s=0.5)

    assert outcome.is_found


@virtual_time
async def test_no_patience_is_needed_where_it_cannot_land_any_longer() -> None:
    outcome = await outcome_of(Looks(None), dataclasses.replace(CLUE, may_land_until=NOON), patience_s=0)

    assert outcome.state == "not found"


@virtual_time
async def test_a_wall_clock_that_was_set_back_delays_by_no_more_than_a_request_lives(
    wall: Callable[[datetime], None],
) -> None:
    wall(NOON - timedelta(days=1))
    look = Looks(*[None] * 7)

    outcome = await outcome_of(look, lands_within_s=45.0)

    assert outcome.state == "not found"
    assert look.at[-1] == 45.0


@virtual_time
@pytest.mark.parametrize(("life_s", "last_s"), [(300, 300.0), (49 * 3600, 3600.0)])
async def test_the_request_of_a_client_with_a_longer_timeout_is_waited_for(life_s: int, last_s: float) -> None:
    look = Looks(*[None] * 20)

    await outcome_of(look, dataclasses.replace(CLUE, may_land_until=NOON + timedelta(seconds=life_s)))

    assert look.at[-1] == last_s


@virtual_time
async def test_patience_for_the_life_of_a_request_is_enough_whatever_the_wall_clock_says(
    wall: Callable[[datetime], None],
) -> None:
    wall(NOON - timedelta(days=1))

    outcome = await outcome_of(Looks(*[None] * 7), lands_within_s=45.0, patience_s=45.0)

    assert outcome.state == "not found"


@virtual_time
async def test_the_landing_time_may_be_named_in_any_zone() -> None:
    in_the_west = NOON.astimezone(timezone(timedelta(hours=-8))) + timedelta(seconds=3)
    look = Looks(*[None] * 3)

    await outcome_of(look, dataclasses.replace(CLUE, may_land_until=in_the_west))

    assert look.at == [0.0, 1.0, 3.0]


@virtual_time
async def test_cancelling_ends_the_wait_at_once() -> None:
    look = Looks(*[None] * 6)
    task = asyncio.create_task(outcome_of(look))
    await asyncio.sleep(10)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert clock.now() == 10.0
    assert look.at == [0.0, 1.0, 3.0, 7.0]


# Which troubles end it


@virtual_time
@each_passing
async def test_after_a_passing_trouble_it_is_looked_for_again(trouble: SpotError) -> None:
    look = Looks(None, trouble, ORDER)

    outcome = await outcome_of(look)

    assert outcome == Reconciliation(state="found", value=ORDER)
    assert look.at == [0.0, 1.0, 3.0]


@virtual_time
@each_passing
async def test_a_trouble_that_has_passed_by_the_last_look_does_not_matter(trouble: SpotError) -> None:
    outcome = await outcome_of(Looks(trouble, trouble, trouble, trouble, trouble, None))

    assert outcome == Reconciliation(state="not found")


@virtual_time
@each_passing
async def test_after_a_trouble_at_the_last_look_nothing_is_known_and_it_is_said_why(trouble: SpotError) -> None:
    outcome = await outcome_of(Looks(None, None, None, None, None, trouble))

    assert (outcome.state, outcome.value) == ("unknown", None)
    assert outcome.error is trouble


@virtual_time
@each_passing
async def test_after_a_trouble_where_it_cannot_land_any_longer_nothing_is_known(trouble: SpotError) -> None:
    look = Looks(trouble)

    outcome = await outcome_of(look, dataclasses.replace(CLUE, may_land_until=NOON))

    assert outcome.state == "unknown"
    assert outcome.error is trouble
    assert look.at == [0.0]


@virtual_time
async def test_where_patience_ends_with_a_trouble_it_is_said() -> None:
    outcome = await outcome_of(Looks(None, PASSING[0]), patience_s=1)

    assert outcome.state == "unknown"
    assert outcome.error is PASSING[0]


@virtual_time
@pytest.mark.parametrize("before", [(), (None,), (PASSING[0],)], ids=["at once", "later", "after another"])
@each_lasting
async def test_a_trouble_that_would_come_again_is_raised(
    trouble: SpotError, before: tuple[SpotError | None, ...]
) -> None:
    with pytest.raises(type(trouble)) as caught:
        await outcome_of(Looks(*before, trouble))

    assert caught.value is trouble


@virtual_time
async def test_a_foreign_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await outcome_of(Looks(ZeroDivisionError()))


# The answer


@pytest.mark.parametrize(("state", "is_found"), [("found", True), ("not found", False), ("unknown", False)])
def test_the_answer_says_whether_it_was_carried_out(state: Any, is_found: bool) -> None:
    assert Reconciliation[Order](state=state).is_found is is_found


def test_the_answer_cannot_be_changed() -> None:
    outcome = Reconciliation[Order](state="unknown")

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        outcome.state = "found"  # type: ignore[misc]  # what the test is about


def test_the_answer_shows_no_patient_data() -> None:
    outcome = Reconciliation(state="found", value=Order(order_id="O1", metadata={"name": CANARY}))

    assert "canary" not in repr(outcome)
    assert "O1" in repr(outcome)


# The clue


@pytest.mark.parametrize("kind", [OutcomeUnknownError, DecodeError])
def test_the_clue_of_an_error_of_the_operation_is_taken(kind: Any) -> None:
    assert clue_of(kind("no answer", operation=CREATE, clue=CLUE), CREATE) is CLUE


def test_a_clue_that_knows_nothing_is_a_clue() -> None:
    clue = Clue()

    assert clue_of(OutcomeUnknownError("no answer", operation=CREATE, clue=clue), CREATE) is clue


@pytest.mark.parametrize(
    "error",
    [
        None,
        CANARY,
        CLUE,
        ValueError(CANARY),
        OutcomeUnknownError(CANARY, operation="POST /api/v2/requisitions/", clue=CLUE),
        OutcomeUnknownError(CANARY, operation=None, clue=CLUE),
        OutcomeUnknownError(CANARY, operation=CREATE),
        DecodeError(CANARY, operation="GET /api/v2/orders/{order_id}/", clue=CLUE),
        DecodeError(CANARY, operation=CREATE),
        NotSentError(CANARY, operation=CREATE),
        BadRequestError(CANARY, operation=CREATE),
        SpotError(CANARY, operation=CREATE),
        OutcomeUnknownError,
    ],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'operation', '')}",
)
def test_any_other_error_is_refused_unseen(error: Any) -> None:
    with pytest.raises(
        InvalidInputError, match=r"error must be an OutcomeUnknownError or a DecodeError of POST"
    ) as caught:
        clue_of(error, CREATE)

    assert "canary" not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize("text", [repr, str, "{}".format, ascii])
def test_no_text_of_a_clue_shows_its_values(text: Callable[[object], str]) -> None:
    assert text(CLUE) == "<Clue>"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_drops_the_subject_and_keeps_the_rest(protocol: int) -> None:
    written = pickle.dumps(CLUE, protocol)

    assert pickle.loads(written) == dataclasses.replace(CLUE, subject={})
    assert b"canary" not in written


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, dataclasses.replace])
def test_a_copy_of_a_clue_is_equal(duplicate: Callable[[Clue], Clue]) -> None:
    clue = dataclasses.replace(CLUE, subject={})

    assert duplicate(clue) == clue


@pytest.mark.parametrize("name", ["client_ref", "client_ref_key", "began_at", "may_land_until", "subject"])
def test_clues_that_differ_in_a_field_are_not_equal(name: str) -> None:
    changes: dict[str, Any] = {name: {} if name == "subject" else None}

    assert dataclasses.replace(CLUE, **changes) != CLUE


def test_a_clue_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CLUE.client_ref = "another"  # type: ignore[misc]  # what the test is about


def test_a_clue_without_a_subject_has_an_empty_one_of_its_own() -> None:
    assert Clue().subject == {}
    assert Clue().subject is not Clue().subject


# The first day


@pytest.mark.parametrize(
    ("began_at", "day"),
    [
        (datetime(2024, 3, 1, 0, 30, tzinfo=UTC), date(2024, 2, 29)),
        (datetime(2024, 3, 1, 23, 59, tzinfo=UTC), date(2024, 2, 29)),
        (datetime(2024, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=2))), date(2024, 2, 28)),
        (datetime(2024, 2, 29, 23, 0, tzinfo=timezone(timedelta(hours=-5))), date(2024, 2, 29)),
        (datetime(2024, 1, 1, tzinfo=UTC), date(2023, 12, 31)),
        (None, None),
    ],
)
def test_the_first_day_to_look_at_is_the_one_before_in_utc(began_at: datetime | None, day: date | None) -> None:
    times = Times(Clue(began_at=began_at))

    assert times.first_day(None) == day
    assert times.first_day(ServerClock(datetime(2030, 1, 1, tzinfo=UTC), timedelta())) == day


HOURS = {"right": 0, "49 h behind us": -49, "49 h ahead of us": 49, "a minute behind us": -1 / 60}


@pytest.mark.parametrize("hours", HOURS.values(), ids=HOURS)
@pytest.mark.parametrize("later", [timedelta(), timedelta(minutes=2), timedelta(days=5)])
def test_whatever_the_local_clock_said_no_first_day_is_too_late(hours: float, later: timedelta) -> None:
    ahead = timedelta(hours=hours)
    times = Times(Clue(began_at=NOON))  # by the local clock; by the server's it was NOON + ahead

    server = ServerClock(NOON + ahead + later, ahead)

    day = times.first_day(server)
    assert day is not None
    assert day < (NOON + ahead).date()
    assert times.are_sure(server)


def test_a_local_clock_that_was_wrong_and_is_right_now_is_noticed() -> None:
    times = Times(Clue(began_at=NOON + timedelta(hours=49)))
    now_right = ServerClock(NOON + timedelta(hours=1), timedelta())

    assert times.first_day(now_right) == date(2024, 2, 8)
    assert not times.are_sure(now_right)


def test_without_the_servers_time_no_first_day_is_sure_but_that_of_everything() -> None:
    assert not Times(CLUE).are_sure(None)
    assert Times(Clue()).are_sure(None)
    assert not Times(Clue()).are_bounded


def test_a_day_that_was_named_goes_before_that_of_the_clue() -> None:
    assert Times(CLUE, since=date(2024, 1, 31)).first_day(None) == date(2024, 1, 30)


RIGHT = ServerClock(NOON + timedelta(hours=1), timedelta())


@pytest.mark.parametrize(
    ("late", "slack", "is_allowed"),
    [
        (timedelta(minutes=-11), None, False),
        (timedelta(minutes=-9), None, True),
        (timedelta(hours=-23), timedelta(days=1), True),
        (timedelta(minutes=10), None, True),
        (timedelta(minutes=11), None, False),
    ],
)
def test_what_was_created_at_another_time_did_not_come_of_the_call(
    late: timedelta, slack: timedelta | None, *, is_allowed: bool
) -> None:
    times = Times(CLUE) if slack is None else Times(CLUE, slack=slack)

    assert times.allow(NOON + late, RIGHT) is is_allowed
    assert times.allow(None, RIGHT)
    assert times.allow(NOON + late, None)
    assert Times(Clue()).allow(NOON + late, RIGHT)


@pytest.mark.parametrize("day", [date.min, date.max, date(1, 1, 2), date(9999, 12, 30)])
@pytest.mark.parametrize("hours", [-49, 0, 49])
def test_the_ends_of_the_calendar_are_days_too(day: date, hours: int) -> None:
    times = Times(Clue(), since=day)
    server = ServerClock(NOON, timedelta(hours=hours))

    assert times.first_day(server) == (None if day.year == 1 else date(2024, 2, 8))
    assert times.are_sure(server) is (day.year == 1)


# What a caller knows


def known(error: object = None, **about: Any) -> tuple[Clue, Times]:
    everything = {"client_ref": None, "client_ref_key": "client_ref", "sent_at": None, "since": None} | about
    return clue_and_times(error, CREATE, lands_within_s=60.0, **everything)


def test_an_instant_says_until_when_it_may_land() -> None:
    in_the_west = NOON.astimezone(timezone(timedelta(hours=-8)))

    clue, times = known(client_ref="ref-1", sent_at=in_the_west)

    assert clue == Clue("ref-1", "client_ref", NOON, NOON + timedelta(minutes=1))
    assert times.first_day(RIGHT) == date(2024, 2, 8)
    assert times.allow(NOON - timedelta(hours=23), RIGHT)


def test_without_an_instant_nobody_knows() -> None:
    clue, times = known(client_ref="ref-1", since=date(2024, 2, 9))

    assert (clue.began_at, clue.may_land_until) == (None, None)
    assert times.first_day(RIGHT) == date(2024, 2, 8)


@pytest.mark.parametrize(
    ("about", "name"),
    [
        ({"sent_at": datetime(2024, 2, 9, 12)}, "sent_at"),  # noqa: DTZ001 - what the test is about
        ({"sent_at": date(2024, 2, 9)}, "sent_at"),
        ({"sent_at": "2024-02-09T12:00:00Z"}, "sent_at"),
        ({"sent_at": datetime.max.replace(tzinfo=UTC)}, "sent_at"),
        ({"sent_at": datetime.min.replace(tzinfo=UTC)}, "sent_at"),
        ({"since": "yesterday"}, "since"),
        ({"since": NOON}, "since"),
        ({"client_ref": " "}, "client_ref"),
        ({"client_ref": 17}, "client_ref"),
        ({"error": OutcomeUnknownError("no answer", operation=CREATE, clue=CLUE), "sent_at": NOON}, "sent_at"),
    ],
)
def test_what_cannot_be_meant_is_refused(about: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        known(**about)

    assert [path for path, _ in caught.value.faults] == [name]


# A search


class Archive:
    """Orders behind their summaries; getting one takes a second. It tells what was got, and how many side by side."""

    def __init__(self, rows: list[OrderSummary], answers: Mapping[str, Exception] | None = None) -> None:
        self.rows = rows
        self.answers = dict(answers or {})
        self.trouble: SpotError | None = None
        self.got: list[str] = []
        self.most_side_by_side = 0
        self.under_way = 0

    async def read(self) -> Scan[OrderSummary]:
        return Scan(tuple(self.rows), server_ahead(0), self.trouble)

    async def get(self, order_id: str) -> Order:
        self.got.append(order_id)
        self.under_way += 1
        self.most_side_by_side = max(self.most_side_by_side, self.under_way)
        try:
            await asyncio.sleep(1)
        finally:
            self.under_way -= 1
        if order_id in self.answers:
            raise self.answers[order_id]
        return Order(order_id=order_id)

    def look_for(self, *wanted: str, clue: Clue = CLUE, doubtful: str = "") -> Callable[[], Awaitable[Look[Order]]]:
        search = Search(
            read=self.read,
            id_of=lambda row: row.order_id,
            get=self.get,
            judge=lambda order: None if order.order_id == doubtful else order.order_id in wanted,
            times=Times(clue),
            are_twins=lambda one, other: one.recipient is not None and one.recipient == other.recipient,
        )
        return search.look

    def search_for(self, *wanted: str, clue: Clue = CLUE) -> Callable[[], Awaitable[Order | None]]:
        look = self.look_for(*wanted, clue=clue)

        async def found() -> Order | None:
            return (await look()).found

        return found


def rows(*ids: str) -> list[OrderSummary]:
    """Summaries that were created one second after the other, from when the call began."""
    return [OrderSummary(order_id=an_id, created=NOON + timedelta(seconds=index)) for index, an_id in enumerate(ids)]


def numbered(count: int) -> list[OrderSummary]:
    return rows(*(f"O{number}" for number in range(count)))


@virtual_time
async def test_a_search_gives_the_one_that_it_is() -> None:
    archive = Archive(rows("a", "b", "c"))

    assert await archive.search_for("b")() == Order(order_id="b")


@virtual_time
async def test_a_search_through_nothing_finds_nothing() -> None:
    archive = Archive([])

    assert await archive.search_for("a")() is None
    assert archive.got == []


@virtual_time
async def test_those_created_about_when_the_call_began_are_got_first() -> None:
    seconds = {"day before": -86_400, "just after": 2, "hour later": 3600, "just before": -1, "with it": 0}
    summaries = [
        OrderSummary(order_id=an_id, created=NOON + timedelta(seconds=late)) for an_id, late in seconds.items()
    ]
    archive = Archive(summaries)

    await archive.search_for()()

    assert archive.got == ["with it", "just before", "just after", "hour later", "day before"]


@virtual_time
async def test_without_knowing_when_the_call_began_the_order_of_the_list_stands() -> None:
    archive = Archive([*reversed(numbered(5))])

    await archive.search_for(clue=Clue(client_ref="ref-1"))()

    assert archive.got == ["O4", "O3", "O2", "O1", "O0"]


@virtual_time
async def test_one_whose_time_is_not_known_is_got_too() -> None:
    archive = Archive([OrderSummary(order_id="a", created=NOON - timedelta(days=1)), OrderSummary(order_id="b")])

    assert await archive.search_for("b")() == Order(order_id="b")


@virtual_time
async def test_no_more_than_eight_are_got_side_by_side() -> None:
    archive = Archive(numbered(20))

    await archive.search_for()()

    assert archive.most_side_by_side == 8
    assert archive.got == [f"O{number}" for number in range(20)]
    assert clock.now() == 3.0


@virtual_time
async def test_a_search_ends_with_the_group_in_which_it_found_something() -> None:
    archive = Archive(numbered(20))

    assert await archive.search_for("O3")() == Order(order_id="O3")
    assert archive.got == [f"O{number}" for number in range(8)]
    assert clock.now() == 1.0


@virtual_time
async def test_of_two_that_it_is_the_earlier_one_is_given_and_the_other_told() -> None:
    archive = Archive(numbered(3))

    look = await archive.look_for("O2", "O1")()

    assert (look.found, look.duplicates) == (Order(order_id="O1"), ("O2",))


def named(name: str, *ids: str) -> list[OrderSummary]:
    recipient = part(Recipient, first_name=name)
    return [attrs.evolve(row, recipient=recipient) for row in rows(*ids)]


@virtual_time
async def test_a_second_one_for_the_same_recipient_is_told_however_far_it_is() -> None:
    archive = Archive([*named("Robin", "a"), *named("Other", *(f"O{number}" for number in range(50)))])
    archive.rows += [attrs.evolve(row, created=NOON + timedelta(hours=5)) for row in named("Robin", "twin")]

    look = await archive.look_for("a", "twin")()

    assert (look.found, look.duplicates) == (Order(order_id="a"), ("twin",))
    assert len(archive.got) == 9


@virtual_time
async def test_no_more_than_some_are_got_beyond_the_one_found() -> None:
    archive = Archive(named("Robin", *(f"O{number}" for number in range(100))))

    look = await archive.look_for("O0", "O31", "O32")()

    assert look.duplicates == ("O31",)
    assert len(archive.got) == 32


@virtual_time
async def test_a_row_without_an_id_hides_nothing_and_leaves_open_what_it_is() -> None:
    archive = Archive([OrderSummary(created=NOON), *rows("a")])

    assert await archive.search_for("a")() == Order(order_id="a")
    assert archive.got == ["a"]
    assert "has no id" in str((await archive.look_for("b")()).trouble)


@virtual_time
async def test_a_row_without_an_id_of_another_time_is_none_of_ours() -> None:
    archive = Archive([OrderSummary(created=NOON - timedelta(days=1)), *rows("a")])

    assert (await archive.look_for("b")()).trouble is None


@virtual_time
async def test_one_that_cannot_be_judged_is_got_again() -> None:
    archive = Archive(rows("a", "b"))
    look = archive.look_for("c", doubtful="b")

    first, _ = await look(), await look()

    assert "without its metadata" in str(first.trouble)
    assert archive.got == ["a", "b", "b"]


@virtual_time
async def test_one_of_another_time_that_cannot_be_judged_is_another() -> None:
    archive = Archive([OrderSummary(order_id="old", created=NOON - timedelta(hours=2)), *rows("a")])

    assert (await archive.look_for("c", doubtful="old")()).trouble is None


@virtual_time
async def test_a_list_that_may_lack_something_leaves_it_open() -> None:
    archive = Archive(rows("a"))
    archive.trouble = DecodeError("[7].created should be a date and time and is text")

    assert (await archive.look_for("a")()).found == Order(order_id="a")
    assert (await archive.look_for("b")()).trouble is archive.trouble


@virtual_time
async def test_where_the_first_day_may_be_too_late_it_is_left_open() -> None:
    look = Archive(rows("a")).look_for("b", clue=dataclasses.replace(CLUE, began_at=NOON + timedelta(hours=49)))

    assert "the local clock and the server's differ" in str((await look()).trouble)


@virtual_time
async def test_a_second_look_gets_none_that_the_first_one_has_got() -> None:
    archive = Archive(rows("a", "b"))
    look = archive.search_for("d")
    await look()
    archive.rows = rows("c", "a", "d", "b")

    found = await look()

    assert found == Order(order_id="d")
    assert sorted(archive.got) == ["a", "b", "c", "d"]


@virtual_time
async def test_two_searches_know_nothing_of_each_other() -> None:
    archive = Archive(rows("a"))

    await archive.search_for()()
    await archive.search_for()()

    assert archive.got == ["a", "a"]


@virtual_time
async def test_one_that_the_server_does_not_know_yet_hides_no_other_and_is_got_again() -> None:
    archive = Archive(rows("gone", "a"), {"gone": NotFoundError("gone", status=404)})
    assert await archive.search_for("a")() == Order(order_id="a")

    look = archive.look_for("gone")
    first = await look()
    archive.answers.clear()

    assert isinstance(first.trouble, NotFoundError)
    assert (await look()).found == Order(order_id="gone")


@virtual_time
@pytest.mark.parametrize("trouble", [PASSING[-1], LASTING[0]], ids=name_of)
async def test_where_nothing_is_found_the_error_of_a_get_is_raised(trouble: SpotError) -> None:
    archive = Archive(rows("a", "b"), {"b": trouble})

    with pytest.raises(type(trouble)) as caught:
        await archive.search_for("c")()

    assert caught.value is trouble


@virtual_time
@pytest.mark.parametrize("trouble", [PASSING[-1], LASTING[0]], ids=name_of)
async def test_an_error_behind_the_one_found_does_not_hide_it(trouble: SpotError) -> None:
    archive = Archive(numbered(10), {"O1": trouble, "O9": trouble})

    assert await archive.search_for("O0")() == Order(order_id="O0")


@virtual_time
@pytest.mark.parametrize("trouble", [PASSING[-1], LASTING[0]], ids=name_of)
async def test_an_error_before_the_one_found_beside_it_does_not_hide_it(trouble: SpotError) -> None:
    archive = Archive(rows("a", "b"), {"a": trouble})

    assert await archive.search_for("b")() == Order(order_id="b")


@virtual_time
async def test_an_order_that_cannot_be_read_does_not_hide_those_of_the_groups_behind_it() -> None:
    archive = Archive(numbered(20), {"O0": DecodeError("kits should be a list", path="kits", outcome="done")})

    assert await archive.search_for("O9")() == Order(order_id="O9")


@virtual_time
async def test_an_object_whose_get_failed_is_got_again_at_the_next_look() -> None:
    archive = Archive(rows("a"), {"a": ServerError("failed", status=503)})
    look = archive.search_for("a")
    with pytest.raises(ServerError):
        await look()
    archive.answers.clear()

    assert await look() == Order(order_id="a")


@virtual_time
async def test_cancelling_a_search_leaves_no_get_under_way() -> None:
    archive = Archive(numbered(20))
    task = asyncio.ensure_future(archive.search_for()())
    await asyncio.sleep(0.5)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (len(archive.got), archive.under_way) == (8, 0)
    assert clock.now() == 0.5


@virtual_time
async def test_an_error_of_the_list_is_raised_before_anything_is_got() -> None:
    archive = Archive([])

    async def broken() -> Scan[OrderSummary]:
        raise ServerError("failed", status=503)

    search = Search(read=broken, id_of=lambda row: row.order_id, get=archive.get, judge=bool, times=Times(CLUE))

    with pytest.raises(ServerError):
        await search.look()
    assert archive.got == []


@virtual_time
async def test_what_a_search_finds_at_its_second_look_is_found() -> None:
    archive = Archive(rows("a"))
    look = archive.look_for("b")

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        archive.rows = rows("a", "b")

    outcome = await reconcile(look, CLUE, lands_within_s=60.0, patience_s=None, sleep=sleep)

    assert outcome == Reconciliation(state="found", value=Order(order_id="b"))
    assert archive.got == ["a", "b"]
