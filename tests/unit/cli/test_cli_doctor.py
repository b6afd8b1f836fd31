"""Each check of the doctor: what it finds, whether that is well, and what to do where it is not."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from spotdx_async.cli.connection_checks import (
    Finding,
    advice_on_certificate,
    check_certificate,
    check_clock,
    check_way,
    issuer_in,
)
from spotdx_async.cli.doctor import check_settings, check_versions
from spotdx_async.cli.settings import Server, Settings

NOW_S = 1_700_000_000.0
Serve = Callable[..., str]


class Answer(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a TLS server on this machine, whose authority is trusted or not; give its address."""
    servers: list[HTTPServer] = []

    def start(*, name: str = "localhost", days: int = 90, is_trusted: bool = True) -> str:
        authority = trustme.CA()
        issued = authority.issue_cert(name, not_after=datetime.now(UTC) + timedelta(days=days, hours=1))
        trusted = authority if is_trusted else trustme.CA()
        trusted.cert_pem.write_to_path(tmp_path / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        server = HTTPServer(("127.0.0.1", 0), Answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"https://localhost:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def way_to(url: str) -> list[Finding]:
    return list(check_way(Settings.for_server(url, "token")))


def states(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.check, one.state) for one in findings]


def test_the_versions_are_told() -> None:
    found = check_versions()
    assert found.state == "ok"
    assert all(name in found.text for name in ("spotdx-async 0.", "aiohttp 3.", "Python 3."))


def test_the_way_to_a_trusted_server_is_well(serve: Serve) -> None:
    found = way_to(serve())

    assert states(found) == [("dns", "ok"), ("tcp", "ok"), ("tls", "ok"), ("clock", "ok")]
    assert "(90 days)" in found[2].text
    assert all(one.next is None for one in found)


def test_a_certificate_that_ends_soon_is_a_warning(serve: Serve) -> None:
    found = way_to(serve(days=5))

    assert states(found)[2] == ("tls", "warn")
    assert "(5 days)" in found[2].text
    assert found[2].next is not None


@pytest.mark.parametrize(
    ("about", "told", "step"),
    [
        (
            {"is_trusted": False},
            "(unable to get local issuer certificate; it is signed by trustme",
            "(SPOTDX_CA_FILE) names, which replaces the system's",
        ),
        ({"name": "elsewhere.example.com"}, "Hostname mismatch", "check the name in the base_url"),
        ({"days": -1}, "certificate has expired", "check this machine's clock"),
    ],
)
def test_a_certificate_that_is_not_trusted_ends_the_way_with_why(
    serve: Serve, about: dict[str, object], told: str, step: str
) -> None:
    found = way_to(serve(**about))

    assert states(found) == [("dns", "ok"), ("tcp", "ok"), ("tls", "FAIL")]
    assert told in found[-1].text
    assert step in (found[-1].next or "")


def test_a_server_that_speaks_no_tls_ends_the_way() -> None:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = way_to(f"https://localhost:{server.server_port}")

    assert states(found) == [("dns", "ok"), ("tcp", "ok"), ("tls", "FAIL")]
    assert "right port" in (found[-1].next or "")


def test_a_port_where_nothing_listens_ends_the_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = way_to(f"http://127.0.0.1:{port}")

    assert states(found) == [("dns", "ok"), ("tcp", "FAIL")]
    assert found[-1].text == f"no connection to port {port} (Connection refused)"


def test_a_name_that_nobody_knows_ends_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    (found,) = way_to("https://nowhere.example.com")

    assert (found.check, found.state) == ("dns", "FAIL")
    assert found.text == "nowhere.example.com cannot be resolved (Name or service not known)"
    assert "check the name" in (found.next or "")


@pytest.mark.parametrize(("left_days", "state"), [(400, "ok"), (14, "ok"), (13, "warn"), (0, "warn")])
def test_a_certificate_is_warned_of_two_weeks_before_its_end(left_days: int, state: str) -> None:
    not_after = datetime.fromtimestamp(NOW_S + 86_400 * left_days + 60, UTC).strftime("%b %d %H:%M:%S %Y GMT")

    assert check_certificate(not_after, NOW_S).state == state


def test_a_certificate_without_a_date_is_taken() -> None:
    assert check_certificate("", NOW_S).state == "ok"


@pytest.mark.parametrize(
    ("server_ahead_s", "round_trip_s", "state", "told"),
    [
        (0, 0.1, "ok", "within 30 s"),
        (29, 0.1, "ok", "within 30 s"),
        (-30, 0.1, "ok", "within 30 s"),
        (40, 20, "ok", "within 30 s"),  # the answer may have been made at its end
        (45, 0, "warn", "45 s behind the server's"),
        (-100, 0, "warn", "99 s ahead of the server's"),  # the header leaves out parts of a second
        (-7200, 0, "warn", "7,199 s ahead of"),
    ],
)
def test_a_clock_is_warned_of_when_it_is_surely_off(
    server_ahead_s: float, round_trip_s: float, state: str, told: str
) -> None:
    said = formatdate(NOW_S + server_ahead_s, usegmt=True)

    found = check_clock(said, NOW_S, NOW_S + round_trip_s)

    assert found.state == state
    assert told in found.text
    assert (found.next is not None) == (state == "warn")


@pytest.mark.parametrize("said", [None, "", "yesterday", "Thu, 99 Nov 2026 99:00:00 GMT"])
def test_a_server_that_does_not_say_the_time_is_no_trouble(said: str | None) -> None:
    assert check_clock(said, NOW_S, NOW_S).text == "the server does not report its time"


@pytest.mark.parametrize(
    ("source", "state"),
    [
        ('token_env = "OTHER"', "warn"),
        ('token_command = ["x"]', "warn"),
        ('token_env = "SPOTDX_TOKEN"', "ok"),
        ("", "ok"),
    ],
)
def test_a_token_of_the_environment_that_goes_before_the_profiles_is_warned_of(
    source: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[profiles.night]\n{source}\n")
    monkeypatch.setenv("SPOTDX_CONFIG", str(path))
    monkeypatch.setenv("SPOTDX_TOKEN", "canary-token-43")
    monkeypatch.delenv("SPOTDX_BASE_URL", raising=False)

    found = check_settings(Server(profile="night").settings())

    assert found.state == state
    assert "canary" not in found.text
    assert ("unset SPOTDX_TOKEN" in (found.next or "")) == (state == "warn")


@pytest.mark.parametrize(
    ("verify_code", "said"),
    [
        (9, "check this machine's clock"),
        (10, "must renew the certificate"),
        (62, "check the name in the base_url"),
        (64, "put the server's name in place of its address"),
        (18, "(SPOTDX_CA_FILE) names, which replaces the system's"),
        (20, "(SPOTDX_CA_FILE) names, which replaces the system's"),
    ],
)
def test_the_advice_on_a_certificate_is_about_what_is_wrong_with_it(verify_code: int, said: str) -> None:
    assert said in advice_on_certificate(verify_code)


def test_the_issuer_of_a_certificate_is_read() -> None:
    for authority, name in ((trustme.CA(organization_name="Lab Ä"), "Lab Ä"), (trustme.CA(), "trustme")):
        der = ssl.PEM_cert_to_DER_cert(authority.issue_cert("localhost").cert_chain_pems[0].bytes().decode())
        assert str(issuer_in(der)).startswith(name)
        assert not any(issuer_in(der[:cut]) for cut in range(len(der)))
    assert issuer_in(b"no certificate") is None
