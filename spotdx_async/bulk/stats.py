"""Counts of a bulk run, and the pace of its last seconds."""

from collections import deque
from types import MappingProxyType
from typing import get_args

from spotdx_async.bulk.records import Progress, State

__all__ = ["RunCounts"]

_LOOK_BACK_S = 10.0
_LEAST_STEP_S = 0.1


class RunCounts:
    """Rows by state; the caller says what time it is."""

    def __init__(self, now_s: float, total: int | None) -> None:
        self._began_s = now_s
        self._total = total
        self._counts: dict[State, int] = dict.fromkeys(get_args(State), 0)
        self._past: deque[tuple[float, int]] = deque([(now_s, 0)])
        self.done: int = 0
        self.throttled = 0

    def add(self, state: State) -> None:
        """Count a row's outcome."""
        self._counts[state] += 1
        self.done += 1

    def __getitem__(self, state: State) -> int:
        """How many rows ended so."""
        return self._counts[state]

    def progress(self, now_s: float, *, is_paused: bool) -> Progress:
        """Tell how things stand, and remember the moment for the pace."""
        if now_s - self._past[-1][0] >= _LEAST_STEP_S:
            self._past.append((now_s, self.done))
        while len(self._past) > 1 and now_s - self._past[1][0] >= _LOOK_BACK_S:
            self._past.popleft()
        past_s, past_done = self._past[0]
        passed_s = now_s - past_s
        rate = (self.done - past_done) / passed_s if passed_s > 0 else 0.0
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
