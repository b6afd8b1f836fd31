"""Which row goes next: rows of one key in order, some rest, some have failed; during a pause one probes."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from spotdx_async._http import clock
from spotdx_async._http.waiters import WaiterQueue
from spotdx_async.bulk.circuit_breaker import CircuitBreaker
from spotdx_async.bulk.outcomes import Window
from spotdx_async.bulk.row import Row

_LEAST_TO_SWEEP = 1024
"""Resting keys below which nobody looks for those that rest no more. A choice: they take some 100 KB."""
_MOST_LOOKED_AT = 16
"""Rows set aside that are checked if a fresh one is ready. A choice: thousands may be waiting until others were
tried."""
_MOST_AHEAD = 2000
"""Rows that are read ahead to find a probe. A choice: past a bad batch of a thousand neighbours, ten doublings of the
window."""
_MOST_AHEAD_BYTES = 16 * 2**20
"""The same in bytes, including the last row. A choice: as much as may wait beside the window."""


class KeyQueues:
    """Which row of each key may go, which wait behind it, and which keys rest since an earlier value may still land."""

    def __init__(self) -> None:
        self._last: dict[str, Row] = {}
        self._rests_until_s: dict[str, float] = {}
        self._sweep_at = _LEAST_TO_SWEEP

    def last(self, key: str) -> Row | None:
        """Return the row of the key that came last, while its queue is in use."""
        return self._last.get(key)

    def enter(self, row: Row) -> bool:
        """Add a row; return whether it is its turn, if only to rest. Otherwise it waits for its key's previous row."""
        key = row.key
        before = self._last.get(key)
        self._last[key] = row
        if before is None:
            if self._rests_until_s and (until_s := self._rests_until_s.pop(key, clock.NEVER_S)) > row.rests_until_s:
                row.rests_until_s = until_s
            return True
        before.following = row
        if before.is_held:
            row.hold()
        return False

    def leave(self, row: Row, now_s: float) -> Row | None:
        """Remove a row that has its outcome; return the next one of its key, which rests while this one may land.

        Args:
            row: one that has ended.
            now_s: the time on the loop's clock.
        """
        following, until_s = row.following, row.lands_until_s
        if following is None:
            del self._last[row.key]
            if until_s > now_s:
                self._rest(row.key, until_s, now_s)
        elif until_s > following.rests_until_s:
            following.rests_until_s = until_s
        return following

    def hold(self, row: Row) -> tuple[int, int]:
        """Mark a row and those behind it as held; return how many more are held now, and the bytes that they take."""
        count = size = 0
        each: Row | None = row
        while each is not None and not each.is_held:  # all rows behind a held one are held
            each.hold()
            count, size = count + 1, size + each.size
            each = each.following
        return count, size

    def _rest(self, key: str, until_s: float, now_s: float) -> None:
        """Remember that a key rests, in case another row of it comes; forget those that rest no more."""
        resting = self._rests_until_s
        resting[key] = until_s
        if len(resting) >= self._sweep_at:
            self._rests_until_s = {key: until_s for key, until_s in resting.items() if until_s > now_s}
            self._sweep_at = max(_LEAST_TO_SWEEP, 2 * len(self._rests_until_s))


