"""When the server was out of order: a bounded list of periods, with an exact count and an exact sum."""

from attrs import frozen

__all__ = ["MOST_PERIODS", "Outages", "Period"]

MOST_PERIODS = 200


@frozen
class Period:
    """From one moment to another, in seconds from the start of the run."""

    start_s: float
    end_s: float


class Outages:
    """Hears whether the gate is open, and remembers when it was not."""

    def __init__(self) -> None:
        self.count: int = 0
        """How many there were, one that is under way included."""
        self.total_s: float = 0.0
        """How long those that have ended took together."""
        self.periods: list[Period] = []
        """Those that have ended, in order; of more than 200, neighbours that lie close are told as one."""
        self._since_s: float | None = None

    def hear(self, at_s: float, *, is_paused: bool) -> None:
        """Take note of how the gate stands at a moment of the run."""
        if not is_paused and self._since_s is not None:
            self._end(Period(self._since_s, at_s))
        elif is_paused and self._since_s is None:
            self.count += 1
            self._since_s = at_s

    def _end(self, period: Period) -> None:
        self._since_s = None
        self.total_s += period.end_s - period.start_s
        self.periods.append(period)
        if len(self.periods) > MOST_PERIODS:
            self._join_closest()

    def _join_closest(self) -> None:
        ends = self.periods
        at = min(range(len(ends) - 1), key=lambda at: ends[at + 1].start_s - ends[at].end_s)
        ends[at : at + 2] = [Period(ends[at].start_s, ends[at + 1].end_s)]
