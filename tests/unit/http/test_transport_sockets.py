"""The transport against real sockets on loopback: what surely did not arrive, what may have, and what is read."""

import asyncio
import contextlib
import errno
import gzip
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import traceback
import tracemalloc
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import HttpResponseParserPy

from spotdx_async._http import fast_request
from spotdx_async._http.downloads import FileDownload
from spotdx_async._http.links import AllowedHosts
from spotdx_async._http.messages import AttemptState, Reply, Request, Token, TransportFailure
from spotdx_async._http.transport import Transport
from spotdx_async.errors import ConfigError, FailureCause
from tests.patience import until

UPDATE = Request(operation="POST /x/", method="POST", path="/x/", body=b'{"a":1}', is_replay_safe=True)
CREATE = Request(operation="POST /y/", method="POST", path="/y/", body=b"{}", is_replay_safe=False)
GET = Request(operation="GET /z/", method="GET", path="/z/", is_replay_safe=True)
EACH_KIND = pytest.mark.parametrize("request_", [UPDATE, CREATE, GET], ids=["update", "create", "get"])
TOKEN = Token("canary-token")

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes = b"{}", *headers: str, status: str = "200 OK", length: int | None = -1) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Scripted:
    """A server of raw bytes: each request is answered by the next script, the last one again and again."""

    def __init__(self) -> None:
        self.scripts: list[bytes | Play] = [answer()]
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""
        self.gone = asyncio.Event()

    def play(self, *scripts: bytes | Play) -> None:
        self.scripts = list(scripts)

    @property
    def heads(self) -> list[str]:
        return [request.partition(b"\r\n\r\n")[0].decode("latin-1") for request in self.requests]

    def headers(self, index: int = -1) -> dict[str, str]:
        return dict(line.split(": ", 1) for line in self.heads[index].split("\r\n")[1:])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await _read_request(reader))
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                if callable(script):
                    return await script(reader, writer)
                writer.write(script)
                await writer.drain()
                if b"\r\nContent-Length" not in script and b"chunked" not in script:
                    return None
        finally:
            self.gone.set()


@contextlib.asynccontextmanager
async def listening(play: Play, scheme: str = "http", **options: Any) -> AsyncIterator[str]:
    """Listen on loopback, and leave no connection behind."""
    tasks: set[asyncio.Task[Any] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await play(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        writer.close()
        # Cancelled here too at the end: before Python 3.12 asyncio logs a handler that ends as cancelled.
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, **options) as listener:
        yield f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        for task in tasks:
            assert task is not None
            task.cancel()
        await asyncio.gather(*filter(None, tasks))


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing until the client goes."""
    await reader.read()


async def drop(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Close without a word."""


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def then_drop(text: bytes) -> Play:
    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return play


def then_hang(text: bytes) -> Play:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        await reader.read()

    return play


def endless(head: bytes, piece: bytes) -> Play:
    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(100_000):
            writer.write(piece)
            await writer.drain()

    return play


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    async with listening(scripted.serve) as scripted.url:
        yield scripted


@pytest.fixture(autouse=True)
async def no_loose_ends() -> AsyncIterator[None]:
    found: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: found.append(context))
    yield
    assert found == []


@pytest.fixture
async def open_transport() -> AsyncIterator[Callable[..., Transport]]:
    opened: list[Transport] = []

    def make(url: str, **options: Any) -> Transport:
        opened.append(Transport(url, **{"max_body_bytes": 1024 * 1024, "user_agent": "test/1", **options}))
        return opened[-1]

    yield make
    for transport in opened:
        await transport.close()


@pytest.fixture
def transport(server: Scripted, open_transport: Callable[..., Transport]) -> Transport:
    return open_transport(server.url)


async def send(transport: Transport, request: Request = UPDATE, timeout_s: float = 5.0) -> Reply | TransportFailure:
    return await transport.send(request, TOKEN, timeout_s, AttemptState())


def attrs_of(cause: FailureCause) -> list[Any]:
    return [cause.cause_type, cause.errno, cause.tls_reason, cause.proxy_status]


async def failure_of(transport: Transport, request: Request = UPDATE, timeout_s: float = 5.0) -> TransportFailure:
    result = await send(transport, request, timeout_s)
    assert isinstance(result, TransportFailure), result
    cause = result.cause or FailureCause()
    facts = [*attrs.asdict(attrs.evolve(result, cause=None)).values(), *attrs_of(cause)]
    assert all(isinstance(value, (str, bool, int, type(None))) for value in facts)
    assert "canary" not in repr(result)
    return result


async def reply_of(transport: Transport, request: Request = UPDATE, timeout_s: float = 5.0) -> Reply:
    result = await send(transport, request, timeout_s)
    assert isinstance(result, Reply), result
    return result


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port where a connection is neither taken nor refused: the queue of those who wait is full."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


# What is sent


async def test_a_request_with_a_body_is_sent_byte_by_byte(server: Scripted, transport: Transport) -> None:
    await reply_of(transport, attrs.evolve(UPDATE, path="/api/v2/kits/a%2Fb%25/", query="email=a%2Bb%20c&x="))

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v2/kits/a%2Fb%25/?email=a%2Bb%20c&x= HTTP/1.1\r\n")
    assert body == b'{"a":1}'
    headers = server.headers()
    assert re.fullmatch(r"test/1 python/3\.\d+\.\S+ aiohttp/\d\S+", headers.pop("User-Agent"))
    assert headers == {
        "Host": server.url.removeprefix("http://"),
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "Authorization": "Token canary-token",
        "Content-Type": "application/json",
        "Content-Length": "7",
    }


async def test_a_request_without_a_body_names_no_content(server: Scripted, transport: Transport) -> None:
    await reply_of(transport, GET)

    assert server.heads[0].startswith("GET /z/ HTTP/1.1\r\n")
    assert not {"Content-Type", "Content-Length", "Transfer-Encoding"} & server.headers().keys()


@pytest.mark.parametrize(
    ("prefix", "path", "query", "target"),
    [
        ("", "/api/v2/kit_types", "", "/api/v2/kit_types"),
        ("/proxy/v1", "/api/", "", "/proxy/v1/api/"),
        ("/proxy/v1", "/api/", "a=b", "/proxy/v1/api/?a=b"),
        ("/a%2Fb", "/api/", "", "/a%2Fb/api/"),
        ("", "//x/", "", "//x/"),
        ("", "//x/", "a=b", "//x/?a=b"),
        ("", "/%2e%2e/x", "", "/%2e%2e/x"),
        ("", "/%2e%2e/x", "a=%2e", "/%2e%2e/x?a=%2e"),
        ("", "/a:b@c;d=e,f!g$h&i'j(k)l*m+n~o", "", "/a:b@c;d=e,f!g$h&i'j(k)l*m+n~o"),
        ("", "/%F0%9F%A7%AA%20%7B/", "q=%C3%BC%26%3D%2F", "/%F0%9F%A7%AA%20%7B/?q=%C3%BC%26%3D%2F"),
        ("", "/x", "q=a+b:c/d?e", "/x?q=a+b:c/d?e"),
    ],
)
async def test_the_target_arrives_as_it_was_encoded(
    server: Scripted, open_transport: Callable[..., Transport], *, prefix: str, path: str, query: str, target: str
) -> None:
    transport = open_transport(server.url + prefix)

    await reply_of(transport, attrs.evolve(GET, path=path, query=query))

    assert server.heads[0].split("\r\n")[0] == f"GET {target} HTTP/1.1"


