"""Runs one row: tries and repeats it, and counts its failures, until its outcome is known or it must wait."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial

from attrs import evolve

from spotdx_async._http import clock
from spotdx_async._http.logs import log_retry
from spotdx_async._http.messages import Action, AttemptResult, Verdict
from spotdx_async._http.retry import repeat
from spotdx_async.bulk.circuit_breaker import CircuitBreaker, Result
from spotdx_async.bulk.options import RunOptions, Send
from spotdx_async.bulk.row import Row
from spotdx_async.bulk.scheduler import Scheduler
from spotdx_async.bulk.stats import RunCounts
from spotdx_async.errors import DecodeError, OutcomeUnknownError, SpotError, WrongAnswerError

__all__ = ["RowRunner"]

_ACCEPT, _REPEAT = Action.ACCEPT, Action.REPEAT

_THROTTLED_REST_S = 0.5
"""Least time between two requests of a row to a throttling server, whatever wait it asks for: with ``Retry-After: 0``
the requests of a run would follow one another without end. A choice: each row in progress makes at most two a second,
and the wait is half of a policy's ``throttle_base_s``."""

_USUAL_WEIGHT = 1 / 50
"""Of one answer's time in the usual time. A choice: about the last 50 answers, as for the share of failures."""


class RowRunner:
    """Runs rows, each call one row.

    A row fails only by its own fault. Its failed tries count against it only while the run is not paused; they must be
    as many as the policy allows and too many for chance if others fail too, another row must have been served since the
    first of them, and enough others tried to tell what is chance. Until then it is set aside; it is tried again unless
    others were served meanwhile, and ends when there are no others any more.

    A try that fails takes as long as one that is served usually does: otherwise a server that refuses at once what it
    cannot handle would get more requests a second the more it refuses.
    """

    def __init__(
        self,
        send: Send,
        options: RunOptions,
        breaker: CircuitBreaker,
        scheduler: Scheduler,
        *,
        counts: RunCounts,
        stopping: asyncio.Event,
        on_try: Callable[[AttemptResult], object],
    ) -> None:
        """Keep the parts of the run that it works with.

        Args:
            send: makes one attempt of an update.
            options: how often to try, how long to wait in between, and how long a request may still be executed.
            breaker: admits every try.
            scheduler: knows whether other rows are waiting.
            counts: counts throttled answers.
            stopping: set when the run is to end.
            on_try: called before the breaker learns of a try: with the first that was served, and all that were not.
        """
        self._send, self._breaker, self._scheduler = send, breaker, scheduler
        self._counts, self._stopping, self._on_try = counts, stopping, on_try
        self._most_tries = options.policy.max_attempts
        # How often is decided here; how long to wait in between is up to the policy.
        self._policy = evolve(options.policy, max_attempts=sys.maxsize)
        self._lands_within_s, self._sleep = options.lands_within_s, options.sleep
        self._usual_s = 0.0
        self._has_served = False

    async def run(self, row: Row) -> Verdict | None:
        """Try the row; return how it ended, or None if it must be tried again later, or the run stops."""
        if row.others_served and row.last is not None and self._is_final(row):
            return row.last  # it was set aside only until others had been tried
        verdict = await self._try(row)
        if verdict is None or verdict.action is not _REPEAT:
            return verdict
        while self._may_repeat(row) and self._is_by_chance(row, verdict):
            _log_retry(row, verdict, 0.0)
            again = await self._try(row)
            if again is None or again.action is not _REPEAT:
                return again
            verdict = again
        if self._may_repeat(row):
            verdict = await self._repeat(row, verdict)
        return verdict if verdict.action is not _REPEAT or self._is_final(row) else None

    def may_go_on(self, row: Row) -> bool:
        """Return whether to try a row that was set aside again, while the run is not paused."""
        if not self._is_out(row):
            return True
        if not self._breaker.has_served_since(row.failing_since_s):
            return False
        return not row.others_served or self._breaker.first_tries.is_enough(row.seen)

    async def _repeat(self, row: Row, first: Verdict) -> Verdict:
        async def again() -> Verdict:
            # The run may have paused during the wait: then the last verdict stands, and the row is set aside.
            verdict = await self._try(row) if self._may_repeat(row) else None
            return first if verdict is None else verdict

        return await repeat(
            first,
            again,
            policy=self._policy,
            may_wait=lambda _last, _wait_s: self._may_repeat(row),
            on_wait=lambda last, wait_s: _log_retry(row, last, wait_s),
            sleep=self._sleep,
        )

    async def _try(self, row: Row) -> Verdict | None:
        """Try once, when the breaker lets it; None if the run stops before, or pauses and this is not its probe."""
        breaker, stopping = self._breaker, self._stopping
        may_go = partial(breaker.sends, row.key)
        while not stopping.is_set():
            if row.rests_until_s > clock.NEVER_S and row.rests_until_s > (now := clock.now()):
                await clock.sleep(row.rests_until_s - now, unless=stopping)
            if not breaker.try_enter(row.key):
                may_wait = not breaker.is_paused or row.is_probe
                if not may_wait or not await breaker.enter(row.key):
                    return None
            if stopping.is_set():
                breaker.report(row.key, "none")
                return None
            try:
                tried = await self._send(
                    row.target, row.body, row.attempt_state, row.tries > 0, may_go, row.observation
                )
            except BaseException:
                breaker.report(row.key, "none")
                raise
            if tried.attempts or tried.verdict.error is not None:
                if (rest_s := self._record(row, tried)) > 0:
                    await self._rest(row, rest_s)
                return tried.verdict
            # The run paused while the row waited for the rate limit, or the run stopped.
            breaker.report(row.key, "none")
        return None

    async def _rest(self, row: Row, rest_s: float) -> None:
        """Keep the permit of a request that came back early: otherwise it would only be used for further refusals."""
        try:
            if not self._breaker.is_paused:
                await clock.sleep(rest_s, unless=self._stopping)
        finally:
            self._breaker.leave(row.key)

    def _record(self, row: Row, tried: AttemptResult) -> float:
        """Note the result of a try; return the seconds for which its permit is to be kept."""
        verdict, began_s = tried.verdict, tried.sent_s
        row.tries += 1
        row.attempts += tried.attempts
        row.request_s = tried.ended_s - began_s
        # Noted before anything is reported: whatever an observer raises, the row's fate stays known.
        row.last = verdict
        self._record_execution(row, tried)
        result = _result(row, tried)
        if result == "good":
            self._usual_s += (row.request_s - self._usual_s) * _USUAL_WEIGHT
        if verdict.error is not None or not self._has_served:
            self._has_served |= verdict.error is None
            self._on_try(tried)
        rest_s = max(0.0, self._usual_s - row.request_s) if result == "bad" and not self._breaker.is_paused else 0.0
        self._breaker.report(
            row.key, result, began_s=began_s, ended_s=tried.ended_s, is_first=row.tries == 1, rests=rest_s > 0
        )
        if verdict.action is _ACCEPT:
            return rest_s
        if row.tries == 1:
            row.failing_since_s = began_s
            row.seen = self._breaker.first_tries.seen
        if result == "throttled":
            self._counts.throttled += 1
            row.rests_until_s = began_s + _THROTTLED_REST_S
        if result == "bad" and not self._breaker.is_paused:
            row.charged += 1
            row.odds = (*row.odds, self._breaker.first_tries.failing)
            row.others_served = self._breaker.has_served_since(row.failing_since_s)
        return rest_s

    def _record_execution(self, row: Row, tried: AttemptResult) -> None:
        """Note whether the try may have been executed, and until when it may still be."""
        verdict, error = tried.verdict, tried.verdict.error
        if row.effect == "reads":
            return
        if not verdict.may_be_executed and (error is None or not error.may_be_executed):
            return
        row.attempt_state.may_be_executed = True
        if _is_answered(error):
            return
        # Counted from the last byte: connecting may have taken long. If unseen, it went out by the end at the latest.
        last_byte_s = row.attempt_state.last_byte_s
        left_s = last_byte_s if last_byte_s >= tried.sent_s else tried.ended_s
        row.lands_until_s = left_s + self._lands_within_s

    def _may_repeat(self, row: Row) -> bool:
        """Return whether to repeat in place.

        If the server is in doubt, rows that were not tried yet go first; and a row that has had the policy's tries must
        not hold up others that wait.
        """
        if self._stopping.is_set() or self._breaker.is_paused or self._is_out(row):
            return False
        if row.charged >= self._most_tries and self._scheduler.has_waiting:
            return False
        return not (self._breaker.is_doubtful and self._scheduler.has_fresh)

    def _is_by_chance(self, row: Row, verdict: Verdict) -> bool:
        """Return whether to repeat the row at once, since as many others fail now, and the next ones are served.

        The repeat takes the place of another row's request: the server gets no more of them a second. A longer wait
        would help nobody, and hold up the run: at 40 % failures it would take longer than the requests.
        """
        if verdict.is_throttle or verdict.retry_after_s is not None:
            return False
        return self._breaker.makes_likely(row.charged)

    def _is_out(self, row: Row) -> bool:
        """Return whether the row has had all its tries.

        Its failures are judged by how many others fail now, and by how many did when each of them came: those from an
        overload that is over, say, are not its fault.
        """
        if self._most_tries == 1:
            return row.tries > 0
        if row.charged < self._most_tries or self._breaker.never_pauses:
            return row.charged >= self._most_tries
        return not self._breaker.first_tries.explain(row.odds, row.seen)

    def _is_final(self, row: Row) -> bool:
        if self._most_tries == 1:
            return True
        breaker = self._breaker
        if breaker.is_paused or not self._is_out(row):
            return False
        return breaker.never_pauses or (
            breaker.has_served_since(row.failing_since_s) and breaker.first_tries.is_enough(row.seen)
        )


def _log_retry(row: Row, last: Verdict, wait_s: float) -> None:
    operation = (last.error and last.error.operation) or ""
    log_retry(last.error, operation=operation, attempt=row.attempts, wait_s=wait_s)
    if row.observation is not None:
        row.observation.repeated(last, wait_s)


def _result(row: Row, tried: AttemptResult) -> Result:
    verdict = tried.verdict
    if verdict.is_throttle:
        return "throttled"
    if verdict.action is _REPEAT or isinstance(verdict.error, WrongAnswerError):
        return "bad"  # a wrong answer is not repeated, but does not show that the server is well
    if row.effect == "creates" and _is_of_the_server(verdict.error):
        return "bad"  # a create is not repeated either
    return "good" if tried.attempts else "none"


def _is_of_the_server(error: SpotError | None) -> bool:
    """Return whether a try ended without a usable answer. A redirect is one, and comes however the server is."""
    return isinstance(error, OutcomeUnknownError) and error.reason != "redirect"


def _is_answered(error: SpotError | None) -> bool:
    """Return whether the server executed the try and said so: then it cannot land later, unlike after a 5xx."""
    return isinstance(error, DecodeError) and error.outcome == "done"
