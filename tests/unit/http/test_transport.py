"""What the transport asks of aiohttp and makes of what aiohttp says, with aiohttp's requests mocked.

What only real sockets can show is in ``test_transport_sockets.py``.
"""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses
from yarl import URL

from spotdx_async._http.messages import AttemptState, Reply, Request, Token, TransportFailure
from spotdx_async._http.transport import Transport

BASE = "https://spot.example/root"
TOKEN = Token("canary-token")
UPDATE = Request(
    "POST /api/v2/kits/{kit_id}/", "POST", "/api/v2/kits/SPOT%2F1/", body=b'{"metadata":{}}', is_replay_safe=True
)
CREATE = Request("POST /api/v2/orders/", "POST", "/api/v2/orders/", body=b"{}")
LIST = Request(
    "GET /api/v2/kits/", "GET", "/api/v2/kits/", query="email=a%40b.example&results=100", is_replay_safe=True
)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(BASE, max_body_bytes=1000, user_agent="test/1")
    yield made
    await made.close()


async def send(transport: Transport, request: Request) -> Reply | TransportFailure:
    return await transport.send(request, TOKEN, 5.0, AttemptState())


def asked(mock: aioresponses) -> tuple[str, URL, dict[str, Any]]:
    """The one request that was made."""
    (((method, url), (call,)),) = mock.requests.items()
    return method, url, call.kwargs


async def test_path_and_query_go_out_as_they_were_encoded(
    aioresponses_mock: aioresponses, transport: Transport
) -> None:
    aioresponses_mock.get(f"{BASE}/api/v2/kits/?{LIST.query}", payload=[])

    await send(transport, LIST)

    method, url, _ = asked(aioresponses_mock)
    assert (method, url.raw_path) == ("GET", "/root/api/v2/kits/")
    assert dict(url.query) == {"email": "a@b.example", "results": "100"}


async def test_the_token_and_the_kinds_of_content_stand_in_the_headers(
    aioresponses_mock: aioresponses, transport: Transport
) -> None:
    aioresponses_mock.post(URL(BASE + UPDATE.path, encoded=True), payload={})

    await send(transport, UPDATE)

    headers = asked(aioresponses_mock)[2]["headers"]
    assert headers["Authorization"] == "Token canary-token"
    assert headers["Content-Type"] == headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("test/1 python/")
    assert "Connection" not in headers


async def test_a_create_asks_for_a_connection_of_its_own(aioresponses_mock: aioresponses, transport: Transport) -> None:
    aioresponses_mock.post(f"{BASE}/api/v2/orders/", payload={}, status=201)

    reply = await send(transport, CREATE)

    assert isinstance(reply, Reply)
    assert asked(aioresponses_mock)[2]["headers"]["Connection"] == "close"


async def test_redirects_are_left_to_the_verdict(aioresponses_mock: aioresponses, transport: Transport) -> None:
    aioresponses_mock.post(f"{BASE}/api/v2/orders/", status=307, headers={"Location": "https://elsewhere.example/"})

    reply = await send(transport, CREATE)

    assert isinstance(reply, Reply)
    assert reply.status == 307
    assert asked(aioresponses_mock)[2]["allow_redirects"] is False


async def test_aiohttp_times_new_connections_alone(aioresponses_mock: aioresponses, transport: Transport) -> None:
    aioresponses_mock.post(f"{BASE}/api/v2/orders/", payload={})

    await transport.send(CREATE, TOKEN, 7.25, AttemptState())

    assert asked(aioresponses_mock)[2]["timeout"] == aiohttp.ClientTimeout(connect=10.0, ceil_threshold=float("inf"))


@pytest.mark.parametrize("status", [200, 201, 400, 404, 429, 503])
async def test_every_status_is_a_reply(aioresponses_mock: aioresponses, transport: Transport, status: int) -> None:
    aioresponses_mock.post(f"{BASE}/api/v2/orders/", status=status, body=b'{"a":1}', headers={"Retry-After": "3"})

    reply = await send(transport, CREATE)

    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, b'{"a":1}', "3")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (aiohttp.ServerDisconnectedError(), "dropped"),
        (aiohttp.ClientOSError(104, "canary reset"), "dropped"),
        (aiohttp.ClientPayloadError("canary"), "dropped"),
        (TimeoutError("canary"), "timeout"),
        (aiohttp.ServerTimeoutError("canary"), "timeout"),
        (ConnectionRefusedError(111, "canary"), "dropped"),
        (ValueError("canary of aiohttp's own checks"), "dropped"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
async def test_each_failure_is_a_trouble_that_shows_nothing(
    aioresponses_mock: aioresponses, transport: Transport, error: Exception, reason: str
) -> None:
    aioresponses_mock.post(f"{BASE}/api/v2/orders/", exception=error)

    trouble = await send(transport, CREATE)

    assert isinstance(trouble, TransportFailure)
    assert (trouble.reason, trouble.may_have_arrived) == (reason, True)  # of a mock nobody knows what it sent
    assert "canary" not in repr(trouble)


@pytest.mark.parametrize("error", [RuntimeError("Session is closed"), LookupError("of a signal"), GeneratorExit()])
async def test_what_is_none_of_the_network_s_gets_out_as_it_is(
    aioresponses_mock: aioresponses, transport: Transport, error: Exception
) -> None:
    aioresponses_mock.post(f"{BASE}/api/v2/orders/", exception=error)
    attempt_state = AttemptState()

    with pytest.raises(type(error)) as caught:
        await transport.send(CREATE, TOKEN, 5.0, attempt_state)

    assert caught.value is error
    assert attempt_state.may_have_arrived is True


async def test_a_success_over_the_cap_is_a_lasting_trouble(
    aioresponses_mock: aioresponses, transport: Transport
) -> None:
    aioresponses_mock.post(f"{BASE}/api/v2/orders/", body=b"x" * 1001)

    trouble = await send(transport, CREATE)

    assert isinstance(trouble, TransportFailure)
    assert (trouble.reason, trouble.is_lasting, trouble.status) == ("too large", True, 200)
