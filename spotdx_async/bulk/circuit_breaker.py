"""The circuit breaker of a bulk run: in a total outage it pauses the run, and one row at a time probes.

It judges the results that are reported to it, and knows neither rows nor requests.
"""

import random
from asyncio import TimerHandle
from collections.abc import Callable, Hashable
from typing import Literal

from spotdx_async._http import clock
from spotdx_async._http.logs import log_breaker
from spotdx_async._http.waiters import WaiterQueue
from spotdx_async.bulk.adaptive_concurrency import TOTAL, AdaptiveConcurrency
from spotdx_async.bulk.outage_signs import LEAST_ROWS, FirstTries, OutageLimit, OutageSigns

__all__ = ["CircuitBreaker", "Result"]

Result = Literal["good", "bad", "throttled", "none"]
"""``good``: the server answered, even if it refused. ``bad``: a failure that a repeat may overcome. ``throttled``: too
many requests. ``none``: no request was made."""

_PROBE_BOUNDS_S = (0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.8, 1.6, 3.2, 5.0)
"""Longest time from one probe to the next. A choice: a server that was away for up to 3 s, as for a restart, is noticed
within 0.4 s; and a minute of outage costs about 21 probes, with the five failures that reveal it 26 requests."""
_LEAST_OF_BOUND = 0.8
"""Jitter. A choice: enough that clients that lost a server together soon stop probing together, and probes stay
regular."""
_RAMP_START = 10.0
_RAMP_GROWTH = 1024.0
"""From 10 tries a second, a rate that a cold server stands, 1024-fold within the ramp: more than any run sends. A
choice."""
_RAMP_SHARE = 1 / 12
"""Of the outage, that the ramp takes. A choice: a server that was away for a moment is not cold, and 8 % costs
little."""
_LONGEST_RAMP_S = 5.0
"""Reached after outages of a minute. A choice: the full rate is back well within the 10 s that ``Progress.rate``
shows."""


