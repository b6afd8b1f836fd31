"""What failures mean: an outage, chance, or a row's own fault; and how long an outage may last."""

from asyncio import TimerHandle
from collections.abc import Callable, Hashable, Iterable
from math import log, prod

from attrs import frozen

from spotdx_async._http import clock

LEAST_ROWS = 5
"""Rows that must fail for an outage, however often each was tried: fewer may be at fault themselves. A choice: the
window of a run holds at least 8 rows, so that even one worker at 2 rows a second sees five within seconds."""
_LEAST_SHARE_OF_RESULTS = 0.015
"""Assumed share of failures before any: the largest at which five failures in a row are not chance (0.015^5 <
10^-9)."""
_SURPRISE = log(1e9)
"""Odds against chance, 10^9 to 1. A choice: at 4,000 results a second chance reaches that once in three days, and a
needless pause costs a tenth of a second."""
_RESULT_WEIGHT = 1 / 50
"""Of one result in the share. A choice: 40 % failures are learned within about 100 results, and known to within 5 %."""
_LIKELY = 1e-6
"""Failures of one row count as chance from these odds on. Measured: with less, one of 2,000 rows waited, each wait is
twice the last, and if it was among the last the whole run waited for it; now it is one in a million at any share."""

_MOST_WITHOUT_WAIT = 0.5
"""A choice: if more than half fails, a server is more likely overloaded than partly down, so repeats wait."""

_TRY_WEIGHT = 1 / 200
"""Of one row's first attempt in the share that fails. A choice: the last 200, a few windows of rows."""
_LEAST_SHARE_OF_TRIES = 0.001
"""Least share of other rows taken to fail once any does: 0.001^4 < 10^-9, so four failures, the default policy's
attempts, are the row's own fault."""
_BY_CHANCE = 1e-9
"""From these odds on a row's failures may be chance. A choice: one row in 10^9 is wrongly blamed."""
_MOST_SHARE = 0.6
"""Greatest share taken to fail: 0.6^41 < 10^-9, so that a row at fault ends after 41 failures even if nearly all
fail."""
_ENOUGH_TRIES = 40
"""Other rows needed to tell how many fail: that none of 40 fails and one row fails four times has odds of at most 1.5
in 10^6, whatever the share (the maximum of (1 - p)^40 * p^4)."""


def divergence(share: float, usual: float) -> float:
    """Return how far a share is from the usual: by Chernoff's bound, n results show it by chance at odds exp(-n * D).

    Args:
        share: of results, from 0 to 1.
        usual: between 0 and 1.
    """
    bad = share * log(share / usual) if share > 0 else 0.0
    return bad + ((1 - share) * log((1 - share) / (1 - usual)) if share < 1 else 0.0)


