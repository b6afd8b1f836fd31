"""How long a run puts up with a server: counted while rows wait for it, not while the input has none."""

from asyncio import TimerHandle
from collections.abc import Callable

from spotdx_async._http import clock

__all__ = ["OutageLimit"]


class OutageLimit:
    """A timer that goes off when something has lasted too long, and rows have waited all that time."""

    def __init__(self, limit_s: float, on_overdue: Callable[[], object], busy_s: Callable[[], float]) -> None:
        """Rest.

        Args:
            limit_s: how long it may last.
            on_overdue: called once, when it has lasted longer.
            busy_s: for how many seconds rows have been open without a break.
        """
        self._limit_s = limit_s
        self._on_overdue = on_overdue
        self._busy_s = busy_s
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Begin to count, unless that was done before."""
        if self._timer is None:
            self._arm(self._limit_s)

    def stop(self) -> None:
        """Count no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, seconds: float) -> None:
        self._timer = clock.call_at(clock.now() + seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        left_s = self._limit_s - self._busy_s()
        if left_s > 0:
            self._arm(left_s)
        else:
            self._on_overdue()
