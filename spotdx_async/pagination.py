"""Lists: offset pages as one iterator that reads one page ahead, or a whole list read while it changes."""

import asyncio
import inspect
import secrets
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import date, datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from attrs import define, evolve, field, frozen

from spotdx_async._codec.codec import BadItem
from spotdx_async._http import clock
from spotdx_async._http.runner import Runner
from spotdx_async._requests.answers import ListPage, ServerClock
from spotdx_async._requests.filters import fresh_page_of, list_request, page_of
from spotdx_async._requests.list_scan import SAME_PAGE, ListEnd, Row, Scan, scan
from spotdx_async._requests.object_search import Search, Times
from spotdx_async._requests.operation import Operation
from spotdx_async.errors import DecodeError, InvalidInputError

__all__ = ["PAGE_SIZE", "Listing", "OnBadItem", "Pages"]

S = TypeVar("S", bound=Row)
T = TypeVar("T")

OnBadItem: TypeAlias = Literal["raise", "skip"] | Callable[[int, int, DecodeError], object]
"""What to do with an item that cannot be read; a function gets the page's offset, the item's number, the error."""

PAGE_SIZE = 100
"""The most that the server returns at once."""
_MOST_STALE_PAGES = 1
_MOST_STALE_SMALL_PAGES = 20  # more rows than such a page has may be added while it is fetched
_SMALLEST_PAGE_OF_A_SCAN = 75  # smaller pages would cost more than one extra page for every three


