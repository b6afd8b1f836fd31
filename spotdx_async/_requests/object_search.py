"""Finds one object through the rows of a list that changes while it is read. It knows no HTTP and no noun."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from spotdx_async._requests.answers import ServerClock
from spotdx_async._requests.list_scan import Row, Scan
from spotdx_async.errors import (
    BadRequestError,
    Clue,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    SpotError,
)

A_DAY = timedelta(days=1)
_SIDE_BY_SIDE = 8
_NEVER = datetime.max.replace(tzinfo=UTC)
_FIRST = date(2, 1, 1)  # earlier than anything was created
# How far the clock that dates objects may be from the one that dates answers: different machines, and a cut second.
_SERVER_CLOCKS = timedelta(minutes=10)
# Objects with the same reference come from a repeat, which is close by, or from a caller that ordered for the same
# person again: so this many more are fetched after one is found, so that finding one does not cost as much as finding
# none.
_MOST_TWINS = 24
# Errors of a single object that say nothing about the next one.
_OF_ONE_OBJECT = (BadRequestError, DecodeError, InvalidInputError, NotFoundError, PermissionDeniedError)
# Those of them that leave open whether it is the one.
_UNJUDGED = (DecodeError, InvalidInputError, NotFoundError)

S = TypeVar("S", bound=Row)
T = TypeVar("T")
K = TypeVar("K")


@frozen(kw_only=True)
class Look(Generic[T]):
    """What one look at the server has shown."""

    found: T | None = None
    """The object found; of several, the one created first."""
    duplicates: tuple[str, ...] = ()
    """The ids of the others."""
    trouble: SpotError | None = None
    """What could not be judged."""
    clock: ServerClock | None = None
    """The server's clock when the look began; None if unknown."""


@frozen
class Times:
    """When the call was made, by a local clock that may be wrong: what can come from it, and where to start."""

    clue: Clue
    since: date | None = None
    """The day to look from, if the caller has named one."""
    slack: timedelta = _SERVER_CLOCKS
    """How far the call may be from the times of the clue."""

    @property
    def are_bounded(self) -> bool:
        """Return whether anything is known about when the call was made."""
        return self._start is not None

    def first_day(self, server: ServerClock | None) -> date | None:
        """Return the first day to look at: the one before, since the server may count its days in another time zone.

        None: look at everything.
        """
        start = self._start
        if start is None:
            return None
        possible = self._possible(start, server)
        return (min(possible or [start if server is None else server.now]) - A_DAY).date()

    def are_sure(self, server: ServerClock | None) -> bool:
        """Return whether the first day is certainly not too late, that is, not in the future by either clock."""
        start = self._start
        return start is None or (server is not None and bool(self._possible(start, server)))

    def allow(self, created: datetime | None, server: ServerClock | None) -> bool:
        """Return whether something created then can come from the call."""
        began, until = self.clue.began_at, self.clue.may_land_until
        if created is None or began is None or until is None or server is None or not self.are_sure(server):
            return True
        first, last = min(began, began + server.ahead), max(until, until + server.ahead)
        return first - self.slack <= created <= last + self.slack

    def distance_s(self, created: datetime | None, server: ServerClock | None) -> float:
        """Return how far from the call something was created, in seconds; 0 if that is unknown."""
        began = self.clue.began_at
        if created is None or began is None:
            return 0.0
        ahead = timedelta() if server is None else server.ahead
        return min(abs((created - one).total_seconds()) for one in (began, began + ahead))

    @property
    def _start(self) -> datetime | None:
        if self.since is not None:
            return datetime.combine(self.since, time(), UTC) if self.since > _FIRST else None
        return None if self.clue.began_at is None else self.clue.began_at.astimezone(UTC)

    @staticmethod
    def _possible(start: datetime, server: ServerClock | None) -> list[datetime]:
        """Return the start by the local clock and by the server's, if they are not in the server's future."""
        if server is None:
            return [start]
        latest = server.now + _SERVER_CLOCKS
        by_server = [start + server.ahead] if start <= latest - server.ahead else []
        return [start, *by_server] if start <= latest else by_server


