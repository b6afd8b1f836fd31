"""The way out of a company's network: real forward proxies, one that reads TLS, nginx that asks for a certificate."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trustme
from attrs import evolve

from spotdx_async import BulkStopped, NotSentError, OutcomeUnknownError, RetryPolicy, SpotClient, StatusError
from spotdx_async.cli.connection_checks import check_way
from spotdx_async.cli.settings import Server, Setting
from spotdx_async.testing import FakeSpot
from tests.new_objects import ORDER
from tests.programs import find, free_port, running

TINYPROXY = """Port {port}
Listen 127.0.0.1
Timeout 30
MaxClients 200
Allow 127.0.0.1
LogFile "{log}"
LogLevel Connect
{more}
"""
SQUID = """http_port 127.0.0.1:{port} ssl-bump cert={at}/ca.pem generate-host-certificates=on
sslcrtd_program {certgen} -s {at}/made -M 4MB
tls_outgoing_options cafile={at}/origin.pem
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
http_access allow all
cache deny all
shutdown_lifetime 0 seconds
pid_filename {at}/squid.pid
access_log stdio:{at}/access.log
cache_log {at}/cache.log
coredump_dir {at}
"""
NGINX = """daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{}}
http {{
  access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;
  uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {at}/server.pem; ssl_certificate_key {at}/server.pem;
    ssl_client_certificate {at}/clients.pem; ssl_verify_client on;
    location / {{ proxy_pass {to}; }} }}
}}"""
ONCE = RetryPolicy(max_attempts=1)


@dataclass
class Piped:
    """A listener that passes bytes on, or reads them."""

    port: int = 0
    accepted: int = 0
    heads: list[bytes] = field(default_factory=list)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def listening(serve: Any, context: ssl.SSLContext | None = None) -> AsyncIterator[Piped]:
    """Serve each connection by a coroutine, which ends with this block."""
    about, tasks = Piped(), set[asyncio.Task[Any]]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        about.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(about, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    about.port = server.sockets[0].getsockname()[1]
    try:
        yield about
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def secured(fake: FakeSpot, authority: trustme.CA) -> AsyncIterator[Piped]:
    """Stand before the fake, and speak TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    port = int(fake.url.rpartition(":")[2])

    async def pass_on(_about: Piped, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pipe(reader, forth), _pipe(back, writer))

    async with listening(pass_on, context) as about:
        yield about


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that a proxy can use which gives up root's rights."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@asynccontextmanager
async def tinyproxy(folder: Path, more: str = "") -> AsyncIterator[str]:
    """Run it; give its place."""
    program, port, log = find("tinyproxy", "tinyproxy"), free_port(), folder / "tinyproxy.log"
    settings = folder / "tinyproxy.conf"
    log.touch(0o666)
    settings.write_text(TINYPROXY.format(port=port, log=log, more=more))
    async with running(program, "-d", "-c", str(settings), port=port):
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def squid(folder: Path, reads: trustme.CA, origin: trustme.CA) -> AsyncIterator[str]:
    """Run it so that it reads TLS, with certificates that it makes; give its place."""
    program, port = find("squid", "squid-openssl"), free_port()
    certgen = "/usr/lib/squid/security_file_certgen"
    if not Path(certgen).exists():
        pytest.skip("squid is installed without OpenSSL: apt-get install squid-openssl")
    subprocess.run([certgen, "-c", "-s", f"{folder}/made", "-M", "4MB"], check=True, capture_output=True)  # noqa: ASYNC221, S603
    reads.private_key_pem.write_to_path(str(folder / "ca.pem"))
    reads.cert_pem.write_to_path(str(folder / "ca.pem"), append=True)
    origin.cert_pem.write_to_path(str(folder / "origin.pem"))
    settings = folder / "squid.conf"
    settings.write_text(SQUID.format(at=folder, port=port, certgen=certgen))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777)
    async with running(program, "-N", "-d1", "-f", str(settings), port=port):
        yield f"127.0.0.1:{port}"


