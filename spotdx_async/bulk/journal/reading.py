"""Reads a journal's file, and checks that it is one; nothing here changes it."""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, get_args

from attrs import frozen

from spotdx_async import private_files
from spotdx_async.bulk.journal.lock import is_locked
from spotdx_async.bulk.journal.paths import absolute, beside, check_companions, look, refusal, system_refusal
from spotdx_async.bulk.journal.records import SECRET_BYTES, Digester, JournalState
from spotdx_async.bulk.records import State

T = TypeVar("T")

BUSY_S = 2.0
"""How long to wait for another program that has the file."""
APPLICATION_ID = int.from_bytes(b"SpoJ")
CODES: Mapping[State, int] = MappingProxyType({"ok": 1, "rejected": 2, "failed": 3, "unknown": 4, "superseded": 5})
NOT_SENT, PARKED = 0, 6
"""What a run that creates records beside these: a row whose intent came to nothing, and one that could not be settled.
"""
WORDS = MappingProxyType({code: word for word, code in CODES.items()})
_REASONS = MappingProxyType(
    {sqlite3.SQLITE_NOTADB: "not a journal", sqlite3.SQLITE_FULL: "disk", sqlite3.SQLITE_IOERR: "disk"}
    | dict.fromkeys((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED), "in use")
    | dict.fromkeys((sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM), "path")
)
_WHAT = MappingProxyType(
    {
        "not a journal": "is not the journal of a bulk run",
        "disk": "cannot be written",
        "in use": "is in use by another program",
        "path": "cannot be opened",
        "corrupt": "is damaged",
    }
)


@frozen
class Format:
    """A kind of journal."""

    version: int
    does: str
    """What its runs do, as the end of a sentence."""
    other: str
    """What differs if the fingerprint does, as the end of a sentence."""
    reason: str
    """The reason of the refusal then."""
    first_impossible: str
    """Finds a row that no run has written. CHECK constraints would say the same, but SQLite does not check them in a
    file that is opened for reading."""


UPDATES = Format(
    1,
    "sets metadata",
    "was begun with another input",
    "changed input",
    """SELECT 1 FROM rows WHERE (state BETWEEN 1 AND 5 AND length(digest) = 8
    AND (key IS NOT NULL) = (state IN (3, 4))) IS NOT TRUE LIMIT 1""",
)
CREATES = Format(
    2,
    "creates objects",
    "belongs to another run, of another batch",
    "another run",
    """SELECT 1 FROM creates WHERE (state BETWEEN 0 AND 6 AND length(key) = 16 AND length(content) = 16
    AND typeof(row) = 'integer') IS NOT TRUE LIMIT 1""",
)
_FORMATS: Mapping[int, Format] = MappingProxyType({each.version: each for each in (UPDATES, CREATES)})


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
    """Return what a journal says, even of a run that is in progress or was killed; nothing is changed.

    Args:
        path: the journal's file.

    Raises:
        JournalError: there is none, it is damaged or not a journal, or a later version made it.
    """
    place = absolute(path)
    if look(place) is None:
        raise refusal(place, "does not exist", reason="path")
    return translating_errors(place, lambda: _read_state(place))


def checked(path: Path, kind: Format, operation: str, server: str, fingerprint: str | None) -> _Meta:
    """Read whose journal it is, and reject one that is damaged or not this run's; nothing is changed."""
    with closing(reading(path, is_still=True)) as database:
        found = _format_of(path, database)
        if found is not kind:
            what = f"belongs to another run, one that {found.does}, and this one {kind.does}"
            raise refusal(path, what, reason="another run")
        is_sound = database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        if not is_sound or database.execute(kind.first_impossible).fetchone():
            raise refusal(path, _WHAT["corrupt"], reason="corrupt")
        meta = read_meta(path, database)
    digester = Digester(meta.secret)
    if meta.operation != operation:
        raise refusal(path, f"belongs to another run, of {meta.operation}", reason="another run")
    if meta.server != digester.text(server):
        raise refusal(path, "belongs to another run, with another server", reason="another run")
    if None not in (fingerprint, meta.fingerprint) and meta.fingerprint != digester.text(fingerprint or ""):
        raise refusal(path, kind.other, reason=kind.reason)
    return meta


