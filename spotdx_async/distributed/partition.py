"""An input split into shards by a hash of the id, in flat memory: a radix sort that stops where a heap is small."""

import hashlib
import json
import os
import shutil
import tempfile
import types
from collections.abc import AsyncIterable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Self, get_args

from spotdx_async import private_files
from spotdx_async.bulk.options import check_updates
from spotdx_async.bulk.records import State
from spotdx_async.distributed.partition_files import HASH_BYTES, Bucket, Buckets
from spotdx_async.distributed.reports import MOST_TROUBLES, RowTrouble, ShardReport
from spotdx_async.distributed.shard import KINDS, Noun, Shard, mark_of, row_line, shard_hash
from spotdx_async.errors import InvalidInputError

__all__ = ["Split"]

_MOST_ROWS = 8000
_USUAL_LEAST, _USUAL_MOST, _USUAL_SHARDS = 1250, 4000, 32
_DEEPEST = 7
_ROWS_A_TURN = 200
_SHARDS_A_FOLDER = 1000
_MEMORY_BYTES = 32 * 1024 * 1024


class Split:
    """Reads an input to its end, then gives its shards one by one; use it in a ``with``.

    All rows of one kit are in one shard, in their order. The same rows and ``shard_rows`` give the same shards,
    whatever the number of workers. A shard has up to ``shard_rows`` rows and a quarter more, unless one kit alone has
    more. Memory is 32 MiB and one shard; what is beyond that lies in files (mode 0600) that are gone at the end.

    Args:
        shard_rows: the rows of a shard, 1 to 8,000; None: 1,000 to 4,000, so that there are 32 shards or more where
            the input has rows for them.
        noun: whose metadata the rows set.
        folder: one that all workers share, for rows, journals and failed rows; it is made where it is missing (mode
            0700). None: shards hold their rows themselves, and nothing is written down.
        keeps_rows: leave the shards' rows in the folder, for processes that come later; the caller removes them.
        allow_any_id: as the clients that send the shards have it.

    Raises:
        InvalidInputError: an argument is wrong, or the folder cannot be used.
    """

    def __init__(
        self,
        *,
        shard_rows: int | None = None,
        noun: Noun = "kits",
        folder: str | os.PathLike[str] | None = None,
        keeps_rows: bool = False,
        allow_any_id: bool = False,
    ) -> None:
        _check_shard_rows(shard_rows)
        if noun not in KINDS:
            raise InvalidInputError(f"noun must be one of {', '.join(KINDS)}")
        self.rows: int = 0
        """Rows read so far, bad ones included."""
        self.shards_given: int = 0
        self._given_shard_rows = shard_rows
        self._noun = noun
        self._folder = None if folder is None else _made(folder)
        self._heap = Path(tempfile.mkdtemp(prefix="spotdx-split-", dir=self._folder))
        self._buckets = Buckets(self._heap, 0, memory_bytes=_MEMORY_BYTES)
        self._mark = hashlib.blake2b(digest_size=16, person=b"spotdx input")
        self._undone: list[int] = []
        self._troubles: list[RowTrouble] = []
        self._keeps_rows = keeps_rows
        self._allow_any_id = allow_any_id
        self._written: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the files of rows; journals and failed rows stay."""
        shutil.rmtree(self._heap, ignore_errors=True)
        for path in () if self._keeps_rows else self._written:
            path.unlink(missing_ok=True)

    async def read(self, source: Iterable[Any] | AsyncIterable[Any]) -> None:
        """Read the whole input, leaving the event loop its turns.

        Args:
            source: as ``update_metadata_many`` takes it.

        Raises:
            InvalidInputError: it holds no rows at all, or the folder is that of another input.
            Exception: whatever the input raises.
        """
        check_updates(source)
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
        """Read the whole input without an event loop; else as ``read``."""
        check_updates(source)
        for item in source:
            self._take(item)
        self._check_folder()

    @property
    def rejected(self) -> ShardReport:
        """The rows that are in no shard, since they are bad and nothing can be sent for them."""
        counts: dict[State, int] = {**dict.fromkeys(get_args(State), 0), "rejected": len(self._undone)}
        return ShardReport(shard=-1, counts=counts, troubles=tuple(self._troubles), undone=tuple(self._undone))

    def shards(self) -> Iterator[Shard]:
        """Give the shards, each made when it is asked for; once.

        Raises:
            OSError: a file cannot be written.
        """
        text: list[bytes] = []
        most = self._shard_rows
        for leaf in self._leaves(self._buckets, 0):
            if text and len(text) + leaf.rows > most and len(text) * 4 >= most:
                yield self._shard(text)
                text = []
            text += [line[HASH_BYTES:] for line in leaf.lines()]
            leaf.drop()
        if text:
            yield self._shard(text)

    @property
    def _shard_rows(self) -> int:
        """Made of the input alone, so that a run that is resumed has the same shards."""
        usual = min(_USUAL_MOST, max(_USUAL_LEAST, self.rows // _USUAL_SHARDS))
        return usual if self._given_shard_rows is None else self._given_shard_rows

    def _take(self, item: Any) -> None:
        index = self.rows
        self.rows += 1
        try:
            update = _as_update(item, KINDS[self._noun])
            line = row_line(index, update, allow_any_id=self._allow_any_id)
        except InvalidInputError as error:
            self._undone.append(index)
            if len(self._troubles) < MOST_TROUBLES:
                self._troubles.append(RowTrouble(index, "rejected", str(error.args[0] if error.args else "a bad row")))
            self._mark.update(b"bad\n")
            return
        self._mark.update(line)
        self._buckets.add(b"%016x\t%b" % (shard_hash(update.key), line))

    def _leaves(self, buckets: Buckets, depth: int) -> Iterator[Bucket]:
        """Give the heaps that are small enough, splitting those that are not by the next byte."""
        for bucket in buckets:
            if bucket.rows <= self._shard_rows or bucket.is_of_one_key or depth == _DEEPEST:
                yield bucket
                continue
            finer = Buckets(bucket.path.with_name(f"{bucket.path.name}-"), depth + 1, memory_bytes=_MEMORY_BYTES)
            for line in bucket.lines():
                finer.add(line)
            bucket.drop()
            yield from self._leaves(finer, depth + 1)

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
        """Refuse a folder in which another input's journals lie."""
        if self._folder is None:
            return
        place = self._folder / "run.json"
        ours = {"noun": self._noun, "shard_rows": self._shard_rows, "rows": self.rows, "mark": self._mark.hexdigest()}
        try:
            theirs = json.loads(private_files.read(place))
        except FileNotFoundError:
            private_files.replace(place, json.dumps(ours).encode())
            return
        except private_files.UnfitFileError as error:
            raise InvalidInputError(f"{place} {error.strerror}: name another folder") from None
        except (OSError, ValueError):
            theirs = None
        if theirs != ours:
            raise InvalidInputError(
                f"{self._folder} was begun with another input or another shard_rows: resume with those, or name "
                "another folder"
            )


def _check_shard_rows(rows: object) -> None:
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= _MOST_ROWS):
        raise InvalidInputError(f"shard_rows must be a whole number from 1 to {_MOST_ROWS:,}, or None")


def _as_update(item: Any, kind: type[Any]) -> Any:
    if isinstance(item, InvalidInputError):
        raise item
    if isinstance(item, kind):
        return item
    if isinstance(item, (tuple, list)) and len(item) == 2:  # noqa: PLR2004 - a pair
        return kind(*item)
    raise InvalidInputError(f"a row must be {kind.__name__} or a pair of id and metadata, not {type(item).__name__}")


def _made(folder: str | os.PathLike[str]) -> Path:
    path = Path(folder).absolute()
    try:
        private_files.make_folder(path)
    except OSError as error:
        why = error.strerror
    else:
        return path
    raise InvalidInputError(f"the folder {path} cannot be used: {why}")


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Let others run once."""
    yield
