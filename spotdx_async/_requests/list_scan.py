"""A whole list, read while it changes: no row that was there all the time is missed. It knows no HTTP and no noun."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Generic, Protocol, TypeVar

from attrs import field, frozen

from spotdx_async._codec.codec import BadItem
from spotdx_async._requests.answers import ListPage, ServerClock, from_cache_error
from spotdx_async.errors import DecodeError, SpotError

__all__ = ["Row", "Scan", "scan"]

# With 20 changes a second and a page in 0.1 s one more pass is enough; a list that needs more than this changes by
# hundreds of rows a second.
_MOST_PASSES = 20
# So many pages of known rows in a row are a server without offsets, not rows that were added meanwhile.
_MOST_STALE_PAGES = 20


class Row(Protocol):
    """What the rows of all lists have."""

    @property
    def created(self) -> datetime | None:
        """When it was created."""
        ...

    @property
    def updated(self) -> datetime | None:
        """When it was changed last."""
        ...


S = TypeVar("S", bound=Row)


@frozen
class Scan(Generic[S]):
    """What a list held."""

    rows: tuple[S, ...] = field(repr=False)
    """Each once, in the state that was read last."""
    clock: ServerClock | None
    """The server's, from before the first row was read; None where it does not tell."""
    trouble: SpotError | None
    """Why something may be missing; None where nothing is."""


class _Seen(Generic[S]):
    """The rows of all passes so far."""

    def __init__(self, id_of: Callable[[S], str | None]) -> None:
        self._id_of = id_of
        self._by_id: dict[str, S] = {}
        self._nameless: list[S] = []
        self.trouble: SpotError | None = None

    @property
    def rows(self) -> tuple[S, ...]:
        return (*self._by_id.values(), *self._nameless)

    def take(self, page: ListPage[S]) -> bool:
        """Keep the rows of a page; True where one of them is new, or was changed since."""
        has_news = False
        if page.is_from_cache:
            self.trouble = self.trouble or from_cache_error()
        for row in page.items:
            if isinstance(row, BadItem):
                self.trouble = self.trouble or row.error
            elif (an_id := self._id_of(row)) is None:
                if row not in self._nameless:
                    self._nameless.append(row)
                    has_news = True
            else:
                known = self._by_id.get(an_id)
                has_news |= known is None or known.updated != row.updated
                self._by_id[an_id] = row
        return has_news


async def scan(
    fetch: Callable[[date | None, int], Awaitable[ListPage[S]]],
    id_of: Callable[[S], str | None],
    *,
    first_day: Callable[[ServerClock | None], date | None],
    page_size: int,
    is_newest_change_first: bool,
) -> Scan[S]:
    """Read a list to its end, and then again what may have moved past the offset meanwhile.

    1. One page is one moment: nothing can have moved.
    2. Where the last changed come first, a row that was not read and has changed since has moved to the head. So the
       head is read again, down to what was on top before, until one page of it is enough or nothing in it is news.
    3. In another order it is read again as a whole until nothing in it is news.

    Args:
        fetch: gives the page from an offset on, of what was created since a day.
        id_of: the row's identifier.
        first_day: the day to begin with, by the server's clock, which is not known (None) before the first page is.
        page_size: a shorter page is the last.
        is_newest_change_first: the order of the list.

    Raises:
        DecodeError: the list cannot be read to its end.
        SpotError: a page cannot be had.
    """
    day = first_day(None)
    page = await fetch(day, 0)
    server = page.clock
    if (corrected := first_day(server)) != day:
        day, page = corrected, await fetch(corrected, 0)
    seen, top = _Seen(id_of), None
    for _ in range(_MOST_PASSES):
        next_top = _newest(page) if is_newest_change_first else None
        pages, has_news = await _pass(page, lambda offset: fetch(day, offset), seen, top, page_size)
        if pages == 1 or not has_news:
            return Scan(seen.rows, server, seen.trouble)
        top, page = next_top, await fetch(day, 0)
    trouble = DecodeError("the list changes faster than it can be read", outcome="done")
    return Scan(seen.rows, server, trouble)


async def _pass(
    page: ListPage[S],
    fetch: Callable[[int], Awaitable[ListPage[S]]],
    seen: _Seen[S],
    top: datetime | None,
    page_size: int,
) -> tuple[int, bool]:
    """Read from the first page on, down to a row changed before ``top``; give the pages, and whether there is news."""
    offset, pages, stale_pages = 0, 0, 0
    has_news, is_first = False, not seen.rows
    while True:
        pages += 1
        is_news = seen.take(page)
        has_news |= is_news
        stale_pages = 0 if is_news or not is_first else stale_pages + 1
        if len(page.items) < page_size or (top is not None and _reaches(page, top)):
            return pages, has_news
        if stale_pages > _MOST_STALE_PAGES:
            message = "the server gives the same page for every offset, so the list cannot be read to its end"
            raise DecodeError(message, outcome="done")
        offset += len(page.items)
        page = await fetch(offset)


def _newest(page: ListPage[S]) -> datetime | None:
    changes = [row.updated for row in page.items if not isinstance(row, BadItem) and row.updated is not None]
    return max(changes, default=None)


def _reaches(page: ListPage[S], top: datetime) -> bool:
    """Whether the page goes down to what has not changed since ``top`` was on top."""
    last = page.items[-1]
    return not isinstance(last, BadItem) and last.updated is not None and last.updated < top
