"""Dask: a bulk run on the workers of a cluster, or on two processes of this machine where no address is given.

To try it:

    $ pip install '.[cli,dask]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123 --kits 1000    # in another terminal; then set the two variables that it prints
    $ python examples/dask_run.py kits.csv [tcp://scheduler:8786]

Each worker takes the token and the server from its own environment, which the processes of this machine inherit.
"""

import asyncio
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from spotdx_async import MetadataUpdate, RateLimit
from spotdx_async.distributed import RunReport, connected, update_metadata_distributed


def read(path: str) -> Iterator[MetadataUpdate]:
    """Yield the rows of a CSV file; all rows of a kit come to one worker, in their order."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield MetadataUpdate(row.pop("kit_id"), row)


async def spread(path: str, address: str | None) -> RunReport:
    """Run; 50 requests a second are what all workers send together."""
    async with connected(address, None if address else 2) as client:
        return await update_metadata_distributed(read(path), client=client, limit=RateLimit(50, burst=50))


def main(path: str, address: str | None = None) -> int:
    """Print the counts; the exit code says whether everything is done."""
    report = asyncio.run(spread(path, address))
    print(", ".join(f"{count} {state}" for state, count in report.counts.items() if count))
    return int(not report.is_done)


if __name__ == "__main__":  # a must: the worker processes import this file
    sys.exit(main(*sys.argv[1:]))