@define(eq=False)
class _PageAhead:
    """The page that an iteration reads ahead, which ends as soon as the iteration is dropped.

    The loop closes a generator that was dropped only after other tasks have run: by then the page would have begun, and
    a client closed meanwhile would have refused it.
    """

    page: asyncio.Future[Any] | None = None
    _reader: weakref.ref[Any] | None = None

    def of(self, reader: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Return the iteration, which is watched from now on."""
        self._reader = weakref.ref(reader, self._end)
        return reader

    def _end(self, _reader: object) -> None:
        with suppress(RuntimeError):  # no loop runs here, such as in the garbage collector of another thread
            if self.page is not None and self.page.get_loop() is asyncio.get_running_loop():
                self.page.cancel()


class Pages(Generic[T]):
    """A list on the server, fetched page by page as it is read, in the server's order.

    Nothing is fetched before the first item is asked for; from then on one page is fetched ahead of the one being read.
    Leaving the loop ends that too. Each iteration starts from the beginning.

    The server counts by offset, so rows that are added meanwhile push others onto the next page: such an item is
    yielded once. Rows that are removed meanwhile can pull others past the offset: those are missed, which no client can
    detect.

    Iterating raises what a call raises, after the items of the pages before; iterating again fetches again.

    An item that cannot be read (a date that is none, say) spoils no other. ``on_bad_item`` of the lists says what is
    done with it: ``"raise"`` yields the items before it, and then raises a DecodeError whose message names the page's
    offset, the item's number and the ``start_offset`` that continues after it; ``"skip"`` leaves it out; a plain
    function is called with the page's offset, the item's number in the page, from 0, and the DecodeError, and then it
    is left out. The error's ``raw`` is the item's JSON.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], Awaitable[Sequence[T | BadItem]]],
        identify: Callable[[T], Hashable | None],
        operation: str | None = None,
        *,
        on_bad_item: OnBadItem = "raise",
        start_offset: int = 0,
    ) -> None:
        if on_bad_item not in ("raise", "skip") and (
            not callable(on_bad_item) or inspect.iscoroutinefunction(on_bad_item)
        ):
            raise InvalidInputError(
                'on_bad_item must be "raise", "skip" or a plain function; nothing was sent', operation=operation
            )
        if type(start_offset) is not int or start_offset < 0:
            raise InvalidInputError(
                "start_offset must be a whole number of at least 0; nothing was sent", operation=operation
            )
        self._fetch = fetch
        self._identify = identify
        self._operation = operation
        self._on_bad_item = on_bad_item
        self._start_offset = start_offset

    def __repr__(self) -> str:
        """Return what it lists and how it is read: no filter, which may name a patient."""
        of = f" of {self._operation}" if self._operation else ""
        return f'<Pages{of}: read it with "async for", or await first(n)>'

    def __aiter__(self) -> AsyncIterator[T]:
        """Yield the items one by one."""
        ahead = _PageAhead()
        return ahead.of(self._items(ahead))

    def by_page(self) -> AsyncIterator[tuple[T, ...]]:
        """Yield the items in pages of at most 100, without those that came before; never an empty page.

        Raises:
            DecodeError: the server returns the same page again and again.
        """
        ahead = _PageAhead()
        return ahead.of(self._read(ahead))

    async def first(self, n: int) -> list[T]:
        """Return the first ``n`` items, or fewer if there are no more; fetches no page beyond them.

        Raises:
            InvalidInputError: ``n`` is not a whole number, or negative.
        """
        if type(n) is not int or n < 0:
            raise InvalidInputError("n must be a whole number of at least 0")
        items: list[T] = []
        if n:
            async with aclosing(self._read(_PageAhead(), most=n)) as pages:
                async for page in pages:
                    items += page
                    if len(items) >= n:
                        break  # unreadable items after the last one do not matter
        return items[:n]

    async def _items(self, ahead: "_PageAhead") -> AsyncGenerator[T, None]:
        async with aclosing(self._read(ahead)) as pages:
            async for page in pages:
                for item in page:
                    yield item

    async def _read(self, ahead: "_PageAhead", most: int | None = None) -> AsyncGenerator[tuple[T, ...], None]:
        """Yield the pages, up to the one with the item number ``most``."""
        seen: set[Hashable] = set()
        previous: Sequence[T | BadItem] = ()
        offset = self._start_offset
        given = stale_pages = asked = 0
        end = ListEnd(PAGE_SIZE)
        clock.running_loop()  # raises without one; asyncio may otherwise return a loop that never runs
        ahead.page = asyncio.ensure_future(self._fetch(offset, PAGE_SIZE))
        try:
            while True:
                page = await ahead.page
                asked += 1
                fresh = [] if page == previous else [one for one in enumerate(page) if self._is_fresh(one[1], seen)]
                items, error = self._readable(fresh, offset)
                given += len(items)
                # One full page of known items may be a hundred rows added meanwhile; two mean a server that ignores
                # offsets.
                stale_pages = 0 if fresh else stale_pages + 1
                is_last = end.is_at(len(page), is_same=page == previous)
                is_last |= error is not None or (most is not None and given >= most)
                most_stale = _MOST_STALE_SMALL_PAGES if len(page) < PAGE_SIZE else _MOST_STALE_PAGES
                if not is_last and stale_pages <= most_stale:
                    offset += len(page)
                    ahead.page = asyncio.ensure_future(self._fetch(offset, PAGE_SIZE))
                if items:
                    yield items
                if error is not None:
                    error.attempts = asked
                    raise error
                if is_last:
                    return
                if stale_pages > most_stale:
                    raise DecodeError(SAME_PAGE, operation=self._operation, attempts=asked)
                previous = page
        finally:
            ahead.page.cancel()
            await asyncio.gather(ahead.page, return_exceptions=True)

    def _readable(
        self, fresh: Sequence[tuple[int, T | BadItem]], offset: int
    ) -> tuple[tuple[T, ...], DecodeError | None]:
        """Return the items that can be read, and the error to raise after them."""
        items: list[T] = []
        for index, item in fresh:
            if not isinstance(item, BadItem):
                items.append(item)
            elif self._on_bad_item == "raise":
                return tuple(items), self._told(item.error, offset, index)
            elif self._on_bad_item != "skip":
                self._on_bad_item(offset, index, self._told(item.error, offset, index))
        return tuple(items), None

    def _told(self, error: DecodeError, offset: int, index: int) -> DecodeError:
        """Add the item's position to an error."""
        message = (
            f"item {index} of the page at offset {offset} cannot be read: {error}; "
            f"start_offset={offset + index + 1} continues after it"
        )
        return DecodeError(message, path=error.path, outcome=error.outcome, raw=error.raw, operation=self._operation)

    def _is_fresh(self, item: T | BadItem, seen: set[Hashable]) -> bool:
        key = (BadItem, item.key) if isinstance(item, BadItem) else self._identify(item)
        if key is None:
            return True
        if key in seen:
            return False
        seen.add(key)
        return True


