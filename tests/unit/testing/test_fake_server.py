import asyncio
import io
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from spotdx_async.testing import FaultPlan, SpotServer, faults

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


async def update(session: aiohttp.ClientSession, server: SpotServer, path: str = KIT_PATH) -> tuple[int, bytes]:
    async with session.post(server.url + path, json=UPDATE, allow_redirects=False) as response:
        return response.status, await response.read()


async def until(server: SpotServer, **counts: int) -> None:
    """Wait until the server has counted so much."""
    async with asyncio.timeout(5):
        while any(server.counts[name] < least for name, least in counts.items()):
            await asyncio.sleep(0.001)


async def test_an_update_is_answered_executed_and_recorded(server: SpotServer, session: aiohttp.ClientSession) -> None:
    status, body = await update(session, server)

    assert (status, json.loads(body)["kit_id"]) == (200, "SPOT123456")
    assert server.kits["SPOT123456"].metadata == {"cohort": "A"}
    (request,) = server.requests
    assert (request.method, request.template, request.kit_id) == ("POST", "/api/v2/kits/{kit_id}/", "SPOT123456")
    assert (request.metadata, request.status, request.executed) == ({"cohort": "A"}, 200, True)
    assert request.headers["authorization"] == "Token test-token"
    assert server.executed == [request]
    assert [(entry.index, entry.kit_id) for entry in server.ledger] == [(0, "SPOT123456")]


async def test_an_answer_is_json_of_its_length(server: SpotServer, session: aiohttp.ClientSession) -> None:
    async with session.get(server.url + KIT_PATH) as response:
        body = await response.read()

    assert response.headers["Content-Type"] == "application/json"
    assert int(response.headers["Content-Length"]) == len(body)


