"""A shard, some of a run's rows, and the reports of what became of it and of the run. Knows no engine and no server."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attrs import define, field, frozen

from spotdx_async._codec.encoding import Encode
from spotdx_async._codec.json import parse_exact, serialize
from spotdx_async._requests.operation import check_id, metadata_json, metadata_of
from spotdx_async.bulk.records import FAILURES, STATES, UPDATES, Noun, State, Update
from spotdx_async.errors import InvalidInputError

__all__ = [
    "ENOUGH_FAILURES",
    "MOST_TROUBLES",
    "RowOutcome",
    "RowTrouble",
    "RunReport",
    "Shard",
    "ShardReport",
    "ShardRow",
    "failures_of",
    "mark_of",
    "merge",
    "row_line",
    "shard_hash",
    "unread",
]

MOST_TROUBLES = 20
"""Rows that a report names with their reasons: what a person reads."""

ENOUGH_FAILURES = "as many rows were rejected, failed or ended unknown as are accepted (stop_after)"
"""Why a run stops that has reached its ``stop_after``."""


@frozen
class ShardRow:
    """One row of a shard."""

    index: int
    """Its place in the whole input, from 0."""
    update: Update = field(repr=False)
    """What to set."""


@frozen(kw_only=True)
class Shard:
    """A part of a run that one process executes; it can be pickled, and no repr shows a row."""

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
    """Where to record which rows are done, so that the shard can be repeated; None: nowhere."""
    failed: str | None = None
    """Where to write the rows that are not done, as JSON Lines that ``spotdx kits update`` accepts; None: nowhere."""

    def read(self) -> Iterator[ShardRow]:
        """Yield the rows in order; they are held in memory as bytes meanwhile.

        Raises:
            InvalidInputError: the rows cannot be read, or are not those that the shard was made of.
        """
        for line in self._text().splitlines():
            index, _, text = line.partition(b"\t")
            key, metadata = parse_exact(text)
            yield ShardRow(int(index), UPDATES[self.noun](key, metadata))

    def indexes(self) -> Iterator[int]:
        """Yield the places of the rows in the whole input.

        Raises:
            InvalidInputError: as for ``read``.
        """
        return (int(line.partition(b"\t")[0]) for line in self._text().splitlines())

    def _text(self) -> bytes:
        text = self.rows if isinstance(self.rows, bytes) else _content(self.rows, self.number)
        if mark_of(text) != self.mark:
            raise InvalidInputError(f"the rows of shard {self.number} are not those that it was made of: split again")
        return text


def shard_hash(key: str) -> int:
    """Return the 64 bits of a kit's or order's id by which rows are split; the same in every process and version."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, person=b"spotdx shard")
    return int.from_bytes(digest.digest())


def row_line(index: int, update: Update, *, allow_any_id: bool = False, encode: Encode | None = None) -> bytes:
    """Return a row as shards hold it, including its line end.

    Raises:
        InvalidInputError: the row is bad: nothing can be sent for it. No value is shown.
    """
    key = check_id(update.ID_NAME, update.key, allow_any_id=allow_any_id)
    metadata = metadata_of(metadata_json(update.metadata, encode=encode))
    return b"%d\t[%b,%b]\n" % (index, serialize(key), metadata)


def mark_of(text: bytes) -> str:
    """Return the digest of a shard's rows."""
    return hashlib.blake2b(text, digest_size=16, person=b"spotdx rows").hexdigest()


def _content(path: str, number: int) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        why = error.strerror
    raise InvalidInputError(f"the rows of shard {number} cannot be read: {why}")


@frozen(order=True)
class RowTrouble:
    """A row that did not go through."""

    index: int
    """Its place in the whole input, from 0."""
    state: State
    """How it ended."""
    reason: str
    """Why, in words that show no value."""


@frozen
class RowOutcome:
    """What became of one row."""

    index: int
    """Its place in the whole input, from 0."""
    key: str | None = field(repr=False)
    """The kit's or order's id; None for a bad row that has none."""
    state: State
    error: str | None = None
    """The class of its error."""
    message: str | None = None
    """Why, in words that show no value."""
    attempts: int = 0
    """Requests made for it."""


