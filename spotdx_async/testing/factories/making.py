"""How a factory makes its model: from made-up values, in place of which the caller's fields come."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, TypeVar

import attrs

from spotdx_async.models import Model

KIT_TYPE = "health_kit_1"
"""A kit type of the fake and of the vendor's examples."""

_BEGINNING = datetime(2024, 1, 1, 9, tzinfo=UTC)
_MOST = 999_999

_M = TypeVar("_M", bound=Model)


def checked(number: object) -> int:
    """Return the number of a model.

    Raises:
        ValueError: it is not a whole number from 1 to 999999.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _MOST:
        raise ValueError(f"the number of a model must be a whole number from 1 to {_MOST}")
    return number


def made(model: type[_M], fields: Mapping[str, Any], **made_up: Any) -> _M:
    """Make the model.

    Args:
        model: its class.
        fields: the fields that the caller gives; they take precedence.
        made_up: the values of the others.

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
    """Return 9:00 UTC, this many days after 1 January 2024."""
    return _BEGINNING + timedelta(days=day)


def kit_id(number: int) -> str:
    """Return the id of the kit with that number."""
    return f"SPOT{checked(number):06}"


def order_id(number: int) -> str:
    """Return the id of the order with that number."""
    return f"O{checked(number):07}"


def made_up_uuid(kind: int, number: int) -> str:
    """Return a UUID that nobody mistakes for a real one: just the kind of model and its number."""
    return f"00000000-0000-4000-8000-{kind:02}{checked(number):010}"


def tracking_number(kind: int, number: int) -> str:
    """Return 22 digits, as in a carrier's tracking number."""
    return f"{kind:02}{checked(number):020}"
