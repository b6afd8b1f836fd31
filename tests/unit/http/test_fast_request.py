"""Sessions of the SDK's own: what goes over the wire is the same whoever writes it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any

import aiohttp
import pytest

from spotdx_async._http import fast_request
from spotdx_async._http.fast_request import WriteQueue, pooled_session, request_class, single_use_session
from spotdx_async._http.messages import AttemptState
from spotdx_async._http.sessions import CURRENT, SecondSendingError, Sending

HEADERS = {"Host": "spot.example", "Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "x"}
NOTHING: Mapping[str, str] = MappingProxyType({})
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


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
    async with pooled_session(HEADERS) as session:
        await asked(session, method, f"{url}/api/v2/kits/", body, extra)


async def asked(
    session: aiohttp.ClientSession, method: str, url: str, body: bytes | None = None, extra: Mapping[str, str] = NOTHING
) -> Sending:
    sending = Sending(AttemptState(), extra)
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
    monkeypatch.setattr(fast_request, "_KNOWN", "another release")

    await told(url, method, body)

    assert sorted(b"".join(chunks).split(b"\r\n")) == sorted(ours.split(b"\r\n"))
    assert ours.startswith(f"{method} /api/v2/kits/ HTTP/1.1\r\nHost: spot.example\r\n".encode())


async def test_head_and_body_go_out_at_once(heard: tuple[str, list[bytes]]) -> None:
    url, chunks = heard

    await told(url, "POST", b'{"metadata": {}}')

    assert len(chunks) == 1


def test_requests_are_left_to_an_aiohttp_that_is_not_known() -> None:
    assert request_class("3.15.0") is aiohttp.ClientRequest
    assert request_class(aiohttp.__version__) is not aiohttp.ClientRequest


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
        writes.put(wire, b"%d" % number, Sending(AttemptState(), NOTHING))
    at_once = written.copy()
    await asyncio.sleep(0)

    assert (at_once, written) == ([], [b"0", b"1", b"2"])

    writes.put(wires[0], b"later", Sending(AttemptState(), NOTHING))
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
    async with pooled_session(HEADERS) as session:

        async def ask(method: str) -> None:
            await asked(session, method, url, b"{}" if method == "POST" else None)

        await asyncio.gather(ask("POST"), ask("GET"))  # leaves two fast_request, so that the next are ready at once
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
        writes.put(wire, b"request", Sending(attempt_state, NOTHING))
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
        writes.put(wire, b"%d" % number, Sending(attempt_state, NOTHING))
    return writes, wires, flights


async def test_headers_with_control_characters_are_refused(heard: tuple[str, list[bytes]]) -> None:
    url, chunks = heard
    async with pooled_session(HEADERS) as session:
        with pytest.raises(ValueError, match="control character"):
            await asked(session, "POST", url, b"{}", {"X-Note": "a\r\nX-Other: b"})

    assert chunks == []


async def test_a_connection_with_bytes_still_to_be_written_is_not_kept(
    heard: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = heard
    used: list[object] = []
    async with pooled_session(HEADERS) as session:
        connector: Any = session.connector
        write = connector.write

        def noted(protocol: Any, request: bytes, sending: Sending) -> None:
            used.append(protocol)
            monkeypatch.setattr(type(protocol.transport), "get_write_buffer_size", lambda _transport: next(left))
            write(protocol, request, sending)

        monkeypatch.setattr(connector, "write", noted)
        left = iter((0, 1, 0))
        for _ in range(3):
            await asked(session, "POST", url, b"{}")

    assert used[0] is used[1]
    assert used[1] is not used[2]


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


@pytest.mark.parametrize("known", ["3.14.", "another release"])
@pytest.mark.parametrize("size", [20, 100_000])
@pytest.mark.parametrize("make", [pooled_session, single_use_session])
async def test_our_sessions_send_what_we_send_whatever_product_traces(
    heard: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, known: str, size: int, make: Any
) -> None:
    url, chunks = heard
    body, ours = b"{%b}" % (b" " * (size - 2)), {"Authorization": "Token t", "Content-Type": "application/json"}
    monkeypatch.setattr(fast_request, "_KNOWN", known)
    monkeypatch.setattr(fast_request, "_LARGE_BODY", 1000)
    async with make(HEADERS) as session:
        await asked(session, "POST", f"{url}/x", body, ours)
    untraced = b"".join(chunks)
    chunks.clear()
    for patch in (wrapped_request, added_hooks, wrapped_send):
        patch(monkeypatch)

    async with make(HEADERS) as session:
        sending = await asked(session, "POST", f"{url}/x", body, ours)

    assert sorted(b"".join(chunks).split(b"\r\n")) == sorted(untraced.split(b"\r\n"))
    assert b"vendor" not in untraced
    assert b"Authorization: Token t" in untraced
    assert sending.is_written


@pytest.mark.parametrize("known", ["3.14.", "another release"])
async def test_what_wraps_aiohttp_and_repeats_is_kept_from_it(
    heard: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    url, chunks = heard
    request = aiohttp.ClientSession._request

    async def twice(self: aiohttp.ClientSession, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        (await request(self, *args, **options)).release()
        return await request(self, *args, **options)

    monkeypatch.setattr(fast_request, "_KNOWN", known)
    monkeypatch.setattr(aiohttp.ClientSession, "_request", twice)
    async with single_use_session(HEADERS) as session:
        with pytest.raises(SecondSendingError):
            await asked(session, "POST", url, b"{}")

    assert b"".join(chunks).count(b"HTTP/1.1") == 1


def test_nothing_is_written_for_an_attempt_that_has_ended() -> None:
    sending = Sending(AttemptState(), {"Authorization": "Token t"})
    CURRENT.set(sending)

    sending.end()

    with pytest.raises(SecondSendingError):
        sending.check_first()
    assert (sending.headers, CURRENT.get()) == (None, None)
