"""One session of a bulk run in the model: it is consumed, disturbed, killed; and what it showed is kept."""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Protocol

import attrs
import pytest

from spotdx_async import Outcome, Progress, SpotClient, SpotError
from spotdx_async.bulk.journal.file import JournalFile
from tests.model.bulk_story import BulkStory, ModelInput, SessionStory, limit_of, progress_of, token_of
from tests.model.server import Arrival, Weather, now
from tests.model.world import MOST_STEPS, Foreign, ForeignBase, other_tasks

HANG_S = 30_000.0
"""Virtual seconds after which a run hangs: outages and pauses of a run end before."""
LINGER_S = 700.0


class Killable(Protocol):
    """What stands between a client and its network."""

    is_dead: bool
    """Whether its process was killed: nothing leaves it any more."""


class Server(Protocol):
    """The world as a session needs it: in memory, or the fake over loopback."""

    weather: Weather
    raised: list[BaseException]
    """What was raised into the SDK from outside."""

    @property
    def arrivals(self) -> list[Arrival]: ...

    @property
    def sends(self) -> int: ...

    def client(self, session: object, **options: Any) -> tuple[SpotClient, Killable]: ...

    def executions(self) -> list[tuple[float, Arrival]]: ...


@attrs.define(eq=False)
class BulkSession:
    """A session, and what it showed."""

    number: int
    story: SessionStory
    input: ModelInput
    outcomes: list[Outcome[Any]] = attrs.field(factory=list)
    executed_when_given: list[bool] = attrs.field(factory=list)
    error: BaseException | None = None
    is_left: bool = False
    """Whether its consumer left before the end: by break, or cancelled."""
    is_cancelled: bool = False
    is_killed: bool = False
    stopped_at_s: float | None = None
    closed_at_s: float | None = None
    ended_at_s: float = 0.0
    quiet_since: tuple[int, int] = (0, 0)
    """Arrivals, and sends, of all when it was over."""
    arrived_before_stop: int | None = None
    arrived_before_close: int | None = None
    raised: list[BaseException] = attrs.field(factory=list)
    faults: list[str] = attrs.field(factory=list)
    recorded: dict[int, int] = attrs.field(factory=dict)
    """What the journal said when it was over, and which rows were executed by then."""
    executed: set[Any] = attrs.field(factory=set)
    arrivals: list[Arrival] = attrs.field(factory=list)
    first_raised: int = 0
    raised_by_consumer: BaseException | None = None
    left_at_s: float | None = None
    """When it began to linger, with the run in a variable."""
    sent_while_lingering: set[Any] = attrs.field(factory=set)


