"""Dagster assets: a mirror, brought up to date with what has changed, and the Parquet files that are made of it.

To try it, in an environment of its own:

    $ pip install '.[cli,parquet]' dagster    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ mkdir spot home; export SPOT_FOLDER=$PWD/spot DAGSTER_HOME=$PWD/home
    $ echo 'telemetry: {enabled: false}' > home/dagster.yaml    # read by its daemon and its web server as well
    $ python examples/dagster_assets.py    # materializes both assets, in this process
    $ python examples/dagster_assets.py    # brings only what has changed since
"""

import asyncio
import os
from pathlib import Path

import dagster

from spotdx_async import SpotClient
from spotdx_async.mirror import Mirror

FOLDER = Path(os.environ.get("SPOT_FOLDER", "/data"))
RETRY_S = 60
RETRIES = dagster.RetryPolicy(max_retries=3, delay=RETRY_S, backoff=dagster.Backoff.EXPONENTIAL)


@dagster.asset(retry_policy=RETRIES, pool="spot_mirror")
def spot_mirror() -> dagster.MaterializeResult:
    """Bring the mirror up to date: a second try goes on where the first has ended."""

    async def main() -> int:
        async with SpotClient() as spot:
            return (await Mirror(FOLDER / "spot.db").pull(spot)).kits.delivered

    return dagster.MaterializeResult(metadata={"kits": asyncio.run(main())})


@dagster.asset(deps=[spot_mirror], retry_policy=RETRIES)
def spot_tables() -> dagster.MaterializeResult:
    """Write the tables, each whole or not at all."""
    return dagster.MaterializeResult(metadata={"files": len(Mirror(FOLDER / "spot.db").export(FOLDER / "tables"))})


nightly = dagster.ScheduleDefinition(name="nightly", target="*", cron_schedule="0 3 * * *")
definitions = dagster.Definitions(assets=[spot_mirror, spot_tables], schedules=[nightly])

if __name__ == "__main__":
    dagster.materialize([spot_mirror, spot_tables], instance=dagster.DagsterInstance.get())
