"""How the first tries of rows end: what tells a row's own fault from failures by chance. Pure.

First tries alone, since rows at fault are tried most.
"""

from collections.abc import Iterable
from math import prod

from attrs import frozen

__all__ = ["FirstTries", "Seen"]

_WEIGHT = 1 / 200
"""Of one row's first try in the share of those that fail: some windows of rows."""
_LEAST_SHARE = 0.001
"""Of others that fail where any does: with it four failures, a policy's usual tries, are the row's own fault."""
_BY_CHANCE = 1e-9
"""From these odds on a row's failures may be chance: of 10^9 rows one is wrongly said to be at fault."""
_MOST = 0.6
"""Share that is taken to fail at most: where nearly all do, a row at fault would be tried without end."""
_ENOUGH = 40
"""Other rows that tell how many fail: that none of them does, and one row four times, has odds of 10^-6 at most,
whatever the share."""


@frozen
class Seen:
    """What was known when a row had first failed: how many rows had been tried, and failed at first."""

    count: int = 0
    bad: int = 0


class FirstTries:
    """Counts them as they come."""

    def __init__(self) -> None:
        self._count = self._bad = 0
        self._share = 0.0
        # Failures since the last row that was served, and the share before them.
        self._in_a_row = 0
        self._share_before = 0.0

    def note(self, *, is_bad: bool) -> None:
        """Take note of a row's first try."""
        self._count += 1
        self._bad += is_bad
        if not is_bad:
            self._in_a_row = 0
        elif not self._in_a_row:
            self._share_before = self._share
        self._in_a_row += is_bad
        self._share += (is_bad - self._share) * _WEIGHT

    def leave_out_failures(self) -> None:
        """Leave out those since the last row that was served: a pause has begun, and they were a part of the outage."""
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
        """Share of others that fails at present; 0: no other row does."""
        others = self._share - _WEIGHT
        return max(others, _LEAST_SHARE) if others > 0 else 0.0

    def is_enough(self, since: Seen) -> bool:
        """Whether so many rows have been tried since then that they tell what is chance."""
        return self._count - since.count >= _ENOUGH

    def explain(self, odds: Iterable[float], since: Seen) -> bool:
        """Whether the failures of one row may well be chance.

        Each is judged by how many others failed at the time, or fail now, or have failed since the row first did,
        whichever are more: at the beginning of a run, or of a partial outage, the first are known too late.

        Args:
            odds: how likely each was at the time if it was not the row's own fault.
            since: what was known when the row had first failed.
        """
        # One of the others may be at fault itself.
        others = max(0, self._bad - since.bad - 1) / max(_ENOUGH, self._count - since.count)
        now = max(self.failing, others)
        return prod(min(_MOST, max(each, now)) for each in odds) >= _BY_CHANCE
