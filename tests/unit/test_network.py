"""Proxies, certificates and headers as settings: what is taken, and what is said of the rest."""

import logging
import pickle
import ssl
import sys
from pathlib import Path
from traceback import TracebackException
from types import MappingProxyType
from typing import Any

import pytest
import trustme
from attrs import evolve

from spotdx_async import ConfigError, InvalidInputError, NotSentError, RetryPolicy, SpotClient
from spotdx_async._http import logs
from spotdx_async._http.links import AllowedHosts
from spotdx_async.distributed import ClientSettings
from spotdx_async.network import Proxy, check_proxy, ssl_context_of, ssl_context_with_environment
from spotdx_async.testing import FakeSpot

HTTPS = "https://spot.example"


def client(**options: Any) -> SpotClient:
    return SpotClient("token", **{"base_url": HTTPS, **options})


# Proxies


@pytest.mark.parametrize(
    ("value", "place", "header"),
    [
        ("http://proxy.example:3128", "proxy.example:3128", None),
        ("http://proxy.example:3128/", "proxy.example:3128", None),
        ("http://[::1]:8080", "[::1]:8080", None),
        ("http://me:pass@proxy.example:3128", "proxy.example:3128", "Basic bWU6cGFzcw=="),
        ("http://d%C3%B6:p%40%2F%3A@proxy.example:3128", "proxy.example:3128", "Basic ZMO2OnBALzo="),
        ("http://me@proxy.example:3128", "proxy.example:3128", "Basic bWU6"),
        ("http://d%F6:p%E4@proxy.example:3128", "proxy.example:3128", "Basic ZPY6cOQ="),  # Latin-1
        ("http://d\udcf6:p\udce4@proxy.example:3128", "proxy.example:3128", "Basic ZPY6cOQ="),  # in the environment
    ],
)
def test_a_proxy_is_its_place_and_its_credentials(value: str, place: str, header: str | None) -> None:
    found = check_proxy(value)

    assert found == Proxy(place, {} if header is None else {"Proxy-Authorization": header})
    assert "Basic" not in repr(found)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "must be a string, not int"),
        ("", "must look like"),
        ("proxy.example:3128", "must look like"),
        ("http://proxy.example", "must look like"),
        ("http://:3128", "must look like"),
        ("http://proxy.example:99999", "must look like"),
        ("https://s3cret:s3cret@proxy.example:3128", "must be an http proxy, .* not https"),
        ("socks5://s3cret:s3cret@proxy.example:3128", "must be an http proxy, .* not socks5"),
        ("http://me:s3cret@proxy.example:3128/path", "must end after its port"),
        ("http://me:s3cret@proxy.example:3128?x", "must (end after its port|look like)"),
        ("http://me:s3/cret@proxy.example:3128", "must (look like|end after)"),
        ("http://me%3Ayou:s3cret@proxy.example:3128", "a user with a colon"),
        ("http://me:s3%0Acret@proxy.example:3128", "control character"),
        ("http://me:s3\ud800cret@proxy.example:3128", "a password that is no text"),
        ("http://me:s3\ncret@proxy.example:3128", "control character"),
        ("http://me:s3\tcret@proxy.example:3128", "control character"),
    ],
)
def test_a_wrong_proxy_is_refused_unshown(value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        client(proxy=value)

    assert "s3" not in str(caught.value)
    assert "proxy.example:3128?x" not in str(caught.value)


def test_the_environment_names_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_PROXY", "nonsense")
    with pytest.raises(ConfigError, match="proxy must look like"):
        client()
    client(proxy="http://proxy.example:3128")

    client(base_url="http://127.0.0.1:8123")  # on this machine

    monkeypatch.setenv("SPOTDX_PROXY", "")
    client()


async def test_proxy_variables_of_other_programs_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with FakeSpot() as fake:
        assert await fake.client().kits.types()


@pytest.mark.parametrize("option", ["proxy", "ssl_context"])
async def test_a_session_has_its_own_way(option: str, fake_spot: FakeSpot) -> None:
    value = {"proxy": "http://proxy.example:3128", "ssl_context": ssl.create_default_context()}[option]
    import aiohttp  # noqa: PLC0415 - one test of this file needs it

    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigError, match=f"{option} and session are both given"):
            client(session=session, **{option: value})
        async with SpotClient(fake_spot.token, base_url=fake_spot.url, session=session, headers={"X-Key": "k"}) as spot:
            await spot.kits.types()
    assert fake_spot.requests[-1].headers["x-key"] == "k"


# TLS


