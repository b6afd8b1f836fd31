"""How fast slots follow one another where the rate is learned from 429s. Pure: it knows no loop.

The pace remembers at which rate the last 429 came. It approaches that rate slowly, since the limit may still be there,
and once well beyond it grows faster and faster, since the limit has moved; if it has not, the next 429 undoes that.
"""

from math import exp, inf, log
from typing import Final

from spotdx_async.config import AdaptiveRateLimit

# The law's constants. Each was chosen with benchmarks/bench_adaptive.py, against the bars that it prints: 95 % of the
# server's rate used and at most 1 % of the answers 429s. The script of limits/redis_script.lua takes them from here.

CUT: Final = 0.9
"""A gentle multiplicative decrease: halving, as TCP does, leaves a quarter of the rate unused."""
FAR_CUT: Final = 0.5
"""TCP's decrease, for a rate that is far too high: cuts of a tenth would take seven pauses to halve it."""
GROWTH: Final = 0.02
"""A second, while calls wait: a cut is regained in five seconds."""
FASTEST: Final = log(2) / 1.5
"""A second, while nothing is known: it doubles in 1.5 s, so that 500 a second are reached from 10 within 9 s."""

# Learning may cost at most one 429 in a hundred calls. Growth regains every cut, so growth is bounded by the call too,
# not by time alone: at 2 % a second, a client of five calls a second meets four in a hundred.
CALLS_FOR_A_TENTH: Final = 160.0
"""Calls in which it grows by at most a tenth: 100 is the bar of 1 %, the rest is a reserve for jitter."""
NEAR: Final = 0.96
"""From this share of the known rate on, the next 429 may come. Lower, the slow part takes longer than it saves."""
PAUSES_TO_PASS: Final = 12.0
"""Time to get from there to the known rate after a pause, in lengths of the pause: so at most one part in 13 is
silence."""
LONGEST_PAUSE_S: Final = 2.0
"""How much of a pause counts there; servers that count in long windows ask for long ones, and nothing is lost by
them."""

BEYOND: Final = 1.05
"""From this share of the known rate on, the limit has moved: half a cut beyond it is more than latency explains."""
GROWTH_A_CALL_BEYOND: Final = 0.004
"""Growth there per call, as a share: over six times that of ``CALLS_FOR_A_TENTH``, and never beyond ``GROWTH``."""
FASTEST_BEYOND: Final = 0.25
"""A second: so ``TAKEN_BACK_S`` undoes up to 40 %, and growth beyond the known rate is undone in a few 429s."""
EAGERNESS: Final = 12.0
"""How much faster growth gets for each 100 % beyond that: a limit four times as high is found within 30 s."""
TAKEN_BACK_S: Final = 2.0
"""Growth that a 429 undoes: a server with a second's worth of calls in hand takes this long to refuse one."""

SHORT: Final = 0.7
"""Time between two pauses, in lengths of the first, that is short: the server accepts less than half of what is
sent."""
SHORTS_IN_A_ROW: Final = 2
"""A single one may be the burst that the last pause saved up."""

LONGEST_STEP_S: Final = 2.0
"""The most growth in one step: a caller that waited for longer was not held back by this rate."""
MOST_DEMAND_S: Final = 2.0
"""How much of the time in which calls were held back is remembered: older demand says nothing about now."""
ENOUGH_DEMAND_S: Final = 0.5
"""From this much of it on it grows: a third of the time, since idle time counts half against it."""


