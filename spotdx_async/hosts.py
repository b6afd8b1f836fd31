"""Names and addresses of hosts, as settings and arguments give them."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from spotdx_async.errors import InvalidInputError

# A host, or one with its port; a name may be of any script.
_HOST = re.compile(r"(\[[\da-fA-F:.]+\]|[\w-]+(\.[\w-]+)*\.?)(:[1-9]\d{0,4})?")

# urlsplit accepts "[::1]evil.com" and "a|b" as hosts, which the HTTP library then refuses or reads differently.
_SERVER = re.compile(r"(\[[\da-fA-F:.]+\]|[\w-]{1,63}(\.[\w-]{1,63})*\.?)(:\d*)?", re.ASCII)


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL whose host and port are such; None of any other text."""
    try:
        parts = urlsplit(url)
        is_server = _SERVER.fullmatch(parts.netloc.rpartition("@")[2]) is not None and parts.port != 0
        if "[" in parts.netloc:
            ipaddress.IPv6Address(parts.hostname or "")
    except ValueError:
        return None
    return parts if is_server else None


def check_hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return hosts, each ``host`` or ``host:port``, unchanged.

    Raises:
        InvalidInputError: one of them is none, or they are no list.
    """
    given: Any = hosts  # from a caller who may have no type checker
    entries = tuple(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else None
    if entries is None or not all(isinstance(entry, str) and _HOST.fullmatch(entry) for entry in entries):
        raise InvalidInputError(
            "hosts must be a list of names such as files.example.com or files.example.com:8443, without scheme, path "
            "or wildcard; nothing was sent"
        )
    return entries


def is_loopback(host: str) -> bool:
    """Return whether a host, without its port, is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
