"""A server that cannot be asked is told of at once and once, by the kind of trouble, and never with its address."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
import trustme

from spotdx_async import NotSentError, RateLimit

redis = pytest.importorskip("redis", reason="the extra redis is not installed")

from redis import exceptions as errors  # noqa: E402
from redis.crc import key_slot  # noqa: E402

from spotdx_async.limits.redis_source import RedisSource, failure_of  # noqa: E402
from spotdx_async.shared import SharedLimiter  # noqa: E402


class RedisServer(Protocol):
    """The fixture of conftest.py."""

    url: str
    port: int

    def start(self) -> None: ...
    def kill(self) -> None: ...


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "spotdx_async"]


async def fail(limiter: SharedLimiter) -> None:
    with pytest.raises(NotSentError) as caught:
        await asyncio.wait_for(limiter.acquire(), 10)
    assert caught.value.reason == "limit"


async def told(url: str, caplog: pytest.LogCaptureFixture) -> str:
    """Ask twice; give what was told, which is one line without a name, an address or credentials."""
    limiter = SharedLimiter(url, 100, on_outage="fail")
    for _ in range(2):
        await fail(limiter)
    await limiter.close()
    (line,) = lines(caplog)
    assert caplog.records[-1].levelno == logging.WARNING
    assert not [word for word in ("canary", "127.0.0.1", "localhost", url) if word in caplog.text]
    assert line.endswith("calls fail")
    return line


@asynccontextmanager
async def server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()

    listening = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


async def test_a_wrong_password(guarded_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    line = await told(guarded_redis.url.replace("canary-password", "canary-wrong"), caplog)

    assert "does not accept the credentials" in line


async def test_no_password_where_one_is_asked_for(guarded_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    assert "credentials" in await told(f"redis://127.0.0.1:{guarded_redis.port}", caplog)


async def test_a_user_without_permission_for_scripts(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(redis_server.url) as admin:
        if admin.info()["redis_version"].startswith("5."):
            pytest.skip("this server is older than users with permissions")
        admin.execute_command("ACL", "SETUSER", "canary", "on", ">canary", "~*", "+@all", "-@scripting")

    assert "no permission" in await told(f"redis://canary:canary@127.0.0.1:{redis_server.port}", caplog)


async def test_a_user_who_may_run_scripts_but_not_load_them(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    admin = redis.Redis.from_url(redis_server.url)
    if admin.info()["redis_version"].startswith("5."):
        pytest.skip("this server is older than users with permissions")
    admin.acl_setuser("app", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-script"])
    limiter = SharedLimiter(f"redis://app:pw@127.0.0.1:{redis_server.port}/0", 1000, on_outage="fail")

    for _ in range(3):
        await asyncio.wait_for(limiter.acquire(), 10)
        admin.script_flush()  # as a restart does, and since version 7.4 whoever else runs many scripts
        limiter._slots.clear()

    await limiter.close()
    admin.close()
    assert lines(caplog) == []


@pytest.mark.parametrize(
    "key", ["spotdx:limit", "{acct-7}:limit", "limit:{acct-7}", "{a{b}c}", "x{y", "p\u00e4ck {\u00fc}"]
)
def test_both_keys_are_in_one_place_of_a_cluster(key: str) -> None:
    first, second = RedisSource("redis://127.0.0.1", RateLimit(1), key=key, timeout_s=1)._keys

    assert first == key != second
    assert key_slot(first.encode()) == key_slot(second.encode())


@pytest.mark.parametrize(
    ("name", "text"), [("127.0.0.1", "certificate is not trusted"), ("canary.example", "certificate is not trusted")]
)
async def test_an_unknown_authority(name: str, text: str, caplog: pytest.LogCaptureFixture) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(name).configure_cert(context)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's own side of a refused handshake
    async with server(speak_http, context) as port:
        assert text in await told(f"rediss://127.0.0.1:{port}", caplog)


async def test_a_name_that_does_not_resolve(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)

    assert "name cannot be resolved" in await told("redis://canary.invalid:6379", caplog)


async def test_a_read_only_replica(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")

    assert "read-only replica" in await told(redis_server.url, caplog)


async def test_nobody_listens(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    redis_server.kill()

    assert "connection refused" in await told(redis_server.url, caplog)


async def test_a_server_that_is_no_redis(caplog: pytest.LogCaptureFixture) -> None:
    async with server(speak_http) as port:
        assert "does not speak the Redis protocol" in await told(f"redis://127.0.0.1:{port}", caplog)


async def test_a_key_that_holds_something_else(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.set("spotdx:limit", "canary")

    assert "refuses the script's command" in await told(redis_server.url, caplog)


async def test_its_return_is_told_and_the_next_outage_anew(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = SharedLimiter(redis_server.url, 100, on_outage="fail")
    for _ in range(2):
        redis_server.kill()
        await fail(limiter)
        redis_server.start()
        await limiter.acquire()
    await limiter.close()

    assert ["again after" in line for line in lines(caplog)] == [False, True] * 2


@pytest.mark.parametrize("on_outage", ["wait", "local_share", "fail"])
async def test_the_line_says_what_happens_to_calls(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture, on_outage: Any
) -> None:
    redis_server.kill()
    limiter = SharedLimiter(redis_server.url, 100, on_outage=on_outage)
    waiting = asyncio.create_task(limiter.acquire())
    while not lines(caplog):
        await asyncio.sleep(0)
    await limiter.close()
    await asyncio.wait([waiting])

    said = {"wait": "calls wait", "local_share": "continues with its own share", "fail": "calls fail"}
    assert said[on_outage] in lines(caplog)[0]
    assert caplog.records[0].__dict__["spotdx_event"] == "limit"


def caused(error: Exception, below: Exception) -> Exception:
    error.__cause__ = below
    return error


@pytest.mark.parametrize(
    ("error", "text", "is_lasting"),
    [
        (errors.AuthorizationError(), "permission", True),
        (errors.BusyLoadingError(), "loading", False),
        (errors.MovedError("1 127.0.0.1:1"), "cluster node", True),
        (errors.AskError("1 127.0.0.1:1"), "rearranged", False),
        (errors.ClusterCrossSlotError(), "common place", True),
        (errors.ClusterDownError("down"), "cluster is down", False),
        (errors.ResponseError("MISCONF Redis is configured to save"), "disk", False),
        (errors.ResponseError("Error running script: -READONLY You can't write"), "read-only", False),
        (errors.ResponseError("unknown command `EVALSHA`"), "command", True),
        (errors.TimeoutError(), "no answer", False),
        (TimeoutError(), "no answer", False),
        (errors.ConnectionError("gone"), "lost", False),
        (ConnectionResetError(), "lost", False),
        (caused(errors.ConnectionError("x"), OSError(24, "Too many open files")), "cannot connect", False),
        (caused(errors.ConnectionError("x"), ssl.SSLEOFError()), "lost", False),
        (caused(errors.ConnectionError("x"), ssl.SSLError()), "TLS", True),
        (ValueError(), "protocol", True),
    ],
)
def test_every_error_has_its_kind(error: Exception, text: str, is_lasting: bool) -> None:
    trouble = failure_of(error)

    assert text in trouble.text
    assert trouble.is_lasting is is_lasting


@pytest.mark.parametrize(
    ("code", "text"), [(10, "expired"), (18, "signed by itself"), (62, "another name"), (20, "not trusted")]
)
def test_a_certificate_s_fault_is_named_without_the_server_s_name(code: int, text: str) -> None:
    error = ssl.SSLCertVerificationError("canary")
    error.verify_code = code

    trouble = failure_of(caused(errors.ConnectionError("canary"), error))

    assert text in trouble.text
    assert "canary" not in trouble.text
    assert trouble.is_lasting
