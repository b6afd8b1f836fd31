"""Which row goes next: one that was not tried yet, or one that has failed; and in a pause, which one probes."""

from collections import deque
from collections.abc import Callable, Iterable

from spotdx_async.bulk.circuit_breaker import CircuitBreaker
from spotdx_async.bulk.key_queues import Row
from spotdx_async.bulk.ready_rows import ReadyRows
from spotdx_async.bulk.window import Window

__all__ = ["Scheduler"]

_MOST_LOOKED_AT = 16
"""Rows of those set aside, where a fresh one is there: thousands may wait until others were tried."""
_MOST_AHEAD = 2000
"""Rows that are read to find a probe in."""
_MOST_AHEAD_BYTES = 16 * 2**20
"""The same in bytes, and the last of them."""


class Scheduler:
    """Chooses between fresh rows and those that were set aside after failures.

    1. While the run is not paused the two take turns. While the server is in doubt a fresh one goes, from the far end
       of what was read: rows at fault side by side look like an outage, and would never find the end of one.
    2. In a pause one row at a time goes, chosen likewise. After each that has failed twice as many rows may be read
       ahead: from a thousand neighbours at fault, such as the kits of one bad batch, ten probes lead to another one.
    """

    def __init__(
        self, breaker: CircuitBreaker, ready_rows: ReadyRows, window: Window, *, may_go_on: Callable[[Row], bool]
    ) -> None:
        """Begin with nothing set aside.

        Args:
            breaker: tells whether the run is paused, and the server in doubt.
            ready_rows: the fresh rows.
            window: beside which rows stand that are set aside, and in a pause those to find a probe in.
            may_go_on: whether a row that was set aside may be tried now, where the run is not paused.
        """
        self._breaker, self._ready_rows, self._window, self._may_go_on = breaker, ready_rows, window, may_go_on
        self._aside: deque[Row] = deque()
        self._was_from_aside = False
        # What the breaker had been told when none of them might go.
        self._reports: int | None = None
        # Which waits for its moment to probe.
        self._probe: Row | None = None
        # Rows that may be read ahead in a pause, those that were, and their bytes.
        self._ahead = self._read_ahead = self._bytes_ahead = 0

    def __len__(self) -> int:
        """Rows that are set aside."""
        return len(self._aside)

    def next(self) -> Row | None:
        """Give the row that goes next; None where none may."""
        if self._breaker.is_paused:
            return self._next_probe()
        if not self._aside and not self._ahead:
            return self._ready_rows.next()  # as most often
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

    def note_read(self, row: Row) -> None:
        """Take note that a row was read."""
        if not self._ahead:
            return
        self._read_ahead += 1
        self._bytes_ahead += row.size
        if self._bytes_ahead >= _MOST_AHEAD_BYTES:
            self._allow_ahead(min(self._ahead, self._read_ahead))

    def note_probe(self) -> None:
        """Take note that the row that waited to probe has gone: another one may wait for its moment."""
        self._probe = None

    def end_probing(self, under_way: Iterable[Row | None]) -> None:
        """Take note that the pause is over: rows that were to probe, or do, are rows as any other.

        Args:
            under_way: rows that were given and have not come back.
        """
        self._probe = self._reports = None
        for row in under_way:
            if row is not None:
                row.is_probe = False

    def end(self, row: Row) -> None:
        """Tell that a row that was given comes back or has its outcome; in a pause the next one may probe."""
        row.is_probe = False
        if self._probe is row:
            self._probe = None

    def take_from_aside(self) -> Row:
        """Give the row that was set aside first."""
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
        """Look at so many of them, at the next ones each time; give one that may go."""
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
        """Let so many rows more be read than usual, and no others."""
        if rows != self._ahead:
            self._window.take_back(self._ahead, 0)
            self._window.put_beside(rows, 0)
            self._ahead = rows
        if not rows:
            self._read_ahead = self._bytes_ahead = 0