def reading(path: Path, *, is_still: bool) -> sqlite3.Connection:
    """Open a journal's database read-only; ``is_still``: nobody is writing."""
    # Read without a lock or a trace if nothing waits in the WAL; otherwise SQLite must look into that, and leaves
    # files. Either way it applies no rollback journal: it may not write.
    waiting = private_files.look(beside(path, "-wal"))
    is_whole = is_still and (waiting is None or not waiting.st_size)
    uri = f"{path.as_uri()}?{'immutable=1' if is_whole else 'mode=ro'}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)


def _format_of(path: Path, database: sqlite3.Connection) -> Format:
    if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise refusal(path, _WHAT["not a journal"], reason="not a journal")
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    if version not in _FORMATS:
        raise refusal(path, "was made by a later version of spotdx-async", reason="newer")
    return _FORMATS[version]


def read_meta(path: Path, database: sqlite3.Connection) -> _Meta:
    """Return whose journal it is.

    Raises:
        JournalError: it is damaged.
    """
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
    with closing(reading(path, is_still=not was_in_use)) as database:
        kind = _format_of(path, database)
        database.execute("BEGIN")
        meta = read_meta(path, database)
        table = "rows" if kind is UPDATES else "creates"
        counts = dict(database.execute(f"SELECT state, count(*) FROM {table} GROUP BY state").fetchall())  # noqa: S608
        last = database.execute(f"SELECT max(row) FROM {table}").fetchone()[0]  # noqa: S608 - one of two names
        left = None if kind is UPDATES else database.execute("SELECT left FROM audit").fetchone()[0]
        twins = () if kind is UPDATES else database.execute("SELECT one, other FROM twins").fetchall()
    # What SQLite found there by path may have arrived after the first look.
    check_companions(path)
    by_state: dict[State, int] = {word: counts.get(CODES.get(word), 0) for word in get_args(State)}
    parked = counts.get(PARKED, 0)
    by_state["unknown"] += parked
    return JournalState(
        path=str(path),
        version=kind.version,
        operation=meta.operation,
        rows=sum(by_state.values()),
        by_state=MappingProxyType(by_state),
        next_index=0 if last is None else last + 1,
        begun_at=meta.begun,
        changed_at=meta.changed,
        sessions=meta.sessions,
        ending=meta.ending,
        creates=kind is CREATES,
        parked=parked,
        not_sent=counts.get(NOT_SENT, 0),
        left=left,
        duplicates=tuple(twins),
        # It may have ended, or begun, while we were reading.
        in_use=is_locked(path) or (was_in_use and meta.ending is None),
    )


def has_table(database: sqlite3.Connection, name: str) -> bool:
    """Return whether the journal has a table that is created only when it is needed."""
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None


def read_landing(database: sqlite3.Connection) -> dict[int, bytes]:
    """Return the rows that are done and may still land, with the digests of their keys."""
    if not has_table(database, "landing"):
        return {}
    return dict(database.execute("SELECT row, key FROM landing").fetchall())


def translating_errors(path: Path, act: Callable[[], T]) -> T:
    """Call ``act``; an error from SQLite or the system becomes a JournalError that does not hold it."""
    try:
        return act()
    except sqlite3.Error as error:
        # Any other error means that a table, a column or a page is not what it must be.
        code = getattr(error, "sqlite_errorcode", -1) & 0xFF
        reason = _REASONS.get(code, "corrupt")
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        why = "the disk is full" if code == sqlite3.SQLITE_FULL else name
        trouble = refusal(path, f"{_WHAT[reason]} ({why})", reason=reason)
    except OSError as error:
        trouble = system_refusal(path, error)
    raise trouble


def read_doubtful(database: sqlite3.Connection) -> int:
    """Return the number below which unrecorded rows may have been sent by a session that was killed."""
    if not has_table(database, "doubtful"):
        return 0
    return database.execute("SELECT coalesce(max(below), 0) FROM doubtful").fetchone()[0]  # type: ignore[no-any-return]
