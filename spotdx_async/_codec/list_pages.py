"""A page of a list as it came: its items, those in their places that do not fit, and the server's time. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from attrs import field, frozen

from spotdx_async._http import clock
from spotdx_async.errors import DecodeError

__all__ = ["BadItem", "ListPage", "OnBadItem", "ServerClock", "server_clock", "stored", "was_stored"]

T = TypeVar("T")

OnBadItem: TypeAlias = Literal["raise", "skip"] | Callable[[int, int, DecodeError], object]
"""What is done with an item that cannot be read; a function gets the page's offset, the item's number, the error."""


@frozen
class BadItem:
    """Stands in the place of an item that does not fit its model."""

    error: DecodeError = field(eq=False, repr=False)
    """What is wrong; its texts show no value."""
    key: int
    """The same for the same JSON, so that an item that comes twice is told once."""


@frozen
class ServerClock:
    """What an answer tells of the server's clock."""

    now: datetime
    """Its time when it answered, cut to whole seconds; aware, UTC."""
    ahead: timedelta
    """How much it is ahead of the local clock, within a second and the time that the answer took."""


@frozen
class ListPage(Generic[T]):
    """One page of a list."""

    items: tuple[T | BadItem, ...] = field(repr=False)
    clock: ServerClock | None
    """The server's; None where it does not tell."""
    is_stored: bool = False
    """Whether it came out of a cache, so that it may be older than what has happened since."""


def server_clock(headers: Mapping[str, Any], local_now: datetime) -> ServerClock | None:
    """Read the ``Date`` of an answer that has just come; None where there is none."""
    now = clock.http_date(headers.get("Date"))
    return None if now is None else ServerClock(now, now - local_now)


def was_stored(headers: Mapping[str, Any]) -> bool:
    """Whether an answer came out of a cache that says so: it has an ``Age`` other than 0 (RFC 9111, section 5.1)."""
    return any(name.lower() == "age" and value.strip().strip("0") != "" for name, value in headers.items())


def stored() -> DecodeError:
    """Make the error of an answer that proves the absence of nothing, since it came out of a cache."""
    message = "the answer came out of a cache, as its Age says, so what was carried out since does not show in it"
    return DecodeError(message, outcome="done")
