"""What tells an outage from failures by chance: how many came in a row, and which share failed before. Pure."""

from collections.abc import Hashable
from math import log

__all__ = ["LEAST_ROWS", "OutageSigns", "divergence"]

LEAST_ROWS = 5
"""Rows that must fail for an outage, however often each was tried: fewer may be at fault themselves. The window of a
run holds 8 rows at least, so that even a run of one worker at 2 rows a second sees these within seconds."""
_LEAST_SHARE = 0.015
"""Share that is assumed to fail where nothing did: the largest with which five failures in a row are no chance."""
_SURPRISE = log(1e9)
"""No chance: odds of one in 10^9. At 4,000 results a second, chance comes to that once in three days; and a pause that
was none costs a tenth of a second."""
_WEIGHT = 1 / 50
"""Of one result in the share: at 40 % failures it is learned within about 100 results, and known to within 5 %."""
_LIKELY = 1e-6
"""From these odds on, failures of one row count as chance. Of a million rows one comes to waits, whatever share fails:
those double, and one row that came to them among the last held up the whole run."""

_MOST_WITHOUT_WAIT = 0.5
"""Where more than half fails, a server is rather overloaded than partly out of order: repeats then wait."""


def divergence(share: float, usual: float) -> float:
    """How far a share is from the usual one: by Chernoff's bound, n results show it by chance with odds of exp(-n * D).

    Args:
        share: of results, from 0 to 1.
        usual: between 0 and 1.
    """
    bad = share * log(share / usual) if share > 0 else 0.0
    return bad + ((1 - share) * log((1 - share) / (1 - usual)) if share < 1 else 0.0)


class OutageSigns:
    """Judges results as they come. A result of before shows in the share, and in no row of failures."""

    def __init__(self) -> None:
        self._rows: set[Hashable] = set()
        self._failures = 0
        self._share = 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether another row had better be tried than one that has failed: no row is to bear an outage alone."""
        return len(self._rows) > 1 or self._failures > LEAST_ROWS

    @property
    def has_enough_rows(self) -> bool:
        """Whether so many rows have failed in a row that it cannot be their own fault."""
        return len(self._rows) >= LEAST_ROWS

    def note_good(self) -> None:
        """Take note that the server has answered; failures before it were a part of many, and enter the share."""
        if self._failures:
            self._share = 1 - (1 - self._share) * (1 - _WEIGHT) ** self._failures
            self.forget()
        self._share *= 1 - _WEIGHT

    def note_bad(self, row: Hashable) -> None:
        """Take note of a failure."""
        self._rows.add(row)
        self._failures += 1

    def forget(self) -> None:
        """Begin a new row of failures."""
        self._rows.clear()
        self._failures = 0

    def is_outage(self, older: int) -> bool:
        """Whether the last failures in a row are no chance.

        Failures come back sooner than answers where the server refuses at once what it cannot take. So all older
        requests count as if they were still answered, and the odds are those of so many failures among all of them: by
        Chernoff's bound exp(-n * D), D being the divergence between the share that failed and the usual one.

        Args:
            older: requests on their way that are no younger than the last that failed.
        """
        if not self.has_enough_rows:
            return False
        usual, count = max(_LEAST_SHARE, self._share), self._failures + older
        failed = self._failures / count
        if failed <= usual:
            return False
        return count * divergence(failed, usual) >= _SURPRISE

    def makes_likely(self, failures: int) -> bool:
        """Whether so many failures of one row are what is to be expected at present, so that waiting is of no use."""
        return bool(min(self._share, _MOST_WITHOUT_WAIT) ** failures >= _LIKELY)