async def test_a_list_is_reached_with_its_query(server: SpotServer, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{server.url}/api/v2/kits/?results=2&offset=1") as response:
        rows = await response.json()

    assert [row["kit_id"] for row in rows] == ["SPOT234567", "SPOT345678"]
    assert server.requests[0].query == {"results": "2", "offset": "1"}


async def test_an_escaped_id_is_one_segment(server: SpotServer, session: aiohttp.ClientSession) -> None:
    server.kits.add("a/b c?")

    status, _ = await update(session, server, "/api/v2/kits/a%2Fb%20c%3F/")

    assert status == 200
    assert server.requests[0].kit_id == "a/b c?"


@pytest.mark.parametrize("path", ["/api/v2/kits/SPOT123456", "/api/v2/kit_types/", "/elsewhere"])
async def test_a_wrong_slash_is_not_found(server: SpotServer, session: aiohttp.ClientSession, path: str) -> None:
    async with session.get(server.url + path, allow_redirects=False) as response:
        assert response.status == 404

    assert [(request.template, request.executed) for request in server.requests] == [(None, False)]


async def test_a_missing_token_is_refused_and_nothing_is_executed(server: SpotServer) -> None:
    async with aiohttp.ClientSession() as session:
        status, _ = await update(session, server)

    assert status == 401
    assert server.executed == []
    assert server.ledger == []
    assert server.counts == {"requests": 1, "401": 1}


async def test_a_rotated_token_is_refused_and_the_new_one_admitted(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.token = "second"

    refused, _ = await update(session, server)
    async with session.get(server.url + KIT_PATH, headers={"Authorization": "Token second"}) as response:
        assert (refused, response.status) == (401, 200)
    assert server.token == "second"
    assert server.accepted_tokens == {"second"}


async def test_further_tokens_can_be_accepted(server: SpotServer) -> None:
    server.accepted_tokens.add("other")

    async with aiohttp.ClientSession(headers={"Authorization": "Token other"}) as session:
        assert (await update(session, server))[0] == 200


async def test_a_body_of_megabytes_is_taken(server: SpotServer, session: aiohttp.ClientSession) -> None:
    metadata = {"text": "x" * 3_000_000}
    body = io.BytesIO(json.dumps({"metadata": metadata}).encode())

    async with session.post(server.url + KIT_PATH, data=body) as response:
        assert response.status == 200

    assert server.kits["SPOT123456"].metadata == metadata


async def test_requests_on_one_connection_share_its_number(server: SpotServer, session: aiohttp.ClientSession) -> None:
    await update(session, server)
    await update(session, server)
    async with aiohttp.ClientSession(headers=AUTHORIZED) as another:
        await update(another, server)

    first, second, third = (request.connection for request in server.requests)
    assert first == second != third


async def test_a_status_fault_is_answered_and_nothing_is_executed(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.faults.add(faults.status(503, retry_after=2), times=1)

    async with session.post(server.url + KIT_PATH, json=UPDATE) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "2")

    assert server.executed == []
    assert server.requests[0].fault == "503"
    assert (await update(session, server))[0] == 200


async def test_a_status_with_an_empty_body_has_no_content_type(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.faults.add(faults.status(502, form="empty"))

    async with session.get(server.url + KIT_PATH) as response:
        assert (response.status, await response.read()) == (502, b"")
    assert response.headers.get("Content-Type") in {None, "application/octet-stream"}


@pytest.mark.parametrize(("name", "executed"), [("drop_before", False), ("drop_after", True)])
async def test_a_drop_closes_the_connection_without_an_answer(
    server: SpotServer,
    session: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
    name: str,
    *,
    executed: bool,
) -> None:
    server.faults.add(name)

    with caplog.at_level(logging.WARNING), pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await update(session, server)

    await until(server, dropped=1)
    assert (server.requests[0].executed, server.requests[0].status) == (executed, None)
    assert len(server.ledger) == executed
    assert caplog.records == []


async def test_a_drop_sends_not_one_byte(server: SpotServer) -> None:
    server.faults.add("drop_after")

    assert await sent_by(server) == b""


async def test_half_a_body_stops_short_of_its_content_length(server: SpotServer) -> None:
    server.faults.add("half_body")

    head, _, body = (await sent_by(server)).partition(b"\r\n\r\n")

    whole = server.report_files.with_links(server.kits["SPOT123456"].answer()).body
    assert b"HTTP/1.1 200 OK" in head
    assert f"Content-Length: {len(whole)}".encode() in head
    assert body == whole[: len(whole) // 2]
    assert server.requests[0].executed


async def test_a_client_sees_half_a_body_as_a_broken_payload(
    server: SpotServer, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults.add("half_body")

    with caplog.at_level(logging.WARNING), pytest.raises(aiohttp.ClientPayloadError):
        await update(session, server)

    assert caplog.records == []
    assert (await update(session, server))[0] == 200


async def sent_by(server: SpotServer) -> bytes:
    """Send an update by hand and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    body = json.dumps(UPDATE).encode()
    head = f"POST {KIT_PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Token test-token\r\nContent-Length: {len(body)}"
    writer.write(head.encode() + b"\r\n\r\n" + body)
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


async def test_unreadable_broken_and_unknown_answers_are_200_and_executed(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    for name in ("unreadable", "broken_json", "unknown_enum"):
        server.faults.add(name)

    (_, page), (_, broken), (_, unknown) = [await update(session, server) for _ in range(3)]

    assert page.startswith(b"<!DOCTYPE html>")
    with pytest.raises(ValueError, match=r"."):
        json.loads(broken)
    assert json.loads(unknown)["status"] == faults.UNKNOWN_VALUE
    assert [request.status for request in server.executed] == [200, 200, 200]


async def test_a_redirect_can_be_followed_to_nowhere(server: SpotServer, session: aiohttp.ClientSession) -> None:
    server.faults.add("redirect")

    async with session.get(server.url + KIT_PATH) as response:
        assert response.status == 404

    assert [(request.path, request.status) for request in server.requests] == [(KIT_PATH, 302), ("/moved/", 404)]


@pytest.mark.virtual_time
async def test_slow_executes_late_and_a_slow_answer_at_once(server: SpotServer, session: aiohttp.ClientSession) -> None:
    server.faults.add(faults.slow(60), kit_id="SPOT123456")
    server.faults.add(faults.slow_answer(60), kit_id="SPOT234567")

    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(update(session, server, f"/api/v2/kits/{kit_id}/"))
            for kit_id in ("SPOT123456", "SPOT234567")
        ]
        await asyncio.sleep(30)
        assert {request.kit_id: request.executed for request in server.requests} == {
            "SPOT123456": False,
            "SPOT234567": True,
        }
        assert server.in_flight == 2

    assert [call.result()[0] for call in calls] == [200, 200]
    assert [request.ended_at_s for request in server.requests] == [pytest.approx(60), pytest.approx(60)]
    assert (server.in_flight, server.peak_in_flight) == (0, 2)


@pytest.mark.virtual_time
async def test_a_client_that_gave_up_is_executed_all_the_same(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    server.faults.add(faults.slow(10))

    with pytest.raises(TimeoutError):
        async with session.post(server.url + KIT_PATH, json=UPDATE, timeout=aiohttp.ClientTimeout(total=5)):
            pass
    await asyncio.sleep(6)

    assert [entry.metadata for entry in server.ledger] == [UPDATE["metadata"]]


@pytest.mark.virtual_time
async def test_latency_comes_before_every_answer(session: aiohttp.ClientSession) -> None:
    async with SpotServer(latency_s=0.25) as server:
        await update(session, server)
        await update(session, server, "/nowhere")

        assert [request.ended_at_s for request in server.requests] == [pytest.approx(0.25), pytest.approx(0.5)]


@pytest.mark.virtual_time
async def test_above_the_rate_limit_a_429_says_when_to_come_back(session: aiohttp.ClientSession) -> None:
    async with SpotServer(rate_limit=0.4, burst=2) as server:
        statuses = [(await update(session, server))[0] for _ in range(3)]
        async with session.post(server.url + KIT_PATH, json=UPDATE) as response:
            body = await response.json()

        assert statuses == [200, 200, 429]
        assert response.headers["Retry-After"] == "3"
        assert body["error"]["type"] == "rate_limit_exceeded"
        assert len(server.executed) == 2

        await asyncio.sleep(3)
        assert (await update(session, server))[0] == 200


@pytest.mark.virtual_time
async def test_a_throttled_request_uses_up_no_fault(session: aiohttp.ClientSession) -> None:
    plan = FaultPlan()
    async with SpotServer(rate_limit=1, faults=plan) as server:
        await update(session, server)
        plan.add("500")

        assert (await update(session, server))[0] == 429
        await asyncio.sleep(1)
        assert (await update(session, server))[0] == 500


async def test_the_guides_error_form_reaches_the_wire(session: aiohttp.ClientSession) -> None:
    async with SpotServer(error_form="guide") as server:
        _, body = await update(session, server, "/api/v2/kits/SPOTZZZZZZ/")

    assert json.loads(body)["error"]["details"] == ["Kit id SPOTZZZZZZ not found"]


async def test_counts_alone_are_kept_where_requests_are_not(session: aiohttp.ClientSession) -> None:
    async with SpotServer(kits=["A"], keep_requests=False) as server:
        for _ in range(3):
            await update(session, server, "/api/v2/kits/A/")

    assert (server.requests, server.executed, server.ledger) == ([], [], [])
    assert server.counts == {"requests": 3, "executed": 3, "200": 3}
    assert server.kits["A"].metadata == {"cohort": "A"}


async def test_stopping_cuts_what_is_in_flight_at_once(session: aiohttp.ClientSession) -> None:
    server = SpotServer()
    server.faults.add(faults.slow(3600))
    await server.start()
    call = asyncio.create_task(update(session, server))
    await until(server, requests=1)

    async with asyncio.timeout(0.4):
        await server.close()

    with pytest.raises(aiohttp.ClientError):
        await call
    assert (server.requests[0].status, server.executed, server.in_flight) == (None, [], 0)


async def test_a_stopped_server_comes_back_on_its_port_with_its_state(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    url = server.url
    await update(session, server)

    await server.stop()
    with pytest.raises(aiohttp.ClientError):
        await update(session, server)
    await server.start()

    assert server.url == url
    assert (await update(session, server))[0] == 200
    assert [entry.index for entry in server.ledger] == [0, 1]


async def test_waiting_ends_when_the_server_is_stopped() -> None:
    server = SpotServer()
    await server.start()
    waiting = asyncio.create_task(server.wait_stopped())
    await asyncio.sleep(0)
    assert not waiting.done()

    await server.stop()

    async with asyncio.timeout(1):
        await waiting


async def test_a_server_that_never_started_is_closed_without_ado() -> None:
    server = SpotServer()

    await server.close()
    await server.wait_stopped()

    assert repr(server) == "<SpotServer stopped: 3 kits, 0 requests>"
    with pytest.raises(RuntimeError, match="no address before it is started"):
        _ = server.url


async def test_starting_twice_is_refused(server: SpotServer) -> None:
    with pytest.raises(RuntimeError, match="started already"):
        await server.start()


async def test_a_port_in_use_is_an_error_that_leaves_nothing_open(server: SpotServer) -> None:
    second = SpotServer(port=int(server.url.rpartition(":")[2]))

    with pytest.raises(OSError, match="address already in use"):
        await second.start()

    assert repr(second).startswith("<SpotServer stopped")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.com", "", "::"])  # noqa: S104 - refused
def test_a_host_that_is_not_loopback_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        SpotServer(host=host)


@pytest.mark.parametrize(("host", "start"), [("localhost", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
async def test_other_loopback_hosts_are_served(session: aiohttp.ClientSession, host: str, start: str) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("no IPv6 on this machine's loopback")

    async with SpotServer(host=host) as server:
        assert server.url.startswith(start)
        assert (await update(session, server))[0] == 200


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
        return True


def test_a_negative_latency_is_refused() -> None:
    with pytest.raises(ValueError, match="latency_s"):
        SpotServer(latency_s=-1)


async def test_the_repr_shows_neither_token_nor_ids(server: SpotServer) -> None:
    assert repr(server) == f"<SpotServer {server.url}: 3 kits, 0 requests>"


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_request(
    server: SpotServer, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    writer.write(f"POST {KIT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    with caplog.at_level(logging.WARNING):
        assert (await update(session, server))[0] == 200

    assert server.counts == {"requests": 1, "executed": 1, "200": 1}
    assert caplog.records == []


async def test_a_hundred_calls_side_by_side_are_all_answered(
    server: SpotServer, session: aiohttp.ClientSession
) -> None:
    kit_ids = server.kits.add_many(100)

    answers: list[Any] = await asyncio.gather(
        *(update(session, server, f"/api/v2/kits/{kit_id}/") for kit_id in kit_ids)
    )

    assert [json.loads(body)["kit_id"] for _, body in answers] == list(kit_ids)
    assert sorted(entry.kit_id for entry in server.ledger) == sorted(kit_ids)
    assert server.peak_in_flight <= 100
