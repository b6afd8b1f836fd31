"""Requests of the SDK's own sessions: what goes over the wire is the same whoever writes it."""

import asyncio
import runpy
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import requires
from types import MappingProxyType
from typing import Any

import aiohttp
import pytest
from yarl import URL

from spotdx_async._http import fast_request
from spotdx_async._http.fast_request import (
    WriteQueue,
    direct_request,
    has_middlewares,
    is_watched,
    own_session,
    untraced_request,
)
from spotdx_async._http.messages import AttemptState
from spotdx_async._http.sessions import CURRENT, SecondSendingError, Sending

HEADERS = {"Host": "spot.example", "Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "x"}
NOTHING: Mapping[str, str] = MappingProxyType({})
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def known_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_request, "RELEASES", frozenset({aiohttp.__version__}))


@pytest.fixture
async def heard() -> AsyncIterator[tuple[str, list[bytes]]]:
    chunks: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            chunks.append(chunk)
            if chunk.endswith((b"\r\n\r\n", b"}")):
                writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        yield f"http://{host}:{port}", chunks


async def told(url: str, method: str, body: bytes | None) -> None:
    extra = {"Authorization": "Token t"} | ({"Content-Type": "application/json"} if body else {})
    async with own_session(HEADERS, is_single_use=False) as session:
        await asked(session, method, f"{url}/api/v2/kits/", body, extra)


async def asked(
    session: aiohttp.ClientSession, method: str, url: str, body: bytes | None = None, extra: Mapping[str, str] = NOTHING
) -> Sending:
    sending = Sending(AttemptState(), extra, now)
    CURRENT.set(sending)
    async with session.request(method, url, data=body, headers=extra, trace_request_ctx=sending) as response:
        assert await response.read() == b"{}"
    return sending


@pytest.mark.parametrize(("method", "body"), [("POST", b'{"metadata": {}}'), ("GET", None), ("POST", None)])
async def test_a_request_is_the_same_that_aiohttp_would_write(
    heard: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, method: str, body: bytes | None
) -> None:
    url, chunks = heard
    await told(url, method, body)
    ours = b"".join(chunks)
    chunks.clear()
    monkeypatch.setattr(fast_request, "RELEASES", frozenset())

    await told(url, method, body)

    assert sorted(b"".join(chunks).split(b"\r\n")) == sorted(ours.split(b"\r\n"))
    assert ours.startswith(f"{method} /api/v2/kits/ HTTP/1.1\r\nHost: spot.example\r\n".encode())


async def test_head_and_body_go_out_at_once(heard: tuple[str, list[bytes]]) -> None:
    url, chunks = heard

    await told(url, "POST", b'{"metadata": {}}')

    assert len(chunks) == 1


