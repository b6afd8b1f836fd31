"""What happened when, and how long it took, in flat memory: counts, never a row."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import exp, log
from typing import TypeVar

from attrs import frozen

MOST_SPANS = 600
_FIRST_WIDTH_S = 0.125
_SHORTEST_S = 1e-5
_CELL_WIDTH = log(1.02)  # in natural logarithms of seconds
_PER_CELL, _OFFSET = 1 / _CELL_WIDTH, -log(_SHORTEST_S) / _CELL_WIDTH
_CELLS = 1250  # up to six days
_FINE_PER_COARSE = 4
# Fine cell c belongs to coarse cell c // 4, so that a coarse percentile is right to 4 %.
_COARSE_CELLS = -(-_CELLS // _FINE_PER_COARSE)
NO_CELL = -1
"""What ``Histogram.add`` returns for a duration that it leaves out."""

T = TypeVar("T")


class Histogram:
    """Counts of durations, in cells that grow by 2 % each, so that any percentile is right to 1 %."""

    __slots__ = ("_cells", "count", "max_s")

    def __init__(self) -> None:
        self._cells = [0] * _CELLS
        self.count: int = 0
        """Durations so far."""
        self.max_s: float = 0.0
        """The longest, exactly."""

    def add(self, duration_s: float) -> int:
        """Count a duration and return its cell; one that is not above 0 was not measured and is left out."""
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
        """Return the seconds that ``percent`` of the durations do not exceed, to 1 %; None without any."""
        found_s = _percentile(self._cells, percent, _CELL_WIDTH)
        return None if found_s is None else min(found_s, self.max_s)

    @property
    def min_s(self) -> float:
        """The shortest, to 2 %; 0 without any."""
        if not self.count:
            return 0.0
        cell = next(cell for cell, count in enumerate(self._cells) if count)
        return min(_SHORTEST_S * exp(cell * _CELL_WIDTH), self.max_s)

    def bins(self, edges: Sequence[float]) -> list[int]:
        """Return how many durations lie between each two edges, to 1 %.

        Values below the first edge or above the last go to the nearest bin, so the sum is ``count``.

        Args:
            edges: in seconds, ascending, at least two, all above 0 except perhaps the first.
        """
        up_to = [0, *(self._up_to(edge) for edge in edges[1:-1]), self.count]
        return [after - before for before, after in pairwise(up_to)]

    def _up_to(self, limit_s: float) -> int:
        if limit_s >= self.max_s:
            return self.count
        # An edge within a cell divides it; otherwise bins about as wide as cells would look like the teeth of a comb.
        place = min(max(0.0, log(limit_s) * _PER_CELL + _OFFSET), _CELLS)
        cell = int(place)
        return sum(self._cells[:cell]) + sum(round(count * (place - cell)) for count in self._cells[cell : cell + 1])


def _coarse_sum(one: list[int] | None, other: list[int] | None) -> list[int] | None:
    """Add two coarse histograms; None has no durations."""
    if one is None or other is None:
        return one or other
    return [left + right for left, right in zip(one, other, strict=True)]


def _percentile(counts: Sequence[int], percent: float, width: float) -> float | None:
    up_to = [*accumulate(counts)]
    if not up_to or not up_to[-1]:
        return None
    rank = max(1, -(-up_to[-1] * percent // 100))  # the nearest rank, from 1
    return _SHORTEST_S * exp((bisect_left(up_to, rank) + 0.5) * width)


@frozen(kw_only=True)
class Span:
    """One stretch of the run."""

    start_s: float
    """From the start of the run."""
    width_s: float
    """How long it is; the last one may be cut short by the end of the run."""
    ok: int
    """Rows done."""
    before: int
    """Rows that were done in an earlier session."""
    other: int
    """Rows with another outcome."""
    throttled: int
    """429s."""
    retries: int
    """Requests of those rows beyond the first of each."""
    p50_s: float | None
    """The server's time that half of the rows did not exceed; None if none was measured."""
    p95_s: float | None
    """The same for 95 % of them."""

    @property
    def rows(self) -> int:
        """Rows that had their outcome."""
        return self.ok + self.before + self.other


