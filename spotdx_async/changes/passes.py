"""One pass of a feed: the list since the day before the last pass, or a long list by days of creation."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import define, frozen

from spotdx_async._codec import codec
from spotdx_async._codec.codec import BadItem
from spotdx_async._http import clock
from spotdx_async._requests.answers import ListPage
from spotdx_async._requests.list_scan import Row
from spotdx_async.changes.cursor import OF_THE_WINDOW, FeedState, first_day
from spotdx_async.changes.objects import Change, Objects, Pass
from spotdx_async.changes.records import Batch, Unread
from spotdx_async.changes.walk import WINDOW_ROWS, Window, named, walk
from spotdx_async.errors import DecodeError, InvalidInputError
from spotdx_async.pagination import PAGE_SIZE

S = TypeVar("S", bound=Row)
T = TypeVar("T")

# How late a list may show a change: a transaction that was stamped before it was committed, a replica. A row that shows
# up later than that is found when the day changes, and the list is read to its end.
_LATE_S = 120.0
# A list that was read last before so long is read by days of creation, so that the pass can be resumed anywhere.
_LONG_PASS_AFTER_S = 3 * 86400.0


@frozen
class _Plan:
    """How a list is read that was read not long ago."""

    floor: datetime | None
    """Rows that changed earlier were read by the passes before, although the server's day may show them."""
    may_stop: bool
    """Whether a page of known rows ends the pass."""
    is_deep: bool
    """Whether rows that the list showed late could be found by now."""
    down_to: datetime | None
    """How far back to look for them."""
    matters: bool
    """Whether the cursor at the end spares later passes work, even if nothing has changed."""


