"""How a mirror's SQLite file is made, checked, brought up to date and locked for a pull, and what its errors mean."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spotdx_async import private_files
from spotdx_async.mirror.records import MirrorError
from spotdx_async.mirror.schema import APPLICATION_ID, MIGRATIONS, VERSION, statements

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_BUSY_S = 10.0
_CACHE_KIB = 16 * 1024


@contextmanager
def translating_errors(path: Path) -> Iterator[None]:
    """Turn what the system and SQLite raise into a MirrorError that says what to do."""
    try:
        yield
    except private_files.UnfitFileError as error:
        raise MirrorError(f"{path} {error.strerror}: name another file", reason="path") from None
    except OSError as error:
        raise MirrorError(f"{path} cannot be used: {error.strerror}", reason="path") from None
    except sqlite3.DatabaseError as error:
        raise _translated(path, error) from None


def _translated(path: Path, error: sqlite3.DatabaseError) -> MirrorError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return MirrorError(f"{path} is not a mirror: name another file", reason="not a mirror")
    if code == sqlite3.SQLITE_CORRUPT:
        message = f"{path} is damaged: move it away, and pull again from the beginning"
        return MirrorError(message, reason="corrupt")
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return MirrorError(
            f"{path} cannot be written: the disk is full or failing; what was committed is there, and the same pull "
            "resumes",
            reason="disk",
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return MirrorError(f"{path} is locked by another program: wait until it has ended", reason="in use")
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return MirrorError(f"{path} cannot be opened for writing, or its folder cannot", reason="path")
    return MirrorError(f"{path} cannot be used by SQLite (error {code})", reason="corrupt")


def open_database(path: Path, phi: bool | None, *, for_pull: bool) -> sqlite3.Connection:
    """Open a mirror's database; a pull makes one that is missing, and brings an old one up to date.

    Raises:
        MirrorError: it is none, of a newer version, or made with other content than ``phi`` says.
        sqlite3.DatabaseError: SQLite cannot use it.
    """
    if for_pull:
        # Created by us, so that nobody else could ever read it; SQLite gives the files beside it the same mode.
        os.close(private_files.open_own(path, os.O_RDWR | os.O_CREAT))
    database = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S, check_same_thread=False)
    try:
        _ready(database, path, phi, for_pull=for_pull)
    except BaseException:
        database.close()
        raise
    return database


def _ready(database: sqlite3.Connection, path: Path, phi: bool | None, *, for_pull: bool) -> None:
    _check(database, path)
    if not one(database, "PRAGMA user_version"):
        if not for_pull:
            raise MirrorError(f"{path} is empty: fill it with pull", reason="not a mirror")
        _make(database, phi=bool(phi))
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    if for_pull:
        _migrate(database)
    made_with = bool(one(database, "SELECT phi FROM mirror"))
    if phi is not None and made_with != phi:
        raise MirrorError(_phi_fault(path, made_with=made_with), reason="phi")


def _check(database: sqlite3.Connection, path: Path) -> None:
    identity, version = one(database, "PRAGMA application_id"), one(database, "PRAGMA user_version")
    tables = one(database, "SELECT count(*) FROM sqlite_master")
    if identity != APPLICATION_ID and (identity or version or tables):
        raise MirrorError(f"{path} is not a mirror: name another file", reason="not a mirror")
    if version > VERSION:
        raise MirrorError(f"{path} was made by a newer version of spotdx_async: update this one", reason="newer")


def _make(database: sqlite3.Connection, *, phi: bool) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("BEGIN IMMEDIATE")
    for statement in statements(phi=phi):
        database.execute(statement)
    database.execute("INSERT INTO mirror(phi) VALUES (?)", (phi,))
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def _migrate(database: sqlite3.Connection) -> None:
    version = one(database, "PRAGMA user_version")
    while version < VERSION:
        database.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[version]:
            database.execute(statement)
        version += 1
        database.execute(f"PRAGMA user_version = {version}")
        database.execute("COMMIT")


def _phi_fault(path: Path, *, made_with: bool) -> str:
    if made_with:
        return f"{path} was made with patient data: pass phi (--phi), or name another file for a mirror without"
    return f"{path} was made without patient data: leave phi (--phi) out, or name another file for a mirror with it"


def take_lock(path: Path) -> int | None:
    """Return the descriptor of the lock file, which one pull holds; None where the system has no such locks."""
    if not _can_lock():
        return None
    fd = private_files.open_own(path.with_name(f"{path.name}-lock"), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise MirrorError(f"{path} is being filled by another pull: wait until it has ended", reason="in use") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def give_back(lock: int | None) -> None:
    """Release the lock."""
    if lock is not None:
        os.close(lock)


def one(database: sqlite3.Connection, query: str) -> Any:
    """Return the one value that a query has."""
    return database.execute(query).fetchone()[0]


def _can_lock() -> bool:
    return fcntl is not None
