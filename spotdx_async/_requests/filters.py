"""What a list is asked for: filters checked and typed before anything is sent, and one page of the matching rows."""

import secrets
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final, TypedDict

from attrs import evolve

from spotdx_async._codec.json import is_unicode
from spotdx_async._http.messages import Request
from spotdx_async._requests.arguments import Fault, check_keywords, day_of, refuse
from spotdx_async._requests.operation import Operation, has_control

PAGING: Final = ("results", "offset")
"""The parameters of every list that are not filters."""

_FLAGS = frozenset({"has_order"})
_DATES = frozenset({"created_before", "created_after", "updated_before", "updated_after"})
_FAR_AHEAD: Final = date(2100, 1, 1)
"""Everything was created before this day, by any clock, and before each day of the century after it."""
_DAYS_AHEAD: Final = 36_524


class ListFilters(TypedDict, total=False):
    """The filters of every list; each may be left out, or None.

    All four dates are inclusive: a date, or text as ``YYYY-MM-DD``.

    An object that changes while a list is read leaves it under ``updated_before``, or under a status, and then another
    is missed: 126 and 64 of 1,800 in one reading during which 20 objects changed between two pages; under
    ``updated_after``, or the days of creation, none (``python benchmarks/lost_rows.py``). ``changes`` misses none.
    """

    email: str | None
    """Of the person: the one a kit is registered to, an order goes to, or a requisition is for."""
    first_name: str | None
    """Of the same person."""
    last_name: str | None
    """Of the same person."""
    phone: str | None
    """Of the same person."""
    created_before: date | str | None
    """The last day of creation."""
    created_after: date | str | None
    """The first day of creation."""
    updated_before: date | str | None
    """The last day of the last change."""
    updated_after: date | str | None
    """The first day of the last change."""


def list_request(operation: Operation[Any], filters: Mapping[str, Any]) -> Request:
    """Return the request that every page is derived from; a filter that is None is left out.

    Raises:
        InvalidInputError: a filter has the wrong type or is empty, or a range of dates ends before it begins; the error
            lists every fault and shows no value, since filters name patients.
        TypeError: there is no such filter.
    """
    check_keywords("list", filters, set(operation.query).difference(PAGING))
    asked = {name: value for name, value in filters.items() if value is not None}
    if faults := (*_faults(asked), *_faults_of_ranges(asked)):
        refuse(faults, operation.name)
    return operation.request(query={name: day_of(value) if name in _DATES else value for name, value in asked.items()})


def page_of(request: Request, offset: int, size: int) -> Request:
    """Return the request for one page of what the list request finds."""
    page = f"results={size}&offset={offset}"
    return evolve(request, query=f"{request.query}&{page}" if request.query else page)


def fresh_page_of(operation: Operation[Any], day: date | None, offset: int, size: int) -> Request:
    """Return the request for one page of everything created since a day, by a URL that no cache has an answer to.

    A cache may return an old answer in spite of ``Cache-Control``: nginx does so with its usual settings. So a filter
    that excludes nothing makes each request different: created before some day of the next century.
    """
    asked = {
        "created_after": day,
        "created_before": _FAR_AHEAD + timedelta(days=secrets.randbelow(_DAYS_AHEAD)),
        "results": size,
        "offset": offset,
    }
    return operation.request(query=asked)


def _faults(asked: Mapping[str, Any]) -> Iterator[Fault]:
    for name, value in asked.items():
        if name in _FLAGS:
            if not isinstance(value, bool):
                yield name, "must be True or False"
        elif name in _DATES:
            if day_of(value) is None:
                yield name, "must be a date, or text in the form YYYY-MM-DD"
        elif not isinstance(value, str):
            yield name, f"must be text, not {type(value).__name__}"
        elif not value.strip():
            yield name, "must not be empty: leave it out instead"
        elif has_control(value) or not is_unicode(value):
            yield name, "must be valid Unicode without control characters"


def _faults_of_ranges(asked: Mapping[str, Any]) -> Iterator[Fault]:
    for what in ("created", "updated"):
        first, last = day_of(asked.get(f"{what}_after")), day_of(asked.get(f"{what}_before"))
        if first is not None and last is not None and first > last:
            yield f"{what}_after", f"must not be later than {what}_before"