def creates(fake: FakeSpot) -> list[str]:
    return [request.path for request in fake.requests if request.path == "/api/v2/orders/"]


async def do_everything(spot: SpotClient, fake: FakeSpot) -> None:
    """Read, update in bulk, and place orders, one of them in bulk; compare with what the fake holds."""
    kits = [str(kit.kit_id) async for kit in spot.kits.list()]
    assert len(kits) >= 3
    async with spot.kits.update_metadata_many(((kit, {"n": kit}) for kit in kits), concurrency=8) as run:
        states = [outcome.state async for outcome in run]
    assert states == ["ok"] * len(kits)
    placed = await asyncio.gather(*(spot.orders.create(ORDER) for _ in range(5)))
    assert {order.order_id for order in placed} <= {*fake.orders}
    assert len(creates(fake)) == 5


# Forward proxies


@pytest.mark.parametrize("credentials", ["", "worker:secret@"])
async def test_tls_passes_a_proxy_unread(
    folder: Path, authority: trustme.CA, trusting: ssl.SSLContext, credentials: str
) -> None:
    more = "BasicAuth worker secret" if credentials else ""
    async with FakeSpot() as fake, secured(fake, authority) as server, tinyproxy(folder, more) as place:
        url = f"https://127.0.0.1:{server.port}"
        async with SpotClient(
            fake.token, base_url=url, proxy=f"http://{credentials}{place}", ssl_context=trusting, headers={"X-Key": "a"}
        ) as spot:
            await do_everything(spot, fake)
        assert {request.headers["x-key"] for request in fake.requests} == {"a"}
        assert not any("proxy-authorization" in request.headers for request in fake.requests)

    log = (folder / "tinyproxy.log").read_text()
    assert f"CONNECT 127.0.0.1:{server.port}" in log
    assert fake.token not in log
    # Orders have connections of their own, the rest shares some.
    assert 6 <= server.accepted <= 5 + 8 + 1


@pytest.mark.parametrize("credentials", ["", "worker:secret@"])
async def test_a_proxy_passes_http_on_to_this_machine(folder: Path, credentials: str) -> None:
    more = "BasicAuth worker secret" if credentials else ""
    async with FakeSpot() as fake, tinyproxy(folder, more) as place:
        async with SpotClient(fake.token, base_url=fake.url, proxy=f"http://{credentials}{place}") as spot:
            await do_everything(spot, fake)
            saved = await spot.reports.save(fake.report_files.url("a.pdf"), folder / "a.pdf")
        assert saved.size == (folder / "a.pdf").stat().st_size
        assert all("via" in request.headers for request in fake.requests)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_says_so_at_once(
    folder: Path, authority: trustme.CA, trusting: ssl.SSLContext, scheme: str
) -> None:
    async with FakeSpot() as fake, secured(fake, authority) as server, tinyproxy(folder, "ConnectPort 443") as place:
        url = fake.url if scheme == "http" else f"https://127.0.0.1:{server.port}"
        async with SpotClient(fake.token, base_url=url, proxy=f"http://{place}", ssl_context=trusting) as spot:
            if scheme == "http":
                await spot.kits.types()
                return
            with pytest.raises(NotSentError, match=rf"the proxy {place} refused to connect to the server") as caught:
                await spot.orders.create(ORDER)
        assert (caught.value.reason, caught.value.proxy_status, caught.value.attempts) == ("connect", 403, 1)
        assert caught.value.proxy == place
        assert fake.requests == []


