"""A feed of changes as its user sees it: passes, following, and nudges."""

import asyncio
import hashlib
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import date
from types import TracebackType
from typing import Any, Generic, Self, TypedDict, TypeVar, Unpack

from attrs import asdict

from spotdx_async._http import clock
from spotdx_async._http.logs import log_feed_outage
from spotdx_async._http.retry import may_pass
from spotdx_async._http.runner import Runner
from spotdx_async._observe.scrub import scrubs_traceback, without_ours
from spotdx_async._requests.arguments import check_keywords, day_of
from spotdx_async._requests.operation import check_id
from spotdx_async.changes.cursor import FeedState, server_digest
from spotdx_async.changes.objects import Change, Objects, Pass, Source
from spotdx_async.changes.passes import Passes
from spotdx_async.changes.records import Batch, ChangeCounts
from spotdx_async.config import check_count, check_seconds
from spotdx_async.errors import InvalidInputError, SpotError

__all__ = ["ChangeOptions", "Changes"]

T = TypeVar("T")

_LONGEST_PAUSE_S = 900.0
_MOST_DOUBLINGS = 10


class ChangeOptions(TypedDict, total=False):
    """The options of ``changes``; each may be left out."""

    since: date | str | None
    """The first day of changes to pull, for a first pass: a date, or text as ``YYYY-MM-DD``. None: everything."""
    concurrency: int
    """Objects got at once, within the client's limits: 16."""
    batch_size: int
    """Most objects in a batch: 100."""


