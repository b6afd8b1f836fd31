"""The Date of the fake's answers."""

from collections.abc import AsyncIterator
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
