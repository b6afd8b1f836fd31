"""Gets the objects that a list shows as changed, and notes what is delivered of them."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from attrs import define, field, frozen

from spotdx_async._http.logs import log_unread
from spotdx_async._http.messages import Reply
from spotdx_async._http.retry import may_pass
from spotdx_async._http.runner import Runner
from spotdx_async._requests.answers import ListPage, decode_page_with_texts
from spotdx_async._requests.list_scan import Row
from spotdx_async._requests.object_search import got_each
from spotdx_async._requests.operation import Operation
from spotdx_async.bulk.listed import OF_ONE_OBJECT
from spotdx_async.changes.cursor import NO_CONTENT, OF_THE_WINDOW, UNDATED, FeedState, day_of_state, first_day
from spotdx_async.changes.records import Batch, Unread
from spotdx_async.changes.walk import RowPage, named, page_request
from spotdx_async.errors import AuthenticationError, NotFoundError, RateLimitError, SpotError, StatusError
from spotdx_async.pagination import PAGE_SIZE, Listing

S = TypeVar("S", bound=Row)
T = TypeVar("T")

_MOST_OWED = 1000
_FILE_LINK = re.compile(rb'("(?:pdf|txt)"\s*:\s*"[^"?]*\?)([^"]*)')
# "&" as some servers write it in JSON.
_ESCAPED_AMPERSAND = re.compile(rb"\\u0026")
# The parameters of signed links (Amazon, Google, Azure, CloudFront): another signature is not another file.
_SIGNATURE = re.compile(
    rb"(?i)(?<![^&])(?:x-amz-[^=&]*|x-goog-[^=&]*|awsaccesskeyid|googleaccessid|signature|expires|policy|key-pair-id|"
    rb"sig|se|st|sp|sv|sr|ske|skoid|sks|skt|sktid|skv|token)=[^&]*&?"
)


@frozen(kw_only=True)
class Source(Generic[S, T]):
    """How objects of one kind are listed and got."""

    noun: str
    """``kits``, ``orders`` or ``requisitions``."""
    id_name: str
    listing: Listing[S]
    get: Operation[T]
    changed_at: Callable[[T], datetime | None] = lambda _object: None
    """When an object was last changed, as far as it shows that."""


@define
class Change(Generic[S]):
    """An object to be got."""

    object_id: str
    row: S | None = None
    digest: bytes = b""
    """Of the row."""


@define
class Counters:
    """Counts so far, under the names of ``ChangeCounts``."""

    lists: int = 0
    gets: int = 0
    delivered: int = 0
    unchanged: int = 0
    untold: int = 0


@define
class Pass(Generic[S]):
    """What one pass has read so far."""

    now_s: float
    """The server's time when it began."""
    is_sweep: bool = False
    todo: dict[str, Change[S]] = field(factory=dict)
    """Objects to be got, by their ids."""
    undated: set[str] = field(factory=set)
    """Objects without ``updated``, which were got in this pass."""
    failed: dict[str, bytes] = field(factory=dict)
    """What could not be got in this pass, and the digest of its row then."""
    nameless: list[Unread] = field(factory=list)
    lists_from: int | None = None
    """The day of the oldest changes that the list was read for, once it was read to its end."""
    has_old_rows: bool = False
    """Whether it gets objects for whose rows the next pass will not ask."""
    failure: SpotError | None = None
    """What ends the pass."""


