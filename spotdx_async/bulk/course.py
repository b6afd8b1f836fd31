"""The course of one row: it is tried, repeated and charged for its failures, until its end is known or it must wait."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from attrs import evolve

from spotdx_async._pipeline import clock
from spotdx_async._pipeline.messages import Act, Flight, Try, Verdict
from spotdx_async._pipeline.retry import repeat
from spotdx_async._pipeline.telling import tell_retry
from spotdx_async._pipeline.watching import Watched
from spotdx_async.bulk.gate import OutageGate, Result
from spotdx_async.bulk.lanes import Row
from spotdx_async.bulk.tally import Tally
from spotdx_async.config import RetryPolicy
from spotdx_async.errors import DecodeError, SpotError, WrongAnswerError

__all__ = ["Course", "Send"]

_ACCEPT, _REPEAT = Act.ACCEPT, Act.REPEAT

_THROTTLED_REST_S = 0.5
"""Between two requests of a row to a server that says that calls come too fast, whatever wait it asks for: with
``Retry-After: 0`` the requests of a run would follow one another without end."""

_USUAL_WEIGHT = 1 / 50
"""Of one answer's time in the usual one: that of the last 50 or so, as the share of failures."""

Send = Callable[[str, bytes, Flight, bool, Callable[[], bool], Watched | None], Awaitable[Try]]
"""Tries once to set the metadata of a key, the body given as bytes, keeping the row's flight true; is told whether it
was tried before, asks at the last moment whether it still may go, and tells observers, if there are any, what happens.
"""