class ReadyRows:
    """The rows that were not tried yet, in order, and those of them that rest."""

    def __init__(self, on_ready: Callable[[], object], window: Window) -> None:
        """Start with no rows.

        Args:
            on_ready: called when a row may go, or a key is free.
            window: rows that rest, and those behind them, count beside it: others are read past them, so that they
                delay only their own key.
        """
        self._on_ready, self._window = on_ready, window
        self._key_queues = KeyQueues()
        self._ready: deque[Row] = deque()
        self._resting: dict[Row, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """Rows that may go now."""
        return len(self._ready)

    @property
    def resting(self) -> int:
        """Rows that rest, and may go later."""
        return len(self._resting)

    def last(self, key: str) -> Row | None:
        """Return the row of the key that came last, while one of the key has no outcome."""
        return self._key_queues.last(key)

    def enter(self, row: Row) -> None:
        """Add a row that was read."""
        if self._key_queues.enter(row):
            self._line_up(row)
        elif row.is_held:
            self._window.put_beside(1, row.size)

    def enter_held(self, row: Row) -> None:
        """Add a row that waits for something else than its turn."""
        self._key_queues.enter(row)
        self.hold(row)

    def line_up(self, row: Row) -> None:
        """Let a row go that was held: it may be tried now."""
        self._line_up(row)

    def overtake(self, older: Row, newer: Row) -> None:
        """Replace a row that was not taken up yet with a newer one of its key."""
        size_before = older.size
        older.become(newer)
        if older.is_held:
            self._window.put_beside(0, older.size - size_before)

    def leave(self, row: Row, now_s: float) -> None:
        """Remove a row that has its outcome: the next one of its key may go once this one cannot land any more."""
        following = self._key_queues.leave(row, now_s)
        if following is None:
            self._on_ready()
        else:
            self._line_up(following)

    def first(self, most: int) -> list[Row]:
        """Return the rows that go next, at most so many; they stay here."""
        return [*islice(self._ready, most)]

    def next(self) -> Row | None:
        """Return the row that has waited longest of those that may go."""
        return self._next(self._ready.popleft)

    def next_furthest(self) -> Row | None:
        """Return the row that was read last of those that may go."""
        return self._next(self._ready.pop)

    def hold(self, row: Row) -> None:
        """Allow others to be read past a row that waits, and past those behind it."""
        self._window.put_beside(*self._key_queues.hold(row))

    def end_hold(self, row: Row) -> None:
        """Count it like any other again: its turn has come."""
        if row.is_held:
            row.is_held = False
            self._window.take_back(1, row.size)

    def close(self) -> None:
        """Stop the timers: no row goes any more."""
        for timer in self._resting.values():
            timer.cancel()

    def _next(self, take: Callable[[], Row]) -> Row | None:
        while self._ready:
            row = take()
            if not _rests(row):
                return row
            self._rest(row)  # it replaces one that an earlier session may have sent
        return None

    def _line_up(self, row: Row) -> None:
        if _rests(row):
            self._rest(row)
        else:
            self.end_hold(row)
            self._ready.append(row)
            self._on_ready()

    def _rest(self, row: Row) -> None:
        self.hold(row)
        self._resting[row] = clock.call_at(row.rests_until_s, lambda: self._end_rest(row))

    def _end_rest(self, row: Row) -> None:
        del self._resting[row]
        self._line_up(row)


class IdleWorkers:
    """Workers that have found no row to send. A call with no waiter is lost: look for a row before waiting."""

    def __init__(self) -> None:
        self._queue: WaiterQueue[None] = WaiterQueue()
        self._count = 0

    async def wait(self) -> None:
        """Wait for a call."""
        self._count += 1
        try:
            await self._queue.wait(self._queue.add(None), self.call)
        finally:
            self._count -= 1

    def call(self) -> None:
        """Wake the one that has waited longest."""
        if self._count and (waiter := self._queue.pop()) is not None:
            waiter.grant()

    def call_all(self) -> None:
        """Wake all."""
        while (waiter := self._queue.pop()) is not None:
            waiter.grant()


class Scheduler:
    """Chooses between fresh rows and those that were set aside after failures.

    1. While the run is not paused the two take turns. While the server is in doubt a fresh one goes, from the far end
       of what was read: neighbouring rows at fault look like an outage, and would never find the end of one.
    2. During a pause one row at a time goes, chosen likewise. After each that has failed twice as many rows may be read
       ahead: past a thousand neighbours at fault, such as the kits of one bad batch, ten probes lead to another one.
    """

    def __init__(
        self, breaker: CircuitBreaker, ready_rows: ReadyRows, window: Window, *, may_go_on: Callable[[Row], bool]
    ) -> None:
        """Start with nothing set aside.

        Args:
            breaker: knows whether the run is paused, and the server in doubt.
            ready_rows: the fresh rows.
            window: rows that are set aside count beside it, and during a pause those read to find a probe.
            may_go_on: returns whether a row that was set aside may be tried now, while the run is not paused.
        """
        self._breaker, self._ready_rows, self._window, self._may_go_on = breaker, ready_rows, window, may_go_on
        self._aside: deque[Row] = deque()
        self._was_from_aside = False
        # How many results the breaker had when none of them was allowed to go.
        self._reports: int | None = None
        # The row that is waiting for its moment to probe.
        self._probe: Row | None = None
        # How many rows may be read ahead in a pause, those that were, and their bytes.
        self._ahead = self._read_ahead = self._bytes_ahead = 0

    def __len__(self) -> int:
        """Rows that are set aside."""
        return len(self._aside)

    @property
    def has_fresh(self) -> bool:
        """Whether a row is ready that was not tried yet."""
        return bool(self._ready_rows)

    @property
    def has_waiting(self) -> bool:
        """Whether any row is waiting to be tried, for the first time or again."""
        return bool(self._ready_rows or self._aside)

    def next(self) -> Row | None:
        """Return the row that goes next; None if none may."""
        if self._breaker.is_paused:
            return self._next_probe()
        if not self._aside and not self._ahead:
            return self._ready_rows.next()  # the usual case
        self._allow_ahead(0)
        is_doubtful = self._breaker.is_doubtful and bool(self._aside)
        row = None if is_doubtful or self._was_from_aside else self._next_from_aside(_MOST_LOOKED_AT)
        self._was_from_aside = row is not None
        fresh = self._ready_rows.next_furthest if is_doubtful else self._ready_rows.next
        return row or fresh() or self._next_from_aside(len(self._aside))

    def set_aside(self, row: Row) -> None:
        """Take back a row that must be tried again later."""
        self._reports = None
        if row.tries:
            self._aside.append(row)
        else:
            self._aside.appendleft(row)  # a pause has begun before it was tried
        self._ready_rows.hold(row)
        if row.is_probe and self._breaker.is_paused and self._bytes_ahead < _MOST_AHEAD_BYTES:
            self._allow_ahead(min(_MOST_AHEAD, max(self._window.size, 2 * self._ahead)))

    def enter(self, row: Row) -> None:
        """Add a row that was read."""
        if self._ahead:
            self._read_ahead += 1
            self._bytes_ahead += row.size
            if self._bytes_ahead >= _MOST_AHEAD_BYTES:
                self._allow_ahead(min(self._ahead, self._read_ahead))
        self._ready_rows.enter(row)

    def note_probe(self) -> None:
        """Note that the row that was waiting to probe was sent: another one may wait for its moment."""
        self._probe = None

    def end_probing(self, under_way: Iterable[Row | None]) -> None:
        """Note that the pause is over: rows that were going to probe, or do, are like any other.

        Args:
            under_way: rows that were handed out and have not come back.
        """
        self._probe = self._reports = None
        for row in under_way:
            if row is not None:
                row.is_probe = False

    def end(self, row: Row) -> None:
        """Note that a row that was handed out has come back or has its outcome; in a pause the next one may probe."""
        row.is_probe = False
        if self._probe is row:
            self._probe = None

    def take_from_aside(self) -> Row:
        """Return the row that was set aside first."""
        row = self._aside.popleft()
        self._ready_rows.end_hold(row)
        return row

    def _next_probe(self) -> Row | None:
        if self._probe is not None:
            return None
        row = self._ready_rows.next_furthest() or (self.take_from_aside() if self._aside else None)
        if row is not None:
            self._probe, row.is_probe = row, True
        return row

    def _next_from_aside(self, most: int) -> Row | None:
        """Look at up to ``most`` of them, continuing where the last look ended; return one that may go."""
        if self._reports == self._breaker.reports:
            return None
        for _ in range(min(most, len(self._aside))):
            if self._may_go_on(self._aside[0]):
                return self.take_from_aside()
            self._aside.rotate(-1)
        if most >= len(self._aside):
            self._reports = self._breaker.reports
        return None

    def _allow_ahead(self, rows: int) -> None:
        """Allow this many more rows than usual to be read ahead."""
        if rows != self._ahead:
            self._window.take_back(self._ahead, 0)
            self._window.put_beside(rows, 0)
            self._ahead = rows
        if not rows:
            self._read_ahead = self._bytes_ahead = 0


def _rests(row: Row) -> bool:
    return row.rests_until_s > clock.NEVER_S and row.rests_until_s > clock.now()
