"""The journal of a bulk run: an SQLite file that tells which rows are done; the only importer of sqlite3.

It holds row numbers, states and keyed digests, never an id or a value. Synchronous: whoever uses it is in a thread.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, get_args

from attrs import frozen

from spotdx_async import private_files
from spotdx_async._pipeline import clock
from spotdx_async.bulk.journal_digests import SECRET_BYTES, Digester
from spotdx_async.bulk.journal_lock import JournalLock, is_locked
from spotdx_async.bulk.journal_place import (
    absolute,
    beside,
    check_companions,
    look,
    make_private,
    refusal,
    settle,
    system_refusal,
    tighten,
)
from spotdx_async.bulk.journal_records import JournalState, Known, Recorded, RowDigests
from spotdx_async.bulk.records import Journal, State
from spotdx_async.errors import JournalError

__all__ = ["CHUNK", "JournalFile", "JournalState", "RowDigests", "read_journal"]

T = TypeVar("T")

CHUNK = 4096
"""Rows that are looked up at once."""

_VERSION = 1
_APPLICATION_ID = int.from_bytes(b"SpoJ")
_BUSY_S = 2.0
_CODES: Mapping[State, int] = MappingProxyType({"ok": 1, "rejected": 2, "failed": 3, "unknown": 4, "superseded": 5})
_WORDS = MappingProxyType({code: word for word, code in _CODES.items()})
_TROUBLE: frozenset[State] = frozenset({"failed", "unknown"})

# A row keeps its key's digest only for as long as a newer value may overtake it.
_SCHEMA = (
    """CREATE TABLE meta(
        secret BLOB NOT NULL, operation TEXT NOT NULL, server BLOB NOT NULL, fingerprint BLOB,
        begun TEXT NOT NULL, changed TEXT NOT NULL, sessions INTEGER NOT NULL, ending TEXT)""",
    "CREATE TABLE rows(row INTEGER PRIMARY KEY, state INTEGER NOT NULL, digest BLOB NOT NULL, key BLOB)",
    "CREATE INDEX trouble ON rows(key) WHERE key IS NOT NULL",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)
# CHECK constraints would say the same, but SQLite does not look at them in a file that is opened for reading.
_FIRST_IMPOSSIBLE_ROW = """SELECT 1 FROM rows WHERE (
    state BETWEEN 1 AND 5 AND length(digest) = 8 AND (key IS NOT NULL) = (state IN (3, 4))) IS NOT TRUE LIMIT 1"""
_REASONS = MappingProxyType(
    {sqlite3.SQLITE_NOTADB: "not a journal", sqlite3.SQLITE_FULL: "disk", sqlite3.SQLITE_IOERR: "disk"}
    | dict.fromkeys((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED), "in use")
    | dict.fromkeys((sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM), "path")
)
_WHAT = MappingProxyType(
    {
        "not a journal": "is no journal of a bulk run",
        "disk": "cannot be written",
        "in use": "is in use by another program",
        "path": "cannot be opened",
        "corrupt": "is damaged",
    }
)


@frozen
class _Meta:
    secret: bytes
    operation: str
    server: bytes
    fingerprint: bytes | None
    begun: datetime
    changed: datetime
    sessions: int
    ending: str | None


def read_journal(path: str | os.PathLike[str]) -> JournalState:
    """Tell what a journal says, also of a run that is under way or was killed; nothing is changed.

    Args:
        path: the journal's file.

    Raises:
        JournalError: there is none, it is damaged or no journal, or it was made by a later version.
    """
    place = absolute(path)
    if look(place) is None:
        raise refusal(place, "does not exist", reason="path")
    return _told(place, lambda: _read_state(place))


class JournalFile:
    """An opened journal, which this run alone may write; all calls must come from the thread that opened it."""

    def __init__(self, path: Path, database: sqlite3.Connection, lock: JournalLock, secret: bytes) -> None:
        self._path = path
        self._database = database
        self._lock = lock
        self._place = path.lstat()
        self._is_closed = False
        self.digester: Digester = Digester(secret)
        """Makes the marks of rows."""
        self.had_sessions: bool = database.execute("SELECT sessions > 1 FROM meta").fetchone()[0] == 1
        """Whether there was a session before this one, which may have sent more than is recorded."""
        self.last_index: int | None = database.execute("SELECT max(row) FROM rows").fetchone()[0]
        """The greatest row that earlier sessions have recorded."""
        self._unwritten: Sequence[Recorded] = ()

    @classmethod
    def open(cls, settings: Journal, *, operation: str, server: str) -> "JournalFile":
        """Make the journal, or open the one that an earlier session of the same run has left.

        Raises:
            JournalError: as its reasons say; what lies there is as it was.
        """
        path = absolute(settings.path)
        look(path)
        private_files.warn_of_folder(path)
        lock = _told(path, lambda: JournalLock.take(path))
        try:
            return _told(path, lambda: cls._open(path, lock, operation, server, settings.fingerprint))
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open(
        cls, path: Path, lock: JournalLock, operation: str, server: str, fingerprint: str | None
    ) -> "JournalFile":
        found = look(path)
        check_companions(path)
        # An empty file is nothing yet.
        meta = _checked(path, operation, server, fingerprint) if found is not None and found.st_size else None
        lock.fill()
        secret = secrets.token_bytes(SECRET_BYTES) if meta is None else meta.secret
        digester = Digester(secret)
        mark = None if fingerprint is None else digester.text(fingerprint)
        if meta is None:
            _make(path, (secret, operation, digester.text(server), mark, _now(), _now(), 0, None))
        tighten(path)
        database = _connect(path)
        try:
            _begin_session(database, mark)
            # By now SQLite has made what was missing, unless somebody else was quicker.
            check_companions(path)
            return cls(path, database, lock, secret)
        except BaseException:
            database.close()
            raise

    def known(self, first: int) -> dict[int, Known]:
        """Give what is recorded of ``first`` and the rows after it, ``CHUNK`` numbers in all.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT row, state, digest FROM rows WHERE row >= ? AND row < ?"
        found = _told(self._path, lambda: self._database.execute(query, (first, first + CHUNK)).fetchall())
        return {row: Known(_WORDS[code], content) for row, code, content in found}

    def write(self, rows: Sequence[Recorded], ending: str | None = None) -> None:
        """Record a group of rows, and how the run ended where it does; all of it or nothing.

        Raises:
            JournalError: the run must stop. Where the disk is full, the reserve is used up first, so that this group is
                recorded if at all possible; closing tries again what is not.
        """
        try:
            _told(self._path, lambda: self._commit(rows, ending))
        except JournalError as error:
            trouble = error
        else:
            return
        if trouble.reason == "disk":
            self._lock.free()
        if trouble.reason != "disk" or not self._can_commit(rows, ending):
            self._unwritten = rows
        raise trouble

    def close(self, rows: Sequence[Recorded], ending: str) -> None:
        """Record the last rows and how the run ended, leave one file, and let others have it.

        Raises:
            JournalError: the last rows cannot be recorded; it is closed all the same.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self.write([*self._unwritten, *rows], ending)
        finally:
            # Closing moves all into the one file, for which a full disk needs the reserve.
            self._lock.free()
            with suppress(sqlite3.Error):
                self._database.close()
            self._lock.release()

    def _commit(self, rows: Sequence[Recorded], ending: str | None) -> None:
        if not _is_at(self._path, self._place):
            # SQLite would write on into a file that nobody finds again.
            raise refusal(self._path, "was moved or deleted during the run", reason="path")
        run = self._database
        with run:
            run.execute("BEGIN IMMEDIATE")
            run.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)",
                [(row, _CODES[state], of.content, of.key if state in _TROUBLE else None) for row, state, of in rows],
            )
            if run.execute("SELECT 1 FROM rows INDEXED BY trouble WHERE key IS NOT NULL LIMIT 1").fetchone():
                # Else a resumed run would send an old value over the newer one.
                run.executemany(
                    "UPDATE rows INDEXED BY trouble SET state = 5, key = NULL WHERE key = ? AND row < ?",
                    [(of.key, row) for row, state, of in rows if state == "ok"],
                )
            run.execute("UPDATE meta SET changed = ?, ending = ?", (_now(), ending))

    def _can_commit(self, rows: Sequence[Recorded], ending: str | None) -> bool:
        try:
            self._commit(rows, ending)
        except (sqlite3.Error, JournalError):
            return False
        return True


def _told(path: Path, act: Callable[[], T]) -> T:
    """Act; what SQLite or the system has against it becomes a JournalError that does not hold theirs."""
    try:
        return act()
    except sqlite3.Error as error:
        # Other trouble than these is that a table, a column or a page is not what it must be.
        reason = _REASONS.get(getattr(error, "sqlite_errorcode", -1) & 0xFF, "corrupt")
        why = getattr(error, "sqlite_errorname", type(error).__name__)
        trouble = refusal(path, f"{_WHAT[reason]} ({why})", reason=reason)
    except OSError as error:
        trouble = system_refusal(path, error)
    raise trouble


def _is_at(path: Path, place: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.lstat(), place)
    except FileNotFoundError:
        return False


def _now() -> str:
    return clock.wall().isoformat(timespec="milliseconds")


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
    try:
        database.execute("PRAGMA synchronous = FULL")
        mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    except BaseException:
        database.close()
        raise
    if mode != "wal":
        database.close()
        raise refusal(path, "lies on a file system that SQLite's WAL cannot be on, such as a network's", reason="path")
    return database


def _make(path: Path, meta: tuple[object, ...]) -> None:
    """Make an empty journal; it stands in its place whole or not at all."""
    wal, shm = beside(path, "-wal"), beside(path, "-shm")
    if os.path.lexists(wal) and wal.lstat().st_size:
        # SQLite would take it for this journal's.
        raise refusal(path, "is missing or empty, and its last rows still lie there with -wal", reason="path")
    new = beside(path, "-being-made")
    made = (new, beside(new, "-wal"), beside(new, "-shm"))
    for leftover in (wal, shm, *made):
        leftover.unlink(missing_ok=True)
    try:
        _write_new(new, meta)
        settle(new, path)
    finally:
        for leftover in made:
            leftover.unlink(missing_ok=True)


def _write_new(path: Path, meta: tuple[object, ...]) -> None:
    make_private(path)
    with closing(_connect(path)) as database:
        with database:
            database.execute("BEGIN")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute("INSERT INTO meta VALUES (?, ?, ?, ?, ?, ?, ?, ?)", meta)
        # Closing would do it too, but say nothing of a failure.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _begin_session(database: sqlite3.Connection, fingerprint: bytes | None) -> None:
    with database:
        database.execute("BEGIN IMMEDIATE")
        database.execute(
            "UPDATE meta SET sessions = sessions + 1, changed = ?, ending = NULL,"
            " fingerprint = coalesce(fingerprint, ?)",
            (_now(), fingerprint),
        )


def _checked(path: Path, operation: str, server: str, fingerprint: str | None) -> _Meta:
    """Read whose journal it is, and refuse one that is damaged or not this run's; nothing is changed."""
    with closing(_reading(path, is_still=True)) as database:
        _check_kind(path, database)
        is_sound = database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        if not is_sound or database.execute(_FIRST_IMPOSSIBLE_ROW).fetchone():
            raise refusal(path, _WHAT["corrupt"], reason="corrupt")
        meta = _read_meta(path, database)
    digester = Digester(meta.secret)
    if meta.operation != operation:
        raise refusal(path, f"belongs to another run, of {meta.operation}", reason="another run")
    if meta.server != digester.text(server):
        raise refusal(path, "belongs to another run, with another server", reason="another run")
    if None not in (fingerprint, meta.fingerprint) and meta.fingerprint != digester.text(fingerprint or ""):
        raise refusal(path, "was begun with another input", reason="changed input")
    return meta


