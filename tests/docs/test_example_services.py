"""The services in ``examples/``, served on loopback in front of the fake server, and asked by HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from spotdx_async import Kit, KitStatus, loads
from spotdx_async.testing import FakeSpot, faults
from tests.docs.conftest import CANARY
from tests.docs.playing import load_example


@pytest.fixture(autouse=True)
def settings(watched: FakeSpot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_BASE_URL", watched.url)
    monkeypatch.setenv("SPOTDX_TOKEN", watched.token)


@asynccontextmanager
async def served(name: str) -> AsyncIterator[httpx.AsyncClient]:
    runner = web.AppRunner(load_example(name).make_app())
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as browser:
            yield browser
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fastapi_served(name: str = "fastapi_app") -> AsyncIterator[httpx.AsyncClient]:
    app = load_example(name).app
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as browser,
    ):
        yield browser


async def test_fastapi_sets_a_cohort_and_shows_no_patient(watched: FakeSpot) -> None:
    async with fastapi_served() as browser:
        answer = await browser.put("/kits/SPOT123456/cohort", json="A")

    assert answer.status_code == 200
    assert answer.json() == {"kit_id": "SPOT123456", "status": watched.kits["SPOT123456"].status}
    assert watched.kits["SPOT123456"].metadata == {"cohort": "A"}


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        (faults.status(429, retry_after=60), 503, "RateLimitError"),
        (faults.drop_after(), 504, "OutcomeUnknownError"),
        (faults.body(b"[]"), 502, "DecodeError"),
        (faults.status(403), 502, "PermissionDeniedError"),
    ],
    ids=["429", "dropped", "another shape", "403"],
)
async def test_fastapi_says_what_its_caller_can_do(
    watched: FakeSpot, fault: faults.Fault, status: int, error: str
) -> None:
    watched.faults.add(fault, times=None)
    async with fastapi_served() as browser:
        answer = await browser.put("/kits/SPOT123456/cohort", json="A")

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers.get("Retry-After") == ("5" if status == 503 else None)
    assert CANARY not in answer.text


async def test_fastapi_knows_kits_that_are_not_there_and_values_that_are_wrong() -> None:
    async with fastapi_served() as browser:
        missing = await browser.put("/kits/SPOT000000/cohort", json="A")
        wrong_id = await browser.put("/kits/%01/cohort", json="A")
        wrong_value = await browser.put("/kits/SPOT123456/cohort", json="C")

    assert [missing.status_code, wrong_id.status_code, wrong_value.status_code] == [404, 422, 422]


async def test_fastapi_answers_with_whole_kits() -> None:
    async with fastapi_served("fastapi_kits") as browser:
        values = await browser.get("/kits/SPOT123456")
        raw = await browser.get("/kits/SPOT123456/raw")

    registrant = raw.json()["registered_to"]
    assert registrant["last_name"] == f"{CANARY}-last"
    assert {**values.json(), "registered_to": registrant} == raw.json()
    assert CANARY not in values.text
    assert raw.headers["Content-Type"] == "application/json"


async def test_pydantic_takes_and_gives_a_kit_and_shows_none_in_its_errors() -> None:
    module = load_example("fastapi_kits")
    kit = {"kit_id": "SPOT123456", "status": "delivered", "new": {"field": None}}

    async with fastapi_served("fastapi_kits") as browser:
        taken = await browser.post("/visits", json={"room": 7, "kit": kit})
        refused = await browser.post("/visits", json={"room": 7, "kit": {"kit_id": CANARY, "events": 7}})
        schema = await browser.get("/openapi.json")

    assert taken.json() == {"room": 7, "kit": kit}
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["msg"] == "Value error, events should be a list and is a number"
    assert CANARY not in refused.text
    assert schema.json()["components"]["schemas"]["Visit"]["properties"]["kit"] == {"type": "object", "title": "Kit"}

    visit = module.Visit(room=7, kit=loads(json.dumps(kit), Kit))
    assert module.Visit.model_validate_json(visit.model_dump_json()) == visit
    assert (type(visit.kit), visit.kit.status) == (Kit, KitStatus.DELIVERED)
    with pytest.raises(ValueError, match="room") as caught:
        module.Visit.model_validate({"room": CANARY, "kit": kit})
    assert CANARY not in str(caught.value)


async def test_the_aiohttp_app_shows_a_kit_and_no_patient(watched: FakeSpot) -> None:
    async with served("aiohttp_app") as browser:
        answer = await browser.get("/kits/SPOT123456")
        missing = await browser.get("/kits/SPOT000000")
        watched.faults.add(faults.status(429, retry_after=60), times=None)
        busy = await browser.get("/kits/SPOT123456")

    assert answer.json().keys() == {"kit_id", "status", "sample"}
    assert answer.json()["kit_id"] == "SPOT123456"
    assert CANARY not in answer.text
    assert (missing.status_code, missing.json()) == (404, {"error": "NotFoundError"})
    assert (busy.status_code, busy.json()) == (503, {"error": "RateLimitError"})


async def test_the_webhook_receiver_believes_the_api_and_not_the_body(
    watched: FakeSpot, capsys: pytest.CaptureFixture[str]
) -> None:
    order_id = next(iter(watched.orders))
    async with served("webhook_receiver") as browser:
        kit = await browser.post("/spot", json={"kit_id": "SPOT123456", "status": "canceled", "sample": None})
        order = await browser.post("/spot", json={"order_id": order_id, "status": "canceled"})

    assert [kit.status_code, order.status_code] == [204, 204]
    told = capsys.readouterr().out
    assert told == (
        f"kit SPOT123456 is {watched.kits['SPOT123456'].status}\n"
        f"order {order_id} is {watched.orders[order_id].status}\n"
    )
    assert "canceled" not in told
    assert CANARY not in told


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"hello", 400),
        (b"[1]", 400),
        (b"{}", 404),
        (b'{"kit_id": "SPOT000000"}', 404),
        (b'{"kit_id": "../orders"}', 404),
        (b'{"kit_id": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
async def test_the_webhook_receiver_is_not_shaken_by_strange_bodies(
    watched: FakeSpot, capsys: pytest.CaptureFixture[str], body: bytes, status: int
) -> None:
    async with served("webhook_receiver") as browser:
        answer = await browser.post("/spot", content=body)

    assert answer.status_code == status
    assert capsys.readouterr().out == ""
    assert {request.template for request in watched.requests} <= {"/api/v2/kits/{kit_id}/"}


async def test_the_webhook_receiver_asks_for_the_news_again_when_it_cannot_fetch_them(watched: FakeSpot) -> None:
    watched.faults.add(faults.body(b"<html>"), times=None)
    async with served("webhook_receiver") as browser:
        answer = await browser.post("/spot", json={"kit_id": "SPOT123456"})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
