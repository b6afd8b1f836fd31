"""What became of shards, and of the run that they make up; picklable, and free of ids and values. Pure."""

from collections.abc import Iterable
from typing import get_args

from attrs import define, field, frozen

from spotdx_async.bulk.records import State
from spotdx_async.distributed.shard import Shard

__all__ = ["RowTrouble", "RunReport", "ShardReport", "merge", "unread"]

MOST_TROUBLES = 20


@frozen(order=True)
class RowTrouble:
    """A row that did not go through."""

    index: int
    """Its place in the whole input, from 0."""
    state: State
    """How it ended."""
    reason: str
    """Why, in words that show no value."""


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
    stopped: str | None = None
    """Why it ended early; None where it did not."""
    is_run_wide: bool = False
    """Whether every other shard would be stopped by the same."""

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(self.counts.values())


@define(kw_only=True)
class RunReport:
    """What became of a run: the sum of its shards. ``add`` takes reports in any order, each once."""

    counts: dict[State, int] = field(factory=lambda: dict.fromkeys(get_args(State), 0))
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
    """Why the run, or the first shard of these, ended early; None where all came to their end."""

    @property
    def rows(self) -> int:
        """How many rows there were."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """How many rows are done: now, or before, or in that a newer value took their place."""
        return self.counts["ok"] + self.counts["superseded"] + self.done_before

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for any row."""
        return self.stopped is None and self.done == self.rows

    def add(self, report: ShardReport) -> None:
        """Take in a shard's report."""
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


def merge(reports: Iterable[ShardReport]) -> RunReport:
    """Give the sum of reports; their order does not matter but for which reason of a stop is told."""
    run = RunReport()
    for report in reports:
        run.add(report)
    return run


def unread(shard: Shard, reason: str, *, state: State = "skipped", is_run_wide: bool = False) -> ShardReport:
    """Report a shard of which no row is known to be done.

    Args:
        shard: that one.
        reason: why.
        state: ``skipped`` where nothing was sent, ``unknown`` where nobody knows.
        is_run_wide: as in the report.

    Raises:
        InvalidInputError: the shard's rows cannot be read.
    """
    counts: dict[State, int] = {**dict.fromkeys(get_args(State), 0), state: shard.count}
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