@pytest.mark.parametrize("size", [1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024])
async def test_a_large_body_is_sent_whole_and_without_a_warning(
    server: Scripted, transport: Transport, size: int
) -> None:
    body = b'"' + b"x" * (size - 2) + b'"'

    await reply_of(transport, attrs.evolve(UPDATE, body=body))

    assert server.requests[0].endswith(b"\r\n\r\n" + body)
    assert server.headers()["Content-Length"] == str(size)
    assert server.headers()["Content-Type"] == "application/json"


async def test_cookies_are_not_kept(server: Scripted, transport: Transport) -> None:
    server.play(answer(b"{}", "Set-Cookie: a=b; Path=/"))

    for request in (UPDATE, UPDATE, GET, CREATE):
        await reply_of(transport, request)

    assert not [head for head in server.heads if "cookie" in head.lower()]


async def test_proxies_and_netrc_of_the_environment_are_ignored(
    server: Scripted, transport: Transport, closed_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert (await reply_of(transport)).status == 200
    assert server.headers()["Authorization"] == "Token canary-token"


# Connections


async def test_what_is_safe_to_repeat_goes_over_kept_connections(server: Scripted, transport: Transport) -> None:
    for request in (UPDATE, GET, UPDATE):
        await reply_of(transport, request)

    assert (server.connections, len(server.requests)) == (1, 3)


async def test_a_create_goes_over_a_connection_of_its_own(server: Scripted, transport: Transport) -> None:
    await reply_of(transport, UPDATE)
    for _ in range(3):
        await reply_of(transport, CREATE)
    await reply_of(transport, UPDATE)

    assert (server.connections, len(server.requests)) == (4, 5)
    assert server.headers(1)["Connection"] == "close"


async def test_a_hundred_at_once_have_a_hundred_connections(server: Scripted, transport: Transport) -> None:
    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 150:
            all_there.set()
        await all_there.wait()
        writer.write(answer())

    all_there = asyncio.Event()
    server.play(slow)

    replies = await asyncio.gather(*(reply_of(transport) for _ in range(150)))

    assert len(replies) == 150


async def test_a_transport_can_be_used_again_after_closing(server: Scripted, transport: Transport) -> None:
    await reply_of(transport)
    await transport.close()
    await transport.close()

    assert (await reply_of(transport)).status == 200
    assert server.connections == 2


async def test_a_forked_child_leaves_the_parent_s_connections_alone(server: Scripted, transport: Transport) -> None:
    await reply_of(transport, UPDATE)
    await reply_of(transport, CREATE)
    parents = [session for session in (transport._pooled, transport._single_use) if session is not None]

    transport.leave_to_parent()

    assert (await reply_of(transport)).status == 200
    assert server.connections == 3
    assert len(parents) == 2
    assert not any(session.closed for session in parents)
    for session in parents:
        await session.close()


# Surely not executed


@EACH_KIND
async def test_a_refused_connection(
    open_transport: Callable[..., Transport], closed_port: int, request_: Request
) -> None:
    trouble = await failure_of(open_transport(f"http://127.0.0.1:{closed_port}"), request_)

    assert (trouble.reason, trouble.may_have_arrived, trouble.is_lasting) == ("refused", False, False)


async def test_a_refused_connection_where_a_name_has_two_addresses(
    open_transport: Callable[..., Transport], closed_port: int
) -> None:
    trouble = await failure_of(open_transport(f"http://localhost:{closed_port}"))

    assert (trouble.reason, trouble.may_have_arrived) == ("refused", False)


@EACH_KIND
async def test_a_connection_that_is_never_taken(
    open_transport: Callable[..., Transport], full_port: int, request_: Request
) -> None:
    trouble = await failure_of(open_transport(f"http://127.0.0.1:{full_port}"), request_, 0.1)

    assert (trouble.reason, trouble.may_have_arrived, trouble.is_lasting) == ("timeout", False, False)


@EACH_KIND
async def test_a_name_that_is_not_found(
    open_transport: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, request_: Request
) -> None:
    def not_found(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "canary")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)

    trouble = await failure_of(open_transport("https://spot.invalid"), request_)

    assert (trouble.reason, trouble.may_have_arrived, trouble.is_lasting) == ("dns", False, False)


async def test_a_name_server_that_does_not_answer(
    open_transport: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*_args: Any, **_options: Any) -> Any:
        await asyncio.sleep(3600)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", slow)

    trouble = await failure_of(open_transport("https://spot.invalid"), UPDATE, 0.05)

    assert (trouble.reason, trouble.may_have_arrived) == ("timeout", False)


async def test_a_port_that_nobody_can_have(open_transport: Callable[..., Transport]) -> None:
    trouble = await failure_of(open_transport("http://127.0.0.1:0"))

    assert trouble.may_have_arrived is False


# May have been executed


@EACH_KIND
@pytest.mark.parametrize("play", [drop, reset], ids=["drop", "reset"])
async def test_a_connection_that_is_dropped_after_the_request(
    server: Scripted, transport: Transport, request_: Request, play: Play
) -> None:
    server.play(play)

    trouble = await failure_of(transport, request_)

    assert trouble == TransportFailure("dropped", trouble.message, may_have_arrived=True, cause=trouble.cause)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "POST"])
@pytest.mark.parametrize("body", [None, b"{}"])
@pytest.mark.parametrize("is_replay_safe", [True, False])
async def test_one_attempt_is_one_request_whatever_the_method(
    server: Scripted, transport: Transport, method: str, body: bytes | None, *, is_replay_safe: bool
) -> None:
    server.play(drop)
    request = Request(operation="x", method=method, path="/x", body=body, is_replay_safe=is_replay_safe)

    trouble = await failure_of(transport, request)

    assert trouble.may_have_arrived
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_one_attempt_is_one_request_over_a_kept_connection_too(
    server: Scripted, transport: Transport, method: str
) -> None:
    server.play(answer(), drop)
    request = attrs.evolve(GET, method=method)
    await reply_of(transport, request)

    trouble = await failure_of(transport, request)

    assert trouble.reason == "dropped"
    assert len(server.requests) == 2
    assert server.connections == 1