async def test_requests_are_left_to_an_aiohttp_that_is_not_known(
    heard: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, chunks = heard

    async def refuse(_request: object, _connection: object) -> None:
        raise AssertionError

    monkeypatch.setattr(fast_request, "RELEASES", frozenset({"3.14.999"}))
    monkeypatch.setattr(fast_request._OneWrite, "send", refuse)

    await told(url, "POST", b"{}")

    assert chunks


def test_the_lowest_release_that_may_be_installed_is_known() -> None:
    lowest = next(need for need in requires("spotdx-async") or () if need.startswith("aiohttp")).partition(">=")[2]

    # Read anew: the tests are also run with other releases known, or none.
    assert lowest in runpy.run_path(str(fast_request.__file__))["RELEASES"]


class Wire:
    """A protocol and its transport in one, which note what is written."""

    def __init__(self, written: list[bytes]) -> None:
        self.transport: Wire | None = self
        self.closing = False
        self.error: BaseException | None = None
        self.write: Callable[[bytes], object] = written.append

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    def set_exception(self, error: BaseException) -> None:
        self.error = error


async def test_requests_of_one_turn_are_written_together_in_the_next_in_their_order() -> None:
    written: list[bytes] = []
    writes, wires = WriteQueue(), [Wire(written) for _ in range(3)]

    for number, wire in enumerate(wires):
        writes.put(wire, b"%d" % number, Sending(AttemptState(), NOTHING, now))
    at_once = written.copy()
    await asyncio.sleep(0)

    assert (at_once, written) == ([], [b"0", b"1", b"2"])

    writes.put(wires[0], b"later", Sending(AttemptState(), NOTHING, now))
    await asyncio.sleep(0)
    assert written[3:] == [b"later"]


async def test_requests_wait_for_others_only_where_there_are_others(
    heard: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = heard
    queued: list[bytes] = []
    put = WriteQueue.put

    def noted(writes: WriteQueue, protocol: object, request: bytes, sending: Sending) -> None:
        queued.append(request)
        put(writes, protocol, request, sending)

    monkeypatch.setattr(WriteQueue, "put", noted)
    async with own_session(HEADERS, is_single_use=False) as session:

        async def ask(method: str) -> None:
            await asked(session, method, url, b"{}" if method == "POST" else None)

        await asyncio.gather(ask("POST"), ask("GET"))  # leaves two connections, so that the next are ready at once
        queued.clear()
        await ask("POST")
        alone = queued.copy()
        await asyncio.gather(ask("POST"), ask("GET"))

    assert alone == []
    assert len(queued) == 1  # the first of the two found itself alone


async def test_nothing_is_written_to_a_connection_that_was_closed_meanwhile() -> None:
    written: list[bytes] = []
    writes, wires, flights = WriteQueue(), [Wire(written) for _ in range(3)], [AttemptState() for _ in range(3)]

    for wire, attempt_state in zip(wires, flights, strict=True):
        writes.put(wire, b"request", Sending(attempt_state, NOTHING, now))
    lost, closing, _ = wires
    lost.transport, closing.closing = None, True
    before = [attempt_state.may_have_arrived for attempt_state in flights]
    await asyncio.sleep(0)

    assert written == [b"request"]
    assert before == [False, False, False]
    assert [attempt_state.may_have_arrived for attempt_state in flights] == [False, False, True]


@pytest.mark.parametrize("error", [OSError(9, "x"), ZeroDivisionError(), asyncio.CancelledError(), GeneratorExit()])
async def test_a_write_that_raises_ends_its_own_call_and_no_other(error: BaseException) -> None:
    written: list[bytes] = []
    writes, wires, flights = failing_in_the_middle(written, error)

    writes._write()

    assert written == [b"0", b"2"]
    assert [wire.error for wire in wires] == [None, error, None]
    assert [wire.closing for wire in wires] == [False, True, False]
    assert all(attempt_state.may_have_arrived for attempt_state in flights)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
async def test_a_write_that_is_interrupted_goes_to_the_loop_and_the_others_are_written(error: BaseException) -> None:
    written: list[bytes] = []
    writes, wires, _ = failing_in_the_middle(written, error)

    with pytest.raises(type(error)):
        writes._write()
    await asyncio.sleep(0)

    assert written == [b"0", b"2"]
    assert [wire.closing for wire in wires] == [False, True, False]


def failing_in_the_middle(
    written: list[bytes], error: BaseException
) -> tuple[WriteQueue, list[Wire], list[AttemptState]]:
    def fail(_request: bytes) -> None:
        raise error

    writes, wires, flights = WriteQueue(), [Wire(written) for _ in range(3)], [AttemptState() for _ in range(3)]
    wires[1].write = fail
    for number, (wire, attempt_state) in enumerate(zip(wires, flights, strict=True)):
        writes.put(wire, b"%d" % number, Sending(attempt_state, NOTHING, now))
    return writes, wires, flights


async def test_headers_with_control_characters_are_refused(heard: tuple[str, list[bytes]]) -> None:
    url, chunks = heard
    async with own_session(HEADERS, is_single_use=False) as session:
        with pytest.raises(ValueError, match="control character"):
            await asked(session, "POST", url, b"{}", {"X-Note": "a\r\nX-Other: b"})

    assert chunks == []


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_connection_with_bytes_still_to_be_written_is_not_used_again(
    heard: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    url, _ = heard
    used: list[object] = []
    left = 0
    connect = aiohttp.TCPConnector.connect

    async def noted(*args: Any, **options: Any) -> Any:
        connection = await connect(*args, **options)
        monkeypatch.setattr(type(connection.transport), "get_write_buffer_size", lambda _transport: left)
        used.append(connection.protocol)
        return connection

    if not is_known:
        monkeypatch.setattr(fast_request, "RELEASES", frozenset())
    monkeypatch.setattr(aiohttp.TCPConnector, "connect", noted)
    async with own_session(HEADERS, is_single_use=False) as session:
        await asked(session, "POST", url, b"{}")
        await asked(session, "POST", url, b"{}")
        left = 1
        await asked(session, "POST", url, b"{}")

    first, second, kept, new = used
    assert first is second is kept
    assert new is not kept


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"{}"), ("PATCH", b"{ }")])
async def test_past_aiohttp_s_session_the_same_is_sent(
    heard: tuple[str, list[bytes]], method: str, body: bytes | None
) -> None:
    url, chunks = heard
    async with own_session(HEADERS, is_single_use=False) as session:
        for extra in ({"Authorization": "Token t"}, {"Authorization": "Token u", "X-Note": "é"}):
            await asked(session, method, f"{url}/a%2Fb/?c=%20", body, extra)
            sending = Sending(AttemptState(), extra, now)
            CURRENT.set(sending)
            direct = direct_request(session, method, body)
            assert direct is not None
            response = await direct(URL(url), "/a%2Fb/?c=%20", body, (aiohttp.ClientTimeout(), 1024))
            assert (response.status, await response.read(), sending.is_written) == (200, b"{}", True)

    assert chunks[0::2] == chunks[1::2]
    assert len(chunks) == 4


