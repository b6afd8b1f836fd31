"""The engine of a bulk run: a reader and workers on one window; every row that is read gets its outcome."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Literal, TypeVar

from spotdx_async._http import clock
from spotdx_async._http.messages import Verdict
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.bulk.circuit_breaker import CircuitBreaker
from spotdx_async.bulk.journal.records import RowJournal
from spotdx_async.bulk.options import RunOptions, Send
from spotdx_async.bulk.outcomes import AsTheyCome, InOrder, Window, ended, skipped, superseded
from spotdx_async.bulk.reader import Reader
from spotdx_async.bulk.records import Outcome, Progress, State
from spotdx_async.bulk.row import Row
from spotdx_async.bulk.row_runner import RowRunner
from spotdx_async.bulk.scheduler import IdleWorkers, ReadyRows, Scheduler
from spotdx_async.bulk.stats import RunCounts
from spotdx_async.bulk.stop_rules import LastRows, StopRules
from spotdx_async.bulk.workers import Worker
from spotdx_async.config import name_server
from spotdx_async.errors import JournalError, NotSentError, SpotError

T = TypeVar("T")

_WAKE_EVERY_S = 0.1
"""A choice: well below what somebody who stops a run would notice, and ten wake-ups a second cost nothing."""


class Engine(Generic[T]):
    """Sends updates with a bounded window, and produces one outcome for every row that it has read.

    Memory is bounded by the window, however long the input. A slow consumer slows the reading, and with it the sending.
    However its tasks end: once the last one has, every row that was read has its outcome.
    """

    _journal: RowJournal | None

    def __init__(
        self,
        reader: Reader,
        send: Send,
        options: RunOptions,
        observation: CallObservation | None,
        on_news: Callable[[], object],
    ) -> None:
        """Take the parts of the run; ``on_news`` is called at each outcome and when the last task has ended."""
        self._reader, self._options, self._on_news = reader, options, on_news
        self._journal, self._run_observation = reader.journal, observation
        if self._journal is not None:
            self._journal.on_failure = self.stop
        self._stopping = asyncio.Event()
        self._now = clock.of_loop()
        self._run_counts = RunCounts(self._now(), options.total)
        self._rules = StopRules(options, self.stop, busy_s=self._busy_s, has_arrived=self._has_arrived)
        self._breaker = self._new_breaker()
        self._window = Window(options.window)
        self._idle = IdleWorkers()
        self._ready_rows = ReadyRows(self._idle.call, self._window)
        self._scheduler = Scheduler(
            self._breaker,
            self._ready_rows,
            self._window,
            may_go_on=lambda row: self._row_runner.may_go_on(row),  # noqa: PLW0108 - made right after, with this
        )
        self._row_runner = RowRunner(
            send,
            options,
            self._breaker,
            self._scheduler,
            counts=self._run_counts,
            stopping=self._stopping,
            on_try=self._rules.note_try,
        )
        # Rows that were read and have no outcome yet.
        self._open: dict[Row, None] = {}
        self._open_since_s = self._last_read_s = self._now()
        self._last_rows = self._new_last_rows()
        self.outcomes: InOrder[T] | AsTheyCome[T] = (InOrder if options.ordered else AsTheyCome)(self._window)
        """The outcomes that wait to be taken; taking one lets the reader continue if there is room."""
        self._reading, self._workers = Worker(), [Worker() for _ in range(options.concurrency)]
        # The tasks that run no rows: they are cancelled whenever the run stops.
        self._background = [self._reading]
        self._tasks_left, self._unsent, self._is_left = 0, 0, False
        self._cause: SpotError | None = None
        self._waking: asyncio.TimerHandle | None = None
        # An exception from outside the SDK, raised at the end; the tasks of the reader and the workers.
        self.foreign_error: BaseException | None = None
        self.tasks: list[asyncio.Task[None]] = []

    def _new_breaker(self) -> CircuitBreaker:
        return CircuitBreaker(
            limit_s=self._options.outage_limit_s,
            concurrency=self._options.concurrency,
            on_overdue=self._rules.give_up,
            busy_s=self._busy_s,
            on_change=self._on_pause_change,
            on_probe=self._note_probe,
            trouble=self._rules.trouble,
        )

    def _new_last_rows(self) -> LastRows:
        return LastRows(
            self._breaker,
            self._ready_rows,
            self._open,
            is_read=self._is_read,
            last_read_s=lambda: self._last_read_s,
            on_wait_over=self._idle.call,
        )

    @property
    def is_complete(self) -> bool:
        """Whether the whole input was read and nothing stopped the run."""
        return self._reader.is_read_up and not self._stopping.is_set()

    def progress(self) -> Progress:
        """Return how far the run has got."""
        return self._run_counts.progress(self._now(), is_paused=self._breaker.is_paused)

    def start(self) -> None:
        """Start reading and sending."""
        self._begin(self._reading, self._read())
        for worker in self._workers:
            self._begin(worker, self._work(worker))

    def stop(self, cause: SpotError | None = None) -> None:
        """Read and send nothing more: requests handed to a connection are finished, the rest comes out as skipped.

        Anything that waits for something else (a permit, a slot, a token, a pause, a connection) is woken.
        """
        self._cause = self._cause or cause
        self._stopping.set()
        self._breaker.release()
        self._idle.call_all()
        self._wake()

    def end(self, cause: SpotError | None = None) -> None:
        """Stop, and do not wait for the answers to requests in flight: those rows come out as unknown.

        Without a cause the consumer has left, and takes no more outcomes.
        """
        self._is_left = cause is None
        self.stop(cause)
        self._recall(lambda _: True)

    def fail(self, error: BaseException) -> None:
        """Stop, and raise this at the end: it came from outside the SDK."""
        self.foreign_error = error if self.foreign_error is None else self.foreign_error
        self.stop()

    def left_over(self) -> list[Outcome[T]]:
        """Return the outcomes that nobody has taken, then those of rows that a task which does not end still holds."""
        held = sorted(self._open, key=lambda row: row.index)
        return [*self.outcomes.take_all(), *(skipped(row, self._now()) for row in held)]

    def error_at_end(self) -> BaseException | None:
        """Return why the run ended early; None if it did not.

        Exceptions from outside come first, then what the input raised, then a problem that every further row would
        meet, and last what the input raised when it was closed.
        """
        # Compared with None, not by truth: somebody else's exception may have a length, and that be 0.
        foreign = self._reader.error if self.foreign_error is None else self.foreign_error
        if foreign is not None:
            return foreign
        if self._cause is None:
            return self._reader.close_error
        read = self._reader.read
        return self._rules.stopped(self._cause, read=read, unsent=self._unsent, has_journal=self._can_resume())

    def _can_resume(self) -> bool:
        return self._journal is not None

    def _wake(self) -> None:
        """Cancel the tasks that wait, now and until all have ended.

        A task may have to wait once more after the stop, for a new token after a 401 say.
        """
        self._recall(lambda worker: worker in self._background or worker.is_waiting())
        if self._waking is not None:
            self._waking.cancel()
        self._waking = clock.call_at(self._now() + _WAKE_EVERY_S, self._wake) if self._tasks_left else None

    def _recall(self, which: Callable[[Worker], bool]) -> None:
        """Cancel the chosen tasks, but not the one that runs this.

        That one notices by itself that the run stops; if it waits after all, it is cancelled in the next turn.
        """
        own = clock.current_task()
        for worker in (*self._background, *self._workers):
            if worker.task is not own and which(worker):
                worker.recall()
        if own in self.tasks:
            asyncio.get_running_loop().call_soon(self._recall, which)

    def _begin(self, worker: Worker, work: Coroutine[Any, Any, None]) -> None:
        task = worker.task = asyncio.create_task(work, name="spotdx bulk")
        self.tasks.append(task)
        self._tasks_left += 1
        task.add_done_callback(lambda task: self._on_task_end(worker, task))

    def _on_task_end(self, worker: Worker, task: asyncio.Task[None]) -> None:
        """Stop the run if a task ended unexpectedly; give the rows left their outcomes after the last task."""
        self._tasks_left -= 1
        if task.cancelled():
            if not worker.is_recalled:
                message = "something that the run waited for was cancelled, and nobody had cancelled the run"
                self.stop(NotSentError(message, reason="closed"))
        elif (error := task.exception()) is not None:
            self.fail(error)
        if not self._tasks_left:
            self._close()
        elif worker is self._reading:
            self._idle.call_all()

    def _close(self) -> None:
        try:
            self._skip_rest()
        finally:
            self._breaker.release()
            self._rules.close()
            self._ready_rows.close()
            self._last_rows.close()
            if self._waking is not None:
                self._waking.cancel()
            self._on_news()

    async def _read(self) -> None:
        try:
            await self._read_rows()
        finally:
            self._reading.is_cleaning_up = True
            await self._reader.close()

    async def _read_rows(self) -> None:
        reader, window = self._reader, self._window
        while not self._stopping.is_set():
            if not window.try_enter():
                await window.enter()
            if self._journal is not None and not self._journal.has_room:
                await self._journal.room()  # bad and superseded rows are recorded too
            if self._journal is not None and not self._journal.may_read(reader.read):
                await self._journal.wait_to_read(reader.read)  # rows that overtake others are recorded late
            item = await reader.next()
            if item is None:
                window.leave()
                break
            if isinstance(item, Row):
                self._admit(item)
            else:
                self._give(item)
                self._rules.note_outcome(item, item.error)
        if isinstance(reader.error, JournalError):
            self.stop()

    def _admit(self, row: Row) -> None:
        """Admit a row that was read: it may go, waits for its key's previous row, or takes that one's place."""
        now = self._last_read_s = self._now()
        if self._breaker.never_pauses:
            self._breaker.allow_pauses()  # another row may tell whose fault it is
        last = self._ready_rows.last(row.key) if self._options.coalesce else None
        if last is not None and last.can_be_overtaken:
            outcome = superseded(last, now)
            self._ready_rows.overtake(last, row)
            self._give(outcome)
            return
        if not self._open:
            self._open_since_s = now
        self._open[row] = None
        self._scheduler.enter(row)

    async def _work(self, worker: Worker) -> None:
        while (row := await self._next_row()) is not None:
            worker.row = row
            await self._carry(row)
            worker.row = None

    async def _next_row(self) -> Row | None:
        """Wait for a row that may go now; None when the run is over."""
        while not self._stopping.is_set():
            if (row := self._scheduler.next()) is not None:
                return row
            is_stuck = len(self._scheduler) and not (self._breaker.is_paused or any(each.row for each in self._workers))
            if is_stuck and self._breaker.pause_if_all_fail():
                continue  # to probe
            if is_stuck and not self._last_rows.may_have_company():
                # It has had all its tries, and no other row can show whether it was its own fault.
                row = self._scheduler.take_from_aside()
                assert row.last is not None  # noqa: S101 - it has failed; for the type checker
                self._settle(row, row.last)
            elif self._is_read() and self._reader.read == self._run_counts.done:
                self._idle.call_all()
                return None
            else:
                await self._idle.wait()
        return None

    def _is_read(self) -> bool:
        return self._reading.task is not None and self._reading.task.done()

    async def _carry(self, row: Row) -> None:
        """Run a row. Any exception raised here ends the task, and the run with it."""
        self._take_up(row)
        if self._journal is not None and not self._journal.has_room:
            await self._journal.room()
        verdict = await self._row_runner.run(row)
        if verdict is None:
            self._set_aside(row)
        else:
            if row.is_probe:
                self._scheduler.end(row)
            self._settle(row, verdict)

    def _take_up(self, row: Row) -> None:
        if row.began_s is None:
            row.began_s = self._now()
            if self._run_observation is not None:
                row.observation = self._run_observation.row()

    def _set_aside(self, row: Row) -> None:
        """Try the row again later, and read more rows meanwhile."""
        self._scheduler.set_aside(row)
        self._scheduler.end(row)
        self._last_rows.note_set_aside(self._now())
        if self._breaker.is_paused and self._last_rows.are_at_fault():
            self._breaker.stop_pausing()
        self._idle.call()

    def _settle(self, row: Row, verdict: Verdict) -> None:
        """Record and hand out a row's outcome, and let the next row of its key follow."""
        now = self._now()
        outcome = ended(row, verdict, now)
        self._conclude(row, outcome, outcome.error)
        if verdict.error is not None or self._rules.run_kind is not None:
            self._rules.note_outcome(outcome, verdict.error)
        self._ready_rows.leave(row, now)

    def _conclude(self, row: Row, outcome: Outcome[Any], reported: BaseException | None) -> None:
        """Record and hand out an outcome; ``reported`` is the error that observers get."""
        del self._open[row]
        try:
            self._record(row, outcome)
            if row.observation is not None:
                row.observation.end(reported)
        finally:
            self._give(outcome, len(row.body))  # whatever an observer raises

    def _record(self, row: Row, outcome: Outcome[Any]) -> None:
        journal = self._reader.journal
        if journal is None or row.digests is None or outcome.state == "skipped":
            return
        for index, digests, was_sent in row.overtaken:
            # Until the newer value is there, a resumed run must consider the older ones not done.
            not_done: State = "unknown" if was_sent else "failed"
            journal.record(index, "superseded" if outcome.state == "ok" else not_done, digests)
        journal.record(row.index, outcome.state, row.digests, lands_until_s=row.lands_until_s)

    def _give(self, outcome: Outcome[Any], sent_size: int = 0) -> None:
        if (error := outcome.error) is not None:
            error.operation = error.operation or self._options.operation
            name_server(error, self._options.host)
        self._run_counts.by_state[outcome.state] += 1
        self.outcomes.put(outcome, sent_size)
        self._on_news()

    def _busy_s(self) -> float:
        """For how many seconds rows have been open without a break."""
        return self._now() - self._open_since_s if self._open else 0.0

    def _has_arrived(self) -> bool:
        return any(row.attempt_state.may_have_arrived for row in self._open)

    def _note_probe(self) -> None:
        self._scheduler.note_probe()
        self._idle.call()

    def _on_pause_change(self, state: Literal["closed", "open"], after_s: float) -> None:
        if state == "open":
            self._scheduler.end_probing(worker.row for worker in self._workers)
        self._idle.call_all()
        if self._run_observation is not None:
            self._run_observation.gate(state, after_s)

    def _skip_rest(self) -> None:
        """Assign every row that was read and has no outcome one that says what is known of it."""
        now = self._now()
        for row in sorted(self._open, key=lambda row: row.index):
            outcome = skipped(row, now)
            self._unsent += outcome.state == "skipped"
            try:
                self._conclude(row, outcome, asyncio.CancelledError() if self._is_left else outcome.error)
            except BaseException as error:  # noqa: BLE001 - an observer's, raised at the end; the others come out too
                self.foreign_error = error if self.foreign_error is None else self.foreign_error
