"""Reads a whole list while it changes, and tells whether it could be read as a whole. It knows no HTTP and no noun."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from typing import Final, Generic, Protocol, TypeVar

from attrs import field, frozen

from spotdx_async._codec.codec import BadItem
from spotdx_async._requests.answers import ListPage, ServerClock, from_cache_error
from spotdx_async.errors import DecodeError, SpotError

SAME_PAGE = "the server gives the same page for every offset, so the list cannot be read to its end"
_TOO_FAST = "the list changes faster than it can be read"
_NO_ORDER = (
    "the server lists what was changed at the same time in another order each time, so rows of the list may be missing"
)
_MOST_PASSES: Final = 20
"""At 20 changes a second and 0.1 s per page one more pass is enough; a list that needs more than this changes by
hundreds of rows a second."""
_MOST_STALE_PAGES: Final = 20
"""So many pages of known rows in a row mean a server that ignores offsets, not rows that were added meanwhile."""


_SMALLEST_LIMIT, _ROUND = 10, 5
"""Limits to a page's rows: the API's own default is 10, and others are 20, 25, 50 and the like. To look behind every
short page would cost each look a request."""


_REPEATS: Final = 3
"""So many times the same rows for another offset are no chance any more; a choice."""


class ListEnd:
    """Tells where a list ends that is read page by page.

    A server may have pages of fewer rows than are asked for, or a proxy may drop that parameter. So a short page of a
    round number of rows, as such limits are, proves the end only where a full one has come; else the next one does,
    which is empty, or the same again and again where the server ignores offsets. Once may be chance: as many rows were
    added in front as lie between two pages.
    """

    def __init__(self, page_size: int) -> None:
        self._page_size = page_size
        self._repeats = 0
        self.has_full_page: bool = False
        """Whether a page had as many rows as were asked for."""

    def is_at(self, count: int, *, is_same: bool = False) -> bool:
        """Return whether a page of so many rows is the last one.

        Args:
            count: of its rows.
            is_same: whether they are those of the page before.
        """
        self.has_full_page |= count >= self._page_size
        self._repeats = self._repeats + 1 if is_same else 0
        may_be_limit = count >= _SMALLEST_LIMIT and count % _ROUND == 0
        return count < self._page_size and (self.has_full_page or self._repeats >= _REPEATS or not may_be_limit)


class Row(Protocol):
    """What the rows of all lists have."""

    @property
    def created(self) -> datetime | None:
        """When it was created."""
        ...

    @property
    def updated(self) -> datetime | None:
        """When it was last changed."""
        ...


S = TypeVar("S", bound=Row)


@frozen
class Scan(Generic[S]):
    """What a list held."""

    rows: tuple[S, ...] = field(repr=False)
    """Each object once, in the state that was read last."""
    clock: ServerClock | None
    """The server's clock, from before the first row was read; None if unknown."""
    trouble: SpotError | None
    """Why something may be missing; None if nothing is."""
    unread: frozenset[str] = field(default=frozenset(), repr=False)
    """The ids of rows that were known before, and were not read again."""


