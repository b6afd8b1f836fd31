"""The query parameters that every list shares: pages, dates, booleans, choices. Pure; knows no kit."""

from collections.abc import Collection, Mapping
from datetime import date

__all__ = ["BadQueryError", "boolean", "choice", "day", "page", "refuse_unknown"]

_DEFAULT_RESULTS = 10
_MOST_RESULTS = 100
_MOST_DIGITS = 18
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


class BadQueryError(ValueError):
    """A query parameter has no meaning; the message names it."""


def refuse_unknown(query: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse a parameter that the operation does not know.

    Assumed: the contract does not say what the real server does; a fake that ignored a misspelt filter would let a
        test pass on the wrong list.
    """
    for name in query:
        if name not in known:
            raise BadQueryError(f"{name}: Unknown parameter")


def page(query: Mapping[str, str]) -> slice:
    """Give the part of the list that ``results`` (1 to 100, default 10) and ``offset`` (from 0) ask for."""
    results = _integer(query, "results", _DEFAULT_RESULTS, 1, _MOST_RESULTS)
    offset = _integer(query, "offset", 0, 0, None)
    return slice(offset, offset + results)


def boolean(query: Mapping[str, str], name: str) -> bool | None:
    """Read ``true`` or ``false``; None where the parameter is absent."""
    if name not in query:
        return None
    try:
        return _BOOLEANS[query[name]]
    except KeyError:
        raise BadQueryError(f"{name}: Must be true or false") from None


def day(query: Mapping[str, str], name: str) -> str | None:
    """Check a date ``YYYY-MM-DD`` and give it back as text; None where the parameter is absent."""
    text = query.get(name)
    if text is None:
        return None
    try:
        is_plain = date.fromisoformat(text).isoformat() == text  # Python also reads 20230131 and 2023-W05-2
    except ValueError:
        is_plain = False
    if not is_plain:
        raise BadQueryError(f"{name}: Must be a date, YYYY-MM-DD")
    return text


def choice(query: Mapping[str, str], name: str, allowed: Collection[str]) -> str | None:
    """Read one of the listed values; None where the parameter is absent."""
    value = query.get(name)
    if value is not None and value not in allowed:
        raise BadQueryError(f"{name}: Not a valid choice")
    return value


def _integer(query: Mapping[str, str], name: str, default: int, least: int, most: int | None) -> int:
    text = query.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    value = int(text) if is_number else -1
    if value < least or (most is not None and value > most):
        raise BadQueryError(f"{name}: Must be a whole number from {least}" + (f" to {most}" if most else ""))
    return value
