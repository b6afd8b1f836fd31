"""Split an input into shards by a hash of the id, in flat memory: SQLite sorts the rows in a private temporary file."""

import errno
import hashlib
import os
import shutil
import sqlite3
import tempfile
import threading
import types
from collections import deque
from collections.abc import AsyncIterable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Self

from spotdx_async import private_files
from spotdx_async._codec.encoding import Encode, check_encode
from spotdx_async.bulk.options import check_rows
from spotdx_async.bulk.records import STATES, UPDATES, InvalidRow, Noun, State
from spotdx_async.distributed.run_folder import claim_folder, note_split
from spotdx_async.distributed.shard import (
    MOST_TROUBLES,
    RowOutcome,
    RowTrouble,
    Shard,
    ShardReport,
    mark_of,
    row_line,
    shard_hash,
)
from spotdx_async.errors import InvalidInputError

_MOST_ROWS = 8000
_USUAL_LEAST, _USUAL_MOST, _USUAL_SHARDS = 1250, 4000, 32
_ROWS_A_TURN = 200
_SHARDS_A_FOLDER = 1000
_CACHE_KIB = 16 * 1024
"""Of SQLite's page cache, and the same again for its sorter."""
_ROWS_AT_ONCE = 1000
_LOWEST_HASH = -(1 << 63)
"""SQLite's integers are signed: offset by this, 64-bit hashes fit, and keep their order and their groups."""

_Row = tuple[int, int, bytes]
"""A hash, a place in the input, and the line."""


