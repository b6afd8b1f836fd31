"""How a mirror's SQLite file is made, checked, brought up to date and locked for a pull, and what its errors mean."""

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from spotdx_async import file_locks, private_files
from spotdx_async.errors import is_out_of_files
from spotdx_async.mirror.records import MirrorError
from spotdx_async.mirror.schema import APPLICATION_ID, MIGRATIONS, VERSION, statements

Check: TypeAlias = Callable[[], None]
"""Raises MirrorError once the file is not what it was opened as."""

_BUSY_S = 10.0
"""How long to wait for another program that writes to the file: longer than a transaction of a pull takes. A choice."""
_CACHE_KIB = 16 * 1024
"""Holds the upper levels of the indexes of 10^6 kits; a choice."""
_PLAYED_BACK = "-journal"
_BESIDE = ("-wal", "-shm", _PLAYED_BACK)
"""What SQLite opens beside a database, whoever has put it there; the last is even played back into the database."""
_LOCK = "-lock"
_FILES_OF_A_MIRROR = 8
"""It has six at most: the database, those beside it, their folder, the lock; and two more, to be sure."""
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_OF_A_FAILING_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_OF_PERMISSIONS = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_OF_WRITING = _OF_A_FAILING_DISK | _OF_PERMISSIONS
_OPEN_TO_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@contextmanager
def translating_errors(path: Path) -> Iterator[None]:
    """Turn what the system and SQLite raise into a MirrorError that says what to do, and holds no row."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        trouble = _of_system(path, error) if isinstance(error, OSError) else _of_sqlite(path, error)
        try:
            raise trouble
        finally:
            trouble.__context__ = None  # its frames hold rows


def _of_system(path: Path, error: OSError) -> MirrorError:
    if isinstance(error, private_files.UnfitFileError):
        return MirrorError(f"{path} {error.strerror}: name another file", reason="path")
    if error.errno in _OF_THE_DISK:
        return _disk_fault(path)
    if is_out_of_files(error):
        return _files_fault(path)
    return MirrorError(f"{path} cannot be used ({error.strerror}): name another file", reason="path")


def _of_sqlite(path: Path, error: sqlite3.Error) -> MirrorError:
    code = _code_of(error)
    if code == sqlite3.SQLITE_NOTADB:
        return MirrorError(f"{path} is not a mirror: name another file", reason="not a mirror")
    if code == sqlite3.SQLITE_CORRUPT:
        message = f"{path} is damaged: move it away, and pull again from the beginning"
        return MirrorError(message, reason="corrupt")
    if code in _OF_A_FAILING_DISK:
        return _disk_fault(path)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return MirrorError(f"{path} is locked by another program: wait until it has ended", reason="in use")
    if code in _OF_PERMISSIONS and _is_out_of_files():
        return _files_fault(path)
    if code in _OF_PERMISSIONS:
        return MirrorError(f"{path} or its folder cannot be written: name or copy it elsewhere", reason="path")
    message = f"{path} cannot be used by SQLite (error {code}): move it away, and pull again from the beginning"
    return MirrorError(message, reason="corrupt")


def _code_of(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _disk_fault(path: Path) -> MirrorError:
    message = (
        f"{path} cannot be used, since the disk is full or failing (that of temporary files may be another): what was "
        "committed is there, and the same pull resumes"
    )
    return MirrorError(message, reason="disk")


def _files_fault(path: Path) -> MirrorError:
    message = f"{path} cannot be used, since too many files are open: close some, or raise the limit (ulimit -n)"
    return MirrorError(message, reason="disk")


def _is_out_of_files() -> bool:
    """Return whether few more files can be opened: SQLite does not say why it cannot, and has closed its own by now."""
    opened: list[int] = []
    try:
        while len(opened) < _FILES_OF_A_MIRROR:
            opened.extend(os.pipe())
    except OSError as error:
        return is_out_of_files(error)
    finally:
        for fd in opened:
            os.close(fd)
    return False


def open_for_reading(path: Path) -> tuple[sqlite3.Connection, None, Check]:
    """Open a mirror that is there.

    Returns:
        the database, no lock, and what makes sure that everything read so far was read as of one moment.

    Raises:
        MirrorError: it is none, or was made by another version.
        OSError: it cannot be opened.
        sqlite3.Error: SQLite cannot use it.
    """
    place = _place_of(path)
    if _look(place, _BESIDE) is None:
        raise MirrorError(f"{path} does not exist: make it with pull", reason="path")
    with suppress(_UnwritableError):
        return _checked(_connect(place), path), None, lambda: None
    return _open_unwritable(path, place)


def _open_unwritable(path: Path, place: Path) -> tuple[sqlite3.Connection, None, Check]:
    """Open a mirror where SQLite cannot make the files by which readers and writers know of one another.

    It is then read without them, which goes well as long as nobody else changes it.
    """
    wal = Path(f"{place}-wal")
    before = _mark_of(place), _mark_of(wal)
    if before[1] is not None:
        message = (
            f"{path} cannot be read here, since {wal.name} beside it has what is not in it yet, and nothing can be "
            "written: copy both to a folder that can be written"
        )
        raise MirrorError(message, reason="path")

    def check() -> None:
        if (_mark_of(place), _mark_of(wal)) != before:
            message = f"{path} was changed while it was read where SQLite cannot lock it: read it again"
            raise MirrorError(message, reason="in use")

    try:
        return _checked(_connect(place, "immutable=1"), path), None, check
    except _UnwritableError as error:
        raise error.error from None


class _UnwritableError(Exception):
    """SQLite cannot write where it has to even to read; ``error`` is its own."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__()
        self.error = error


