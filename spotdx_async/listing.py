"""One list of the server's, in the two ways it is read: as pages for a caller, and whole while it changes."""

import secrets
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from spotdx_async._codec import codec
from spotdx_async._codec.list_pages import ListPage, OnBadItem, ServerClock, server_clock, was_stored
from spotdx_async._http import clock
from spotdx_async._http.messages import Reply
from spotdx_async._http.runner import Runner
from spotdx_async._requests.filters import fresh_page_of, list_request, page_of
from spotdx_async._requests.list_scan import Row, Scan, scan
from spotdx_async._requests.operation import Operation
from spotdx_async.pagination import PAGE_SIZE, Pages

__all__ = ["Listing"]

S = TypeVar("S", bound=Row)
_SMALLEST_PAGE = 75  # of a scan: a page more for every three


@frozen
class Listing(Generic[S]):
    """A list and what its rows are."""

    operation: Operation
    type_: type[S] = field(repr=False)
    id_of: Callable[[S], str | None] = field(repr=False)
    """The row's identifier."""
    is_newest_change_first: bool = False
    """Whether the server puts the recently updated first."""

    def pages(
        self, runner: Runner, filters: Mapping[str, Any], *, on_bad_item: OnBadItem, start_offset: int
    ) -> Pages[S]:
        """Give the list for a caller, fetched as it is read.

        Raises:
            InvalidInputError: a filter or an option is wrong.
        """
        request = list_request(self.operation, filters)

        async def fetch(offset: int, size: int) -> tuple[Any, ...]:
            return (await runner.call(page_of(request, offset, size), self._read)).items

        return Pages(fetch, self.id_of, self.operation.name, on_bad_item=on_bad_item, start_offset=start_offset)

    async def scan(self, runner: Runner, first_day: Callable[[ServerClock | None], date | None]) -> Scan[S]:
        """Read all that was created since a day, by questions that no cache has an answer to.

        Raises:
            SpotError: the list cannot be read.
        """
        size = PAGE_SIZE - secrets.randbelow(PAGE_SIZE - _SMALLEST_PAGE + 1)

        async def fetch(day: date | None, offset: int) -> ListPage[S]:
            return await runner.call(fresh_page_of(self.operation, day, offset, size), self._read)

        return await scan(
            fetch,
            self.id_of,
            first_day=first_day,
            page_size=size,
            is_newest_change_first=self.is_newest_change_first,
        )

    def _read(self, reply: Reply) -> ListPage[S]:
        items = codec.decode_items(reply.body, self.type_)
        return ListPage(items, server_clock(reply.headers, clock.wall()), was_stored(reply.headers))
