"""What a run's report tells, gathered while it runs, in memory that does not grow with the rows."""

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from spotdx_async.bulk.records import Outcome, Progress, State
from spotdx_async.report.histogram import Histogram
from spotdx_async.report.outages import Outages
from spotdx_async.report.reasons import Reasons
from spotdx_async.report.timeline import Timeline

__all__ = ["STATES", "RunStory", "Setting"]

STATES: tuple[State, ...] = get_args(State)
Setting: TypeAlias = str | int | float | bool | None


class RunStory:
    """Hears of every outcome and every progress record of one run.

    It keeps counts, durations and messages; never a row, its place, its key, or what the server wrote.
    """

    def __init__(self, settings: Mapping[str, Setting], now_s: float) -> None:
        """Begin.

        Args:
            settings: what the page shows of the run's settings, in this order; nothing secret, no data of a row.
            now_s: the moment at which the run begins; every ``now_s`` is of the same monotonic clock.
        """
        self.settings: dict[str, Setting] = dict(settings)
        self.counts: dict[State, int] = dict.fromkeys(STATES, 0)
        """Rows by state."""
        self.attempts: int = 0
        """Requests made for all rows so far."""
        self.server_times: Histogram = Histogram()
        """How long the last request of each ok row took."""
        self.row_times: Histogram = Histogram()
        """How long each ok row took, waits included."""
        self.reasons: Reasons = Reasons()
        """Why rows did not go through."""
        self.outages: Outages = Outages()
        """When rows waited for the server."""
        self.trouble: str | None = None
        """What was wrong in the last outage, with the name of the server; no text of the server's. None: no outage."""
        self.throttled: int = 0
        """429s so far."""
        self.stopped: str | None = None
        """Why the run stopped early; None where it did not."""
        self.timeline: Timeline = Timeline(now_s)
        """What happened when."""
        self._start_s = now_s
        self._end_s: float | None = None

    @property
    def rows(self) -> int:
        """How many rows have their outcome."""
        return sum(self.counts.values())

    @property
    def elapsed_s(self) -> float:
        """How long the run took; before ``finish``, about as long as something was heard of it."""
        return self.timeline.length_s if self._end_s is None else self._end_s - self._start_s

    def add(self, outcome: Outcome[Any], now_s: float) -> None:
        """Hear of a row's outcome."""
        state = outcome.state
        self.counts[state] += 1
        self.attempts += outcome.attempts
        if state == "ok":
            self.row_times.add(outcome.elapsed_s)
            self.timeline.add(now_s, is_ok=True, cell=self.server_times.add(outcome.request_s))
        else:
            self.timeline.add(now_s, is_ok=False)
        if outcome.error is not None:
            self.reasons.add(state, outcome.error)

    def note(self, progress: Progress, now_s: float) -> None:
        """Hear how the run stands: 429s and outages are told by this alone, to the time between two such records."""
        if progress.throttled > self.throttled:
            self.timeline.add_throttled(now_s, progress.throttled - self.throttled)
            self.throttled = progress.throttled
        self.outages.hear(max(0.0, now_s - self._start_s), is_paused=progress.is_paused)

    def finish(self, now_s: float, stopped: str | None = None) -> None:
        """Hear that the run has ended.

        Args:
            now_s: the moment.
            stopped: why it stopped early, in words that show no data of a row; None where it did not.
        """
        self._end_s = max(now_s, self._start_s)
        self.stopped = stopped
        self.outages.hear(self.elapsed_s, is_paused=False)
