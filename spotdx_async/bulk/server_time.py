"""What a run knows of the server's clock: the local one may be a day off."""

from datetime import datetime

from spotdx_async._http import clock

_MOST_OFF_S = 2 * 86400.0
"""How far the local clock may be off: a day, and whatever the server's is off in the other direction. A choice."""
_CUT_S = 2.0
"""Dates of answers are cut to a second, and an answer takes a while."""


class ServerTime:
    """The server's clock, as the latest answer with a ``Date`` told it."""

    def __init__(self) -> None:
        self._known: tuple[float, float] | None = None
        self.objects_ahead_s: float | None = None
        """How far the clock that dates objects is ahead of it, at least; None if that is not known."""

    def note(self, date: datetime | None) -> None:
        """Note the date of an answer that has just come."""
        if date is not None:
            self._known = date.timestamp(), clock.now()

    def note_created(self, created: object) -> None:
        """Note when, by its own date, something was created whose answer has just come."""
        now = self.at(clock.now())
        if isinstance(created, datetime) and now is not None:
            self.objects_ahead_s = created.timestamp() - now - _CUT_S

    def at(self, moment_s: float) -> float | None:
        """Return a moment of the loop's clock by the server's, in seconds since 1970; None if that is not known."""
        if self._known is None:
            return None
        server_s, loop_s = self._known
        return server_s + moment_s - loop_s

    def not_later_than(self, moment_s: float) -> float:
        """Return a time by the server's clock that is certainly not later than a moment of the loop's.

        Before any answer it is days earlier, since only the local clock is there to go by.
        """
        then = self.at(moment_s)
        if then is not None:
            return then - _CUT_S
        return clock.wall().timestamp() - (clock.now() - moment_s) - _MOST_OFF_S
