"""One shard from its rows to its report, on the bulk engine; any engine that runs Python can call it."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import chain, compress
from typing import Any

from attrs import evolve, frozen

from spotdx_async._codec.json import serialize
from spotdx_async._http import clock
from spotdx_async.bulk.records import STATES, Journal, Outcome, Progress, State, Update
from spotdx_async.bulk.run import BulkRun
from spotdx_async.client import SpotClient
from spotdx_async.distributed.shard import (
    ENOUGH_FAILURES,
    MOST_TROUBLES,
    RowOutcome,
    RowTrouble,
    Shard,
    ShardReport,
    ShardRow,
)
from spotdx_async.errors import BulkStopped, InvalidInputError, JournalError, SpotError
from spotdx_async.files import FailedRows
from spotdx_async.files.failed_rows import UndoneRows

__all__ = ["ShardOptions", "run_shard"]

_log = logging.getLogger("spotdx_async")

_LOOK_AGAIN_S = 1.0
_STOPPED = "the run was stopped"
_NOT_READ = "the run stopped before this row, so it was not sent"
_OF_THIS_SHARD_ALONE = frozenset({"in use", "corrupt", "not a journal"})


@frozen(kw_only=True)
class ShardOptions:
    """How shards are run; picklable. The names are those of ``update_metadata_many``."""

    concurrency: int = 64
    """Rows in flight at once in one shard; the client's own ``concurrency`` applies as well."""
    coalesce: bool = False
    """Whether a newer update of a kit replaces an older one that has not been sent yet."""
    outage_limit_s: float = 1800.0
    """Stop after an outage of that many seconds."""
    stop_after: int | None = None
    """Stop once this many rows were rejected, failed or ended unknown: of the shard in ``run_shard``, of the whole run
    in ``update_metadata_distributed``, where it takes up to two seconds to be noticed. None: never."""
    keeps_outcomes: bool = False
    """Whether reports have the outcome of every row (``ShardReport.outcomes``), some 100 bytes for each."""
    settle_s: float = 60.0
    """How long rows of kits with several values wait where a shard without a journal is repeated: until then what a
    lost process had sent may still be executed, over a newer value. 60 s or the client's ``timeout_s``, the longer,
    as the client's ``lands_within_s``. With a journal it is not used: the run knows from it which rows must wait."""

    @classmethod
    def settled_for(cls, timeout_s: float, lands_within_s: float = 60.0) -> "ShardOptions":
        """Return the default options for clients with such a ``timeout_s`` and ``lands_within_s``."""
        return cls(settle_s=max(lands_within_s, timeout_s))

    journal_wait_s: float = 120.0
    """How long to wait for a journal that another process has: one that is being ended, or whose host has died, for
    which a network file system keeps the lock for a minute and a half."""


_USUAL = ShardOptions()


