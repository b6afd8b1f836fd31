"""Dates and times as ISO 8601 text, by integer arithmetic on what the file stores; knows no pyarrow and no time zone.

Neither a float nor Python's own date is in between: they lose nanoseconds and do not have all that a file can hold.
"""

from collections.abc import Callable
from datetime import date
from functools import lru_cache

__all__ = ["PER_SECOND", "date_text", "time_text", "timestamp_text"]

PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
"""How many of each unit are a second."""
_DAY_S = 24 * 60 * 60
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_DAY, _LAST_DAY = date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH
_CACHED_DAYS = 4096
"""Eleven years: of most columns all days, and at most half a megabyte."""


@lru_cache(maxsize=_CACHED_DAYS)
def date_text(days: int) -> str | None:
    """Return the date so many days after 1970-01-01; None outside the years 1 to 9999, which are ISO 8601's."""
    return date.fromordinal(_EPOCH + days).isoformat() if _FIRST_DAY <= days <= _LAST_DAY else None


def time_text(unit: str) -> Callable[[int], str | None]:
    """Return what turns a count of units since midnight into a time of day, or None if it is not within a day."""
    per_second = PER_SECOND[unit]

    def text(value: int) -> str | None:
        seconds, rest = divmod(value, per_second)
        return _clock(seconds) + _fraction(rest, per_second) if 0 <= seconds < _DAY_S else None

    return text


def timestamp_text(unit: str, suffix: str) -> Callable[[int], str | None]:
    """Return what turns a count of units since 1970 into a date with time, or None outside the years 1 to 9999.

    Args:
        unit: a key of ``PER_SECOND``.
        suffix: what ends the text: ``Z`` for instants in UTC, nothing for times without a zone.
    """
    per_second = PER_SECOND[unit]

    def text(value: int) -> str | None:
        seconds, rest = divmod(value, per_second)
        days, seconds = divmod(seconds, _DAY_S)
        day = date_text(days)
        return day and f"{day}T{_clock(seconds)}{_fraction(rest, per_second) if rest else ''}{suffix}"

    return text


@lru_cache(maxsize=24 * 60)
def _minute(number: int) -> str:
    return f"{number // 60:02}:{number % 60:02}:"


def _clock(seconds: int) -> str:
    return f"{_minute(seconds // 60)}{seconds % 60:02}"


def _fraction(rest: int, per_second: int) -> str:
    """Return the digits after the second: none, three, six or nine, as many as the value needs."""
    nanos = rest * (PER_SECOND["ns"] // per_second)
    if not nanos:
        return ""
    if nanos % 1_000_000 == 0:
        return f".{nanos // 1_000_000:03}"
    return f".{nanos // 1000:06}" if nanos % 1000 == 0 else f".{nanos:09}"