@frozen
class Search(Generic[S, T]):
    """Looks through a list whose rows do not show what identifies the object.

    Each look fetches the objects of all rows that are new to it, a few at a time, those created closest to the call
    first. One that cannot be fetched or judged does not hide the others, and is fetched again by the next look.
    """

    read: Callable[[], Awaitable[Scan[S]]]
    """Reads the list."""
    id_of: Callable[[S], str | None]
    """The row's identifier."""
    get: Callable[[str], Awaitable[T]]
    """Fetches the object with the identifier."""
    judge: Callable[[T], bool | None]
    """Whether it is the one; None if that cannot be told."""
    times: Times
    """When the call was made."""
    are_twins: Callable[[S, S], bool] = lambda _one, _other: False
    """Whether two rows may come from one call made twice: such rows are looked at even after one is found."""
    _others: set[str] = field(factory=set, init=False)

    async def look(self) -> Look[T]:
        """Look once.

        Raises:
            SpotError: looking failed.
        """
        scan = await self.read()
        rows = sorted(scan.rows, key=lambda row: self.times.distance_s(row.created, scan.clock))
        named = {an_id: row for row in rows if (an_id := self.id_of(row)) and an_id not in self._others}
        trouble, waiting = self._trouble_of(scan), [*named.items()]
        while waiting:
            group, waiting = waiting[:_SIDE_BY_SIDE], waiting[_SIDE_BY_SIDE:]
            found, new_trouble = await self._judged(group, scan.clock)
            if found:
                more = [one for one in waiting if any(self.are_twins(one[1], named[an_id]) for an_id in found)]
                for start in range(0, min(len(more), _MOST_TWINS), _SIDE_BY_SIDE):
                    found |= (await self._judged(more[start : start + _SIDE_BY_SIDE], scan.clock))[0]
                first, *others = sorted(found, key=lambda an_id: named[an_id].created or _NEVER)
                return Look(found=found[first], duplicates=tuple(others), clock=scan.clock)
            trouble = _graver(trouble, new_trouble)
            if new_trouble is not None and not isinstance(new_trouble, _OF_ONE_OBJECT):
                break
        if trouble is not None and not isinstance(trouble, _UNJUDGED):
            raise trouble
        return Look(trouble=trouble, clock=scan.clock)

    def _trouble_of(self, scan: Scan[S]) -> SpotError | None:
        """Return why the object may be missing from the rows that can be fetched."""
        if scan.trouble is not None:
            return scan.trouble
        if not self.times.are_sure(scan.clock):
            message = "the local clock and the server's differ, so it is not known from when on objects must be checked"
            return DecodeError(message, outcome="done")
        if any(not self.id_of(row) and self.times.allow(row.created, scan.clock) for row in scan.rows):
            message = "a row of the list has no id, so it cannot be looked up"
            return DecodeError(message, outcome="done")
        return None

    async def _judged(
        self, rows: Sequence[tuple[str, S]], server: ServerClock | None
    ) -> tuple[dict[str, T], SpotError | None]:
        """Fetch the objects of a few rows; return the matching ones, and the first problem."""
        found: dict[str, T] = {}
        trouble: SpotError | None = None
        results = await got_each(self.get, [an_id for an_id, _ in rows])
        for (an_id, row), result in zip(rows, results, strict=True):
            doubt: SpotError | None = None
            if isinstance(result, SpotError):
                doubt = result
            elif verdict := self.judge(result):
                found[an_id] = result
                continue
            elif verdict is None:
                message = "an object came without its metadata, so it cannot be told whether it is the one"
                doubt = DecodeError(message, path="metadata", outcome="done")
            if doubt is None or (isinstance(doubt, _UNJUDGED) and not self.times.allow(row.created, server)):
                self._others.add(an_id)
            else:
                trouble = _graver(trouble, doubt)
        return found, trouble


def _graver(one: SpotError | None, other: SpotError | None) -> SpotError | None:
    """Return the one that ends the search, if either does; otherwise the first."""
    return other if one is None or (isinstance(one, _UNJUDGED) and other and not isinstance(other, _UNJUDGED)) else one


async def got_each(
    get: Callable[[K], Awaitable[T]], ids: Sequence[K], *, at_once: int | None = None
) -> list[T | SpotError]:
    """Fetch some objects side by side, at most ``at_once``; an error takes the place of one that cannot be fetched."""
    results: list[Any] = [None] * len(ids)
    waiting = iter(enumerate(ids))

    async def work() -> None:
        for place, an_id in waiting:
            try:
                results[place] = await get(an_id)
            except SpotError as error:
                results[place] = error

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once or len(ids), len(ids))):
                group.create_task(work())
    except BaseExceptionGroup as several:
        foreign = several.exceptions[0]  # from a hook or a signal handler: the caller expects its own class
    else:
        return results
    raise foreign
