"""What ``spotdx doctor`` finds on the way to the server: name, proxy, connection, certificates, clock."""

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from spotdx_async.cli.output import counted
from spotdx_async.cli.settings import Settings
from spotdx_async.errors import ConfigError
from spotdx_async.network import Proxy, about_client_certificate, check_proxy

State: TypeAlias = Literal["ok", "warn", "FAIL"]

PATIENCE_S = 10.0
_DAY_S = 86_400
_SOON_DAYS = 14
_SKEW_S = 30
_SHOWN_ADDRESSES = 2
_LONGEST_HEAD = 16_384
_VERSION, _COMMON_NAME, _ORGANIZATION = 0xA0, bytes.fromhex("550403"), bytes.fromhex("55040a")
"""By RFC 5280: the tag of a certificate's version; the object identifiers 2.5.4.3 and 2.5.4.10."""
_CREDENTIALS = "set SPOTDX_PROXY to http://user:password@host:port, with special characters percent-encoded"
_CERTIFICATE_STEPS = {
    9: "check this machine's clock: by it, the certificate is not valid yet",
    10: "check this machine's clock; if it is right, whoever runs the server must renew the certificate",
    62: "check the name in the base_url: the certificate is for another one, or something else answers in its place",
    64: "put the server's name in place of its address into the base_url: the certificate is for another address",
}
"""By X509_V_ERR codes: not yet valid, expired, another name, another address."""
_OTHER_AUTHORITY = (
    "ask your network's administrator whether TLS is inspected here; if so, put that authority's certificate, with all "
    "others that are needed, into a file that ca_file (SPOTDX_CA_FILE) names, which replaces the system's"
)
_OWN_CERTIFICATE = (
    "ask whoever runs the server which client certificate it takes, and name it in client_cert (SPOTDX_CLIENT_CERT)"
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


def check_way(settings: Settings) -> Iterator[Finding]:
    """Connect to the server step by step: name, connection, certificate, clock; the first failure ends it."""
    parts = urlsplit(settings.base_url.value)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxy = check_proxy(settings.proxy.value)
    first = (host, port) if proxy is None else _host_and_port(proxy)
    found = _resolved(*first, "the base_url" if proxy is None else "the proxy's address")
    yield found
    if found.state == "FAIL":
        return
    try:
        plain = socket.create_connection(first, timeout=PATIENCE_S)
    except OSError as error:
        text = f"no connection to port {first[1]} ({error.strerror or 'it timed out'})"
        step = (
            "check the port in the base_url; if this network asks for a proxy, set SPOTDX_PROXY; ask about a firewall"
        )
        if proxy is not None:
            text, step = (
                f"no connection to the proxy {proxy.place} ({error.strerror or 'it timed out'})",
                (f"check the proxy's address, from {settings.proxy.origin}, and ask your network's administrator"),
            )
        yield Finding("tcp", "FAIL", text, step)
        return
    with plain:
        if proxy is None:
            yield Finding("tcp", "ok", f"port {port} accepts connections")
        else:
            yield (found := _through(proxy, plain, parts))
            if found.state == "FAIL":
                return
        context = _context_of(settings)
        if isinstance(context, Finding):
            yield context
        elif parts.scheme == "http":
            yield Finding("tls", "ok", "not used: the server is on this machine")
            yield _clock_at(plain, parts, proxy)
        else:
            yield from _secured(plain, host, parts, settings, context)


def _host_and_port(proxy: Proxy) -> tuple[str, int]:
    host, _, port = proxy.place.rpartition(":")
    return host.strip("[]"), int(port)


def _resolved(host: str, port: int, where: str) -> Finding:
    try:
        addresses = {found[4][0] for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        step = f"check the name in {where}, and this machine's network and DNS"
        if where == "the base_url":
            step += "; if this network asks for a proxy, set SPOTDX_PROXY"
        return Finding("dns", "FAIL", f"{host} cannot be resolved ({error.strerror or error})", step)
    return Finding("dns", "ok", f"{host} is {', '.join(sorted(map(str, addresses))[:_SHOWN_ADDRESSES])}")


def _through(proxy: Proxy, plain: socket.socket, parts: SplitResult) -> Finding:
    """Ask the proxy for a connection to the server; where TLS is not used, it is asked with the first request."""
    if parts.scheme == "http":
        return Finding("proxy", "ok", f"{proxy.place} accepts connections")
    target = _target(parts)
    status = _ask_to_connect(proxy, plain, target)
    if status == 200:  # noqa: PLR2004 - calls take no other 2xx for a yes
        return Finding("proxy", "ok", f"{proxy.place} connects to {target}")
    if status in {401, 407}:
        text = f"the proxy {proxy.place} asks for a user and password ({status})"
        if proxy.headers:
            text = f"the proxy {proxy.place} does not accept the user and password ({status})"
        return Finding("proxy", "FAIL", text, _CREDENTIALS)
    if status == 403:  # noqa: PLR2004 - a status by its number
        text = f"the proxy {proxy.place} refuses to connect to {target} (403)"
        return Finding("proxy", "FAIL", text, f"ask your network's administrator to allow {target}")
    said = "gave no answer that is HTTP" if status is None else f"could not connect to {target} ({status})"
    step = "check that the address is that of a forward proxy; ask your network's administrator"
    return Finding("proxy", "FAIL", f"the proxy {proxy.place} {said}", step)


def _target(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or 443}"


def _ask_to_connect(proxy: Proxy, plain: socket.socket, target: str) -> int | None:
    """Return the status that a proxy answers to CONNECT; None if it is no answer."""
    lines = [
        f"CONNECT {target} HTTP/1.1",
        f"Host: {target}",
        *(f"{name}: {value}" for name, value in proxy.headers.items()),
    ]
    head = b""
    try:
        plain.sendall("\r\n".join([*lines, "", ""]).encode())
        # Byte by byte: what follows the head is the server's.
        while not head.endswith(b"\r\n\r\n") and len(head) < _LONGEST_HEAD and (byte := plain.recv(1)):
            head += byte
    except OSError:
        return None
    version, _, rest = head.partition(b" ")
    is_whole = head.endswith(b"\r\n\r\n") and version.startswith(b"HTTP/")
    return int(rest[:3]) if is_whole and rest[:3].isdigit() else None


def _context_of(settings: Settings) -> ssl.SSLContext | Finding:
    """Return what verifies the server, or why there is none: then no call can be made, without TLS neither."""
    try:
        return settings.ssl_context() or ssl.create_default_context()
    except ConfigError as error:
        return Finding("tls", "FAIL", str(error), "correct the setting, or the file that it names")


def _secured(
    plain: socket.socket, host: str, parts: SplitResult, settings: Settings, context: ssl.SSLContext
) -> Iterator[Finding]:
    """Speak TLS, and read the clock."""
    try:
        secured = context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        who = _issuer(host, settings) if error.verify_code not in _CERTIFICATE_STEPS else None
        signed = "" if who is None else f"; it is signed by {who}"
        text = f"the certificate is not trusted ({error.verify_message}{signed})"
        yield Finding("tls", "FAIL", text, advice_on_certificate(error.verify_code))
        return
    except OSError as error:
        yield _no_tls(error, parts)
        return
    with secured:
        yield check_certificate(str((secured.getpeercert() or {}).get("notAfter", "")), time.time())
        try:
            yield _clock_at(secured, parts, None)
        except ssl.SSLError as error:  # TLS 1.3 refuses a client's certificate only after the handshake
            yield _no_tls(error, parts)


def _no_tls(error: OSError, parts: SplitResult) -> Finding:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    if (about_certificate := about_client_certificate(reason)) is not None:
        return Finding("tls", "FAIL", about_certificate, _OWN_CERTIFICATE)
    if reason == "SSLV3_ALERT_HANDSHAKE_FAILURE":
        text = "the server refuses the TLS handshake: it may ask for a client certificate, or another TLS version"
        return Finding("tls", "FAIL", text, _OWN_CERTIFICATE)
    step = "check that the base_url names the right port; ask your network's administrator"
    port = parts.port or 443
    return Finding("tls", "FAIL", f"no TLS on port {port} ({error.strerror or 'it timed out'})", step)


def _issuer(host: str, settings: Settings) -> str | None:
    """Return the name of who signed the certificate that is not trusted; None if that cannot be read.

    It is fetched over a connection that verifies nothing, and over which nothing is sent.
    """
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with _tunnel(settings) as plain, unverified.wrap_socket(plain, server_hostname=host) as secured:
            return issuer_in(secured.getpeercert(binary_form=True) or b"")
    except OSError:
        return None


def issuer_in(certificate: bytes) -> str | None:
    """Return the common name, or the organization, of a certificate's issuer, from DER; None if there is none.

    By RFC 5280: the standard library decodes a certificate only if it is verified.
    """
    try:
        ((_, body),) = _der(certificate)
        (_, signed), *_ = _der(body)
        fields = [one for one in _der(signed) if one[0] != _VERSION]
        _serial, _algorithm, (_, issuer), *_ = fields
        pairs = [_der(pair) for _, part in _der(issuer) for _, pair in _der(part)]
        names = {kind: value.decode() for ((_, kind), (_, value), *_) in pairs}
    except (ValueError, IndexError):
        return None
    return next((names[kind] for kind in (_COMMON_NAME, _ORGANIZATION) if kind in names), None)


def _der(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each value in DER.

    Raises:
        IndexError: it breaks off.
    """
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:  # the length of the length
            more = length & 0x7F
            length, at = int.from_bytes(data[at : at + more], "big"), at + more
        found.append((tag, data[at : at + length]))
        at += length
    if at > len(data):
        raise IndexError
    return found


def _tunnel(settings: Settings) -> "closing[socket.socket]":
    """Connect once more, as the first connection did."""
    parts = urlsplit(settings.base_url.value)
    port, proxy = parts.port or 443, check_proxy(settings.proxy.value)
    first = (parts.hostname or "", port) if proxy is None else _host_and_port(proxy)
    plain = socket.create_connection(first, timeout=PATIENCE_S)
    if proxy is not None:
        _ask_to_connect(proxy, plain, _target(parts))
    return closing(plain)


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


def _clock_at(connected: socket.socket, parts: SplitResult, proxy: Proxy | None) -> Finding:
    """Ask the server for its time.

    Raises:
        ssl.SSLError: it ended the connection with an alert.
    """
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port)
    connection.sock = connected
    before_s = time.time()
    try:
        target = parts.path or "/"
        # Through a proxy the whole address, without TLS: it is the proxy that reads the request.
        whole = target if proxy is None else f"http://{parts.netloc}{target}"
        connection.request("HEAD", whole, headers={} if proxy is None else dict(proxy.headers))
        said = connection.getresponse().getheader("Date")
    except ssl.SSLError:
        raise
    except (OSError, http.client.HTTPException):
        said = None
    return check_clock(said, before_s, time.time())


def check_clock(said: str | None, before_s: float, after_s: float) -> Finding:
    """Compare the server's ``Date`` with this machine's clock before the request and after the response."""
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
