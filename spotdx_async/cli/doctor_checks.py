"""The checks of ``spotdx doctor``, each by itself: what was found, whether it is well, and what to do where not."""

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from spotdx_async.cli.exit_codes import next_step
from spotdx_async.cli.formatting import counted
from spotdx_async.cli.settings import Settings
from spotdx_async.cli.token_source import TokenVariable
from spotdx_async.errors import AuthenticationError, ConfigError, DecodeError, PermissionDeniedError, SpotError

__all__ = [
    "Finding",
    "State",
    "check_certificate",
    "check_clock",
    "check_settings",
    "check_token",
    "check_versions",
    "check_way",
]

State: TypeAlias = Literal["ok", "warn", "FAIL"]

_PATIENCE_S = 10.0
_DAY_S = 86_400
_SOON_DAYS = 14
_SKEW_S = 30
_SHOWN_ADDRESSES = 2


_IN_BETWEEN = (
    "something in between answers for it, such as a proxy, a sign-in page or a page about maintenance: check the "
    "base_url, or give the command again later"
)


@frozen
class Finding:
    """What a check has found."""

    check: str
    state: State
    text: str
    """One sentence, without a token or patient data."""
    next: str | None = None
    """What to do; None where there is nothing to do."""


def check_versions() -> Finding:
    """Tell which versions run."""
    names = ("spotdx-async", "aiohttp", "cyclopts", "rich")
    found = ", ".join(f"{name} {_version(name)}" for name in names)
    return Finding("version", "ok", f"{found}, Python {python_version()}")


def check_settings(settings: Settings) -> Finding:
    """Tell the settings in force; warn where a token of the environment goes before that of a profile."""
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
                f"{text}, though the profile names another source",
                "unset SPOTDX_TOKEN if the token of the profile is meant",
            )
    return Finding("settings", "ok", text)


def check_way(base_url: str) -> Iterator[Finding]:
    """Go the way to the server step by step: name, connection, certificate, clock; the first that fails is the last."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = {found[4][0] for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        step = "check the name in the base_url, and this machine's network and name server"
        yield Finding("dns", "FAIL", f"{host} is not known ({error.strerror or error})", step)
        return
    yield Finding("dns", "ok", f"{host} is {', '.join(sorted(map(str, addresses))[:_SHOWN_ADDRESSES])}")
    try:
        plain = socket.create_connection((host, port), timeout=_PATIENCE_S)
    except OSError as error:
        step = "check the port in the base_url; ask whether a firewall or a proxy stands between (proxies are not used)"
        yield Finding("tcp", "FAIL", f"no connection to port {port} ({error.strerror or 'it timed out'})", step)
        return
    with plain:
        yield Finding("tcp", "ok", f"port {port} takes connections")
        if parts.scheme == "http":
            yield Finding("tls", "ok", "not used: the server is on this machine")
            yield _clock_at(plain, parts)
            return
        try:
            scrubs_traceback = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            step = "ask who runs the network whether something opens TLS here; SSL_CERT_FILE names other authorities"
            yield Finding("tls", "FAIL", f"the certificate is not trusted ({error.verify_message})", step)
            return
        except OSError as error:
            step = "check that the base_url names the right port; ask who runs the network"
            yield Finding("tls", "FAIL", f"no TLS with port {port} ({error.strerror or 'it timed out'})", step)
            return
        with scrubs_traceback:
            yield check_certificate(str((scrubs_traceback.getpeercert() or {}).get("notAfter", "")), time.time())
            yield _clock_at(scrubs_traceback, parts)


def check_certificate(not_after: str, now_s: float) -> Finding:
    """Tell how long a trusted certificate lasts, from its own date such as ``Jun  1 12:00:00 2030 GMT``."""
    if not not_after:
        return Finding("tls", "ok", "the certificate is trusted; it does not say until when")
    left = int((ssl.cert_time_to_seconds(not_after) - now_s) // _DAY_S)
    text = f"the certificate is trusted until {not_after} ({counted(left, 'day')})"
    if left < _SOON_DAYS:
        return Finding("tls", "warn", text, "tell the vendor, should nobody renew it before")
    return Finding("tls", "ok", text)


def _clock_at(connected: socket.socket, parts: SplitResult) -> Finding:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    asking = kind(parts.hostname or "", parts.port)
    asking.sock = connected
    before_s = time.time()
    try:
        asking.request("HEAD", parts.path or "/")
        said = asking.getresponse().getheader("Date")
    except (OSError, http.client.HTTPException):
        said = None
    return check_clock(said, before_s, time.time())


def check_clock(said: str | None, before_s: float, after_s: float) -> Finding:
    """Compare the server's ``Date`` with this machine's clock before the question and after the answer."""
    try:
        server_s = parsedate_to_datetime(said or "").timestamp()
    except ValueError:
        return Finding("clock", "ok", "the server does not say what time it is")
    # The header counts whole seconds: the server's moment lies in the one that it begins.
    behind_s, ahead_s = server_s - after_s, before_s - (server_s + 1)
    skew_s = max(behind_s, ahead_s, 0.0)
    if skew_s <= _SKEW_S:
        return Finding("clock", "ok", f"within {_SKEW_S} s of the server's")
    way = "behind" if behind_s > ahead_s else "ahead of"
    text = f"this machine's clock is {skew_s:,.0f} s {way} the server's"
    return Finding("clock", "warn", text, "set the clock (NTP): dates of journals and waits until a date go by it")


def check_token(settings: Settings) -> Finding:
    """Ask the server something harmless, and so whether it accepts the token."""
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
    except PermissionDeniedError:
        text = "the server knows the token, and does not let it list kit types (403)"
        return Finding("token", "FAIL", text, "ask the vendor for the right, or take the token of another profile")
    except DecodeError as error:
        text = f"the API has not answered, so the token could not be tried: {error.args[0] if error.args else error}"
        return Finding("api", "FAIL", text, _IN_BETWEEN)
    except SpotError as error:
        return Finding("token", "FAIL", str(error), next_step(error) or "give the command again")
    if not kinds:
        text = "accepted, but with no kit types, which something in between could have answered as well"
        return Finding("token", "warn", text, "give the command again where the account has kit types")
    return Finding("token", "ok", f"accepted ({counted(len(kinds), 'kit type')})")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