@define(eq=False)
class Passes(Generic[S, T]):
    """Makes the passes of one feed."""

    objects: Objects[S, T]
    state: FeedState

    async def make(self, *, is_sweep: bool) -> AsyncGenerator[Batch[T], None]:
        """Make one pass.

        Args:
            is_sweep: whether it gets everything, whatever the list shows.

        Raises:
            InvalidInputError: the cursor is another account's.
            SpotError: a request failed that every further one would meet.
        """
        state = self.state
        resumes = state.is_long and state.is_sweep == is_sweep
        day = None if is_sweep else first_day(state.watermark_s) if state.has_begun else state.since
        asked = {"updated_after": day, **Window(state.created_from if resumes else None).filters()}
        first = await self.objects.page(asked, 0)
        run: Pass[Any] = Pass(_server_time(first), is_sweep=is_sweep)
        await self._check_account()
        is_recent = state.has_begun and run.now_s - state.watermark_s <= _LONG_PASS_AFTER_S
        if is_sweep or resumes or not (is_recent or len(first.items) < PAGE_SIZE):
            batches = self._long_pass(run, asked, first)
        else:
            batches = self._short_pass(run, asked, first)
        run.todo |= {an_id: Change(an_id) for an_id in state.owed}
        async with aclosing(batches):
            async for batch in batches:
                yield batch

    async def _short_pass(
        self, run: Pass[S], asked: dict[str, Any], first: ListPage[S]
    ) -> AsyncGenerator[Batch[T], None]:
        """Read all that changed since the day before the watermark; of a list by last change, its beginning."""
        state, plan = self.state, self._plan(run.now_s)
        state.is_complete = False
        state.long_pass_at_s, state.created_from = float("-inf"), None  # an interrupted sweep is not resumed
        pages, was_read_down = 0, True
        async with aclosing(walk(self._fetch(asked, asked, first), self.objects.source.listing.id_of)) as walked:
            async for items in walked:
                pages += 1
                has_news = self._take(run, items, plan.floor)
                async for batch in self._full_batches(run):
                    yield batch
                if plan.may_stop and not has_news and not _changed_after(items, plan.down_to):
                    was_read_down = plan.is_deep
                    break
        matters = plan.matters or pages > 1
        last = await self.objects.next_batch(run, partial(self._end_short_pass, run.now_s, was_read_down=was_read_down))
        if last is not None or matters:
            yield last or Batch((), state.encode())
        if run.failure is not None:
            raise run.failure

    def _plan(self, now_s: float) -> _Plan:
        state = self.state
        is_new_day = not state.has_begun or first_day(now_s) > first_day(state.watermark_s)
        is_deep = now_s - state.deep_read_at_s >= _LATE_S
        return _Plan(
            floor=datetime.combine(first_day(state.watermark_s), time(), UTC) if state.has_begun else None,
            may_stop=self.objects.source.listing.is_newest_change_first and state.is_complete and not is_new_day,
            is_deep=is_deep,
            down_to=datetime.fromtimestamp(state.read_to_s, UTC) if is_deep and state.has_begun else None,
            matters=is_new_day or not state.is_complete,
        )

    def _end_short_pass(self, now_s: float, *, was_read_down: bool) -> None:
        state = self.state
        state.watermark_s = max(state.watermark_s, now_s)
        state.is_complete = True
        if was_read_down:
            state.deep_read_at_s, state.read_to_s = now_s, now_s - _LATE_S
        state.forget_before(first_day(state.watermark_s).toordinal())

    async def _long_pass(
        self, run: Pass[S], asked: dict[str, Any], first: ListPage[S]
    ) -> AsyncGenerator[Batch[T], None]:
        """Read everything by windows of creation days: what a finished window holds need not be remembered."""
        state = self.state
        if not state.is_long or state.is_sweep != run.is_sweep:
            state.long_pass_at_s, state.created_from, state.is_sweep = run.now_s, None, run.is_sweep
            state.groups.pop(OF_THE_WINDOW, None)
        state.is_complete = False
        today = datetime.fromtimestamp(run.now_s, UTC).date() + timedelta(days=1)
        windows = [Window(state.created_from)]
        while windows:
            window = windows.pop()
            filters = {"updated_after": asked["updated_after"], **window.filters()}
            if await self._is_longer_than_a_window(filters) and (halves := window.halves(today)) is not None:
                windows += reversed(halves)
                continue
            fetch = self._fetch(filters, asked, first)
            async with aclosing(walk(fetch, self.objects.source.listing.id_of)) as walked:
                async for items in walked:
                    self._take(run, items, None)
                    async for batch in self._full_batches(run):
                        yield batch
            done = partial(self._end_window, windows[-1].first) if windows else self._end_long_pass
            last = await self.objects.next_batch(run, done)
            if run.failure is None or last is not None:
                yield last or Batch((), state.encode())
            if run.failure is not None:
                raise run.failure

    async def _full_batches(self, run: Pass[S]) -> AsyncGenerator[Batch[T], None]:
        """Yield batches as long as more than one is waiting: the last one's cursor says that a part is done."""
        while len(run.todo) > self.objects.batch_size:
            if batch := await self.objects.next_batch(run):
                yield batch
            if run.failure is not None:
                raise run.failure

    def _fetch(
        self, filters: dict[str, Any], asked: dict[str, Any], first: ListPage[S]
    ) -> Callable[[int], Awaitable[ListPage[S]]]:
        """Return what fetches the pages under some filters, given the first page under ``asked``."""

        async def fetch(offset: int) -> ListPage[S]:
            return first if offset == 0 and filters == asked else await self.objects.page(filters, offset)

        return fetch

    def _end_window(self, created_from: date | None) -> None:
        self.state.created_from = created_from
        self.state.groups.pop(OF_THE_WINDOW, None)

    def _end_long_pass(self) -> None:
        state = self.state
        self._end_window(None)
        state.watermark_s = max(state.watermark_s, state.long_pass_at_s)
        state.deep_read_at_s, state.read_to_s = state.watermark_s, state.watermark_s - _LATE_S
        state.long_pass_at_s, state.is_sweep, state.is_complete = float("-inf"), False, True
        state.forget_before(first_day(state.watermark_s).toordinal())

    async def _is_longer_than_a_window(self, filters: dict[str, Any]) -> bool:
        return bool((await self.objects.page(filters, WINDOW_ROWS, 1)).items)

    def _take(self, run: Pass[S], items: Sequence[S | BadItem], floor: datetime | None) -> bool:
        """Add to the pass what a page shows as changed; return whether that is anything."""
        has_news = False
        for an_id, row, error in self._named(items):
            digest = b"" if row is None else self.state.row_digest(an_id or "", codec.dumps(row))
            if an_id is None:
                self._note_nameless(run, digest, error)
                continue
            updated = None if row is None else row.updated
            if floor is not None and updated is not None and updated < floor:
                continue  # the server's day began earlier than UTC's: the passes before have read it
            if run.failed.get(an_id) == digest or (updated is None and an_id in run.undated):
                continue
            known = self.state.delivered(an_id)
            if updated is not None and known is not None and known.row == digest and not run.is_sweep:
                continue
            has_news |= updated is not None
            run.todo[an_id] = Change(an_id, row, digest)
        return has_news

    def _named(self, items: Sequence[S | BadItem]) -> Iterator[tuple[str | None, S | None, DecodeError | None]]:
        return named(items, self.objects.source.listing.id_of, self.objects.source.id_name)

    def _note_nameless(self, run: Pass[S], digest: bytes, error: DecodeError | None) -> None:
        if error is not None and (key := digest or str(error)) not in self.objects.nameless:
            self.objects.nameless.add(key)
            run.nameless.append(Unread(None, error))

    async def _check_account(self) -> None:
        """Refuse a cursor whose objects another token does not see.

        Raises:
            InvalidInputError: none of them is listed.
        """
        state, token = self.state, self.objects.runner.state.auth.current
        digest = state.token if token is None else state.token_digest(token.text)
        if digest == state.token:
            return
        days = state.dated_groups()
        filters: dict[str, Any] = {"created_after": state.created_from}
        if days:
            filters = {"updated_after": date.fromordinal(days[0]) - timedelta(days=1)}
        if days or state.groups.get(OF_THE_WINDOW):
            async with aclosing(walk(partial(self.objects.page, filters), self.objects.source.listing.id_of)) as walked:
                async for items in walked:
                    if state.knows_any(an_id for an_id, _, _ in self._named(items) if an_id):
                        break
                else:
                    noun = self.objects.source.noun
                    raise InvalidInputError(
                        f"the cursor is another account's: none of the {noun} that it knows is listed for this token; "
                        "pass the cursor of this account, or None to begin again"
                    )
        state.token = digest


def _server_time(page: ListPage[Any]) -> float:
    """Return the server's time in seconds since 1970; if it tells none, a time that is surely not later."""
    if page.clock is not None:
        return page.clock.now.timestamp()
    return (clock.wall() - timedelta(days=1)).timestamp()


def _changed_after(items: Sequence[Row | BadItem], moment: datetime | None) -> bool:
    """Return whether all that a page shows has changed after a moment, so that later pages may show more such rows."""
    if moment is None:
        return False
    changes = [item.updated for item in items if not isinstance(item, BadItem) and item.updated is not None]
    return not changes or min(changes) > moment