def unverified(*, checks_name: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if not checks_name:
        context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("checks", [True, False])
def test_a_context_that_does_not_verify_is_refused(checks: bool) -> None:
    with pytest.raises(ConfigError, match="ssl_context does not verify the server"):
        client(ssl_context=unverified(checks_name=checks))

    client(ssl_context=unverified(checks_name=checks), base_url="https://127.0.0.1:8443")
    client(ssl_context=unverified(checks_name=checks), base_url="https://localhost:8443")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "must be an ssl.SSLContext, .* not bool"),
        ("ca.pem", "must be an ssl.SSLContext, .* not str"),
        (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "is a server's"),
    ],
)
def test_a_context_is_a_clients(value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        client(ssl_context=value, base_url="https://127.0.0.1:8443")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    authority = trustme.CA()
    issued = authority.issue_cert("worker@example.com")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    trustme.CA().issue_cert("other@example.com").private_key_pem.write_to_path(str(tmp_path / "other.pem"))
    (tmp_path / "text.pem").write_text("no certificate")
    return {path.stem: str(path) for path in tmp_path.iterdir()} | {"gone": str(tmp_path / "gone.pem")}


def test_files_make_a_context(files: dict[str, str]) -> None:
    assert ssl_context_of(None, None, None) is None
    context = ssl_context_of(files["ca"], files["cert"], files["key"])
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1  # in place of the system's
    assert ssl_context_of(None, files["both"], None) is not None


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((None, None, "key"), "client_key is set without client_cert"),
        (("gone", None, None), r"ca_file: .*gone.pem cannot be read \(No such file or directory\)"),
        (("text", None, None), r"ca_file: .*text.pem holds no certificate in PEM"),
        ((None, "gone", None), r"client_cert: .*gone.pem cannot be read"),
        ((None, "both", "gone"), r"client_key: .*gone.pem cannot be read"),
        ((None, "text", None), r"client_cert: .*text.pem is no certificate with its key in PEM"),
        ((None, "cert", None), r"client_cert: .*cert.pem is no certificate with its key in PEM"),
        ((None, "cert", "other"), r"client_cert: .*cert.pem .* do not belong together"),
    ],
)
def test_files_that_make_none_are_named(files: dict[str, str], names: tuple[str | None, ...], words: str) -> None:
    ca_file, client_cert, client_key = (None if name is None else files[name] for name in names)
    with pytest.raises(ConfigError, match=words):
        ssl_context_of(ca_file, client_cert, client_key)


def test_the_environment_names_files(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_CA_FILE", files["ca"])
    monkeypatch.setenv("SPOTDX_CLIENT_CERT", files["gone"])
    with pytest.raises(ConfigError, match=r"SPOTDX_CLIENT_CERT: .*gone.pem cannot be read"):
        client()
    client(ssl_context=ssl.create_default_context())

    monkeypatch.setenv("SPOTDX_CLIENT_CERT", files["both"])
    client()


def test_the_systems_authorities_need_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl_context_of("system", None, None)
    assert type(context).__module__.startswith("truststore")
    client(ssl_context=context)

    monkeypatch.setitem(sys.modules, "truststore", None)
    with pytest.raises(ConfigError, match='ca_file = "system" needs the extra truststore'):
        ssl_context_of("system", None, None)


# Headers


async def test_headers_go_with_each_request(fake_spot: FakeSpot) -> None:
    given = {"X-Gateway-Key": "k3y", "X-Team": "lab"}
    async with SpotClient(
        fake_spot.token, base_url=fake_spot.url, headers=MappingProxyType(given), user_agent="acme-etl/2.1 (night)"
    ) as spot:
        given["X-Team"] = "changed later"
        await spot.kits.types()
        await spot.request("GET", "/api/v2/kits/", headers={"x-team": "one", "X-Once": "1"})
        assert "k3y" not in repr(spot)

    first, second = (request.headers for request in fake_spot.requests)
    assert (first["x-gateway-key"], first["x-team"]) == ("k3y", "lab")
    assert first["user-agent"].startswith("spotdx-async/")
    assert first["user-agent"].endswith(" acme-etl/2.1 (night)")
    assert (second["x-gateway-key"], second["x-team"], second["x-once"]) == ("k3y", "one", "1")
    assert first["authorization"] == second["authorization"] == f"Token {fake_spot.token}"


WRONG_HEADERS: list[tuple[Any, str]] = [
    ([("X-A", "b")], "must be a mapping"),
    ({"Authorization": "Bearer s3cret"}, "headers has Authorization, which the SDK sets itself: pass token="),
    ({"proxy-authorization": "s3cret"}, "name user and password in proxy="),
    ({"user-agent": "s3cret"}, "pass user_agent="),
    ({"Host": "s3cret"}, "leave it out"),
    ({"Content-Length": "3"}, "leave it out"),
    ({"X A": "s3cret"}, "has a name that is none"),
    ({"": "s3cret"}, "has a name that is none"),
    ({3: "s3cret"}, "has a name that is none"),
    ({"X-A": "s3cret\r\nX-B: b"}, "has a value for X-A"),
    ({"X-A": "s3cret "}, "has a value for X-A"),
    ({"X-A": "s3crét"}, "has a value for X-A"),
    ({"X-A": b"s3cret"}, "has a value for X-A"),
    ({"X-A": "a", "x-a": "b"}, "twice"),
]


@pytest.mark.parametrize(("headers", "words"), WRONG_HEADERS)
async def test_wrong_headers_are_refused_unshown(headers: Any, words: str, fake_spot: FakeSpot) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        client(headers=headers)
    with pytest.raises(InvalidInputError, match=words):
        await fake_spot.client().request("GET", "/api/v2/kits/", headers=headers)

    assert "s3cr" not in str(caught.value)
    assert fake_spot.requests == []


@pytest.mark.parametrize("value", ["", " x", "x\n", "ü", 3])
def test_a_wrong_user_agent_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="user_agent must be text in ASCII"):
        client(user_agent=value)