class Changes(Generic[T]):
    """Everything that has changed since a cursor: each object's state at least once, none lost.

    One pass is ``async for batch in feed``; iterating again is the next pass, and ``follow`` makes passes for ever::

        feed = spot.kits.changes(cursor)
        async for batch in feed:
            await store(batch.items, batch.cursor)  # in one transaction

    What was committed with its cursor does not come again unless it or its row has changed; a kit that changes while a
    first pass reads it may come twice where the list shows changes late. Stopping anywhere, by an exception or a kill,
    loses nothing: pass the last stored cursor. Attempts are repeated according to the client's ``retry``;
    single calls go before those of a feed, and ``deadline_s`` and ``max_wait_s`` do not apply to it. A feed belongs to
    one consumer, in one event loop.

    Attributes:
        sweep: set it to True before a pass that gets every object again, whatever the list shows, and counts in
            ``counts.untold`` what the list did not tell. What changed more than two days ago is delivered again, as the
            cursor does not know it. A long pass that is under way is finished first. It is False again when the pass
            has ended.
    """

    def __init__(
        self, source: Source[Any, T], runner: Runner, cursor: str | None, **options: Unpack[ChangeOptions]
    ) -> None:
        """Check everything that can be checked before the first pass.

        Raises:
            InvalidInputError: an option or the cursor is unusable.
        """
        check_keywords("changes", options, ChangeOptions.__annotations__)
        since = options.get("since")
        if since is not None and day_of(since) is None:
            raise InvalidInputError("since must be a date, or text in the form YYYY-MM-DD")
        if since is not None and cursor is not None:
            raise InvalidInputError("pass since for the first pass, and the cursor for all later ones, never both")
        server = server_digest(runner.state.transport.base_url)
        if cursor is None:
            state = FeedState(noun=source.noun, server=server, since=day_of(since))
        else:
            state = FeedState.decode(cursor, noun=source.noun, server=server)
        self.sweep: bool = False
        self._state = state
        self._objects = Objects(
            source=source,
            runner=runner.in_background(),
            state=state,
            concurrency=check_count("concurrency", options.get("concurrency", 16), error=InvalidInputError),
            batch_size=check_count("batch_size", options.get("batch_size", 100), error=InvalidInputError),
        )
        self._reading: _Reading | None = None
        self._is_closed = False
        self._nudged: dict[str, None] = {}
        self._wake = asyncio.Event()

    @property
    def cursor(self) -> str:
        """The cursor of what was delivered so far."""
        return self._state.encode()

    @property
    def counts(self) -> ChangeCounts:
        """What the feed has done so far."""
        return ChangeCounts(**asdict(self._objects.counters))

    @property
    def owed(self) -> int:
        """How many objects changed and could not be got so far: every pass tries them again."""
        return len(self._state.owed)

    def owes(self, object_id: str) -> bool:
        """Return whether an object is one of those."""
        return object_id in self._state.owed

    def derived_key(self, purpose: str) -> bytes:
        """Return 32 bytes that are always the same for a token and a purpose, and tell nothing of the token.

        Call it after the first batch.

        Raises:
            InvalidInputError: no token is known yet.
        """
        token = self._objects.runner.state.auth.current
        if token is None:
            raise InvalidInputError("no token is known before the first batch")
        return hashlib.scrypt(token.text.encode(), salt=purpose.encode(), n=2**14, r=8, p=1, dklen=32)

    def __aiter__(self) -> AsyncIterator[Batch[T]]:
        """Make one pass; it begins when the first batch is asked for.

        Raises:
            InvalidInputError: the cursor is another account's, or another pass of this feed is under way.
            DecodeError: the list cannot be read.
            SpotError: a request failed that every further one would meet; what was got before came first.
        """
        return self._reader(self._pass())

    def follow(self, *, every_s: float = 60.0) -> AsyncIterator[Batch[T]]:
        """Make passes for ever, each ``every_s`` seconds after the one before; ends after ``aclose``.

        An outage is logged and waited out, up to 15 minutes between two tries.

        Raises:
            InvalidInputError: ``every_s`` is no number of seconds; or as for one pass.
            SpotError: a request failed in a way that repeating does not mend, such as a token that is refused.
        """
        return self._reader(self._follow(check_seconds("every_s", every_s, error=InvalidInputError)))

    @scrubs_traceback
    def nudge(self, object_id: str) -> None:
        """Have ``follow`` get an object at once, such as one that a webhook names. Call it in the event loop.

        Raises:
            InvalidInputError: the id is wrong.
        """
        an_id = check_id(self._objects.source.id_name, object_id, allow_any_id=self._objects.runner.allow_any_id)
        self._nudged[an_id] = None
        self._wake.set()

    async def aclose(self) -> None:
        """End ``follow``: at once if it waits, otherwise after the batch in progress."""
        self.end_with_client()

    def end_with_client(self) -> None:
        """End ``follow``: the client is closed."""
        self._is_closed = True
        self._wake.set()

    async def closed(self) -> None:
        """Return: nothing has to be waited for."""

    async def __aenter__(self) -> Self:
        """Return the feed itself; it is closed with the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()

    def _reader(self, batches: AsyncGenerator[Batch[T], None]) -> AsyncIterator[Batch[T]]:
        reading = _Reading()
        reader = self._scrubbed(batches, reading)
        reading.reader = weakref.ref(reader)
        return reader

    async def _scrubbed(
        self, batches: AsyncGenerator[Batch[T], None], reading: "_Reading"
    ) -> AsyncGenerator[Batch[T], None]:
        """Yield the batches, for one reader at a time; errors come without the frames that hold rows."""
        if self._reading is not None and self._reading.reader() is not None:
            raise InvalidInputError("this feed is being read already: a feed has one consumer")
        self._reading = reading
        batch: Batch[T] | None = None
        try:
            async with aclosing(batches):
                async for batch in batches:
                    yield batch
        except (SpotError, asyncio.CancelledError) as error:
            del batch, batches
            raise error.with_traceback(None)  # noqa: B904 - it is the same error
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - from a hook, a limiter, a signal handler: raised again
            del batch, batches
            raise without_ours(error)  # noqa: B904 - it is the same error
        finally:
            if self._reading is reading:
                self._reading = None

    async def _pass(self) -> AsyncGenerator[Batch[T], None]:
        is_sweep = self.sweep
        async with aclosing(Passes(self._objects, self._state).make(is_sweep=is_sweep)) as batches:
            async for batch in batches:
                yield batch
        if is_sweep:
            self.sweep = False

    async def _follow(self, every_s: float) -> AsyncGenerator[Batch[T], None]:
        self._objects.runner.state.open_runs.add(self)
        self._wake = asyncio.Event()  # of this loop
        failures = 0
        while not self._is_over():
            try:
                async with aclosing(self._pass_and_nudges(every_s)) as batches:
                    async for batch in batches:
                        failures = 0
                        yield batch
                        if self._is_over():
                            return
            except SpotError as error:
                if self._is_over():
                    return
                if not may_pass(error):
                    raise
                failures = min(failures + 1, _MOST_DOUBLINGS)
                pause_s = min(every_s * 2**failures, max(every_s, _LONGEST_PAUSE_S))
                log_feed_outage(error, noun=self._objects.source.noun, wait_s=pause_s)
            else:
                failures, pause_s = 0, 0.0
            await self._wait(pause_s)

    async def _pass_and_nudges(self, every_s: float) -> AsyncGenerator[Batch[T], None]:
        """Make one pass, and get what is nudged until the next is due."""
        async with aclosing(self._pass()) as batches:
            async for batch in batches:
                yield batch
        next_s = clock.now() + every_s
        while not self._is_over() and (left_s := next_s - clock.now()) > clock.INSTANT_S:
            self._wake.clear()
            if not self._nudged:
                await clock.sleep(left_s, unless=self._wake)
                continue
            async with aclosing(self._nudged_batches()) as batches:
                async for batch in batches:
                    yield batch

    def _is_over(self) -> bool:
        return self._is_closed

    async def _wait(self, seconds: float) -> None:
        """Wait for the time to pass, or the feed to be closed."""
        until_s = clock.now() + seconds
        while not self._is_closed and (left_s := until_s - clock.now()) > clock.INSTANT_S:
            self._wake.clear()
            await clock.sleep(left_s, unless=self._wake)

    async def _nudged_batches(self) -> AsyncGenerator[Batch[T], None]:
        nudged, self._nudged = self._nudged, {}  # it may be nudged again while it is got
        run: Pass[Any] = Pass(self._state.watermark_s, todo={an_id: Change(an_id) for an_id in nudged})
        is_done = False
        try:
            while run.todo:
                batch = await self._objects.next_batch(run)
                if batch is not None:
                    yield batch
                if run.failure is not None:
                    raise run.failure
            is_done = True
        finally:
            if not is_done:
                self._nudged = nudged | self._nudged


class _Reading:
    """One iteration over a feed."""

    reader: Callable[[], object]
    """Returns None once it was dropped: the loop ends what was dropped only after other tasks have run."""