class OutageSigns:
    """Judges results as they come: by the failures in a row, and by the share that failed before them."""

    def __init__(self) -> None:
        self.first_tries: FirstTries = FirstTries()
        """How rows' first attempts end."""
        self._rows: set[Hashable] = set()
        self._failures = 0
        self._share = 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether to try another row rather than one that has failed: no row should bear an outage alone."""
        return len(self._rows) > 1 or self._failures > LEAST_ROWS

    @property
    def has_enough_rows(self) -> bool:
        """Whether so many rows have failed in a row that it cannot be their own fault."""
        return len(self._rows) >= LEAST_ROWS

    def note_good(self, *, is_first: bool = False) -> None:
        """Note that the server has answered: the failures before it were no outage, and enter the share.

        Args:
            is_first: whether it was a row's first attempt, outside of a pause.
        """
        if is_first:
            self.first_tries.note(is_bad=False)
        if self._failures:
            self._share = 1 - (1 - self._share) * (1 - _RESULT_WEIGHT) ** self._failures
            self.forget()
        self._share *= 1 - _RESULT_WEIGHT

    def note_bad(self, row: Hashable) -> None:
        """Note a failure."""
        self._rows.add(row)
        self._failures += 1

    def forget(self) -> None:
        """Count failures in a row from zero."""
        self._rows.clear()
        self._failures = 0

    def is_outage(self, older: int) -> bool:
        """Return whether the last failures in a row are not chance.

        Failures come back sooner than answers if the server refuses at once what it cannot handle. So all older
        requests count as if they were still going to be answered, and the odds are those of so many failures among all
        of them: by Chernoff's bound exp(-n * D), where D is the divergence between the share that failed and the usual
        one.

        Args:
            older: requests in flight that began no later than the last that failed.
        """
        if not self.has_enough_rows:
            return False
        usual, count = max(_LEAST_SHARE_OF_RESULTS, self._share), self._failures + older
        failed = self._failures / count
        if failed <= usual:
            return False
        return count * divergence(failed, usual) >= _SURPRISE

    def makes_likely(self, failures: int) -> bool:
        """Return whether so many failures of one row are to be expected at present, so that waiting is pointless."""
        return bool(min(self._share, _MOST_WITHOUT_WAIT) ** failures >= _LIKELY)


@frozen
class Seen:
    """What was known when a row first failed: how many rows had been tried, and how many had failed at first."""

    count: int = 0
    bad: int = 0


class FirstTries:
    """How rows' first attempts end. First attempts only, since rows at fault are tried most often."""

    def __init__(self) -> None:
        self._count = self._bad = 0
        self._share = 0.0
        # Failures since the last row that was served, and the share before them.
        self._in_a_row = 0
        self._share_before = 0.0

    def note(self, *, is_bad: bool) -> None:
        """Note a row's first attempt."""
        self._count += 1
        self._bad += is_bad
        if not is_bad:
            self._in_a_row = 0
        elif not self._in_a_row:
            self._share_before = self._share
        self._in_a_row += is_bad
        self._share += (is_bad - self._share) * _TRY_WEIGHT

    def leave_out_failures(self) -> None:
        """Leave out those since the last row that was served: a pause has begun, and they were part of the outage."""
        if self._in_a_row:
            self._count -= self._in_a_row
            self._bad -= self._in_a_row
            self._share, self._in_a_row = self._share_before, 0

    @property
    def seen(self) -> Seen:
        """What is known now."""
        return Seen(self._count, self._bad)

    @property
    def failing(self) -> float:
        """Share of other rows that fails at present; 0: none does."""
        others = self._share - _TRY_WEIGHT
        return max(others, _LEAST_SHARE_OF_TRIES) if others > 0 else 0.0

    def is_enough(self, since: Seen) -> bool:
        """Return whether enough rows have been tried since then to tell what is chance."""
        return self._count - since.count >= _ENOUGH_TRIES

    def explain(self, odds: Iterable[float], since: Seen) -> bool:
        """Return whether the failures of one row may well be chance.

        Each is judged by how many others failed at the time, or fail now, or have failed since the row first did,
        whichever is more: at the beginning of a run, or of a partial outage, the first of these is known too late.

        Args:
            odds: how likely each failure was at the time if it was not the row's own fault.
            since: what was known when the row first failed.
        """
        # One of the others may be at fault itself.
        others = max(0, self._bad - since.bad - 1) / max(_ENOUGH_TRIES, self._count - since.count)
        now = max(self.failing, others)
        return prod(min(_MOST_SHARE, max(each, now)) for each in odds) >= _BY_CHANCE


class OutageLimit:
    """A timer that fires when a problem has lasted too long, and rows have been waiting all that time."""

    def __init__(self, limit_s: float, on_overdue: Callable[[], object], busy_s: Callable[[], float]) -> None:
        """Set the limit; nothing is timed before ``start``.

        Args:
            limit_s: how long the problem may last.
            on_overdue: called once, if it lasts longer.
            busy_s: returns for how many seconds rows have been open without a break.
        """
        self._limit_s = limit_s
        self._on_overdue = on_overdue
        self._busy_s = busy_s
        self._timer: TimerHandle | None = None
        self.is_running: bool = False
        """Whether it was started, and has neither been stopped nor fired."""

    def start(self) -> None:
        """Start the timer, unless it is already running."""
        if not self.is_running:
            self._arm(self._limit_s)

    def stop(self) -> None:
        """Stop the timer; the next start begins from zero."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.is_running = None, False

    def _arm(self, seconds: float) -> None:
        self._timer, self.is_running = clock.call_at(clock.now() + seconds, self._fire), True

    def _fire(self) -> None:
        self._timer, self.is_running = None, False
        left_s = self._limit_s - self._busy_s()
        if left_s > 0:
            self._arm(left_s)
        else:
            self._on_overdue()
