"""The troubles of creates: they land later, are repeated, or cannot be read."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Literal, cast

import aiohttp
import pytest

from spotdx_async.testing import FaultPlan, SpotServer, faults
from spotdx_async.testing.patients import EXAMPLE_PATIENT_ID
from tests.unit.testing.test_fake_creations import ACTIVATION, ORDER, REQUISITION

ORDERS, REQUISITIONS = "/api/v2/orders/", "/api/v2/requisitions/"
virtual_time = pytest.mark.virtual_time


@pytest.fixture
async def server() -> AsyncIterator[SpotServer]:
    async with SpotServer() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": "Token test-token"}) as session:
        yield session


async def post(
    session: aiohttp.ClientSession, server: SpotServer, target: str = ORDERS, body: Any = ORDER, timeout_s: float = 30
) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(timeout_s)
    async with session.post(server.url + target, json=body, timeout=timeout) as response:
        return response.status, await response.read()


# --- They land later --------------------------------------------------------------------------------------------------


@virtual_time
async def test_what_lands_later_lands_after_the_client_has_given_up(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.faults.add(faults.land_later(20, answers_after_s=600))

    with pytest.raises(TimeoutError):
        await post(session, server, timeout_s=5)
    assert (server.creations, server.landing) == ([], 1)
    await asyncio.sleep(16)

    (creation,) = server.creations
    assert creation.at_s - server.requests[0].at_s == pytest.approx(20, abs=0.1)


@virtual_time
async def test_landings_are_drawn_between_two_numbers_the_same_for_a_seed(
    session: aiohttp.ClientSession,
) -> None:
    async def landings(seed: int) -> list[float]:
        async with SpotServer() as server:
            server.faults.add(faults.land_later((5, 50), seed=seed), times=None)
            for _ in range(10):
                await post(session, server)
            await asyncio.sleep(51)
            return sorted(created.at_s - server.requests[created.index].at_s for created in server.creations)

    first, again, other = [await landings(seed) for seed in (1, 1, 2)]

    assert first == pytest.approx(again, abs=0.001)
    assert first != pytest.approx(other, abs=0.001)
    assert len(first) == 10
    assert first[0] >= 5
    assert first[-1] <= 50.1
    assert first[-1] - first[0] > 5


@pytest.mark.parametrize("seconds", [(5, 1), (-1, 1), (0, float("nan")), (float("inf"), float("inf"))])
def test_a_landing_is_drawn_between_two_numbers(seconds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="seconds"):
        faults.land_later(seconds)


@virtual_time
async def test_an_activation_that_was_accepted_shows_later(server: SpotServer, session: aiohttp.ClientSession) -> None:
    server.faults.add(faults.accept_later(8))

    status, answer = await post(session, server, ACTIVATION, {"patient_id": EXAMPLE_PATIENT_ID})

    assert (status, json.loads(answer)) == (200, {"data": {"result": "success"}})
    assert server.kits["SPOT234567"].status == "preparing"
    await asyncio.sleep(8.1)
    assert server.kits["SPOT234567"].status == "registered"


# --- They are repeated ------------------------------------------------------------------------------------------------


@virtual_time
@pytest.mark.parametrize(("answer", "seconds"), [("first", 0), ("first", 5), ("last", 0), ("last", 5)])
async def test_a_proxy_repeats_a_create(
    server: SpotServer, session: aiohttp.ClientSession, answer: Literal["first", "last"], seconds: float
) -> None:
    server.faults.add(faults.repeated(seconds, answer=answer))

    status, body = await post(session, server)
    await asyncio.sleep(5.1)

    first, last = server.creations.by_request()[0]
    assert (status, json.loads(body)["order_id"]) == (201, {"first": first, "last": last}[answer].an_id)
    assert last.at_s - first.at_s == pytest.approx(seconds, abs=0.1)
    assert server.counts["requests"] == 1


@pytest.mark.parametrize(("answer", "expected"), [("first", 200), ("last", 400)])
async def test_a_requisition_that_is_repeated_is_refused_for_its_barcode(
    server: SpotServer, session: aiohttp.ClientSession, answer: Literal["first", "last"], expected: int
) -> None:
    server.faults.add(faults.repeated(answer=answer))

    status, body = await post(session, server, REQUISITIONS, REQUISITION)

    assert (status, len(server.creations)) == (expected, 1)
    assert (b"barcode: Must be globally unique" in body) == (expected == 400)


@virtual_time
async def test_a_requisition_that_lands_after_its_repeat_is_not_created_twice(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.faults.add(faults.land_later(5))

    assert (await post(session, server, REQUISITIONS, REQUISITION))[0] == 504
    assert (await post(session, server, REQUISITIONS, REQUISITION))[0] == 200
    await asyncio.sleep(5.1)

    assert [creation.index for creation in server.creations] == [1]


def test_the_answer_is_the_first_or_the_last() -> None:
    with pytest.raises(ValueError, match="'first' or 'last'"):
        faults.repeated(answer=cast("Literal['first']", "second"))


# --- They cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [faults.unreadable(201), "broken_json", "wrapped", "without_id", faults.body(b"[]", status=201)],
    ids=["a page", "broken", "wrapped", "without id", "an array"],
)
async def test_a_created_order_that_cannot_be_read_was_placed(
    server: SpotServer, session: aiohttp.ClientSession, fault: Any
) -> None:
    server.faults.add(fault)

    status, body = await post(session, server)

    assert (status, len(server.creations)) == (201, 1)
    assert not is_order(body)


def is_order(body: bytes) -> bool:
    try:
        read = json.loads(body)
    except ValueError:
        return False
    return isinstance(read, dict) and "order_id" in read


@pytest.mark.parametrize("fault", ["wrapped", "without_id", faults.unreadable(201)])
async def test_a_refusal_stays_readable(server: SpotServer, session: aiohttp.ClientSession, fault: Any) -> None:
    server.faults.add(fault)

    status, body = await post(session, server, body={})

    assert (status, "error" in json.loads(body)) == (400, True)


async def test_a_list_keeps_its_ids(server: SpotServer, session: aiohttp.ClientSession) -> None:
    server.faults.add("without_id")

    async with session.get(server.url + ORDERS) as response:
        assert all("order_id" in row for row in await response.json())


def test_a_page_comes_under_a_success() -> None:
    with pytest.raises(ValueError, match="200 to 299"):
        faults.unreadable(404)


# --- All of them ------------------------------------------------------------------------------------------------------


@virtual_time
async def test_the_mixture_of_creates_places_each_once_at_most_and_within_its_time(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.faults.random(1.0, seed=3, kinds=faults.of_creates(50, seed=3))

    for _ in range(100):
        try:
            await post(session, server, timeout_s=5)
        except (TimeoutError, aiohttp.ClientError):
            continue
    await asyncio.sleep(50.1)

    assert {*server.faults.played} == {fault.name for fault in faults.of_creates(50, seed=3)}
    assert server.landing == 0
    assert 40 < len(server.creations) < 95
    assert all(len(created) == 1 for created in server.creations.by_request().values())
    assert all(0 <= one.at_s - server.requests[one.index].at_s <= 50.1 for one in server.creations)


def test_a_mixture_can_be_planned_by_name_too() -> None:
    plan = FaultPlan()

    assert [plan.add(name).fault.name for name in ("without_id", "wrapped", "repeated")] == [
        *("without_id", "wrapped", "repeated"),
    ]


async def test_requests_are_counted_by_operation(session: aiohttp.ClientSession) -> None:
    async with SpotServer(keep_requests=False) as server:
        await post(session, server)
        for target in (ORDERS, ORDERS, f"{ORDERS}O1234567/", "/elsewhere"):
            async with session.get(server.url + target) as response:
                await response.read()

        assert server.operation_counts == {"orders.create": 1, "orders.list": 2, "orders.get": 1}
        assert server.operation_counts["kits.get"] == 0
