"""DuckDB over a mirror, or over the Parquet files that were exported from it: the share of results out of range.

To try it:

    $ pip install '.[cli,parquet]' duckdb    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ spotdx mirror pull spot.db && spotdx mirror export spot.db tables/
    $ python examples/duckdb_query.py spot.db    # or tables/
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import duckdb

QUESTION = """
    SELECT name, count(*) AS results, round(avg((flag IN ('low', 'high', 'positive'))::INT) * 100, 1) AS percent_flagged
    FROM current_results WHERE flag IS NOT NULL GROUP BY name ORDER BY percent_flagged DESC, name
"""


def ask(place: Path) -> list[tuple[str, int, float]]:
    """Return for each biomarker how many current results have a flag, and how many of those are out of range."""
    with duckdb.connect() as database:
        if place.is_dir():
            database.read_parquet(str(place / "results.parquet")).create("results")
            database.execute("CREATE VIEW current_results AS SELECT * FROM results WHERE is_current")
        else:
            # Read by Python's own SQLite: DuckDB would have to download its extension for that.
            with closing(sqlite3.connect(f"{place.absolute().as_uri()}?mode=ro", uri=True)) as mirror:
                rows = mirror.execute("SELECT name, flag FROM current_results").fetchall()
            database.execute("CREATE TABLE current_results(name VARCHAR, flag VARCHAR)")
            database.executemany("INSERT INTO current_results VALUES (?, ?)", rows)
        return database.execute(QUESTION).fetchall()


if __name__ == "__main__":
    for name, results, percent in ask(Path(sys.argv[1])):
        print(f"{name}: {percent} % of {results}")
