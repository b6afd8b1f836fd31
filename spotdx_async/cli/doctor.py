"""``spotdx doctor``: checks step by step that everything is set up, and says what to do where it is not."""

import socket
import ssl
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from attrs import asdict, frozen

from spotdx_async.cli.exit_codes import Exit, message_of, next_step, reasons_of
from spotdx_async.cli.options import HIDING, Shown, View
from spotdx_async.cli.output import OurScreen, Streams, counted
from spotdx_async.cli.settings import USUAL_SERVER, OnServer, Server, Settings
from spotdx_async.cli.token_source import TokenVariable
from spotdx_async.errors import AuthenticationError, ConfigError, DecodeError, PermissionDeniedError, SpotError

State: TypeAlias = Literal["ok", "warn", "FAIL"]

_PATIENCE_S = 10.0
_DAY_S = 86_400
_SOON_DAYS = 14
_SKEW_S = 30
_SHOWN_ADDRESSES = 2
_IN_BETWEEN = (
    "something else answers in its place, such as a proxy, a sign-in page or a maintenance page: check the "
    "base_url, or try again later"
)

_CERTIFICATE_STEPS = {
    9: "check this machine's clock: by it, the certificate is not valid yet",
    10: "check this machine's clock; if it is right, whoever runs the server must renew the certificate",
    62: "check the name in the base_url: the certificate is for another one, or something else answers in its place",
    64: "put the server's name in place of its address into the base_url: the certificate is for another address",
}
"""By X509_V_ERR codes: not yet valid, expired, another name, another address."""
_OTHER_AUTHORITY = (
    "ask your network's administrator whether TLS is inspected here, or an authority of your own signs; put its "
    "certificate, with all others that are needed, into a file that SSL_CERT_FILE names, which replaces the system's"
)


@frozen
class Finding:
    """What a check found."""

    check: str
    state: State
    text: str
    """One sentence, without a token or patient data."""
    next: str | None = None
    """What to do; None if there is nothing to do."""


def doctor(*, view: Shown = HIDING, server: OnServer = USUAL_SERVER, streams: OurScreen) -> int:
    """Check that everything is set up: settings, the connection to the server, its certificate, the clock, the token.

    Each line says ok, warn or FAIL, and what to do next. The token is used for one request only, the list of kit
    types, and is never shown.

    Exit codes: 0 nothing failed; 1 something did.

    Example: spotdx doctor
    Example: spotdx doctor --profile staging --json

    Args:
        view: How to show what was found.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    findings = []
    for finding in _examine(server, view):
        findings.append(finding)
        if not view.as_json:
            _show(finding, streams)
    if view.as_json:
        streams.write_json([asdict(one) for one in findings])
    return Exit.FAILED if any(one.state == "FAIL" for one in findings) else Exit.OK


def _examine(server: Server, view: View) -> Iterator[Finding]:
    """Check one thing after another; skip what cannot work after a failure."""
    yield check_versions()
    try:
        settings = server.settings()
    except ConfigError as error:
        yield Finding("settings", "FAIL", str(error), "spotdx config --example shows a correct file")
        return
    yield check_settings(settings)
    for finding in check_way(settings.base_url.value):
        yield finding
        if finding.state == "FAIL":
            return
    yield check_token(settings, show_phi=view.show_phi)


def _show(finding: Finding, streams: Streams) -> None:
    colour = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}[finding.state]
    streams.tell(f"{finding.check:<9} {finding.text}", marked=(f"{finding.state:<5}", colour))
    if finding.next is not None:
        streams.tell(f"{'':<15} next: {finding.next}")


def check_versions() -> Finding:
    """Report which versions are installed."""
    names = ("spotdx-async", "aiohttp", "cyclopts", "rich")
    found = ", ".join(f"{name} {_version(name)}" for name in names)
    return Finding("version", "ok", f"{found}, Python {python_version()}")


def check_settings(settings: Settings) -> Finding:
    """Report the settings in force; warn if a token in the environment overrides the profile's."""
    profile = settings.profile.value
    place = "no profile" if profile is None else f"profile {profile} ({settings.profile.origin})"
    unset = ", which is not set" if settings.token.is_empty else ""
    text = f"{place}, {settings.base_url.value} ({settings.base_url.origin}), token from {settings.token.text}{unset}"
    if profile is not None and settings.token.origin == "environment":
        said = settings.file.profile(profile, named_by="the profile")
        if said.token_command is not None or said.token_env not in {None, "SPOTDX_TOKEN"}:
            return Finding(
                "settings",
                "warn",
                f"{text}, although the profile names another source",
                "unset SPOTDX_TOKEN to use the profile's token",
            )
    return Finding("settings", "ok", text)