class SessionPlayer:
    """Plays a session against the server."""

    JOURNAL: ClassVar[type[Any]] = JournalFile
    DISK_FAILS: ClassVar[float] = 0.3
    """The share of the journal's groups that a failing disk refuses."""

    def __init__(
        self, server: Server, story: BulkStory, session: BulkSession, dice: random.Random, journal: Path | None
    ) -> None:
        self._server, self._story, self._session, self._dice = server, story, session, dice
        self._journal = journal
        self._deeds: list[asyncio.Task[None]] = []
        self._consumer: asyncio.Task[None] | None = None
        own = session.story
        limit = limit_of(own, story.rate, dice, server.raised)
        options = {**story.client_options, "rate_limit": limit, "token": token_of(own.token, dice)}
        if own.hook != "none":
            options["on_attempt"] = self._on_attempt
        self.spot: SpotClient
        self.transport: Killable
        self.spot, self.transport = server.client(session, **options)
        self.journal_left: Path | None = journal
        """Where the next session finds the journal: of a killed one a copy, as the disk had it at that moment."""
        self._run: Any = self._new_run(progress_of(own.progress, dice, server.raised, self._stop))

    def _new_run(self, progress: Callable[[Progress], object] | None) -> Any:
        return self.spot.kits.update_metadata_many(
            self._session.input.made(), journal=self._journal, progress=progress, **self._story.options
        )

    async def play(self) -> None:
        session = self._session
        session.first_raised = len(self._server.raised)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: session.faults.append(f"the loop was told: {context}"))
        self._consumer = asyncio.create_task(self._consume(), name="consumer")
        with disk(self._dice, self.DISK_FAILS if session.story.disk_fails else 0.0, self.JOURNAL):
            await self._play_to_end(self._consumer)

    async def _play_to_end(self, consumer: "asyncio.Task[None]") -> None:
        session, server = self._session, self._server
        self._deeds = self._begin_deeds()
        await asyncio.wait([consumer], timeout=HANG_S)
        if not consumer.done():
            session.faults.append(f"the run hangs: {[str(task.get_coro()) for task in asyncio.all_tasks()]}")
            session.is_killed = True
        session.ended_at_s = now()
        self._note_end(consumer)
        await self._tidy_up()
        session.raised = server.raised[session.first_raised :]
        session.arrivals = [each for each in server.arrivals if each.session is session and each.is_write]

    def _begin_deeds(self) -> list["asyncio.Task[None]"]:
        return [asyncio.create_task(self._do(*deed), name="deed") for deed in self._session.story.deeds]

    def _note_end(self, consumer: "asyncio.Task[None]") -> None:
        session = self._session
        if not consumer.done():
            consumer.cancel()
        elif consumer.cancelled():
            session.is_left = True
            if not session.is_cancelled and not session.is_killed:
                session.faults.append("the consumer got a CancelledError that nobody aimed at it")
        else:
            session.error = consumer.exception()
            if session.is_cancelled and not session.is_killed:
                session.faults.append(f"a cancellation was swallowed: the run ended with {session.error!r}")

    async def _tidy_up(self) -> None:
        session, server = self._session, self._server
        for deed in self._deeds:
            deed.cancel()
        if self._deeds:
            await asyncio.wait(self._deeds)
        if session.closed_at_s is None and not session.is_killed:
            await self._use_what_is_left()
            self._note_close()
        with suppress(BaseException):
            await self.spot.close()
        for _ in range(60):
            await asyncio.sleep(0)
        session.quiet_since = (len(server.arrivals), server.sends)
        others = other_tasks()
        if others and not session.is_killed:
            session.faults.append(f"tasks are left: {[str(task.get_coro()) for task in others]}")
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=10_000)
        if session.input.is_open and not session.is_killed:
            session.faults.append("the input was not closed")
        if self._journal is not None and not session.is_killed and _lock_of(self._journal).exists():
            session.faults.append("the journal's lock is left")

    async def _use_what_is_left(self) -> None:
        """All places are there for the next calls, where nothing of the caller's stands before them."""
        session, own = self._session, self._session.story
        if (
            own.limiter is not None
            or own.token != "fixed"
            or own.hook != "none"
            or (session.is_left and own.ending == "break")
        ):
            return
        self._calm()
        calls = [self.spot.kits.types() for _ in range(2 * self._story.client_options["concurrency"])]
        try:
            async with asyncio.timeout(self._story.client_options["max_pause_s"] + 60):
                await asyncio.gather(*calls)
        except (TimeoutError, SpotError) as error:
            session.faults.append(f"calls after the run: {error!r} with {self.spot.stats}")
        stats = self.spot.stats
        if (stats.in_flight, stats.waiting) != (0, 0) and not session.is_left:
            session.faults.append(f"{stats.in_flight} calls in flight and {stats.waiting} waiting are left")

    def _calm(self) -> None:
        self._server.weather = Weather()

    async def _consume(self) -> None:
        session, ending = self._session, self._session.story.ending
        if ending.endswith("inside with"):
            async with self._run as run:
                await self._take(run)
                if session.is_left and ending == "raise inside with":
                    session.raised_by_consumer = Foreign("of the consumer")
                    raise session.raised_by_consumer
            return
        await self._take(self._run)
        if ending == "break and aclose":
            await self._run.aclose()
        elif ending == "break and linger" and session.is_left:
            session.left_at_s, arrived = now(), len(self._server.arrivals)
            await asyncio.sleep(LINGER_S)
            session.sent_while_lingering = {arrival.n for arrival in self._server.arrivals[arrived:]}

    async def _take(self, run: Any) -> None:
        session, own = self._session, self._session.story
        async for outcome in run:
            if session.is_killed:
                return
            self._note(outcome)
            if own.ending != "to the end" and len(session.outcomes) == own.leaves_after:
                session.is_left = True
                return
            if own.consumer_s and self._dice.random() < 0.3:
                await asyncio.sleep(own.consumer_s)

    def _note(self, outcome: Outcome[Any]) -> None:
        self._session.outcomes.append(outcome)
        self._session.executed_when_given.append(self._was_executed(outcome.index))

    def _was_executed(self, index: int) -> bool:
        return any(arrival.n == index and arrival.executed_at_s for arrival in self._server.arrivals)

    async def _do(self, at_s: float, steps: int, deed: str) -> None:
        await asyncio.sleep(at_s)
        for _ in range(steps):
            await asyncio.sleep(0)
        consumer = self._consumer
        if consumer is None or consumer.done():
            return
        if deed == "stop":
            self._stop()
        elif deed == "close":
            self._note_close()
            await self.spot.close()
        elif deed == "kill":
            self._kill(consumer)
        elif deed == "aclose":
            self._session.is_left = True
            with suppress(BaseException):  # what the input raised, which nobody else is told then
                await self._run.aclose()
        else:
            await self._cancel(consumer, {"cancel": 1, "cancel twice": 2, "cancel thrice": 3}[deed])

    def _on_attempt(self, _: object) -> None:
        if self._dice.random() > 0.2:
            return
        if self._session.story.hook == "stops":
            self._stop()
        elif not self._session.is_killed:
            error = ForeignBase("of on_attempt")
            self._server.raised.append(error)
            raise error

    def _stop(self) -> None:
        session = self._session
        self._run.stop()
        if session.stopped_at_s is None:
            session.stopped_at_s, session.arrived_before_stop = now(), len(self._server.arrivals)

    def _note_close(self) -> None:
        session = self._session
        if session.closed_at_s is None:
            session.closed_at_s, session.arrived_before_close = now(), len(self._server.arrivals)

    async def _cancel(self, consumer: "asyncio.Task[None]", times: int) -> None:
        start_s = now()
        for _ in range(times):
            if consumer.cancel():
                self._session.is_cancelled = True
            for _ in range(self._dice.randrange(4)):
                await asyncio.sleep(0)
        for _ in range(MOST_STEPS):
            if consumer.done():
                return
            await asyncio.sleep(0)
        self._session.faults.append(f"a cancellation has not come out after {MOST_STEPS} steps (at {start_s:g} s)")

    def _kill(self, consumer: "asyncio.Task[None]") -> None:
        """Let nothing of it have any effect from now on: what lies on the disk is what the next session finds."""
        session = self._session
        session.is_killed = True
        self.transport.is_dead = True
        if self._journal is not None:
            # Named after the first one: two hundred kills would make a name too long for any disk.
            left = self._journal.with_name(f"after {session.number} {self._journal.name.rpartition(' ')[2]}")
            self.journal_left = copy_of(self._journal, left)
        consumer.cancel()


