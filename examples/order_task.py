"""A task that orders kits for a cohort, for a scheduler that tries tasks again: each order is placed once, at any try.

To try it:

    $ pip install '.[cli]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ echo '{"key": "P-001", "order": {"kit_types": ["health_kit_1"], "recipient": {…}}}' > orders.jsonl
    $ python examples/order_task.py 2024-02-09 orders.jsonl /var/lib/our-orders

All tries of a run name the same folder, on a disk that outlives the worker. Exit codes: 0 all is placed, 75 (as in
``sysexits.h``) try again later, 1 a person is needed.
"""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spotdx_async import (
    BulkStopped,
    DecodeError,
    InvalidInputError,
    JournalError,
    NewOrder,
    RateLimit,
    SpotClient,
    StatusError,
    loads,
    read_journal,
)


class TryAgainLaterError(Exception):
    """The next try goes on where this one has ended."""


def read(path: Path) -> Iterator[tuple[str, NewOrder] | InvalidInputError]:
    """Yield the orders, in any order: rows are known by their keys."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                key, order = row["key"], loads(json.dumps(row["order"]), NewOrder)
            except DecodeError as error:
                yield InvalidInputError(str(error))
            except (ValueError, LookupError, TypeError):
                if not line.isspace():
                    yield InvalidInputError(f'line {number} is not of the form {{"key": "…", "order": {{…}}}}')
            else:
                yield key, order


async def place_orders(run_id: str, path: Path, folder: Path) -> Counter[str]:
    """Place what earlier tries have not placed; a RuntimeError says that another try would end in the same way."""
    counts, journal = Counter[str](), folder / f"{run_id}.journal"
    try:
        async with SpotClient(rate_limit=RateLimit(20)) as spot:
            run = spot.orders.create_many(read(path), batch=run_id, journal=journal)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.stop)  # the scheduler's time limit, say
            async with run:
                async for outcome in run:
                    is_refused = outcome.state == "failed" and isinstance(outcome.error, StatusError)
                    counts["done" if outcome.is_done else "refused" if is_refused else outcome.state] += 1
                    if not outcome.is_done:
                        print(f"row {outcome.index}: {outcome.state}: {outcome.error}")
    except BulkStopped as stopped:
        raise TryAgainLaterError(str(stopped)) from None
    except JournalError as error:
        raise (TryAgainLaterError if error.reason == "in use" else RuntimeError)(str(error)) from None
    if counts["unknown"] + counts["failed"] or read_journal(journal).ending != "complete":
        raise TryAgainLaterError(f"not all is placed: {dict(counts)}")
    if counts["rejected"] + counts["refused"] or run.duplicates:
        raise RuntimeError(f"{dict(counts)}; placed twice: {run.duplicates}")
    return counts


if __name__ == "__main__":
    try:
        print(dict(asyncio.run(place_orders(sys.argv[1], *map(Path, sys.argv[2:])))))
    except TryAgainLaterError as later:
        print(later)
        sys.exit(75)
