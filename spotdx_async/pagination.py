"""Offset pages as one iterator that reads one page ahead; knows no HTTP."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

from spotdx_async.errors import DecodeError, InvalidInputError

__all__ = ["PAGE_SIZE", "Pages"]

T = TypeVar("T")
PAGE_SIZE = 100
"""The most that the server gives at once."""
_MOST_STALE_PAGES = 1


class Pages(Generic[T]):
    """A list of the server's, fetched page by page as it is read, in the server's order.

    Nothing is fetched before the first item is asked for; from then on one page is fetched ahead of the one that is
    read. Leaving the loop ends that too. Iterating starts anew each time.

    The server counts by offset, so rows that are added meanwhile push others onto the next page: such an item is given
    once. Rows that are removed meanwhile can pull others past the offset: those are missed, as no client can tell.

    Iterating raises what a call raises, after the items of the pages before; iterating again asks again.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], Awaitable[Sequence[T]]],
        identify: Callable[[T], Hashable | None],
        operation: str | None = None,
    ) -> None:
        self._fetch = fetch
        self._identify = identify
        self._operation = operation

    async def __aiter__(self) -> AsyncIterator[T]:
        """Give the items one by one."""
        async with aclosing(self._read()) as pages:
            async for page in pages:
                for item in page:
                    yield item

    async def by_page(self) -> AsyncIterator[tuple[T, ...]]:
        """Give the items in pages of at most 100, without those that came before; never an empty page.

        Raises:
            DecodeError: the server gives the same page again and again.
        """
        async with aclosing(self._read()) as pages:
            async for page in pages:
                yield page

    async def first(self, n: int) -> list[T]:
        """The first ``n`` items, or fewer where there are no more; asks for no page beyond them.

        Raises:
            InvalidInputError: ``n`` is no whole number, or negative.
        """
        if type(n) is not int or n < 0:
            raise InvalidInputError("n must be a whole number of at least 0")
        items: list[T] = []
        if n:
            async with aclosing(self._read(most=n)) as pages:
                async for page in pages:
                    items += page
        return items[:n]

    async def _read(self, most: int | None = None) -> AsyncGenerator[tuple[T, ...], None]:
        """Give the pages, up to the one with the item number ``most``."""
        seen: set[Hashable] = set()
        previous: Sequence[T] = ()
        offset = given = stale_pages = asked = 0
        ahead = asyncio.ensure_future(self._fetch(offset, PAGE_SIZE))
        try:
            while True:
                page = await ahead
                asked += 1
                fresh = () if page == previous else tuple(item for item in page if self._is_fresh(item, seen))
                given += len(fresh)
                # One full page of known items may be a hundred rows added meanwhile; two are a server without offsets.
                stale_pages = 0 if fresh else stale_pages + 1
                is_last = len(page) < PAGE_SIZE or (most is not None and given >= most)
                if not is_last and stale_pages <= _MOST_STALE_PAGES:
                    offset += len(page)
                    ahead = asyncio.ensure_future(self._fetch(offset, PAGE_SIZE))
                if fresh:
                    yield fresh
                if is_last:
                    return
                if stale_pages > _MOST_STALE_PAGES:
                    message = "the server gives the same page for every offset, so the list cannot be read to its end"
                    raise DecodeError(message, operation=self._operation, attempts=asked)
                previous = page
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    def _is_fresh(self, item: T, seen: set[Hashable]) -> bool:
        key = self._identify(item)
        if key is None:
            return True
        if key in seen:
            return False
        seen.add(key)
        return True