def _lock_of(journal: Path) -> Path:
    return journal.with_name(journal.name + "-lock")


@contextmanager
def disk(dice: random.Random, share: float, kind: type[Any] = JournalFile) -> Iterator[None]:
    """Let a journal's file refuse a share of the groups."""
    if not share:
        yield
        return
    with disk_full(kind, lambda _: dice.random() < share):
        yield


@contextmanager
def disk_full(kind: type[Any], is_full: Callable[[Any], bool]) -> Iterator[None]:
    """Let a journal's file refuse groups as a full disk does."""
    commit = kind._commit

    def failing(self: Any, *of_it: Any) -> None:
        if is_full(of_it[0]):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
            raise error
        commit(self, *of_it)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "_commit", failing)
        yield


def recorded(journal: Path | None) -> dict[int, int]:
    """Read which state a journal tells of each row: 1 is ok, 4 unknown, 5 superseded. It is left as it is."""
    if journal is None or not journal.exists():
        return {}
    copy = copy_of(journal, journal.with_name(f"copy of {journal.name}"))
    with closing(sqlite3.connect(copy)) as database:
        try:
            return dict(database.execute("SELECT row, state FROM rows").fetchall())
        except sqlite3.OperationalError:  # killed before it was made
            return {}


def copy_of(journal: Path, to: Path) -> Path:
    """Copy a journal with what waits in its WAL."""
    for suffix in ("", "-wal"):
        source = journal.with_name(journal.name + suffix)
        if source.exists():
            shutil.copyfile(source, to.with_name(to.name + suffix))
        else:
            to.with_name(to.name + suffix).unlink(missing_ok=True)
    return to
