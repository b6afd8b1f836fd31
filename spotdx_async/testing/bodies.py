"""What the bodies of writes must hold, and every fault of one that does not. Pure; knows no kit and no order.

A check takes a value and its path, and gives the faults, one line each; none names a value.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

from spotdx_async.testing.routes import NOT_JSON

__all__ = [
    "BadBodyError",
    "Check",
    "an_object",
    "array_of",
    "boolean",
    "checked",
    "day_until",
    "email",
    "fields",
    "fits",
    "maybe_null",
    "metadata",
    "one_of",
    "text",
]

Check = Callable[[Any, str], Iterator[str]]


class BadBodyError(ValueError):
    """A body is not what the operation takes; each of its ``args`` is a fault that names a field."""


def metadata(body: Any) -> dict[str, Any]:
    """Give the ``metadata`` of a body ``{"metadata": {…}}``.

    Assumed: the documents do not mark it required; a fake that took an update without it would hide a mistake.
    """
    if body is NOT_JSON:
        raise BadBodyError("The body is not JSON")
    if not isinstance(body, dict) or "metadata" not in body:
        raise BadBodyError("metadata: Field is required")
    value = body["metadata"]
    if not isinstance(value, dict):
        raise BadBodyError("metadata: Must be an object")
    return value


def checked(body: Any, check: Check) -> dict[str, Any]:
    """Give a body back that the check finds no fault with; one that is no object lacks every field.

    Raises:
        BadBodyError: with every fault.
    """
    if body is NOT_JSON:
        raise BadBodyError("The body is not JSON")
    given: dict[str, Any] = body if isinstance(body, dict) else {}
    if found := tuple(check(given, "")):
        raise BadBodyError(*found)
    return given


def fields(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Check an object by its fields.

    Assumed: a field of neither list is refused; the documents do not say, and a fake that took a misspelt one would
        hide a mistake.
    """
    known = {**required, **(optional or {})}

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: Must be an object"
            return
        start = f"{path}." if path else ""
        yield from (f"{start}{name}: Field is required" for name in required if name not in value)
        for name, item in value.items():
            if name in known:
                yield from known[name](item, start + name)
            else:
                yield f"{start}{name}: Unknown field"

    return check


def text(value: Any, path: str) -> Iterator[str]:
    """Check a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        yield f"{path}: Must be a text that is not empty"


def array_of(check: Check) -> Check:
    """Check an array by its items; there must be one at least."""

    def check_all(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, list) or not value:
            yield f"{path}: Must be an array that is not empty"
            return
        for index, item in enumerate(value):
            yield from check(item, f"{path}[{index}]")

    return check_all


def boolean(value: Any, path: str) -> Iterator[str]:
    """Check a boolean."""
    if not isinstance(value, bool):
        yield f"{path}: Must be true or false"


def an_object(value: Any, path: str) -> Iterator[str]:
    """Check an object that may hold anything."""
    if not isinstance(value, dict):
        yield f"{path}: Must be an object"


def maybe_null(check: Check) -> Check:
    """Let null pass too."""
    return lambda value, path: iter(()) if value is None else check(value, path)


def one_of(*allowed: str) -> Check:
    """Check a text of a list."""

    def check(value: Any, path: str) -> Iterator[str]:
        if value not in allowed:
            yield f"{path}: Must be one of {', '.join(allowed)}"

    return check


def fits(pattern: str, words: str) -> Check:
    """Check a text that a pattern matches as a whole; ``words`` say what it must be."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            yield f"{path}: Must be {words}"

    return check


email: Check = fits(r"(?s:[^@\s]+@[^@\s]+)", "an e-mail address")


def day_until(latest: date) -> Check:
    """Check a date, ``YYYY-MM-DD``, not after the latest."""

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, str) or (day := _day(value)) is None:
            yield f"{path}: Must be a date, YYYY-MM-DD"
        elif day > latest:
            yield f"{path}: Must not be in the future"

    return check


def _day(value: str) -> date | None:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return None
    return day if day.isoformat() == value else None  # Python also reads 20230131 and 2023-W05-2