@pytest.mark.parametrize("releases", [{aiohttp.__version__}, set()], ids=["written by us", "written by aiohttp"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_a_broken_connection_is_told_alike_whoever_writes_the_request(
    server: Scripted, transport: Transport, monkeypatch: pytest.MonkeyPatch, releases: set[str], method: str
) -> None:
    async def reset_hard(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    monkeypatch.setattr(fast_request, "RELEASES", releases)
    server.play(reset_hard)

    trouble = await failure_of(transport, attrs.evolve(GET, method=method))

    assert trouble.message == "the connection broke before a whole answer came"
    assert trouble.cause == FailureCause("ConnectionResetError", errno.ECONNRESET)
    assert server.connections == 1


@EACH_KIND
async def test_a_connection_that_is_taken_and_closed_unread(
    open_transport: Callable[..., Transport], request_: Request
) -> None:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(close) as url:
        trouble = await failure_of(open_transport(url), request_)

    assert (trouble.reason, trouble.may_have_arrived) == ("dropped", True)


@EACH_KIND
async def test_an_answer_that_does_not_come_in_time(server: Scripted, transport: Transport, request_: Request) -> None:
    server.play(hang)

    trouble = await failure_of(transport, request_, 0.05)

    assert trouble == TransportFailure("timeout", trouble.message, may_have_arrived=True, cause=trouble.cause)
    await server.gone.wait()


async def test_a_fraction_of_a_second_is_a_timeout_like_any_other(server: Scripted, transport: Transport) -> None:
    server.play(hang)
    loop = asyncio.get_running_loop()
    start = loop.time()

    await failure_of(transport, UPDATE, 0.3)

    assert 0.29 < loop.time() - start < 0.8


async def test_a_slow_drip_is_bounded_by_the_whole_timeout(server: Scripted, transport: Transport) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", length=1000))
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.play(drip)

    trouble = await failure_of(transport, UPDATE, 0.1)

    assert (trouble.reason, trouble.may_have_arrived, trouble.status) == ("timeout", True, 200)


@pytest.mark.parametrize(
    "text",
    [
        b"\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Length: canary\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"\x16\x03\x01\x00\x05",
    ],
    ids=lambda text: repr(text[:40]),
)
@pytest.mark.parametrize("parser", ["of the installation", "in Python"])
async def test_an_answer_that_is_no_http(
    server: Scripted, transport: Transport, text: bytes, parser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if parser == "in Python":  # what there is where aiohttp's extensions are not
        monkeypatch.setattr("aiohttp.client_proto.HttpResponseParser", HttpResponseParserPy)
    server.play(then_drop(text))

    trouble = await failure_of(transport)

    assert (trouble.reason, trouble.may_have_arrived, trouble.is_lasting) == ("dropped", True, False)


@pytest.mark.parametrize(
    "text",
    [
        answer(b"{", length=100),
        answer(b"", length=1),
        answer(b"5\r\n{}", "Transfer-Encoding: chunked", length=None),
        answer(b"2\r\n{}\r\n", "Transfer-Encoding: chunked", length=None),
        answer(gzip.compress(b"x" * 1000, mtime=0)[:-9], "Content-Encoding: gzip", length=500),
        answer(b"canary, no gzip", "Content-Encoding: gzip"),
    ],
    ids=lambda text: repr(text[-30:]),
)
async def test_a_body_that_breaks_off_or_cannot_be_unpacked(
    server: Scripted, transport: Transport, text: bytes
) -> None:
    server.play(then_drop(text))

    for request in (UPDATE, CREATE):
        trouble = await failure_of(transport, request)
        assert (trouble.reason, trouble.may_have_arrived, trouble.status) == ("dropped", True, 200)


# Whole answers


async def test_a_whole_answer_comes_back(server: Scripted, transport: Transport) -> None:
    server.play(answer(b'{"kit_id": "x"}', "X-Request-Id: 7", status="201 Created"))

    reply = await reply_of(transport)

    assert (reply.status, reply.body, reply.headers["x-request-id"]) == (201, b'{"kit_id": "x"}', "7")


@pytest.mark.parametrize(
    "text",
    [
        answer(b"{}"),
        answer(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked", length=None),
        answer(b"{}", "Connection: close", length=None),
        answer(gzip.compress(b"{}", mtime=0), "Content-Encoding: gzip"),
        answer(zlib.compress(b"{}"), "Content-Encoding: deflate"),
        answer(b"{}", "Content-Encoding: identity"),
        answer(b"{}", "Content-Encoding: x-unknown"),
        answer(b"{}", "Content-Type: text/html; charset=latin-1"),
    ],
    ids=lambda text: repr(text[17:60]),
)
async def test_a_body_is_read_whatever_it_came_in(server: Scripted, transport: Transport, text: bytes) -> None:
    server.play(text)

    assert (await reply_of(transport)).body == b"{}"


async def test_an_empty_answer_is_an_answer(server: Scripted, transport: Transport) -> None:
    server.play(answer(b"", status="204 No Content", length=None))

    reply = await reply_of(transport)

    assert (reply.status, reply.body) == (204, b"")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@EACH_KIND
async def test_a_redirect_is_not_followed(
    server: Scripted, transport: Transport, status: int, request_: Request
) -> None:
    server.play(answer(b"", f"Location: {server.url}/elsewhere", status=f"{status} Moved"))

    reply = await reply_of(transport, request_)

    assert reply.status == status
    assert len(server.requests) == 1


# Bodies over the cap


@pytest.mark.parametrize(("size", "is_read"), [(1000, True), (1023, True), (1024, True), (1025, False), (10**6, False)])
@pytest.mark.parametrize("packing", ["plain", "chunked", "gzip", "until closed"])
async def test_the_cap_counts_decoded_bytes(
    server: Scripted, open_transport: Callable[..., Transport], size: int, packing: str, *, is_read: bool
) -> None:
    body = b"x" * size
    server.play(
        {
            "plain": answer(body),
            "chunked": answer(b"%x\r\n%b\r\n0\r\n\r\n" % (size, body), "Transfer-Encoding: chunked", length=None),
            "gzip": answer(gzip.compress(body, mtime=0), "Content-Encoding: gzip"),
            "until closed": answer(body, "Connection: close", length=None),
        }[packing]
    )

    result = await send(open_transport(server.url, max_body_bytes=1024))

    if is_read:
        assert isinstance(result, Reply)
        assert result.body == body
    else:
        assert isinstance(result, TransportFailure)
        assert (result.reason, result.may_have_arrived, result.is_lasting, result.status) == (
            "too large",
            True,
            True,
            200,
        )


async def test_an_announced_length_over_the_cap_is_not_waited_for(server: Scripted, transport: Transport) -> None:
    server.play(then_hang(answer(b"", length=10**12)))

    assert (await failure_of(transport)).reason == "too large"
    await server.gone.wait()


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (answer(b"", "Transfer-Encoding: chunked", length=None), b"10000\r\n%b\r\n" % (b"x" * 65536)),
        (answer(b"", "Connection: close", length=None), b"x" * 65536),
    ],
    ids=["chunked", "until closed"],
)
async def test_an_endless_body_is_cut_off(server: Scripted, transport: Transport, head: bytes, piece: bytes) -> None:
    server.play(endless(head, piece))

    assert (await failure_of(transport)).reason == "too large"
    await server.gone.wait()


async def test_a_gzip_bomb_takes_little_memory(server: Scripted, transport: Transport) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(bytes(1024 * 1024)) for _ in range(64)), packer.flush()])
    assert len(bomb) < 100_000
    server.play(answer(bomb, "Content-Encoding: gzip"))
    await failure_of(transport)
    tracemalloc.start()

    trouble = await failure_of(transport)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert trouble.reason == "too large"
    assert peak < 8 * 1024 * 1024


