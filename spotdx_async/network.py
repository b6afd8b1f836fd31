"""The way out of a company's network: its proxy, its certificates, and headers that its gateways ask for."""

import os
import re
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

from attrs import field, frozen

from spotdx_async.config import check_seconds
from spotdx_async.errors import ConfigError, SpotError
from spotdx_async.hosts import is_loopback, split_url

__all__ = [
    "SYSTEM",
    "Network",
    "Proxy",
    "about_client_certificate",
    "check_headers",
    "check_open_proxy",
    "check_proxy",
    "check_ssl_context",
    "check_user_agent",
    "network_of",
    "proxy_from_environment",
    "ssl_context_of",
    "ssl_context_with_environment",
]

T = TypeVar("T")

SYSTEM: Final = "system"
"""The name of a ``ca_file`` that is none: the authorities that the operating system trusts."""
_PROXY_FORM: Final = "http://proxy.example.com:3128, or http://user:password@proxy.example.com:3128"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
"""What may name a header."""
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?", re.ASCII)
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_OURS: Final = frozenset(
    {
        *("accept", "accept-encoding", "authorization", "cache-control", "connection", "content-encoding"),
        *("content-length", "content-type", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
    }
)
"""Headers that say how a request is sent, and who sends it."""
_INSTEAD: Final = MappingProxyType(
    {
        "authorization": "pass token=",
        "proxy-authorization": "name user and password in proxy=",
        "user-agent": "pass user_agent=",
    }
)


# OpenSSL's names for what a server says of the client's certificate, in the handshake or, in TLS 1.3, after it.
_CERTIFICATE_REQUIRED: Final = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
_CERTIFICATE_REFUSED: Final = MappingProxyType(
    {
        "TLSV1_ALERT_UNKNOWN_CA": "it does not know its authority",
        "SSLV3_ALERT_BAD_CERTIFICATE": "it calls it bad",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it does not support its kind",
        "SSLV3_ALERT_CERTIFICATE_REVOKED": "it was revoked",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it has expired",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not say why",
        "TLSV1_ALERT_ACCESS_DENIED": "it gives it no access",
    }
)


@frozen
class Proxy:
    """A forward proxy; only its place is ever shown."""

    place: str
    """Host and port."""
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    """Its ``Proxy-Authorization``, if it asks for credentials."""

    @property
    def url(self) -> str:
        """Its address, without credentials."""
        return f"http://{self.place}"


@frozen
class Network:
    """How a client's own sessions reach the server, and what its network wants to be told."""

    proxy: Proxy | None = None
    """None: there is none, and the environment's ``HTTPS_PROXY`` is not asked."""
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    """None: Python's own, which takes the system's authorities or those of ``SSL_CERT_FILE``."""
    connect_timeout_s: float = 10.0
    """From the lookup of the name to the end of the TLS handshake, through a proxy or not, in seconds."""
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    """The caller's own, sent to the server alone."""
    user_agent: str = ""
    """What follows the SDK's own ``User-Agent``, with a space before it."""

    @property
    def verifies(self) -> bool:
        """Whether it is known whom a connection leads to."""
        return self.ssl_context is None or _verifies(self.ssl_context)


def network_of(
    base_url: str,
    way: tuple[str | None, ssl.SSLContext | None, float],
    *,
    headers: Mapping[str, str] | None,
    user_agent: str | None,
    session: object,
) -> Network:
    """Return what a client's arguments say of its network; what they leave open is taken from the environment.

    Args:
        base_url: the server.
        way: the client's ``proxy``, ``ssl_context`` and ``connect_timeout_s``.
        headers: the client's own.
        user_agent: what is to follow the SDK's.
        session: the caller's own, if there is one.

    Raises:
        ConfigError: one of them is wrong, or a caller's session brings its own proxy and TLS.
    """
    proxy, ssl_context, connect_timeout_s = way
    limit_s = check_seconds("connect_timeout_s", connect_timeout_s)
    own_headers, own_agent = check_headers(headers), check_user_agent(user_agent)
    if session is not None:
        for name, value in (("proxy", proxy), ("ssl_context", ssl_context)):
            if value is not None:
                raise ConfigError(f"{name} and session are both given: set it where the session is created")
        return Network(connect_timeout_s=limit_s, headers=own_headers, user_agent=own_agent)
    context = ssl_context_with_environment() if ssl_context is None else ssl_context
    return Network(
        proxy=check_proxy(proxy_from_environment(base_url) if proxy is None else proxy),
        ssl_context=check_ssl_context(context, is_loopback=_is_here(base_url)),
        connect_timeout_s=limit_s,
        headers=own_headers,
        user_agent=own_agent,
    )


def check_proxy(value: object) -> Proxy | None:
    """Return a proxy from its address; None stays None.

    Raises:
        ConfigError: it is not ``http://host:port``, with or without credentials. The message does not show it.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigError(f"proxy must be a string, not {type(value).__name__}")
    parts = split_url(value)
    if parts is not None and parts.scheme in {"https", "socks4", "socks5", "socks5h"}:
        raise ConfigError(f"proxy must be an http proxy, which passes TLS on unread, not {parts.scheme}: {_PROXY_FORM}")
    if parts is None or parts.scheme != "http" or not parts.hostname or parts.port is None:
        raise ConfigError(f"proxy must look like {_PROXY_FORM}, with special characters percent-encoded")
    if parts.path not in {"", "/"} or "?" in value or "#" in value:
        raise ConfigError(
            f"proxy must end after its port: {_PROXY_FORM}; encode special characters in a password (%2F for /)"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = f"{host}:{parts.port}"
    if parts.username is None:
        return Proxy(place)
    # As bytes: not every proxy has its users' passwords in UTF-8, nor has every environment.
    try:
        given = [one.encode(errors="surrogateescape") for one in (parts.username, parts.password or "")]
    except UnicodeEncodeError:
        given = []
    if not given:  # raised out here: the encoder's error, which holds them, is not even the context
        raise ConfigError("proxy has a user or a password that is no text")
    user, password = map(unquote_to_bytes, given)
    # In the address itself too, where urlsplit drops line breaks and tabs.
    if b":" in user or _CONTROL.search(user + password + value.strip().encode(errors="surrogatepass")):
        raise ConfigError(
            "proxy has a user with a colon, or credentials with a control character, which HTTP cannot carry"
        )
    credentials = b64encode(user + b":" + password).decode("ascii")
    return Proxy(place, {"Proxy-Authorization": f"Basic {credentials}"})


def check_open_proxy(value: object) -> Proxy | None:
    """Return a proxy that asks for no credentials, for settings that are stored or sent; None stays None.

    Raises:
        ConfigError: as for ``check_proxy``, or it has credentials.
    """
    found = check_proxy(value)
    if found is not None and found.headers:
        raise ConfigError("proxy must have no credentials here: set the environment's SPOTDX_PROXY instead")
    return found


def check_headers(value: object, *, error: type[SpotError] = ConfigError) -> Mapping[str, str]:
    """Return headers of the caller's own, copied; None: none.

    Raises:
        SpotError: they are no mapping of names to text that a header can carry, or one of them is the SDK's own; of the
            class given as ``error``. The message shows no value.
    """
    if value is None:
        return MappingProxyType({})
    if not isinstance(value, Mapping):
        raise error(f"headers must be a mapping of names to strings, not {type(value).__name__}")
    found: dict[str, str] = {}
    for name, content in value.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise error(
                "headers has a name that is none: names have letters, digits and hyphens, such as X-Gateway-Key"
            )
        if name.lower() in _OURS:
            step = _INSTEAD.get(name.lower(), "leave it out")
            raise error(f"headers has {name}, which the SDK sets itself: {step}")
        if not isinstance(content, str) or not _VALUE.fullmatch(content):
            raise error(f"headers has a value for {name} that is no text in ASCII, or begins or ends with a space")
        if any(name.lower() == other.lower() for other in found):
            raise error(f"headers has {name} twice, in upper and in lower case")
        found[name] = content
    return MappingProxyType(found)


def check_user_agent(value: object) -> str:
    """Return what is to follow the SDK's own ``User-Agent``, with a space before it; None: nothing.

    Raises:
        ConfigError: it is no text that a header can carry.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ConfigError("user_agent must be text in ASCII such as acme-etl/2.1, without a space at its ends")
    return f" {value}"


def check_ssl_context(value: object, *, is_loopback: bool) -> ssl.SSLContext | None:
    """Return a context that verifies whom it talks to, or any one towards this machine itself; None stays None.

    Raises:
        ConfigError: it is none, is a server's, or does not verify the certificate or its name.
    """
    if value is None:
        return None
    if not isinstance(value, ssl.SSLContext):
        raise ConfigError(
            f"ssl_context must be an ssl.SSLContext, such as ssl.create_default_context(cafile=...), "
            f"not {type(value).__name__}"
        )
    if value.protocol == ssl.PROTOCOL_TLS_SERVER:
        raise ConfigError("ssl_context is a server's: create it with ssl.create_default_context()")
    if not is_loopback and not _verifies(value):
        raise ConfigError(
            "ssl_context does not verify the server, so that anybody in between could read the token and patient data: "
            "leave verify_mode and check_hostname as ssl.create_default_context() sets them, and pass the authority "
            "of your network as cafile"
        )
    return value


def _verifies(context: ssl.SSLContext) -> bool:
    return context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


def about_client_certificate(tls_reason: str | None) -> str | None:
    """Return what a server has said of the client's certificate, by OpenSSL's reason; None if it is something else."""
    if tls_reason == _CERTIFICATE_REQUIRED:
        return "the server asks for a client certificate, and there is none"
    why = _CERTIFICATE_REFUSED.get(tls_reason or "")
    return None if why is None else f"the server refused the client certificate ({why})"


def ssl_context_of(
    ca_file: str | None, client_cert: str | None, client_key: str | None, *, names: Mapping[str, str] | None = None
) -> ssl.SSLContext | None:
    """Return a context from files; None if none is named.

    Args:
        ca_file: certificates in PEM of all authorities to trust, in place of the system's; ``system``: those that the
            operating system trusts, as browsers do, for which the extra ``truststore`` is needed.
        client_cert: the client's certificate in PEM, with those that lead to its authority, and maybe its key.
        client_key: its private key in PEM, not encrypted; None: it is in ``client_cert``.
        names: what to call each of the three in messages, such as ``SPOTDX_CA_FILE``.

    Raises:
        ConfigError: a file cannot be read or used; the message names it.
    """
    called = {"ca_file": "ca_file", "client_cert": "client_cert", "client_key": "client_key", **(names or {})}
    if client_key is not None and client_cert is None:
        raise ConfigError(f"{called['client_key']} is set without {called['client_cert']}: name the certificate too")
    if ca_file is None and client_cert is None:
        return None
    if ca_file == SYSTEM:
        context = _system_context(called["ca_file"])
    else:
        wrong = "holds no certificate in PEM"
        context = _loaded(called["ca_file"], ca_file, wrong, lambda: ssl.create_default_context(cafile=ca_file))
        context.set_alpn_protocols(["http/1.1"])
    if client_cert is not None:
        if client_key is not None:
            _check_readable(called["client_key"], client_key)
        wrong = "is no certificate with its key in PEM, or they do not belong together, or the key is encrypted"
        load = partial(context.load_cert_chain, client_cert, client_key, password=_no_password)
        _loaded(called["client_cert"], client_cert, wrong, load)
    return context


def _system_context(name: str) -> ssl.SSLContext:
    try:
        import truststore  # noqa: PLC0415 - only who asks for it needs to have it
    except ImportError:
        raise ConfigError(f'{name} = "{SYSTEM}" needs the extra truststore: install spotdx-async[truststore]') from None
    context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return context


def _no_password() -> str:
    """Refuse to ask for one on the terminal, as OpenSSL otherwise does.

    Raises:
        ValueError: always.
    """
    raise ValueError


def _loaded(name: str, path: str | None, wrong: str, load: Callable[[], T]) -> T:
    """Return what OpenSSL makes of a file.

    Raises:
        ConfigError: it cannot be read, or is wrong.
    """
    if path is not None:
        _check_readable(name, path)
    try:
        return load()
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise ConfigError(f"{name}: {path} {wrong}") from None


def _check_readable(name: str, path: str) -> None:
    """Make sure that a file can be read: OpenSSL's errors do not say which one could not.

    Raises:
        ConfigError: it cannot.
    """
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "that is no path"
        raise ConfigError(f"{name}: {path} cannot be read ({why})") from None


def proxy_from_environment(base_url: str) -> str | None:
    """Return the address in ``SPOTDX_PROXY``; None: it is not set, or empty, or the server is on this machine."""
    return None if _is_here(base_url) else os.environ.get("SPOTDX_PROXY") or None


def _is_here(base_url: str) -> bool:
    return is_loopback(urlsplit(base_url).hostname or "")


def ssl_context_with_environment(
    ca_file: str | None = None, client_cert: str | None = None, client_key: str | None = None
) -> ssl.SSLContext | None:
    """Return a context from files; ``SPOTDX_CA_FILE``, ``SPOTDX_CLIENT_CERT`` and ``SPOTDX_CLIENT_KEY`` name the rest.

    A key belongs to the certificate that is named in the same place.

    Raises:
        ConfigError: as for ``ssl_context_of``.
    """
    names = {"client_cert": "client_cert", "client_key": "client_key", "ca_file": "ca_file"}
    if client_cert is None and client_key is None:
        client_cert, client_key = (os.environ.get(f"SPOTDX_{one}") or None for one in ("CLIENT_CERT", "CLIENT_KEY"))
        names |= {"client_cert": "SPOTDX_CLIENT_CERT", "client_key": "SPOTDX_CLIENT_KEY"}
    if ca_file is None:
        ca_file, names["ca_file"] = os.environ.get("SPOTDX_CA_FILE") or None, "SPOTDX_CA_FILE"
    return ssl_context_of(ca_file, client_cert, client_key, names=names)
