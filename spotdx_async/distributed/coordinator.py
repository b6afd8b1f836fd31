"""The one place that knows a whole run: gives out slots, tracks the shards under way, says when to stop. Pure."""

from collections.abc import Iterable, Mapping

from attrs import define

from spotdx_async.bulk.records import State
from spotdx_async.config import RateLimit
from spotdx_async.distributed.slot_ledger import SlotBlock, SlotLedger

__all__ = ["Beginning", "Coordinator"]

_AS_FAST_AS_ASKED = SlotBlock(slots_s=(), again_s=0.0)


@define
class Beginning:
    """What a worker is told when it takes up a shard."""

    is_repeat: bool
    """Whether the shard was begun before and not ended: its worker was lost."""
    is_stopped: bool
    """Whether the run is to end."""


@define
class _Entry:
    worker: str
    counts: Mapping[State, int]
    has_ended: bool = False


class Coordinator:
    """One for a run. The caller says what time it is."""

    def __init__(self, limit: RateLimit | None) -> None:
        self.is_stopped = False
        self._book = None if limit is None else SlotLedger(limit)
        self._entries: dict[int, _Entry] = {}
        self._lost: set[int] = set()

    def take(self, now_s: float, wanted: int) -> SlotBlock:
        """Give a block of slots."""
        return _AS_FAST_AS_ASKED if self._book is None else self._book.take(now_s, wanted)

    def pause(self, now_s: float, seconds: float) -> None:
        """Let nobody send for so long."""
        if self._book is not None:
            self._book.pause(now_s, seconds)

    def begin(self, shard: int, worker: str) -> Beginning:
        """Note that a worker takes up a shard."""
        before = self._entries.get(shard)
        is_repeat = shard in self._lost or (before is not None and not before.has_ended)
        self._lost.discard(shard)
        self._entries[shard] = _Entry(worker, {})
        return Beginning(is_repeat, self.is_stopped)

    def beat(self, shard: int, worker: str, counts: Mapping[State, int]) -> bool:
        """Note how far a shard is; whether its worker is to stop: the run ends, or another worker has the shard."""
        entry = self._entries.get(shard)
        if entry is None or entry.worker != worker:
            return True
        entry.counts = counts
        return self.is_stopped

    def end(self, shard: int, worker: str, counts: Mapping[State, int]) -> None:
        """Note that a worker is through with a shard."""
        entry = self._entries.get(shard)
        if entry is not None and entry.worker == worker:
            entry.counts, entry.has_ended = counts, True

    def lose(self, worker: str) -> list[int]:
        """Note that a worker has gone; give the shards that it was at, whose counts so far no longer count."""
        gone = [number for number, entry in self._entries.items() if entry.worker == worker and not entry.has_ended]
        for number in gone:
            del self._entries[number]
        self._lost.update(gone)
        return gone

    def look(self, forget: Iterable[int] = ()) -> Mapping[int, Mapping[State, int]]:
        """Tell how far each shard is that has begun.

        Args:
            forget: shards whose report has come, of which nothing more need be kept.
        """
        for number in forget:
            self._entries.pop(number, None)
            self._lost.discard(number)
        return {number: entry.counts for number, entry in self._entries.items()}
