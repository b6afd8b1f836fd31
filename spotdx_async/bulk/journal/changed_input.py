"""A journal is resumed with an input that was mended or extended: rows are known by what they hold, not their number.

A journal keeps a digest of the key and content of each row that is done, and not whose row it was. So the new input
must hold all such rows: then it says whose they are, and with the order in which they were done what each kit or order
holds now. A row is not sent if that is its own value, or one that comes later in the new input. Where the journal
cannot tell, it is refused, and stays as it was.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from spotdx_async.bulk.journal.database import connect, now
from spotdx_async.bulk.journal.lock import JournalLock, is_locked
from spotdx_async.bulk.journal.paths import Companions, absolute, look, refusal
from spotdx_async.bulk.journal.reading import (
    UPDATES,
    checked,
    has_table,
    read_doubtful,
    read_landing,
    read_meta,
    reading,
    translating_errors,
)
from spotdx_async.bulk.journal.records import UNREADABLE, AcceptedInput, Digester
from spotdx_async.bulk.records import Journal

# A number for each row of the new input; rows that cannot be sent are not among them.
_INPUT = "CREATE TEMP TABLE input(row INTEGER PRIMARY KEY, digest BLOB NOT NULL, key BLOB NOT NULL)"
_INDEX = "CREATE INDEX temp.input_digest ON input(digest, row)"
_MISSING = """SELECT count(*), min(row) FROM main.rows
    WHERE state IN (1, 4) AND digest NOT IN (SELECT digest FROM temp.input)"""
# What each key holds: the row of it that was done last, and the last row of the input that is the same.
_HELD = """CREATE TEMP TABLE held AS
    SELECT known.key AS key, max(done.row) AS row, done.digest AS digest,
        (SELECT max(row) FROM temp.input WHERE digest = done.digest) AS place
    FROM main.rows AS done JOIN (SELECT DISTINCT digest, key FROM temp.input) AS known ON known.digest = done.digest
    WHERE done.state = 1 GROUP BY known.key"""
_HELD_INDEX = "CREATE INDEX temp.held_key ON held(key)"
# A later value that was perhaps set must come later in the new input too, to be set again; else nothing is certain.
_UNCERTAIN = """DELETE FROM temp.held WHERE EXISTS (
    SELECT 1 FROM main.rows AS tried WHERE tried.state = 4 AND tried.key = held.key AND tried.row > held.row
        AND (SELECT max(row) FROM temp.input WHERE digest = tried.digest) < held.place)"""
_KNOWN = """CREATE TEMP TABLE known AS
    SELECT input.row AS row, input.digest AS digest, NULL AS key,
        CASE WHEN input.digest IN (SELECT digest FROM main.rows WHERE state = 1) THEN 1 ELSE 5 END AS state
    FROM temp.input JOIN temp.held ON held.key = input.key WHERE input.row <= held.place
    UNION ALL
    SELECT max(input.row), input.digest, input.key, 4
    FROM temp.input LEFT JOIN temp.held ON held.key = input.key
    WHERE input.digest IN (SELECT digest FROM main.rows WHERE state = 4)
        AND (held.place IS NULL OR input.row > held.place) GROUP BY input.digest"""
_DONE_AGAIN = """SELECT count(*) FROM temp.input LEFT JOIN temp.held ON held.key = input.key
    WHERE input.digest IN (SELECT digest FROM main.rows WHERE state = 1)
        AND (held.place IS NULL OR input.row > held.place) AND input.row NOT IN (SELECT row FROM temp.known)"""


class _UnreadableInputError(Exception):
    """Carries what the input raised past the translation of the journal's own errors."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def accept(
    settings: Journal, rows: Iterable[tuple[str, bytes | None]], *, operation: str, server: str
) -> AcceptedInput | None:
    """Let the journal resume with another input, in place of the one that it was begun with; all of it or nothing.

    Args:
        settings: the journal; its fingerprint is that of the new input.
        rows: key and content of each row of the new input, in order; the content is None if the row cannot be sent.
        operation: what the run does.
        server: with which server.

    Returns:
        None if there is no journal yet, or its fingerprint is that of this input: nothing was read.

    Raises:
        JournalError: it cannot be used, or cannot tell what must not be sent again.
        Exception: what ``rows`` raised.
    """
    path = absolute(settings.path)
    found = look(path)
    if found is None or not found.st_size:
        return None
    lock = translating_errors(path, lambda: JournalLock.take(path))
    try:
        companions = Companions.hold(path)
        try:
            return translating_errors(path, lambda: _accept(path, settings.fingerprint, rows, operation, server))
        finally:
            companions.release()
    except _UnreadableInputError as unreadable:
        error = unreadable.error
    finally:
        lock.release()
    raise error