@frozen(kw_only=True)
class ShardReport:
    """What became of one shard; every row of it is counted once."""

    shard: int
    """Its number; -1: the rows that were bad already when the input was split."""
    counts: dict[State, int]
    """Rows by state, each of the six states present."""
    done_before: int = 0
    """Rows that the journal showed done; they are among the skipped ones."""
    attempts: int = 0
    """Requests made."""
    elapsed_s: float = 0.0
    """Seconds from its beginning to its end."""
    troubles: tuple[RowTrouble, ...] = ()
    """The first rows that were rejected, failed or ended unknown, 20 at most."""
    undone: tuple[int, ...] = field(default=(), repr=False)
    """The places in the whole input of all rows that are not done."""
    unwritten: tuple[int, ...] = field(default=(), repr=False)
    """Those of ``undone`` that are not, or not surely, in the shard's file of failed rows, as on a full disk."""
    overtaken: tuple[int, ...] = field(default=(), repr=False)
    """Those of ``undone`` that a later row of their kit or order, which is done, has overtaken. They need nothing more,
    and are in no file: sent again they would set an older value over a newer one."""
    outcomes: tuple[RowOutcome, ...] = field(default=(), repr=False)
    """The outcome of each row, as they came, if ``ShardOptions.keeps_outcomes`` asks for it and the shard was run."""
    stopped: str | None = None
    """Why it ended early; None if it did not."""
    is_run_wide: bool = False
    """Whether every other shard would be stopped by the same problem."""

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(self.counts.values())


@define(kw_only=True)
class RunReport:
    """What became of a run: the sum of its shards. ``add`` takes reports in any order, each once."""

    counts: dict[State, int] = field(factory=lambda: dict.fromkeys(STATES, 0))
    """Rows by state, each of the six states present."""
    done_before: int = 0
    """Rows that journals showed done; they are among the skipped ones."""
    attempts: int = 0
    """Requests made, as far as reports tell: those of a lost worker are not known."""
    unwritten: int = 0
    """Rows that are not done and not, or not surely, in their shard's file of failed rows."""
    elapsed_s: float = 0.0
    """Seconds of the whole run; of a merge alone, the longest of the shards."""
    troubles: list[RowTrouble] = field(factory=list)
    """The topmost of the rows that the shards' reports name, 20 at most."""
    shards: int = 0
    """Shards that have reported, or were reported on."""
    unfinished: list[int] = field(factory=list)
    """The numbers of shards that ended early, or never began."""
    stopped: str | None = None
    """Why the run, or the first of these shards, ended early; None if all came to their end."""

    @property
    def rows(self) -> int:
        """How many rows there were."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """How many rows are done: in this run, before it, or superseded by a newer value."""
        return self.counts["ok"] + self.counts["superseded"] + self.done_before

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for any row."""
        return self.stopped is None and self.done == self.rows

    def add(self, report: ShardReport) -> None:
        """Add a shard's report."""
        for state, count in report.counts.items():
            self.counts[state] += count
        self.done_before += report.done_before
        self.attempts += report.attempts
        self.unwritten += len(report.unwritten)
        self.elapsed_s = max(self.elapsed_s, report.elapsed_s)
        self.troubles = sorted([*self.troubles, *report.troubles])[:MOST_TROUBLES]
        if report.shard >= 0:
            self.shards += 1
        if report.stopped is not None:
            self.unfinished = sorted([*self.unfinished, report.shard])
            self.stopped = self.stopped or report.stopped


def failures_of(counts: Mapping[State, int]) -> int:
    """Return how many of these rows were rejected, failed or ended unknown."""
    return sum(counts.get(state, 0) for state in FAILURES)


def merge(reports: Iterable[ShardReport]) -> RunReport:
    """Return the sum of reports; their order only decides which reason of a stop is kept."""
    run = RunReport()
    for report in reports:
        run.add(report)
    return run


def unread(shard: Shard, reason: str, *, state: State = "skipped", is_run_wide: bool = False) -> ShardReport:
    """Report a shard of which no row is known to be done.

    Args:
        shard: the one to report.
        reason: why.
        state: ``skipped`` if nothing was sent, ``unknown`` if nobody knows.
        is_run_wide: as in the report.

    Raises:
        InvalidInputError: the shard's rows cannot be read.
    """
    counts: dict[State, int] = {**dict.fromkeys(STATES, 0), state: shard.count}
    indexes = tuple(shard.indexes())
    troubles = tuple(RowTrouble(index, state, reason) for index in indexes[:MOST_TROUBLES] if state != "skipped")
    return ShardReport(
        shard=shard.number,
        counts=counts,
        troubles=troubles,
        undone=indexes,
        stopped=reason,
        is_run_wide=is_run_wide,
    )
