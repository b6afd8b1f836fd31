"""The look before a run whose journal is lost: from when on, how often where it fails, and once more later."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from spotdx_async._http import clock
from spotdx_async.bulk.first_look import FirstLook
from spotdx_async.bulk.settlement import LIST_LAG_S
from spotdx_async.errors import AuthenticationError, DecodeError, ServerError, SpotError

pytestmark = pytest.mark.virtual_time

DAY = date(2026, 11, 30)
DOWN = ServerError("down", status=503)
UNREAD = DecodeError("1 of the orders of that time cannot be read", outcome="unknown")


class ScriptedLook:
    """Fails with each error in turn, and then with the last one, or not at all."""

    def __init__(self, *errors: SpotError | None) -> None:
        self.looks: list[tuple[float, float]] = []
        self._errors = [*errors]

    async def look_first(self, since: float) -> None:
        self.looks.append((clock.now(), since))
        error = None if not self._errors else self._errors[0]
        if len(self._errors) > 1:
            del self._errors[0]
        if error is not None:
            raise error


def first_look(*errors: SpotError | None, day: date = DAY, outage_limit_s: float = 1800.0) -> tuple[FirstLook, Any]:
    look: Any = ScriptedLook(*errors)
    return FirstLook(look, day, lands_within_s=60.0, outage_limit_s=outage_limit_s), look


async def test_a_day_begins_when_it_begins_first_on_earth() -> None:
    look, server = first_look()

    await look.look()

    ((_, since),) = server.looks
    assert datetime.fromtimestamp(since, UTC) == datetime(2026, 11, 30, tzinfo=UTC) - timedelta(hours=14)


@pytest.mark.parametrize("day", [date.min, date(1, 1, 2), date(1900, 1, 1), date.max])
async def test_any_day_is_one_to_look_from(day: date) -> None:
    look, server = first_look(day=day)

    await look.look()

    since = datetime.fromtimestamp(server.looks[0][1], UTC)
    assert since - timedelta(days=2) < datetime.max.replace(tzinfo=UTC)


async def test_a_server_that_fails_is_asked_again_until_it_answers() -> None:
    look, server = first_look(*[DOWN] * 8, None)

    await look.look()

    assert [at_s for at_s, _ in server.looks] == [0, 1, 3, 7, 15, 31, 61, 91, 121]


@pytest.mark.parametrize(
    ("error", "outage_limit_s", "looks"),
    [(UNREAD, 1800.0, 5), (DOWN, 20.0, 6), (AuthenticationError("the token", status=401), 1800.0, 1)],
)
async def test_it_gives_up(error: SpotError, outage_limit_s: float, looks: int) -> None:
    look, server = first_look(error, outage_limit_s=outage_limit_s)

    with pytest.raises(type(error)):
        await look.look()

    assert len(server.looks) == looks


@pytest.mark.parametrize("errors", [(None,), (None, DOWN, None)])
async def test_the_look_before_the_first_row_is_once_for_all_and_as_patient(errors: Sequence[SpotError | None]) -> None:
    look, server = first_look(*errors)

    await look.look()
    await look.again()
    await look.again()

    times = [at_s for at_s, _ in server.looks]
    assert times[:2] == [0, 60.0 + LIST_LAG_S]
    assert len(times) == len(errors) + (len(errors) == 1)