@define(kw_only=True, eq=False)
class Objects(Generic[S, T]):
    """Gets objects, and notes in the feed's state what is delivered of them."""

    source: Source[S, T]
    runner: Runner
    state: FeedState
    concurrency: int
    batch_size: int
    counters: Counters = field(factory=Counters)
    nameless: set[object] = field(factory=set)
    """Rows without an id that were reported."""

    async def page(self, filters: dict[str, Any], offset: int, size: int = PAGE_SIZE) -> RowPage[S]:
        """Fetch a page of the list.

        Raises:
            SpotError: it cannot be fetched.
        """
        listing = self.source.listing
        texts: tuple[bytes, ...] = ()
        self.counters.lists += 1

        def decode(reply: Reply) -> ListPage[S]:
            nonlocal texts
            page, texts = decode_page_with_texts(listing.operation.answer, reply)
            return page

        page = await self.runner.call(page_request(listing.operation, filters, offset, size), decode)
        return RowPage(tuple(named(page.items, texts, listing.id_of, self.source.id_name)), page.clock)

    async def is_up(self) -> bool:
        """Return whether the server answers."""
        try:
            await self.page({}, 0, 1)
        except SpotError:
            return False
        return True

    async def next_batch(self, run: Pass[S], done: Callable[[], None] = lambda: None) -> Batch[T] | None:
        """Get the next objects of a pass; None if nothing of them is new.

        Args:
            run: the pass.
            done: called if nothing is left to be got, before the cursor is made.
        """
        names = list(run.todo)[: self.batch_size]
        changes = [run.todo.pop(an_id) for an_id in names]
        batch = await self._batch(run, changes, done)
        return batch if batch.items or batch.touched or batch.unread else None

    async def _batch(self, run: Pass[S], changes: Sequence[Change[S]], done: Callable[[], None]) -> Batch[T]:
        """Get some objects; the cursor of the batch covers those that were got, and the pass says what ends it."""
        results = await self._got(changes)
        run.failure = await self._failure(changes, results)
        items: list[T] = []
        summaries: list[S | None] = []
        touched: list[S] = []
        waiting: dict[str, Change[S]] = {}
        unread, run.nameless = run.nameless, []
        for change, result in zip(changes, results, strict=True):
            if isinstance(result, SpotError):
                unread += self._unread(run, change, result)
                continue
            if result is None:
                waiting[change.object_id] = change
                continue
            item, content = result
            is_news, is_touched = self._note(run, change, content, self.source.changed_at(item))
            if is_news:
                items.append(item)
                summaries.append(change.row)
            elif is_touched and change.row is not None:
                touched.append(change.row)
        self.counters.delivered += len(items)
        run.todo = waiting | run.todo
        if run.failure is None and not run.todo:
            done()
        return Batch(tuple(items), self.state.encode(), tuple(summaries), tuple(touched), tuple(unread))

    def _note(self, run: Pass[S], change: Change[S], content: bytes, changed: datetime | None) -> tuple[bool, bool]:
        """Note what was got, by the digest of its content.

        Returns:
            whether it has to be delivered, and whether its row is another one.
        """
        known = self.state.delivered(change.object_id)
        is_same = known is not None and known.content == content
        is_same_row = known is not None and known.row == change.digest
        if is_same:
            self.counters.unchanged += 1
        elif run.is_sweep and is_same_row and change.row is not None:
            self.counters.untold += 1
        row = known.row if change.row is None and known is not None else change.digest
        self._remember(run, change, row, content, changed)
        return not is_same, not is_same_row

    def _remember(
        self, run: Pass[S], change: Change[S], row: bytes, content: bytes, changed: datetime | None = None
    ) -> None:
        state, an_id = self.state, change.object_id
        updated = None if change.row is None else change.row.updated
        if updated is None:
            run.undated.add(an_id)
        elif changed is not None:  # it has changed since the list was read, and will be listed with that date
            updated = max(updated, changed)
        shown: int | None = None
        if change.row is None:
            known, today = state.delivered(an_id), datetime.fromtimestamp(run.now_s, UTC)
            shown = max(state.owed.get(an_id, (UNDATED, 0))[0], UNDATED if known is None else known.day)
            day = max(day_of_state(today), shown)
        else:
            day = day_of_state(updated)
        is_old = state.is_long and updated is not None and day < state.first_kept_day().toordinal()
        state.note(an_id, day, row, content, group=OF_THE_WINDOW if is_old else None, shown=shown)

    def _unread(self, run: Pass[S], change: Change[S], error: SpotError) -> Iterator[Unread]:
        """Note an object that could not be got; yield it if that is news."""
        log_unread(error, noun=self.source.noun)
        an_id, owed = change.object_id, self.state.owed
        run.failed[an_id] = change.digest
        known = self.state.delivered(an_id)
        is_known = an_id in owed or (known is not None and known.content == NO_CONTENT)
        if run.failure is not None and not isinstance(error, OF_ONE_OBJECT):
            return  # it comes again in the next pass
        if isinstance(error, NotFoundError) and self._is_gone(run, change):
            self._remember(run, change, b"", NO_CONTENT)
        elif an_id in owed or len(owed) < _MOST_OWED:
            day, since = owed.get(an_id, (UNDATED, day_of_state(datetime.fromtimestamp(run.now_s, UTC))))
            owed[an_id] = (day if change.row is None else day_of_state(change.row.updated), since)
        else:
            run.failure = error
            return
        if not is_known:
            yield Unread(an_id, error.with_traceback(None))

    def _is_gone(self, run: Pass[S], change: Change[S]) -> bool:
        """Return whether an object that cannot be found is not listed either.

        The list is not asked for one that changed long ago: it is tried for two days.
        """
        an_id, owed = change.object_id, self.state.owed
        if change.row is not None or an_id not in owed:
            return change.row is None
        day, since = owed[an_id]
        is_covered = run.lists_from is not None and (day == UNDATED or day >= run.lists_from)
        return is_covered or since < first_day(run.now_s).toordinal()

    async def _got(self, changes: Sequence[Change[S]]) -> list[tuple[T, bytes] | SpotError | None]:
        """Get objects side by side; None for those that are not tried after failures that others would meet too."""
        is_over, in_vain = False, 0

        async def get(an_id: str) -> tuple[T, bytes] | None:
            nonlocal is_over, in_vain
            if is_over:
                return None
            self.counters.gets += 1
            try:
                found = await self._get(an_id)
            except OF_ONE_OBJECT:
                in_vain = 0
                raise
            except SpotError as error:
                in_vain += 1
                is_over |= _is_of_all(error) or in_vain >= self.concurrency
                raise
            in_vain = 0
            return found

        return await got_each(get, [change.object_id for change in changes], at_once=self.concurrency)

    async def _get(self, an_id: str) -> tuple[T, bytes]:
        """Get an object; return it with the digest of its content."""
        operation = self.source.get
        request = operation.request(an_id, allow_any_id=self.runner.allow_any_id)
        content = b""

        def decode(reply: Reply) -> T:
            nonlocal content
            content = reply.body
            return operation.decode(reply)

        found = await self.runner.call(request, decode)
        return found, self.state.content_digest(an_id, _without_signatures(content))

    async def _failure(self, changes: Sequence[Change[S]], results: Sequence[object]) -> SpotError | None:
        """Return what ends the pass: something that every further object would meet.

        Where the server has failed with all of them, or with many in a row, it may be down; or it fails with these for
        good, and would keep the feed from ever passing them. So it is asked for something else.
        """
        for result in results:
            if isinstance(result, SpotError) and _is_of_all(result):
                return result
        # Objects that the passes before could not get either say nothing new.
        owed = self.state.owed
        fresh = [result for change, result in zip(changes, results, strict=True) if change.object_id not in owed]
        failed = [each for each in fresh if isinstance(each, SpotError) and not isinstance(each, OF_ONE_OBJECT)]
        if not failed or (len(failed) < len(fresh) and None not in fresh):
            return None
        throttled = next((error for error in failed if isinstance(error, RateLimitError)), None)
        return throttled or (None if await self.is_up() else failed[0])


def _is_of_all(error: SpotError) -> bool:
    """Return whether every further object would meet the same, such as a token that is refused."""
    if isinstance(error, StatusError):
        return isinstance(error, AuthenticationError)
    return not may_pass(error) and not isinstance(error, OF_ONE_OBJECT)


def _without_signatures(body: bytes) -> bytes:
    """Return an answer without what differs in the links to its files each time it is got."""
    if b"?" not in body:
        return body
    return _FILE_LINK.sub(lambda link: link[1] + _SIGNATURE.sub(b"", _ESCAPED_AMPERSAND.sub(b"&", link[2])), body)
