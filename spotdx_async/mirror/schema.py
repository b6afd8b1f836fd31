"""The SQLite schema of a mirror, made from ``TABLES``; the only place that writes DDL."""

from collections.abc import Iterator
from typing import Final

from spotdx_async.tables import TABLES, Column, ColumnType, Table

APPLICATION_ID: Final = 0x53504D31  # "SPM1"
VERSION: Final = 1
"""Of the schema. A new one adds an entry to ``MIGRATIONS``, by which a pull brings an older file up to date."""

MIGRATIONS: Final[dict[int, tuple[str, ...]]] = {}
"""The statements that lead from a version to the next one."""


def _figure(name: str, doc: str) -> Column:
    return Column(name=name, type="integer", doc=doc, is_phi=False, nullable=False)


PULLS: Final = Table(
    name="pulls",
    doc="One pull of a mirror: there and in its exports alone, not in ``TABLES``.",
    columns=(
        _figure("pull_id", "Its number, from 1."),
        Column(
            name="began", type="instant", doc="When it began, by this machine's clock.", is_phi=False, nullable=False
        ),
        Column(name="ended", type="instant", doc="When it was complete; null if it was not.", is_phi=False),
        Column(name="is_sweep", type="boolean", doc="Whether it got every object again.", is_phi=False, nullable=False),
        _figure("kits", "Kits whose rows it has written."),
        _figure("orders", "Orders whose rows it has written."),
        _figure("requisitions", "Requisitions whose rows it has written."),
        _figure("gets", "Objects that it has got."),
        _figure("lists", "Pages of lists that it has fetched."),
        _figure("unread", "Objects that changed and could not be got."),
        _figure("untold", "In a sweep: objects that had changed although the list did not show it."),
    ),
    primary_key=("pull_id",),
    owner=("pull_id",),
)
"""What the file tells of its own pulls: other than the rest, it depends on when and how they were made."""

_TYPES: Final[dict[ColumnType, str]] = {
    "text": "TEXT",
    "integer": "INTEGER",
    "real": "REAL",
    "boolean": "INTEGER",
    "instant": "TEXT",
    "date": "TEXT",
    "json": "TEXT",
}
_OWN: Final = (
    # One row: whether there is patient data, and the key of the pseudonyms of patients.
    "CREATE TABLE mirror(phi INTEGER NOT NULL, pseudonym_key BLOB)",
    """CREATE TABLE cursors(noun TEXT NOT NULL PRIMARY KEY, cursor TEXT NOT NULL) WITHOUT ROWID""",
    # The mark says which state of the report the file is of; without a digest there was no file.
    """CREATE TABLE report_files(
        source TEXT NOT NULL, source_id TEXT NOT NULL, report_seq INTEGER NOT NULL, mark TEXT NOT NULL,
        name TEXT, size INTEGER, sha256 TEXT, PRIMARY KEY (source, source_id, report_seq)) WITHOUT ROWID""",
    """CREATE TABLE pulls(
        pull_id INTEGER PRIMARY KEY, began TEXT NOT NULL, ended TEXT, is_sweep INTEGER NOT NULL,
        kits INTEGER NOT NULL DEFAULT 0, orders INTEGER NOT NULL DEFAULT 0, requisitions INTEGER NOT NULL DEFAULT 0,
        gets INTEGER NOT NULL DEFAULT 0, lists INTEGER NOT NULL DEFAULT 0, unread INTEGER NOT NULL DEFAULT 0,
        untold INTEGER NOT NULL DEFAULT 0)""",
)


def columns_of(table: Table, *, phi: bool) -> tuple[str, ...]:
    """Return the columns that a mirror has of a table: without patient data only those that are marked as safe."""
    return table.names if phi else table.safe_names


