"""Reads a list by pages without losing a row between two of them, and a long one by windows of creation days."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import Any, Final, TypeVar

from attrs import frozen

from spotdx_async._codec.codec import BadItem
from spotdx_async._http.messages import Request
from spotdx_async._requests.answers import ListPage
from spotdx_async._requests.filters import page_of
from spotdx_async._requests.list_scan import SAME_PAGE
from spotdx_async._requests.operation import Operation
from spotdx_async.errors import DecodeError
from spotdx_async.pagination import PAGE_SIZE

S = TypeVar("S")

WINDOW_ROWS: Final = 1000
"""Most rows of a window. The cursor knows that many states beside those of the last two days; smaller windows cost more
requests that only ask whether one is small enough."""
# Older than the vendor's API: a window that reaches back further than this is not split at its far end.
_FIRST_DAY = date(2015, 1, 1)
# So many pages of known rows in a row mean a server that ignores offsets, not rows that were added meanwhile.
_MOST_STALE_PAGES = 20
_A_DAY = timedelta(days=1)


@frozen
class Window:
    """A range of days of creation, both inclusive; None: no bound."""

    first: date | None = None
    last: date | None = None

    def filters(self) -> dict[str, date]:
        """Return what the list is asked for."""
        days = {"created_after": self.first, "created_before": self.last}
        return {name: day for name, day in days.items() if day is not None}

    def halves(self, today: date) -> "tuple[Window, Window] | None":
        """Return the two halves; None for a single day."""
        first, last = self.first or _FIRST_DAY, self.last or today
        if first >= last:
            return None
        middle = first + (last - first) // 2
        return Window(self.first, middle), Window(middle + _A_DAY, self.last)


async def walk(
    fetch: Callable[[int], Awaitable[ListPage[S]]], id_of: Callable[[S], str | None]
) -> AsyncGenerator[list[S | BadItem], None]:
    """Yield the pages of a list, none of which was missed, without the rows that the page before has shown.

    Each page begins with the last row of the one before. Rows that enter the list only push others towards its end. If
    rows were removed meanwhile, no row of the page before shows up any more, and the list is read again from further
    up.

    Raises:
        DecodeError: the server gives the same page for every offset.
        SpotError: a page cannot be fetched.
    """
    offset, back, stale = 0, PAGE_SIZE // 2, 0
    before: dict[object, S | BadItem] = {}
    while True:
        page = await fetch(offset)
        shown = {_key(item, id_of): item for item in page.items}
        if offset and before.keys().isdisjoint(shown):
            offset, back = max(0, offset - back), back * 2
            continue
        yield [item for key, item in shown.items() if before.get(key) != item]
        if len(page.items) < PAGE_SIZE:
            return
        stale = stale + 1 if shown.keys() <= before.keys() else 0
        if stale > _MOST_STALE_PAGES:
            raise DecodeError(SAME_PAGE, outcome="done")
        before, back = shown, PAGE_SIZE // 2
        offset += PAGE_SIZE - 1


def page_request(operation: Operation[Any], filters: dict[str, Any], offset: int, size: int = PAGE_SIZE) -> Request:
    """Return the request for one page; a filter that is None is left out."""
    request = operation.request(query={name: value for name, value in filters.items() if value is not None})
    return page_of(request, offset, size)


def named(
    items: Iterable[S | BadItem], id_of: Callable[[S], str | None], id_name: str
) -> Iterator[tuple[str | None, S | None, DecodeError | None]]:
    """Yield the id and the row of each item.

    The row is None if it cannot be read although it shows its id; the id is None if it shows none, and the error says
    what is wrong.
    """
    for item in items:
        if isinstance(item, BadItem):
            raw = item.error.raw
            an_id = raw.get(id_name) if isinstance(raw, dict) else None
            yield (an_id, None, None) if isinstance(an_id, str) and an_id else (None, None, item.error)
        elif an_id := id_of(item):
            yield an_id, item, None
        else:
            yield None, item, DecodeError("a row of the list has no id, so its object cannot be got", outcome="done")


def _key(item: S | BadItem, id_of: Callable[[S], str | None]) -> object:
    return (BadItem, item.key) if isinstance(item, BadItem) else id_of(item) or id(item)
