"""What a run knows of the server's clock: the local one may be a day off."""

from datetime import datetime

from spotdx_async._http import clock

_A_DAY_S = 86400.0
_CUT_S = 2.0
"""Dates of answers are cut to a second, and an answer takes a while."""


class ServerTime:
    """The server's clock, as the latest answer with a ``Date`` told it."""

    def __init__(self) -> None:
        self._known: tuple[float, float] | None = None

    def note(self, date: datetime | None) -> None:
        """Note the date of an answer that has just come."""
        if date is not None:
            self._known = date.timestamp(), clock.now()

    def at(self, moment_s: float) -> float | None:
        """Return a moment of the loop's clock by the server's, in seconds since 1970; None if that is not known."""
        if self._known is None:
            return None
        server_s, loop_s = self._known
        return server_s + moment_s - loop_s

    def not_before(self) -> float:
        """Return a time by the server's clock that is certainly not in its future."""
        now = self.at(clock.now())
        return clock.wall().timestamp() - _A_DAY_S if now is None else now - _CUT_S
