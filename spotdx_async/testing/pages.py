"""How every list is answered: its query checked, its rows filtered, one page of them. Pure; knows no kit."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

from spotdx_async.testing import listing
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.conditions import Condition, Query, on_days, on_person
from spotdx_async.testing.routes import Call

__all__ = ["Listed", "page_of"]


class Listed(Protocol):
    """A thing that has a row in a list."""

    def summary(self) -> dict[str, Any]:
        """Give the row."""
        ...


_T = TypeVar("_T", bound=Listed)


def page_of(
    call: Call,
    things: Sequence[_T],
    *,
    known: Collection[str],
    person_of: Callable[[_T], Mapping[str, Any]],
    own: Callable[[Query], Iterator[Condition]],
) -> Answer:
    """Answer with a page of summaries: a bare array without a total.

    Args:
        call: the call; its query is read.
        things: all there are, in the order of the list.
        known: the parameters that the list knows.
        person_of: gives whom a thing is about.
        own: turns the filters that this list alone has into conditions.

    Raises:
        BadQueryError: a parameter is unknown or has no meaning.
    """
    query = call.query
    listing.refuse_unknown(query, known)
    part = listing.page(query)
    conditions = [*on_person(query), *own(query), *on_days(query)]
    if not conditions:
        return json_answer(200, [thing.summary() for thing in things[part]])
    rows = _rows(things, person_of, conditions)
    return json_answer(200, list(islice(rows, part.start, part.stop)))


def _rows(
    things: Iterable[_T], person_of: Callable[[_T], Mapping[str, Any]], conditions: Iterable[Condition]
) -> Iterator[dict[str, Any]]:
    for thing in things:
        row, person = thing.summary(), person_of(thing)
        if all(meets(row, person) for meets in conditions):
            yield row
