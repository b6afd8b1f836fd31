"""What a single JSON value becomes, and how it is written back: the wire rules, one function each.

Pure; it knows no model. A rule takes the value, and a second argument that cattrs passes and no rule uses.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum
from math import isfinite
from types import NoneType
from typing import Any, TypeAlias

Hook: TypeAlias = Callable[..., Any]

ROUNDED_FROM = 2.0**63
"""The quick parser returns an integer beyond 64 bits as a float of at least this size."""

_JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
}
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


# Coarse: Python checks the rest, but accepts any character in place of the T, and anything after a NUL.
_ISO_8601 = re.compile(r"[0-9W-]{8,10}(?:[Tt ][0-9:.,]+(?:[Zz]|[+-][0-9:.]+)?)?")


class MismatchError(ValueError):
    """The JSON has a different shape from the model; carries kinds and a path, never a value."""

    def __init__(self, expected: str, found: Any) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = _JSON_NAMES.get(type(found), "a number")  # a number that no float can hold has its own type
        self.path = ""


class _RoundedError(ValueError):
    """The quick parser may have lost digits of a number."""


def text(raw: Any, _: Any = None) -> str:
    """Read text, and nothing else."""
    if type(raw) is str:
        return raw
    raise MismatchError("text", raw)


def flag(raw: Any, _: Any = None) -> bool:
    """Read true or false, and nothing else."""
    if type(raw) is bool:
        return raw
    raise MismatchError("true or false", raw)


def json_object(raw: Any, _: Any = None) -> dict[str, Any]:
    """Return any object as it came."""
    if type(raw) is dict:
        return raw
    raise MismatchError("an object", raw)


def anything(raw: Any, _: Any = None) -> Any:
    """Return any value as it came."""
    return raw


def amount(raw: Any, _: Any = None) -> int | float | str:
    """Read a number or text as it came; true and false are not numbers."""
    if type(raw) is int or type(raw) is str or isinstance(raw, float):
        return raw
    raise MismatchError("a number or text", raw)


def range_limit(raw: Any, _: Any = None) -> int | float | str:
    """Read a number, even if written as text; other text is returned as it is."""
    if type(raw) is not str:
        return amount(raw)
    if (number := _JSON_NUMBER.fullmatch(raw)) is None:
        return raw
    try:
        value = float(raw) if number[1] or number[2] else int(raw)
    except ValueError:  # more digits than Python converts
        return raw
    return value if isinstance(value, int) or isfinite(value) else raw


def instant(raw: Any, _: Any = None) -> datetime:
    """Read ISO 8601 as an instant in UTC; without a zone it is taken as UTC."""
    if type(raw) is str and _ISO_8601.fullmatch(raw):
        try:
            moment = datetime.fromisoformat(raw.upper())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):  # an impossible time, or one outside the years 1 to 9999 in UTC
            pass
    raise MismatchError("a date and time", raw)


def loose_instant(raw: Any, _: Any = None) -> Any:
    """Read an instant if the value is one; return anything else as it came."""
    try:
        return instant(raw)
    except MismatchError:
        return raw


def day(raw: Any, _: Any = None) -> date:
    """Read YYYY-MM-DD, and no other form of ISO 8601."""
    if type(raw) is str and len(raw) == 10 and raw[7] == "-":  # noqa: PLR2004 - the length of YYYY-MM-DD
        try:
            return date.fromisoformat(raw)
        except ValueError:  # an impossible day
            pass
    error = MismatchError("a date (YYYY-MM-DD)", raw)
    if type(raw) is str:
        error.found = "text of another form, or no day of the calendar"
    raise error


def open_enum(members: dict[str, Enum]) -> Hook:
    """Make the rule for an enumeration: an unknown value stays the text that came."""

    def read(raw: Any, _: Any = None) -> Enum | str:
        value: Enum | str = members.get(text(raw), raw)
        return value

    return read


def tag(tags: tuple[str, ...]) -> Hook:
    """Make the rule for a field that holds one of a few fixed texts."""

    def read(raw: Any, _: Any = None) -> str:
        if type(raw) is str and raw in tags:
            return raw
        raise MismatchError(" or ".join(f'"{tag}"' for tag in tags), raw)

    return read


def unwrapped(name: str, hook: Hook) -> Hook:
    """Make the rule for an object that may also come wrapped in another object, as its property ``name``."""

    def read(raw: Any, _: Any = None) -> Any:
        inner = raw.get(name) if type(raw) is dict else None
        if type(inner) is not dict:
            return hook(raw)
        try:
            return hook(inner)
        except MismatchError as mismatch:
            mismatch.path = f".{name}{mismatch.path}"
            raise

    return read


def unless_rounded(hook: Hook) -> Hook:
    """Make a rule that rejects what the quick parser may have rounded."""

    def read(raw: Any, _: Any = None) -> Any:
        refuse_rounded(raw)
        return hook(raw)

    return read


def refuse_rounded(value: Any) -> None:
    """Reject a value that is, or contains at any depth, a number that may have lost digits.

    Raises:
        ValueError: it does; the text must be parsed exactly.
    """
    if type(value) is str:
        return
    waiting = [value]
    while waiting:  # no recursion: an answer may be nested deeper than Python's call stack
        item = waiting.pop()
        if type(item) is float:
            if abs(item) >= ROUNDED_FROM:
                raise _RoundedError
        elif type(item) is dict:
            waiting.extend(item.values())
        elif type(item) is list:
            waiting.extend(item)


def holds_constant(value: Any) -> bool:
    """Return whether a value is, or contains at any depth, NaN or Infinity, which JSON does not have."""
    waiting = [value]
    while waiting:  # no recursion, as above
        item = waiting.pop()
        if type(item) is float:
            if not isfinite(item):
                return True
        elif type(item) is dict:
            waiting.extend(item.values())
        elif type(item) is list:
            waiting.extend(item)
    return False


def write_instant(moment: datetime) -> str:
    """Write an instant as the vendor does: UTC with a Z, and milliseconds or, if it is more precise, microseconds."""
    try:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return moment.isoformat()  # outside the years 1 to 9999 in UTC, so only its own zone can express it
    precision = "auto" if moment.microsecond % 1000 or not moment.microsecond else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"
