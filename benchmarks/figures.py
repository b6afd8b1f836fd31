"""A figure that a bench measured with the bar that it should keep, and the file in which a bench leaves its figures."""

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rounds import Spread

RATE = "requests per CPU second, {concurrency} at once: {title}"
TIMES = "ours / {title}, requests per CPU second, {concurrency} at once"
"""The names of the picture's figures, to be filled."""
Direction = Literal["at most", "at least"]


@dataclass(frozen=True)
class Figure:
    """One row of the results."""

    name: str
    value: float | None
    """The median; None: it could not be measured, and ``note`` says why."""
    low: float | None = None
    """The lower quartile."""
    high: float | None = None
    """The upper quartile."""
    unit: str = ""
    bar: float | None = None
    """None: it is told for the picture alone."""
    direction: Direction | None = None
    """On which side of the bar the value should be."""
    note: str = ""

    @property
    def is_kept(self) -> bool | None:
        """Whether the bar is kept; None: there is nothing to judge."""
        if self.value is None or self.bar is None:
            return None
        return self.value <= self.bar if self.direction == "at most" else self.value >= self.bar


def figure(
    name: str,
    value: Spread | float,
    unit: str = "",
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    note: str = "",
) -> Figure:
    """Make a figure of what was measured and at most one bar."""
    found = value if isinstance(value, Spread) else Spread(value, value, value)
    bar = at_most if at_most is not None else at_least
    direction: Direction | None = None if bar is None else "at most" if at_most is not None else "at least"
    return Figure(name, found.middle, found.low, found.high, unit, bar, direction, note)


def not_measured(name: str, reason: str) -> Figure:
    """Make the row of a figure that could not be measured."""
    return Figure(name, None, note=reason)


def options_of(doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Make a parser of what every bench takes."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", type=Path, metavar="FILE", help="leave the figures in this file as well")
    return parser


def leave(figures: Iterable[Figure], path: Path | None) -> None:
    """Write the figures, where a file is given."""
    if path is not None:
        path.write_text(json.dumps([asdict(one) for one in figures], ensure_ascii=False, indent=1), encoding="utf-8")


def read(entries: Iterable[Mapping[str, Any]]) -> list[Figure]:
    """Make figures of the entries of a file; what they say beyond a figure is left out."""
    known = Figure.__dataclass_fields__
    return [Figure(**{name: value for name, value in one.items() if name in known}) for one in entries]
