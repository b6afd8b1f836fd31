"""The journal of a bulk run: an SQLite file that records which rows are done; one run writes it at a time.

It holds row numbers, states and keyed digests, never an id or a value. Synchronous: use it from one thread.
"""

import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from spotdx_async import private_files
from spotdx_async._http import clock
from spotdx_async.bulk.journal.lock import JournalLock
from spotdx_async.bulk.journal.paths import (
    Companions,
    absolute,
    beside,
    check_companions,
    is_at,
    look,
    make_private,
    private_folder,
    refusal,
    settle,
    tighten,
)
from spotdx_async.bulk.journal.reading import (
    APPLICATION_ID,
    BUSY_S,
    CODES,
    VERSION,
    WORDS,
    checked,
    has_table,
    read_doubtful,
    read_landing,
    translating_errors,
)
from spotdx_async.bulk.journal.records import SECRET_BYTES, Digester, Known, Recorded
from spotdx_async.bulk.records import Journal, State
from spotdx_async.errors import JournalError

CHUNK = 4096
"""Rows that are looked up at once."""

_TROUBLE: frozenset[State] = frozenset({"failed", "unknown"})

# A row keeps its key's digest only for as long as a newer value may overtake it.
_SCHEMA = (
    """CREATE TABLE meta(
        secret BLOB NOT NULL, operation TEXT NOT NULL, server BLOB NOT NULL, fingerprint BLOB,
        begun TEXT NOT NULL, changed TEXT NOT NULL, sessions INTEGER NOT NULL, ending TEXT)""",
    "CREATE TABLE rows(row INTEGER PRIMARY KEY, state INTEGER NOT NULL, digest BLOB NOT NULL, key BLOB)",
    "CREATE INDEX trouble ON rows(key) WHERE key IS NOT NULL",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
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


class JournalFile:
    """An open journal, which only this run may write; all calls must come from the thread that opened it."""

    def __init__(
        self, path: Path, database: sqlite3.Connection, lock: JournalLock, companions: Companions, secret: bytes
    ) -> None:
        self._path = path
        self._database = database
        self._lock = lock
        self._companions = companions
        self._place = path.lstat()
        self._is_closed = False
        self.digester: Digester = Digester(secret)
        """Computes the digests of rows."""
        self.had_sessions: bool = database.execute("SELECT sessions > 1 FROM meta").fetchone()[0] == 1
        """Whether there was a session before this one, which may have sent more than is recorded."""
        self.last_index: int | None = database.execute("SELECT max(row) FROM rows").fetchone()[0]
        """The greatest row that earlier sessions have recorded."""
        self.may_land: dict[int, bytes] = read_landing(database)
        """Rows with an attempt that could still land when their session ended, and the digests of their keys."""
        self.doubtful_below: int = read_doubtful(database)
        """Rows below it that are not recorded may have been sent by a session that was killed."""
        self._has_resent = has_table(database, "resent")
        self._unwritten: Sequence[Recorded] = ()

    @classmethod
    def open(cls, settings: Journal, *, operation: str, server: str) -> "JournalFile":
        """Create the journal, or open the one that an earlier session of the same run has left.

        Raises:
            JournalError: for one of its reasons; an existing file is left as it was.
        """
        path = absolute(settings.path)
        look(path)
        private_files.warn_of_folder(path)
        lock = translating_errors(path, lambda: JournalLock.take(path))
        try:
            return translating_errors(path, lambda: cls._open(path, lock, operation, server, settings.fingerprint))
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open(
        cls, path: Path, lock: JournalLock, operation: str, server: str, fingerprint: str | None
    ) -> "JournalFile":
        found = look(path)
        # An empty file counts as missing.
        is_new = found is None or not found.st_size
        check_companions(path)
        if is_new:
            _make_way(path)
        companions = Companions.hold(path)
        try:
            meta = None if is_new else checked(path, operation, server, fingerprint)
            lock.fill()
            secret = secrets.token_bytes(SECRET_BYTES) if meta is None else meta.secret
            digester = Digester(secret)
            mark = None if fingerprint is None else digester.text(fingerprint)
            if meta is None:
                _make(path, (secret, operation, digester.text(server), mark, now(), now(), 0, None))
            tighten(path)
            database = connect(path)
            try:
                _begin_session(database, mark)
                # Files left beside it by an earlier session may have been replaced, if others can replace files here.
                check_companions(path)
                return cls(path, database, lock, companions, secret)
            except BaseException:
                database.close()
                raise
        except BaseException:
            companions.release()
            raise

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
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self.write([*self._unwritten, *rows], ending, landed)
        finally:
            # Closing moves everything into the single file, for which a full disk needs the reserve.
            self._lock.free()
            with suppress(sqlite3.Error):
                self._database.close()
            if self._lock.is_held:
                self._companions.release()
            self._lock.release()

    def _commit(self, rows: Sequence[Recorded], ending: str | None, landed: Sequence[int] = ()) -> None:
        if not is_at(self._path, self._place):
            # SQLite would go on writing into a file that nobody can find any more.
            raise refusal(self._path, "was moved or deleted during the run", reason="path")
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


def now() -> str:
    """Return the time as journals keep it."""
    return clock.wall().isoformat(timespec="milliseconds")


def connect(path: Path) -> sqlite3.Connection:
    """Open a journal's database to write it; transactions are begun explicitly.

    Raises:
        JournalError: its file system cannot hold it.
    """
    database = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
    try:
        database.execute("PRAGMA synchronous = FULL")
        mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    except BaseException:
        database.close()
        raise
    if mode != "wal":
        database.close()
        raise refusal(path, "is on a file system that SQLite's WAL cannot use, such as a network's", reason="path")
    return database


def _make_way(path: Path) -> None:
    """Remove what an earlier journal of this name has left beside it.

    Raises:
        JournalError: those files hold rows, which SQLite would take for the new journal's.
    """
    leftovers = beside(path, "-wal"), beside(path, "-shm")
    found = private_files.look(leftovers[0])
    if found is not None and found.st_size:
        raise refusal(
            path,
            "is missing or empty, but its last rows are still there with -wal",
            reason="path",
        )
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)


def _make(path: Path, meta: tuple[object, ...]) -> None:
    """Create an empty journal; it appears complete or not at all."""
    # Until it is in WAL mode SQLite writes a rollback journal, at a path that others must not reach.
    with private_folder(path) as new:
        _write_new(new, meta)
        settle(new, path)


def _write_new(path: Path, meta: tuple[object, ...]) -> None:
    make_private(path)
    with closing(connect(path)) as database:
        with database:
            database.execute("BEGIN")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute("INSERT INTO meta VALUES (?, ?, ?, ?, ?, ?, ?, ?)", meta)
        # Closing would do it too, but would not report a failure.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _begin_session(database: sqlite3.Connection, fingerprint: bytes | None) -> None:
    with database:
        database.execute("BEGIN IMMEDIATE")
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
        database.execute(
            "UPDATE meta SET sessions = sessions + 1, changed = ?, ending = NULL,"
            " fingerprint = coalesce(fingerprint, ?)",
            (now(), fingerprint),
        )
