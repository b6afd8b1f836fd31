"""Which links may be requested, and which of them get the token: by what is compared, nothing else is requested."""

from collections.abc import Iterable

import pytest

from spotdx_async import InvalidInputError
from spotdx_async._http.links import AllowedHosts, UnusableLinkError

HOSTS = AllowedHosts(
    "https://spot.example/root", ["Files.Example.COM.:8443", "bücher.example", "localhost", "127.0.0.1:81", "[::1]:99"]
)
NOT_ALLOWED = "leads to a host that is not allowed"


@pytest.mark.parametrize(
    ("text", "requested"),
    [
        ("https://spot.example/a", "https://spot.example/a"),
        ("https://spot.example:443/a", "https://spot.example/a"),
        ("HTTPS://SPOT.example./a", "https://spot.example/a"),
        ("https://app.spotkits.com/a%41b~%7E?x=%2B&y=a+b#c", "https://app.spotkits.com/a%41b~%7E?x=%2B&y=a+b"),
        ("https://app.spotkits.com?x", "https://app.spotkits.com/?x"),
        ("https://app.spotkits.com", "https://app.spotkits.com/"),
        ("https://app.spotkits.com/a b|ü", "https://app.spotkits.com/a%20b%7C%C3%BC"),
        ("https://files.example.com:8443/a", "https://files.example.com:8443/a"),
        ("https://BÜCHER.example/a", "https://xn--bcher-kva.example/a"),
        ("https://xn--bcher-kva.example./a", "https://xn--bcher-kva.example/a"),
        ("https://ａpp.spotkits.com/a", "https://app.spotkits.com/a"),
        ("http://localhost/a", "http://localhost/a"),
        ("http://127.0.0.1:81/a", "http://127.0.0.1:81/a"),
        ("https://[0:0::1]:99/a", "https://[::1]:99/a"),
    ],
)
def test_a_link_to_an_allowed_host_is_requested_as_it_came(text: str, requested: str) -> None:
    assert HOSTS.link(text).url == requested


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is not an https URL"),
        ("/a", "is not an https URL"),
        ("//spot.example/a", "is not an https URL"),
        ("https:spot.example/a", "is not an https URL"),
        ("https:///a", "is not an https URL"),
        ("ftp://spot.example/a", "is not an https URL"),
        ("file:///etc/passwd", "is not an https URL"),
        ("javascript:alert(1)", "is not an https URL"),
        ("https://spot.example:99999/a", "is not an https URL"),
        ("https://[::1/a", "is not an https URL"),
        ("https://[zz]:99/a", "is not an https URL"),
        ("http://spot.example/a", "does not use https"),
        ("http://app.spotkits.com/a", "does not use https"),
        ("https://spot.example:8443/a", NOT_ALLOWED),
        ("https://app.spotkits.com:8443/a", NOT_ALLOWED),
        ("https://files.example.com/a", NOT_ALLOWED),
        ("https://127.0.0.1/a", NOT_ALLOWED),
        ("https://sub.spot.example/a", NOT_ALLOWED),
        ("https://spot.example.evil.example/a", NOT_ALLOWED),
        ("https://evil.example/?https://spot.example/", NOT_ALLOWED),
        ("https://evil.example#@spot.example/", NOT_ALLOWED),
        ("https://spot.example../a", NOT_ALLOWED),
        ("https://spot%2Eexample/a", NOT_ALLOWED),
        ("https://spot.example%00.evil.example/a", NOT_ALLOWED),
        ("https://spot.example;evil.example/a", NOT_ALLOWED),
        ("https://spot.example /a", NOT_ALLOWED),
        ("https://[::1%25eth0]:99/a", NOT_ALLOWED),
        ("https://127.1:81/a", NOT_ALLOWED),
        ("https://me@spot.example/a", "holds a user name"),
        ("https://me:secret@spot.example/a", "holds a user name"),
        ("https://@spot.example/a", "holds a user name"),
        ("https://spot.example:443@evil.example/a", "holds a user name"),
        ("https://spot.example\\@evil.example/a", "holds a control character or a backslash"),
        ("https://spot.example/a\r\nX: y", "holds a control character or a backslash"),
        ("https://spot.exa\tmple/a", "holds a control character or a backslash"),
        ("https://spot.example/a\x85", "holds a control character or a backslash"),
    ],
)
def test_any_other_link_is_refused_without_being_shown(text: str, fault: str) -> None:
    with pytest.raises(UnusableLinkError, match=fault) as caught:
        HOSTS.link(text)

    assert "example" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("base_url", "text", "is_of_server"),
    [
        ("https://spot.example/root", "https://spot.example/a", True),
        ("https://spot.example:443", "https://SPOT.EXAMPLE./a", True),
        ("https://spot.example", "https://app.spotkits.com/a", False),
        ("https://app.spotkits.com", "https://app.spotkits.com:443/a", True),
        ("http://127.0.0.1:80", "http://127.0.0.1/a", True),
        ("http://127.0.0.1:81", "https://127.0.0.1:81/a", False),  # the same host and port by another scheme
        ("https://localhost", "http://localhost/a", False),
    ],
)
def test_a_link_is_of_the_server_if_scheme_host_and_port_are(base_url: str, text: str, *, is_of_server: bool) -> None:
    assert AllowedHosts(base_url, ["localhost"]).link(text).is_of_server == is_of_server


@pytest.mark.parametrize(
    ("location", "requested"),
    [
        ("b?c=%2F", "https://spot.example/x/b?c=%2F"),
        ("/b", "https://spot.example/b"),
        ("//app.spotkits.com/b", "https://app.spotkits.com/b"),
        ("https://files.example.com:8443/b", "https://files.example.com:8443/b"),
        ("?c", "https://spot.example/x/a?c"),
        ("", "https://spot.example/x/a?first"),
    ],
)
def test_a_redirect_is_read_as_from_the_link_that_it_answers(location: str, requested: str) -> None:
    assert HOSTS.redirected(HOSTS.link("https://spot.example/x/a?first"), location).url == requested


@pytest.mark.parametrize(
    "location", ["https://evil.example/", "http://spot.example/a", "//me@spot.example/", "\udce4\0"]
)
def test_a_redirect_elsewhere_is_refused(location: str) -> None:
    with pytest.raises(UnusableLinkError):
        HOSTS.redirected(HOSTS.link("https://spot.example/a"), location)


def test_a_link_shows_nothing_of_itself() -> None:
    assert repr(HOSTS.link("https://spot.example/canary")) == "Link(is_of_server=True)"


@pytest.mark.parametrize(
    "hosts",
    [
        *(["*.example.com"], ["https://a.example"], ["a.example/x"], ["me@a.example"], ["a.example:0"], [""], [" a"]),
        *(["a.example:65536"], ["[::1"], ["[zz]"], ["a..example"], ["a b"], ["a\\b"], [5], "a.example", b"a", 5),
    ],
)
def test_what_is_no_host_is_refused(hosts: Iterable[str]) -> None:
    with pytest.raises(InvalidInputError, match=r"hosts (must be a list of names|has a name or a port that cannot be)"):
        AllowedHosts("https://spot.example", hosts)


def test_hosts_may_come_from_a_generator() -> None:
    hosts = AllowedHosts("https://spot.example", (name for name in ["a.example"]))

    assert hosts.link("https://a.example/b").url == "https://a.example/b"