class Split:
    """Reads an input to its end, then yields its shards one by one; use it in a ``with``.

    All rows of one kit are in one shard, in order. The same rows and ``shard_rows`` give the same shards, whatever the
    number of workers. A shard exceeds ``shard_rows`` by at most a quarter, unless one kit alone has more rows. Memory
    is 32 MiB and two shards; the rest goes to a temporary file (mode 0600) that is removed at the end.

    Args:
        shard_rows: the rows of a shard, 1 to 8,000; None: 1,000 to 4,000, so that there are at least 32 shards if the
            input has enough rows.
        noun: whose metadata the rows set.
        folder: one that all workers share, for rows, journals and failed rows; it is created if missing (mode 0700).
            None: shards hold their rows themselves, and nothing is written to disk.
        keeps_rows: leave the shards' rows in the folder, for processes that come later; the caller removes them.
        allow_any_id: as for the clients that send the shards.
        encode: as for a client, for values of metadata that JSON lacks: shards hold their JSON form.
        keeps_outcomes: whether the report of bad rows has the outcome of each.

    Raises:
        InvalidInputError: an argument is wrong, or the folder cannot be used.
        ConfigError: ``encode`` is no plain function.
    """

    def __init__(
        self,
        *,
        shard_rows: int | None = None,
        noun: Noun = "kits",
        folder: str | os.PathLike[str] | None = None,
        keeps_rows: bool = False,
        allow_any_id: bool = False,
        encode: Encode | None = None,
        keeps_outcomes: bool = False,
    ) -> None:
        _check_shard_rows(shard_rows)
        check_encode(encode)
        if noun not in UPDATES:
            raise InvalidInputError(f"noun must be one of {', '.join(UPDATES)}")
        self.rows: int = 0
        """Rows read so far, bad ones included."""
        self.shards_given: int = 0
        self._given_shard_rows = shard_rows
        self._noun = noun
        self._folder = None if folder is None else _made(folder)
        self._sorter = _Sorter(self._folder)
        self._mark = hashlib.blake2b(digest_size=16, person=b"spotdx input")
        self._undone: list[int] = []
        self._troubles: list[RowTrouble] = []
        self._outcomes: list[RowOutcome] | None = [] if keeps_outcomes else None
        self._keeps_rows = keeps_rows
        self._allow_any_id = allow_any_id
        self._encode = encode
        self._written: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the files of rows; journals and failed rows stay."""
        self._sorter.close()
        for path in () if self._keeps_rows else self._written:
            path.unlink(missing_ok=True)

    async def read(self, source: Iterable[Any] | AsyncIterable[Any]) -> None:
        """Read the whole input, giving the event loop its turns.

        Args:
            source: as for ``update_metadata_many``.

        Raises:
            InvalidInputError: it does not hold rows, or the folder belongs to another input.
            Exception: whatever the input raises.
        """
        check_rows("updates", source)
        if isinstance(source, AsyncIterable):
            async for item in source:
                self._take(item)
                if not self.rows % _ROWS_A_TURN:
                    await _turn()
        else:
            for item in source:
                self._take(item)
                if not self.rows % _ROWS_A_TURN:
                    await _turn()
        self._check_folder()

    def read_now(self, source: Iterable[Any]) -> None:
        """Read the whole input without an event loop; otherwise like ``read``."""
        check_rows("updates", source)
        for item in source:
            self._take(item)
        self._check_folder()

    @property
    def rejected(self) -> ShardReport:
        """The rows that are in no shard, since they are bad and nothing can be sent for them."""
        counts: dict[State, int] = {**dict.fromkeys(STATES, 0), "rejected": len(self._undone)}
        return ShardReport(
            shard=-1,
            counts=counts,
            troubles=tuple(self._troubles),
            undone=tuple(self._undone),
            outcomes=tuple(self._outcomes or ()),
        )

    def shards(self) -> Iterator[Shard]:
        """Yield the shards, once; each is built when it is asked for, in the split's ``with`` block.

        Raises:
            InvalidInputError: the block has been left before the last shard.
            OSError: a file cannot be written.
        """
        text: list[bytes] = []
        most = self._shard_rows
        for leaf in _leaves(self._sorter.rows(), most):
            # A shard is closed early only once it is a quarter full: otherwise a large leaf after a tiny one would
            # leave a shard of a few rows. That is why a shard may exceed ``most`` by a quarter.
            if text and len(text) + len(leaf) > most and len(text) * 4 >= most:
                yield self._shard(text)
                text = []
            text += leaf
        if text:
            yield self._shard(text)
        if self._folder is not None:
            note_split(self._folder, shards=self.shards_given, rejected=len(self._undone))

    @property
    def _shard_rows(self) -> int:
        """Derived from the input alone, so that a resumed run has the same shards."""
        usual = min(_USUAL_MOST, max(_USUAL_LEAST, self.rows // _USUAL_SHARDS))
        return usual if self._given_shard_rows is None else self._given_shard_rows

    def _take(self, item: Any) -> None:
        index = self.rows
        self.rows += 1
        try:
            update = _as_update(item, UPDATES[self._noun])
            line = row_line(index, update, allow_any_id=self._allow_any_id, encode=self._encode)
        except InvalidInputError as error:
            self._undone.append(index)
            reason = str(error.args[0] if error.args else "a bad row")
            if len(self._troubles) < MOST_TROUBLES:
                self._troubles.append(RowTrouble(index, "rejected", reason))
            if self._outcomes is not None:
                key = getattr(item, "key", None)
                shown = key if isinstance(key, str) else None
                self._outcomes.append(RowOutcome(index, shown, "rejected", type(error).__name__, reason))
            # Bad rows count too: a resumed run must have them in the same places, since rows are known by their index.
            self._mark.update(b"bad\n")
            return
        self._mark.update(line)
        self._sorter.add(index, shard_hash(update.key), line)

    def _shard(self, lines: list[bytes]) -> Shard:
        number, text = self.shards_given, b"".join(lines)
        self.shards_given += 1
        mark = mark_of(text)
        if self._folder is None:
            return Shard(number=number, count=len(lines), rows=text, mark=mark, noun=self._noun)
        folder = self._folder / f"{number // _SHARDS_A_FOLDER:04}"
        private_files.make_folder(folder, must_be_ours=True)
        place = folder / f"shard-{number:06}"
        rows = place.with_suffix(".rows")
        private_files.replace(rows, text)
        self._written.append(rows)
        return Shard(
            number=number,
            count=len(lines),
            rows=str(rows),
            mark=mark,
            noun=self._noun,
            journal=str(place.with_suffix(".journal")),
            failed=str(place.with_suffix(".failed.jsonl")),
        )

    def _check_folder(self) -> None:
        """Reject a folder that holds the journals of another input."""
        if self._folder is None:
            return
        ours = {"noun": self._noun, "shard_rows": self._shard_rows, "rows": self.rows, "mark": self._mark.hexdigest()}
        claim_folder(self._folder, ours)


class _Sorter:
    """Rows in a temporary database: sorted by hash, and in input order within one hash.

    Nothing is ever committed, so the file stays empty for as long as everything fits into the page cache. Rows may be
    read in a different thread from the one that closes.
    """

    def __init__(self, folder: Path | None) -> None:
        _check_name(Path(tempfile.gettempdir()) if folder is None else folder)
        self._folder = Path(tempfile.mkdtemp(prefix="spotdx-split-", dir=folder))
        self._lock = threading.Lock()
        self._is_closed = False
        path = self._folder / "rows.sqlite"
        with _os_errors():
            os.close(private_files.create(path))
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            # Nobody needs the file later, so nothing is done for its durability.
            for setting in (
                "journal_mode = OFF",
                "synchronous = OFF",
                "temp_store = FILE",
                f"cache_size = -{_CACHE_KIB}",
            ):
                self._database.execute(f"PRAGMA {setting}")
            self._database.execute("BEGIN")
            self._database.execute("CREATE TABLE rows(place INTEGER PRIMARY KEY, hash INTEGER, line BLOB)")

    def add(self, place: int, key_hash: int, line: bytes) -> None:
        """Add a row.

        Raises:
            OSError: it cannot be written, as on a full disk.
        """
        try:
            self._database.execute("INSERT INTO rows VALUES (?, ?, ?)", (place, key_hash + _LOWEST_HASH, line))
        except sqlite3.Error as error:
            raise _as_os_error(error) from None

    def rows(self) -> Iterator[_Row]:
        """Yield the rows; once.

        Raises:
            InvalidInputError: it was closed before the last row.
            OSError: the sorted rows cannot be written or read.
        """
        with self._lock, _os_errors():
            self._check_open()
            # SQLite sorts on the first step, in unlinked files. Their folder is a setting of the whole process, in
            # which nothing else sorts this much; a library that does not know the setting uses the system's own folder.
            self._set_temporary_folder(str(self._folder))
            try:
                sorted_rows = self._database.execute("SELECT hash, place, line FROM rows ORDER BY hash, place")
                some = sorted_rows.fetchmany(_ROWS_AT_ONCE)
            finally:
                self._set_temporary_folder("")
        while some:
            yield from some
            with self._lock, _os_errors():
                self._check_open()
                some = sorted_rows.fetchmany(_ROWS_AT_ONCE)

    def close(self) -> None:
        """Remove the file; reading on, as a thread may, is an error: rows that are left must not seem to be none."""
        if self._is_closed:
            return
        self._is_closed = True
        self._database.interrupt()
        with self._lock:
            self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _check_open(self) -> None:
        if self._is_closed:
            raise InvalidInputError("the split has ended before all its shards were taken: take them in its with block")

    def _set_temporary_folder(self, path: str) -> None:
        quoted = path.replace("'", "''")
        self._database.execute(f"PRAGMA temp_store_directory = '{quoted}'")


def _leaves(rows: Iterator[_Row], most: int) -> Iterator[list[bytes]]:
    """Group sorted rows by the fewest leading bytes of their hash that put at most ``most`` rows in a group.

    Only rows that all have one hash can be more. The lines of a group are in input order. Earlier versions made the
    same groups, so a run that one of them began can be resumed.
    """
    ahead: deque[_Row] = deque()
    last: int | None = None
    while True:
        ahead.extend(islice(rows, most + 1 - len(ahead)))
        if not ahead:
            return
        first, count = ahead[0][0], 0
        for shift in range(56, -1, -8):
            if last is not None and last >> shift == first >> shift:
                continue  # the rest of a group that was too large
            count = sum(1 for _ in takewhile(partial(_shares_prefix, first, shift), ahead))
            if count <= most:
                break
        leaf = [ahead.popleft()[1:] for _ in range(count)]
        if count > most:
            for row in rows:
                if row[0] != first:
                    ahead.append(row)
                    break
                leaf.append(row[1:])
        last = first
        yield [line for _, line in sorted(leaf)]


def _shares_prefix(first: int, shift: int, row: _Row) -> bool:
    return row[0] >> shift == first >> shift


@contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _as_os_error(error) from None


def _as_os_error(error: sqlite3.Error) -> OSError:
    """Return the error that the system would have reported for the disk."""
    is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    number = errno.ENOSPC if is_full else errno.EIO
    return OSError(number, os.strerror(number))


def _check_shard_rows(rows: object) -> None:
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= _MOST_ROWS):
        raise InvalidInputError(f"shard_rows must be a whole number from 1 to {_MOST_ROWS:,}, or None")


def _as_update(item: Any, kind: type[Any]) -> Any:
    if isinstance(item, InvalidInputError):
        raise item
    if isinstance(item, InvalidRow):
        raise item.error
    if isinstance(item, kind):
        return item
    if isinstance(item, (tuple, list)) and len(item) == 2:  # noqa: PLR2004 - a pair
        return kind(*item)
    raise InvalidInputError(f"a row must be {kind.__name__} or a pair of id and metadata, not {type(item).__name__}")


def _made(folder: str | os.PathLike[str]) -> Path:
    path = Path(folder).absolute()
    _check_name(path)
    try:
        private_files.make_folder(path)
    except OSError as error:
        why = error.strerror
    else:
        return path
    raise InvalidInputError(f"the folder {path} cannot be used: {why}")


def _check_name(folder: Path) -> None:
    """Refuse a folder that SQLite cannot be told to sort in: its name must be text."""
    if any("\ud800" <= char <= "\udfff" for char in os.fspath(folder)):
        raise InvalidInputError(f"the folder {folder} cannot be used: its name is not UTF-8: name another folder")


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Let others run once."""
    yield