@pytest.mark.parametrize("credentials", ["", "worker:wrong@"])
async def test_a_proxy_that_wants_a_password_says_so(
    folder: Path, authority: trustme.CA, trusting: ssl.SSLContext, credentials: str
) -> None:
    async with (
        FakeSpot() as fake,
        secured(fake, authority) as server,
        tinyproxy(folder, "BasicAuth worker secret") as place,
    ):
        url = f"https://127.0.0.1:{server.port}"
        spot = SpotClient(fake.token, base_url=url, proxy=f"http://{credentials}{place}", ssl_context=trusting)
        async with spot:
            with pytest.raises(NotSentError, match=r"(asks for|does not accept the) credentials") as caught:
                await spot.orders.create(ORDER)
        # tinyproxy's answer to wrong ones is 401.
        assert (caught.value.proxy_status, caught.value.attempts) == (401 if credentials else 407, 1)
        assert "wrong" not in f"{caught.value!r}{caught.value}{spot!r}"
        assert fake.requests == []


@pytest.mark.parametrize(
    ("place", "reason", "words"),
    [
        ("127.0.0.1:{port}", "refused", "the proxy 127.0.0.1:{port} refused the connection"),
        ("proxy.invalid:3128", "dns", "the proxy's name was not found .proxy.invalid:3128."),
    ],
)
async def test_a_proxy_that_is_not_there_is_told_from_the_server(place: str, reason: str, words: str) -> None:
    port = free_port()
    async with SpotClient(
        "token", base_url="https://127.0.0.1:1", proxy=f"http://u:hidden@{place.format(port=port)}", retry=ONCE
    ) as spot:
        with pytest.raises(NotSentError, match=words.format(port=port)) as caught:
            await spot.kits.types()
    assert (caught.value.reason, caught.value.proxy) == (reason, place.format(port=port))
    assert "hidden" not in f"{caught.value!r}"