class Course:
    """Takes rows through their tries.

    A row fails by its own fault alone. Its failed tries count against it only while the gate is open; they must be as
    many as the policy allows, too many for chance where others fail too, some other row must have been served since
    the first of them, and so many tried that they tell what is chance. Until then it is set aside; it is tried again
    unless others were served meanwhile, and ends when there are no others any more.

    A try that fails takes as long as one that is served usually does: else a server that refuses at once what it cannot
    take would get more requests a second the more it refuses.
    """

    def __init__(
        self,
        send: Send,
        gate: OutageGate,
        tally: Tally,
        stopping: asyncio.Event,
        *,
        policy: RetryPolicy,
        lands_within_s: float,
        has_others: Callable[[], bool],
        is_awaited: Callable[[], bool],
        on_try: Callable[[Try], object],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Take what a run is made of.

        Args:
            send: tries an update once.
            gate: stands before every try.
            tally: counts throttled answers.
            stopping: set when the run is to end.
            policy: how often to try, and how long to wait in between.
            lands_within_s: seconds after which a request that was sent has been carried out, or never will be.
            has_others: whether other rows could be tried now, that were not yet.
            is_awaited: whether any other row waits to be tried.
            on_try: told of every try, before the gate is.
            sleep: waits before a repeat; it ends early where a pause is lifted.
        """
        self._send = send
        self._gate = gate
        self._tally = tally
        self._stopping = stopping
        self._most_tries = policy.max_attempts
        # How often is decided here; how long to wait in between is the policy's.
        self._policy = evolve(policy, max_attempts=sys.maxsize)
        self._lands_within_s = lands_within_s
        self._has_others, self._is_awaited = has_others, is_awaited
        self._on_try = on_try
        self._sleep = sleep
        self._usual_s = 0.0

    async def run(self, row: Row) -> Verdict | None:
        """Try the row; give how it ended, or None where it must be tried again later, or the run stops."""
        if row.others_served and row.last is not None and self._is_final(row):
            return row.last  # it was set aside only until others had been tried
        verdict = await self._try(row)
        if verdict is None or verdict.act is not _REPEAT:
            return verdict
        while self._may_repeat(row) and self._is_by_chance(row, verdict):
            _tell_retry(row, verdict, 0.0)
            again = await self._try(row)
            if again is None or again.act is not _REPEAT:
                return again
            verdict = again
        if self._may_repeat(row):
            verdict = await self._repeat(row, verdict)
        return verdict if verdict.act is not _REPEAT or self._is_final(row) else None

    def may_go_on(self, row: Row) -> bool:
        """Whether to try a row again that was set aside, while the gate is open."""
        if not self._is_out(row):
            return True
        if not self._gate.has_served_since(row.failing_since_s):
            return False
        return not row.others_served or self._gate.first_tries.is_enough(row.seen)

    async def _repeat(self, row: Row, first: Verdict) -> Verdict:
        async def again() -> Verdict:
            # The gate may have closed during the wait: then the last verdict stands, and the row is set aside.
            verdict = await self._try(row) if self._may_repeat(row) else None
            return first if verdict is None else verdict

        return await repeat(
            first,
            again,
            policy=self._policy,
            may_wait=lambda _last, _wait_s: self._may_repeat(row),
            on_wait=lambda last, wait_s: _tell_retry(row, last, wait_s),
            sleep=self._sleep,
        )

    async def _try(self, row: Row) -> Verdict | None:
        """Try once, when the gate lets it; None where the run stops before, or pauses and this is not its probe."""
        gate, stopping = self._gate, self._stopping

        def may_go() -> bool:
            return not stopping.is_set() and gate.sends(row.key)

        while not stopping.is_set():
            if row.rests_until_s > (now := clock.now()):
                await clock.sleep(row.rests_until_s - now, unless=stopping)
            if not gate.try_enter(row.key):
                may_wait = gate.is_open or row.is_probe
                if not may_wait or not await gate.enter(row.key):
                    return None
            if stopping.is_set():
                gate.report(row.key, "none")
                return None
            try:
                tried = await self._send(row.key, row.body, row.flight, row.tries > 0, may_go, row.watch)
            except BaseException:
                gate.report(row.key, "none")
                raise
            if tried.attempts or tried.verdict.error is not None:
                if (rest_s := self._note(row, tried)) > 0:
                    await self._rest(row, rest_s)
                return tried.verdict
            # The gate closed while the row waited for the rate limit, or the run stopped.
            gate.report(row.key, "none")
        return None

    async def _rest(self, row: Row, rest_s: float) -> None:
        """Keep the place of a request that came back early: else others that are refused would come and go in it."""
        try:
            if self._gate.is_open:
                await clock.sleep(rest_s, unless=self._stopping)
        finally:
            self._gate.leave(row.key)

    def _note(self, row: Row, tried: Try) -> float:
        """Note what came of a try; give the seconds that its place is to rest."""
        verdict, began_s = tried.verdict, tried.sent_s
        row.tries += 1
        row.attempts += tried.attempts
        row.request_s = tried.ended_s - began_s
        # Before anybody is told: whatever an observer raises, what became of the row stays known.
        row.last = verdict
        self._note_execution(row, tried)
        result = _result(tried)
        if result == "good":
            self._usual_s += (row.request_s - self._usual_s) * _USUAL_WEIGHT
        self._on_try(tried)
        rest_s = max(0.0, self._usual_s - row.request_s) if result == "bad" and self._gate.is_open else 0.0
        self._gate.report(row.key, result, began_s=began_s, is_first=row.tries == 1, rests=rest_s > 0)
        if verdict.act is _ACCEPT:
            return rest_s
        if row.tries == 1:
            row.failing_since_s = began_s
            row.seen = self._gate.first_tries.seen
        if result == "throttled":
            self._tally.throttled += 1
            row.rests_until_s = began_s + _THROTTLED_REST_S
        if result == "bad" and self._gate.is_open:
            row.charged += 1
            row.odds = (*row.odds, self._gate.first_tries.failing)
            row.others_served = self._gate.has_served_since(row.failing_since_s)
        return rest_s

    def _note_execution(self, row: Row, tried: Try) -> None:
        """Note whether the try may have been executed, and until when it may still be."""
        verdict, error = tried.verdict, tried.verdict.error
        if not verdict.may_be_executed and (error is None or not error.may_be_executed):
            return
        row.flight.may_be_executed = True
        if _is_answered(error):
            return
        # Counted from the last byte: the making of the connection may have taken long. Unseen, it went out by the end.
        last_byte_s = row.flight.last_byte_s
        left_s = last_byte_s if last_byte_s >= tried.sent_s else tried.ended_s
        row.lands_until_s = left_s + self._lands_within_s

    def _may_repeat(self, row: Row) -> bool:
        """Whether to repeat in place.

        Where the server is in doubt, rows that were not tried yet go first; and a row that has had the policy's tries
        holds up nobody who waits.
        """
        if self._stopping.is_set() or not self._gate.is_open or self._is_out(row):
            return False
        if row.charged >= self._most_tries and self._is_awaited():
            return False
        return not (self._gate.is_doubtful and self._has_others())

    def _is_by_chance(self, row: Row, verdict: Verdict) -> bool:
        """Whether the row is repeated at once, since as many others fail now, and the next ones are served.

        The repeat takes the place of another row's request: the server gets no more of them a second. A longer wait
        would help nobody, and hold up the run: where 40 % fail it would take longer than the requests.
        """
        if verdict.is_throttle or verdict.retry_after_s is not None:
            return False
        return self._gate.makes_likely(row.charged)

    def _is_out(self, row: Row) -> bool:
        """Whether the row has had all its tries.

        Its failures are judged by how many others fail now, and by how many did when each of them came: those from an
        overload that is over, say, are not its fault.
        """
        if self._most_tries == 1:
            return row.tries > 0
        if row.charged < self._most_tries or self._gate.stays_open:
            return row.charged >= self._most_tries
        return not self._gate.first_tries.explain(row.odds, row.seen)

    def _is_final(self, row: Row) -> bool:
        if self._most_tries == 1:
            return True
        gate = self._gate
        if not gate.is_open or not self._is_out(row):
            return False
        return gate.stays_open or (gate.has_served_since(row.failing_since_s) and gate.first_tries.is_enough(row.seen))


def _tell_retry(row: Row, last: Verdict, wait_s: float) -> None:
    operation = (last.error and last.error.operation) or ""
    tell_retry(last.error, operation=operation, attempt=row.attempts, wait_s=wait_s)
    if row.watch is not None:
        row.watch.repeated(last, wait_s)


def _result(tried: Try) -> Result:
    verdict = tried.verdict
    if verdict.is_throttle:
        return "throttled"
    if verdict.act is _REPEAT or isinstance(verdict.error, WrongAnswerError):
        return "bad"  # the last is not repeated, and no sign that the server is well
    return "good" if tried.attempts else "none"


def _is_answered(error: SpotError | None) -> bool:
    """Whether the server has carried the try out, and said so: it cannot land any more, unlike after a 5xx, say."""
    return isinstance(error, DecodeError) and error.outcome == "done"
