"""Settings with units, from arguments or the environment, validated when they are created."""

import os
import re
import sys
from collections.abc import Iterable
from typing import Protocol, TypedDict, TypeGuard, runtime_checkable
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen
from attrs.validators import optional

from spotdx_async.errors import ConfigError, InvalidInputError, NotSentError, SpotError
from spotdx_async.hosts import check_hosts, is_loopback, split_url

__all__ = [
    "PRODUCTION_URL",
    "AdaptiveRateLimit",
    "CallOptionChanges",
    "CallOptions",
    "Limiter",
    "RateLimit",
    "RetryPolicy",
    "Stats",
    "base_url_from_environment",
    "check_base_url",
    "check_count",
    "check_flag",
    "check_http_hosts",
    "check_key",
    "check_seconds",
    "check_token",
    "given_base_url",
    "host_of",
    "is_exposed",
    "name_server",
    "token_from_environment",
]

PRODUCTION_URL = "https://app.spotdx.com"
_LARGEST = sys.float_info.max
_FIRST_VISIBLE, _LAST_VISIBLE = 0x21, 0x7E
# What the path of every operation begins with.
_OWN_PATH = re.compile(r"/api/v\d+(/|$)", re.ASCII | re.IGNORECASE)
_CONNECT_REASONS = frozenset({"refused", "dns", "tls", "connect", "timeout"})


@runtime_checkable
class Limiter(Protocol):
    """Anything that grants slots over time; several clients may share one.

    A limiter needs no more than these two methods. It may have others of the SDK's own limiters, which are then used:

    - ``async acquire_bulk()``: replaces ``acquire()`` for rows of bulk runs, so that single calls can go first;
    - ``give_back()``: a slot that was granted but not used is free again;
    - ``throttled(sent_s)``: a request sent at this time of the event loop's clock was answered with 429;
    - ``resume()``: the pause is lifted;
    - ``rate``: slots a second, shown by ``SpotClient.stats``.

    Whatever they raise propagates out of the call unchanged.
    """

    async def acquire(self) -> None:
        """Return when the next request may go: first come, first served.

        It is cancelled when the call ends early, by its deadline, because the client closes, or by its caller: a
        cancelled wait must give back its slot and end promptly.
        """
        ...

    def pause(self, seconds: float) -> None:
        """Grant no slot for this long, starting now."""
        ...


def _is_number(value: object) -> TypeGuard[float]:
    # Compared rather than math.isfinite, which raises for an integer beyond what a float can hold.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _positive(_instance: object, attribute: "Attribute[float]", value: object) -> None:
    if not _is_number(value) or value <= 0:
        raise ConfigError(f"{attribute.name} must be a number above 0")


def _not_negative(_instance: object, attribute: "Attribute[float]", value: object) -> None:
    if not _is_number(value) or value < 0:
        raise ConfigError(f"{attribute.name} must be a number of at least 0")


def check_count(name: str, value: object, *, error: type[SpotError] = ConfigError) -> int:
    """Return a whole number of at least 1 unchanged.

    Raises:
        SpotError: it is anything else; of the class given as ``error``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise error(f"{name} must be a whole number of at least 1")
    return value


def check_seconds(name: str, value: object, *, error: type[SpotError] = ConfigError) -> float:
    """Return a number of seconds above 0 as a float.

    Raises:
        SpotError: it is anything else; of the class given as ``error``.
    """
    if not _is_number(value) or value <= 0:
        raise error(f"{name} must be a number of seconds above 0")
    return float(value)


def check_flag(name: str, value: object) -> bool:
    """Return True or False unchanged.

    Raises:
        ConfigError: it is anything else, such as the text ``"false"``.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False")
    return value


def check_key(name: str, value: object) -> str | None:
    """Return a metadata key, or None, unchanged.

    Raises:
        ConfigError: it is not a string, or blank.
    """
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise ConfigError(f"{name} must be a string that is not empty, or None")


def _count(_instance: object, attribute: "Attribute[int]", value: object) -> None:
    check_count(attribute.name, value)


def _flag(_instance: object, attribute: "Attribute[bool]", value: object) -> None:
    check_flag(attribute.name, value)


@frozen(kw_only=True)
class RetryPolicy:
    """When and how often a call is repeated; each wait is uniform between 0 and a bound (full jitter).

    Raises:
        ConfigError: a number is out of range.
    """

    max_attempts: int = field(default=4, validator=_count)
    """Requests for one call, the first included; 1 turns retries off."""
    base_s: float = field(default=0.05, validator=_not_negative)
    """The bound of the first wait, in seconds; it doubles with each further wait."""
    throttle_base_s: float = field(default=1.0, validator=_not_negative)
    """The bound of the first wait after a 429 without Retry-After, in seconds."""
    cap_s: float = field(default=20.0, validator=_not_negative)
    """The bound never grows beyond this, in seconds. The server's Retry-After is honoured in full regardless."""
    budget: bool = field(default=True, validator=_flag)
    """Whether retries draw on the client's retry budget, which keeps them from amplifying an outage."""