async def scan(
    fetch: Callable[[date | None, int], Awaitable[ListPage[S]]],
    id_of: Callable[[S], str | None],
    *,
    first_day: Callable[[ServerClock | None], date | None],
    page_size: int,
    is_newest_change_first: bool,
    down_to: datetime | None = None,
    known: Sequence[S] = (),
    expects_removals: bool = False,
) -> Scan[S]:
    """Read a list to its end, and then again the rows that may have moved past the offset meanwhile.

    1. One page is one moment: nothing can have moved.
    2. If the last changed come first, a row that was not read and has changed since has moved to the head. So the head
       is read again, down to what was on top before, until one page suffices or contains nothing new. Rows that bear
       the time of the top may be many, as after a change of all at once: where they end where those that are known
       would, none has joined them.
    3. In any other order the whole list is read again until it contains nothing new.

    Args:
        fetch: returns the page at an offset, of what was created since a day.
        id_of: the row's identifier.
        first_day: returns the day to start from, given the server's clock, which is unknown (None) before the first
            page.
        page_size: how many rows are asked for at once; once a page had as many, a shorter one is the last.
        is_newest_change_first: the order of the list.
        down_to: in that order rows that were last changed before are not needed; None: all are.
        known: rows that an earlier scan has shown, last changed at ``down_to``: they need not be read again.
        expects_removals: whether rows may leave the list meanwhile: others then move up across the offset. The last row
            of a page is read again with the next one, to see whether it is still there.

    Raises:
        DecodeError: the list cannot be read to its end.
        SpotError: a page cannot be fetched.
    """
    day = first_day(None)
    page = await fetch(day, 0)
    server = page.clock
    if (corrected := first_day(server)) != day:
        day, page = corrected, await fetch(corrected, 0)
    reading = _Reading(
        lambda offset: fetch(day, offset),
        id_of,
        known,
        page_size=page_size,
        is_newest_change_first=is_newest_change_first,
        overlap=int(expects_removals),
    )
    top = down_to if is_newest_change_first else None
    for _ in range(_MOST_PASSES):
        next_top = _newest(page) if is_newest_change_first else None
        pages, has_news = await reading.go_through(page, top)
        if pages <= 1 or not has_news:
            break
        top, page = next_top, await fetch(day, 0)
    else:
        reading.seen.trouble = DecodeError(_TOO_FAST, outcome="done")
    return Scan(reading.seen.rows, server, reading.seen.trouble, frozenset(reading.seen.unread))


class _Seen(Generic[S]):
    """The rows of all passes so far."""

    def __init__(self, id_of: Callable[[S], str | None], known: Sequence[S]) -> None:
        self._id_of = id_of
        self._by_id: dict[str, S] = {an_id: row for row in known if (an_id := id_of(row)) is not None}
        self.unread: set[str] = {*self._by_id}
        self._nameless: list[S] = []
        self.trouble: SpotError | None = None

    @property
    def rows(self) -> tuple[S, ...]:
        return (*self._by_id.values(), *self._nameless)

    def take(self, page: ListPage[S]) -> bool:
        """Keep the rows of a page; return True if one of them is new or has changed since."""
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
                self.unread.discard(an_id)
        return has_news

    def changed_at(self, moment: datetime) -> int:
        """Return how many rows were last changed at this moment."""
        return sum(row.updated == moment for row in self.rows)