# http


def test_http_goes_to_hosts_that_are_named(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_EXPOSED", set())
    url = "http://Host.docker.internal:8123"
    with pytest.raises(ConfigError, match="base_url must use https"):
        client(base_url=url)
    with caplog.at_level(logging.WARNING, "spotdx_async"):
        for _ in range(2):
            client(base_url=url, allow_http_hosts=("host.docker.internal", "fake"))
    (record,) = caplog.records
    assert record.getMessage().startswith("http to host.docker.internal:8123, which allow_http_hosts names")

    allowed = AllowedHosts("http://fake:8123", None)
    assert allowed.link("http://fake:8123/file.pdf").is_of_server
    with pytest.raises(Exception, match="does not use https"):
        allowed.link("http://other:8123/file.pdf")


@pytest.mark.parametrize("hosts", ["host.docker.internal", ("fake:8123",), ("http://fake",), (3,), None])
def test_hosts_are_names(hosts: Any) -> None:
    with pytest.raises(ConfigError, match="allow_http_hosts must be a list of names without ports"):
        client(allow_http_hosts=hosts)


# The time that connecting takes


@pytest.mark.virtual_time
@pytest.mark.parametrize("with_proxy", [True, False])
async def test_a_server_that_does_not_answer_costs_connect_timeout_s(
    monkeypatch: pytest.MonkeyPatch, with_proxy: bool
) -> None:
    import asyncio  # noqa: PLC0415 - one test of this file needs it

    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", hang)
    loop = asyncio.get_running_loop()
    proxy = {"proxy": "http://127.0.0.1:3128"} if with_proxy else {}
    spot = client(base_url="https://127.0.0.1:1", retry=RetryPolicy(base_s=0), connect_timeout_s=2.5, **proxy)
    async with spot:
        began_s = loop.time()
        with pytest.raises(NotSentError, match="no connection within connect_timeout_s") as caught:
            await spot.kits.types()

    assert (caught.value.reason, caught.value.attempts) == ("timeout", 4)
    assert loop.time() - began_s == pytest.approx(4 * 2.5)


@pytest.mark.parametrize("value", [0, -1, float("nan"), "10", None])
def test_a_wrong_connect_timeout_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="connect_timeout_s must be a number of seconds above 0"):
        client(connect_timeout_s=value)


# Workers


async def test_workers_reach_the_server_by_the_same_settings(fake_spot: FakeSpot, files: dict[str, str]) -> None:
    settings = ClientSettings(
        base_url=fake_spot.url,
        proxy="http://127.0.0.1:1",
        ca_file=files["ca"],
        client_cert=files["both"],
        connect_timeout_s=3,
        user_agent="acme-etl/2.1",
        headers=key_of_gateway,
        token=token_of_fake,
    )
    assert pickle.loads(pickle.dumps(settings)) == settings
    async with settings.client() as spot:
        with pytest.raises(NotSentError, match=r"the proxy 127.0.0.1:1 refused"):
            await spot.with_options(retry=RetryPolicy(max_attempts=1)).kits.types()
    async with evolve(settings, proxy=None).client() as spot:
        await spot.kits.types()
    headers = fake_spot.requests[-1].headers
    assert (headers["x-gateway-key"], headers["user-agent"].rpartition(" ")[2]) == ("k3y", "acme-etl/2.1")


def key_of_gateway() -> dict[str, str]:
    return {"X-Gateway-Key": "k3y"}


def token_of_fake() -> str:
    return "test-token"


def test_no_secret_of_a_proxy_is_sent_to_workers() -> None:
    with pytest.raises(ConfigError, match="no credentials here: set the environment's SPOTDX_PROXY") as caught:
        ClientSettings(base_url=HTTPS, proxy="http://me:s3cret@proxy.example:3128")
    told = TracebackException.from_exception(caught.value, capture_locals=True)
    assert "s3cret" not in f"{caught.value}{[frame.locals for frame in told.stack]}"


def test_workers_may_reach_a_fake_in_another_container() -> None:
    with pytest.raises(ConfigError, match="base_url must use https"):
        ClientSettings(base_url="http://fake:8123")
    with pytest.raises(ConfigError, match="allow_http_hosts must be a list of names"):
        ClientSettings(base_url="http://fake:8123", allow_http_hosts="fake")
    assert ClientSettings(base_url="http://fake:8123/", allow_http_hosts=["fake"]).base_url == "http://fake:8123"


def test_a_key_belongs_to_the_certificate_that_is_named_in_the_same_place(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTDX_CLIENT_KEY", files["other"])
    assert ssl_context_with_environment(client_cert=files["both"]) is not None
    with pytest.raises(ConfigError, match="SPOTDX_CLIENT_KEY is set without SPOTDX_CLIENT_CERT"):
        ssl_context_with_environment(ca_file=files["ca"])
