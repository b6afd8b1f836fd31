"""Scales of a chart as pure functions: round ticks (1, 2, 5), shares of an axis, bin edges, and units of time."""

from math import ceil, floor, isfinite, log10
from typing import Self

import attrs
from attrs import frozen

_ROUND = (1.0, 2.0, 5.0)
_PREFERRED = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)
"""Ten round numbers a decade (R10 of ISO 3), each about 1.26 times the one before."""
_WIDE_RANGE = 8
_MOST_BINS, _LEAST_BINS = 32, 6
_MOST_PREFERRED = 50
_LEAST_BIN_WIDTH = 0.02
"""Least width of a bin, as a share of its upper edge: durations are known to 2 %, and narrower bins would show the
storage cells."""
_MINUTES_FROM_S, _HOURS_FROM_S = 180, 3 * 3600


@frozen
class Scale:
    """An axis: its two ends and its ticks, in ascending order."""

    low: float
    high: float
    ticks: tuple[float, ...]
    is_log: bool = False

    def share(self, value: float) -> float:
        """Return how far along the axis a value is, from 0 to 1; one beyond an end is at that end."""
        if value <= self.low:
            return 0.0
        if value >= self.high:
            return 1.0
        if self.is_log:
            return log10(value / self.low) / log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def times(self, factor: float) -> Self:
        """Return the same axis in another unit, ``factor`` of which make one of this axis's units."""
        ticks = tuple(tick * factor for tick in self.ticks)
        return attrs.evolve(self, low=self.low * factor, high=self.high * factor, ticks=ticks)


def linear(high: float, most: int, *, low: float = 0.0, least_step: float = 0.0, is_rounded: bool = True) -> Scale:
    """Return a linear scale with at most ``most + 1`` ticks; without any extent it is one unit long.

    Args:
        high: the largest value.
        most: the most steps between ticks.
        low: the smallest value.
        least_step: the smallest step, such as 1 for counts.
        is_rounded: whether the axis ends at a tick; otherwise it ends at ``high``.

    Raises:
        ValueError: a bound is not finite.
    """
    if not (isfinite(low) and isfinite(high)):
        raise ValueError("a scale needs finite bounds")
    if high - low < max(abs(high), 1.0) * 1e-9:  # practically nothing, and floats have no steps in between
        high = low + max(1.0, least_step, abs(low) * 1e-3)
    step = max(_step(high - low, most), least_step)
    end = ceil(high / step - 1e-9) if is_rounded else floor(high / step + 1e-9)
    ticks = tuple(_tidy(at * step) for at in range(ceil(low / step - 1e-9), end + 1))
    return Scale(low, ticks[-1] if is_rounded else high, ticks)


def logarithmic(low: float, high: float, most: int) -> Scale:
    """Return a logarithmic scale from 1, 2 or 5 times a power of ten to another, with at most ``most`` ticks.

    Raises:
        ValueError: a bound is not finite, or not above zero.
    """
    _refuse(low, high)
    marks = _marks(_ROUND, low, high)
    ticks = marks if len(marks) <= most else [mark for mark in marks if _is_power_of_ten(mark)]
    apart = max(1, -(-len(ticks) // most))
    return Scale(marks[0], marks[-1], tuple(ticks[::apart]), is_log=True)


def bins(low: float, high: float) -> Scale:
    """Return a scale whose ticks are the round edges of about 6 to 50 bins that hold all values from low to high.

    Bins are equally wide if the values are of one order of magnitude. Otherwise each edge is the same multiple of the
    one before, as nearly as round numbers allow.

    Raises:
        ValueError: a bound is not finite, or not above zero.
    """
    _refuse(low, high)
    is_log = high > _WIDE_RANGE * low
    if is_log:
        edges = _marks(_PREFERRED, low, high)
        edges = edges if len(edges) <= _MOST_PREFERRED + 1 else _marks(_ROUND, low, high)
    else:
        width = max(_step(high - low, _MOST_BINS), _step(high * _LEAST_BIN_WIDTH, 1))
        first, last = floor(low / width + 1e-9), ceil(high / width - 1e-9)
        while last - first < _LEAST_BINS:
            first, last = max(0, first - 1), last + 1
        edges = [_tidy(at * width) for at in range(first, last + 1)]
    return Scale(edges[0], edges[-1], tuple(edges), is_log)


def time_unit(elapsed_s: float) -> tuple[str, float]:
    """Return the unit that suits a run of this length, and its seconds."""
    if elapsed_s < _MINUTES_FROM_S:
        return "seconds", 1.0
    return ("minutes", 60.0) if elapsed_s < _HOURS_FROM_S else ("hours", 3600.0)


def _step(span: float, most: int) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that fills the span in at most ``most`` steps."""
    least = max(span / most, 1e-12)
    power = 10.0 ** floor(log10(least))
    return next(power * factor for factor in (*_ROUND, 10.0, 20.0) if power * factor >= least * (1 - 1e-9))


def _marks(factors: tuple[float, ...], low: float, high: float) -> list[float]:
    """Return factors times powers of ten, from the last not above ``low`` to the first not below ``high``."""
    powers = range(floor(log10(low)) - 1, ceil(log10(high)) + 2)
    marks = [_tidy(factor * 10.0**power) for power in powers for factor in factors]
    first = max(at for at, mark in enumerate(marks) if mark <= low * (1 + 1e-9))
    last = min(at for at, mark in enumerate(marks) if mark >= high * (1 - 1e-9))
    return marks[first : max(last, first + 1) + 1]


def _is_power_of_ten(value: float) -> bool:
    return abs(log10(value) - round(log10(value))) < 1e-6  # noqa: PLR2004 - float rounding


def _tidy(value: float) -> float:
    """Drop float rounding errors, as in 0.30000000000000004."""
    return float(f"{value:.12g}")


def _refuse(low: float, high: float) -> None:
    if not (0 < low <= high and isfinite(high)):
        raise ValueError("a scale of multiples needs finite bounds, 0 < low <= high")