def check_way(base_url: str) -> Iterator[Finding]:
    """Connect to the server step by step: name, connection, certificate, clock; the first failure ends it."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = {found[4][0] for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        step = "check the name in the base_url, and this machine's network and DNS"
        yield Finding("dns", "FAIL", f"{host} cannot be resolved ({error.strerror or error})", step)
        return
    yield Finding("dns", "ok", f"{host} is {', '.join(sorted(map(str, addresses))[:_SHOWN_ADDRESSES])}")
    try:
        plain = socket.create_connection((host, port), timeout=_PATIENCE_S)
    except OSError as error:
        step = "check the port in the base_url, and for a firewall or proxy in between (proxies are not used)"
        yield Finding("tcp", "FAIL", f"no connection to port {port} ({error.strerror or 'it timed out'})", step)
        return
    with plain:
        yield Finding("tcp", "ok", f"port {port} accepts connections")
        if parts.scheme == "http":
            yield Finding("tls", "ok", "not used: the server is on this machine")
            yield _clock_at(plain, parts)
            return
        try:
            secured = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            text = f"the certificate is not trusted ({error.verify_message})"
            yield Finding("tls", "FAIL", text, advice_on_certificate(error.verify_code))
            return
        except OSError as error:
            step = "check that the base_url names the right port; ask your network's administrator"
            yield Finding("tls", "FAIL", f"no TLS on port {port} ({error.strerror or 'it timed out'})", step)
            return
        with secured:
            yield check_certificate(str((secured.getpeercert() or {}).get("notAfter", "")), time.time())
            yield _clock_at(secured, parts)


def advice_on_certificate(verify_code: int) -> str:
    """Return what to do about a certificate that OpenSSL rejects with this code of its verification."""
    return _CERTIFICATE_STEPS.get(verify_code, _OTHER_AUTHORITY)


def check_certificate(not_after: str, now_s: float) -> Finding:
    """Report how long a trusted certificate lasts, from its own date such as ``Jun  1 12:00:00 2030 GMT``."""
    if not not_after:
        return Finding("tls", "ok", "the certificate is trusted; it has no expiry date")
    left = int((ssl.cert_time_to_seconds(not_after) - now_s) // _DAY_S)
    text = f"the certificate is trusted until {not_after} ({counted(left, 'day')})"
    if left < _SOON_DAYS:
        return Finding("tls", "warn", text, "tell the vendor unless it is renewed in time")
    return Finding("tls", "ok", text)


def _clock_at(connected: socket.socket, parts: SplitResult) -> Finding:
    import http.client

    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port)
    connection.sock = connected
    before_s = time.time()
    try:
        connection.request("HEAD", parts.path or "/")
        said = connection.getresponse().getheader("Date")
    except (OSError, http.client.HTTPException):
        said = None
    return check_clock(said, before_s, time.time())


def check_clock(said: str | None, before_s: float, after_s: float) -> Finding:
    """Compare the server's ``Date`` with this machine's clock before the request and after the response."""
    from email.utils import parsedate_to_datetime

    try:
        server_s = parsedate_to_datetime(said or "").timestamp()
    except ValueError:
        return Finding("clock", "ok", "the server does not report its time")
    # The header has whole seconds: the server's time is anywhere within that second.
    behind_s, ahead_s = server_s - after_s, before_s - (server_s + 1)
    skew_s = max(behind_s, ahead_s, 0.0)
    if skew_s <= _SKEW_S:
        return Finding("clock", "ok", f"within {_SKEW_S} s of the server's")
    way = "behind" if behind_s > ahead_s else "ahead of"
    text = f"this machine's clock is {skew_s:,.0f} s {way} the server's"
    return Finding("clock", "warn", text, "set the clock (NTP): journal dates and waits until a date depend on it")


def check_token(settings: Settings, *, show_phi: bool = False) -> Finding:
    """Report whether the server accepts the token, by a harmless request."""
    source = settings.token.text
    try:
        kinds = settings.ask(lambda spot: spot.with_options(deadline_s=2 * _PATIENCE_S).kits.types())
    except ConfigError as error:
        step = "run it by hand: its first line must be the token and nothing else"
        if isinstance(settings.token, TokenVariable):
            step = "export it, or name another source in a profile: spotdx config --example"
        return Finding("token", "FAIL", str(error), step)
    except AuthenticationError:
        return Finding("token", "FAIL", "the server does not accept the token (401)", f"put a valid one into {source}")
    except PermissionDeniedError as error:
        text = "the server knows the token, but does not let it list kit types (403)"
        text = "; ".join([text, *reasons_of(error, show_phi=show_phi)])
        return Finding("token", "FAIL", text, "ask the vendor for permission, or use another profile's token")
    except DecodeError as error:
        text = f"the API did not answer, so the token could not be tested: {error.args[0] if error.args else error}"
        return Finding("api", "FAIL", text, _IN_BETWEEN)
    except SpotError as error:
        text = "; ".join([message_of(error), *reasons_of(error, show_phi=show_phi)])
        return Finding("token", "FAIL", text, next_step(error) or "run the command again")
    if not kinds:
        text = "accepted, but with no kit types, an answer that could have come from something else"
        return Finding("token", "warn", text, "run the command again once the account has kit types")
    return Finding("token", "ok", f"accepted ({counted(len(kinds), 'kit type')})")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