@frozen
class RateLimit:
    """A fixed limit, kept in this process: at most ``rate`` calls in ``per_s`` seconds.

    In any window of W seconds at most ``rate * W / per_s + burst`` requests go out.

    Raises:
        ConfigError: a number is out of range.
    """

    rate: float = field(validator=_positive)
    """Calls in ``per_s`` seconds."""
    per_s: float = field(default=1.0, validator=_positive)
    """The period of ``rate``, in seconds."""
    burst: float | None = field(default=None)
    """Calls that may go at once after an idle period, 1 or more; None: a tenth of a second's worth, 1 to 10."""

    @burst.validator
    def _check_burst(self, _attribute: object, value: object) -> None:
        if value is not None and (not _is_number(value) or value < 1):
            raise ConfigError("burst must be a number of at least 1, or None")

    def __attrs_post_init__(self) -> None:
        if not 0 < self.interval_s <= _LARGEST:
            raise ConfigError("rate and per_s are too far apart for a clock to measure")

    @property
    def interval_s(self) -> float:
        """Seconds between two calls at the full rate."""
        return self.per_s / self.rate

    @property
    def burst_size(self) -> float:
        """The burst in effect."""
        return self.burst if self.burst is not None else max(1.0, min(10.0, 0.1 / self.interval_s))


@frozen
class AdaptiveRateLimit:
    """A limit that each client learns for itself from the server's 429s, in this process; in calls a second.

    A 429 first undoes growth beyond the rate that the server was known to accept, then cuts the rate by a tenth, once
    per round trip. The rate grows while calls wait for it.

    Raises:
        ConfigError: a number is out of range, or not ``floor <= start <= ceiling``.
    """

    start: float = field(default=10.0, validator=_positive)
    """The rate to start with; until the first 429 it grows fast."""
    floor: float = field(default=0.5, validator=_positive)
    """The rate never falls below this, whatever the server answers."""
    ceiling: float | None = field(default=None, validator=optional(_positive))
    """The rate never exceeds this; None: it grows until the server refuses."""

    def __attrs_post_init__(self) -> None:
        if not self.floor <= self.start:
            raise ConfigError("start must be at least floor")
        if self.ceiling is not None and not self.start <= self.ceiling:
            raise ConfigError("ceiling must be at least start, or None")
        if 1 / self.floor > _LARGEST:
            raise ConfigError("floor is too small for a clock to measure")


@frozen(kw_only=True)
class CallOptions:
    """What ``with_options`` may change: the settings of single calls."""

    timeout_s: float = field(default=30.0, validator=_positive)
    """One attempt, from connection to last byte, in seconds."""
    deadline_s: float | None = field(default=None, validator=optional(_positive))
    """The whole call with all its waits and attempts, in seconds; None: no limit."""
    retry: RetryPolicy = field(factory=RetryPolicy)
    """When and how often to retry."""
    max_wait_s: float | None = field(default=None, validator=optional(_not_negative))
    """The most that all waits before one attempt may add up to, in seconds: for a permit, the rate limit, a pause and
    the token; None: no limit."""

    @retry.validator
    def _check_retry(self, _attribute: object, value: object) -> None:
        if not isinstance(value, RetryPolicy):
            raise ConfigError("retry must be a RetryPolicy; RetryPolicy(max_attempts=1) turns retries off")


class CallOptionChanges(TypedDict, total=False):
    """The keywords of ``with_options``, all optional."""

    timeout_s: float
    """One attempt, from connection to last byte, in seconds."""
    deadline_s: float | None
    """The whole call with all its waits and attempts, in seconds; None: no limit."""
    retry: RetryPolicy
    """When and how often to retry."""
    max_wait_s: float | None
    """The most that all waits before one attempt may add up to, in seconds: for a permit, the rate limit, a pause and
    the token; None: no limit."""


@frozen(kw_only=True)
class Stats:
    """A snapshot of what a client has done and is doing."""

    calls: int
    """Calls started."""
    attempts: int
    """Requests started."""
    retries: int
    """Requests beyond the first of their call."""
    throttled: int
    """Answers of 429: calls come too fast."""
    in_flight: int
    """Requests in flight now."""
    waiting: int
    """Calls waiting now: for a permit, the rate limit, the token or the next retry."""
    retry_budget: float
    """Retries that the budget allows now."""
    rate: float | None
    """Calls a second that the limiter allows now; None: no limit, or one that does not tell."""


