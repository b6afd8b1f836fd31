"""ETL: rows from SQLite databases and Parquet files, a journal that resumes a killed run, and a page about the run.

To try it:

    $ pip install '.[cli,parquet]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ python examples/etl_worker.py night cohorts.db more.parquet

A database has a table ``cohorts`` with ``kit_id`` and ``cohort``; a Parquet file a column ``kit_id``, and one for each
key. ``night.journal`` and ``night.html`` are written; the same command again goes on where it was.
Exit codes: 0 everything is done, 1 rows are left over, 3 stopped: give the same command again.
"""

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from spotdx_async import BulkStopped, InvalidInputError, MetadataUpdate, RateLimit, SpotClient
from spotdx_async.files import BadRow, open_rows
from spotdx_async.report import RunStory, write_report


def read(path: Path) -> Iterator[MetadataUpdate | InvalidInputError]:
    """Yield the rows one by one, each time in the same order, so that the journal can tell them apart."""
    if path.suffix == ".parquet":
        with open_rows(path) as rows:
            for row in rows:
                if isinstance(row, BadRow):
                    yield InvalidInputError(row.reason)
                else:
                    yield MetadataUpdate(row.key, row.metadata)
        return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        for kit_id, cohort in database.execute("SELECT kit_id, cohort FROM cohorts ORDER BY rowid"):
            yield MetadataUpdate(kit_id, {"cohort": cohort})


async def work(name: str, paths: list[Path]) -> int:
    """Send all rows; print which are not done, by their number and never what is in them."""
    loop = asyncio.get_running_loop()
    run_stats, stopped = RunStory({"inputs": len(paths), "rate": 50}, loop.time()), None
    async with SpotClient(rate_limit=RateLimit(50)) as spot:
        run = spot.kits.update_metadata_many(
            (row for path in paths for row in read(path)),
            journal=f"{name}.journal",
            decode=False,  # nobody looks at the kits
            progress=lambda progress: run_stats.note(progress, loop.time()),
        )

        def stop() -> None:
            nonlocal stopped
            stopped = "by a signal"
            run.stop()  # what is under way is finished, the rest is for the next time

        loop.add_signal_handler(signal.SIGTERM, stop)
        try:
            async with run:  # it ends here however the loop is left: the journal and the database are free then
                async for outcome in run:
                    run_stats.add(outcome, loop.time())
                    if not outcome.is_done and outcome.state != "skipped":
                        print(f"row {outcome.index}: {outcome.state}: {outcome.error}")
        except BulkStopped as error:
            stopped = str(error)
    run_stats.finish(loop.time(), stopped)
    write_report(f"{name}.html", run_stats)
    print(", ".join(f"{count} {state}" for state, count in run_stats.counts.items() if count), stopped or "")
    if stopped:
        return 3
    return int(any(run_stats.counts[state] for state in ("rejected", "failed", "unknown")))


if __name__ == "__main__":
    sys.exit(asyncio.run(work(sys.argv[1], [Path(name) for name in sys.argv[2:]])))