async def run_shard(
    shard: Shard,
    spot: SpotClient,
    options: ShardOptions = _USUAL,
    *,
    is_repeat: bool = False,
    stop: asyncio.Event | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> ShardReport:
    """Send a shard's rows, each kit's in order, and report every one of them; raises nothing unless cancelled.

    It may be repeated: with a journal, rows that are done come out as skipped; without one they are sent again, in the
    same order. Two processes must not run the same shard at once: a journal sees to that.

    Args:
        shard: its rows, and where its journal and its failed rows go.
        spot: a client, shared by all shards of the process; it stays open.
        options: how to run it.
        is_repeat: whether an earlier try may have been cut off just now: then, without a journal, rows of kits with
            several values wait ``settle_s``.
        stop: once set, rows in progress are finished and the rest comes out as skipped.
        progress: called with a Progress every half second, and at the end.

    Returns:
        The report; the counts of its states sum up to the shard's rows.
    """
    began_s = clock.now()
    stop = asyncio.Event() if stop is None else stop
    tracker = _RowTracker(shard, keeps_outcomes=options.keeps_outcomes)
    if is_repeat and shard.journal is None:
        tracker.lands_until_s = began_s + options.settle_s
    try:
        while True:
            reason, is_run_wide, is_busy = await _try(tracker, spot, options, stop, progress)
            left_s = options.journal_wait_s - (clock.now() - began_s)
            if not is_busy or left_s <= 0 or stop.is_set():
                break
            await clock.sleep(min(_LOOK_AGAIN_S, left_s), unless=stop)
        elapsed_s = clock.now() - began_s
        return tracker.report(reason, is_stopped=stop.is_set(), is_run_wide=is_run_wide, elapsed_s=elapsed_s)
    except InvalidInputError as error:  # the rows themselves cannot be read
        return _unreadable(shard, str(error))
    finally:
        tracker.close()


async def _try(
    tracker: "_RowTracker",
    spot: SpotClient,
    options: ShardOptions,
    stop: asyncio.Event,
    progress: Callable[[Progress], object] | None,
) -> tuple[str | None, bool, bool]:
    """Run once; return why it ended early, whether all shards would, and whether another process has the journal."""
    is_busy = False
    try:
        await _run(tracker, spot, options, stop, progress)
    except BulkStopped as error:
        is_enough = error.stop_after is not None
        reason, is_run_wide = ENOUGH_FAILURES if is_enough else str(error.cause or error), True
    except JournalError as error:
        reason, is_run_wide = str(error), error.reason not in _OF_THIS_SHARD_ALONE
        is_busy = error.reason == "in use" and not tracker.has_begun
    except SpotError as error:
        reason, is_run_wide = str(error), False
    except OSError as error:
        reason, is_run_wide = f"a file of the shard cannot be used: {error.strerror}", False
    except Exception as error:  # noqa: BLE001 - its text may hold anything, and an engine would print it
        reason, is_run_wide = f"{type(error).__name__} was raised", False
    else:
        return None, False, False
    return reason, is_run_wide, is_busy


async def _run(
    tracker: "_RowTracker",
    spot: SpotClient,
    options: ShardOptions,
    stop: asyncio.Event,
    progress: Callable[[Progress], object] | None,
) -> None:
    shard = tracker.shard
    # Any: the class of the rows depends on the noun, which no type expresses.
    many: Any = spot.kits.update_metadata_many if shard.noun == "kits" else spot.orders.update_metadata_many
    run: BulkRun[Any] = many(
        tracker.updates(stop),
        concurrency=options.concurrency,
        # A report holds no answers, and building one takes a third of the CPU time.
        decode=False,
        coalesce=options.coalesce,
        outage_limit=options.outage_limit_s,
        stop_after=options.stop_after,
        journal=None if shard.journal is None else Journal(shard.journal, fingerprint=shard.mark),
        progress=progress,
    )
    watch = asyncio.create_task(_stop_when(stop, run), name="spotdx shard")
    try:
        async with run:
            async for outcome in run:
                tracker.settle(outcome)
    finally:
        watch.cancel()
        await asyncio.wait([watch])
        for outcome in run.remaining_outcomes():
            tracker.settle(outcome)


async def _stop_when(stop: asyncio.Event, run: BulkRun[Any]) -> None:
    await stop.wait()
    run.stop()


class _RowTracker:
    """What became of the rows of a shard, in the memory of its undone rows."""

    def __init__(self, shard: Shard, *, keeps_outcomes: bool) -> None:
        self.shard = shard
        self._outcomes: list[RowOutcome] | None = [] if keeps_outcomes else None
        self.lands_until_s = clock.NEVER_S
        """Until when updates from an earlier try of the shard may still be executed, if no journal knows of them."""
        self.has_begun = False
        """Whether a row has been read."""
        self._is_cut = False
        self._counts: dict[State, int] = dict.fromkeys(STATES, 0)
        self._done_before = 0
        self._attempts = 0
        self._rows: Iterator[ShardRow] = iter(())
        self._troubles: list[RowTrouble] = []
        self._undone: list[int] = []
        self._failed: FailedRows | None = None
        self._file = UndoneRows()
        self._handed: set[int] = set()
        self._unwritten: set[int] = set()
        self._overtaken: list[int] = []

    async def updates(self, stop: asyncio.Event) -> AsyncIterator[Update]:
        """Yield the rows to the bulk run, each with its ``ShardRow`` as its ``source``."""
        if self.shard.failed is not None:
            self._file.abandon()
            # Replaced: everything that an earlier try has left there is tried again.
            self._failed = FailedRows(self.shard.failed, replace=True, is_repeat=True)
            self._file = UndoneRows(self._failed)
        at_once, later = self._by_turn()
        first, then = iter(at_once), iter(later)
        self._rows = chain(first, then)
        for rows, held in ((first, 0), (then, len(later))):
            if held:  # before a row is taken: cut off here, all of them are left for the report
                await self._settled(held, stop)
            for row in rows:
                self.has_begun = True
                yield evolve(row.update, source=row)
                if stop.is_set():
                    return

    def _by_turn(self) -> tuple[Iterable[ShardRow], list[ShardRow]]:
        """Return the rows that may go at once, and those that wait until no update of an earlier try can land any more.

        A kit with one row has one value, whichever try sets it last.
        """
        if self.lands_until_s <= clock.now():
            return self.shard.read(), []
        rows = [*self.shard.read()]
        values = Counter(row.update.key for row in rows)
        alone = [values[row.update.key] == 1 for row in rows]
        return [*compress(rows, alone)], [row for row, is_alone in zip(rows, alone, strict=True) if not is_alone]

    async def _settled(self, rows: int, stop: asyncio.Event) -> None:
        left_s = self.lands_until_s - clock.now()
        if left_s > 0:
            text = "shard %d: %d rows wait %.0f s, since a lost process may have sent an earlier value of their kits"
            _log.warning(text, self.shard.number, rows, left_s, extra={"spotdx_event": "settle"})
            await clock.sleep(left_s, unless=stop)

    def settle(self, outcome: Outcome[Any]) -> None:
        """Take a row's outcome."""
        row: ShardRow = outcome.source
        self._counts[outcome.state] += 1
        self._attempts += outcome.attempts
        error = outcome.error
        reason = str(error.args[0]) if error is not None and error.args else None
        if self._outcomes is not None:
            kind = None if error is None else type(error).__name__
            about = (row.index, row.update.key, outcome.state, kind, reason, outcome.attempts)
            self._outcomes.append(RowOutcome(*about))
        if outcome.is_done:
            self._done_before += outcome.state == "skipped"
            overtaken = self._file.overtaken_by(row.index, row.update.key)
            self._overtaken += overtaken
            self._handed.difference_update(overtaken)
            self._unwritten.difference_update(overtaken)
            return
        self._not_done(row, outcome.state, reason or "no reason is known")

    def report(self, reason: str | None, *, is_stopped: bool, is_run_wide: bool, elapsed_s: float) -> ShardReport:
        """Account for every row, those that were not read included.

        Raises:
            InvalidInputError: the rows cannot be read.
        """
        rest = self._rows if self.has_begun else self.shard.read()
        for row in rest:
            self._counts["skipped"] += 1
            self._not_done(row, "skipped", "")
            if self._outcomes is not None:
                self._outcomes.append(RowOutcome(row.index, row.update.key, "skipped", "NotSentError", _NOT_READ))
        self.close()
        return ShardReport(
            shard=self.shard.number,
            counts=self._counts,
            done_before=self._done_before,
            attempts=self._attempts,
            elapsed_s=elapsed_s,
            troubles=tuple(self._troubles),
            undone=tuple(sorted(self._undone)),
            unwritten=tuple(sorted(self._unwritten)),
            overtaken=tuple(sorted(self._overtaken)),
            outcomes=tuple(self._outcomes or ()),
            stopped=reason or (_STOPPED if is_stopped and self._is_cut else None),
            is_run_wide=is_run_wide,
        )

    def close(self) -> None:
        """Close the file of failed rows."""
        try:
            self._file.close()
        except OSError:  # any row in it may not have reached the disk
            self._unwritten |= self._handed
        if self._failed is not None and self._failed.fault is not None:  # they are in a file that nobody looks for
            self._unwritten |= self._handed

    def _not_done(self, row: ShardRow, state: State, reason: str) -> None:
        self._undone.append(row.index)
        if state == "skipped":
            self._is_cut = True
        elif len(self._troubles) < MOST_TROUBLES:
            self._troubles.append(RowTrouble(row.index, state, reason))
        # A full disk must not end the run: the report names the rows that are not in the file.
        source = None if self.shard.failed is None else _row_text(row)
        try:
            is_written = self._file.add(row.index, row.update.key, source)
        except OSError:
            is_written = False
        if is_written:
            self._handed.add(row.index)
        elif source is not None:
            self._unwritten.add(row.index)


def _row_text(row: ShardRow) -> bytes:
    update = row.update
    return serialize({update.ID_NAME: update.key, "metadata": update.metadata}) + b"\n"


def _unreadable(shard: Shard, reason: str) -> ShardReport:
    """Report a shard whose rows cannot even be named."""
    counts: dict[State, int] = {**dict.fromkeys(STATES, 0), "skipped": shard.count}
    return ShardReport(shard=shard.number, counts=counts, stopped=reason)
