"""Settings with units, validated where they are made; from the arguments or the environment."""

import ipaddress
import os
import re
import sys
from typing import Protocol, TypedDict, runtime_checkable
from urllib.parse import SplitResult, urlsplit

from attrs import Attribute, field, frozen
from attrs.validators import optional

from spotdx_async.errors import ConfigError, SpotError

__all__ = [
    "PRODUCTION_URL",
    "AdaptiveRateLimit",
    "CallOptionChanges",
    "CallOptions",
    "Limiter",
    "RateLimit",
    "RetryPolicy",
    "Stats",
    "check_base_url",
    "check_count",
    "check_flag",
    "check_key",
    "check_seconds",
    "check_token",
    "token_from_environment",
]

PRODUCTION_URL = "https://app.spotdx.com"
_LARGEST = sys.float_info.max
_FIRST_VISIBLE, _LAST_VISIBLE = 0x21, 0x7E
# urlsplit takes "[::1]evil.com" and "a|b" for hosts, which the HTTP library then refuses or understands otherwise.
_SERVER = re.compile(r"(\[[\da-fA-F:.]+\]|[\w-]{1,63}(\.[\w-]{1,63})*\.?)(:\d*)?", re.ASCII)


@runtime_checkable
class Limiter(Protocol):
    """Anything that hands out slots in time; several clients may share one.

    These two methods are all that a limiter needs. One may have more of those of the SDK's own limiters, which are then
    called where they matter:

    - ``async acquire_bulk()``: instead of ``acquire()``, for rows of bulk runs, which can so let single calls go first;
    - ``give_back()``: a slot that was handed out and not used can go to somebody else;
    - ``throttled(sent_s)``: a request that was sent at this time of the loop's clock was answered with 429;
    - ``resume()``: the pause is lifted;
    - ``rate``: slots a second, shown by ``SpotClient.stats``.

    What they raise gets out of the call as it is.
    """

    async def acquire(self) -> None:
        """Return when the next request may go: first come, first served.

        It is cancelled where a call ends, by its bounds, by the client's closing or by its caller: a cancelled wait
        gives its slot back, and ends soon.
        """
        ...

    def pause(self, seconds: float) -> None:
        """Let nobody through for this long, counted from now."""
        ...


def _is_number(value: object) -> bool:
    # Compared, not asked with isfinite: that fails for a whole number beyond what a float can hold.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _positive(_instance: object, attribute: "Attribute[float]", value: object) -> None:
    if not _is_number(value) or value <= 0:  # type: ignore[operator]  # _is_number says that it is one
        raise ConfigError(f"{attribute.name} must be a number above 0")


def _not_negative(_instance: object, attribute: "Attribute[float]", value: object) -> None:
    if not _is_number(value) or value < 0:  # type: ignore[operator]  # _is_number says that it is one
        raise ConfigError(f"{attribute.name} must be a number of at least 0")


def check_count(name: str, value: object, *, error: type[SpotError] = ConfigError) -> int:
    """Give a whole number of at least 1 back.

    Raises:
        SpotError: it is something else; the kind given as ``error``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise error(f"{name} must be a whole number of at least 1")
    return value


def check_seconds(name: str, value: object) -> float:
    """Give a number of seconds above 0 back.

    Raises:
        ConfigError: it is something else.
    """
    if not _is_number(value) or value <= 0:  # type: ignore[operator]  # _is_number says that it is one
        raise ConfigError(f"{name} must be a number of seconds above 0")
    return float(value)  # type: ignore[arg-type]  # the same


def check_flag(name: str, value: object) -> bool:
    """Give True or False back.

    Raises:
        ConfigError: it is something else, a text such as ``"false"`` say.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False")
    return value


def check_key(name: str, value: object) -> str | None:
    """Give a key of the metadata back, or None.

    Raises:
        ConfigError: it is no text, or empty.
    """
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise ConfigError(f"{name} must be a text that is not empty, or None")


