"""Checks of what calls take beside what is created: keywords and days, and the error that lists faults. Pure."""

import re
from collections.abc import Container, Iterable
from datetime import date, datetime
from typing import Any, NoReturn, TypeAlias

from spotdx_async.errors import InvalidInputError

Fault: TypeAlias = tuple[str, str]
"""A path, and what is wrong there."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def check_keywords(call: str, given: Iterable[str], known: Container[str]) -> None:
    """Reject an unknown keyword as Python does, for a call whose keywords are those of a TypedDict.

    Raises:
        TypeError: one is unknown.
    """
    for name in given:
        if name not in known:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")


def refuse(faults: tuple[Fault, ...], operation: str | None) -> NoReturn:
    """Raise one error that lists all faults.

    Raises:
        InvalidInputError: always.
    """
    listed = "; ".join(f"{path} {fault}".lstrip() for path, fault in faults)
    counted = "" if len(faults) == 1 else f"{len(faults)} faults: "
    raise InvalidInputError(f"{counted}{listed}; nothing was sent", faults=faults, operation=operation)


def day_of(value: Any) -> date | None:
    """Return the day of a date or of text as YYYY-MM-DD; None for anything else, including a datetime."""
    if isinstance(value, date) and not isinstance(value, datetime):  # a datetime's day depends on its zone
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    return None
