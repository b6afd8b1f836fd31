"""How long requests took, in flat memory: cells that grow by 2 % each, so that any percentile is right to 1 %."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from math import exp, log

__all__ = ["COARSE_CELLS", "NO_CELL", "Histogram", "coarse_of", "coarse_percentile", "coarse_sum"]

_SHORTEST_S = 1e-5
_CELL_WIDTH = log(1.02)  # in natural logarithms of seconds
_PER_CELL, _OFFSET = 1 / _CELL_WIDTH, -log(_SHORTEST_S) / _CELL_WIDTH
_CELLS = 1250  # up to six days
_FINE_PER_COARSE = 4
COARSE_CELLS = -(-_CELLS // _FINE_PER_COARSE)
"""Cells of a coarse histogram; fine cell ``c`` belongs to ``c // 4``, so a coarse percentile is right to 4 %."""
NO_CELL = -1
"""What ``Histogram.add`` gives for a duration that it leaves out."""


class Histogram:
    """Counts of durations."""

    __slots__ = ("_cells", "count", "max_s")

    def __init__(self) -> None:
        self._cells = [0] * _CELLS
        self.count: int = 0
        """Durations so far."""
        self.max_s: float = 0.0
        """The longest, exactly."""

    def add(self, duration_s: float) -> int:
        """Count a duration and give its cell; one that is not above 0 was not measured and is left out."""
        if duration_s <= 0.0:
            return NO_CELL
        cell = int(log(duration_s) * _PER_CELL + _OFFSET)
        if not 0 <= cell < _CELLS:
            cell = 0 if duration_s < 1.0 else _CELLS - 1
        self._cells[cell] += 1
        self.count += 1
        if duration_s > self.max_s:  # noqa: PLR1730 - called for every row, and max() takes twice as long
            self.max_s = duration_s
        return cell

    def percentile(self, percent: float) -> float | None:
        """Seconds that ``percent`` of the durations do not exceed, to 1 %; None without any."""
        found_s = _percentile(self._cells, percent, _CELL_WIDTH)
        return None if found_s is None else min(found_s, self.max_s)


def coarse_percentile(counts: Sequence[int], percent: float) -> float | None:
    """Give the same of a coarse histogram, to 4 %."""
    return _percentile(counts, percent, _CELL_WIDTH * _FINE_PER_COARSE)


def coarse_sum(one: list[int] | None, other: list[int] | None) -> list[int] | None:
    """Add two coarse histograms; None has no durations."""
    if one is None or other is None:
        return one or other
    return [left + right for left, right in zip(one, other, strict=True)]


def coarse_of(cell: int) -> int:
    """Give the coarse cell that a fine one belongs to."""
    return cell // _FINE_PER_COARSE


def _percentile(counts: Sequence[int], percent: float, width: float) -> float | None:
    up_to = [*accumulate(counts)]
    if not up_to or not up_to[-1]:
        return None
    rank = max(1, -(-up_to[-1] * percent // 100))  # the nearest rank, from 1
    return _SHORTEST_S * exp((bisect_left(up_to, rank) + 0.5) * width)
