"""One pass of a feed: the list since the day before the last pass, or a long list by days of creation."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import define, frozen

from spotdx_async._http import clock
from spotdx_async._requests.list_scan import ListEnd, Row
from spotdx_async.changes.cursor import OF_THE_WINDOW, UNDATED, FeedState, day_of_state, first_day
from spotdx_async.changes.objects import Change, Objects, Pass
from spotdx_async.changes.records import Batch, Unread
from spotdx_async.changes.walk import WINDOW_ROWS, Named, RowPage, Window, walk
from spotdx_async.errors import InvalidInputError
from spotdx_async.pagination import PAGE_SIZE

S = TypeVar("S", bound=Row)
T = TypeVar("T")

# How late a list may show a change: a transaction that was stamped before it was committed, a replica. A row that shows
# up later than that is found when the day changes, and the list is read to its end.
_LATE_S = 120.0
# How far a usual clock may be from the right time: what is set by hand is wrong by hours, or by a day.
_CLOCKS_APART = timedelta(days=1)
# So many pages of a whole list are read for a known object: a choice, as an account with more has others that show.
_MOST_PAGES_OF_A_CHECK = 20
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
        is_first = not state.has_begun
        if is_sweep and (is_first or (state.is_long and not state.is_sweep)):
            # What is under way is finished first: a sweep that is given up could not return to it.
            async with aclosing(self._make(is_sweep=False)) as batches:
                async for batch in batches:
                    yield batch
            if is_first and state.since is None:
                return  # it has got everything
        async with aclosing(self._make(is_sweep=is_sweep)) as batches:
            async for batch in batches:
                yield batch

    async def _make(self, *, is_sweep: bool) -> AsyncGenerator[Batch[T], None]:
        state = self.state
        resumes = state.is_long and state.is_sweep == is_sweep
        day = None if is_sweep else first_day(state.watermark_s) if state.has_begun else state.since
        asked = {
            "updated_after": day,
            **(Window(state.created_from, state.created_to) if resumes else Window()).filters(),
        }
        first = await self.objects.page(asked, 0)
        run: Pass[Any] = Pass(_server_time(first), is_sweep=is_sweep)
        is_other_token = await self._check_account(first)
        is_recent = state.has_begun and run.now_s - state.watermark_s <= _LONG_PASS_AFTER_S
        if is_sweep or resumes or not (is_recent or ListEnd(PAGE_SIZE).is_at(len(first.rows))):
            batches = self._long_pass(run, asked, first)
        else:
            batches = self._short_pass(run, asked, first, matters=is_other_token)
        async with aclosing(batches):
            async for batch in batches:
                yield batch

    async def _short_pass(
        self, run: Pass[S], asked: dict[str, Any], first: RowPage[S], *, matters: bool
    ) -> AsyncGenerator[Batch[T], None]:
        """Read all that changed since the day before the watermark; of a list by last change, its beginning."""
        state, plan = self.state, self._plan(run.now_s)
        state.is_complete = False
        state.long_pass_at_s, state.created_from, state.created_to = (
            float("-inf"),
            None,
            None,
        )  # an interrupted sweep is not resumed
        pages, was_read_down, was_read_to_end = 0, True, True
        async with aclosing(walk(self._fetch(asked, asked, first))) as walked:
            async for items in walked:
                pages += bool(items)
                has_news = self._take(run, items, plan.floor)
                async for batch in self._full_batches(run):
                    yield batch
                if plan.may_stop and not has_news and not _changed_after(items, plan.down_to):
                    was_read_down, was_read_to_end = plan.is_deep, False
                    break
        if was_read_to_end:
            run.lists_from = UNDATED if plan.floor is None else day_of_state(plan.floor)
        self._take_owed(run)
        async for batch in self._after_old_rows(run, asked):
            yield batch
        matters |= plan.matters or pages > 1
        if was_read_to_end:
            state.keep_undated((*run.undated, *run.failed, *run.todo))
        done = partial(self._end_short_pass, run.now_s, was_read_down=was_read_down)
        async for batch in self._last_batches(run, done, matters=matters):
            yield batch

    def _plan(self, now_s: float) -> _Plan:
        state = self.state
        is_new_day = not state.has_begun or first_day(now_s) > first_day(state.watermark_s)
        is_deep = now_s - state.deep_read_at_s >= _LATE_S
        return _Plan(
            floor=self._floor(),
            may_stop=self.objects.source.listing.is_newest_change_first and state.is_complete and not is_new_day,
            is_deep=is_deep,
            down_to=datetime.fromtimestamp(state.read_to_s, UTC) if is_deep and state.has_begun else None,
            matters=is_new_day or not state.is_complete,
        )

    def _floor(self) -> datetime | None:
        state = self.state
        return datetime.combine(first_day(state.watermark_s), time(), UTC) if state.has_begun else None

    def _end_short_pass(self, now_s: float, *, was_read_down: bool) -> None:
        state = self.state
        self._end_window(Window())
        state.watermark_s = max(state.watermark_s, now_s)
        state.is_complete = True
        if was_read_down:
            state.deep_read_at_s, state.read_to_s = now_s, now_s - _LATE_S
        state.forget_before(first_day(state.watermark_s).toordinal())

    async def _long_pass(
        self, run: Pass[S], asked: dict[str, Any], first: RowPage[S]
    ) -> AsyncGenerator[Batch[T], None]:
        """Read everything by windows of creation days: what a finished window holds need not be remembered."""
        state = self.state
        if not state.is_long or state.is_sweep != run.is_sweep:
            state.long_pass_at_s, state.is_sweep = run.now_s, run.is_sweep
            state.created_from = state.created_to = None
            if run.is_sweep:
                state.begin_sweep()
        state.is_complete = False
        today = datetime.fromtimestamp(run.now_s, UTC).date() + timedelta(days=1)
        windows = [Window(state.created_from, state.created_to)]
        if state.created_to is not None:
            windows.insert(0, Window(state.created_to + timedelta(days=1)))
        # One that was begun is read to its end as it is: the states of its rows are known, wherever they stand in it.
        is_begun = bool(state.groups.get(OF_THE_WINDOW))
        while windows:
            window = windows.pop()
            filters = {"updated_after": asked["updated_after"], **window.filters()}
            if not is_begun and await self._is_longer_than_a_window(filters) and (halves := window.halves(today)):
                windows += reversed(halves)
                continue
            is_begun, state.created_to = False, window.last
            async for batch in self._window(run, filters, self._fetch(filters, asked, first)):
                yield batch
            done = partial(self._end_window, windows[-1]) if windows else self._end_long_pass
            if not windows:
                self._take_owed(run)
            async for batch in self._last_batches(run, done, matters=True):
                yield batch

    async def _window(
        self, run: Pass[S], filters: dict[str, Any], fetch: Callable[[int], Coroutine[Any, Any, RowPage[S]]]
    ) -> AsyncGenerator[Batch[T], None]:
        run.has_old_rows = False
        async with aclosing(walk(fetch, reads_ahead=True)) as walked:
            async for items in walked:
                self._take(run, items, None if run.is_sweep else self._floor())
                async for batch in self._full_batches(run):
                    yield batch
        async for batch in self._after_old_rows(run, filters):
            yield batch

    async def _after_old_rows(self, run: Pass[S], filters: dict[str, Any]) -> AsyncGenerator[Batch[T], None]:
        """Look once more for what changed between its row and its get, before the states of old rows are forgotten.

        Such an object would come again in the next pass, with nothing new in it but the row.
        """
        if not run.has_old_rows:
            return
        async for batch in self._full_batches(run, most_left=0):
            yield batch
        fetch = partial(self.objects.page, filters | {"updated_after": first_day(run.now_s)})
        async with aclosing(walk(fetch)) as walked:
            async for items in walked:
                self._take(run, items, None, is_again=True)
                async for batch in self._full_batches(run):
                    yield batch

    async def _full_batches(self, run: Pass[S], most_left: int | None = None) -> AsyncGenerator[Batch[T], None]:
        """Yield batches as long as more than one is waiting: the last one's cursor says that a part is done."""
        most_left = self.objects.batch_size if most_left is None else most_left
        while len(run.todo) > most_left:
            if batch := await self.objects.next_batch(run):
                yield batch
            if run.failure is not None:
                raise run.failure

    async def _last_batches(
        self, run: Pass[S], done: Callable[[], None], *, matters: bool
    ) -> AsyncGenerator[Batch[T], None]:
        """Yield what is left of a part; the cursor of the last batch says that it is done.

        Args:
            run: the pass.
            done: ends the part.
            matters: whether that cursor is worth a batch without anything else.
        """
        while True:
            batch = await self.objects.next_batch(run, done)
            is_over = run.failure is not None or not run.todo
            if batch is not None or (is_over and matters and run.failure is None):
                yield batch or Batch((), self.state.encode())
            if run.failure is not None:
                raise run.failure
            if is_over:
                return

    def _fetch(
        self, filters: dict[str, Any], asked: dict[str, Any], first: RowPage[S]
    ) -> Callable[[int], Coroutine[Any, Any, RowPage[S]]]:
        """Return what fetches the pages under some filters, given the first page under ``asked``."""
        ready = [first] if filters == asked else []

        async def fetch(offset: int) -> RowPage[S]:
            # Once: who comes back to the beginning needs what stands there now.
            return ready.pop() if ready and offset == 0 else await self.objects.page(filters, offset)

        return fetch

    def _end_window(self, following: Window) -> None:
        self.state.created_from, self.state.created_to = following.first, following.last
        self.state.groups.pop(OF_THE_WINDOW, None)

    def _end_long_pass(self) -> None:
        state = self.state
        self._end_window(Window())
        state.watermark_s = max(state.watermark_s, state.long_pass_at_s)
        state.deep_read_at_s, state.read_to_s = state.watermark_s, state.watermark_s - _LATE_S
        state.long_pass_at_s, state.is_sweep, state.is_complete = float("-inf"), False, True
        state.forget_before(first_day(state.watermark_s).toordinal())

    async def _is_longer_than_a_window(self, filters: dict[str, Any]) -> bool:
        return bool((await self.objects.page(filters, WINDOW_ROWS, 1)).rows)

    def _take(self, run: Pass[S], rows: Sequence[Named[S]], floor: datetime | None, *, is_again: bool = False) -> bool:
        """Add to the pass what a page shows as changed; return whether that is anything.

        Args:
            run: the pass.
            rows: of the page.
            floor: what changed before was read by the passes before.
            is_again: whether the pass has read these rows before, so that a sweep leaves out those it knows, too.
        """
        state, has_news = self.state, False
        old_day = first_day(run.now_s)
        for found in rows:
            an_id, row = found.an_id, found.row
            if an_id is None:
                self._note_nameless(run, found)
                continue
            digest = b"" if row is None else state.row_digest(an_id, found.text)
            updated = None if row is None else row.updated
            if floor is not None and updated is not None and updated < floor:
                continue  # the server's day began earlier than UTC's
            if run.failed.get(an_id) == digest or (updated is None and an_id in run.undated):
                continue
            known = state.delivered(an_id)
            is_known = updated is not None and known is not None and known.row == digest
            if is_known and (is_again or not run.is_sweep):
                continue
            has_news |= updated is not None and an_id not in state.owed
            run.has_old_rows |= updated is not None and updated.date() < old_day
            run.todo[an_id] = Change(an_id, row, digest)
        return has_news

    def _take_owed(self, run: Pass[S]) -> None:
        """Add what the passes before could not get, and the list has not shown."""
        for an_id in self.state.owed:
            if an_id not in run.failed:
                run.todo.setdefault(an_id, Change(an_id))

    def _note_nameless(self, run: Pass[S], found: Named[S]) -> None:
        if found.error is not None and found.key not in self.objects.nameless:
            self.objects.nameless.add(found.key)
            run.nameless.append(Unread(None, found.error))

    async def _check_account(self, first: RowPage[S]) -> bool:
        """Refuse a cursor whose objects another token does not see; return whether the token is another one.

        Args:
            first: the first page of the list.

        Raises:
            InvalidInputError: none of them is listed.
        """
        state, client = self.state, self.objects.runner.state
        token = await client.bounded(client.auth.token, None, what="the token", reason="token")
        digest = state.token_digest(token.text)
        if digest == state.token:
            return False
        if state.knows_something and not self._knows_any(first.rows) and not await self._lists_any_known():
            raise InvalidInputError(
                f"the cursor is another account's: none of the {self.objects.source.noun} that it knows is listed for "
                "this token; pass the cursor of this account, or None to begin again"
            )
        state.token = digest
        return True

    def _knows_any(self, rows: Sequence[Named[S]]) -> bool:
        return self.state.knows_any(row.an_id for row in rows if row.an_id)

    async def _lists_any_known(self) -> bool:
        state, asked = self.state, list[dict[str, Any]]()
        if (day := state.first_known_day()) is not None:
            asked.append({"updated_after": date.fromordinal(day) - timedelta(days=1)})
        if state.groups.get(OF_THE_WINDOW):
            asked.append({"created_after": state.created_from})
        # Of what was got without its row nobody may know the day that the list shows, or it is kept with a later one.
        for filters, most in [*((filters, None) for filters in asked), ({}, _MOST_PAGES_OF_A_CHECK)]:
            pages = 0
            async with aclosing(walk(partial(self.objects.page, filters))) as walked:
                async for items in walked:
                    if self._knows_any(items):
                        return True
                    pages += 1
                    if pages == most:
                        break
        return False


def _server_time(page: RowPage[Any]) -> float:
    """Return the server's time in seconds since 1970; if it tells none, a time that is surely not later.

    One that is days ahead of ours may be a proxy's: no change would be asked for until that day. If it is ours that is
    behind, a pass only reads more than it must.
    """
    now = clock.wall()
    if page.clock is not None:
        return min(page.clock.now, now + _CLOCKS_APART).timestamp()
    return (now - _CLOCKS_APART).timestamp()


def _changed_after(rows: Sequence[Named[Any]], moment: datetime | None) -> bool:
    """Return whether all that a page shows has changed after a moment, so that later pages may show more such rows."""
    if moment is None:
        return False
    changes = [found.row.updated for found in rows if found.row is not None and found.row.updated is not None]
    return not changes or min(changes) > moment