# Errors


async def test_of_an_error_s_body_only_the_beginning_is_read(server: Scripted, transport: Transport) -> None:
    head = answer(b"", "Transfer-Encoding: chunked", status="503 Unavailable", length=None)
    server.play(endless(head, b"10000\r\n%b\r\n" % (b"x" * 65536)))

    reply = await reply_of(transport)

    assert reply.status == 503
    assert 64 * 1024 <= len(reply.body) <= 256 * 1024
    await server.gone.wait()


@pytest.mark.parametrize(
    "play",
    [
        then_drop(answer(b"{", "Retry-After: 7", status="503 Unavailable", length=100)),
        then_hang(answer(b"{", "Retry-After: 7", status="503 Unavailable", length=100)),
        then_drop(answer(b"no gzip", "Retry-After: 7", "Content-Encoding: gzip", status="503 Unavailable")),
    ],
    ids=["cut", "stalled", "broken"],
)
async def test_an_error_whose_body_breaks_off_is_still_that_error(
    server: Scripted, transport: Transport, play: Play
) -> None:
    server.play(play)

    reply = await reply_of(transport, UPDATE, 0.2)

    assert (reply.status, reply.headers.get("Retry-After"), reply.body) == (503, "7", b"")


async def test_a_redirect_whose_body_breaks_off_is_still_a_redirect(server: Scripted, transport: Transport) -> None:
    server.play(then_drop(answer(b"{", status="302 Found", length=100)))

    assert (await reply_of(transport)).status == 302


# Cancellation


async def test_a_call_cancelled_while_connecting_has_surely_not_arrived(
    open_transport: Callable[..., Transport], full_port: int
) -> None:
    attempt_state = AttemptState()
    transport = open_transport(f"http://127.0.0.1:{full_port}")
    task = asyncio.create_task(transport.send(UPDATE, TOKEN, 5, attempt_state))
    await asyncio.sleep(0.05)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert attempt_state.may_have_arrived is False


@EACH_KIND
@pytest.mark.parametrize("text", [b"", answer(b"{", length=100)], ids=["no answer", "half an answer"])
async def test_a_call_cancelled_while_waiting_may_have_arrived(
    server: Scripted, transport: Transport, request_: Request, text: bytes
) -> None:
    server.play(then_hang(text))
    attempt_state = AttemptState()
    task = asyncio.create_task(transport.send(request_, TOKEN, 5, attempt_state))
    await until(lambda: server.requests)
    await asyncio.sleep(0.02)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert attempt_state.may_have_arrived is True
    await server.gone.wait()


async def test_a_deadline_around_a_call_finds_out_where_it_stood(
    server: Scripted, transport: Transport, open_transport: Callable[..., Transport], full_port: int
) -> None:
    server.play(hang)
    connecting, waiting = AttemptState(), AttemptState()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await open_transport(f"http://127.0.0.1:{full_port}").send(UPDATE, TOKEN, 5, connecting)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await transport.send(UPDATE, TOKEN, 5, waiting)

    assert (connecting.may_have_arrived, waiting.may_have_arrived) == (False, True)


async def test_what_the_caller_is_handling_does_not_tell_where_a_call_stood(
    server: Scripted, transport: Transport, closed_port: int
) -> None:
    server.play(drop)
    attempt_state, troubles = AttemptState(), []
    async with aiohttp.ClientSession() as another:
        try:
            await another.get(f"http://127.0.0.1:{closed_port}")
        except aiohttp.ClientError:
            troubles.append(await failure_of(transport, CREATE))
            server.play(hang)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await transport.send(CREATE, TOKEN, 5, attempt_state)

    assert [(trouble.reason, trouble.may_have_arrived) for trouble in troubles] == [("dropped", True)]
    assert attempt_state.may_have_arrived is True


async def test_a_cancelled_call_leaves_the_transport_usable(server: Scripted, transport: Transport) -> None:
    server.play(hang, answer())
    task = asyncio.create_task(send(transport))
    await until(lambda: server.requests)
    task.cancel()
    await asyncio.wait([task])

    assert (await reply_of(transport)).status == 200


async def test_closing_ends_what_is_under_way(server: Scripted, transport: Transport) -> None:
    server.play(hang)
    tasks = [asyncio.create_task(send(transport, request)) for request in (UPDATE, CREATE, GET)]
    await until(lambda: len(server.requests) == 3)

    await transport.close()

    for trouble in await asyncio.gather(*tasks):
        assert isinstance(trouble, TransportFailure)
        assert trouble.may_have_arrived is True


# A session of the caller's


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_caller_s_session_is_used_and_never_closed(
    server: Scripted, open_transport: Callable[..., Transport], session: aiohttp.ClientSession
) -> None:
    transport = open_transport(server.url, session=session)

    await reply_of(transport, UPDATE)
    await reply_of(transport, CREATE)
    await transport.close()

    assert not session.closed
    assert server.headers()["Connection"] == "close"
    assert server.headers()["Authorization"] == "Token canary-token"


async def test_a_closed_session_says_so(server: Scripted, open_transport: Callable[..., Transport]) -> None:
    async with aiohttp.ClientSession() as session:
        transport = open_transport(server.url, session=session)

    trouble = await failure_of(transport)

    assert (trouble.reason, trouble.may_have_arrived, trouble.is_lasting) == ("closed", False, True)


