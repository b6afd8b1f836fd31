"""Counts of a bulk run, and its throughput over the last seconds."""

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from spotdx_async.bulk.records import Progress, State

_LOOK_BACK_S = 10.0
"""What ``Progress.rate`` promises: long enough to be calm, short enough to show an outage."""
_LEAST_STEP_S = 0.1
"""Between two moments that are kept: at most 100 of them."""


class Throughput:
    """Rows, or shares of an input, a second over the last ten seconds."""

    def __init__(self, now_s: float) -> None:
        self._past: deque[tuple[float, float]] = deque([(now_s, 0)])

    def note(self, now_s: float, done: float) -> float:
        """Note how much is done by now; return how much was done done per second."""
        past = self._past
        if now_s - past[-1][0] >= _LEAST_STEP_S:
            past.append((now_s, done))
        while len(past) > 1 and now_s - past[1][0] >= _LOOK_BACK_S:
            past.popleft()
        past_s, past_done = past[0]
        return (done - past_done) / (now_s - past_s) if now_s > past_s else 0.0


class RunCounts:
    """Rows by state; the caller passes the time."""

    def __init__(self, now_s: float, total: int | None) -> None:
        self._began_s = now_s
        self._total = total
        self.by_state: dict[State, int] = dict.fromkeys(get_args(State), 0)
        """Outcomes so far: each is counted here as it comes."""
        self._throughput = Throughput(now_s)
        self.throttled = 0

    @property
    def done(self) -> int:
        """Outcomes so far."""
        return sum(self.by_state.values())

    def progress(self, now_s: float, *, is_paused: bool) -> Progress:
        """Return how far the run is, and remember this moment for the throughput."""
        return progress_of(
            dict(self.by_state),
            rate=self._throughput.note(now_s, self.done),
            elapsed_s=now_s - self._began_s,
            total=self._total,
            throttled=self.throttled,
            is_paused=is_paused,
        )


def progress_of(
    counts: Mapping[State, int],
    *,
    rate: float,
    elapsed_s: float,
    total: int | None,
    throttled: int = 0,
    is_paused: bool = False,
) -> Progress:
    """Return the progress of a run with these rows by state, and what the rest of its rows takes at this rate."""
    done = sum(counts.values())
    return Progress(
        done=done,
        by_state=MappingProxyType(counts),
        rate=rate,
        eta_s=max(0, total - done) / rate if total is not None and rate > 0 else None,
        throttled=throttled,
        is_paused=is_paused,
        elapsed_s=elapsed_s,
        total=total,
    )
