"""When to end rows that have failed as often as they may, where no other row is left to tell whose fault it was."""

from asyncio import TimerHandle
from collections.abc import Callable, Collection

from spotdx_async._http import clock
from spotdx_async.bulk.circuit_breaker import CircuitBreaker
from spotdx_async.bulk.key_queues import Row
from spotdx_async.bulk.ready_rows import ReadyRows
from spotdx_async.errors import ServerError

__all__ = ["LastRows"]

_COMPANY_WITHIN_S = 15.0
"""For which a row waits for another one to be read. An input that only goes on once it has the outcome is held up so
long by each row that fails for good; a longer wait would see an outage in yet slower inputs."""
_LAST_ROWS_WAIT_S = 120.0
"""Of a pause: an outage may have begun just then. Most restarts take less."""
_INTERNAL_ERROR = 500
_MOST_FAILING = 0.5
"""Of first tries, pauses left out: where more fail, nothing can be concluded from a row that does."""


class LastRows:
    """Knows whether another row may come that shows whether the server is well, and how long to wait for it."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        ready_rows: ReadyRows,
        unfinished: Collection[Row],
        *,
        is_read: Callable[[], bool],
        on_wait_over: Callable[[], object],
    ) -> None:
        """Take what a run is made of.

        Args:
            breaker: tells for how long the run has been paused, and whom the server has served.
            ready_rows: the rows that were not tried yet, and those that rest.
            unfinished: all rows that were read and have no outcome.
            is_read: whether the input has come to its end.
            on_wait_over: called when nobody has come for long enough.
        """
        self._breaker, self._ready_rows = breaker, ready_rows
        self._unfinished, self._is_read, self._on_wait_over = unfinished, is_read, on_wait_over
        self._last_read_s = self._last_came_s = clock.now()
        self._timer: TimerHandle | None = None

    def note_read(self) -> None:
        """Take note that a row was read: a run that goes on may pause again."""
        self._last_read_s = self._last_came_s = clock.now()
        if self._breaker.never_pauses:
            self._breaker.allow_pauses()

    def note_set_aside(self) -> None:
        """Take note that a row was set aside."""
        self._last_came_s = clock.now()

    def may_have_company(self) -> bool:
        """Whether to wait for another row, and to be called when that has lasted too long."""
        if self._ready_rows.resting:
            return True
        if self._is_read():
            return False
        self.close()
        until_s = self._last_came_s + _COMPANY_WITHIN_S
        self._timer = clock.call_at(until_s, self._on_wait_over)
        return clock.now() < until_s

    def are_at_fault(self) -> bool:
        """Whether the rest of a paused run is likely to fail for good: the pause had better end.

        So it is when only rows are left that have failed, and those behind them; when none was read for so long, or the
        input is at its end; when the server was seen to be there; and when the pause has lasted for so long that it is
        no mere restart.
        """
        breaker, unfinished = self._breaker, self._unfinished
        if breaker.paused_s < _LAST_ROWS_WAIT_S or breaker.first_tries.failing > _MOST_FAILING:
            return False
        if not self._is_read() and clock.now() < self._last_read_s + _LAST_ROWS_WAIT_S:
            return False
        behind = {row.following for row in unfinished}
        first = [row for row in unfinished if row not in behind]
        was_there = breaker.has_served_since(float("-inf")) or all(_is_internal_error(row) for row in first)
        return was_there and not self._ready_rows.resting and all(row.tries for row in first)

    def close(self) -> None:
        """Call nobody any more."""
        if self._timer is not None:
            self._timer.cancel()


def _is_internal_error(row: Row) -> bool:
    """Whether the server was there, and could not do with this row. A 503 or a lost connection shows neither."""
    return row.last is not None and isinstance(row.last.error, ServerError) and row.last.error.status == _INTERNAL_ERROR
