"""A Prefect flow: what has changed goes into a mirror, and from there into Parquet files.

To try it, in an environment of its own:

    $ pip install '.[cli,parquet]' prefect    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ mkdir spot; export SPOT_FOLDER=$PWD/spot
    $ python examples/prefect_flow.py    # with a server of Prefect that ends with it
    $ python examples/prefect_flow.py    # brings only what has changed since

For every night: ``spot_results.serve(cron="0 3 * * *", limit=1)``, since a second run would find the mirror in use.
"""

import asyncio
import os
from pathlib import Path

os.environ.setdefault("DO_NOT_TRACK", "1")  # both before Prefect is imported, which is an event already
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

from prefect import flow, task

from spotdx_async import SpotClient
from spotdx_async.mirror import Mirror

FOLDER = Path(os.environ.get("SPOT_FOLDER", "/data"))
RETRY_S = 60


@task(retries=3, retry_delay_seconds=RETRY_S)
async def pull() -> int:
    """Bring the mirror up to date; return how many kits have changed."""
    async with SpotClient() as spot:
        return (await Mirror(FOLDER / "spot.db").pull(spot)).kits.delivered


@task(retries=3, retry_delay_seconds=RETRY_S)
def export() -> None:
    """Write the tables, each whole or not at all."""
    Mirror(FOLDER / "spot.db").export(FOLDER / "tables")


@flow
async def spot_results() -> int:
    """Pull, then export; each is tried again by itself, and repeats nothing that is done."""
    delivered: int = await pull()
    await asyncio.to_thread(export)
    return delivered


if __name__ == "__main__":
    asyncio.run(spot_results())