class CircuitBreaker:
    """Admits every attempt of a row.

    1. Passing: as many attempts at once as the adaptive concurrency allows.
    2. Paused, in a total outage: after failures of five or more rows in succession that cannot be chance, or after a
       second (at least 20 results) in which 19 of 20 were bad. Only probing rows may pass, the first within 0.1 s,
       later ones at most 5 s apart: one at a time, unless one has had no answer for that long.
    3. Ramping up, after a probe was answered, for a twelfth of the pause, at most 5 s.

    A partial outage does not pause: failed rows are tried again. After ``stop_pausing`` nothing pauses.
    """

    def __init__(
        self,
        *,
        limit_s: float,
        concurrency: int,
        on_overdue: Callable[[], object],
        busy_s: Callable[[], float] = lambda: float("inf"),
        on_change: Callable[[Literal["closed", "open"], float], object] | None = None,
        on_probe: Callable[[], object] = lambda: None,
        trouble: Callable[[], str] = str,
        dice: random.Random | None = None,
    ) -> None:
        """Start passing.

        Args:
            limit_s: ``on_overdue`` is called after so many seconds paused, or throttled without a single row going
                through; pauses that the server asked for count.
            concurrency: the most attempts at once.
            on_overdue: called once for each outage.
            busy_s: returns for how many seconds rows have been waiting without a break: only such time counts.
            on_change: called when it pauses (``closed``) and when the pause ends (``open``), with its length so far in
                seconds.
            on_probe: called when a probe is sent, and the next one may wait for its moment.
            trouble: names the server and the failure, for the log.
            dice: for the jitter.
        """
        self._outage_limit = OutageLimit(limit_s, on_overdue, busy_s)
        self._throttled_too_long = OutageLimit(limit_s, on_overdue, busy_s)
        self._on_change = on_change
        self._on_probe = on_probe
        self._trouble = trouble
        self._dice = dice or random.Random()
        self._signs = OutageSigns()
        self._adaptive = AdaptiveConcurrency(concurrency)
        # Rows that have entered and not reported, and when the requests of those that were sent began.
        self._inside: set[Hashable] = set()
        self._sent: dict[Hashable, float] = {}
        self._bad_rows: set[Hashable] = set()
        # When the youngest of the answered requests began.
        self._last_good_s = float("-inf")
        self.first_tries: FirstTries = self._signs.first_tries
        """How rows' first attempts end while the run is not paused."""
        self.reports: int = 0
        """How many results were reported: while this stays the same, so does everything the breaker knows."""
        self.is_paused: bool = False
        """Whether only probes may pass: the server seems to be down."""
        self.never_pauses: bool = False
        """Whether it no longer pauses, whatever fails."""
        self._paused_at_s: float | None = None
        self._resumed_at_s = float("-inf")
        self._ramp_from_s: float | None = None
        self._ramp_s = _LONGEST_RAMP_S
        self._next_at_s = float("-inf")
        self._probing: set[Hashable] = set()
        self._probes = 0
        self._waiters: WaiterQueue[Hashable] = WaiterQueue()
        self._waiting = 0
        self._timer: TimerHandle | None = None
        self._now = clock.of_loop()
        self._is_over = False

    @property
    def paused_s(self) -> float:
        """For how many seconds it has been paused; 0 if it is not."""
        return 0.0 if self._paused_at_s is None else self._now() - self._paused_at_s

    @property
    def is_free(self) -> bool:
        """Whether a row may pass at once."""
        return self._paused_at_s is None and self._ramp_from_s is None and self._has_room

    @property
    def concurrency(self) -> int:
        """How many attempts may be in flight at once, at present."""
        return self._adaptive.limit

    @property
    def _has_room(self) -> bool:
        # A probe that still hangs when another one has got through occupies nobody's permit.
        return len(self._inside) - len(self._probing) < self._adaptive.limit

    @property
    def is_doubtful(self) -> bool:
        """Whether, since the last success, several rows have failed, or one row many times."""
        return self._signs.is_doubtful

    def lets(self, row: Hashable) -> bool:
        """Return whether a row that has entered may still be tried: an outage may have begun since."""
        return self._paused_at_s is None or row in self._probing

    def sends(self, row: Hashable) -> bool:
        """Return the same at the last moment before the request, which then counts as in flight."""
        if self._is_over or not self.lets(row):
            return False
        now = self._sent[row] = self._now()
        if self._paused_at_s is not None:
            # If it hangs that long, another one goes: the server may answer that one.
            self._next_at_s = now + _PROBE_BOUNDS_S[-1] * self._dice.uniform(_LEAST_OF_BOUND, 1)
            self._on_probe()
            if self._waiters:
                self._serve()
        return True

    def try_enter(self, row: Hashable) -> bool:
        """Enter if that takes no wait; otherwise the caller waits with ``enter``."""
        if self._waiting or not self.is_free:
            return False
        self._inside.add(row)
        return True

    async def enter(self, row: Hashable) -> bool:
        """Wait until the row may be tried; then the caller must ``report`` the result, whatever happens.

        Returns:
            False if a pause has begun meanwhile: the row has not entered, and another one may be a better probe.
        """
        waiter = self._waiters.add(row)
        self._waiting += 1
        try:
            self._serve()
            await self._waiters.wait(waiter, lambda: self._give_back(row))
        finally:
            self._waiting -= 1
        return row in self._inside

    def report(
        self,
        row: Hashable,
        result: Result,
        *,
        began_s: float = 0.0,
        ended_s: float | None = None,
        is_first: bool = False,
        rests: bool = False,
    ) -> None:
        """Note the result of an attempt.

        Args:
            row: its key, since only one row of a key is in flight at a time, and those behind it are as likely to be at
                fault.
            result: of the attempt.
            began_s: when its request began: one from before the outage says nothing about its end.
            ended_s: when it ended; None: now.
            is_first: whether it was the row's first attempt.
            rests: whether it keeps its permit until ``leave``.
        """
        was_paused, was_probe = self.is_paused, row in self._probing
        self.reports += 1
        if not rests:
            self._inside.discard(row)
        self._sent.pop(row, None)
        self._probing.discard(row)
        if result == "good":
            self._note_good(began_s, is_first=is_first and not was_paused)
        elif result == "bad":
            if is_first and not was_paused:
                self.first_tries.note(is_bad=True)
            self._note_bad(row, began_s, was_probe=was_probe)
        elif result == "throttled":
            self._note_throttled(began_s)
        elif was_probe and was_paused:
            self._next_at_s = min(self._next_at_s, self._now())  # it was not sent
        if result in {"good", "bad"} and self._paused_at_s is None and self._ramp_from_s is None:
            self._adapt(row, is_bad=result == "bad", began_s=began_s, now=self._now() if ended_s is None else ended_s)
        if self._waiting:
            self._serve()

    def leave(self, row: Hashable) -> None:
        """Give up the permit of a row that has rested."""
        self._inside.discard(row)
        if self._waiting:
            self._serve()

    def has_served_since(self, moment_s: float) -> bool:
        """Return whether the server has answered a request that began later: then it was not down all the time."""
        return self._last_good_s > moment_s

    def makes_likely(self, failures: int) -> bool:
        """Return whether so many failures of one row are expected now: then its next attempt need not wait."""
        return self._signs.makes_likely(failures)

    def pause_if_all_fail(self) -> bool:
        """Pause if so many rows have failed in a row that it is not their fault, and no other row is left to try."""
        if self._signs.has_enough_rows:
            self._pause()
        return self._paused_at_s is not None

    def allow_pauses(self) -> None:
        """Allow pauses again, after ``stop_pausing``."""
        self.never_pauses = False

    def stop_pausing(self) -> None:
        """End the pause, and start no other: the remaining rows are tried as single calls are."""
        self.never_pauses = True
        if self._paused_at_s is not None:
            self._resume(is_back=False)
            self._serve()

    def release(self) -> None:
        """Let all waiting rows pass, and none be sent any more: the run is over."""
        self._is_over = True
        self._outage_limit.stop()
        self._throttled_too_long.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiters:
            self._let_pass()

    def _note_good(self, began_s: float, *, is_first: bool) -> None:
        self._last_good_s = max(self._last_good_s, began_s)
        if self._throttled_too_long.is_running:
            self._throttled_too_long.stop()
        if self._paused_at_s is not None and began_s >= self._paused_at_s:
            self._resume()
        self._signs.note_good(is_first=is_first)

    def _note_bad(self, row: Hashable, began_s: float, *, was_probe: bool) -> None:
        signs = self._signs
        if self._paused_at_s is not None:
            if was_probe:
                self._plan_probe()
            elif began_s < self._paused_at_s:
                signs.note_bad(row)  # if answers come too, then so many do fail by chance
            return
        if began_s < self._resumed_at_s:
            return
        signs.note_bad(row)
        if signs.has_enough_rows and signs.is_outage(sum(other_s <= began_s for other_s in self._sent.values())):
            self._pause()

    def _adapt(self, row: Hashable, *, is_bad: bool, began_s: float, now: float) -> None:
        """Adapt the concurrency; pause if almost nothing has succeeded for a period."""
        if is_bad:
            self._bad_rows.add(row)
        share = self._adaptive.note(is_bad=is_bad, began_s=began_s, sent=self._sent.values(), now=now)
        if share is None:
            return
        are_many = len(self._bad_rows) >= LEAST_ROWS
        self._bad_rows.clear()
        if share >= TOTAL and are_many:
            self._pause()

    def _note_throttled(self, began_s: float) -> None:
        if self._paused_at_s is not None and began_s >= self._paused_at_s:
            self._resume()  # it answers; how often it may be called is the rate limit's concern
        # A timer, not a check at the next 429: during a long pause none comes.
        self._throttled_too_long.start()

    def _pause(self) -> None:
        if self.never_pauses or self._paused_at_s is not None:
            return
        self.first_tries.leave_out_failures()
        self._paused_at_s, self.is_paused = self._now(), True
        self._ramp_from_s = None
        self._probes = 0
        self._next_at_s = float("inf")
        self._outage_limit.start()
        self._plan_probe()
        while self._waiters:
            self._let_pass(may_enter=False)
        self._announce("closed", 0.0)

    def _resume(self, *, is_back: bool = True) -> None:
        now = self._now()
        paused_s = now - (self._paused_at_s or 0.0)
        self._paused_at_s, self.is_paused = None, False
        self._signs.forget()
        self._resumed_at_s = self._ramp_from_s = self._next_at_s = now
        self._ramp_s = min(_LONGEST_RAMP_S, paused_s * _RAMP_SHARE)
        self._outage_limit.stop()
        self._announce("open", paused_s, is_back=is_back)

    def _announce(self, state: Literal["closed", "open"], after_s: float, *, is_back: bool = True) -> None:
        log_breaker(state, after_s=after_s, trouble=self._trouble(), is_back=is_back)
        if self._on_change is not None:
            self._on_change(state, after_s)

    def _plan_probe(self) -> None:
        """Choose the moment of the next probe, in the last fifth of the bound."""
        bound_s = _PROBE_BOUNDS_S[min(self._probes, len(_PROBE_BOUNDS_S) - 1)]
        self._probes += 1
        self._next_at_s = min(self._next_at_s, self._now() + bound_s * self._dice.uniform(_LEAST_OF_BOUND, 1))

    def _serve(self) -> None:
        """Let those rows pass that may, and come back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiters:
            if self.is_free:
                self._let_pass()
                continue
            if self._paused_at_s is None and not self._has_room:
                return  # until the next report
            if self._next_at_s > self._now():
                if self._next_at_s < float("inf"):
                    self._timer = clock.call_at(self._next_at_s, self._serve)
                return
            self._pass_one()

    def _pass_one(self) -> None:
        """Let the next row probe, or go at its time in the ramp."""
        if self._paused_at_s is not None:
            row = self._let_pass()
            if row is not None:
                self._probing.add(row)
                self._next_at_s = float("inf")  # until this one is sent or returned
            return
        assert self._ramp_from_s is not None  # noqa: S101 - else it would be free, or have no room; for the type checker
        now, end_s = self._now(), self._ramp_from_s + self._ramp_s
        if now >= end_s:
            self._ramp_from_s = None
            self._bad_rows.clear()
            self._adaptive.restart(now)
            return
        rate = _RAMP_START * _RAMP_GROWTH ** ((now - self._ramp_from_s) / self._ramp_s)
        self._next_at_s = min(end_s, now + 1 / rate)
        self._let_pass()

    def _let_pass(self, *, may_enter: bool = True) -> Hashable | None:
        """Let the first waiting row enter, or refuse it; return the row."""
        waiter = self._waiters.pop()
        if waiter is None:
            return None
        if may_enter:
            self._inside.add(waiter.data)
        waiter.grant()
        return waiter.data

    def _give_back(self, row: Hashable) -> None:
        """Free the permit of a row that was admitted and whose wait was cancelled before it noticed."""
        if row in self._inside:
            self.report(row, "none")
