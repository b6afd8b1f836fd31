"""The journal of a run that creates: which rows may have been sent, and what was created.

A row is here, and on the disk, before the first byte of its request leaves. The file holds row numbers, states, times,
the ids of what was created, and keyed digests of keys, references and contents: never a key or a value. Synchronous.
"""

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

from attrs import frozen

from spotdx_async.bulk.journal.database import META, JournalDatabase, connect, now
from spotdx_async.bulk.journal.lock import JournalLock
from spotdx_async.bulk.journal.paths import Companions
from spotdx_async.bulk.journal.reading import CODES, CREATES, PARKED, Format, translating_errors
from spotdx_async.bulk.journal.records import SECRET_BYTES, CreateDigests, Digester
from spotdx_async.errors import JournalError

T = TypeVar("T")

_SCHEMA = (
    """CREATE TABLE creates(
        key BLOB PRIMARY KEY, row INTEGER NOT NULL, state INTEGER NOT NULL, content BLOB NOT NULL,
        reference BLOB, mark BLOB, began REAL, object TEXT, created REAL, session INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE audit(session INTEGER NOT NULL, after REAL, until REAL, left INTEGER, looks TEXT)",
    "INSERT INTO audit VALUES (0, NULL, NULL, NULL, NULL)",
    "CREATE TABLE twins(one TEXT, other TEXT, PRIMARY KEY (one, other)) WITHOUT ROWID",
    "CREATE TABLE former_marks(mark BLOB PRIMARY KEY) WITHOUT ROWID",
    """CREATE TRIGGER keep_mark AFTER UPDATE OF mark ON creates WHEN old.mark IS NOT NULL AND old.mark IS NOT new.mark
        BEGIN INSERT OR IGNORE INTO former_marks VALUES (old.mark); END""",
    "CREATE INDEX by_reference ON creates(reference) WHERE reference IS NOT NULL",
    "CREATE INDEX by_mark ON creates(mark) WHERE mark IS NOT NULL",
    "CREATE INDEX by_object ON creates(object) WHERE object IS NOT NULL",
    "CREATE INDEX by_creation ON creates(created) WHERE created IS NOT NULL",
    f"CREATE INDEX in_doubt ON creates(state) WHERE state IN ({CODES['unknown']}, {PARKED})",
)
# What is done stays done, whatever is said of the row later.
_UPSERT = f"""INSERT INTO creates(key, row, state, content, reference, mark, began, object, created, session)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET row = excluded.row, state = excluded.state, content = excluded.content,
        reference = excluded.reference, mark = excluded.mark, began = coalesce(excluded.began, began),
        object = coalesce(excluded.object, object), created = coalesce(excluded.created, created),
        session = excluded.session
    WHERE state <> {CODES["ok"]} OR excluded.state = {CODES["ok"]}"""  # noqa: S608 - numbers of ours
_SETTLED = f"""UPDATE creates SET state = :state, object = coalesce(:object, object),
        created = coalesce(:created, created), session = :session
    WHERE key = :key AND (state <> {CODES["ok"]} OR :state = {CODES["ok"]})"""  # noqa: S608 - the same
_KNOWN = "SELECT key, state, content, reference, mark, began, object FROM creates WHERE "
_ROWS_AT_ONCE = 500
"""Values in one query: SQLite allows at least 999."""


@frozen
class RowEntry:
    """A row that is about to be sent, or how it has ended."""

    row: int
    state: int
    """One of CODES, or NOT_SENT or PARKED; ``unknown`` for one that is about to be sent."""
    digests: CreateDigests
    began: float | None = None
    """When it was about to be sent, by the server's clock, in seconds since 1970: never later than that."""
    object_id: str | None = None
    created: float | None = None
    """When its answer came, or when it was created, by the server's clock; None where nothing was, or nobody knows."""


@frozen
class Settled:
    """What a scan has shown of a row."""

    key: bytes
    state: int
    """``ok``, NOT_SENT or PARKED."""
    object_id: str | None = None
    created: float | None = None
    audit_after: float | None = None
    """If it is sent again: until when it may be executed twice, by the server's clock, so that an audit waits."""


@frozen
class Audited:
    """All that was sent so far has been looked at for duplicates, apart from what was created just before."""

    until: float | None = None
    """Up to when the list was sure to show what was created, by the server's clock; None: nobody knows."""


@frozen
class Twins:
    """What a session has found of objects that were created for one row."""

    pairs: tuple[tuple[str, str], ...]
    """Their ids."""


@frozen
class Left:
    """What a session that came to its end has left undone."""

    rows: int
    """Those of its input, bad ones included: of many of them the journal knows no key."""


@frozen
class LooksFirst:
    """From which day on the run looks at what was created before it sends, since this journal is not its first."""

    day: str | None
    """As YYYY-MM-DD; None: all rows are done, so that it need not."""


Entry: TypeAlias = RowEntry | Settled | Audited | Twins | LooksFirst | Left


@frozen
class KnownCreate:
    """What a journal says of a row."""

    key: bytes
    state: int
    content: bytes
    reference: bytes | None
    mark: bytes | None
    began: float | None
    object_id: str | None


@frozen
class Created:
    """Something that the run has surely created."""

    object_id: str
    reference: bytes | None
    mark: bytes | None
    created: float


class CreatesFile(JournalDatabase):
    """An open journal of a run that creates."""

    is_lasting: ClassVar[bool] = True
    FORMAT: ClassVar[Format] = CREATES
    SCHEMA: ClassVar[tuple[str, ...]] = _SCHEMA

    def __init__(
        self, path: Path, database: sqlite3.Connection, lock: JournalLock, companions: Companions, secret: bytes
    ) -> None:
        super().__init__(path, database, lock, companions, secret)
        self._begin(database)

    def _begin(self, database: sqlite3.Connection) -> None:
        self._unwritten: Sequence[Entry] = ()
        in_doubt = database.execute(_KNOWN + "state IN (?, ?)", (CODES["unknown"], PARKED))
        self.in_doubt: tuple[KnownCreate, ...] = tuple(KnownCreate(*row) for row in in_doubt)
        """Rows of earlier sessions that may have been executed."""
        after, looks = database.execute("SELECT after, looks FROM audit").fetchone()
        self.audit_after: float | None = after
        """Until when something may be executed twice that earlier sessions have sent again, by the server's clock.
        """
        self.looks_first: str | None = looks
        """The ``day`` of the last LooksFirst."""
        self._session: int = database.execute("SELECT sessions FROM meta").fetchone()[0] if self.is_lasting else 1

    def look_up(self) -> "LookUp | None":
        """Open a second connection that only reads, for the thread of the event loop.

        Raises:
            JournalError: it cannot be opened.
        """
        return translating_errors(self._path, lambda: LookUp(self._path))

    def asked(self, query: "Callable[[CreatesFile], T]") -> T:
        """Return what a query of this file returns.

        Raises:
            JournalError: the file cannot be read.
        """
        return translating_errors(self._path, lambda: query(self))

    def write(self, entries: Sequence[Entry], ending: str | None = None) -> None:
        """Record rows that are about to be sent or have ended, in order, and sync; all of it or nothing.

        Raises:
            JournalError: the run must stop, and no row that was about to be sent may be. If the disk is full the
                reserve is used, so that the rows that have ended are recorded if at all possible; closing tries again
                for the rest.
        """
        try:
            translating_errors(self._path, lambda: self._commit(entries, ending))
        except JournalError as error:
            trouble = error
        else:
            return
        if trouble.reason == "disk":
            self._free_reserve()
        ended = [each for each in entries if not _is_intent(each)]
        if trouble.reason != "disk" or not self._can_commit(ended, ending):
            self._unwritten = [*self._unwritten, *ended]
        raise trouble

    def close(self, entries: Sequence[Entry], ending: str) -> None:
        """Record the last rows and how the run ended, as ``write`` does, leave a single file, and release it.

        Raises:
            JournalError: the last rows cannot be recorded; the journal is closed all the same.
        """
        self._release(lambda: self.write([*self._unwritten, *entries], ending))

    def newest(self, most: int, *, of_earlier_sessions: bool = False) -> list[Created]:
        """Return what was surely created last, the newest first; of what earlier sessions have recorded, if need be."""
        rows = self._database.execute(
            "SELECT object, reference, mark, created FROM creates INDEXED BY by_creation"
            " WHERE created IS NOT NULL AND object IS NOT NULL AND state = ? AND session < ?"
            " ORDER BY created DESC LIMIT ?",
            (CODES["ok"], self._session + (not of_earlier_sessions), most),
        )
        return [Created(*row) for row in rows]

    def unaudited_since(self) -> float | None:
        """Return when the first row that no audit has surely covered was sent, by the server's clock; None: none is."""
        query = """SELECT min(began) FROM creates, audit
            WHERE creates.session > audit.session OR creates.created > audit.until"""
        return self._database.execute(query).fetchone()[0]  # type: ignore[no-any-return]

    def marks_among(self, marks: Iterable[bytes]) -> set[bytes]:
        """Return which of these belong to rows of the run, or did before their contents were changed."""
        known = [*marks]
        now = self._among("SELECT mark FROM creates WHERE mark IN", known)
        return {row[0] for row in (*now, *self._among("SELECT mark FROM former_marks WHERE mark IN", known))}

    def objects_among(self, ids: Iterable[str]) -> set[str]:
        """Return which of these the run has created."""
        return {row[0] for row in self._among("SELECT object FROM creates WHERE object IN", ids)}

    def rows_of(self, references: Iterable[bytes]) -> dict[bytes, KnownCreate]:
        """Return the rows with these references; of several, one that is done, or else one that may have been sent."""
        rows = sorted(
            (KnownCreate(*row) for row in self._among(_KNOWN + "reference IN", references)),
            key=lambda known: (known.state == CODES["ok"], known.state in {CODES["unknown"], PARKED}),
        )
        return {known.reference: known for known in rows if known.reference is not None}

    def _among(self, query: str, values: Iterable[object]) -> Iterator[Any]:
        waiting = [*values]
        while waiting:
            group, waiting = waiting[:_ROWS_AT_ONCE], waiting[_ROWS_AT_ONCE:]
            yield from self._database.execute(f"{query} ({', '.join('?' * len(group))})", group)

    def _commit(self, entries: Sequence[Entry], ending: str | None) -> None:
        self._check_place()
        run = self._database
        with run:
            run.execute("BEGIN IMMEDIATE")
            for each in entries:
                self._note(each)
            run.execute("UPDATE meta SET changed = ?, ending = ?", (now(), ending))

    def _note(self, entry: Entry) -> None:
        run = self._database
        if isinstance(entry, Left):
            run.execute("UPDATE audit SET left = ?", (entry.rows,))
        elif isinstance(entry, LooksFirst):
            run.execute("UPDATE audit SET looks = ?", (entry.day,))
        elif isinstance(entry, Twins):
            run.executemany("INSERT OR IGNORE INTO twins VALUES (?, ?)", entry.pairs)
        elif isinstance(entry, Audited):
            run.execute("UPDATE audit SET session = ?, after = NULL, until = ?", (self._session, entry.until))
        elif isinstance(entry, Settled):
            run.execute(
                _SETTLED,
                {
                    "key": entry.key,
                    "state": entry.state,
                    "object": entry.object_id,
                    "created": entry.created,
                    "session": self._session,
                },
            )
            if entry.audit_after is not None:
                run.execute("UPDATE audit SET after = max(coalesce(after, 0), ?)", (entry.audit_after,))
        else:
            of = entry.digests
            values = (of.key, entry.row, entry.state, of.content, of.reference, of.mark, entry.began)
            run.execute(_UPSERT, (*values, entry.object_id, entry.created, self._session))

    def _free_reserve(self) -> None:
        self._lock.free()

    def _can_commit(self, entries: Sequence[Entry], ending: str | None) -> bool:
        try:
            self._commit(entries, ending)
        except (sqlite3.Error, JournalError):
            return False
        return True


class TemporaryCreates(CreatesFile):
    """The same without a file that lasts: for a run that cannot be resumed."""

    is_lasting: ClassVar[bool] = False

    def __init__(self) -> None:
        self._path = Path("(none)")
        database = self._database = sqlite3.connect("", isolation_level=None)
        for statement in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", *META, *_SCHEMA):
            database.execute(statement)
        self.digester: Digester = Digester(secrets.token_bytes(SECRET_BYTES))
        self.had_sessions: bool = False
        self._begin(database)

    def look_up(self) -> None:
        """Return nothing to look rows up in: there are none of earlier sessions."""
        return

    def close(self, entries: Sequence[Entry], ending: str) -> None:  # noqa: ARG002 - nothing is kept
        """Forget everything."""
        self._database.close()

    def _check_place(self) -> None:
        pass

    def _free_reserve(self) -> None:
        pass


def _is_intent(entry: Entry) -> bool:
    return isinstance(entry, RowEntry) and entry.state == CODES["unknown"]


class LookUp:
    """Looks rows up while another thread writes; what it sees is committed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = connect(path)

    def known(self, key: bytes) -> KnownCreate | None:
        """Return what the journal says of the row with this key.

        Raises:
            JournalError: the file cannot be read.
        """
        return self._one("key = ?", key)

    def with_reference(self, reference: bytes) -> KnownCreate | None:
        """Return what the journal says of the row with this reference.

        Raises:
            JournalError: the file cannot be read.
        """
        return self._one("reference = ? ORDER BY state = 1 DESC LIMIT 1", reference)

    def with_object(self, object_id: str) -> KnownCreate | None:
        """Return what the journal says of the row that has created this.

        Raises:
            JournalError: the file cannot be read.
        """
        return self._one("object = ? LIMIT 1", object_id)

    def _one(self, where: str, value: bytes | str) -> KnownCreate | None:
        row = translating_errors(self._path, lambda: self._database.execute(_KNOWN + where, (value,)).fetchone())
        return None if row is None else KnownCreate(*row)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()