async def test_what_a_caller_s_session_is_set_to_does_not_change_what_an_answer_means(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    server.play(answer(gzip.compress(b"{}", mtime=0), "Content-Encoding: gzip", status="404 Not Found"))
    async with aiohttp.ClientSession(
        raise_for_status=True,
        headers={"Authorization": "other", "Accept": "text/html"},
        timeout=aiohttp.ClientTimeout(total=0.001),
    ) as session:
        reply = await reply_of(open_transport(server.url, session=session))

    assert (reply.status, reply.body) == (404, b"{}")
    assert server.headers()["Authorization"] == "Token canary-token"
    assert server.headers()["Accept"] == "application/json"


async def test_a_session_that_does_not_unpack_answers_is_refused(open_transport: Callable[..., Transport]) -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        with pytest.raises(ConfigError, match="auto_decompress"):
            open_transport("http://127.0.0.1:1", session=session)


async def test_a_caller_s_middlewares_are_still_asked(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    async def tag(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["X-Trace"] = "7"
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[tag]) as session:
        await reply_of(open_transport(server.url, session=session))

    assert server.headers()["X-Trace"] == "7"


@pytest.mark.parametrize("hook", ["on_request_end", "on_request_start"])
async def test_what_a_hook_of_the_caller_s_session_raises_reaches_its_programmer(
    server: Scripted, open_transport: Callable[..., Transport], hook: str
) -> None:
    async def fail(*_args: Any) -> None:
        raise TypeError("mine")

    trace, attempt_state = aiohttp.TraceConfig(), AttemptState()
    getattr(trace, hook).append(fail)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        with pytest.raises(TypeError, match="mine") as caught:
            await open_transport(server.url, session=session).send(CREATE, TOKEN, 5.0, attempt_state)

    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert fail.__code__ in [frame.f_code for frame in frames]
    modules = [frame.f_globals["__name__"].partition(".")[0] for frame in frames]
    assert "aiohttp" not in modules  # whose locals hold the token
    assert attempt_state.may_have_arrived is True


async def test_waiting_for_a_place_in_the_caller_s_pool_is_not_sending(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    server.play(hang)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        transport = open_transport(server.url, session=session)
        first = asyncio.create_task(send(transport, UPDATE, 0.2))
        await until(lambda: server.requests)

        trouble = await failure_of(transport, CREATE, 0.05)

        assert (trouble.reason, trouble.may_have_arrived) == ("timeout", False)
        await first


async def test_a_session_with_auth_of_its_own_is_refused(server: Scripted) -> None:
    with pytest.warns(DeprecationWarning, match="auth"):
        session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("canary", "canary"))
    async with session:
        with pytest.raises(ConfigError, match="auth") as caught:
            Transport(server.url, max_body_bytes=1, user_agent="x", session=session)

    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize("bad", ["session", object(), aiohttp.ClientSession, 5])
def test_what_is_no_session_is_refused(bad: Any) -> None:
    with pytest.raises(ConfigError, match=r"session must be an aiohttp\.ClientSession"):
        Transport("https://app.spotdx.com", max_body_bytes=1, user_agent="x", session=bad)


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({}, 100),
        ({"limit": 0}, None),
        ({"limit": 7}, 7),
        ({"limit": 7, "limit_per_host": 3}, 3),
        ({"limit": 3, "limit_per_host": 7}, 3),
        ({"limit": 0, "limit_per_host": 3}, 3),
    ],
)
async def test_a_caller_s_pool_says_how_many_go_at_once(
    open_transport: Callable[..., Transport], limits: dict[str, int], most: int | None
) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(**limits)) as session:  # type: ignore[arg-type]
        assert open_transport("https://app.spotdx.com", session=session).most_connections == most


async def test_our_own_pool_lets_all_through(open_transport: Callable[..., Transport]) -> None:
    assert open_transport("https://app.spotdx.com").most_connections is None


async def test_a_closed_pool_says_nothing(open_transport: Callable[..., Transport]) -> None:
    async with aiohttp.ClientSession() as session:
        pass

    assert open_transport("https://app.spotdx.com", session=session).most_connections is None


# Sent or not, with a session of the caller's


async def outcome(transport: Transport, request: Request = CREATE) -> tuple[str, bool]:
    attempt_state = AttemptState()
    result = await transport.send(request, TOKEN, 5.0, attempt_state)
    assert isinstance(result, TransportFailure), result
    assert attempt_state.may_have_arrived is result.may_have_arrived
    return result.reason, result.may_have_arrived


async def test_a_request_that_a_hook_makes_after_the_answer_does_not_tell_what_was_sent(
    server: Scripted, open_transport: Callable[..., Transport], closed_port: int
) -> None:
    async def ask_elsewhere(session: aiohttp.ClientSession, context: Any, _params: Any) -> None:
        if context.trace_request_ctx != "elsewhere":
            await session.get(f"http://127.0.0.1:{closed_port}", trace_request_ctx="elsewhere")

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ask_elsewhere)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        assert await outcome(open_transport(server.url, session=session)) == ("dropped", True)

    assert len(server.requests) == 1


