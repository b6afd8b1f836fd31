"""Real certificates: what a call and a run say of each, and which authorities a client's own session trusts."""

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

import aiohttp
import pytest
import trustme

from spotdx_async import BulkStopped, NotSentError, OutcomeUnknownError, RetryPolicy, SpotClient

Serve = Callable[..., str]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"


def answer(connection: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as scrubs_traceback:
        scrubs_traceback.recv(65536)
        scrubs_traceback.sendall(ANSWER)
        scrubs_traceback.unwrap()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def serve(authority: trustme.CA) -> Iterator[Serve]:
    """Start a TLS server; give its address."""
    listening: list[socket.socket] = []

    def start(*, days: int = 90, asks: bool = False, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str:
        not_after = datetime.now(UTC) + timedelta(days=days)
        issued = authority.issue_cert("127.0.0.1", not_before=not_after - timedelta(days=365), not_after=not_after)
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
                    threading.Thread(target=answer, args=(server.accept()[0], context), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"https://127.0.0.1:{server.getsockname()[1]}"

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