class _Reading(Generic[S]):
    """Reads a list, as often as it must be."""

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[ListPage[S]]],
        id_of: Callable[[S], str | None],
        known: Sequence[S],
        *,
        page_size: int,
        is_newest_change_first: bool,
        overlap: int,
    ) -> None:
        self.seen: _Seen[S] = _Seen(id_of, known)
        self._known, self._is_first = len(known), True
        self._fetch, self._id_of, self._page_size, self._overlap = fetch, id_of, page_size, overlap
        self._end = ListEnd(page_size)
        self._has_small_pages = False
        self._may_lack_order = is_newest_change_first

    async def go_through(self, page: ListPage[S], top: datetime | None) -> tuple[int, bool]:
        """Read from the first page on, down to a row changed before ``top``.

        Returns:
            how many pages had rows, and whether one of these is news.

        Raises:
            DecodeError: the server ignores offsets.
            SpotError: a page cannot be fetched.
        """
        offset, pages, stale_pages = 0, 0, 0
        has_news, is_first, may_skip = False, self._is_first, top is not None
        self._is_first = False
        previous: ListPage[S] | None = None
        passed: set[str | None] = set()
        while True:
            pages += bool(page.items)
            passed.update(map(self._id_in, page.items))
            is_news = self.seen.take(page)
            has_news |= is_news
            stale_pages = 0 if is_news or not is_first else stale_pages + 1
            if self._is_last(page, previous) or (top is not None and _reaches(page, top)):
                return pages, has_news
            if stale_pages > _MOST_STALE_PAGES + self._known // max(1, len(page.items) - self._overlap):
                raise self.seen.trouble or DecodeError(SAME_PAGE, outcome="done")  # a cache explains it
            if may_skip and top is not None and (last := self._last_of(top, page, offset)) is not None:
                if self._ends(await self._fetch(last), top):
                    return pages + 1, has_news
                may_skip = False
            previous = page
            page, offset = await self._following(offset, len(page.items), passed)
            if self._may_lack_order and (tie := self._tie_between(previous, page)) is not None:
                self._may_lack_order = False
                await self._check_order(previous, page, offset, tie)

    async def _following(self, offset: int, count: int, passed: set[str | None]) -> tuple[ListPage[S], int]:
        """Return the page that goes on behind ``count`` rows from an offset on, and where it begins.

        It begins with the last of them, or with one that was pushed down there: else rows that were not read may have
        moved up, so that an earlier page is read.

        Raises:
            DecodeError: rows are removed faster than the list can be read.
        """
        if count < self._page_size and not self._has_small_pages:
            page = await self._fetch(offset + count)
            if not page.items or not self._overlap:
                return page, offset + count
            self._has_small_pages = True
        overlap = self._overlap if count > 1 else 0
        at = offset + count - overlap
        for _ in range(_MOST_PASSES):
            page = await self._fetch(at)
            if not overlap or not at or (page.items and self._id_in(page.items[0]) in passed):
                return page, at
            at = max(0, at - count + overlap)
        raise DecodeError(_TOO_FAST, outcome="done")

    def _last_of(self, top: datetime, page: ListPage[S], offset: int) -> int | None:
        """Return where the rows that were changed at ``top`` end if all are known; None if not far behind a page."""
        if not _is_of(page.items[-1], top):
            return None
        first = offset + next(place for place, row in enumerate(page.items) if _is_of(row, top))
        last = first + self.seen.changed_at(top) - 1
        return last if last >= offset + len(page.items) else None

    def _ends(self, page: ListPage[S], top: datetime) -> bool:
        """Return whether the first row of a page is the last one that was changed at ``top``."""
        if page.is_from_cache or not page.items or not _is_of(page.items[0], top):
            return False
        if len(page.items) == 1:
            return self._end.has_full_page and self._page_size > 1
        behind = page.items[1]
        return not isinstance(behind, BadItem) and behind.updated is not None and behind.updated < top

    def _id_in(self, item: S | BadItem) -> str | None:
        return None if isinstance(item, BadItem) else self._id_of(item)

    def _is_last(self, page: ListPage[S], previous: ListPage[S] | None) -> bool:
        is_same = previous is not None and page.items == previous.items
        return not page.items or self._end.is_at(len(page.items), is_same=is_same)

    def _tie_between(self, previous: ListPage[S], page: ListPage[S]) -> datetime | None:
        """Return when the rows on both sides of a page's end were last changed, if that is the same time."""
        before = previous.items[-1]
        ids = {self._id_of(row) for row in previous.items if not isinstance(row, BadItem)}
        after = next((row for row in page.items if isinstance(row, BadItem) or self._id_of(row) not in ids), None)
        if after is None or isinstance(before, BadItem) or isinstance(after, BadItem):
            return None
        return after.updated if after.updated == before.updated else None

    async def _check_order(self, previous: ListPage[S], page: ListPage[S], offset: int, tie: datetime) -> None:
        """Look at both sides of a page's end at one moment: whether rows with the same time keep their places.

        A database need not order them the same way for each page, so that one may be on none. One look for each list
        that has such rows: a server does so for all of them or for none.
        """
        places: dict[str | None, int] = {}
        for row in (*previous.items, *page.items):
            if not isinstance(row, BadItem):
                places.setdefault(self._id_of(row), len(places))
        again = await self._fetch(offset - len(previous.items) // 2)
        self.seen.take(again)
        last = -1
        for row in again.items:
            if isinstance(row, BadItem) or row.updated != tie:
                continue
            place = places.get(self._id_of(row), -1)
            if place < last or place < 0:
                self.seen.trouble = self.seen.trouble or DecodeError(_NO_ORDER, outcome="done")
                return
            last = place


def _is_of(row: Row | BadItem, moment: datetime) -> bool:
    return not isinstance(row, BadItem) and row.updated == moment


def _newest(page: ListPage[S]) -> datetime | None:
    changes = [row.updated for row in page.items if not isinstance(row, BadItem) and row.updated is not None]
    return max(changes, default=None)


def _reaches(page: ListPage[S], top: datetime) -> bool:
    """Return whether the page goes down to rows that have not changed since ``top`` was on top."""
    last = page.items[-1]
    return not isinstance(last, BadItem) and last.updated is not None and last.updated < top
