"""What the bodies of writes, and the people and addresses in them, must hold. Pure; knows no operation.

A check takes a value and its path and yields every fault in it, one line each; none shows the value.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

from spotdx_async.testing.routes import NOT_JSON

Check = Callable[[Any, str], Iterator[str]]


class BadBodyError(ValueError):
    """The operation does not accept the body; each of ``args`` is a fault that names a field."""


def metadata(body: Any) -> dict[str, Any]:
    """Return the ``metadata`` of a body ``{"metadata": {…}}``.

    Assumed: the documents do not mark it required; a fake that accepted an update without it would hide a mistake.
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
    """Return the body where the check finds no fault; one that is not an object lacks every field.

    Raises:
        BadBodyError: it has faults; the error has them all.
    """
    if body is NOT_JSON:
        raise BadBodyError("The body is not JSON")
    given: dict[str, Any] = body if isinstance(body, dict) else {}
    if found := tuple(check(given, "")):
        raise BadBodyError(*found)
    return given


def fields(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Check an object by its fields.

    Assumed: an unknown field is refused; the documents do not say, and a fake that accepted a misspelt one would hide
        a mistake.
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
    """Check that it is text and not empty."""
    if not isinstance(value, str) or not value.strip():
        yield f"{path}: Must be a string that is not empty"


def array_of(check: Check) -> Check:
    """Check that it is an array of at least one item, each of which passes the check."""

    def check_all(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, list) or not value:
            yield f"{path}: Must be an array that is not empty"
            return
        for index, item in enumerate(value):
            yield from check(item, f"{path}[{index}]")

    return check_all


def boolean(value: Any, path: str) -> Iterator[str]:
    """Check that it is true or false."""
    if not isinstance(value, bool):
        yield f"{path}: Must be true or false"


def an_object(value: Any, path: str) -> Iterator[str]:
    """Check that it is an object, whatever it holds."""
    if not isinstance(value, dict):
        yield f"{path}: Must be an object"


def maybe_null(check: Check) -> Check:
    """Accept null too."""
    return lambda value, path: iter(()) if value is None else check(value, path)


def one_of(*allowed: str) -> Check:
    """Check that it is one of these texts."""

    def check(value: Any, path: str) -> Iterator[str]:
        if value not in allowed:
            yield f"{path}: Must be one of {', '.join(allowed)}"

    return check


def fits(pattern: str, words: str) -> Check:
    """Check that the pattern matches the whole text; ``words`` say in the message what it must be."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            yield f"{path}: Must be {words}"

    return check


email: Check = fits(r"(?s:[^@\s]+@[^@\s]+)", "an e-mail address")


def day_until(latest: date) -> Check:
    """Check that it is a date, ``YYYY-MM-DD``, and not later than ``latest``."""

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, str) or (day := _day(value)) is None:
            yield f"{path}: Must be a date, YYYY-MM-DD"
        elif day > latest:
            yield f"{path}: Must not be in the future"

    return check


TWO_LETTERS = fits("[A-Za-z]{2}", "two letters")

ADDRESS = fields(
    {"street1": text, "city": text, "state": text, "country": one_of("US", "CA"), "zip": text},
    {"street2": maybe_null(text)},
)
RECIPIENT = fields({"first_name": text, "last_name": text, "email": email, "phone": text, "address": ADDRESS})


def person_fields(today: date) -> Mapping[str, Check]:
    """Return the checks of a patient's fields, but for the phone, which is always optional."""
    return {
        "first_name": text,
        "last_name": text,
        "email": email,
        "sex": one_of("M", "F"),
        "date_of_birth": day_until(today),
    }


def _day(value: str) -> date | None:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return None
    return day if day.isoformat() == value else None  # Python also reads 20230131 and 2023-W05-2
