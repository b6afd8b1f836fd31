"""The engine of a run that creates: what is about to be sent is on disk first, and what is in doubt is settled."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar, cast

from spotdx_async._http import clock
from spotdx_async._http.messages import Action, AttemptState, Verdict
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.bulk.create_reader import CreateReader, other_content
from spotdx_async.bulk.create_rows import CreateRow, Creation, a
from spotdx_async.bulk.engine import Engine
from spotdx_async.bulk.journal.creates_file import Audited, KnownCreate, RowEntry, Settled
from spotdx_async.bulk.journal.reading import CODES, NOT_SENT, PARKED
from spotdx_async.bulk.options import RunOptions, Send
from spotdx_async.bulk.outcomes import is_done, skipped
from spotdx_async.bulk.read_first import Ask, reading_first
from spotdx_async.bulk.records import FAILURES, Outcome
from spotdx_async.bulk.row import Row
from spotdx_async.bulk.server_time import ServerTime
from spotdx_async.bulk.settlement import (
    LIST_LAG_S,
    Absent,
    Doubt,
    Finding,
    Found,
    Look,
    Settlement,
    Unaudited,
    Unsettled,
)
from spotdx_async.bulk.workers import Worker
from spotdx_async.errors import DecodeError, NotSentError, OutcomeUnknownError, SpotError, WrongAnswerError

T = TypeVar("T")

_ACCEPT = Action.ACCEPT
_MOST_IDLE_S: Final = 600.0
"""For which an input may give no row before rows in doubt are settled as at its end. A choice: rows that come later may
show what a look can see, and an input that itself waits for the outcome of a row would wait for ever."""


class CreateEngine(Engine[T]):
    """Sends creates, each at most once.

    A row goes when the journal has it on disk. Where it may have been executed and no answer says so, it leaves the
    way of the others until it is settled: found, and done; not executed, and sent again; or parked, and never sent.
    """

    def __init__(
        self,
        reader: CreateReader,
        send: Send,
        options: RunOptions,
        observation: CallObservation | None,
        on_news: Callable[[], object],
        *,
        creation: Creation[T],
        look: Look | None,
        server_time: ServerTime,
        ask: Ask,
        only_settles: bool,
    ) -> None:
        """Take the parts of the run.

        Args:
            reader: the rows, with the journal.
            send: makes one attempt.
            options: of the run.
            observation: reports to the observers.
            on_news: called at each outcome and when the last task has ended.
            creation: what is created.
            look: looks for what is in doubt; None if there is no way to.
            server_time: the server's clock.
            ask: reads something, to find out whether the server is back.
            only_settles: whether nothing is to be sent.
        """
        probing = reading_first(send, ask, lambda: self._breaker.is_paused)
        super().__init__(reader, probing, options, observation, on_news)
        self._book = self._journal = reader.book
        self._book.on_failure = self.stop
        self._creation, self._server_time, self._only_settles = creation, server_time, only_settles
        server_time.begin()
        self._in_doubt: dict[CreateRow, None] = {}
        self._skipped = 0
        self._began_s, self._ahead = clock.now(), options.concurrency
        self.settlement: Settlement | None = None
        """Looks for what is in doubt."""
        if look is not None:
            self.settlement = Settlement(
                look,
                self,
                lands_within_s=options.lands_within_s,
                outage_limit_s=options.outage_limit_s,
                only_settles=only_settles,
            )
            self._take_from_earlier_sessions(self._book.in_doubt)
        self._settling = Worker()
        self._background.append(self._settling)

    def start(self) -> None:
        """Start reading, sending and settling."""
        super().start()
        if self.settlement is not None:
            self._begin(self._settling, self.settlement.run())

    def left_over(self) -> list[Outcome[T]]:
        """Return the outcomes that nobody has taken, then those of rows that a task which does not end still holds."""
        self._reopen(self._in_doubt)
        return super().left_over()

    def is_at_rest(self) -> bool:
        """Return whether nothing is left to do but to settle what is in doubt, or nothing can be done before that."""
        if self._open:
            return False
        if self._is_read():
            return True
        # In order, all outcomes may wait for that of a row in doubt, and all rows for room. Or the input waits for it.
        idle_s = clock.now() - max(self._began_s, cast("CreateReader", self._reader).taken_s)
        return self.outcomes.is_empty and (self._window.is_full or idle_s >= _MOST_IDLE_S)

    def may_read_more(self) -> bool:
        """Return whether the input has not come to its end."""
        return not self._is_read()

    def has_ended(self) -> bool:
        """Return whether every row has its outcome."""
        return self._is_read() and not self._open and not self._in_doubt

    @property
    def left_undone(self) -> int:
        """How many rows have come to their end without being done."""
        by_state = self.progress().by_state
        return self._skipped + sum(by_state[state] for state in FAILURES)

    async def unaudited(self) -> Unaudited | None:
        """Return what this session and earlier ones have sent and not audited; None if that is nothing."""
        since = await self._book.ask(lambda file: file.unaudited_since())
        if since is None:
            return None
        after, now_s = self._book.audit_after, clock.now()
        if after is None:
            return Unaudited(since, clock.NEVER_S)
        # An earlier session has sent something again: its first request left before this session began.
        server_s = self._server_time.at(now_s)
        latest_s = self._began_s + self._options.lands_within_s + LIST_LAG_S
        if server_s is None or not self._server_time.is_steady:
            return Unaudited(since, latest_s)
        return Unaudited(since, min(latest_s, now_s + after - server_s))

    def audited(self, began_s: float) -> None:
        """Record that all of it was audited, apart from what the list may not have shown yet at that moment.

        Not before the end, as nobody is told earlier what was found.
        """
        self._book.record_at_end(Audited(self._server_time.at(began_s - LIST_LAG_S)))

    def settled(self, doubt: Doubt, finding: Finding) -> None:
        """Record what was found about a row, and end or send it, if it was read."""
        assert self.settlement is not None  # noqa: S101 - for the type checker
        row, after = doubt.row, None
        if doubt.was_sent_before or isinstance(finding, Absent):
            after = self._server_time.at(self.settlement.audit_after_s)
        if isinstance(finding, Found):
            object_id = self._recorded_id(finding.object_id)
            self._book.record(Settled(doubt.key, CODES["ok"], object_id, finding.created, after))
        else:
            state = NOT_SENT if isinstance(finding, Absent) else PARKED
            self._book.record(Settled(doubt.key, state, audit_after=after))
        if row is not None:
            self._reopen([row])
            self._act_on(row, finding)

    def _take_from_earlier_sessions(self, in_doubt: Iterable[KnownCreate]) -> None:
        """Take what an earlier session may have sent: its process has ended, so nothing left it after now."""
        assert self.settlement is not None  # noqa: S101 - for the type checker
        lands_until_s, was_sent_before = clock.now() + self._options.lands_within_s, self._book.audit_after is not None
        for known in in_doubt:
            doubt = Doubt(known.key, known.reference, known.mark, known.began, lands_until_s, began_s=self._began_s)
            doubt.was_sent_before = was_sent_before
            self.settlement.add(doubt)

    def _can_resume(self) -> bool:
        return self._book.can_resume

    def _admit(self, row: Row) -> None:
        row = cast("CreateRow", row)
        if not row.is_known_in_doubt:
            if self._only_settles:
                self._open[row] = None
                self._ready_rows.enter_held(row)
                self._skip(row, "it is not in doubt, and nothing was to be sent")
            else:
                super()._admit(row)
                self._intend_ahead()
            return
        self._open[row] = None
        self._ready_rows.enter_held(row)
        settlement = self.settlement
        doubt = None if settlement is None else settlement.doubt_of(row.ids.key)
        if doubt is not None:
            doubt.row = row
            del self._open[row]
            self._in_doubt[row] = None
        elif settlement is not None and (finding := settlement.resolved.get(row.ids.key)) is not None:
            self._act_on(row, finding)
        else:
            self._act_on(row, Unsettled(_cannot_look(self._creation.noun)))

    async def _carry(self, row: Row) -> None:
        row = cast("CreateRow", row)
        reader = cast("CreateReader", self._reader)
        self._take_up(row)
        if reader.first_look is not None and not row.is_intended:
            await reader.first_look.again()
            if (outcome := reader.found_before(row)) is not None:
                self._scheduler.end(row)
                self._conclude(row, outcome, outcome.error)
                self._ready_rows.leave(row, clock.now())
                return
        if not row.is_intended and not await self._intended(row):
            self._set_aside(row)  # nothing more can be written, so the run is about to stop
            return
        await super()._carry(row)

    async def _intended(self, row: CreateRow) -> bool:
        """Return, once it is on the disk that the row is about to be sent, whether it may be."""
        if row.is_recorded:
            self._intend_ahead()
        else:
            self._intend([row, *self._not_recorded()])
        assert row.written is not None  # noqa: S101 - it was recorded; for the type checker
        row.is_intended = await row.written
        return row.is_intended

    def _intend_ahead(self) -> None:
        """Record rows that go next before their turn comes, some at a time: they share a sync, and wait for none."""
        rows = self._not_recorded()
        if 2 * len(rows) >= self._ahead:
            self._intend(rows)

    def _not_recorded(self) -> list[CreateRow]:
        """Return the rows that go next and may be recorded before their turn.

        A kill leaves those in doubt too, so there are none where nobody can look, or where each waits for a look.
        """
        if self.settlement is None or cast("CreateReader", self._reader).first_look is not None:
            return []
        rows = cast("list[CreateRow]", self._ready_rows.first(self._ahead))
        return [each for each in rows if not each.is_recorded]

    def _intend(self, rows: Sequence[CreateRow]) -> None:
        now_s = clock.now()
        began = self._server_time.not_later_than(now_s)
        entries = [RowEntry(row.index, CODES["unknown"], row.ids, began) for row in rows]
        for row, written in zip(rows, self._book.intend_all(entries), strict=True):
            row.intended_s, row.is_recorded, row.written = now_s, True, written

    def _settle(self, row: Row, verdict: Verdict) -> None:
        row = cast("CreateRow", row)
        object_id = self._creation.id_of(verdict.value) if verdict.action is _ACCEPT else None
        can_look = self.settlement is not None  # else it would stay in doubt for good
        if can_look and object_id is not None and cast("CreateReader", self._reader).is_of_another(row, object_id):
            verdict = row.last = Verdict(Action.RAISE, error=_of_another(self._creation.noun))
        error = verdict.error
        if verdict.action is _ACCEPT:
            row.object_id = row.key if self._creation.is_of_key else object_id
            row.created = self._server_time.at(clock.now())
            self._server_time.note_created(getattr(verdict.value, "created", None))
        elif is_done(error):
            row.object_id = row.key if self._creation.is_of_key else self._id_in(error)
        elif self.settlement is not None and _is_in_doubt(row, error):
            self._begin_doubt(row, verdict)
            return
        if error is not None and isinstance(error, (OutcomeUnknownError, DecodeError)):
            error.clue = row.target.clue
        super()._settle(row, verdict)

    def _begin_doubt(self, row: CreateRow, verdict: Verdict) -> None:
        assert self.settlement is not None  # noqa: S101 - for the type checker
        assert verdict.error is not None  # noqa: S101 - it was not accepted
        del self._open[row]
        self._in_doubt[row] = None
        self._ready_rows.hold(row)
        self._rules.note_doubt(verdict.error)
        ids, lands_until_s = row.ids, max(row.lands_until_s, clock.now())
        if not self._breaker.is_paused:
            row.rounds += 1  # probes of an outage are not the row's fault
        doubt = Doubt(ids.key, ids.reference, ids.mark, None, lands_until_s, began_s=row.intended_s, row=row)
        doubt.was_sent_before = row.was_sent_before
        self.settlement.add(doubt)
        self._idle.call()

    def _act_on(self, row: CreateRow, finding: Finding) -> None:
        self._ready_rows.end_hold(row)
        if isinstance(finding, Found):
            row.object_id, row.created = finding.object_id, finding.created
            if row.is_other:
                outcome = other_content(row.index, row.key, finding.object_id, row.source)
                self._conclude(row, outcome, outcome.error)
                self._rules.note_outcome(outcome, outcome.error)
                self._ready_rows.leave(row, clock.now())
            else:
                row.last = Verdict(_ACCEPT, value=finding.value)
                super()._settle(row, row.last)
        elif isinstance(finding, Unsettled):
            row.attempt_state.may_be_executed = True
            self._end(row, self._parked_error(row, finding.why))
        elif self._only_settles:
            row.attempt_state, row.is_known_in_doubt = AttemptState(), False
            self._skip(row, "it was not executed, and nothing was to be sent")
        else:
            self._send_again(row)

    def _send_again(self, row: CreateRow) -> None:
        last, row.last = row.last, None
        row.attempt_state, row.is_recorded, row.is_intended, row.written = AttemptState(), False, False, None
        row.is_known_in_doubt, row.is_other, row.was_sent_before = False, False, True
        row.lands_until_s = row.rests_until_s = clock.NEVER_S
        if last is not None and row.rounds >= self._options.policy.max_attempts:
            message = f"it was tried {row.rounds} times, and each time looking has shown that it was not executed"
            error = NotSentError(message, reason="absent")
            self._end(row, error)
            return
        self._ready_rows.line_up(row)

    def _end(self, row: CreateRow, error: SpotError) -> None:
        """End a row that is not to be tried again."""
        row.last = Verdict(Action.RAISE, error=error)
        super()._settle(row, row.last)

    def _skip(self, row: CreateRow, why: str) -> None:
        """End a row that nobody wants to be sent."""
        self._skipped += 1
        self._ready_rows.end_hold(row)
        row.last = Verdict(Action.RAISE, error=NotSentError(why, reason="stopped"))
        outcome = skipped(row, clock.now())
        self._conclude(row, outcome, outcome.error)
        self._ready_rows.leave(row, clock.now())

    def _record(self, row: Row, outcome: Outcome[Any]) -> None:
        row = cast("CreateRow", row)
        # Known better by now than when it was about to be sent, if that was before the first answer.
        knows_time = row.is_intended and self._server_time.at(row.intended_s) is not None
        began = self._server_time.not_later_than(row.intended_s) if knows_time else None
        if outcome.state == "ok":
            object_id = self._recorded_id(row.object_id)
            self._book.record(RowEntry(row.index, CODES["ok"], row.ids, began, object_id, row.created))
        elif outcome.state == "failed":
            self._book.record(RowEntry(row.index, CODES["failed"], row.ids, began))
        elif outcome.state == "skipped" and row.is_recorded:
            self._book.record(RowEntry(row.index, NOT_SENT, row.ids))

    def _parked_error(self, row: CreateRow, why: SpotError) -> SpotError:
        last = None if row.last is None else row.last.error
        said = str(last.args[0]) if last is not None and last.args else "an earlier session may have sent it"
        found = str(why.args[0]) if why.args else type(why).__name__
        message = f"{said}; looking has not settled it: {found}"
        status = last.status if isinstance(last, OutcomeUnknownError) else None
        reason = last.reason if isinstance(last, OutcomeUnknownError) else "dropped"
        return OutcomeUnknownError(message, reason=reason, status=status, clue=row.target.clue)

    def _recorded_id(self, object_id: str | None) -> str | None:
        return None if self._creation.is_of_key else object_id

    def _id_in(self, error: SpotError | None) -> str | None:
        raw = getattr(error, "raw", None)
        found = raw.get(self._creation.id_name) if isinstance(raw, dict) else None
        return found if isinstance(found, str) else None

    def _reopen(self, rows: Iterable[CreateRow]) -> None:
        for row in [*rows]:
            if row in self._in_doubt:
                del self._in_doubt[row]
                self._open[row] = None

    def _skip_rest(self) -> None:
        self._reopen(self._in_doubt)
        super()._skip_rest()

    def _on_task_end(self, worker: Worker, task: "asyncio.Task[None]") -> None:
        super()._on_task_end(worker, task)
        if self.settlement is not None:
            self.settlement.note_end()


def _is_in_doubt(row: CreateRow, error: SpotError | None) -> bool:
    return row.may_be_executed or isinstance(error, (OutcomeUnknownError, DecodeError))


def _of_another(noun: str) -> SpotError:
    message = f"the answer is about {a(noun)} that another row has created, so something on the way mixes answers up"
    return WrongAnswerError(message, outcome="unknown")


def _cannot_look(noun: str) -> SpotError:
    message = f"the API has no list of {noun}s, so only the vendor can tell"
    return NotSentError(message, reason="stopped")
