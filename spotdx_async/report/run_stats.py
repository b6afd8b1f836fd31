"""What a run's report says, gathered during the run, in memory that does not grow with the rows.

Only a row's state, its durations and the message of its error are kept: never its key, its data or its place.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

from spotdx_async.bulk.records import STATES, Outcome, Progress, State
from spotdx_async.errors import POINTERS, DecodeError, InvalidInputError, OutcomeUnknownError, SpotError, StatusError
from spotdx_async.report.series import Histogram, Timeline

Setting: TypeAlias = str | int | float | bool | None

MOST_PERIODS = 200
MOST_SHOWN = 50
_MOST_KEPT = 500
_LONGEST_TEXT = 300
_DIGITS = re.compile(r"\d+")
_METADATA_PATH = re.compile(r"\bmetadata(?:\.\w+|\[[^\]]*\])+…?")


@frozen(kw_only=True)
class Creates:
    """What the report of a run that creates says beside what all reports do; no data of a row."""

    done: str = "created"
    """What becomes of its rows, in a word, such as ``placed``."""
    duplicates: tuple[tuple[str, str], ...] = ()
    """``BulkRun.duplicates``: ids of objects with the same reference, in pairs."""
    is_audited: bool = True
    """Whether those were looked for at the end: not if the run stopped before, nor for what has no list."""
    audit_error: str | None = None
    """Why that failed; None if it did not."""
    batch: Mapping[str, int] = field(factory=dict)
    """How many rows of the whole batch are placed, in doubt and so on, by the journal: see ``read_journal``."""


class RunStory:
    """Records every outcome and every progress record of one run.

    It keeps counts, durations and messages; never a row, its place, its key, or what the server wrote.
    """

    def __init__(self, settings: Mapping[str, Setting], now_s: float) -> None:
        """Begin a record.

        Args:
            settings: what the page shows of the run's settings, in this order; nothing secret, no data of a row.
            now_s: the moment at which the run begins; every ``now_s`` is on the same monotonic clock.
        """
        self.settings: dict[str, Setting] = dict(settings)
        self.operation: str | None = None
        """What is done with each row: ``BulkRun.operation``; None: not shown."""
        self.creates: Creates | None = None
        """What only a run that creates has; None for all others. Set it before the page is made."""
        self.counts: dict[State, int] = dict.fromkeys(STATES, 0)
        """Rows by state."""
        self.done_before: int = 0
        """Rows that were done in an earlier session, according to the journal; they are among the skipped ones."""
        self.attempts: int = 0
        """Requests made for all rows so far."""
        self.server_times: Histogram = Histogram()
        """How long the last request of each ok row took."""
        self.row_times: Histogram = Histogram()
        """How long each ok row took, waits included."""
        self.reasons: Reasons = Reasons()
        """Why rows did not go through."""
        self.outages: Outages = Outages()
        """When the run was paused."""
        self.trouble: str | None = None
        """What was wrong at the last pause, with the name of the server; no text of the server's. None: no pause."""
        self.throttled: int = 0
        """429s so far."""
        self.stopped: str | None = None
        """Why the run stopped early; None if it did not."""
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
        """How long the run took; before ``finish``, about the time up to the last record."""
        return self.timeline.length_s if self._end_s is None else self._end_s - self._start_s

    def add(self, outcome: Outcome[Any], now_s: float) -> None:
        """Record a row's outcome."""
        state = outcome.state
        self.counts[state] += 1
        is_before = state == "skipped" and outcome.error is None
        self.done_before += is_before
        self.attempts += outcome.attempts
        if outcome.attempts > 1:
            self.timeline.add_retries(now_s, outcome.attempts - 1)
        if state == "ok":
            self.row_times.add(outcome.elapsed_s)
            self.timeline.add(now_s, is_ok=True, cell=self.server_times.add(outcome.request_s))
        else:
            self.timeline.add(now_s, is_ok=False, is_before=is_before)
        if outcome.error is not None:
            self.reasons.add(state, outcome.error)

    def note(self, progress: Progress, now_s: float) -> None:
        """Record progress, the only source of 429s and pauses, which are as exact as these records are frequent."""
        if progress.throttled > self.throttled:
            self.timeline.add_throttled(now_s, progress.throttled - self.throttled)
            self.throttled = progress.throttled
        self.outages.note(max(0.0, now_s - self._start_s), is_paused=progress.is_paused)

    def finish(self, now_s: float, stopped: str | None = None) -> None:
        """Record that the run has ended.

        Args:
            now_s: the moment.
            stopped: why it stopped early, in words that show no data of a row; None if it did not.
        """
        self._end_s = max(now_s, self._start_s)
        self.stopped = stopped
        self.outages.note(self.elapsed_s, is_paused=False)


@frozen
class Period:
    """From one moment to another, in seconds from the start of the run."""

    start_s: float
    end_s: float


class Outages:
    """When the run was paused: a bounded list of periods, with an exact count and an exact sum."""

    def __init__(self) -> None:
        self.count: int = 0
        """How many there were, including the current one."""
        self.total_s: float = 0.0
        """How long those that have ended took together."""
        self.periods: list[Period] = []
        """Those that have ended, in order; of more than 200, those closest to each other are joined."""
        self._since_s: float | None = None

    def note(self, at_s: float, *, is_paused: bool) -> None:
        """Record whether the run was paused at a moment."""
        if not is_paused and self._since_s is not None:
            self._end(Period(self._since_s, max(at_s, self._since_s)))
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


@frozen
class Reason:
    """What the rows of one group have in common."""

    state: State
    """What became of them."""
    error: str | None = None
    """The class of their error; None for the group of everything that fits in no other."""
    status: int | None = None
    """The HTTP status, if there was an answer."""
    word: str | None = None
    """The error's ``reason``, if it has one."""
    text: str = "other reasons"
    """The error's message, without the numbers and metadata paths that differ from row to row."""


class Reasons:
    """Counts of rows by reason: the first 500 groups, and the rest by state."""

    def __init__(self) -> None:
        self._counts: Counter[Reason] = Counter()

    def add(self, state: State, error: SpotError) -> None:
        """Count a row."""
        reason = _reason(state, error)
        if reason not in self._counts and len(self._counts) >= _MOST_KEPT:
            reason = Reason(state)
        self._counts[reason] += 1

    def groups(self) -> list[tuple[Reason, int]]:
        """Return the groups, the largest first: at most 50, and one for each state with the rest."""
        named = [(reason, count) for reason, count in self._counts.most_common() if reason.error is not None]
        rest: Counter[State] = Counter()
        for reason, count in self._counts.items():
            rest[reason.state] += count
        for reason, count in named[:MOST_SHOWN]:
            rest[reason.state] -= count
        return named[:MOST_SHOWN] + [(Reason(state), count) for state, count in rest.most_common() if count > 0]


def _reason(state: State, error: SpotError) -> Reason:
    word = getattr(error, "reason", None)
    status = error.status if isinstance(error, (StatusError, OutcomeUnknownError)) else None
    return Reason(state, type(error).__name__, status, word if isinstance(word, str) else None, _text(error))


def _text(error: SpotError) -> str:
    # Only the error's message is used: details and raw can name patients, and str() has times that differ.
    text = str(error.args[0]) if error.args else ""
    for pointer in POINTERS:
        text = text.removesuffix(pointer)
    if isinstance(error, (InvalidInputError, DecodeError)):
        text = _DIGITS.sub("N", _METADATA_PATH.sub("metadata.…", text))  # a metadata key may be a person's name
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
