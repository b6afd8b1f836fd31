"""One list of the server's, in the two ways it is read: as pages for a caller, and whole while it changes."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from spotdx_async._pipeline import clock, codec
from spotdx_async._pipeline.filters import list_request, page_of
from spotdx_async._pipeline.list_pages import ListPage, OnBadItem, ServerClock, server_clock
from spotdx_async._pipeline.list_scan import Row, Scan, scan
from spotdx_async._pipeline.messages import Reply, Request
from spotdx_async._pipeline.operation import Operation
from spotdx_async._pipeline.runner import Runner
from spotdx_async.pagination import PAGE_SIZE, Pages

__all__ = ["Listing"]

S = TypeVar("S", bound=Row)


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
            return (await self._page(runner, request, offset, size)).items

        return Pages(fetch, self.id_of, self.operation.name, on_bad_item=on_bad_item, start_offset=start_offset)

    async def scan(self, runner: Runner, first_day: Callable[[ServerClock | None], date | None]) -> Scan[S]:
        """Read all that was created since a day.

        Raises:
            SpotError: the list cannot be read.
        """

        async def fetch(day: date | None, offset: int) -> ListPage[S]:
            request = list_request(self.operation, {"created_after": day})
            return await self._page(runner, request, offset, PAGE_SIZE)

        return await scan(
            fetch,
            self.id_of,
            first_day=first_day,
            page_size=PAGE_SIZE,
            is_newest_change_first=self.is_newest_change_first,
        )

    async def _page(self, runner: Runner, request: Request, offset: int, size: int) -> ListPage[S]:
        return await runner.call(page_of(request, offset, size), self._read)

    def _read(self, reply: Reply) -> ListPage[S]:
        items = codec.decode_items(reply.body, self.type_)
        return ListPage(items, server_clock(reply.headers, clock.wall()))
