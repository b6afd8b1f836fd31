"""Rows that may go now, and rows that rest, since an earlier value of their key may still land."""

import asyncio
from collections import deque
from collections.abc import Callable

from spotdx_async._http import clock
from spotdx_async.bulk.key_queues import KeyQueues, Row
from spotdx_async.bulk.window import Window

__all__ = ["ReadyRows"]


class ReadyRows:
    """Gives the rows that were not tried yet in their turn."""

    def __init__(self, on_ready: Callable[[], object], window: Window) -> None:
        """Begin.

        Args:
            on_ready: called when a row may go, or a key is free.
            window: beside which rows stand that rest, and those behind them: others are read past them, so that they
                slow only their key.
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
        """The row of the key that came last, while one of the key has no outcome."""
        return self._key_queues.last(key)

    def enter(self, row: Row) -> None:
        """Take in a row that was read."""
        if self._key_queues.enter(row):
            self._line_up(row)
        elif row.is_held:
            self._window.put_beside(1, row.size)

    def overtake(self, older: Row, newer: Row) -> None:
        """Put a newer row in the place of one of its key that was not taken up yet."""
        size_before = older.size
        older.become(newer)
        if older.is_held:
            self._window.put_beside(0, older.size - size_before)

    def leave(self, row: Row) -> None:
        """Tell that a row has its outcome: the next one of its key goes, when this one cannot land any more."""
        following = self._key_queues.leave(row, clock.now())
        if following is None:
            self._on_ready()
        else:
            self._line_up(following)

    def next(self) -> Row | None:
        """Give the row that has waited longest of those that may go."""
        return self._next(self._ready.popleft)

    def next_furthest(self) -> Row | None:
        """Give the row that was read last of those that may go."""
        return self._next(self._ready.pop)

    def hold(self, row: Row) -> None:
        """Let others be read past a row that waits, and past those behind it."""
        self._window.put_beside(*self._key_queues.hold(row))

    def end_hold(self, row: Row) -> None:
        """Count it as any other again: its turn has come."""
        if row.is_held:
            row.is_held = False
            self._window.take_back(1, row.size)

    def close(self) -> None:
        """Let nobody go any more."""
        for timer in self._resting.values():
            timer.cancel()

    def _next(self, take: Callable[[], Row]) -> Row | None:
        while self._ready:
            row = take()
            if not _rests(row):
                return row
            self._rest(row)  # it has taken the place of one that an earlier session may have sent
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


def _rests(row: Row) -> bool:
    return row.rests_until_s > clock.NEVER_S and row.rests_until_s > clock.now()
