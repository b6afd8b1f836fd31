"""The journal of a run that sets metadata: an SQLite file that records which rows are done; one run writes it.

It holds row numbers, states and keyed digests, never an id or a value. Synchronous: use it from one thread.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from spotdx_async.bulk.journal.database import JournalDatabase, now
from spotdx_async.bulk.journal.lock import JournalLock
from spotdx_async.bulk.journal.paths import Companions
from spotdx_async.bulk.journal.reading import (
    CODES,
    UPDATES,
    WORDS,
    Format,
    has_table,
    read_doubtful,
    read_landing,
    translating_errors,
)
from spotdx_async.bulk.journal.records import Known, Recorded
from spotdx_async.bulk.records import State
from spotdx_async.errors import JournalError

CHUNK = 4096
"""Rows that are looked up at once."""

_TROUBLE: frozenset[State] = frozenset({"failed", "unknown"})

# A row keeps its key's digest only for as long as a newer value may overtake it.
_SCHEMA = (
    "CREATE TABLE rows(row INTEGER PRIMARY KEY, state INTEGER NOT NULL, digest BLOB NOT NULL, key BLOB)",
    "CREATE INDEX trouble ON rows(key) WHERE key IS NOT NULL",
)
# For sessions that were killed: which of their unrecorded rows they may have sent. Created with the first such session.
_DOUBTFUL = "CREATE TABLE IF NOT EXISTS doubtful(below INTEGER NOT NULL)"
MOST_BEYOND_LAST = 10_000
"""How far beyond the greatest recorded row a run reads: the next session after a kill doubts no further.
"""
# Rows that failed, and that the current session sends again: if it is killed, they are in doubt too. Created when such
# a session begins.
_RESENT = "CREATE TABLE IF NOT EXISTS resent(row INTEGER PRIMARY KEY)"
# Rows that are done although one of their attempts may still be executed: created when the first such row is
# recorded. Earlier versions do not know this table, and ignore it.
_LANDING = "CREATE TABLE IF NOT EXISTS landing(row INTEGER PRIMARY KEY, key BLOB NOT NULL)"


class JournalFile(JournalDatabase):
    """An open journal of a run that sets metadata."""

    FORMAT: ClassVar[Format] = UPDATES
    SCHEMA: ClassVar[tuple[str, ...]] = _SCHEMA

    def __init__(
        self, path: Path, database: sqlite3.Connection, lock: JournalLock, companions: Companions, secret: bytes
    ) -> None:
        super().__init__(path, database, lock, companions, secret)
        self.last_index: int | None = database.execute("SELECT max(row) FROM rows").fetchone()[0]
        """The greatest row that earlier sessions have recorded."""
        self.may_land: dict[int, bytes] = read_landing(database)
        """Rows with an attempt that could still land when their session ended, and the digests of their keys."""
        self.doubtful_below: int = read_doubtful(database)
        """Rows below it that are not recorded may have been sent by a session that was killed."""
        self._has_resent = has_table(database, "resent")
        self._unwritten: Sequence[Recorded] = ()

    def known(self, first: int) -> dict[int, Known]:
        """Return what is recorded about ``first`` and the rows after it, ``CHUNK`` numbers in all.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT row, state, digest FROM rows WHERE row >= ? AND row < ?"
        found = translating_errors(self._path, lambda: self._database.execute(query, (first, first + CHUNK)).fetchall())
        return {row: Known(WORDS[code], content) for row, code, content in found}

    def write(self, rows: Sequence[Recorded], ending: str | None = None, landed: Sequence[int] = ()) -> None:
        """Record a group of rows, and how the run ended if it did; all of it or nothing.

        Args:
            rows: the ones to record.
            ending: how the run ended; None while it is running.
            landed: rows with no attempt left that can still be executed.

        Raises:
            JournalError: the run must stop. If the disk is full, the reserve is used first, so that this group is
                recorded if at all possible; closing tries again for the rest.
        """
        try:
            translating_errors(self._path, lambda: self._commit(rows, ending, landed))
        except JournalError as error:
            trouble = error
        else:
            return
        if trouble.reason == "disk":
            self._lock.free()
        if trouble.reason != "disk" or not self._can_commit(rows, ending):
            self._unwritten = rows
        raise trouble

    def close(self, rows: Sequence[Recorded], ending: str, landed: Sequence[int] = ()) -> None:
        """Record the last rows and how the run ended, as ``write`` does, leave a single file, and release it.

        Raises:
            JournalError: the last rows cannot be recorded; the journal is closed all the same.
        """
        self._release(lambda: self.write([*self._unwritten, *rows], ending, landed))

    def _commit(self, rows: Sequence[Recorded], ending: str | None, landed: Sequence[int] = ()) -> None:
        self._check_place()
        run = self._database
        with run:
            run.execute("BEGIN IMMEDIATE")
            run.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)",
                [(row, CODES[state], of.content, of.key if state in _TROUBLE else None) for row, state, of in rows],
            )
            if run.execute("SELECT 1 FROM rows INDEXED BY trouble WHERE key IS NOT NULL LIMIT 1").fetchone():
                # Otherwise a resumed run would send an old value over the newer one.
                run.executemany(
                    "UPDATE rows INDEXED BY trouble SET state = 5, key = NULL WHERE key = ? AND row < ?",
                    [(of.key, row) for row, state, of in rows if state == "ok"],
                )
            if self._has_resent:
                run.executemany("DELETE FROM resent WHERE row = ?", [(row,) for row, _, _ in rows])
            if landing := [(row, of.key) for row, _, of in rows if of.may_land]:
                run.execute(_LANDING)
                run.executemany("INSERT OR REPLACE INTO landing VALUES (?, ?)", landing)
            if landed:
                run.execute(_LANDING)  # the group with the table may have been refused
                run.executemany("DELETE FROM landing WHERE row = ?", [(row,) for row in landed])
            run.execute("UPDATE meta SET changed = ?, ending = ?", (now(), ending))

    def _can_commit(self, rows: Sequence[Recorded], ending: str | None) -> bool:
        try:
            self._commit(rows, ending)
        except (sqlite3.Error, JournalError):
            return False
        return True

    @classmethod
    def _begin_session(cls, database: sqlite3.Connection) -> None:
        if database.execute("SELECT 1 FROM meta WHERE sessions > 0 AND ending IS NULL").fetchone():
            database.execute(_DOUBTFUL)
            database.execute("INSERT INTO doubtful SELECT coalesce(max(row), -1) + ? FROM rows", (MOST_BEYOND_LAST,))
            if has_table(database, "resent"):
                database.execute(
                    "UPDATE rows SET state = ? WHERE state = ? AND row IN (SELECT row FROM resent)",
                    (CODES["unknown"], CODES["failed"]),
                )
        database.execute("DROP TABLE IF EXISTS resent")
        failed = "FROM rows INDEXED BY trouble WHERE key IS NOT NULL AND state = ?"
        if database.execute(f"SELECT 1 {failed} LIMIT 1", (CODES["failed"],)).fetchone():
            database.execute(_RESENT)
            database.execute(f"INSERT INTO resent SELECT row {failed}", (CODES["failed"],))