class Timeline:
    """Rows, retries, 429s and the server's time, each in the span in which it was recorded.

    A run has at most a few hundred spans of one width, which doubles as the run grows; totals never change.
    """

    def __init__(self, start_s: float) -> None:
        self.width_s: float = _FIRST_WIDTH_S
        """How long a span is at present."""
        self._start_s = start_s
        self._per_s = 1 / _FIRST_WIDTH_S
        self._ok: list[int] = []
        self._before: list[int] = []
        self._other: list[int] = []
        self._throttled: list[int] = []
        self._retries: list[int] = []
        self._latencies: list[list[int] | None] = []

    def add(self, now_s: float, *, is_ok: bool, is_before: bool = False, cell: int = NO_CELL) -> None:
        """Record a row that has its outcome now, and the cell of its duration."""
        at = int((now_s - self._start_s) * self._per_s)
        if not 0 <= at < len(self._ok):
            at = self._reach(now_s)
        if not is_ok:
            (self._before if is_before else self._other)[at] += 1
            return
        self._ok[at] += 1
        if cell >= 0:
            counts = self._latencies[at]
            if counts is None:
                counts = self._latencies[at] = [0] * _COARSE_CELLS
            counts[cell // _FINE_PER_COARSE] += 1

    def add_throttled(self, now_s: float, count: int) -> None:
        """Record 429s that were reported now."""
        at = self._reach(now_s)  # first: it may replace these lists
        self._throttled[at] += count

    def add_retries(self, now_s: float, count: int) -> None:
        """Record the retries of a row that has its outcome now."""
        at = self._reach(now_s)
        self._retries[at] += count

    @property
    def length_s(self) -> float:
        """How far the spans reach."""
        return len(self._ok) * self.width_s

    def spans(self, end_s: float, most: int = MOST_SPANS) -> list[Span]:
        """Return the run up to ``end_s`` (from its start) in at most ``most`` spans of one width, none left out."""
        if end_s > self.length_s:
            self._reach(self._start_s + end_s)
        together = 1
        while len(self._ok) > most * together:
            together *= 2
        return [self._span(first, together, end_s) for first in range(0, len(self._ok), together)]

    def _span(self, first: int, together: int, end_s: float) -> Span:
        past = first + together
        latencies = None
        for counts in self._latencies[first:past]:
            latencies = _coarse_sum(latencies, counts)
        start_s = first * self.width_s
        coarse = _CELL_WIDTH * _FINE_PER_COARSE
        # The rest of a span at the end of the run can be next to nothing, and a rate over that means nothing.
        width_s = max(min(together * self.width_s, end_s - start_s), self.width_s / 2)
        return Span(
            start_s=start_s,
            width_s=width_s,
            ok=sum(self._ok[first:past]),
            before=sum(self._before[first:past]),
            other=sum(self._other[first:past]),
            throttled=sum(self._throttled[first:past]),
            retries=sum(self._retries[first:past]),
            p50_s=_percentile(latencies or (), 50, coarse),
            p95_s=_percentile(latencies or (), 95, coarse),
        )

    def _reach(self, now_s: float) -> int:
        """Make the spans reach a moment and return its place; a moment before the start counts as the start."""
        passed_s = max(0.0, now_s - self._start_s)
        while passed_s >= MOST_SPANS * self.width_s:
            self._double()
        at = int(passed_s * self._per_s)
        if (missing := at + 1 - len(self._ok)) > 0:
            for counts in (self._ok, self._before, self._other, self._throttled, self._retries):
                counts.extend([0] * missing)
            self._latencies.extend([None] * missing)
        return at

    def _double(self) -> None:
        counts = self._ok, self._before, self._other, self._throttled, self._retries
        self._ok, self._before, self._other, self._throttled, self._retries = map(_pair_sums, counts)
        evens, odds = _pairs(self._latencies, None)
        self._latencies = [_coarse_sum(even, odd) for even, odd in zip(evens, odds, strict=True)]
        self.width_s *= 2
        self._per_s /= 2


def _pairs(items: list[T], padding: T) -> tuple[list[T], list[T]]:
    even = items + [padding] * (len(items) % 2)
    return even[::2], even[1::2]


def _pair_sums(counts: list[int]) -> list[int]:
    return [*map(int.__add__, *_pairs(counts, 0))]