class LearnedPace:
    """Starts at a rate, and finds the one that the server accepts.

    1. Before the first 429 it doubles in 1.5 s.
    2. A 429 cuts it by a tenth, if its request was sent after the last cut: once a round trip. If it could send for
       less time than it then had to be silent, twice in a row, it is more than twice too fast, and is halved; what a
       halving overshoots is regained twice as fast.
    3. It grows by at most 2 % a second, and by a tenth in 160 calls, until it is 5 % beyond the rate of the last 429;
       then faster and faster. A 429 there undoes the growth of the last 2 s, but no more than the growth beyond the
       rate of the last 429, before it cuts.
    4. It grows only while calls are held back by it, and neither in a pause nor for a while after it.

    Times are on the loop's clock. ``grow`` and ``cut`` return whether anything has changed.
    """

    def __init__(self, settings: AdaptiveRateLimit) -> None:
        self._floor = settings.floor
        self._ceiling = inf if settings.ceiling is None else settings.ceiling
        self._known: float | None = None
        self._cut_at = -inf
        # Since the last cut: the pause that was asked for, and the time in which calls went out.
        self._pause_s = 0.0
        self._sending_s = 0.0
        self._growing = 0.0  # as a share per second, when it last grew
        self._shorts = 0
        self._hold_until = -inf
        self._seen_at = -inf
        self._demand_s = 0.0
        self._set_rate(settings.start)

    def grow(self, now: float, held_s: float) -> bool:
        """Grow for the time since the last call in which only the rate held somebody back, unless that is rare."""
        idle_s = now - self._seen_at - held_s
        self._seen_at = now
        self._sending_s += held_s
        # A rate that holds somebody back now and then, for a moment, is high enough; otherwise it would creep up.
        self._demand_s = min(MOST_DEMAND_S, max(0.0, self._demand_s - idle_s / 2) + held_s)
        if self._demand_s < ENOUGH_DEMAND_S or now < self._hold_until or self.rate >= self._ceiling:
            return False
        self._growing = self._growth()
        self._set_rate(self.rate * exp(self._growing * min(held_s, LONGEST_STEP_S)))
        return True

    def cut(self, now: float, sent_s: float) -> bool:
        """Cut, unless the request was sent before the last cut, and so says nothing about the rate since."""
        if sent_s <= self._cut_at:
            return False
        self._cut_at = now
        self._shorts = self._shorts + 1 if 0 < self._sending_s < SHORT * self._pause_s else 0
        rate = self.rate
        if self._known is not None:
            rate = min(rate, max(self._known, rate * exp(-TAKEN_BACK_S * self._growing)))
        self._pause_s = self._sending_s = self._growing = 0.0
        self._set_rate(rate * (FAR_CUT if self._shorts >= SHORTS_IN_A_ROW else CUT))
        self._known = self.rate / CUT
        return True

    def pause(self, now: float, until: float) -> None:
        """Stop growing until then and as long again, at most 2 s: everybody who was told to wait comes back then."""
        self._pause_s = until - now
        self._hold_until = until + min(LONGEST_PAUSE_S, self._pause_s)

    def move(self, shift_s: float) -> None:
        """Move to a clock that is ahead by this much."""
        self._cut_at += shift_s
        self._hold_until += shift_s
        self._seen_at += shift_s

    def _growth(self) -> float:
        """Return how fast to grow now, as a share of the rate a second.

        1. No 429 so far: as fast as allowed.
        2. Below the rate of the last one: slowly; after a halving, which is a guess, twice as fast; else, after a
           pause, more slowly near it.
        3. Beyond it: as slowly; well beyond it, the faster the farther.
        """
        if self._known is None:
            return FASTEST
        share = self.rate / self._known
        slow = min(GROWTH, 0.1 * self.rate / CALLS_FOR_A_TENTH)
        if share < 1 and self._shorts >= SHORTS_IN_A_ROW:
            return min(GROWTH, 2 * slow)
        if NEAR <= share < 1 and self._pause_s:
            return min(slow, (1 - NEAR) / (PAUSES_TO_PASS * min(self._pause_s, LONGEST_PAUSE_S)))
        if share < BEYOND:
            return slow
        base = max(slow, min(GROWTH, self.rate * GROWTH_A_CALL_BEYOND))
        return min(FASTEST_BEYOND, base * (1 + EAGERNESS * (share - BEYOND)))

    def _set_rate(self, rate: float) -> None:
        self.rate = min(self._ceiling, max(self._floor, rate))
        self.interval_s = 1 / self.rate
        self.burst = max(1.0, min(10.0, self.rate / 10))  # as that of a RateLimit