def _reading(path: Path, *, is_still: bool) -> sqlite3.Connection:
    """Open for reading alone; ``is_still``: nobody is writing."""
    # Read without a lock or a trace where nothing waits in the WAL; else SQLite must look into that, and leaves files.
    is_whole = is_still and not beside(path, "-wal").exists()
    uri = f"{path.as_uri()}?{'immutable=1' if is_whole else 'mode=ro'}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S)


def _check_kind(path: Path, database: sqlite3.Connection) -> int:
    if database.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise refusal(path, _WHAT["not a journal"], reason="not a journal")
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise refusal(path, "was made by a later version of spotdx-async", reason="newer")
    return version


def _read_meta(path: Path, database: sqlite3.Connection) -> _Meta:
    found = database.execute(
        "SELECT secret, operation, server, fingerprint, begun, changed, sessions, ending FROM meta"
    ).fetchall()
    with suppress(TypeError, ValueError):
        ((secret, operation, server, fingerprint, begun, changed, sessions, ending),) = found
        times = datetime.fromisoformat(begun), datetime.fromisoformat(changed)
        if len(secret) == SECRET_BYTES:
            return _Meta(secret, operation, server, fingerprint, *times, sessions, ending)
    raise refusal(path, _WHAT["corrupt"], reason="corrupt")


def _read_state(path: Path) -> JournalState:
    check_companions(path)
    was_in_use = is_locked(path)
    with closing(_reading(path, is_still=not was_in_use)) as database:
        version = _check_kind(path, database)
        database.execute("BEGIN")
        meta = _read_meta(path, database)
        counts = dict(database.execute("SELECT state, count(*) FROM rows GROUP BY state").fetchall())
        last = database.execute("SELECT max(row) FROM rows").fetchone()[0]
    by_state: dict[State, int] = {word: counts.get(_CODES.get(word), 0) for word in get_args(State)}
    return JournalState(
        path=str(path),
        version=version,
        operation=meta.operation,
        rows=sum(by_state.values()),
        by_state=MappingProxyType(by_state),
        next_index=0 if last is None else last + 1,
        begun_at=meta.begun,
        changed_at=meta.changed,
        sessions=meta.sessions,
        ending=meta.ending,
        # It may have ended, or begun, while we read.
        in_use=is_locked(path) or (was_in_use and meta.ending is None),
    )
