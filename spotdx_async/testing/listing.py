"""How every list is answered: its query checked, its rows filtered, one page of them returned. Pure; knows no kit."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Protocol

from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.routes import Call

_PEOPLE = ("email", "first_name", "last_name", "phone")
_DATES = ("created_before", "created_after", "updated_before", "updated_after")
SHARED_QUERY = ("results", "offset", *_PEOPLE, *_DATES)
"""The parameters that every list knows."""

_DEFAULT_RESULTS = 10
_MOST_RESULTS = 100
_MOST_DIGITS = 18
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}

Query = Mapping[str, str]
Condition = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
"""Takes a row of the list and the person it is about, who may be empty."""


class BadQueryError(ValueError):
    """A query parameter is unknown or has a bad value; the message names it."""


class Listed(Protocol):
    """An item that has a row in a list."""

    @property
    def person(self) -> Mapping[str, Any]:
        """The person it is about; empty where that is missing or null."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return the row."""
        ...


def page_of(
    call: Call,
    items: Sequence[Listed],
    *,
    own: Callable[[Query], Iterator[Condition]],
    day_offset: timedelta,
) -> Answer:
    """Answer with a page of summaries: a bare array without a total.

    Args:
        call: the call, for its query and the parameters that its route knows.
        items: all items, in the order of the list.
        own: turns the filters that only this list has into conditions.
        day_offset: how far the zone in which the filters by date count their days is ahead of UTC.

    Raises:
        BadQueryError: a parameter is unknown or has a bad value.
    """
    query = call.query
    refuse_unknown(query, call.route.query if call.route else ())
    part = page(query)
    conditions = [*_on_person(query), *own(query), *_on_days(query, day_offset)]
    if not conditions:
        return json_answer(200, [item.summary() for item in items[part]])
    rows = _rows(items, conditions)
    return json_answer(200, list(islice(rows, part.start, part.stop)))


def refuse_unknown(query: Query, known: Collection[str]) -> None:
    """Refuse a parameter that the operation does not know.

    Assumed: the contract does not say what the real server does; a fake that ignored a misspelt filter would let a
        test pass on the wrong list.
    """
    for name in query:
        if name not in known:
            raise BadQueryError(f"{name}: Unknown parameter")


def page(query: Query) -> slice:
    """Return the part of the list that ``results`` (1 to 100, default 10) and ``offset`` (from 0) ask for."""
    results = _integer(query, "results", _DEFAULT_RESULTS, 1, _MOST_RESULTS)
    offset = _integer(query, "offset", 0, 0, None)
    return slice(offset, offset + results)


def boolean(query: Query, name: str) -> bool | None:
    """Read ``true`` or ``false``; None where the parameter is absent."""
    if name not in query:
        return None
    try:
        return _BOOLEANS[query[name]]
    except KeyError:
        raise BadQueryError(f"{name}: Must be true or false") from None


def day(query: Query, name: str) -> str | None:
    """Check a date ``YYYY-MM-DD`` and return it as text; None where the parameter is absent."""
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


def choice(query: Query, name: str, allowed: Collection[str]) -> str | None:
    """Read one of the allowed values; None where the parameter is absent."""
    value = query.get(name)
    if value is not None and value not in allowed:
        raise BadQueryError(f"{name}: Not a valid choice")
    return value


def holds(name: str, wanted: str) -> Condition:
    """Return the condition that a row has exactly this text."""
    return lambda row, _: row.get(name) == wanted


def _on_person(query: Query) -> Iterator[Condition]:
    """Turn the filters by person into conditions.

    Source: the OpenAPI document calls those of kits case-insensitive, but for the phone.
    Assumed: those of the other lists too; texts are compared whole.
    """
    for name in _PEOPLE:
        if name in query:
            yield _is_person(name, query[name])


def _is_person(name: str, wanted: str) -> Condition:
    folded = wanted.casefold()
    return lambda _, person: str(person.get(name, "")).casefold() == folded


def _on_days(query: Query, offset: timedelta) -> Iterator[Condition]:
    """Turn the filters by date into conditions.

    Assumed: days are those of UTC, where ``offset`` is zero.
    """
    for name in ("created", "updated"):
        if (latest := day(query, f"{name}_before")) is not None:
            yield _is_within(name, "", latest, offset)
        if (earliest := day(query, f"{name}_after")) is not None:
            yield _is_within(name, earliest, "9999-12-31", offset)


def _is_within(name: str, earliest: str, latest: str, offset: timedelta) -> Condition:
    if not offset:
        return lambda row, _: earliest <= row[name][: len("2023-01-31")] <= latest
    return lambda row, _: earliest <= (datetime.fromisoformat(row[name]) + offset).date().isoformat() <= latest


def _rows(items: Iterable[Listed], conditions: Iterable[Condition]) -> Iterator[dict[str, Any]]:
    for item in items:
        row, person = item.summary(), item.person
        if all(is_met(row, person) for is_met in conditions):
            yield row


def _integer(query: Query, name: str, default: int, least: int, most: int | None) -> int:
    text = query.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    value = int(text) if is_number else -1
    if value < least or (most is not None and value > most):
        raise BadQueryError(f"{name}: Must be a whole number from {least}" + (f" to {most}" if most else ""))
    return value
