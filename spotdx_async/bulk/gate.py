"""The outage gate: open while the server answers; closed, it lets one row at a time look whether it does again.

It judges results that it is told of, and knows neither rows nor requests.
"""

import random
from asyncio import CancelledError, Future, TimerHandle, get_running_loop
from collections import deque
from collections.abc import Callable
from typing import Literal

from spotdx_async._pipeline import clock
from spotdx_async._pipeline.telling import tell_gate

__all__ = ["OutageGate", "Result"]

Result = Literal["good", "bad", "throttled", "none"]
"""``good``: the server answered, be it with a no. ``bad``: trouble that a repeat may overcome. ``throttled``: too many
requests. ``none``: no request was made."""

_IN_A_ROW = 5
_LAST = 20
_PROBE_BOUNDS_S = (1.0, 2.0, 5.0)
_RAMP_START = 10.0
_RAMP_GROWTH = 4.0
_RAMP_S = 5.0
_SHARE_WEIGHT = 1 / 200
_LEAST_SHARE = 0.001
_BY_CHANCE = 1e-9


class OutageGate:
    """Stands before every try of a row.

    1. Open: everybody passes at once.
    2. Closed, after 5 rows in a row failed or half of the last 20 results did: one row at a time probes, at most 5 s
       after the one before. A row counts once in a row of failures, however often it was tried: a few rows that the
       server cannot digest are no outage.
    3. Ramping, for 5 s after a probe came through: 10 tries a second, four times as many with each further second.
    """

    def __init__(
        self,
        *,
        limit_s: float,
        on_overdue: Callable[[], object],
        on_change: Callable[[Literal["closed", "open"], float], object] | None = None,
        trouble: Callable[[], str] = str,
        dice: random.Random | None = None,
    ) -> None:
        """Start open.

        Args:
            limit_s: after so many seconds closed, or throttled without one row going through, pauses that the server
                asked for included, ``on_overdue`` is called.
            on_overdue: called once for each outage.
            on_change: told when it closes, and when it opens after how many seconds.
            trouble: names the server and what is wrong with it, for the log.
            dice: for the jitter.
        """
        self._limit_s = limit_s
        self._on_overdue = on_overdue
        self._on_change = on_change
        self._trouble = trouble
        self._dice = dice or random.Random()
        self._recent: deque[bool] = deque(maxlen=_LAST)
        self._streak: set[int] = set()
        self._last_good_s = float("-inf")
        self._failing_share = 0.0
        self._closed_at_s: float | None = None
        self._ramp_from_s: float | None = None
        self._next_at_s = float("-inf")
        self._probe: int | None = None
        self._probes = 0
        self._throttled_too_long: TimerHandle | None = None
        self._waiters: deque[tuple[int, Future[None]]] = deque()
        self._timer: TimerHandle | None = None
        self._overdue: TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """False during an outage."""
        return self._closed_at_s is None

    @property
    def is_free(self) -> bool:
        """Whether a row may pass without asking."""
        return self._closed_at_s is None and self._ramp_from_s is None

    @property
    def is_doubtful(self) -> bool:
        """Whether more than one row has failed since the last one that did not."""
        return len(self._streak) > 1

    def lets(self, row: int) -> bool:
        """Whether the row, having entered, still may be tried: the gate may have closed since."""
        return self._closed_at_s is None or self._probe == row

    async def enter(self, row: int) -> None:
        """Wait until the row may be tried; then tell the result by ``report``, whatever happens."""
        waiter: Future[None] = get_running_loop().create_future()
        self._waiters.append((row, waiter))
        self._serve()
        try:
            await waiter
        except CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.report(row, "none")
            raise

    def report(self, row: int, result: Result, *, began_s: float = 0.0, is_first: bool = False) -> None:
        """Take note of a result.

        Args:
            row: which row.
            result: what became of the try.
            began_s: when its request began: one from before the outage says nothing about its end.
            is_first: whether it was the row's first try.
        """
        was_probe = self._probe == row
        if was_probe:
            self._probe = None
        if is_first and result in {"good", "bad"}:
            self._failing_share += ((result == "bad") - self._failing_share) * _SHARE_WEIGHT
        if result == "good":
            self._note_good(began_s)
        elif result == "bad":
            self._note_bad(row, was_probe=was_probe)
        elif result == "throttled":
            self._note_throttled(began_s)
        if not self.is_free:
            self._serve()

    def has_served_since(self, moment_s: float) -> bool:
        """Whether the server has answered some row since then, so that it was not out of order all that time."""
        return self._last_good_s > moment_s

    def explains(self, failures: int) -> bool:
        """Whether so many failures of one row may well be chance, since so many rows fail now."""
        others = self._failing_share - _SHARE_WEIGHT
        if others <= 0:
            return False  # no other row has failed
        others = max(others, _LEAST_SHARE)
        return bool(others**failures >= _BY_CHANCE)

    def release(self) -> None:
        """Let everybody pass who waits: the run is over, and will not send."""
        for timer in (self._timer, self._overdue, self._throttled_too_long):
            if timer is not None:
                timer.cancel()
        self._timer = self._overdue = self._throttled_too_long = None
        while self._waiters:
            self._let_pass()

    def _note_good(self, began_s: float) -> None:
        self._last_good_s = clock.now()
        if self._throttled_too_long is not None:
            self._throttled_too_long.cancel()
            self._throttled_too_long = None
        if self._closed_at_s is None:
            self._streak.clear()
            self._recent.append(True)
        elif began_s >= self._closed_at_s:
            self._open()

    def _note_bad(self, row: int, *, was_probe: bool) -> None:
        if self._closed_at_s is not None:
            if was_probe:
                self._plan_probe()
            return
        if row in self._streak:
            return
        self._streak.add(row)
        self._recent.append(False)
        if len(self._streak) >= _IN_A_ROW or self._recent.count(False) * 2 >= _LAST:
            self._close()

    def _note_throttled(self, began_s: float) -> None:
        if self._closed_at_s is not None and began_s >= self._closed_at_s:
            self._open()  # it answers; how fast it may be asked is the rate limit's matter
        if self._throttled_too_long is None:
            # A timer, and not a look at the next 429: in a pause of any length none comes.
            self._throttled_too_long = clock.call_at(clock.now() + self._limit_s, self._end_throttled)

    def _end_throttled(self) -> None:
        self._throttled_too_long = None
        self._on_overdue()

    def _close(self) -> None:
        self._closed_at_s = clock.now()
        self._ramp_from_s = None
        self._probes = 0
        self._overdue = clock.call_at(self._closed_at_s + self._limit_s, self._on_overdue)
        self._tell("closed", 0.0)
        self._plan_probe()

    def _open(self) -> None:
        self._tell("open", clock.now() - (self._closed_at_s or 0.0))
        self._closed_at_s = None
        self._streak.clear()
        self._recent.clear()
        self._ramp_from_s = self._next_at_s = clock.now()
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _tell(self, state: Literal["closed", "open"], after_s: float) -> None:
        tell_gate(state, after_s=after_s, trouble=self._trouble())
        if self._on_change is not None:
            self._on_change(state, after_s)

    def _plan_probe(self) -> None:
        """Choose the moment of the next probe: any within the bound, the late ones likelier.

        The later of two throws: even odds would spend 24 probes on a minute, half of them soon after the last.
        """
        bound_s = _PROBE_BOUNDS_S[min(self._probes, len(_PROBE_BOUNDS_S) - 1)]
        self._probes += 1
        self._next_at_s = clock.now() + bound_s * max(self._dice.random(), self._dice.random())

    def _serve(self) -> None:
        """Let those pass who may, and come back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiters and self._probe is None:
            if self.is_free:
                self._let_pass()
                continue
            if self._next_at_s > clock.now():
                self._timer = clock.call_at(self._next_at_s, self._serve)
                return
            self._pass_one()

    def _pass_one(self) -> None:
        """Let the next one probe, or take its place in the ramp."""
        if self._closed_at_s is not None:
            self._probe = self._let_pass()
            return
        if self._ramp_from_s is not None:
            now = clock.now()
            passed_s = now - self._ramp_from_s
            if passed_s >= _RAMP_S:
                self._ramp_from_s = None
                return
            self._next_at_s = now + 1 / (_RAMP_START * _RAMP_GROWTH**passed_s)
        self._let_pass()

    def _let_pass(self) -> int | None:
        """Let the first one pass who still waits; give its row."""
        while self._waiters:
            row, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return row
        return None