@frozen
class Listing(Generic[S]):
    """A list operation, and how its rows are identified."""

    operation: Operation[ListPage[S]]
    id_of: Callable[[S], str | None] = field(repr=False)
    """Returns a row's identifier."""
    is_newest_change_first: bool = False
    """Whether the server lists the most recently updated first."""

    def pages(
        self, runner: Runner, filters: Mapping[str, Any], *, on_bad_item: OnBadItem, start_offset: int
    ) -> Pages[S]:
        """Return the list for a caller, fetched as it is read.

        Raises:
            InvalidInputError: a filter or an option is wrong.
        """
        request = list_request(self.operation, filters)

        async def fetch(offset: int, size: int) -> tuple[S | BadItem, ...]:
            return (await runner.call(page_of(request, offset, size), self.operation.decode)).items

        return Pages(fetch, self.id_of, self.operation.name, on_bad_item=on_bad_item, start_offset=start_offset)

    def search(
        self,
        runner: Runner,
        times: Times,
        *,
        get: Callable[[str], Awaitable[T]],
        judge: Callable[[T], bool | None],
        are_twins: Callable[[S, S], bool],
        may_be: Callable[[S], bool] = lambda _row: True,
    ) -> Search[S, T]:
        """Return a search for one object through the rows of the list.

        Args:
            runner: fetches the list.
            times: when the call was made.
            get: fetches an object.
            judge: as for ``Search.judge``.
            are_twins: as for ``Search.are_twins``.
            may_be: whether a row could belong to the object; the others are left out.
        """

        async def read() -> Scan[S]:
            found = await self.scan(runner, times.first_day)
            return evolve(found, rows=tuple(filter(may_be, found.rows)))

        return Search(read=read, id_of=self.id_of, get=get, judge=judge, times=times, are_twins=are_twins)

    async def scan(
        self,
        runner: Runner,
        first_day: Callable[[ServerClock | None], date | None],
        *,
        down_to: datetime | None = None,
        known: Sequence[S] = (),
        keep: Callable[[S], S] | None = None,
        page_size: int | None = None,
    ) -> Scan[S]:
        """Read everything that was created since a day, with requests that no cache has an answer to.

        Args:
            runner: fetches the pages.
            first_day: returns the day, given the server's clock if that is known.
            down_to: rows that were last changed before are not needed, and not read where the list's order allows it.
            known: rows that an earlier scan has shown, last changed at ``down_to``.
            keep: returns what is to be kept of a row, so that a long list takes little memory.
            page_size: rows asked for at once; None: one of several sizes, which caches are less likely to know.

        Raises:
            SpotError: the list cannot be read.
        """
        size = page_size or PAGE_SIZE - secrets.randbelow(PAGE_SIZE - _SMALLEST_PAGE_OF_A_SCAN + 1)

        async def fetch(day: date | None, offset: int) -> ListPage[S]:
            page = await runner.call(fresh_page_of(self.operation, day, offset, size), self.operation.decode)
            if keep is None:
                return page
            return evolve(page, items=tuple(item if isinstance(item, BadItem) else keep(item) for item in page.items))

        return await scan(
            fetch,
            self.id_of,
            first_day=first_day,
            page_size=size,
            is_newest_change_first=self.is_newest_change_first,
            down_to=down_to,
            expects_removals=True,
            known=known,
        )
