"""Offset pages as one iterator; knows no HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from spotdx_async.errors import DecodeError, InvalidInputError

__all__ = ["PAGE_SIZE", "Pages"]

T = TypeVar("T")
PAGE_SIZE = 100
"""The most that the server gives at once."""


class Pages(Generic[T]):
    """A list of the server's, fetched page by page as it is read, in the server's order.

    Iterating starts anew each time. The server counts by offset, so rows that are added meanwhile push others onto the
    next page: such an item is given once. Rows that are removed meanwhile can pull others past the offset: those are
    missed, as no client can tell.

    Iterating raises what a call raises; a page that fails can be asked for again by iterating again.
    """

    def __init__(
        self, fetch: Callable[[int, int], Awaitable[Sequence[T]]], identify: Callable[[T], Hashable | None]
    ) -> None:
        self._fetch = fetch
        self._identify = identify

    async def __aiter__(self) -> AsyncIterator[T]:
        """Give the items one by one."""
        async for page in self.by_page():
            for item in page:
                yield item

    async def by_page(self) -> AsyncIterator[tuple[T, ...]]:
        """Give the items in pages of at most 100, without those that came before; never an empty page.

        Raises:
            DecodeError: the server gives the same page again and again.
        """
        seen: set[Hashable] = set()
        previous: Sequence[T] = ()
        offset = stale_pages = 0
        while True:
            page = await self._fetch(offset, PAGE_SIZE)
            fresh = () if page == previous else tuple(item for item in page if self._is_fresh(item, seen))
            if fresh:
                yield fresh
            if len(page) < PAGE_SIZE:
                return
            # One full page of known items may be a hundred rows added meanwhile; two are a server that ignores offset.
            stale_pages = 0 if fresh else stale_pages + 1
            if stale_pages > 1:
                raise DecodeError(
                    "the server gives the same page for every offset, so the list cannot be read to its end"
                )
            offset += len(page)
            previous = page

    async def first(self, n: int) -> list[T]:
        """The first ``n`` items, or fewer where there are no more; asks for no page beyond them.

        Raises:
            InvalidInputError: ``n`` is no whole number, or negative.
        """
        if type(n) is not int or n < 0:
            raise InvalidInputError("n must be a whole number of at least 0")
        items: list[T] = []
        if n:
            async for page in self.by_page():
                items += page
                if len(items) >= n:
                    break
        return items[:n]

    def _is_fresh(self, item: T, seen: set[Hashable]) -> bool:
        key = self._identify(item)
        if key is None:
            return True
        if key in seen:
            return False
        seen.add(key)
        return True
