"""Requests that are executed after their answer, and answers that come before the whole request."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import cast

import aiohttp
import pytest

from spotdx_async.testing import FaultPlan, SpotServer, faults
from spotdx_async.testing.routes import Call

AUTHORIZED = {"Authorization": "Token test-token"}
UPDATE = {"metadata": {"cohort": "A"}}
KIT_PATH = "/api/v2/kits/SPOT123456/"


@pytest.fixture
async def server() -> AsyncIterator[SpotServer]:
    async with SpotServer() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=AUTHORIZED) as session:
        yield session


async def update(session: aiohttp.ClientSession, server: SpotServer) -> int:
    async with session.post(server.url + KIT_PATH, json=UPDATE) as response:
        await response.read()
        return response.status


# --- land_later -------------------------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_request_lands_after_its_answer(server: SpotServer, session: aiohttp.ClientSession) -> None:
    server.faults.add(faults.land_later(60))

    assert await update(session, server) == 504
    assert (server.ledger, server.executed, server.landing) == ([], [], 1)

    await asyncio.sleep(59)
    assert server.ledger == []

    await asyncio.sleep(1.1)
    assert [entry.metadata for entry in server.ledger] == [UPDATE["metadata"]]
    (request,) = server.executed
    assert (request.status, request.fault, server.landing) == (504, "land_later", 0)


@pytest.mark.virtual_time
async def test_a_dropped_request_lands_too(server: SpotServer, session: aiohttp.ClientSession) -> None:
    server.faults.add(faults.land_later(5, status=None))

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await update(session, server)
    assert server.ledger == []

    await asyncio.sleep(5.1)
    assert len(server.ledger) == 1


async def test_after_no_time_it_has_landed_when_the_answer_comes(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.faults.add(faults.land_later(0, status=503))

    assert await update(session, server) == 503
    assert len(server.ledger) == 1


@pytest.mark.virtual_time
async def test_an_outage_does_not_hold_up_what_is_to_land_but_the_end_does(session: aiohttp.ClientSession) -> None:
    async with SpotServer() as server:
        server.faults.add(faults.land_later(5))
        server.faults.add(faults.land_later(50))
        await update(session, server)
        await update(session, server)
        await server.stop()
        await asyncio.sleep(6)
        assert len(server.ledger) == 1
    await asyncio.sleep(60)

    assert (len(server.ledger), server.landing) == (1, 0)


@pytest.mark.virtual_time
async def test_what_the_api_refuses_does_not_land(server: SpotServer) -> None:
    server.faults.add(faults.land_later(5))
    async with aiohttp.ClientSession(headers={"Authorization": "Token wrong"}) as session:
        assert await update(session, server) == 504
    await asyncio.sleep(6)

    assert (server.ledger, server.executed) == ([], [])


# --- early ------------------------------------------------------------------------------------------------------------


async def test_an_early_answer_comes_while_the_body_is_still_under_way(server: SpotServer) -> None:
    server.faults.add(faults.early(413))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    writer.write(f"POST {KIT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())

    status_line = await reader.readline()
    writer.close()
    await writer.wait_closed()

    assert status_line.startswith(b"HTTP/1.1 413 ")
    (request,) = server.requests
    assert (request.status, request.fault, request.body, request.executed) == (413, "early", None, False)


async def test_an_early_fault_waits_for_the_request_that_it_is_for(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.faults.add("500")
    server.faults.add(faults.early(400), kit_id="SPOT123456")
    server.faults.add(faults.early(401), kit_id="SPOT234567")

    assert [await update(session, server) for _ in range(3)] == [500, 400, 200]
    assert server.faults.played == {"500": 1, "early": 1}


def test_a_fault_of_another_kind_is_not_picked_early() -> None:
    plan = FaultPlan()
    plan.add("500")
    plan.add(faults.early())

    assert plan.pick_early(Call("GET", "/")) is None
    assert (picked := plan.pick(Call("GET", "/"))) is not None
    assert picked.name == "500"
    assert (picked := plan.pick_early(Call("GET", "/"))) is not None
    assert picked.name == "early"
    assert not plan.has_early


# --- oversized --------------------------------------------------------------------------------------------------------


async def test_an_oversized_answer_is_the_apis_own_with_room_after_it(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.faults.add(faults.oversized(100_000))

    async with session.post(server.url + KIT_PATH, json=UPDATE) as response:
        body = await response.read()

    assert (response.status, len(body)) == (200, 100_000)
    assert json.loads(body)["kit_id"] == "SPOT123456"
    assert len(server.ledger) == 1


@pytest.mark.parametrize("size", [-1, 1.5, True])
def test_a_size_is_a_number_of_bytes(size: object) -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        faults.oversized(cast("int", size))


@pytest.mark.parametrize("status", [200, 600])
def test_a_late_request_is_answered_with_an_error(status: int) -> None:
    with pytest.raises(ValueError, match="400 to 599"):
        faults.land_later(1, status=status)
    with pytest.raises(ValueError, match="400 to 599"):
        faults.early(status)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_landing_is_not_in_the_past(seconds: float) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        faults.land_later(seconds)