def _count(_instance: object, attribute: "Attribute[int]", value: object) -> None:
    check_count(attribute.name, value)


def _yes_or_no(_instance: object, attribute: "Attribute[bool]", value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{attribute.name} must be True or False")


@frozen(kw_only=True)
class RetryPolicy:
    """When and how often a call is repeated; waits are drawn evenly between 0 and the bound (full jitter).

    Raises:
        ConfigError: a number out of range.
    """

    max_attempts: int = field(default=4, validator=_count)
    """Requests for one call, the first included; 1 switches repeating off."""
    base_s: float = field(default=0.05, validator=_not_negative)
    """The bound of the first wait, in seconds; it doubles with each further one."""
    throttle_base_s: float = field(default=1.0, validator=_not_negative)
    """The same after a 429 that names no time."""
    cap_s: float = field(default=20.0, validator=_not_negative)
    """The bound never grows over this. A server's Retry-After is honoured in full all the same."""
    budget: bool = field(default=True, validator=_yes_or_no)
    """Whether repeats are paid from the client's retry budget, which keeps an outage from being amplified."""


@frozen
class RateLimit:
    """A fixed limit, kept in this process: at most ``rate`` calls in ``per_s`` seconds.

    In any window of W seconds at most ``rate * W / per_s + burst`` requests go out.

    Raises:
        ConfigError: a number out of range.
    """

    rate: float = field(validator=_positive)
    """Calls in ``per_s`` seconds."""
    per_s: float = field(default=1.0, validator=_positive)
    """The period of ``rate``, in seconds."""
    burst: float | None = field(default=None)
    """Calls that may go at once after a quiet time, 1 or more; None: a tenth of a second's worth, 1 to 10."""

    @burst.validator
    def _check_burst(self, _attribute: object, value: object) -> None:
        if value is not None and (not _is_number(value) or value < 1):  # type: ignore[operator]  # a number, as checked
            raise ConfigError("burst must be a number of at least 1, or None")

    def __attrs_post_init__(self) -> None:
        if not 0 < self.interval_s <= _LARGEST:
            raise ConfigError("rate and per_s lie further apart than a clock can count")

    @property
    def interval_s(self) -> float:
        """Seconds between two calls at the full rate."""
        return self.per_s / self.rate

    @property
    def burst_size(self) -> float:
        """The burst in force."""
        return self.burst if self.burst is not None else max(1.0, min(10.0, 0.1 / self.interval_s))


@frozen
class AdaptiveRateLimit:
    """A limit that each client learns for itself from the server's 429s, in this process; in calls a second.

    A 429 cuts the rate by a tenth, once for each round trip, after taking back growth beyond what the server was known
    to take. It grows while calls wait for it.

    Raises:
        ConfigError: a number out of range, or not ``floor <= start <= ceiling``.
    """

    start: float = field(default=10.0, validator=_positive)
    """The rate to begin with; until the first 429 it grows fast."""
    floor: float = field(default=0.5, validator=_positive)
    """The rate never falls under this, whatever the server says."""
    ceiling: float | None = field(default=None, validator=optional(_positive))
    """The rate never grows over this; None: no bound but what the server refuses."""

    def __attrs_post_init__(self) -> None:
        if not self.floor <= self.start:
            raise ConfigError("start must be at least floor")
        if self.ceiling is not None and not self.start <= self.ceiling:
            raise ConfigError("ceiling must be at least start, or None")
        if 1 / self.floor > _LARGEST:
            raise ConfigError("floor is too small for a clock to count")


@frozen(kw_only=True)
class CallOptions:
    """What ``with_options`` may change: settings that matter to single calls."""

    timeout_s: float = field(default=30.0, validator=_positive)
    """One attempt, from connection to last byte, in seconds."""
    deadline_s: float | None = field(default=None, validator=optional(_positive))
    """The whole call with all its waits and attempts, in seconds; None: no bound."""
    retry: RetryPolicy = field(factory=RetryPolicy)
    """When and how often to repeat."""
    max_wait_s: float | None = field(default=None, validator=optional(_not_negative))
    """The longest of all waits before an attempt together, in seconds: for a permit, the rate limit, a pause and the
    token; None: no bound."""

    @retry.validator
    def _check_retry(self, _attribute: object, value: object) -> None:
        if not isinstance(value, RetryPolicy):
            raise ConfigError("retry must be a RetryPolicy; RetryPolicy(max_attempts=1) switches repeating off")


class CallOptionChanges(TypedDict, total=False):
    """What ``with_options`` takes, each of which may be left out."""

    timeout_s: float
    """One attempt, from connection to last byte, in seconds."""
    deadline_s: float | None
    """The whole call with all its waits and attempts, in seconds; None: no bound."""
    retry: RetryPolicy
    """When and how often to repeat."""
    max_wait_s: float | None
    """The longest of all waits before an attempt together, in seconds: for a permit, the rate limit, a pause and the
    token; None: no bound."""


@frozen(kw_only=True)
class Stats:
    """A snapshot of what a client has done and is doing."""

    calls: int
    """Calls begun."""
    attempts: int
    """Requests begun."""
    retries: int
    """Requests beyond the first of their call."""
    throttled: int
    """Answers that said that calls come too fast (429)."""
    in_flight: int
    """Requests on their way now."""
    waiting: int
    """Calls that wait now: for a place, for the rate limit, for a token or before a repeat."""
    retry_budget: float
    """Repeats that the budget would pay for now."""
    rate: float | None
    """Calls a second that the limiter allows now; None: no limit, or one that does not say."""


def check_token(token: object) -> str:
    """Give a usable token back.

    Raises:
        ConfigError: it is no string, empty, or holds a character that a header cannot carry. The message does not
            show it.
    """
    if not isinstance(token, str):
        raise ConfigError(f"the token must be a string, not {type(token).__name__}")
    if not token:
        raise ConfigError("the token is empty: pass token= or set SPOTDX_TOKEN")
    if any(not _FIRST_VISIBLE <= ord(char) <= _LAST_VISIBLE for char in token):
        raise ConfigError("the token holds a space, a control or a non-ASCII character: was it copied whole?")
    return token


def token_from_environment() -> str:
    """The token in ``SPOTDX_TOKEN``.

    Raises:
        ConfigError: there is none, or it is no usable token.
    """
    token = os.environ.get("SPOTDX_TOKEN")
    if token is None:
        raise ConfigError("no token: pass token= or set the environment variable SPOTDX_TOKEN")
    return check_token(token)


def check_base_url(base_url: str | None) -> str:
    """The server's address without a slash at its end; from ``SPOTDX_BASE_URL`` or production where None is given.

    Raises:
        ConfigError: it is no https URL (http only on a loopback host), or carries a user, a query or a fragment. The
            message does not show it.
    """
    if base_url is None:
        base_url = os.environ.get("SPOTDX_BASE_URL") or PRODUCTION_URL
    if not isinstance(base_url, str):
        raise ConfigError(f"base_url must be a string, not {type(base_url).__name__}")
    if any(not _FIRST_VISIBLE <= ord(char) <= _LAST_VISIBLE for char in base_url):
        raise ConfigError("base_url holds a space, a control or a non-ASCII character")
    parts = _split(base_url)
    if parts is None or not parts.hostname or parts.scheme not in {"https", "http"}:
        raise ConfigError(f"base_url must look like {PRODUCTION_URL}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigError("base_url must use https: http would show the token and patient data to the network")
    if "@" in parts.netloc or "?" in base_url or "#" in base_url:
        raise ConfigError("base_url must carry no user, password, query or fragment")
    return base_url.rstrip("/")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        is_server = _SERVER.fullmatch(parts.netloc.rpartition("@")[2]) is not None and parts.port != 0
        if "[" in parts.netloc:
            ipaddress.IPv6Address(parts.hostname or "")
    except ValueError:
        return None
    return parts if is_server else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
