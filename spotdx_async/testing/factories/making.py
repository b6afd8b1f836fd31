"""How a factory makes its model: what it made up, with the caller's fields in its place."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, TypeVar

import attrs

from spotdx_async.models import Model

__all__ = ["KIT_TYPE", "at", "checked", "kit_id", "made", "made_up_uuid", "order_id", "tracking_number"]

KIT_TYPE = "health_kit_1"
"""A kit type that the fake and the vendor's examples know."""

_BEGINNING = datetime(2024, 1, 1, 9, tzinfo=UTC)
_MOST = 999_999

_M = TypeVar("_M", bound=Model)


def checked(number: object) -> int:
    """Give the number of a thing back.

    Raises:
        ValueError: it is no whole number from 1 to 999999.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _MOST:
        raise ValueError(f"the number of what is made must be a whole number from 1 to {_MOST}")
    return number


def made(model: type[_M], fields: Mapping[str, Any], **made_up: Any) -> _M:
    """Make the model.

    Args:
        model: its class.
        fields: what the caller gives; it comes before what is made up.
        made_up: all else.

    Raises:
        TypeError: the model has no such field; the message lists those that it has.
    """
    known = [field.name for field in attrs.fields(model) if not field.name.startswith("_")]
    for name in fields:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise TypeError(f"{model.__name__} has no field {name!r}{meant}: it has {', '.join(known)}")
    return model(**{**made_up, **fields})


def at(day: int) -> datetime:
    """Give nine in the morning, UTC, so many days after the first of January 2024."""
    return _BEGINNING + timedelta(days=day)


def kit_id(number: int) -> str:
    """Give the id of the kit of that number."""
    return f"SPOT{checked(number):06}"


def order_id(number: int) -> str:
    """Give the id of the order of that number."""
    return f"O{checked(number):07}"


def made_up_uuid(kind: int, number: int) -> str:
    """Give a UUID that nobody takes for a real one: nothing but the kind of thing and its number."""
    return f"00000000-0000-4000-8000-{kind:02}{checked(number):010}"


def tracking_number(kind: int, number: int) -> str:
    """Give 22 digits, as a carrier's number has them."""
    return f"{kind:02}{checked(number):020}"