async def test_a_proxy_learns_nothing_that_is_the_servers(trusting: ssl.SSLContext) -> None:
    async def refuse(about: Piped, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        about.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with (
        listening(refuse) as proxy,
        SpotClient(
            "the-token",
            base_url="https://spot.example",
            proxy=f"http://me:pass@127.0.0.1:{proxy.port}",
            ssl_context=trusting,
            headers={"X-Gateway-Key": "of-the-gateway"},
            retry=RetryPolicy(max_attempts=2, base_s=0),
        ) as spot,
    ):
        with pytest.raises(NotSentError, match=r"the proxy 127.0.0.1:\d+ answered 502"):
            await spot.orders.create(ORDER)

    first, *_ = lines = proxy.heads[0].decode().split("\r\n")
    assert first == "CONNECT spot.example:443 HTTP/1.1"
    assert "Host: spot.example" in lines
    assert "Proxy-Authorization: Basic bWU6cGFzcw==" in lines
    assert len(proxy.heads) == 2
    assert not any(secret in proxy.heads[0] for secret in (b"the-token", b"of-the-gateway", b"close"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "no connection could be made to the proxy 127.0.0.1:{port}, so"),
        (b"HTTP/1.1 200 Connec", "no connection could be made to the proxy 127.0.0.1:{port}, so"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "the proxy 127.0.0.1:{port} gave no answer that is HTTP, so"),
        (b"HTTP/1.1 200 OK\r\nX: %b\r\n\r\n" % (b"a" * 20_000), "the proxy 127.0.0.1:{port} gave no answer"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "the proxy 127.0.0.1:{port} answered 204"),
    ],
    ids=["nothing", "half of one", "another protocol", "a long header", "another yes"],
)
async def test_a_proxy_that_does_not_answer_is_told_from_the_server(answer: bytes, words: str) -> None:
    async def break_off(_about: Piped, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with listening(break_off) as proxy:
        way = f"http://127.0.0.1:{proxy.port}"
        async with SpotClient("token", base_url="https://spot.example", proxy=way, retry=ONCE) as spot:
            with pytest.raises(NotSentError, match=words.format(port=proxy.port)) as caught:
                await spot.orders.create(ORDER)
        assert (caught.value.reason, caught.value.proxy) == ("connect", f"127.0.0.1:{proxy.port}")
        assert "spot.example" not in str(caught.value)
        (*_, (check, state, _)) = await way_to("https://spot.example", proxy=way)
        assert (check, state) == ("proxy", "FAIL")


async def test_an_order_whose_connection_breaks_behind_a_proxy_is_not_sent_again(
    folder: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    async with FakeSpot() as fake, secured(fake, authority) as server, tinyproxy(folder) as place:
        fake.faults.add("drop_after", times=1)
        url = f"https://127.0.0.1:{server.port}"
        async with SpotClient(fake.token, base_url=url, proxy=f"http://{place}", ssl_context=trusting) as spot:
            with pytest.raises(OutcomeUnknownError):
                await spot.orders.create(ORDER)
        assert len(creates(fake)) == 1


async def test_a_proxy_that_comes_to_refuse_stops_a_run(trusting: ssl.SSLContext) -> None:
    """As where a password is changed: each further try may lock the account."""

    async def refuse(about: Piped, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        about.heads.append(b"CONNECT")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    rows = [(f"SPOT{number:06}", {"n": number}) for number in range(200)]
    async with (
        listening(refuse) as proxy,
        SpotClient(
            "token", base_url="https://spot.example", proxy=f"http://127.0.0.1:{proxy.port}", ssl_context=trusting
        ) as spot,
    ):
        with pytest.raises(BulkStopped, match=r"by NotSentError: .* asks for credentials \(407\)"):
            async with spot.kits.update_metadata_many(rows, concurrency=4) as run:
                assert [outcome async for outcome in run] == []
    assert 3 <= len(proxy.heads) <= 3 + 2 * 4


# A proxy that reads TLS


async def test_a_proxy_that_reads_tls_is_refused_until_its_authority_is_trusted(
    folder: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    own = trustme.CA()
    async with (
        FakeSpot() as fake,
        secured(fake, authority) as server,
        squid(folder, reads=own, origin=authority) as place,
    ):
        url, proxy = f"https://localhost:{server.port}", f"http://{place}"
        async with SpotClient(fake.token, base_url=url, proxy=proxy, ssl_context=trusting) as spot:
            with pytest.raises(NotSentError, match="signed by an unknown authority") as caught:
                await spot.kits.types()
        assert (caught.value.reason, caught.value.proxy, fake.requests) == ("tls", None, [])

        own.configure_trust(trusting)
        async with SpotClient(fake.token, base_url=url, proxy=proxy, ssl_context=trusting) as spot:
            await do_everything(spot, fake)


# What the doctor says of them


async def way_to(url: str, **values: str) -> list[tuple[str, str, str]]:
    """Look at the way as ``spotdx doctor`` does, with settings; it blocks, and so has a thread of its own."""
    named: dict[str, Any] = {name: Setting(value, "profile p") for name, value in values.items()}
    settings = evolve(Server(base_url=url).settings(), **named)
    found = await asyncio.to_thread(lambda: list(check_way(settings)))
    assert not any("secret" in f"{one}" for one in found)
    return [(one.check, one.state, f"{one.text} -> {one.next}") for one in found]


async def test_the_doctor_goes_through_the_proxy(folder: Path, authority: trustme.CA) -> None:
    trusted = folder / "trusted.pem"
    authority.cert_pem.write_to_path(str(trusted))
    async with (
        FakeSpot() as fake,
        secured(fake, authority) as server,
        tinyproxy(folder, "BasicAuth worker secret") as place,
    ):
        url, named = f"https://localhost:{server.port}", f"http://worker:secret@{place}"
        found = await way_to(url, proxy=named, ca_file=str(trusted))
        assert [one[:2] for one in found] == [(name, "ok") for name in ("dns", "proxy", "tls", "clock")]
        assert f"{place} connects to localhost:{server.port}" in found[1][2]

        plain = await way_to(fake.url, proxy=named)
        assert [one[:2] for one in plain] == [(name, "ok") for name in ("dns", "proxy", "tls", "clock")]
        assert [request.method for request in fake.requests] == ["HEAD", "HEAD"]

        (*_, (check, state, text)) = await way_to(url, proxy=f"http://{place}")
        assert (check, state) == ("proxy", "FAIL")
        assert "asks for a user and password (407)" in text
        assert "set SPOTDX_PROXY to" in text
        (*_, (_, _, text)) = await way_to(url, proxy=f"http://worker:secret2@{place}")
        assert "does not accept the user and password" in text


@pytest.mark.parametrize("base_url", ["https://[2001:db8::1]", "https://[2001:db8::1]:8443", "https://spot.example"])
async def test_the_doctor_asks_the_proxy_as_calls_do(base_url: str) -> None:
    async def refuse(about: Piped, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        about.heads.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(refuse) as proxy:
        way = f"http://127.0.0.1:{proxy.port}"
        async with SpotClient("token", base_url=base_url, proxy=way, retry=ONCE) as spot:
            with pytest.raises(NotSentError):
                await spot.kits.types()
        await way_to(base_url, proxy=way)
    assert proxy.heads[0] == proxy.heads[1]


async def test_the_doctor_tells_a_proxy_that_refuses_from_one_that_is_not_there(
    folder: Path, authority: trustme.CA
) -> None:
    async with FakeSpot() as fake, secured(fake, authority) as server, tinyproxy(folder, "ConnectPort 443") as place:
        (*_, (check, _, text)) = await way_to(f"https://localhost:{server.port}", proxy=f"http://{place}")
        assert (check, "refuses to connect to" in text, "administrator to allow" in text) == ("proxy", True, True)
    port = free_port()
    (*_, (check, _, text)) = await way_to("https://localhost:1", proxy=f"http://127.0.0.1:{port}")
    assert (check, f"no connection to the proxy 127.0.0.1:{port}" in text) == ("tcp", True)
    (*_, (check, _, text)) = await way_to(f"https://localhost:{port}")
    assert (check, "if this network asks for a proxy, set SPOTDX_PROXY" in text) == ("tcp", True)


async def test_the_doctor_names_who_reads_tls(folder: Path, authority: trustme.CA) -> None:
    own = trustme.CA(organization_name="Example Corp Inspection")
    trusted = folder / "trusted.pem"
    authority.cert_pem.write_to_path(str(trusted))
    async with (
        FakeSpot() as fake,
        secured(fake, authority) as server,
        squid(folder, reads=own, origin=authority) as place,
    ):
        (*_, (check, state, text)) = await way_to(
            f"https://localhost:{server.port}", proxy=f"http://{place}", ca_file=str(trusted)
        )
    assert (check, state) == ("tls", "FAIL")
    assert "signed by Example Corp Inspection" in text
    assert "ca_file (SPOTDX_CA_FILE)" in text


# Client certificates


@asynccontextmanager
async def nginx(folder: Path, fake: FakeSpot, authority: trustme.CA, clients: trustme.CA) -> AsyncIterator[str]:
    """Let nginx stand before the fake, and ask for a certificate of ``clients``."""
    program, port = find("nginx", "nginx"), free_port()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    clients.cert_pem.write_to_path(str(folder / "clients.pem"))
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(at=folder, port=port, to=fake.url))
    async with running(program, "-c", str(settings), "-e", str(folder / "error.log"), port=port):
        yield f"https://127.0.0.1:{port}"


async def test_nginx_takes_a_client_certificate(folder: Path, authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    clients = trustme.CA()
    async with FakeSpot() as fake, nginx(folder, fake, authority, clients) as url:
        async with SpotClient(fake.token, base_url=url, ssl_context=trusting) as spot:
            with pytest.raises(StatusError) as caught:
                await spot.orders.create(ORDER)
        assert (caught.value.status, fake.requests) == (400, [])

        clients.issue_cert("worker@example.com").configure_cert(trusting)
        async with SpotClient(fake.token, base_url=url, ssl_context=trusting) as spot:
            await do_everything(spot, fake)