def _checked(database: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Return a database that can be read as a mirror, and close any other.

    Raises:
        _UnwritableError: SQLite cannot read it because it cannot write.
    """
    try:
        _check_readable(database, path)
    except BaseException as error:
        database.close()
        if isinstance(error, sqlite3.OperationalError) and _code_of(error) in _OF_WRITING:
            raise _UnwritableError(error) from None
        raise
    return database


def _mark_of(place: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file; None if there is none, or an empty one."""
    about = private_files.look(place)
    return None if about is None or not about.st_size else (about.st_ino, about.st_size, about.st_mtime_ns)


def open_for_pull(path: Path, *, phi: bool) -> tuple[sqlite3.Connection, int | None, Check]:
    """Open a mirror to write it, with its lock; one that is missing is made, and an old one brought up to date.

    Returns:
        the database, its lock, and what makes sure that what is written still goes into the file at its path.

    Raises:
        MirrorError: it is none, of a newer version, made with other content than ``phi`` says, or in use.
        OSError: it cannot be opened.
        sqlite3.Error: SQLite cannot use it.
    """
    place = _place_of(path)
    found = _look(place, (*_BESIDE, _LOCK))
    private_files.warn_of_folder(place)
    if found is not None and found.st_size:
        # Looked at as it is: nothing is changed, or left beside it, before it is known to be a mirror.
        with closing(_connect(place)) as database:
            _version(database, path)
    lock = _take_lock(path, place)
    try:
        # Made by us, so that nobody else could ever read it; SQLite gives the files beside it the same mode. A file
        # that is there is not opened: closing it would drop the locks that SQLite's readers in this process have on it.
        if found is None:
            os.close(private_files.create(place, os.O_RDWR))
        for name in ("", *_BESIDE):
            private_files.tighten(f"{place}{name}")
        database = _connect(place)
        try:
            _make_ready(database, path, phi=phi)
            check = _check_of_place(path, place)
        except BaseException:
            database.close()
            raise
    except BaseException:
        give_back(lock)
        raise
    return database, lock, check


def _check_of_place(path: Path, place: Path) -> Check:
    """Return what raises once the file was moved, deleted or replaced: SQLite would write on to what nobody sees."""
    opened = place.lstat()

    def check() -> None:
        with suppress(FileNotFoundError):
            if os.path.samestat(place.lstat(), opened):
                return
        raise MirrorError(f"{path} was moved, deleted or replaced during the pull: pull again", reason="path")

    return check


def _place_of(path: Path) -> Path:
    """Return the path as SQLite must get it: ``:memory:`` would have a meaning of its own."""
    if "\0" in str(path):
        raise MirrorError("a path with NUL in it cannot be used: name another file", reason="path")
    return path.absolute()


def _look(place: Path, suffixes: Iterable[str]) -> os.stat_result | None:
    """Return the status of the file, if there is one; those beside it must be its owner's alone too."""
    found = private_files.look(place)
    for suffix in suffixes:
        beside = Path(f"{place}{suffix}")
        try:
            about = private_files.look(beside)
        except private_files.UnfitFileError as error:
            fault = error.strerror
        else:
            if suffix != _PLAYED_BACK or about is None or not about.st_mode & _OPEN_TO_OTHERS:
                continue
            fault = "can be written by other users"
        raise MirrorError(f"{beside} {fault}, and would be used with the mirror: have it removed", reason="path")
    return found


def _connect(place: Path, how: str = "mode=rw") -> sqlite3.Connection:
    """Connect to a file that is there: one that has gone meanwhile is not made anew."""
    uri = f"{place.as_uri()}?{how}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S, check_same_thread=False)


def _version(database: sqlite3.Connection, path: Path) -> int:
    """Return the version of a mirror's schema; 0 of an empty file."""
    identity, version = one(database, "PRAGMA application_id"), int(one(database, "PRAGMA user_version"))
    tables = one(database, "SELECT count(*) FROM sqlite_master")
    if identity != APPLICATION_ID and (identity or version or tables):
        raise MirrorError(f"{path} is not a mirror: name another file", reason="not a mirror")
    if version > VERSION:
        raise MirrorError(f"{path} was made by a newer version of spotdx_async: update this one", reason="newer")
    return version


def _check_readable(database: sqlite3.Connection, path: Path) -> None:
    version = _version(database, path)
    if not version:
        raise MirrorError(f"{path} is empty: fill it with pull", reason="not a mirror")
    if version < VERSION:
        message = f"{path} was made by an older version of spotdx_async: pull once to bring it up to date"
        raise MirrorError(message, reason="older")


def _make_ready(database: sqlite3.Connection, path: Path, *, phi: bool) -> None:
    version = _version(database, path)
    if not version:
        _make(database, phi=phi)
    elif (made_with := bool(one(database, "SELECT phi FROM mirror"))) != phi:
        raise MirrorError(_phi_fault(path, made_with=made_with), reason="phi")
    else:
        _migrate(database, version)
    # Also if somebody has changed it since: readers and writers would wait for one another.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


def _make(database: sqlite3.Connection, *, phi: bool) -> None:
    database.execute("BEGIN IMMEDIATE")
    for statement in statements(phi=phi):
        database.execute(statement)
    database.execute("INSERT INTO mirror(phi) VALUES (?)", (phi,))
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def _migrate(database: sqlite3.Connection, version: int) -> None:
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


def _take_lock(path: Path, place: Path) -> int | None:
    """Return the descriptor of the lock file, which one pull holds; None where the system has no such locks."""
    if not file_locks.can_lock():
        return None
    fd = private_files.open_own(f"{place}{_LOCK}", os.O_RDWR | os.O_CREAT)
    try:
        if file_locks.try_lock(fd):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    raise MirrorError(f"{path} is being filled by another pull: wait until it has ended", reason="in use")


def give_back(lock: int | None) -> None:
    """Release the lock."""
    if lock is not None:
        os.close(lock)


def one(database: sqlite3.Connection, query: str) -> Any:
    """Return the one value that a query has; without a row, which a mirror has, it is damaged."""
    row = database.execute(query).fetchone()
    if row is None:
        error = sqlite3.DatabaseError()
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    return row[0]
