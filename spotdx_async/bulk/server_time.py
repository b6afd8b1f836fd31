"""What a run knows of the server's clock: the local one may be a day off."""

from bisect import bisect_left
from datetime import datetime
from math import inf

from spotdx_async._http import clock

_MOST_OFF_S = 2 * 86400.0
"""How far the local clock may be off: a day, and whatever the server's is off in the other direction. A choice."""
_CUT_S = 2.0
"""Dates of answers are cut to a second, and an answer takes a while."""
_JUMP_S = 5.0
"""By how much more the two clocks must differ than ever before to be noted: answers that took long differ by less than
those that did not. A choice, above the usual second or two."""
_STEADY_S = 300.0
"""Within which the dates of answers, and the local clock, may differ in a run. A choice: half of what is allowed for
between the clocks that date objects and answers."""
_FEW = 20
"""Dates by which nobody can tell yet whether another server behind the same address has another time. A choice: where
one in five has, all of so many are the same in one of a hundred runs."""
_MOST_BEHIND_S = 26 * 3600.0
"""By how much the local clock is believed to be behind the first few dates: any zone's time, and a day."""


class ServerTime:
    """The server's clock, as the latest answer with a ``Date`` told it.

    The loop's clock stands still while a machine sleeps: what the latest answer says of the difference is not true of
    moments before that. So the greatest difference that was ever noted is kept with the moment from which on it holds.
    Several servers may answer, one of them with a wrong clock: where their dates differ by more than the local clock
    explains, no moment is taken to be later than by the earliest of them.
    """

    def __init__(self) -> None:
        self._known: tuple[float, float] | None = None
        # When the loop's clock was at its least behind the server's, and by how much; both rise.
        self._behind: list[tuple[float, float]] = []
        self._began: tuple[float, float] | None = None
        self._slept_s = 0.0
        # By how much dates were ahead of the local clock, at least and at most, and how many there were.
        self._ahead_s, self._notes = (inf, -inf), 0
        self.objects_ahead_s: float | None = None
        """How far the clock that dates objects is ahead of it, at least; None if that is not known."""

    def begin(self) -> None:
        """Note that the run begins: whether the machine sleeps before the first answer shows by the local clock."""
        self._began = clock.wall().timestamp(), clock.now()

    def note(self, date: datetime | None) -> None:
        """Note the date of an answer that has just come."""
        if date is None:
            return
        server_s, now_s = date.timestamp(), clock.now()
        self._known = server_s, now_s
        ahead_s, (least_s, most_s) = server_s - clock.wall().timestamp(), self._ahead_s
        self._ahead_s, self._notes = (min(least_s, ahead_s), max(most_s, ahead_s)), self._notes + 1
        if not self._behind and self._began is not None:
            slept_s = clock.wall().timestamp() - self._began[0] - (now_s - self._began[1])
            self._slept_s = slept_s if slept_s > _JUMP_S else 0.0
        if not self._behind or server_s - now_s > self._behind[-1][1] + _JUMP_S:
            self._behind.append((now_s, server_s - now_s))

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

    @property
    def is_steady(self) -> bool:
        """Whether the dates of all answers so far can be of one clock."""
        least_s, most_s = self._ahead_s
        return most_s - least_s <= _STEADY_S

    def not_later_than(self, moment_s: float) -> float:
        """Return a time by the server's clock that is certainly not later than a moment of the loop's.

        Before any answer it is days earlier, since only the local clock is there to go by.
        """
        then, local_s = self.at(moment_s), self._local(moment_s)
        if then is None:
            return local_s - _MOST_OFF_S
        times = [then, moment_s + self._least_behind(moment_s)]
        if not self.is_steady:
            times.append(local_s + self._ahead_s[0])
        if self._notes < _FEW and _STEADY_S < then - local_s <= _MOST_BEHIND_S:
            times.append(local_s)
        return min(times) - _CUT_S

    def not_earlier_than(self, moment_s: float) -> float | None:
        """Return a time that is certainly not earlier than a moment, in the same way; None if that is not known."""
        then = self.at(moment_s)
        if then is None or self.is_steady:
            return then
        return max(then, self._local(moment_s) + self._ahead_s[1])

    @staticmethod
    def _local(moment_s: float) -> float:
        """Return a moment of the loop's clock by the local one."""
        return clock.wall().timestamp() - (clock.now() - moment_s)

    def _least_behind(self, moment_s: float) -> float:
        """Return by how much, at the moment, the loop's clock was behind the server's at least."""
        index = bisect_left(self._behind, moment_s, key=lambda each: each[0]) - 1
        return self._behind[index][1] if index >= 0 else self._behind[0][1] - self._slept_s
