"""The fake's clocks: the Date of its answers, the one that dates objects, and the zone in which lists count days."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from spotdx_async.testing import HttpDateAhead, SpotServer, faults

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ORDERS = "/api/v2/orders/"
KIT = "/api/v2/kits/SPOT123456/"
ORDER = {
    "kit_types": ["health_kit_1"],
    "recipient": {
        "first_name": "Robin",
        "last_name": "Sample",
        "email": "robin@example.com",
        "phone": "2025550147",
        "address": {"street1": "1 Street", "city": "Town", "state": "CA", "country": "US", "zip": "00000"},
    },
}


@pytest.fixture
async def server() -> AsyncIterator[SpotServer]:
    async with SpotServer(wall=lambda: NOON, orders=[]) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": "Token test-token"}) as session:
        yield session


async def get(session: aiohttp.ClientSession, server: SpotServer, target: str = KIT) -> aiohttp.ClientResponse:
    async with session.get(server.url + target) as response:
        await response.read()
        return response


async def test_the_date_is_that_of_the_fakes_clock(server: SpotServer, session: aiohttp.ClientSession) -> None:
    assert (await get(session, server)).headers["Date"] == "Tue, 01 Jan 2030 12:00:00 GMT"


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=-400)])
async def test_the_date_goes_wrong_alone(server: SpotServer, session: aiohttp.ClientSession, ahead: timedelta) -> None:
    server.date_ahead_s = ahead.total_seconds()

    async with session.post(server.url + ORDERS, json=ORDER) as response:
        placed = await response.json()

    assert parsedate_to_datetime(response.headers["Date"]) == NOON + ahead
    assert placed["created"] == "2030-01-01T12:00:00.000Z"


async def test_the_clock_that_dates_objects_goes_wrong_alone(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.stamps_ahead_s = -3600

    async with session.post(server.url + ORDERS, json=ORDER) as response:
        placed = await response.json()
    server.kits["SPOT234567"].ship()

    assert parsedate_to_datetime(response.headers["Date"]) == NOON
    assert placed["created"] == server.kits["SPOT234567"].updated == "2030-01-01T11:00:00.000Z"


@pytest.mark.parametrize("fault", [None, "500", "redirect", faults.body(b"", status=204, content_type=None)])
async def test_without_a_date_the_answer_is_whole_and_the_next_one_comes(
    server: SpotServer, session: aiohttp.ClientSession, fault: Any
) -> None:
    expected = (await get(session, server)).headers
    server.date_ahead_s = None
    if fault is not None:
        server.faults.add(fault)
    async with session.get(server.url + KIT, allow_redirects=False) as first:
        await first.read()

    again = await get(session, server)

    assert "Date" not in {*first.headers, *again.headers}
    assert (await again.json())["kit_id"] == "SPOT123456"
    assert again.headers["Content-Type"].partition(";")[0] == expected["Content-Type"].partition(";")[0]
    assert first.status == server.requests[1].status


async def test_a_cut_answer_has_a_date_too(server: SpotServer, session: aiohttp.ClientSession) -> None:
    server.faults.add("half_body")

    async with session.get(server.url + KIT) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert parsedate_to_datetime(response.headers["Date"]) == NOON


async def test_a_date_that_a_fault_gives_stays(server: SpotServer, session: aiohttp.ClientSession) -> None:
    date = "Fri, 31 Dec 1999 23:59:59 GMT"
    server.faults.add(faults.body(b"{}", headers={"Date": date}))

    assert (await get(session, server)).headers.getall("Date") == [date]


@pytest.mark.parametrize("ahead_s", [0.0, 86_400.0])
async def test_a_retry_after_ahead_counts_from_the_date_of_its_answer(
    server: SpotServer, session: aiohttp.ClientSession, ahead_s: float
) -> None:
    server.date_ahead_s = ahead_s
    server.faults.add(faults.status(503, retry_after=HttpDateAhead(90)))

    headers = (await get(session, server)).headers

    waits = parsedate_to_datetime(headers["Retry-After"]) - parsedate_to_datetime(headers["Date"])
    assert waits == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("offset_hours", "days"),
    [(0, ("2030-01-01", "2030-01-02")), (1, ("2030-01-02", "2030-01-02")), (-24, ("2029-12-31", "2030-01-01"))],
)
async def test_days_are_counted_in_another_zone(
    server: SpotServer, session: aiohttp.ClientSession, offset_hours: float, days: tuple[str, str]
) -> None:
    server.orders.add("late", created="2030-01-01T23:30:00.000Z")
    server.orders.add("early", created="2030-01-02T00:30:00.000Z", updated="2030-01-02T22:00:00.000Z")
    server.day_offset_hours = offset_hours

    async def found(query: str) -> list[str]:
        response = await get(session, server, f"{ORDERS}?{query}")
        return [row["order_id"] for row in await response.json()]

    for an_id, day in zip(("late", "early"), days, strict=True):
        assert an_id in await found(f"created_after={day}&created_before={day}")
        assert an_id not in await found(f"created_before={yesterday(day)}")
    assert server.day_offset_hours == offset_hours


def yesterday(day: str) -> str:
    return (datetime.fromisoformat(day) - timedelta(days=1)).date().isoformat()


SETTINGS: dict[str, Callable[[SpotServer, float], None]] = {
    "stamps_ahead_s": lambda server, value: setattr(server, "stamps_ahead_s", value),
    "day_offset_hours": lambda server, value: setattr(server, "day_offset_hours", value),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_clock_is_off_by_a_number(name: str) -> None:
    server = SpotServer()

    with pytest.raises(ValueError, match=f"{name} must be a finite number"):
        SETTINGS[name](server, float("nan"))
    assert (server.stamps_ahead_s, server.day_offset_hours) == (0, 0)