@pytest.mark.parametrize("is_same_session", [True, False])
async def test_a_request_that_a_middleware_makes_after_the_answer_does_not_tell_what_was_sent(
    server: Scripted, open_transport: Callable[..., Transport], closed_port: int, *, is_same_session: bool
) -> None:
    async def ask_elsewhere(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> Any:
        await handler(request)
        if is_same_session:
            return await request.session.get(f"http://127.0.0.1:{closed_port}", middlewares=())
        async with aiohttp.ClientSession() as another:
            return await another.get(f"http://127.0.0.1:{closed_port}")

    async with aiohttp.ClientSession(middlewares=[ask_elsewhere]) as session:
        assert await outcome(open_transport(server.url, session=session)) == ("dropped", True)

    assert len(server.requests) == 1


async def test_where_a_middleware_may_send_elsewhere_nobody_knows_what_was_sent(
    server: Scripted, open_transport: Callable[..., Transport], closed_port: int
) -> None:
    async def ask_first(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> Any:
        (await request.session.get(server.url, middlewares=())).release()
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[ask_first]) as session:
        transport = open_transport(f"http://127.0.0.1:{closed_port}", session=session)
        assert await outcome(transport) == ("dropped", True)

    assert len(server.requests) == 1


async def test_a_head_request_has_no_body_however_long_it_says_that_would_be(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    server.play(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n")
    request = Request("HEAD /x", "HEAD", "/x", is_replay_safe=True)

    assert (await reply_of(open_transport(server.url), request)).body == b""


async def test_a_middleware_that_fails_over_to_another_server_may_have_sent_it(
    server: Scripted, open_transport: Callable[..., Transport], closed_port: int
) -> None:
    server.play(drop)

    async def fail_over(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> Any:
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            async with aiohttp.ClientSession() as another:
                return await another.request(request.method, server.url, data=b"{}")

    async with aiohttp.ClientSession(middlewares=[fail_over]) as session:
        transport = open_transport(f"http://127.0.0.1:{closed_port}", session=session)
        assert await outcome(transport) == ("dropped", True)


async def test_a_subclass_of_the_session_that_may_repeat_is_given_nothing_that_must_not_be_repeated(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    with pytest.warns(DeprecationWarning, match="Inheritance"):

        class Repeating(aiohttp.ClientSession):
            async def _request(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
                for number in range(3):
                    with contextlib.suppress(aiohttp.ClientError):
                        return await super()._request(*args, **{**options, "trace_request_ctx": {"attempt": number}})
                return await super()._request(*args, **options)

    async with Repeating() as session:
        transport = open_transport(server.url, session=session)
        with pytest.raises(ConfigError, match="in a way of its own"):
            await send(transport, CREATE)

    assert server.requests == []


async def test_of_what_a_middleware_sends_its_own_way_nobody_knows(
    server: Scripted, open_transport: Callable[..., Transport], closed_port: int
) -> None:
    async def relay(request: aiohttp.ClientRequest, _handler: aiohttp.ClientHandlerType) -> Any:
        async with aiohttp.ClientSession() as another:
            await another.request(request.method, request.url, data=b"{}")
            await another.get(f"http://127.0.0.1:{closed_port}")

    async with aiohttp.ClientSession(middlewares=[relay]) as session:
        assert await outcome(open_transport(server.url, session=session)) == ("dropped", True)

    assert len(server.requests) == 1


async def test_an_answer_that_is_too_large_has_arrived_whatever_the_caller_is_handling(
    server: Scripted, open_transport: Callable[..., Transport], session: aiohttp.ClientSession, closed_port: int
) -> None:
    server.play(answer(b"x" * 100, status="201 Created"))
    try:
        await session.get(f"http://127.0.0.1:{closed_port}")
    except aiohttp.ClientConnectorError:
        for options in ({}, {"session": session}):
            transport = open_transport(server.url, max_body_bytes=10, **options)
            assert await outcome(transport) == ("too large", True)


async def test_hooks_of_the_caller_s_session_find_nothing_where_they_found_nothing(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    async def look(_session: Any, context: Any, _params: Any) -> None:
        found.append(bool(context.trace_request_ctx))

    found: list[bool] = []
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(look)
    trace.on_request_headers_sent.append(look)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        transports = [open_transport(server.url, session=session) for _ in range(2)]
        for transport in transports * 2:
            await reply_of(transport, CREATE)
        assert len(session.trace_configs) == 2  # theirs, and ours once

    assert found == [False] * 8


class OtherRequest(aiohttp.ClientRequest):
    """What a caller may have made of aiohttp's request."""


async def test_with_another_request_class_nothing_is_sent_that_must_not_be_sent_twice(
    server: Scripted, open_transport: Callable[..., Transport], closed_port: int
) -> None:
    async with aiohttp.ClientSession(request_class=OtherRequest) as session:
        transport = open_transport(server.url, session=session)
        with pytest.raises(ConfigError, match="a request class"):
            await send(transport, CREATE)
        assert server.requests == []

        assert (await reply_of(transport, UPDATE)).status == 200
        elsewhere = open_transport(f"http://127.0.0.1:{closed_port}", session=session)
        assert await outcome(elsewhere, UPDATE) == ("dropped", True)


async def test_trace_configs_that_cannot_be_added_to_are_refused(open_transport: Callable[..., Transport]) -> None:
    async with aiohttp.ClientSession(trace_configs=(aiohttp.TraceConfig(),)) as session:  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="trace_configs"):
            open_transport("http://127.0.0.1:1", session=session)


@pytest.mark.parametrize("is_replay_safe", [True, False])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST"])
async def test_aiohttp_repeats_nothing_by_itself_over_a_caller_s_session(
    server: Scripted,
    open_transport: Callable[..., Transport],
    session: aiohttp.ClientSession,
    method: str,
    *,
    is_replay_safe: bool,
) -> None:
    server.play(answer(), drop)
    request = Request("x", method, "/x", body=b"{}", is_replay_safe=is_replay_safe)
    transport = open_transport(server.url, session=session)
    await reply_of(transport, GET)

    assert await outcome(transport, request) == ("dropped", True)
    assert len(server.requests) == 2


async def test_a_middleware_that_repeats_a_create_is_kept_from_it(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    async def persist(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> Any:
        (await handler(request)).release()
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[persist]) as session:
        assert await outcome(open_transport(server.url, session=session)) == ("dropped", True)

    assert len(server.requests) == 1


async def test_a_middleware_that_repeats_and_tells_another_story_sent_it_still(
    server: Scripted, open_transport: Callable[..., Transport], closed_port: int
) -> None:
    async def persist(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> Any:
        for _ in range(3):
            with contextlib.suppress(Exception):
                (await handler(request)).release()
        return await request.session.get(f"http://127.0.0.1:{closed_port}", middlewares=())

    async with aiohttp.ClientSession(middlewares=[persist]) as session:
        assert await outcome(open_transport(server.url, session=session)) == ("dropped", True)

    assert len(server.requests) == 1


async def test_a_middleware_may_repeat_what_is_safe_to_repeat(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    async def renew(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> Any:
        response = await handler(request)
        if response.status != 407:
            return response
        response.release()
        request.headers["X-Gateway"] = "renewed"
        return await handler(request)

    server.play(answer(status="407 Renew"), answer())
    async with aiohttp.ClientSession(middlewares=[renew]) as session:
        assert (await reply_of(open_transport(server.url, session=session), UPDATE)).status == 200

    assert server.headers()["X-Gateway"] == "renewed"


# Ends that nobody aimed at the call


@pytest.mark.parametrize("is_own", [True, False])
async def test_closing_while_a_name_is_looked_up_is_no_cancellation_of_the_call(
    open_transport: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, *, is_own: bool
) -> None:
    looking = asyncio.Event()

    async def slow(*_args: Any, **_options: Any) -> Any:
        looking.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", slow)
    async with contextlib.AsyncExitStack() as stack:
        session = None if is_own else await stack.enter_async_context(aiohttp.ClientSession())
        transport = open_transport("https://spot.invalid", session=session)
        task = asyncio.create_task(failure_of(transport, CREATE))
        await looking.wait()

        await (transport.close() if session is None else session.close())

        trouble = await task
    assert (trouble.reason, trouble.may_have_arrived) == ("closed", False)
    assert "nothing was sent" in trouble.message


async def test_a_session_closed_while_a_call_waits_for_a_place_in_it(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    server.play(hang)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        transport = open_transport(server.url, session=session)
        first, second = [asyncio.create_task(failure_of(transport, CREATE)) for _ in range(2)]
        await until(lambda: server.requests)

        await session.close()

        first_trouble, second_trouble = await first, await second
    assert first_trouble.may_have_arrived is True
    assert (second_trouble.reason, second_trouble.may_have_arrived) == ("closed", False)


async def test_a_helper_of_a_hook_that_is_cancelled_after_sending(
    server: Scripted, open_transport: Callable[..., Transport]
) -> None:
    async def wait_for_cancelled(*_args: Any) -> None:
        helper = asyncio.create_task(asyncio.Event().wait())
        asyncio.get_running_loop().call_soon(helper.cancel)
        await helper

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(wait_for_cancelled)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        assert await outcome(open_transport(server.url, session=session)) == ("closed", True)


def test_what_a_signal_s_handler_raises_is_never_a_trouble_of_the_network() -> None:
    ends: list[str] = []
    while len(ends) < 120:
        command = [sys.executable, "-W", "ignore", "-m", "tests.unit.http.signal_trials", str(len(ends)), "120"]
        ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)  # noqa: S603 - a fixed command
        ends += ran.stdout.splitlines()

    counts = Counter(ends)
    assert counts.keys() <= {"raised", "kept by asyncio", "lost by asyncio"}
    assert counts["raised"] >= 100


async def test_what_a_callback_of_the_connection_raises_while_a_body_is_read_reaches_the_call(
    server: Scripted, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that comes while data is taken in: asyncio ends the connection with it, and logs it as well."""
    server.play(then_hang(answer(b"{", length=100)))
    task, attempt_state = None, AttemptState()
    loop = asyncio.get_running_loop()
    no_loose_ends, logged = loop.get_exception_handler(), list[Any]()
    loop.set_exception_handler(lambda _loop, context: logged.append(context["exception"]))
    protocols: list[ResponseHandler] = []
    make = ResponseHandler.connection_made

    def made(protocol: ResponseHandler, connection: asyncio.BaseTransport) -> None:
        protocols.append(protocol)
        make(protocol, connection)

    monkeypatch.setattr(ResponseHandler, "connection_made", made)
    task = asyncio.create_task(transport.send(CREATE, TOKEN, 5.0, attempt_state))
    await until(lambda: server.requests)
    await asyncio.sleep(0.05)
    limit = LookupError("of a signal")
    connection: Any = protocols[0].transport
    connection._fatal_error(limit, "as asyncio does")

    with pytest.raises(LookupError) as caught:
        await task

    loop.set_exception_handler(no_loose_ends)
    assert caught.value is limit
    assert logged == [limit]


# Early answers


async def test_a_connection_whose_answer_came_early_is_not_used_again(open_transport: Callable[..., Transport]) -> None:
    connections = 0

    async def answer_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer())
        await is_over.wait()

    is_over = asyncio.Event()
    async with listening(answer_early) as url:
        transport = open_transport(url)
        for size in (8_000_000, 10):
            assert (await reply_of(transport, attrs.evolve(UPDATE, body=b"x" * size))).status == 200
        is_over.set()

    assert connections == 2


@pytest.mark.parametrize("size", [65_535, 65_536, 500_000, 2_000_000])
@EACH_KIND
async def test_what_of_a_large_request_was_sent_is_known_too(
    server: Scripted,
    transport: Transport,
    open_transport: Callable[..., Transport],
    closed_port: int,
    *,
    size: int,
    request_: Request,
) -> None:
    request = attrs.evolve(request_, method="POST", body=b"x" * size)
    server.play(drop)

    assert await outcome(transport, request) == ("dropped", True)
    assert await outcome(open_transport(f"http://127.0.0.1:{closed_port}"), request) == ("refused", False)
    assert len(server.requests) == 1


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A fresh self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - a fixed command
    return folder / "cert", folder / "key"


@pytest.fixture
async def tls_server(certificate: tuple[Path, Path]) -> AsyncIterator[Scripted]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    scripted = Scripted()
    async with listening(scripted.serve, "https", ssl=context) as scripted.url:
        yield scripted


CA = """
[ca]
default_ca = here
[here]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1
"""


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 whose only day was in 2020, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("expired")
    for name, text in (("ca.conf", CA), ("index.txt", ""), ("serial", "01")):
        (folder / name).write_text(text)
    request = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", "key", "-out", "request"]
    sign = ["ca", "-batch", "-config", "ca.conf", "-selfsign", "-keyfile", "key", "-in", "request", "-out", "cert"]
    sign += ["-notext", "-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
    for command in (request, sign):
        subprocess.run([openssl, *command], check=True, capture_output=True, cwd=folder)  # noqa: S603 - fixed commands
    return folder / "cert", folder / "key"


def serving(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


async def test_an_unknown_authority_is_told_from_another_host(
    tls_server: Scripted, open_transport: Callable[..., Transport], certificate: tuple[Path, Path]
) -> None:
    unknown = await failure_of(open_transport(tls_server.url))
    context = ssl.create_default_context(cafile=str(certificate[0]))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        url = tls_server.url.replace("127.0.0.1", "localhost")
        other = await failure_of(open_transport(url, session=session))

    assert unknown.message == "the server's certificate is signed by an unknown authority, so nothing was sent"
    assert unknown.cause is not None
    assert (unknown.cause.cause_type, unknown.cause.errno) == ("SSLCertVerificationError", None)
    assert "self" in str(unknown.cause.tls_reason)
    assert other.message == "the server's certificate is not valid for this host, so nothing was sent"
    assert other.cause is not None
    assert "mismatch" in str(other.cause.tls_reason)


async def test_an_expired_certificate_is_told(
    open_transport: Callable[..., Transport], expired: tuple[Path, Path]
) -> None:
    context = ssl.create_default_context(cafile=str(expired[0]))
    async with (
        listening(hang, "https", ssl=serving(expired)) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        trouble = await failure_of(open_transport(url, session=session), CREATE)

    assert (trouble.reason, trouble.may_have_arrived, trouble.is_lasting) == ("tls", False, True)
    assert trouble.message == "the server's certificate has expired, so nothing was sent"
    assert trouble.cause == FailureCause("SSLCertVerificationError", tls_reason="certificate has expired")


async def test_a_handshake_that_the_server_refuses_is_told(open_transport: Callable[..., Transport]) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(bytes.fromhex("15 03 03 00 02 02 28"))  # a fatal alert: handshake_failure
        await writer.drain()
        await reader.read()

    async with listening(refuse, "https") as url:
        trouble = await failure_of(open_transport(url), CREATE)

    assert (trouble.reason, trouble.may_have_arrived) == ("tls", False)
    assert trouble.message == (
        "the server refused the TLS handshake: it may ask for a client certificate or another TLS version, "
        "so nothing was sent"
    )
    assert trouble.cause is not None
    assert "HANDSHAKE_FAILURE" in str(trouble.cause.tls_reason)


@EACH_KIND
async def test_an_unknown_certificate_is_a_lasting_trouble_and_nothing_is_sent(
    tls_server: Scripted, open_transport: Callable[..., Transport], request_: Request
) -> None:
    trouble = await failure_of(open_transport(tls_server.url), request_)

    assert (trouble.reason, trouble.may_have_arrived, trouble.is_lasting) == ("tls", False, True)
    assert tls_server.requests == []


async def test_a_certificate_of_another_host_is_a_lasting_trouble(
    tls_server: Scripted, open_transport: Callable[..., Transport], certificate: tuple[Path, Path]
) -> None:
    context = ssl.create_default_context(cafile=str(certificate[0]))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        url = tls_server.url.replace("127.0.0.1", "localhost")

        trouble = await failure_of(open_transport(url, session=session))

    assert (trouble.reason, trouble.may_have_arrived, trouble.is_lasting) == ("tls", False, True)


async def test_a_known_certificate_is_taken(
    tls_server: Scripted, open_transport: Callable[..., Transport], certificate: tuple[Path, Path]
) -> None:
    context = ssl.create_default_context(cafile=str(certificate[0]))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        assert (await reply_of(open_transport(tls_server.url, session=session))).status == 200


async def test_a_server_that_speaks_no_tls(open_transport: Callable[..., Transport]) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with listening(speak, "https") as url:
        trouble = await failure_of(open_transport(url))

    assert (trouble.reason, trouble.may_have_arrived, trouble.is_lasting) == ("tls", False, False)


async def test_a_handshake_that_is_cut(open_transport: Callable[..., Transport]) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    async with listening(cut, "https") as url:
        trouble = await failure_of(open_transport(url))

    assert (trouble.may_have_arrived, trouble.is_lasting) == (False, False)


async def test_a_handshake_that_stalls(open_transport: Callable[..., Transport]) -> None:
    async with listening(hang, "https") as url:
        trouble = await failure_of(open_transport(url), UPDATE, 0.1)

    assert (trouble.reason, trouble.may_have_arrived) == ("timeout", False)


# What else the system says


@pytest.mark.parametrize(
    ("status", "message", "is_lasting"),
    [
        (407, "the proxy asks for credentials (407), so nothing was sent", True),
        (403, "the proxy refused to connect to the server (403), so nothing was sent", True),
        (502, "the proxy answered 502, so nothing was sent", False),
    ],
)
async def test_a_proxy_that_makes_no_tunnel(
    server: Scripted, open_transport: Callable[..., Transport], *, status: int, message: str, is_lasting: bool
) -> None:
    server.play(then_drop(answer(b"", status=f"{status} canary")))
    async with aiohttp.ClientSession(proxy=server.url) as session:
        trouble = await failure_of(open_transport("https://spot.invalid", session=session), CREATE)

    assert (trouble.reason, trouble.message, trouble.is_lasting) == ("connect", message, is_lasting)
    assert trouble.may_have_arrived is False
    assert trouble.cause == FailureCause("ClientHttpProxyError", proxy_status=status)


async def test_a_process_without_a_free_file_says_so(
    open_transport: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any, **_options: Any) -> socket.socket:
        raise OSError(errno.EMFILE, "canary")

    transport = open_transport("http://127.0.0.1:1")
    monkeypatch.setattr(socket, "socket", full)

    trouble = await failure_of(transport, CREATE)

    assert (trouble.reason, trouble.may_have_arrived) == ("connect", False)
    assert trouble.message == "no connection could be made: too many open files, so nothing was sent"
    assert trouble.cause == FailureCause("OSError", errno.EMFILE)


async def test_a_name_that_no_file_is_left_to_look_up_is_not_said_to_be_unknown(
    open_transport: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unresolved(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "canary")

    def full() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "canary")

    transport = open_transport("http://spot.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    monkeypatch.setattr(os, "pipe", full)

    trouble = await failure_of(transport, CREATE)

    assert (trouble.reason, trouble.may_have_arrived) == ("connect", False)
    assert trouble.cause == FailureCause("OSError", errno.EMFILE)


async def test_a_refused_connection_says_what_the_system_said(
    open_transport: Callable[..., Transport], closed_port: int
) -> None:
    trouble = await failure_of(open_transport(f"http://127.0.0.1:{closed_port}"))

    assert trouble.message == "the server refused the connection, so nothing was sent"
    assert trouble.cause == FailureCause("ConnectionRefusedError", errno.ECONNREFUSED)


@pytest.mark.parametrize("text", [b"", answer(b"{", length=100)], ids=["no answer", "half an answer"])
async def test_a_reset_says_what_the_system_said(server: Scripted, transport: Transport, text: bytes) -> None:
    async def reset_after(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        await asyncio.sleep(0.05)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    server.play(reset_after)

    trouble = await failure_of(transport)

    assert trouble.cause == FailureCause("ConnectionResetError", errno.ECONNRESET)


async def test_headers_over_aiohttp_s_limits_say_so(server: Scripted, transport: Transport) -> None:
    server.play(then_drop(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"))

    trouble = await failure_of(transport)

    assert trouble.message == "the answer's headers are longer than aiohttp allows (8 kB each)"
    assert trouble.cause == FailureCause("LineTooLong")


# Files


PDF = b"%PDF-1.7\n" + b"x" * 5000 + b"\n%%EOF"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def unframed(data: bytes) -> Play:
    return then_drop(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + data)


def download_of(server: Scripted, tmp_path: Path) -> FileDownload:
    hosts = AllowedHosts(server.url, None)
    return FileDownload(hosts.link(f"{server.url}/a?b=%2F&c"), hosts, tmp_path / "a.pdf", "pdf")


@pytest.mark.parametrize(
    "script",
    [
        answer(PDF),
        answer(gzip.compress(PDF), "Content-Encoding: gzip"),
        CHUNKED_HEAD + chunked(PDF[:2000]) + chunked(PDF[2000:]) + b"0\r\n\r\n",
        CHUNKED_HEAD.replace(b"Tr", b"Content-Encoding: gzip\r\nTr") + chunked(gzip.compress(PDF)) + b"0\r\n\r\n",
        unframed(PDF),
    ],
    ids=["length", "gzip", "chunked", "chunked gzip", "unframed"],
)
async def test_a_file_is_read_however_its_body_is_framed(
    server: Scripted, transport: Transport, tmp_path: Path, script: bytes | Play
) -> None:
    server.play(script)
    download = download_of(server, tmp_path)

    result = await send(transport, download.request)
    download.decode(Reply(200, {}, b""))
    await download.finish()

    assert isinstance(result, Reply), result
    assert result.body == b""
    assert (tmp_path / "a.pdf").read_bytes() == PDF
    assert server.heads[0].startswith("GET /a?b=%2F&c HTTP/1.1\r\n")
    assert "Accept-Encoding: identity" in server.heads[0]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (then_drop(answer(PDF)[:-1]), "dropped"),
        (then_drop(CHUNKED_HEAD + chunked(PDF)), "dropped"),
        (then_drop(CHUNKED_HEAD + chunked(PDF) + b"zz\r\n"), "dropped"),
        (unframed(PDF[:-5]), "dropped"),
        (answer(gzip.compress(PDF)[:-9], "Content-Encoding: gzip"), "dropped"),
        (answer(b"no gzip", "Content-Encoding: gzip"), "dropped"),
        (then_hang(answer(PDF)[:-1]), "timeout"),
        (answer(PDF, length=51 * 1024 * 1024), "too large"),
        (endless(CHUNKED_HEAD + chunked(PDF), chunked(b"x" * 1024 * 1024)), "too large"),
    ],
    ids=["cut", "cut chunks", "bad chunk", "no end", "cut gzip", "no gzip", "stalls", "says too much", "endless"],
)
async def test_a_file_that_does_not_come_whole_leaves_nothing(
    server: Scripted, transport: Transport, tmp_path: Path, script: bytes | Play, reason: str
) -> None:
    server.play(script)
    download = download_of(server, tmp_path)

    trouble = await failure_of(transport, download.request, timeout_s=5 if reason != "timeout" else 0.2)
    download.discard()

    assert trouble.reason == reason
    assert [*tmp_path.iterdir()] == []
    if callable(script) or reason == "too large":  # otherwise all of the body came, and the connection is used again
        await server.gone.wait()


async def test_a_connection_that_brought_a_file_is_used_again(
    server: Scripted, transport: Transport, tmp_path: Path
) -> None:
    server.play(answer(PDF))
    for _ in range(3):
        download = download_of(server, tmp_path)
        assert isinstance(await send(transport, download.request), Reply)
        download.discard()
    assert isinstance(await send(transport, GET), Reply)

    assert server.connections == 1
