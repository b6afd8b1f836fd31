"""Links to files: which of them may be requested, and which belong to the API's own server. Pure.

A link opens a patient's file to whoever has it: no text shows it, nor any part of it.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from attrs import field, frozen
from yarl import URL

from spotdx_async.errors import InvalidInputError
from spotdx_async.hosts import check_hosts, is_loopback

VENDORS_HOST: Final = "app.spotkits.com"
"""Where the links of the vendor's documented example lead; its API is at another host."""
_PORTS: Final = {"https": 443, "http": 80}
# What RFC 3986 lets stand in a URL as it is: anything else has to be encoded first.
_AS_IT_IS: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.ASCII)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")

_Place = tuple[str, int | None]
"""A host and its port; None: the scheme's own."""


class UnusableLinkError(Exception):
    """The link must not be requested; the text says why, as the rest of a sentence that begins with "the link"."""


@frozen
class Link:
    """A link that may be requested."""

    url: str = field(repr=False)
    """Percent-encoded as it came, without a fragment; scheme and host in their normal form."""
    host: str = field(repr=False)
    port: int = field(repr=False)
    is_of_server: bool
    """Whether scheme, host and port are the API's own: the token goes nowhere else."""

    @property
    def place(self) -> str:
        """The host, with its port unless that is the scheme's own: an allowed one, so that a text may show it."""
        return URL(self.url, encoded=True).host_port_subcomponent or ""


class AllowedHosts:
    """The hosts that files may come from: the API's own server, the vendor's, and those that a caller has named."""

    def __init__(self, base_url: str, named: Iterable[str] | None) -> None:
        """Take the hosts.

        Args:
            base_url: the API's own server.
            named: further hosts, ``host`` or ``host:port``, in any case, with or without a dot at the end.

        Raises:
            InvalidInputError: one of them is no host.
        """
        own = URL(base_url)
        self._own: tuple[str, str, int] = (own.scheme, *_place_of(own))
        self._allowed: set[_Place] = {self._own[1:], (VENDORS_HOST, None)}
        self._allowed |= {_named_place(entry) for entry in check_hosts(() if named is None else named)}

    def link(self, text: str) -> Link:
        """Return the link that a text is.

        Raises:
            UnusableLinkError: it is no URL, or one that must not be requested.
        """
        return self._checked(text, None)

    def redirected(self, link: Link, location: str) -> Link:
        """Return the link that a redirect leads to.

        Raises:
            UnusableLinkError: as for ``link``.
        """
        return self._checked(location, URL(link.url, encoded=True))

    def _checked(self, text: str, base: URL | None) -> Link:
        if _CONTROLS.search(text):
            raise UnusableLinkError("holds a control character or a backslash")
        url = _parsed(text, base)
        if url is None or url.scheme not in _PORTS or not url.raw_host:
            raise UnusableLinkError("is not an https URL")
        if "@" in url.raw_authority:
            raise UnusableLinkError("holds a user name")
        host, port = _place_of(url)
        is_of_server = (url.scheme, host, port) == self._own  # http only where the client's base_url may be
        if url.scheme == "http" and not (is_of_server or is_loopback(host)):
            raise UnusableLinkError("does not use https")
        if (host, port) not in self._allowed and not (port == _PORTS[url.scheme] and (host, None) in self._allowed):
            raise UnusableLinkError("leads to a host that is not allowed: if you trust that host, name it in hosts")
        # Put together anew, so that what was compared is what is requested, whatever else a parser reads in the text.
        shown = f"[{host}]" if ":" in host else host
        origin = f"{url.scheme}://{shown}" if port == _PORTS[url.scheme] else f"{url.scheme}://{shown}:{port}"
        return Link(origin + (url.raw_path_qs or "/"), host, port, is_of_server=is_of_server)


def _parsed(text: str, base: URL | None) -> URL | None:
    """Return a text as a URL whose parts can be read; None if it is none."""
    try:
        # A signature may be of the very characters: what needs no encoding is left alone.
        url = URL(text, encoded=_AS_IT_IS.fullmatch(text) is not None)
        url = url if base is None else base.join(url)
        _place_of(url)
    except ValueError:
        return None
    return url


def _place_of(url: URL) -> tuple[str, int]:
    host = (url.raw_host or "").lower().removesuffix(".")
    if ":" in host:
        host = ipaddress.IPv6Address(host).compressed
    return host, url.port or 0


def _named_place(entry: str) -> _Place:
    url = _parsed(f"https://{entry}", None)
    if url is None or not url.raw_host:
        raise InvalidInputError("hosts has a name or a port that cannot be one; nothing was sent")
    return _place_of(url)[0], url.explicit_port
