"""How far a distributed run is: the shards that have reported and those under way, as one Progress. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from spotdx_async.bulk.records import Progress, State

__all__ = ["DistributedProgress"]

_LOOK_BACK_S = 10.0


class DistributedProgress:
    """Adds up what is known; the caller says what time it is."""

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._past: deque[tuple[float, int]] = deque([(now_s, 0)])

    def progress(
        self, now_s: float, reported: Mapping[State, int], under_way: Iterable[Mapping[State, int]], total: int | None
    ) -> Progress:
        """Tell how things stand; rows of a lost worker count again only when they are done again."""
        counts = dict(reported)
        for part in under_way:
            for state, count in part.items():
                counts[state] += count
        done = sum(counts.values())
        self._past.append((now_s, done))
        while len(self._past) > 1 and now_s - self._past[1][0] >= _LOOK_BACK_S:
            self._past.popleft()
        past_s, past_done = self._past[0]
        rate = max(0.0, (done - past_done) / (now_s - past_s)) if now_s > past_s else 0.0
        return Progress(
            done=done,
            by_state=MappingProxyType(counts),
            rate=rate,
            eta_s=(total - done) / rate if total is not None and rate > 0 else None,
            throttled=0,
            is_paused=False,
            elapsed_s=now_s - self._began_s,
            total=total,
        )
