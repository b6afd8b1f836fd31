"""Real certificates: what a call and a run say of each, which authorities a client's own session trusts, and which of
several servers gets the token.
"""

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import pytest
import trustme
from attrs import evolve

from spotdx_async import BulkStopped, NotSentError, OutcomeUnknownError, RetryPolicy, SpotClient
from spotdx_async.cli.connection_checks import check_way
from spotdx_async.cli.settings import Setting, Settings

Serve = Callable[..., str]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"
PDF = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: 9\r\nConnection: close\r\n\r\n%PDF-1.7\n"
MOVED = "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def answer(connection: socket.socket, context: ssl.SSLContext, heard: list[str]) -> None:
    secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    with suppress(OSError), secured:
        try:
            secured.do_handshake()
        except ssl.SSLError:
            # Closed with a request unread, the connection would be reset, which can overtake the alert on its way.
            secured.settimeout(10)
            while socket.socket.recv(secured, 65536):
                pass
            return
        heard.append(secured.recv(65536).decode())
        path = heard[-1].split(" ")[1]
        moved = MOVED.format(unquote(path.partition("?")[2])).encode()
        secured.sendall(PDF if path == "/file" else moved if path.startswith("/moved") else ANSWER)
        secured.unwrap()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def serve(authority: trustme.CA) -> Iterator[Serve]:
    """Start a TLS server; give its address."""
    listening: list[socket.socket] = []

    def start(
        *,
        days: int = 90,
        asks: bool = False,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        name: str = "127.0.0.1",
        heard: list[str] | None = None,
    ) -> str:
        requests: list[str] = [] if heard is None else heard
        not_after = datetime.now(UTC) + timedelta(days=days)
        issued = authority.issue_cert(name, not_before=not_after - timedelta(days=365), not_after=not_after)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = version
        issued.configure_cert(context)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(context)
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    about = (server.accept()[0], context, requests)
                    threading.Thread(target=answer, args=about, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"https://{name}:{server.getsockname()[1]}"

    yield start
    for server in listening:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def trusting(authority: trustme.CA) -> aiohttp.ClientSession:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


async def error_of(url: str, session: aiohttp.ClientSession | None) -> Any:
    async with SpotClient("token", base_url=url, session=session, retry=RetryPolicy(max_attempts=2)) as spot:
        with pytest.raises((NotSentError, OutcomeUnknownError)) as caught:
            await spot.kits.update_metadata("SPOTX", {})
    return caught.value


async def test_an_unknown_authority_says_so(serve: Serve) -> None:
    error = await error_of(serve(), None)

    assert (type(error), error.reason) == (NotSentError, "tls")
    assert "is signed by an unknown authority" in str(error)


async def test_an_expired_certificate_says_so(serve: Serve, authority: trustme.CA) -> None:
    async with trusting(authority) as session:
        error = await error_of(serve(days=-1), session)

    assert (type(error), error.reason) == (NotSentError, "tls")
    assert "has expired" in str(error)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_that_is_asked_for_says_so(
    serve: Serve, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    async with trusting(authority) as session:
        error = await error_of(serve(asks=True, version=version), session)

    assert "client certificate" in str(error)
    assert "ALERT" in error.tls_reason


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_that_is_refused_says_so(
    serve: Serve, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    trustme.CA().issue_cert("worker@example.com").configure_cert(context)

    async with SpotClient("token", base_url=serve(asks=True, version=version), ssl_context=context) as spot:
        with pytest.raises((NotSentError, OutcomeUnknownError)) as caught:
            await spot.kits.types()

    error: Any = caught.value
    assert "the server refused the client certificate (it does not know its authority)" in str(error)
    assert (error.tls_reason, error.attempts) == ("TLSV1_ALERT_UNKNOWN_CA", 1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("has_wrong_one", [False, True])
def test_the_doctor_says_so_too(
    serve: Serve, authority: trustme.CA, tmp_path: Path, version: ssl.TLSVersion, has_wrong_one: bool
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().issue_cert("worker@example.com").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "c.pem"))
    settings = evolve(
        Settings.for_server(serve(asks=True, version=version), "token"),
        ca_file=Setting(str(tmp_path / "ca.pem"), "profile p"),
        client_cert=Setting(str(tmp_path / "c.pem") if has_wrong_one else None, "profile p"),
    )

    *_, last = check_way(settings)

    assert (last.check, last.state) == ("tls", "FAIL")
    assert ("refused the client certificate" if has_wrong_one else "client certificate") in last.text
    assert "client_cert (SPOTDX_CLIENT_CERT)" in str(last.next)


async def test_a_run_without_the_client_certificate_that_is_asked_for_stops(
    serve: Serve, authority: trustme.CA
) -> None:
    outcomes = []
    updates: list[tuple[str, dict[str, str]]] = [(f"SPOT{n}", {}) for n in range(20)]
    async with (
        trusting(authority) as session,
        SpotClient("token", base_url=serve(asks=True), session=session) as spot,
    ):
        with pytest.raises(BulkStopped, match="asks for a client certificate"):
            async for outcome in spot.kits.update_metadata_many(updates, concurrency=1):
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count

    assert [outcome.state for outcome in outcomes[:4]] == ["unknown", "unknown", "unknown", "skipped"]


ASK = """
import asyncio, sys
from spotdx_async import SpotClient

async def main():
    async with SpotClient("token", base_url=sys.argv[1]) as spot:
        print(await spot.kits.types())

asyncio.run(main())
"""


@pytest.mark.parametrize("is_named", [True, False])
def test_ssl_cert_file_names_the_authorities_that_own_sessions_trust(
    serve: Serve, authority: trustme.CA, tmp_path: Path, is_named: bool
) -> None:
    named = authority if is_named else trustme.CA()
    named.cert_pem.write_to_path(tmp_path / "authority.pem")
    env = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "authority.pem")}

    done = subprocess.run(  # noqa: S603 - fixed
        [sys.executable, "-c", ASK, serve()], env=env, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode == 0) == is_named
    assert ("[]" in done.stdout) == is_named
    assert ("unknown authority" in done.stderr) != is_named


SAVE = """
import asyncio, sys
from spotdx_async import SpotClient, SpotError

async def main(server, *links):
    async with SpotClient("canary-token", base_url=server) as spot:
        for link in links:
            try:
                saved = await spot.reports.save(link, "a.pdf", hosts=[link.split("/")[2], sys.argv[3].split("/")[2]])
                print(saved.size)
            except SpotError as error:
                print(type(error).__name__, str(error))

asyncio.run(main(*sys.argv[1:]))
"""


def test_the_token_goes_to_the_apis_own_server_alone(serve: Serve, authority: trustme.CA, tmp_path: Path) -> None:
    at_server: list[str] = []
    at_storage: list[str] = []
    at_misnamed: list[str] = []
    server = serve(heard=at_server)
    # With a certificate for its own name alone: each connection is made to, and checked for, the host of the link.
    storage = serve(heard=at_storage, name="localhost")
    misnamed = serve(heard=at_misnamed).replace("127.0.0.1", "localhost")
    moved = f"{server}/moved?{quote(f'{storage}/file', safe='')}"
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    env = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "authority.pem")}
    command = [sys.executable, "-c", SAVE, server, f"{server}/file", f"{storage}/file", moved, f"{misnamed}/file"]

    done = subprocess.run(  # noqa: S603 - fixed
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    own, other, redirected, refused = done.stdout.splitlines()
    assert (own, other, redirected) == ("9", "9", "9")
    assert refused.startswith("NotSentError GET report file: the server's certificate is not valid for this host")
    assert ["canary-token" in head for head in at_server] == [True, True]
    assert ["canary-token" in head for head in at_storage] == [False, False]
    assert all(f"Host: {storage.removeprefix('https://')}\r\n" in head for head in at_storage)
    assert not at_misnamed
    assert (tmp_path / "a.pdf").read_bytes() == b"%PDF-1.7\n"