def statements(*, phi: bool) -> Iterator[str]:
    """Yield what makes an empty mirror."""
    yield from _OWN
    for table in TABLES.values():
        shown = columns_of(table, phi=phi)
        lines = [
            f"{_quoted(column.name)} {_TYPES[column.type]}{'' if column.nullable else ' NOT NULL'}"
            for column in table.columns
            if column.name in shown
        ]
        lines.append(f"PRIMARY KEY ({_list(table.primary_key)})")
        yield f"CREATE TABLE {_quoted(table.name)}({', '.join(lines)}) WITHOUT ROWID"
        for index in table.indexes:
            if set(index) <= set(shown):
                # A result is a kit's or a requisition's: the other column is null, and nobody looks for that.
                is_of_one = table.owner[0] == "source" and index in {("kit_id",), ("requisition_id",)}
                where = f" WHERE {_list(index)} IS NOT NULL" if is_of_one else ""
                name = _quoted("_".join((table.name, *index)))
                yield f"CREATE INDEX {name} ON {_quoted(table.name)}({_list(index)}){where}"
    yield "CREATE VIEW current_results AS SELECT * FROM results WHERE is_current = 1"


def select(table: Table, *, phi: bool, since: bool) -> str:
    """Return the query for a table's rows in the order of its primary key.

    Args:
        table: the table.
        phi: whether the mirror has patient data.
        since: whether only rows of objects that changed at or after a moment, the query's parameter ``since``, are
            wanted, and of those of which that is not known.
    """
    where = f" WHERE {_changed(table)}" if since else ""
    columns = _list(columns_of(table, phi=phi))
    return f"SELECT {columns} FROM {_quoted(table.name)}{where} ORDER BY {_list(table.primary_key)}"  # noqa: S608 - names of ours


_MARK = "coalesce(r.report_id, '') || '|' || coalesce(r.date_resulted, '') || '|' || coalesce(r.is_amendment, '')"
WAITING_REPORTS: Final = {
    source: f"SELECT '{source}', r.{owner}, r.seq, {_MARK} FROM {table} r"  # noqa: S608 - names of ours
    f" WHERE r.{owner} > ? AND NOT EXISTS (SELECT 1 FROM report_files f"
    f" WHERE f.source = '{source}' AND f.source_id = r.{owner} AND f.report_seq = r.seq AND f.mark = {_MARK})"
    f" ORDER BY r.{owner}, r.seq"
    for source, owner, table in (
        ("kit", "kit_id", "reports"),
        ("requisition", "requisition_id", "requisition_reports"),
    )
}
"""By source, the query for the reports of objects after one whose files are not known in their present state.

Its order is that of the table's key, so that the first rows are found without looking at the rest.
"""


def insert(table: Table, *, phi: bool) -> str:
    """Return the statement that adds a row."""
    names = columns_of(table, phi=phi)
    return f"INSERT INTO {_quoted(table.name)}({_list(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - as above


def delete(table: Table) -> str:
    """Return the statement that removes the rows of one object, given by its id, or by its source and id."""
    where = " AND ".join(f"{_quoted(name)} = ?" for name in table.owner)
    return f"DELETE FROM {_quoted(table.name)} WHERE {where}"  # noqa: S608 - as above


def of_object(table: Table, *, phi: bool) -> str:
    """Return the query for the rows of one object, in the order of the primary key."""
    where = " AND ".join(f"{_quoted(name)} = ?" for name in table.owner)
    columns = _list(columns_of(table, phi=phi))
    return f"SELECT {columns} FROM {_quoted(table.name)} WHERE {where} ORDER BY {_list(table.primary_key)}"  # noqa: S608 - as above


def _changed(table: Table) -> str:
    """Return the condition on a table's rows that their object changed at or after a moment, or nobody knows when."""
    late = "(updated >= :since OR updated IS NULL)"
    if table.primary_key[0] == "source":
        return (
            f"(source, source_id) IN (SELECT 'kit', kit_id FROM kits WHERE {late}"  # noqa: S608 - as above
            f" UNION ALL SELECT 'requisition', requisition_id FROM requisitions WHERE {late})"
        )
    owner = table.owner[0]
    if owner == "pull_id":
        return "began >= :since"
    noun = {"kit_id": "kits", "order_id": "orders", "requisition_id": "requisitions"}[owner]
    return f"{_quoted(owner)} IN (SELECT {_quoted(owner)} FROM {noun} WHERE {late})"  # noqa: S608 - as above


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    return f'"{name}"'
