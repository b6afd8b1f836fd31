"""The creates matrix: faults, operations, and whose session it is with what in it; the ledger knows what happened.

No create is executed twice, and no error says "not sent" of what the ledger has.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from attrs import evolve

from spotdx_async import (
    NotSentError,
    RetryPolicy,
    SpotClient,
    SpotError,
)
from spotdx_async.testing import FakeSpot, Fault, faults
from tests.new_objects import ORDER, PATIENT, REQUISITION

pytestmark = pytest.mark.virtual_time

NOBODY_LISTENS = "http://127.0.0.1:9/"

Act = Callable[[SpotClient, str], Awaitable[Any]]
ONCE: dict[str, Act] = {
    "order": lambda spot, _: spot.orders.create(ORDER),
    "requisition": lambda spot, name: spot.requisitions.create(evolve(REQUISITION, barcode=name)),
    "patient": lambda spot, _: spot.patients.create(PATIENT),
    "activation": lambda spot, kit: spot.kits.activate(kit, patient=PATIENT),
    "PUT": lambda spot, _: spot.request("PUT", "/api/v2/unknown/", json={}),
    "DELETE": lambda spot, _: spot.request("DELETE", "/api/v2/unknown/"),
}
OFTEN: dict[str, Act] = {
    "update": lambda spot, kit: spot.kits.update_metadata(kit, {"cohort": "A"}),
    "get": lambda spot, kit: spot.kits.get(kit),
}
FAULTS: dict[str, Fault] = {
    "none": faults.slow(0.01),
    "503": faults.status(503),
    "429": faults.status(429, retry_after=0),
    "drop before": faults.drop_before(),
    "drop after": faults.drop_after(),
    "cut answer": faults.half_body(),
    "page": faults.unreadable(),
    "redirect": faults.redirect(302),
    "too large": faults.oversized(100_000),
    "late": faults.land_later(0.0, status=504),
    "answer after the timeout": faults.slow_answer(20.0),
}


async def fail_to_connect(*_: object) -> None:
    """Make a request of its own that cannot connect, as a metrics or token service that is down does."""
    async with aiohttp.ClientSession() as session:
        await session.get(NOBODY_LISTENS)


async def fail_before(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    await fail_to_connect()
    return await handler(request)


async def fail_after(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    response = await handler(request)
    response.close()
    await fail_to_connect()
    return response


async def send_twice(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Repeat whatever has failed, as retry middlewares do."""
    try:
        response = await handler(request)
    except aiohttp.ClientError:
        return await handler(request)
    if response.status < 500:
        return response
    response.close()
    return await handler(request)


def tracing(name: str) -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()
    getattr(config, name).append(fail_to_connect)
    return config


HOOKS = ("on_request_start", "on_connection_create_end", "on_request_headers_sent", "on_request_end")
SESSIONS: dict[str, Callable[[], aiohttp.ClientSession] | None] = {
    "own": None,
    "plain": aiohttp.ClientSession,
    "fails before": lambda: aiohttp.ClientSession(middlewares=(fail_before,)),
    "fails after": lambda: aiohttp.ClientSession(middlewares=(fail_after,)),
    "repeats": lambda: aiohttp.ClientSession(middlewares=(send_twice,)),
    **{name: lambda name=name: aiohttp.ClientSession(trace_configs=[tracing(name)]) for name in HOOKS},  # type: ignore[misc]
}


@asynccontextmanager
async def client_of(fake: FakeSpot, whose: str) -> AsyncIterator[SpotClient]:
    make = SESSIONS[whose]
    options = {"max_body_bytes": 50_000, "timeout_s": 5.0, "retry": RetryPolicy(max_attempts=3, base_s=0.001)}
    if make is None:
        async with fake.client(**options) as spot:
            yield spot
    else:
        async with make() as session, fake.client(session=session, **options) as spot:
            yield spot


def executions(fake: FakeSpot) -> int:
    """What the server has executed, and what reached it of operations that it does not know."""
    unknown = sum("unknown" in request.path for request in fake.requests)
    return len(fake.creations) + len(fake.ledger) + unknown


async def end_of(call: Awaitable[Any]) -> BaseException | None:
    try:
        await call
    except SpotError as error:
        return error
    return None


async def within_an_except_block(call: Callable[[], Awaitable[Any]]) -> BaseException | None:
    """Call while an error of a connection is being handled: it becomes the context of whatever is raised."""
    with suppress(aiohttp.ClientConnectorError):
        await fail_to_connect()
    try:
        await fail_to_connect()
    except aiohttp.ClientConnectorError:
        return await end_of(call())
    raise AssertionError


@pytest.mark.parametrize("is_handling", [False, True], ids=["plainly", "handling an error"])
@pytest.mark.parametrize("whose", SESSIONS)
@pytest.mark.parametrize("act", ONCE)
async def test_nothing_is_done_twice_and_nothing_done_is_denied(
    fake_spot: FakeSpot, act: str, whose: str, is_handling: bool
) -> None:
    for number, (name, fault) in enumerate(FAULTS.items()):
        kit = f"SPOT{number:06}"
        fake_spot.kits.add(kit)
        before = executions(fake_spot)
        fake_spot.faults.clear()
        fake_spot.faults.add(fault)
        async with client_of(fake_spot, whose) as spot:

            def call(spot: SpotClient = spot, kit: str = kit) -> Awaitable[Any]:
                return ONCE[act](spot, kit)

            error = await (within_an_except_block(call) if is_handling else end_of(call()))
            await asyncio.sleep(30)

        done = executions(fake_spot) - before
        most = 2 if name == "429" and act in {"PUT", "DELETE"} else 1  # the refused one has reached the server too
        assert done <= most, (name, error)
        if done and error is not None and not (name == "429" and act in {"PUT", "DELETE"}):
            assert not isinstance(error, NotSentError), (name, error)
            if act not in {"PUT", "DELETE"}:
                assert getattr(error, "may_be_executed", False), (name, error)


@pytest.mark.parametrize("whose", SESSIONS)
@pytest.mark.parametrize("act", OFTEN)
async def test_what_may_be_repeated_is_never_denied_either(fake_spot: FakeSpot, act: str, whose: str) -> None:
    for number, (name, fault) in enumerate(FAULTS.items()):
        kit = f"SPOT{number:06}"
        fake_spot.kits.add(kit)
        before = executions(fake_spot)
        fake_spot.faults.clear()
        fake_spot.faults.add(fault)
        async with client_of(fake_spot, whose) as spot:
            error = await end_of(OFTEN[act](spot, kit))

        if executions(fake_spot) > before and error is not None:
            assert not isinstance(error, NotSentError), (name, error)
