"""A shard: some of a run's rows, with all rows of each of its kits in their order. Knows no engine and no server."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from spotdx_async._codec.json import NotSerializableError, parse_exact, serialize
from spotdx_async.bulk.records import MetadataUpdate, OrderMetadataUpdate, Update
from spotdx_async.errors import InvalidInputError

__all__ = ["KINDS", "Noun", "Shard", "ShardRow", "mark_of", "row_line", "shard_hash"]

Noun = Literal["kits", "orders"]
"""Whose metadata the rows set."""

KINDS: dict[Noun, type[Update]] = {"kits": MetadataUpdate, "orders": OrderMetadataUpdate}


@frozen
class ShardRow:
    """One row of a shard."""

    index: int
    """Its place in the whole input, from 0."""
    update: Update = field(repr=False)
    """What to set."""


@frozen(kw_only=True)
class Shard:
    """A part of a run that one process carries out; it can be pickled, and no repr shows a row."""

    number: int
    """From 0; the same input and settings always give the same shards."""
    count: int
    """Its rows."""
    rows: bytes | str = field(repr=False)
    """The rows themselves, or the path of the file that holds them: for each a line of its index, a tab, and a JSON
    array of the id and the metadata."""
    mark: str = field(repr=False)
    """A digest of the rows: they are read only if they are these, and a journal is resumed only for them."""
    noun: Noun = "kits"
    """Whose metadata it sets."""
    journal: str | None = None
    """Where to write down which rows are done, so that the shard can be repeated; None: nowhere."""
    failed: str | None = None
    """Where to write the rows that are not done, as JSON Lines that ``spotdx kits update`` takes; None: nowhere."""

    def read(self) -> Iterator[ShardRow]:
        """Give the rows in their order; they are held in memory as bytes meanwhile.

        Raises:
            InvalidInputError: the rows cannot be read, or are not those that the shard was made of.
        """
        for line in self._text().splitlines():
            index, _, text = line.partition(b"\t")
            key, metadata = parse_exact(text)
            yield ShardRow(int(index), KINDS[self.noun](key, metadata))

    def indexes(self) -> Iterator[int]:
        """Give the places of the rows in the whole input.

        Raises:
            InvalidInputError: as ``read``.
        """
        return (int(line.partition(b"\t")[0]) for line in self._text().splitlines())

    def _text(self) -> bytes:
        text = self.rows if isinstance(self.rows, bytes) else _content(self.rows, self.number)
        if mark_of(text) != self.mark:
            raise InvalidInputError(f"the rows of shard {self.number} are not those that it was made of: split again")
        return text


def shard_hash(key: str) -> int:
    """Give a kit's or order's number of 64 bits, by which rows are split; the same in every process and version."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, person=b"spotdx shard")
    return int.from_bytes(digest.digest())


def row_line(index: int, update: Update, *, allow_any_id: bool = False) -> bytes:
    """Write a row as shards hold it; its line end included.

    Raises:
        InvalidInputError: the row is bad: nothing can be sent for it. No value is shown.
    """
    update.check(allow_any_id=allow_any_id)
    metadata: Any = update.metadata if isinstance(update.metadata, dict) else dict(update.metadata)
    try:
        text = serialize([update.key, metadata])
    except NotSerializableError:
        fault = "the row has no JSON form; nothing was sent"
    else:
        return b"%d\t%b\n" % (index, text)
    raise InvalidInputError(fault)


def mark_of(text: bytes) -> str:
    """Give the digest of a shard's rows."""
    return hashlib.blake2b(text, digest_size=16, person=b"spotdx rows").hexdigest()


def _content(path: str, number: int) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        why = error.strerror
    raise InvalidInputError(f"the rows of shard {number} cannot be read: {why}")