async def test_a_path_with_control_characters_is_refused(heard: tuple[str, list[bytes]]) -> None:
    url, chunks = heard
    async with own_session(HEADERS, is_single_use=False) as session:
        CURRENT.set(Sending(AttemptState(), NOTHING, now))
        direct = direct_request(session, "GET", None)
        assert direct is not None
        with pytest.raises(ValueError, match="control character"):
            await direct(URL(url), "/a HTTP/1.1\r\nX-Other: b", None, (aiohttp.ClientTimeout(), 1024))

    assert chunks == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_aiohttp_s_session_is_used_where_it_may_do_something(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    body = None if method == "GET" else b"{}"
    async with own_session(HEADERS, is_single_use=False) as session:
        assert direct_request(session, method, body) is not None
        assert direct_request(session, "HEAD", None) is direct_request(session, "POST", b" " * 70_000) is None
        session.trace_configs.append(aiohttp.TraceConfig())
        assert direct_request(session, method, body) is None
        session.trace_configs.clear()
        monkeypatch.setattr(session, "_middlewares", (object(),))
        assert direct_request(session, method, body) is None
        monkeypatch.setattr(session, "_middlewares", ())
        with monkeypatch.context() as patched:
            wrapped_request(patched)
            assert direct_request(session, method, body) is None
        assert direct_request(session, method, body) is not None

    monkeypatch.setattr(fast_request, "RELEASES", frozenset())
    async with own_session(HEADERS, is_single_use=False) as session:
        assert direct_request(session, method, body) is None


# What products that trace put in


Patch = Callable[[pytest.MonkeyPatch], None]


def wrapped_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ddtrace and Elastic do."""
    request = aiohttp.ClientSession._request

    async def traced(self: aiohttp.ClientSession, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        headers = {**(options.pop("headers", None) or {}), "x-vendor-trace-id": "1", "Accept": "vendor/*"}
        return await request(self, *args, **options, headers=headers)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", traced)


def added_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Sentry and OpenTelemetry do."""
    init = aiohttp.ClientSession.__init__

    async def add(_session: object, _context: object, params: Any) -> None:
        params.headers["x-vendor-trace-id"] = "1"
        params.headers.add("baggage", "a=b")
        params.headers.add("baggage", "c=d")

    def traced(self: aiohttp.ClientSession, *args: Any, **options: Any) -> None:
        config = aiohttp.TraceConfig()
        config.on_request_start.append(add)
        config.on_request_headers_sent.append(add)
        options["trace_configs"] = [*(options.get("trace_configs") or []), config]
        options["headers"] = {**(options.get("headers") or {}), "x-vendor-session": "1"}
        init(self, *args, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", traced)


def wrapped_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """As New Relic does."""
    send = aiohttp.ClientRequest.send

    async def traced(self: aiohttp.ClientRequest, conn: Any) -> aiohttp.ClientResponse:
        self.headers["x-vendor-trace-id"] = "1"
        return await send(self, conn)

    monkeypatch.setattr(aiohttp.ClientRequest, "send", traced)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("size", [20, 100_000])
@pytest.mark.parametrize("is_single_use", [False, True])
async def test_our_sessions_send_what_we_send_whatever_product_traces(
    heard: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, size: int, *, is_known: bool, is_single_use: bool
) -> None:
    url, chunks = heard
    body, ours = b"{%b}" % (b" " * (size - 2)), {"Authorization": "Token t", "Content-Type": "application/json"}
    monkeypatch.setattr(fast_request, "RELEASES", {aiohttp.__version__} if is_known else frozenset())
    monkeypatch.setattr(fast_request, "_LARGE_BODY", 1000)
    async with own_session(HEADERS, is_single_use=is_single_use) as session:
        await asked(session, "POST", f"{url}/x", body, ours)
    untraced = b"".join(chunks)
    chunks.clear()
    for patch in (wrapped_request, added_hooks, wrapped_send):
        patch(monkeypatch)

    async with own_session(HEADERS, is_single_use=is_single_use) as session:
        sending = await asked(session, "POST", f"{url}/x", body, ours)

    assert sorted(b"".join(chunks).split(b"\r\n")) == sorted(untraced.split(b"\r\n"))
    assert b"vendor" not in untraced
    assert b"Authorization: Token t" in untraced
    assert sending.is_written


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_wraps_aiohttp_and_repeats_is_kept_from_it(
    heard: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    url, chunks = heard
    request = aiohttp.ClientSession._request

    async def twice(self: aiohttp.ClientSession, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        (await request(self, *args, **options)).release()
        return await request(self, *args, **options)

    monkeypatch.setattr(fast_request, "RELEASES", {aiohttp.__version__} if is_known else frozenset())
    monkeypatch.setattr(aiohttp.ClientSession, "_request", twice)
    async with own_session(HEADERS, is_single_use=True) as session:
        with pytest.raises(SecondSendingError):
            await asked(session, "POST", url, b"{}")

    assert b"".join(chunks).count(b"HTTP/1.1") == 1


def test_nothing_is_written_for_an_attempt_that_has_ended() -> None:
    sending = Sending(AttemptState(), {"Authorization": "Token t"}, lambda: 0.0)
    CURRENT.set(sending)

    sending.end()

    with pytest.raises(SecondSendingError):
        sending.check_first()
    assert (sending.headers, CURRENT.get()) == (None, None)


# Questions that aiohttp answers in no public way


@pytest.mark.parametrize("name", ["_request_class", "_request"])
async def test_a_session_that_cannot_be_asked_is_not_watched(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    async with aiohttp.ClientSession() as session:
        assert is_watched(session)

        monkeypatch.delattr(session if name == "_request_class" else aiohttp.ClientSession, name)

        assert not is_watched(session)


async def test_a_session_that_cannot_be_asked_may_have_middlewares(monkeypatch: pytest.MonkeyPatch) -> None:
    async with aiohttp.ClientSession() as session:
        assert not has_middlewares(session)

        monkeypatch.delattr(session, "_middlewares")

        assert has_middlewares(session)


async def test_where_aiohttp_has_its_own_request_elsewhere_the_public_one_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with aiohttp.ClientSession() as session:
        monkeypatch.delattr(aiohttp.ClientSession, "_request")

        assert untraced_request(session) == session.request