def first_difference(settings: Journal, rows: Iterable[tuple[str, bytes | None]]) -> int | None:
    """Return the index of the first row that is not the one that the journal knows by this number.

    That is the number of rows if the input ends above the last one that it knows; None if it knows no other rows.

    Raises:
        JournalError: it cannot be read.
        Exception: what ``rows`` raised.
    """
    path = absolute(settings.path)
    try:
        return translating_errors(path, lambda: _first_difference(path, rows))
    except _UnreadableInputError as unreadable:
        error = unreadable.error
    raise error


def _first_difference(path: Path, rows: Iterable[tuple[str, bytes | None]]) -> int | None:
    with closing(reading(path, is_still=not is_locked(path))) as database:
        digester = Digester(read_meta(path, database).secret)
        known = database.execute("SELECT row, digest FROM rows ORDER BY row")
        number, digest = known.fetchone() or (None, b"")
        index = 0
        for index, (key, content) in enumerate(_whole(rows), start=1):
            if number is None:
                return None
            if index - 1 == number:
                if digester.row(key, UNREADABLE if content is None else content).content != digest:
                    return index - 1
                number, digest = known.fetchone() or (None, b"")
        return None if number is None else index


def _accept(
    path: Path, fingerprint: str | None, rows: Iterable[tuple[str, bytes | None]], operation: str, server: str
) -> AcceptedInput | None:
    meta = checked(path, UPDATES, operation, server, None)
    digester = Digester(meta.secret)
    mark = None if fingerprint is None else digester.text(fingerprint)
    if mark is not None and mark == meta.fingerprint:
        return None
    with closing(connect(path)) as database, database:
        database.execute("BEGIN IMMEDIATE")
        _check_certain(path, database, meta.ending, meta.sessions)
        count = _read(database, digester, rows)
        missing, first = database.execute(_MISSING).fetchone()
        if missing:
            raise refusal(path, _missing(missing, first), reason="changed input")
        for statement in (_HELD, _HELD_INDEX, _UNCERTAIN, _KNOWN):
            database.execute(statement)
        again = database.execute(_DONE_AGAIN).fetchone()[0]
        done = database.execute("SELECT count(*) FROM temp.known WHERE state <> 4").fetchone()[0]
        _replace(database, mark)
    return AcceptedInput(rows=count, done=done, done_again=again)


def _check_certain(path: Path, database: sqlite3.Connection, ending: str | None, sessions: int) -> None:
    """Refuse a journal that does not hold all that was sent: it would be taken for what a kit holds now."""
    below = read_doubtful(database)
    is_killed = sessions > 0 and ending is None
    recorded = database.execute("SELECT count(*) FROM rows WHERE row < ?", (below,)).fetchone()[0]
    if is_killed or (ending != "complete" and recorded < below):
        what = "is of a run that was killed, so rows may have been sent that it does not know"
        raise refusal(path, f"{what}, and it cannot be resumed with another input", reason="changed input")


def _missing(count: int, first: int) -> str:
    if count == 1:
        what = f"knows a row that is done, or perhaps done, and is not in this input (it was row {first + 1})"
    else:
        what = f"knows {count:,} rows that are done, or perhaps done, and are not in this input (the first was row "
        what += f"{first + 1})"
    return f"{what}, and not whose they were, so what is set there cannot be told"


def _read(database: sqlite3.Connection, digester: Digester, rows: Iterable[tuple[str, bytes | None]]) -> int:
    """Take in the new input; return how many rows it has."""
    count = 0

    def digests() -> Iterator[tuple[int, bytes, bytes]]:
        nonlocal count
        for key, content in _whole(rows):
            if content is not None:
                of = digester.row(key, content)
                yield count, of.content, of.key
            count += 1

    database.execute(_INPUT)
    database.executemany("INSERT INTO temp.input VALUES (?, ?, ?)", digests())
    database.execute(_INDEX)
    return count


def _whole(rows: Iterable[tuple[str, bytes | None]]) -> Iterator[tuple[str, bytes | None]]:
    try:
        yield from rows
    except Exception as error:  # noqa: BLE001 - the caller's own; it is raised again as it is
        raise _UnreadableInputError(error) from None


def _replace(database: sqlite3.Connection, fingerprint: bytes | None) -> None:
    landing = sorted(set(read_landing(database).values()))
    database.execute("DELETE FROM main.rows")
    database.execute("INSERT INTO main.rows SELECT row, state, digest, key FROM temp.known")
    for table in ("doubtful", "resent", "landing"):
        if has_table(database, table):
            database.execute(f"DELETE FROM main.{table}")  # noqa: S608 - one of three names
    # Below all rows of any input: only the keys count, and such a number is nobody's.
    for number, key in enumerate(landing):
        database.execute("INSERT INTO main.landing VALUES (?, ?)", (-1 - number, key))
    database.execute("UPDATE main.meta SET fingerprint = ?, changed = ?", (fingerprint, now()))
