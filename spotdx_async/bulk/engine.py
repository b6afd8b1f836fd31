"""The engine of a bulk run: a reader and workers on one window; every row that is read gets its outcome."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Generic, TypeVar

from attrs import frozen

from spotdx_async._pipeline import clock
from spotdx_async._pipeline.messages import Act, Verdict
from spotdx_async._pipeline.watching import Watched
from spotdx_async.bulk.course import Course, Send
from spotdx_async.bulk.endings import ended, is_run_wide, skipped, superseded
from spotdx_async.bulk.gate import OutageGate
from spotdx_async.bulk.intake import Intake
from spotdx_async.bulk.journal_writer import JournalWriter
from spotdx_async.bulk.lanes import Lanes, Row
from spotdx_async.bulk.outbox import AsTheyCome, InOrder
from spotdx_async.bulk.records import Outcome, Progress
from spotdx_async.bulk.standby import Standby
from spotdx_async.bulk.tally import Tally
from spotdx_async.config import RetryPolicy
from spotdx_async.errors import (
    BulkStopped,
    InvalidInputError,
    JournalError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    SpotError,
)

__all__ = ["Engine", "Plan"]

T = TypeVar("T")

_REFUSALS_TO_STOP = 3
_READ_AHEAD_TO_COALESCE = 64
_LEAST_WINDOW = 8
"""An outage shows in five rows, which must be there to be tried."""


@frozen(kw_only=True)
class Plan:
    """How a run is to go."""

    concurrency: int
    ordered: bool
    coalesce: bool
    stop_after: int | None
    outage_limit_s: float
    policy: RetryPolicy
    operation: str
    timeout_s: float
    """Of one attempt: until then a request without an answer may still be carried out."""
    total: int | None = None
    """Rows of the input, where that is known."""

    @property
    def window(self) -> int:
        """Rows that are read and whose outcome the consumer has not taken, at most."""
        return max(_LEAST_WINDOW, 2 * self.concurrency) + (_READ_AHEAD_TO_COALESCE if self.coalesce else 0)


class Engine(Generic[T]):
    """Sends updates with a bounded window, and gives one outcome for every row that it has read.

    Memory is the window's, whatever the input's length. A slow consumer slows the reading, and with it the sending.
    """

    def __init__(
        self, intake: Intake, send: Send, plan: Plan, journal: JournalWriter | None, watch: Watched | None = None
    ) -> None:
        self._intake = intake
        self._plan = plan
        self._journal = journal
        self._watch_of_run = watch
        if journal is not None:
            journal.on_failure = self.stop
        self._stopping = asyncio.Event()
        self._tally = Tally(clock.now(), plan.total)
        self._gate = OutageGate(
            limit_s=plan.outage_limit_s,
            on_overdue=self._give_up,
            on_change=None if watch is None else watch.gate,
        )
        self._ready: deque[Row] = deque()
        self._course = Course(
            send,
            self._gate,
            self._tally,
            self._stopping,
            policy=plan.policy,
            timeout_s=plan.timeout_s,
            has_others=lambda: bool(self._ready),
        )
        self._lanes = Lanes()
        # Rows that failed and are tried again later.
        self._aside: deque[Row] = deque()
        # Rows with their outcome that may still be carried out, and the timers that let those go which follow.
        self._held: dict[Row, asyncio.TimerHandle] = {}
        self._carried = 0
        self._standby = Standby()
        self._outbox: InOrder[T] | AsTheyCome[T] = InOrder() if plan.ordered else AsTheyCome()
        self._given = 0
        self._low = max(1, plan.window * 3 // 4)
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._tasks_left = 0
        self._cause: SpotError | None = None
        self._foreign_error: Exception | None = None
        self._refusals = 0
        self._failures = 0
        self._unsent = 0

    @property
    def is_complete(self) -> bool:
        """Whether the whole input was read and nothing stopped the run."""
        return self._intake.is_read_up and not self._stopping.is_set()

    def progress(self) -> Progress:
        """Tell how far the run is."""
        return self._tally.progress(clock.now(), gate_open=self._gate.is_open)

    def stop(self, cause: SpotError | None = None) -> None:
        """Read and send no more; what is under way is finished, and the rest comes out as skipped."""
        self._cause = self._cause or cause
        self._stopping.set()
        self._gate.release()
        if self._reader is not None:
            self._reader.cancel()
        self._standby.call_all()

    def fail(self, error: Exception) -> None:
        """Stop, and raise this at the end: it came from outside the SDK."""
        self._foreign_error = self._foreign_error or error
        self.stop()

    def raise_for_end(self) -> None:
        """Say why the run ended early, where it did.

        Raises:
            BulkStopped: it was stopped by a trouble that every further row would meet.
            Exception: what the input raised, or why it is not the journal's.
        """
        foreign = self._foreign_error or self._intake.error
        if foreign is not None:
            raise foreign
        if self._cause is not None:
            raise self._stopped(self._cause)

    async def outcomes(self) -> AsyncGenerator[Outcome[T], None]:
        """Give the outcomes; leaving the loop cancels what is under way."""
        tasks = self._start()
        try:
            while True:
                self._news.clear()
                while (outcome := self.take()) is not None:
                    yield outcome
                if not self._tasks_left:
                    break
                await self._news.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._gate.release()
            for timer in self._held.values():
                timer.cancel()

    def take(self) -> Outcome[T] | None:
        """Give the next outcome where there is one, and let the reader go on where there is room."""
        outcome = self._outbox.take()
        if outcome is not None:
            self._given += 1
            if self._intake.read - self._given <= self._low:
                self._room.set()
        return outcome

    def _start(self) -> list[asyncio.Task[None]]:
        self._reader = asyncio.create_task(self._read(), name="spotdx bulk")
        tasks = [self._reader]
        tasks += [asyncio.create_task(self._work(), name="spotdx bulk") for _ in range(self._plan.concurrency)]
        self._tasks_left = len(tasks)
        for task in tasks:
            task.add_done_callback(self._on_task_end)
        return tasks

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(_as_exception(error))
        self._tasks_left -= 1
        if not self._tasks_left:
            self._skip_rest()
            self._news.set()
        elif task is self._reader:
            self._standby.call_all()

    async def _read(self) -> None:
        intake, window = self._intake, self._plan.window
        while not self._stopping.is_set():
            while intake.read - self._given >= window:
                self._room.clear()
                await self._room.wait()
            if self._journal is not None and not self._journal.has_room:
                await self._journal.room()  # bad and superseded rows are recorded too
            item = await intake.next()
            if item is None:
                break
            if isinstance(item, Row):
                self._admit(item)
            else:
                self._give(item)
                self._watch(item)
        if isinstance(intake.error, JournalError):
            self.stop()

    def _admit(self, row: Row) -> None:
        """Take in a row that was read: it goes, follows an earlier row of its key, or takes that one's place."""
        last = self._lanes.last(row.key)
        if self._plan.coalesce and last is not None and last.began_s is None and _is_sendable(row):
            outcome = superseded(last, clock.now())
            self._record(last, outcome)
            self._give(outcome)
            last.become(row)
        elif self._lanes.enter(row):
            self._ready.append(row)
            self._standby.call()

    async def _work(self) -> None:
        while (row := await self._next_row()) is not None:
            await self._carry(row)

    async def _next_row(self) -> Row | None:
        """Give a row that may go now; None when the run is over."""
        while not self._stopping.is_set():
            if (row := self._pick()) is not None:
                return row
            if not self._carried and self._gate.is_open and self._aside:
                self._settle_hopeless()
            elif self._reader is not None and self._reader.done() and self._intake.read == self._tally.done:
                self._standby.call_all()
                return None
            else:
                await self._standby.wait()
        return None

    def _pick(self) -> Row | None:
        """Choose between fresh rows and those set aside.

        While the server is out of order or in doubt fresh rows go first: one that fails by its own fault would never
        find the end of an outage.
        """
        gate, aside = self._gate, self._aside
        if aside and gate.is_open and not (gate.is_doubtful and self._ready) and self._course.may_go_on(aside[0]):
            return aside.popleft()
        if self._ready:
            return self._ready.popleft()
        return aside.popleft() if aside and not gate.is_open else None

    async def _carry(self, row: Row) -> None:
        if row.began_s is None:
            row.began_s = clock.now()
            if self._watch_of_run is not None:
                row.watch = self._watch_of_run.row()
        self._carried += 1
        try:
            if self._journal is not None and not self._journal.has_room:
                await self._journal.room()
            verdict = await self._course.run(row)
        except Exception as error:  # noqa: BLE001 - from a limiter of the caller's, say
            self.fail(error)
            verdict = _from_outside(error)
        finally:
            self._carried -= 1
        if verdict is None:
            self._aside.append(row)
            self._standby.call()
        else:
            self._settle(row, ended(row, verdict, clock.now()))

    def _settle_hopeless(self) -> None:
        """End a row that has had all its tries, now that no other row can tell whether it was its own fault."""
        row = self._aside.popleft()
        assert row.last is not None  # noqa: S101 - rows are set aside after a failure; for the type checker
        self._settle(row, ended(row, row.last, clock.now()))

    def _settle(self, row: Row, outcome: Outcome[Any]) -> None:
        """Give a row its outcome, and let the next one of its key go, at once or when this one cannot land any more."""
        self._record(row, outcome)
        if row.watch is not None:
            row.watch.end(outcome.error)
        self._give(outcome)
        self._watch(outcome)
        if outcome.state == "unknown" and row.lands_until_s > clock.now():
            self._held[row] = clock.call_at(row.lands_until_s, lambda: self._let_follow(row))
        else:
            self._let_follow(row)

    def _let_follow(self, row: Row) -> None:
        self._held.pop(row, None)
        following = self._lanes.leave(row)
        if following is not None:
            self._ready.append(following)
        self._standby.call()

    def _record(self, row: Row, outcome: Outcome[Any]) -> None:
        if self._journal is not None and row.digests is not None:
            self._journal.record(row.index, outcome.state, row.digests)

    def _give(self, outcome: Outcome[Any]) -> None:
        if outcome.error is not None and outcome.error.operation is None:
            outcome.error.operation = self._plan.operation
        self._tally.add(outcome.state)
        self._outbox.put(outcome)
        self._news.set()

    def _watch(self, outcome: Outcome[Any]) -> None:
        """Stop the run where every further row would meet the same trouble, or the caller has seen enough failures."""
        error = outcome.error
        if outcome.attempts:
            self._refusals = self._refusals + 1 if isinstance(error, PermissionDeniedError) else 0
        if error is None or outcome.state == "ok":
            return
        self._failures += 1
        limit = self._plan.stop_after
        is_enough = limit is not None and self._failures >= limit
        if is_run_wide(error) or self._refusals >= _REFUSALS_TO_STOP or is_enough:
            self.stop(error)

    def _give_up(self) -> None:
        limit_s = self._plan.outage_limit_s
        message = f"the server has answered no row usefully for outage_limit ({limit_s:g} s)"
        self.stop(NotSentError(message, reason="outage"))

    def _skip_rest(self) -> None:
        """Give every row that was read and has no outcome one that says so."""
        now = clock.now()
        heads = [*self._ready, *self._aside, *(row.following for row in self._held)]
        for head in heads:
            row = head
            while row is not None:
                outcome = skipped(row, now)
                self._unsent += outcome.state == "skipped"
                if outcome.state != "skipped":
                    self._record(row, outcome)
                if row.watch is not None:
                    row.watch.end(outcome.error)
                self._give(outcome)
                row = row.following

    def _stopped(self, cause: SpotError) -> BulkStopped:
        read = self._intake.read
        resume = "; the same run with the same journal goes on where it stopped" if self._journal is not None else ""
        message = (
            f"the run stopped, {read} rows read and {self._unsent} of them not sent, by {type(cause).__name__}: "
            f"{cause.args[0] if cause.args else ''}{resume}"
        )
        return BulkStopped(
            message,
            cause=cause,
            next_index=read,
            unsent=self._unsent,
            operation=cause.operation or self._plan.operation,
        )


def _is_sendable(row: Row) -> bool:
    """Whether the row may take an older one's place: a bad one must not."""
    try:
        row.update.check()
    except InvalidInputError:
        return False
    return True


def _from_outside(error: Exception) -> Verdict:
    message = f"{type(error).__name__} came from outside the SDK while the row was sent"
    return Verdict(Act.RAISE, error=OutcomeUnknownError(message))


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(f"a task of the run ended by {type(error).__name__}")
