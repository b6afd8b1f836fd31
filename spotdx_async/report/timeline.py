"""What happened when: at most a few hundred spans of one width, which doubles as the run grows; totals never change."""

from typing import TypeVar

from attrs import frozen

from spotdx_async.report.histogram import COARSE_CELLS, NO_CELL, coarse_of, coarse_percentile, coarse_sum

__all__ = ["MOST_SPANS", "Span", "Timeline"]

MOST_SPANS = 600
_FIRST_WIDTH_S = 0.125

T = TypeVar("T")


@frozen(kw_only=True)
class Span:
    """One stretch of the run."""

    start_s: float
    """From the start of the run."""
    width_s: float
    """How long it is; the last one may be cut short by the end of the run."""
    ok: int
    """Rows done."""
    other: int
    """Rows with another outcome."""
    throttled: int
    """429s."""
    p50_s: float | None
    """The server's time that half of the rows did not exceed; None where none was measured."""
    p95_s: float | None
    """The same for 95 % of them."""


class Timeline:
    """Rows, 429s and the server's time, each in the span in which it was told."""

    def __init__(self, start_s: float) -> None:
        self.width_s: float = _FIRST_WIDTH_S
        """How long a span is by now."""
        self._start_s = start_s
        self._per_s = 1 / _FIRST_WIDTH_S
        self._ok: list[int] = []
        self._other: list[int] = []
        self._throttled: list[int] = []
        self._latencies: list[list[int] | None] = []

    def add(self, now_s: float, *, is_ok: bool, cell: int = NO_CELL) -> None:
        """Enter a row that has its outcome now, and the cell of its duration."""
        at = int((now_s - self._start_s) * self._per_s)
        if not 0 <= at < len(self._ok):
            at = self._reach(now_s)
        if not is_ok:
            self._other[at] += 1
            return
        self._ok[at] += 1
        if cell >= 0:
            counts = self._latencies[at]
            if counts is None:
                counts = self._latencies[at] = [0] * COARSE_CELLS
            counts[coarse_of(cell)] += 1

    def add_throttled(self, now_s: float, count: int) -> None:
        """Enter 429s that were told now."""
        self._throttled[self._reach(now_s)] += count

    @property
    def length_s(self) -> float:
        """How far the spans reach."""
        return len(self._ok) * self.width_s

    def spans(self, end_s: float, most: int = MOST_SPANS) -> list[Span]:
        """Give the run up to ``end_s`` (from its start) in at most ``most`` spans of one width, none left out."""
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
            latencies = coarse_sum(latencies, counts)
        start_s = first * self.width_s
        # What is left of a span at the end of the run can be next to nothing, and a rate over that next to anything.
        width_s = max(min(together * self.width_s, end_s - start_s), self.width_s / 2)
        return Span(
            start_s=start_s,
            width_s=width_s,
            ok=sum(self._ok[first:past]),
            other=sum(self._other[first:past]),
            throttled=sum(self._throttled[first:past]),
            p50_s=coarse_percentile(latencies or (), 50),
            p95_s=coarse_percentile(latencies or (), 95),
        )

    def _reach(self, now_s: float) -> int:
        """Make the spans reach a moment and give its place; a moment before the start counts as the start."""
        passed_s = max(0.0, now_s - self._start_s)
        while passed_s >= MOST_SPANS * self.width_s:
            self._double()
        at = int(passed_s * self._per_s)
        if (missing := at + 1 - len(self._ok)) > 0:
            for counts in (self._ok, self._other, self._throttled):
                counts.extend([0] * missing)
            self._latencies.extend([None] * missing)
        return at

    def _double(self) -> None:
        self._ok, self._other, self._throttled = map(_pair_sums, (self._ok, self._other, self._throttled))
        evens, odds = _pairs(self._latencies, None)
        self._latencies = [coarse_sum(even, odd) for even, odd in zip(evens, odds, strict=True)]
        self.width_s *= 2
        self._per_s /= 2


def _pairs(items: list[T], padding: T) -> tuple[list[T], list[T]]:
    even = items + [padding] * (len(items) % 2)
    return even[::2], even[1::2]


def _pair_sums(counts: list[int]) -> list[int]:
    return [*map(int.__add__, *_pairs(counts, 0))]
