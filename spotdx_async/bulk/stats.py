"""Counts of a bulk run, and its throughput over the last seconds."""

from collections import deque
from types import MappingProxyType
from typing import get_args

from spotdx_async.bulk.records import Progress, State

__all__ = ["RunCounts", "Throughput"]

_LOOK_BACK_S = 10.0
"""What ``Progress.rate`` promises."""
_LEAST_STEP_S = 0.1
"""Between two moments that are kept: at most 100 of them."""


class Throughput:
    """Rows, or the share of an input, that are done in a second, over the last ten seconds."""

    def __init__(self, now_s: float) -> None:
        self._past: deque[tuple[float, float]] = deque([(now_s, 0)])

    def note(self, now_s: float, done: float) -> float:
        """Note how much is done by now; return how much was done in a second."""
        past = self._past
        if now_s - past[-1][0] >= _LEAST_STEP_S:
            past.append((now_s, done))
        while len(past) > 1 and now_s - past[1][0] >= _LOOK_BACK_S:
            past.popleft()
        past_s, past_done = past[0]
        return (done - past_done) / (now_s - past_s) if now_s > past_s else 0.0


class RunCounts:
    """Rows by state; the caller says what time it is."""

    def __init__(self, now_s: float, total: int | None) -> None:
        self._began_s = now_s
        self._total = total
        self._counts: dict[State, int] = dict.fromkeys(get_args(State), 0)
        self._throughput = Throughput(now_s)
        self.done: int = 0
        self.throttled = 0

    def add(self, state: State) -> None:
        """Count a row's outcome."""
        self._counts[state] += 1
        self.done += 1

    def progress(self, now_s: float, *, is_paused: bool) -> Progress:
        """Return how far the run is, and remember this moment for the throughput."""
        rate = self._throughput.note(now_s, self.done)
        left = None if self._total is None else max(0, self._total - self.done)
        return Progress(
            done=self.done,
            by_state=MappingProxyType(dict(self._counts)),
            rate=rate,
            eta_s=left / rate if left is not None and rate > 0 else None,
            throttled=self.throttled,
            is_paused=is_paused,
            elapsed_s=now_s - self._began_s,
            total=self._total,
        )
