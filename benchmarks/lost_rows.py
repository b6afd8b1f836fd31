"""How many rows does a list lose that is read by offset while its objects change?

A simulation without a server: a list is read in pages of 100 while 20 objects change between two pages, some by a new
``updated`` alone, some by a new status. Counted are the rows that matched the filter when the reading began, that did
not change, and that no page has shown::

    python benchmarks/lost_rows.py [--rows 1800] [--passes 200] [--changes 20] [--json FILE]
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from figures import figure, leave, options_of

PAGE = 100


@dataclass
class Row:
    """An object of the list."""

    number: int
    updated: int
    """The number of the change that it saw last."""
    status: str


Matches = Callable[[Row], bool]


def main() -> None:
    """Simulate, and print a table."""
    parser = options_of(__doc__, rounds=1)
    parser.add_argument("--rows", type=int, default=1800)
    parser.add_argument("--passes", type=int, default=200)
    parser.add_argument("--changes", type=int, default=20)
    options = parser.parse_args()
    filters: dict[str, Matches] = {
        "updated_after": lambda row: row.updated >= 0,
        "updated_before": lambda row: row.updated <= 0,
        "status": lambda row: row.status == "open",
        "no filter": lambda _row: True,
    }
    found = []
    for name, matches in filters.items():
        lost = mean(lost_of_a_pass(matches, random.Random(seed), options) for seed in range(options.passes))
        print(f"{name:>15}: {lost:6.1f} of {options.rows:,} rows lost a pass")
        found.append(figure(f"rows of {options.rows:,} lost a pass, {name}", lost))
    leave(found, options.json)


def lost_of_a_pass(matches: Matches, chance: random.Random, options: argparse.Namespace) -> int:
    """Read the list once; return how many unchanged rows no page has shown."""
    rows = [Row(number, 0, "open") for number in range(options.rows)]
    expected, shown, changed = {row.number for row in rows if matches(row)}, set(), set()
    offset, clock = 0, 0
    while page := [row for row in rows if matches(row)][offset : offset + PAGE]:
        shown |= {row.number for row in page}
        offset += PAGE
        for row in chance.sample(rows, options.changes):
            clock += 1
            row.updated = clock
            row.status = chance.choice(("open", "closed"))
            changed.add(row.number)
    return len(expected - shown - changed)


if __name__ == "__main__":
    main()
