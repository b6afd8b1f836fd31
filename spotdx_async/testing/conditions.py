"""The filters that several lists share, as conditions on a row and the person it is about. Pure; knows no kit."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spotdx_async.testing import listing

__all__ = ["DATES", "PEOPLE", "Condition", "Query", "holds", "on_days", "on_person"]

PEOPLE = ("email", "first_name", "last_name", "phone")
DATES = ("created_before", "created_after", "updated_before", "updated_after")

Query = Mapping[str, str]
Condition = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
"""Takes a row of the list and the person it is about, who may be empty."""


def on_person(query: Query) -> Iterator[Condition]:
    """Turn the filters by person into conditions.

    Source: the OpenAPI document calls those of kits case insensitive, but for the phone.
    Assumed: those of the other lists too; texts are compared whole.
    """
    for name in PEOPLE:
        if name in query:
            yield _is_person(name, query[name])


def on_days(query: Query) -> Iterator[Condition]:
    """Turn the filters by date into conditions.

    Assumed: days are those of UTC.
    """
    for name in ("created", "updated"):
        if (latest := listing.day(query, f"{name}_before")) is not None:
            yield _is_within(name, "", latest)
        if (earliest := listing.day(query, f"{name}_after")) is not None:
            yield _is_within(name, earliest, "9999-12-31")


def holds(name: str, wanted: str) -> Condition:
    """Ask for a row with just this text."""
    return lambda row, _: row.get(name) == wanted


def _is_person(name: str, wanted: str) -> Condition:
    folded = wanted.casefold()
    return lambda _, person: str(person.get(name, "")).casefold() == folded


def _is_within(name: str, earliest: str, latest: str) -> Condition:
    return lambda row, _: earliest <= row[name][: len("2023-01-31")] <= latest
