"""An open journal's database, in either format: it is made whole, locked, kept private, and closed to a single file.

Synchronous: use it from one thread.
"""

import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from spotdx_async import private_files
from spotdx_async._http import clock
from spotdx_async.bulk.journal.lock import JournalLock
from spotdx_async.bulk.journal.paths import (
    Companions,
    absolute,
    beside,
    check_companions,
    clear_half_made,
    is_at,
    look,
    make_private,
    private_folder,
    refusal,
    settle,
    tighten,
)
from spotdx_async.bulk.journal.reading import APPLICATION_ID, BUSY_S, Format, checked, translating_errors
from spotdx_async.bulk.journal.records import SECRET_BYTES, Digester
from spotdx_async.bulk.records import Journal

META = (
    """CREATE TABLE meta(
        secret BLOB NOT NULL, operation TEXT NOT NULL, server BLOB NOT NULL, fingerprint BLOB,
        begun TEXT NOT NULL, changed TEXT NOT NULL, sessions INTEGER NOT NULL, ending TEXT)""",
)
"""The table that says whose journal it is, in every format."""


class JournalDatabase:
    """An open journal, which only this run may write; all calls must come from the thread that opened it."""

    FORMAT: ClassVar[Format]
    SCHEMA: ClassVar[tuple[str, ...]]
    """What makes its tables, beside the one that all formats have."""

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

    @classmethod
    def open(cls, settings: Journal, *, operation: str, server: str) -> Self:
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
    def _open(cls, path: Path, lock: JournalLock, operation: str, server: str, fingerprint: str | None) -> Self:
        found = look(path)
        # An empty file counts as missing.
        is_new = found is None or not found.st_size
        check_companions(path)
        if is_new:
            _make_way(path)
        companions = Companions.hold(path)
        try:
            meta = None if is_new else checked(path, cls.FORMAT, operation, server, fingerprint)
            lock.fill()
            secret = secrets.token_bytes(SECRET_BYTES) if meta is None else meta.secret
            digester = Digester(secret)
            mark = None if fingerprint is None else digester.text(fingerprint)
            if meta is not None:
                clear_half_made(path)
            else:
                cls._make(path, (secret, operation, digester.text(server), mark, now(), now(), 0, None))
            tighten(path)
            database = connect(path)
            try:
                with database:
                    database.execute("BEGIN IMMEDIATE")
                    cls._begin_session(database)
                    database.execute(
                        "UPDATE meta SET sessions = sessions + 1, changed = ?, ending = NULL,"
                        " fingerprint = coalesce(fingerprint, ?)",
                        (now(), mark),
                    )
                # Files left beside it by an earlier session may have been replaced, if others can replace files here.
                check_companions(path)
                return cls(path, database, lock, companions, secret)
            except BaseException:
                database.close()
                raise
        except BaseException:
            companions.release()
            raise

    @classmethod
    def _begin_session(cls, database: sqlite3.Connection) -> None:
        """Note what follows from how the last session ended, in the transaction that begins the new one."""

    def _release(self, act: Callable[[], object]) -> None:
        """Do the last writing, leave a single file, and release it; nothing is done a second time."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            act()
        finally:
            # Closing moves everything into the single file, for which a full disk needs the reserve.
            self._lock.free()
            with suppress(sqlite3.Error):
                self._database.close()
            if self._lock.is_held:
                self._companions.release()
            self._lock.release()

    def _check_place(self) -> None:
        """Make sure that the file is where it was.

        Raises:
            JournalError: SQLite would go on writing into a file that nobody can find any more.
        """
        if not is_at(self._path, self._place):
            raise refusal(self._path, "was moved or deleted during the run", reason="path")

    @classmethod
    def _make(cls, path: Path, meta: tuple[Any, ...]) -> None:
        """Create an empty journal; it appears complete or not at all."""
        # Until it is in WAL mode SQLite writes a rollback journal, at a path that others must not reach.
        with private_folder(path) as new:
            cls._write_new(new, meta)
            settle(new, path)

    @classmethod
    def _write_new(cls, path: Path, meta: tuple[Any, ...]) -> None:
        make_private(path)
        with closing(connect(path)) as database:
            with database:
                database.execute("BEGIN")
                for statement in (*META, *cls.SCHEMA):
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {cls.FORMAT.version}")
                database.execute("INSERT INTO meta VALUES (?, ?, ?, ?, ?, ?, ?, ?)", meta)
            # Closing would do it too, but would not report a failure.
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


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
