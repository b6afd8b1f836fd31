"""The keys of a run's rows, and what was found before it began. Synchronous."""

import sqlite3
from typing import Any

from spotdx_async.errors import JournalError


class BatchIndex:
    """The keys of a run's rows, and what was found before it began: in flat memory, in a file that nobody else sees."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # SQLite makes a temporary file when it grows
        for statement in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE keys(key BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID",
            "CREATE TABLE found(reference BLOB, object TEXT, created REAL, PRIMARY KEY (reference, object))",
            "CREATE TABLE bare(sign BLOB PRIMARY KEY) WITHOUT ROWID",
        ):
            self._database.execute(statement)

    def first_with(self, key: bytes, row: int) -> int:
        """Return the first row with this key, which is ``row`` itself if no earlier one has it.

        Raises:
            JournalError: the temporary file cannot be written, as for all other methods.
        """
        self._execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", key, row)
        first: int = self._execute("SELECT row FROM keys WHERE key = ?", key)[0][0]
        return first

    def add_found(self, reference: bytes, object_id: str, created: float | None) -> None:
        """Note an object that carries a reference, and when it was created."""
        self._execute("INSERT OR IGNORE INTO found VALUES (?, ?, ?)", reference, object_id, created)

    def found(self, reference: bytes) -> list[tuple[str, float | None]]:
        """Return the objects that carry the reference, the first one first: the id, and when it was created."""
        query = "SELECT object, created FROM found WHERE reference = ? ORDER BY created IS NULL, created"
        return self._execute(query, reference)

    def add_bare(self, sign: bytes) -> None:
        """Note an object that shows no reference: whom it is for or its barcode; nothing where it shows neither."""
        self._execute("INSERT OR IGNORE INTO bare VALUES (?)", sign)

    def has_bare(self, *signs: bytes) -> bool:
        """Return whether an object that shows no reference has one of these signs, or may have any."""
        return any(self._execute("SELECT 1 FROM bare WHERE sign = ?", each) for each in (b"", *signs))

    def _execute(self, query: str, *values: object) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            why = getattr(error, "sqlite_errorname", type(error).__name__)
        what = f"the index of the run's keys, a temporary file, cannot be used ({why})"
        raise JournalError(f"{what}: fix that, and resume with the same call", reason="disk")

    def close(self) -> None:
        """Forget everything."""
        self._database.close()
