"""A mirror's open file: made, checked, locked for a pull, and written one batch in one transaction.

Synchronous: use it from one thread at a time.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

from attrs import evolve, frozen

from spotdx_async._http import clock
from spotdx_async.changes.records import Batch
from spotdx_async.errors import InvalidInputError
from spotdx_async.mirror.database import Check, give_back, one, open_for_pull, open_for_reading, translating_errors
from spotdx_async.mirror.records import MirrorState, NounPull
from spotdx_async.mirror.schema import PULLS, columns_of, delete, insert, of_object, select
from spotdx_async.tables import TABLES, Row, Table, kit_rows, order_rows, requisition_rows
from spotdx_async.tables.cells import instant

_PSEUDONYM_BYTES = 16
_TABLES_OF = {
    "kits": ("kits", "kit_events", "samples", "sample_events", "shipments", "reports", "results"),
    "orders": ("orders", "order_kits"),
    "requisitions": ("requisitions", "requisition_events", "requisition_reports", "results"),
}
_SOURCES = {"kits": "kit", "requisitions": "requisition"}
_IDS = {"kits": "kit_id", "orders": "order_id", "requisitions": "requisition_id"}
_STATUSES = ("kits", "samples", "orders", "requisitions")
_LINKS = {"pdf", "txt"}
_AT_ONCE = 20
"""Objects whose rows are made at once: those of a whole batch would live long enough to have Python's garbage collector
go through all of them several times."""
_DATED = {"instant", "date"}


@frozen
class _Made:
    """The rows of one object, to be written."""

    object_id: str
    rows: Mapping[str, Sequence[Row]]
    summary: Any
    """Its row in the list; None if that was not read."""

    def storable(self) -> "_Made":
        """Return the same with text that SQLite can keep."""
        rows = {name: [*map(_storable, of_table)] for name, of_table in self.rows.items()}
        return evolve(self, object_id=_storable([self.object_id])[0], rows=rows)


class MirrorFile:
    """An open mirror."""

    def __init__(self, path: Path, database: sqlite3.Connection, lock: int | None, check: Check) -> None:
        self.path = path
        self._database = database
        self._lock = lock
        self._check = check
        self.phi: bool = bool(one(database, "SELECT phi FROM mirror"))
        """Whether it holds patient data."""
        self._key: bytes | None = one(database, "SELECT pseudonym_key FROM mirror")

    @classmethod
    def open(cls, path: Path, *, phi: bool | None = None, for_pull: bool) -> Self:
        """Open a mirror, and make it if a pull is to fill it and it is missing.

        Args:
            path: the file.
            phi: for a pull, whether it holds, or shall hold, patient data.
            for_pull: whether it is written: only one pull at a time has it.

        Raises:
            MirrorError: for one of its reasons; an existing file is as it was.
        """
        with translating_errors(path):
            opened = open_for_pull(path, phi=bool(phi)) if for_pull else open_for_reading(path)
            database, lock, _ = opened
            try:
                return cls(path, *opened)
            except BaseException:
                database.close()
                give_back(lock)
                raise

    def close(self) -> None:
        """Close it; a second time does nothing."""
        lock, self._lock = self._lock, None
        try:
            with translating_errors(self.path):
                self._database.close()
        finally:
            give_back(lock)

    # --- Pulls --------------------------------------------------------------------------------------------------------

    def begin(self, *, is_sweep: bool) -> int:
        """Note that a pull begins, and return its number."""
        with self.transaction() as database:
            begun = database.execute("INSERT INTO pulls(began, is_sweep) VALUES (?, ?)", (_now(), is_sweep))
            assert begun.lastrowid is not None  # noqa: S101 - after an INSERT; for the type checker
            return begun.lastrowid

    def end(self, pull: int) -> None:
        """Note that a pull is complete."""
        with self.transaction() as database:
            database.execute("UPDATE pulls SET ended = ? WHERE pull_id = ?", (_now(), pull))

    @property
    def needs_key(self) -> bool:
        """Whether it has no key for the pseudonyms of patients, and will need one."""
        return self._key is None and not self.phi

    def set_key(self, key: bytes) -> None:
        """Set the key for the pseudonyms of patients, once for the life of the mirror."""
        with self.transaction() as database:
            database.execute("UPDATE mirror SET pseudonym_key = ?", (key,))
        self._key = key

    def cursor(self, noun: str) -> str | None:
        """Return the cursor that was stored with the last rows; None if there is none."""
        with translating_errors(self.path):
            row = self._database.execute("SELECT cursor FROM cursors WHERE noun = ?", (noun,)).fetchone()
        return None if row is None else row[0]

    def filled_first(self, nouns: Sequence[str]) -> list[str]:
        """Return kinds of objects, those first that it has: their cursors recognise another account."""
        with self.snapshot() as database:
            return sorted(nouns, key=lambda noun: one(database, f"SELECT NOT EXISTS (SELECT 1 FROM {noun})"))  # noqa: S608 - names of ours

    def write(self, noun: str, batch: Batch[Any], pull: int, counts: NounPull, *, is_sweep: bool) -> int:
        """Replace the rows of a batch's objects, and store its cursor, in one transaction.

        Returns:
            in a sweep, how many of them had other rows although the list's ``updated`` was known; else 0.
        """
        store = partial(self._store, noun, batch, pull, counts, is_sweep=is_sweep)
        with suppress(UnicodeEncodeError):  # rare, and not worth a look at every text
            return store(as_they_are=True)
        return store(as_they_are=False)

    def _store(
        self, noun: str, batch: Batch[Any], pull: int, counts: NounPull, *, is_sweep: bool, as_they_are: bool
    ) -> int:
        pairs, untold = batch.pairs(), 0
        touched = [_as_listed(row) for row in batch.touched] if noun == "kits" else []
        with self.transaction() as database:
            while made := [
                _Made(_id_of(noun, item), self._rows(noun, item, row), row) for item, row in islice(pairs, _AT_ONCE)
            ]:
                if not as_they_are:
                    made = [each.storable() for each in made]
                if is_sweep:
                    untold += sum(self._is_untold(noun, each) for each in made)
                self._replace(noun, made)
                if noun in _SOURCES:  # where there was no file, one may have come
                    database.executemany(
                        "DELETE FROM report_files WHERE source = ? AND source_id = ? AND sha256 IS NULL",
                        [(_SOURCES[noun], each.object_id) for each in made],
                    )
            if not as_they_are:
                touched = [*map(_storable, touched)]
            database.executemany(
                "UPDATE kits SET order_id = ?, created = ?, updated = ?, type = coalesce(type, ?) WHERE kit_id = ?",
                touched,
            )
            database.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (noun, batch.cursor))
            _count(database, noun, pull, counts, untold)
        return untold

    def count(self, noun: str, pull: int, counts: NounPull) -> None:
        """Count in the row of a pull what it has done without writing anything."""
        with self.transaction() as database:
            _count(database, noun, pull, counts, 0)

    def _rows(self, noun: str, item: Any, summary: Any) -> Mapping[str, list[Row]]:
        if noun == "kits":
            return kit_rows(item, summary=summary, phi=self.phi, pseudonym=self.pseudonym)
        if noun == "orders":
            return order_rows(item, phi=self.phi)
        return requisition_rows(item, phi=self.phi, pseudonym=self.pseudonym)

    def pseudonym(self, patient_id: str) -> str:
        """Return what stands for a patient's id in this mirror."""
        assert self._key is not None  # noqa: S101 - set before the first rows; for the type checker
        text = patient_id.encode(errors="surrogatepass")
        return hashlib.blake2b(text, digest_size=_PSEUDONYM_BYTES, key=self._key).hexdigest()

    def _replace(self, noun: str, made: Sequence[_Made]) -> None:
        database = self._database
        known = [each.object_id for each in made if self._updated(noun, each.object_id) is not None]
        kept = self._as_listed_before(made) if noun == "kits" else []
        texts = _Texts()
        for name in _TABLES_OF[noun]:
            table = TABLES[name]
            database.executemany(delete(table), [_owner(noun, name, an_id) for an_id in known])
            rows = [row for each in made for row in each.rows[name]]
            if rows:
                database.executemany(insert(table, phi=self.phi), self._cells(table, rows, texts))
        database.executemany(
            "UPDATE kits SET order_id = ?, created = ?, type = coalesce(type, ?) WHERE kit_id = ?", kept
        )
        if noun in _SOURCES:  # where there was no file, one may have come
            database.executemany(
                "DELETE FROM report_files WHERE source = ? AND source_id = ? AND sha256 IS NULL",
                [(_SOURCES[noun], an_id) for an_id in known],
            )

    def _as_listed_before(self, made: Sequence[_Made]) -> list[tuple[Any, ...]]:
        """Return what the list has said of kits that were got without their row now, each with the kit's id.

        When such a kit changed is not known any more: that stays null.
        """
        query = "SELECT order_id, created, type, kit_id FROM kits WHERE kit_id = ?"
        unlisted = [each.object_id for each in made if each.summary is None]
        return [row for an_id in unlisted for row in self._database.execute(query, (an_id,))]

    def _cells(self, table: Table, rows: Sequence[Row], texts: "_Texts") -> Iterator[Row]:
        """Return rows as SQLite keeps them: the columns that the mirror has, instants as text."""
        # By columns: a third of the time that a loop over the rows takes.
        kept = [*zip(*rows, strict=True)][: len(columns_of(table, phi=self.phi))]
        columns = zip(table.columns, kept, strict=False)
        return zip(
            *(map(texts.__getitem__, cells) if column.type in _DATED else cells for column, cells in columns),
            strict=True,
        )

    def _updated(self, noun: str, an_id: str) -> tuple[Any, ...] | None:
        """Return when an object changed last, in a tuple; None if it has no rows: nothing has to be removed then."""
        query = f"SELECT updated FROM {noun} WHERE {_IDS[noun]} = ?"  # noqa: S608 - names of ours
        row: tuple[Any, ...] | None = self._database.execute(query, (an_id,)).fetchone()
        return row

    def _is_untold(self, noun: str, made: _Made) -> bool:
        """Return whether an object's rows differ although the list shows the moment of change that is known."""
        known = self._updated(noun, made.object_id)
        if known is None or made.summary is None or known[0] != _cell(instant(made.summary.updated)):
            return False
        return any(self._differs(noun, name, made.object_id, made.rows[name]) for name in _TABLES_OF[noun])

    def _differs(self, noun: str, name: str, an_id: str, rows: Sequence[Row]) -> bool:
        table = TABLES[name]
        known = self._database.execute(of_object(table, phi=self.phi), _owner(noun, name, an_id)).fetchall()
        made = sorted(self._cells(table, rows, _Texts()))  # both in the order of the primary key
        links = [place for place, column in enumerate(columns_of(table, phi=self.phi)) if column in _LINKS]
        return _unsigned(known, links) != _unsigned(made, links)

    # --- Reading ------------------------------------------------------------------------------------------------------

    def state(self) -> MirrorState:
        """Return what it holds, as of one moment."""
        with self.snapshot() as database:
            rows = {name: one(database, f"SELECT count(*) FROM {name}") for name in (*TABLES, PULLS.name)}  # noqa: S608 - names of ours
            statuses = {
                name: dict(
                    database.execute(
                        f"SELECT coalesce(status, ''), count(*) FROM {name} GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608 - as above
                    )
                )
                for name in _STATUSES
            }
            latest = database.execute("SELECT ended, unread FROM pulls ORDER BY pull_id DESC LIMIT 1").fetchone()
            # Not the largest: the clock may have been put back since.
            last = database.execute(
                "SELECT began FROM pulls WHERE ended IS NOT NULL ORDER BY pull_id DESC LIMIT 1"
            ).fetchone()
        return MirrorState(
            phi=self.phi,
            rows=rows,
            statuses=statuses,
            last_pull=None if last is None else datetime.fromisoformat(last[0]),
            is_complete=latest is not None and latest[0] is not None,
            unread=0 if latest is None else latest[1],
        )

    def rows(self, database: sqlite3.Connection, table: Table, since: date | None) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table, or of a view like it, in the order of its key, a few at a time."""
        query = select(table, phi=self.phi, since=since is not None)
        parameters = {}
        if since is not None:
            parameters["since"] = _cell(datetime(since.year, since.month, since.day, tzinfo=UTC))
        yield from database.execute(query, parameters)
        self._check()

    def rows_of(self, database: sqlite3.Connection, table: Table, owner: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of one object, in the order of the table's key."""
        return database.execute(of_object(table, phi=self.phi), owner)

    @contextmanager
    def seen_ids(self, database: sqlite3.Connection) -> Iterator[Callable[[str], bool]]:
        """Provide a function that returns whether an id is new; it keeps them in a table, not in memory."""
        database.execute("CREATE TEMP TABLE seen(id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID")
        try:
            yield lambda an_id: database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (an_id,)).rowcount == 1
        finally:
            with suppress(sqlite3.Error):  # gone with the transaction, which an error may have ended
                database.execute("DROP TABLE seen")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read as of one moment, whatever a pull writes meanwhile."""
        with translating_errors(self.path):
            self._database.execute("BEGIN")
            try:
                yield self._database
                self._check()
            finally:
                with suppress(sqlite3.Error):  # SQLite ends a transaction by itself where a disk is full
                    self._database.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of a block or nothing of it."""
        with translating_errors(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._check()
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise


def _count(database: sqlite3.Connection, noun: str, pull: int, counts: NounPull, untold: int) -> None:
    database.execute(
        f"UPDATE pulls SET {noun} = {noun} + ?, gets = gets + ?, lists = lists + ?, unread = unread + ?,"  # noqa: S608 - a name of ours
        " untold = untold + ? WHERE pull_id = ?",
        (counts.delivered, counts.gets, counts.lists, counts.unread, untold, pull),
    )


def _owner(noun: str, table: str, an_id: str) -> tuple[str, ...]:
    return (_SOURCES[noun], an_id) if table == "results" else (an_id,)


def _id_of(noun: str, item: Any) -> str:
    an_id: str | None = getattr(item, _IDS[noun])
    if an_id is None:
        raise InvalidInputError("an object without an id cannot be kept")
    return an_id


def _as_listed(row: Any) -> tuple[Any, ...]:
    """Return what the row of a kit in the list says, and the kit's id."""
    return row.order_id, _cell(instant(row.created)), _cell(instant(row.updated)), row.kit_type, row.kit_id


class _Texts(dict[Any, Any]):
    """Moments as text: rows of an object, and of those beside it, share many of them."""

    def __missing__(self, moment: Any) -> Any:
        self[moment] = text = _cell(moment)
        return text


def _cell(value: Any) -> Any:
    """Return a value as SQLite keeps it: instants, which are in UTC, as text that sorts by time."""
    if isinstance(value, datetime):
        return f"{value.isoformat(timespec='microseconds')[:-6]}Z"
    if isinstance(value, date):
        return value.isoformat()
    return value


def _storable(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return values without halves of surrogate pairs, which SQLite's UTF-8 cannot hold: as JSON escapes them."""
    return tuple(value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value for value in row)


def _unsigned(rows: Sequence[Row], links: Sequence[int]) -> list[Row]:
    """Return rows whose links to files are cut off where signatures begin, which are others each time."""
    if not links:
        return [*rows]
    return [
        tuple(
            value.partition("?")[0] if place in links and isinstance(value, str) else value
            for place, value in enumerate(row)
        )
        for row in rows
    ]


def _now() -> str:
    text: str = _cell(clock.wall())
    return text
