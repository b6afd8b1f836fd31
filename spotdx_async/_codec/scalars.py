"""What a single JSON value becomes, and how it is written: the wire rules, one function each.

Pure; it knows no model. A rule takes the value, and a second argument that cattrs passes and nobody needs.
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
"""The quick parser gives an integer beyond 64 bits as a float of at least this size."""

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


# Coarse: Python checks the rest, but takes any character in place of the T, and whatever follows a NUL.
_ISO_8601 = re.compile(r"[0-9W-]{8,10}(?:[Tt ][0-9:.,]+(?:[Zz]|[+-][0-9:.]+)?)?")


class MismatchError(ValueError):
    """The JSON has another shape than the model; it carries kinds and a path, never a value."""

    def __init__(self, expected: str, found: Any) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = _JSON_NAMES.get(type(found), "a number")  # a number that no float holds has a type of its own
        self.path = ""


class _RoundedError(ValueError):
    """A number may have lost digits in the quick parser."""


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
    """Read any object as it came."""
    if type(raw) is dict:
        return raw
    raise MismatchError("an object", raw)


def anything(raw: Any, _: Any = None) -> Any:
    """Read any value as it came."""
    return raw


def amount(raw: Any, _: Any = None) -> int | float | str:
    """Read a number or text as it came; true and false are no numbers."""
    if type(raw) is int or type(raw) is str or isinstance(raw, float):
        return raw
    raise MismatchError("a number or text", raw)


def range_limit(raw: Any, _: Any = None) -> int | float | str:
    """Read a number, also where it is written as text; other text stays."""
    if type(raw) is not str:
        return amount(raw)
    if (number := _JSON_NUMBER.fullmatch(raw)) is None:
        return raw
    try:
        value = float(raw) if number[1] or number[2] else int(raw)
    except ValueError:  # more digits than Python makes a number of
        return raw
    return value if isinstance(value, int) or isfinite(value) else raw


def instant(raw: Any, _: Any = None) -> datetime:
    """Read ISO 8601 as an instant in UTC; without a zone it is taken as UTC."""
    if type(raw) is str and _ISO_8601.fullmatch(raw):
        try:
            moment = datetime.fromisoformat(raw.upper())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):  # no such time, or one outside the years 1 to 9999 in UTC
            pass
    raise MismatchError("a date and time", raw)


def loose_instant(raw: Any, _: Any = None) -> Any:
    """Read an instant where there is one; anything else stays as it came."""
    try:
        return instant(raw)
    except MismatchError:
        return raw


def day(raw: Any, _: Any = None) -> date:
    """Read YYYY-MM-DD, and no other form of ISO 8601."""
    if type(raw) is str and len(raw) == 10 and raw[7] == "-":  # noqa: PLR2004 - the length of YYYY-MM-DD
        try:
            return date.fromisoformat(raw)
        except ValueError:  # no such day
            pass
    raise MismatchError("a date (YYYY-MM-DD)", raw)


def open_enum(members: dict[str, Enum]) -> Hook:
    """Make the rule of an enumeration: an unknown value stays the text that came."""

    def read(raw: Any, _: Any = None) -> Enum | str:
        value: Enum | str = members.get(text(raw), raw)
        return value

    return read


def tag(tags: tuple[str, ...]) -> Hook:
    """Make the rule of a field that holds one of a few fixed texts."""

    def read(raw: Any, _: Any = None) -> str:
        if type(raw) is str and raw in tags:
            return raw
        raise MismatchError(" or ".join(f'"{tag}"' for tag in tags), raw)

    return read


def unwrapped(name: str, hook: Hook) -> Hook:
    """Make the rule of an object that may also come inside an object of its own, as its property ``name``."""

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
    """Make a rule that refuses what the quick parser may have rounded."""

    def read(raw: Any, _: Any = None) -> Any:
        refuse_rounded(raw)
        return hook(raw)

    return read


def refuse_rounded(value: Any) -> None:
    """Refuse a value that is, or holds at any depth, a number that may have lost digits.

    Raises:
        ValueError: there is one; the text must be parsed exactly.
    """
    if type(value) is str:
        return
    waiting = [value]
    while waiting:  # no recursion: an answer may be nested deeper than Python calls
        item = waiting.pop()
        if type(item) is float:
            if abs(item) >= ROUNDED_FROM:
                raise _RoundedError
        elif type(item) is dict:
            waiting.extend(item.values())
        elif type(item) is list:
            waiting.extend(item)


def holds_constant(value: Any) -> bool:
    """Return whether a value is, or holds at any depth, NaN or Infinity, which are no JSON."""
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
    """Write an instant as the vendor does: UTC with a Z, and milliseconds or, where there is more, microseconds."""
    try:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return moment.isoformat()  # outside the years 1 to 9999 in UTC: only its own zone can say it
    precision = "auto" if moment.microsecond % 1000 or not moment.microsecond else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"
