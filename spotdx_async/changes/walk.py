"""Reads a list by pages without losing a row between two of them, and a long one by windows of creation days."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final, Generic, TypeVar

from attrs import frozen

from spotdx_async._codec.codec import BadItem
from spotdx_async._http.messages import Request
from spotdx_async._requests.answers import ServerClock
from spotdx_async._requests.filters import page_of
from spotdx_async._requests.list_scan import SAME_PAGE, ListEnd
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
# So many pages without getting any further mean a list that has no order, or changes by hundreds of rows a page.
_MOST_PAGES_BACK = 100
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
    fetch: Callable[[int], Coroutine[Any, Any, "RowPage[S]"]], *, reads_ahead: bool = False
) -> AsyncGenerator[list["Named[S]"], None]:
    """Yield the pages of a list, none of which was missed, without the rows that the page before has shown.

    Each page begins with the last row of the one before. Rows that enter the list only push others towards its end. If
    rows were removed meanwhile, no row of the page before shows up any more, and the list is read again from further
    up.

    Args:
        fetch: returns the page at an offset.
        reads_ahead: whether a page is fetched while the one before is worked on.

    Raises:
        DecodeError: the server gives the same page for every offset, or the list changes faster than it can be read.
        SpotError: a page cannot be fetched.
    """
    offset, back, stale, furthest, pages_back = 0, PAGE_SIZE // 2, 0, 0, 0
    before: dict[object, Named[S]] = {}
    texts: list[bytes] | None = None
    end = ListEnd(PAGE_SIZE)
    ahead: asyncio.Task[RowPage[S]] | None = None
    try:
        while True:
            page = await (fetch(offset) if ahead is None else ahead)
            ahead = None
            shown = {row.key: row for row in page.rows}
            if offset > furthest:
                furthest, pages_back = offset, 0
            if offset and before.keys().isdisjoint(shown):
                pages_back += 1
                if pages_back > _MOST_PAGES_BACK:
                    raise DecodeError("the list changes faster than it can be read", outcome="done")
                offset, back, texts = max(0, offset - back), back * 2, None  # the same rows may stand there now
                continue
            rows = [row for key, row in shown.items() if (last := before.get(key)) is None or last.text != row.text]
            last_texts, texts = texts, [row.text for row in page.rows]
            is_last = end.is_at(len(page.rows), is_same=texts == last_texts)
            stale = stale + 1 if shown.keys() <= before.keys() else 0
            before, back = shown, PAGE_SIZE // 2
            offset += max(0, len(page.rows) - 1)
            if reads_ahead and not is_last:
                ahead = asyncio.ensure_future(fetch(offset))
            yield rows
            if is_last:
                return
            if stale > _MOST_STALE_PAGES:
                raise DecodeError(SAME_PAGE, outcome="done")
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)


def page_request(operation: Operation[Any], filters: dict[str, Any], offset: int, size: int = PAGE_SIZE) -> Request:
    """Return the request for one page; a filter that is None is left out."""
    request = operation.request(query={name: value for name, value in filters.items() if value is not None})
    return page_of(request, offset, size)


@frozen
class Named(Generic[S]):
    """A row of a list, and the object that it is about."""

    key: object
    """What tells it from other rows: its id, or what it holds."""
    an_id: str | None
    """None if it shows none."""
    row: S | None
    """None if it cannot be read, although it may show its id."""
    text: bytes = b""
    """The same for the same row; empty if it cannot be read."""
    error: DecodeError | None = None
    """Why there is no id."""


@frozen
class RowPage(Generic[S]):
    """One page of a list."""

    rows: tuple[Named[S], ...]
    clock: ServerClock | None
    """The server's clock; None if the answer has no date."""


def named(
    items: Sequence[S | BadItem], texts: Sequence[bytes], id_of: Callable[[S], str | None], id_name: str
) -> Iterator[Named[S]]:
    """Yield each row with its id, given a text of each by which it is recognised."""
    for item, text in zip(items, texts, strict=True):
        if isinstance(item, BadItem):
            raw = item.error.raw
            an_id = raw.get(id_name) if isinstance(raw, dict) else None
            is_known = isinstance(an_id, str) and an_id
            key = BadItem, item.key
            yield Named(key, an_id, None) if is_known else Named(key, None, None, error=item.error)
        elif an_id := id_of(item):
            yield Named(an_id, an_id, item, text)
        else:
            error = DecodeError("a row of the list has no id, so its object cannot be got", outcome="done")
            yield Named(text, None, item, text, error)
