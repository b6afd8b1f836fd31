"""A dlt source: what has changed, as tables, merged into DuckDB, Postgres, BigQuery or wherever dlt loads.

To try it:

    $ pip install '.[cli]' 'dlt[duckdb]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ python examples/dlt_source.py
    $ python examples/dlt_source.py    # loads only what has changed since

Another destination is another word: ``destination="postgres"`` or ``"bigquery"``, with its credentials where dlt wants
them. The cursor is in dlt's state, which is stored together with the rows: a load that fails is repeated from where the
last one that succeeded has ended.
"""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")  # before dlt is imported

import dlt

from spotdx_async import SpotClient
from spotdx_async.tables import TABLES, kit_rows, order_rows, requisition_rows

TYPES = {"integer": "bigint", "real": "double", "boolean": "bool", "instant": "timestamp"}  # others: the same word


@dlt.source(name="spot")
def spot_source() -> Iterator[Any]:
    """Kits, orders and requisitions, without patient data."""
    for noun in ("kits", "orders", "requisitions"):
        yield dlt.resource(changes, name=noun)(noun)


async def changes(noun: str) -> AsyncIterator[Any]:
    """Yield the rows of every object that has changed since the last load, table by table."""
    state = dlt.current.resource_state()
    async with SpotClient() as spot:
        async for batch in getattr(spot, noun).changes(state.get("cursor")):
            for item, summary in batch.pairs():
                tables = rows_of(noun, item, summary)
                for table, rows in tables.items():
                    found = [dict(zip(TABLES[table].safe_names, row, strict=False), is_gone=False) for row in rows]
                    found = found or [none_left(table, noun, tables[noun][0][0])]
                    yield dlt.mark.with_hints(found, hints_of(table), create_table_variant=True)
            state["cursor"] = batch.cursor


def rows_of(noun: str, item: Any, summary: Any) -> dict[str, Any]:
    """Return the rows of one object, by table; those of its kind have its id first."""
    if noun == "kits":
        return kit_rows(item, summary=summary)
    return order_rows(item) if noun == "orders" else requisition_rows(item)


def none_left(table: str, noun: str, an_id: Any) -> dict[str, Any]:
    """Return a row that is not loaded: for its sake dlt removes those that an object had, and has no more."""
    filler: dict[str, Any] = {"text": an_id, "integer": -1, "boolean": False}
    row = {column.name: filler[column.type] for column in TABLES[table].columns if not column.nullable}
    return {**row, **({"source": noun[:-1]} if table == "results" else {}), "is_gone": True}


def hints_of(name: str) -> Any:
    """Describe a table to dlt: all rows of an object are replaced when one of them comes."""
    table = TABLES[name]
    columns: Any = {
        column.name: {"data_type": TYPES.get(column.type, column.type), "nullable": column.nullable}
        for column in table.columns
        if not column.is_phi
    }
    columns["is_gone"] = {"data_type": "bool", "hard_delete": True}
    keys: Any = {"primary_key": table.primary_key, "merge_key": table.owner}
    return dlt.mark.make_hints(table_name=name, write_disposition="merge", columns=columns, **keys)


if __name__ == "__main__":
    pipeline = dlt.pipeline("spot_pull", destination="duckdb", dataset_name="spot")
    print(pipeline.run(spot_source()))