def check_token(token: object) -> str:
    """Return a usable token unchanged.

    Raises:
        ConfigError: it is not a string, is empty, or holds a character that a header cannot carry. The message does
            not show it.
    """
    if not isinstance(token, str):
        raise ConfigError(f"the token must be a string, not {type(token).__name__}")
    if not token:
        raise ConfigError("the token is empty: pass token= or set SPOTDX_TOKEN")
    if any(not _FIRST_VISIBLE <= ord(char) <= _LAST_VISIBLE for char in token):
        raise ConfigError("the token contains a space, a control or a non-ASCII character: was it copied correctly?")
    return token


def token_from_environment() -> str:
    """Return the token in ``SPOTDX_TOKEN``.

    Raises:
        ConfigError: there is none, or it is not a usable token.
    """
    token = os.environ.get("SPOTDX_TOKEN")
    if token is None:
        raise ConfigError("no token: pass token= or set the environment variable SPOTDX_TOKEN")
    return check_token(token)


def check_base_url(base_url: str | None, allow_http_hosts: Iterable[str] = ()) -> str:
    """Return the server's address without a trailing slash; None: that in ``SPOTDX_BASE_URL``, else production.

    Args:
        base_url: the address.
        allow_http_hosts: hosts that http may lead to besides this machine itself.

    Raises:
        ConfigError: it is not an https URL (http is for loopback hosts only), has a user, a query or a fragment, or
            holds the API's own path. The message does not show it.
    """
    base_url = given_base_url(base_url)
    if not isinstance(base_url, str):
        raise ConfigError(f"base_url must be a string, not {type(base_url).__name__}")
    if any(not _FIRST_VISIBLE <= ord(char) <= _LAST_VISIBLE for char in base_url):
        raise ConfigError("base_url contains a space, a control or a non-ASCII character")
    parts = split_url(base_url)
    if parts is None or not parts.hostname or parts.scheme not in {"https", "http"}:
        raise ConfigError(f"base_url must look like {PRODUCTION_URL}")
    allowed = check_http_hosts(allow_http_hosts)
    if parts.scheme == "http" and not is_loopback(parts.hostname) and parts.hostname not in allowed:
        raise ConfigError("base_url must use https: http would expose the token and patient data to the network")
    if "@" in parts.netloc or "?" in base_url or "#" in base_url:
        raise ConfigError("base_url must have no user, password, query or fragment")
    if _OWN_PATH.search(parts.path):
        raise ConfigError(
            f"base_url must end before /api/v2, which is added to it: {PRODUCTION_URL}, not {PRODUCTION_URL}/api/v2"
        )
    return base_url.rstrip("/")


def is_exposed(base_url: str) -> bool:
    """Return whether what is sent to a server can be read on the way, as ``allow_http_hosts`` lets it be."""
    parts = urlsplit(base_url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def check_http_hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return names of hosts in lower case, as a parsed URL has them.

    Raises:
        ConfigError: one of them is no name, or has a port; or they are one string.
    """
    try:
        named = check_hosts(hosts)
    except InvalidInputError:
        named = ("",)
    if any(not name or ":" in name.rpartition("]")[2] for name in named):
        raise ConfigError('allow_http_hosts must be a list of names without ports, such as ("host.docker.internal",)')
    return tuple(name.strip("[]").lower() for name in named)


def host_of(base_url: str) -> str:
    """Return the part of an address that messages may show: no user name, no password, no path."""
    parts = urlsplit(base_url)
    return parts.hostname or "" if parts.port is None else f"{parts.hostname}:{parts.port}"


def name_server(error: SpotError, host: str) -> None:
    """Add the server's name to the text of an error whose request never reached it: the name may be what is wrong."""
    said = error.args[0] if error.args else ""
    if (
        isinstance(error, NotSentError)
        and error.proxy is None
        and error.reason in _CONNECT_REASONS
        and host not in said
    ):
        error.args = (f"{said} ({host})",)


def given_base_url(base_url: str | None) -> str:
    """Return the server's address as it is given; None: that in ``SPOTDX_BASE_URL``, else production.

    Raises:
        ConfigError: as for ``base_url_from_environment``.
    """
    return (base_url_from_environment() or PRODUCTION_URL) if base_url is None else base_url


def base_url_from_environment() -> str | None:
    """Return the server's address in ``SPOTDX_BASE_URL`` as it is; None: the variable is not set.

    Raises:
        ConfigError: it is set and empty. Whoever meant another server would otherwise reach the production server.
    """
    found = os.environ.get("SPOTDX_BASE_URL")
    if found == "":
        raise ConfigError("SPOTDX_BASE_URL is empty: set it to the server's address, or unset it for production")
    return found
