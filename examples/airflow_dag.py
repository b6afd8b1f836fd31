"""An Airflow DAG: every night what has changed goes into a mirror, and from there into Parquet files.

To try it, in an environment of its own:

    $ pip install '.[cli,parquet]' apache-airflow    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ mkdir spot; export SPOT_FOLDER=$PWD/spot AIRFLOW_HOME=$PWD/airflow AIRFLOW__CORE__DAGS_FOLDER=$PWD/examples
    $ export AIRFLOW__CORE__LOAD_EXAMPLES=False
    $ airflow db migrate
    $ python examples/airflow_dag.py    # a run of the DAG, in this process
    $ python examples/airflow_dag.py    # brings only what has changed since

Airflow 3 has no telemetry of its own. In production the file goes into the folder of DAGs, and the workers need the
variables. All of them must see ``SPOT_FOLDER``, on a disk with real locks.
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task

from spotdx_async import SpotClient
from spotdx_async.mirror import Mirror

FOLDER = Path(os.environ.get("SPOT_FOLDER", "/data"))
RETRY_S = 60


# One run at a time: a second one would find the mirror in use.
@dag(schedule="0 3 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, max_active_runs=1)
def spot_results() -> None:
    """Pull, then export; each is tried again by itself, and repeats nothing that is done."""

    @task(retries=3, retry_delay=timedelta(seconds=RETRY_S))
    def pull() -> int:
        async def main() -> int:
            async with SpotClient() as spot:
                return (await Mirror(FOLDER / "spot.db").pull(spot)).kits.delivered

        return asyncio.run(main())

    @task(retries=3, retry_delay=timedelta(seconds=RETRY_S))
    def export() -> None:
        Mirror(FOLDER / "spot.db").export(FOLDER / "tables")

    pull() >> export()


found = spot_results()

if __name__ == "__main__":
    raise SystemExit(found.test().state != "success")
