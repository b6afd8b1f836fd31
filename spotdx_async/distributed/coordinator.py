"""What a run shares: its rate, given out in blocks of slots, and how far each shard is.

The coordinator is the one place that knows a whole run; the limiter is what a worker's client waits for. Neither knows
an engine: the caller says how the one asks the other. Blocks are of slots in time and not shares of the rate, so
nothing has to be moved when workers come or go: what a lost worker held runs out by itself, within the horizon.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType

from attrs import define, frozen

from spotdx_async._http import clock
from spotdx_async._http.rate_limiter import Gcra
from spotdx_async.bulk.records import Progress, State
from spotdx_async.bulk.stats import Throughput
from spotdx_async.config import RateLimit
from spotdx_async.errors import NotSentError
from spotdx_async.limits.block_limiter import AWAY_AGAIN_S, BlockLimiter

__all__ = ["HORIZON_S", "Coordinator", "DistributedProgress", "LedgerLimiter", "SlotBlock", "SlotLedger", "Start"]

HORIZON_S = 0.5
"""How far ahead slots are given out: as long as a pause takes to reach every worker."""
_MOST_SLOTS = 256
"""In one block: half a second's worth at 512 a second, in an answer of a few kB."""
_LEAST_LATE_S = 0.02
"""How late a slot may be used where the burst is a single slot: what a busy loop lags."""


@frozen(kw_only=True)
class SlotBlock:
    """A block of slots."""

    slots_s: tuple[float, ...]
    """When each may be used, in seconds from the answer, rising; may be empty."""
    again_s: float
    """When to ask again, where fewer came than were wanted."""


_AS_FAST_AS_ASKED = SlotBlock(slots_s=(), again_s=0.0)


class SlotLedger:
    """A GCRA of burst 1 for all workers together: the limit's burst is kept for slots that are used a little late."""

    def __init__(self, limit: RateLimit) -> None:
        self._gcra = Gcra(limit.interval_s, burst=1)

    def take(self, now_s: float, wanted: int) -> SlotBlock:
        """Return up to so many slots, none of them beyond the horizon.

        Args:
            now_s: the time, on any clock that does not jump.
            wanted: 1 or more.
        """
        slots: list[float] = []
        opens_s = max(now_s, self._gcra.opens_at())
        while len(slots) < min(wanted, _MOST_SLOTS) and opens_s <= now_s + HORIZON_S:
            slots.append(opens_s - now_s)
            self._gcra.take(opens_s)
            opens_s = self._gcra.opens_at()
        return SlotBlock(slots_s=tuple(slots), again_s=max(0.0, opens_s - now_s - HORIZON_S))

    def pause(self, now_s: float, seconds: float) -> None:
        """Give out no slot that lies within so many seconds from now; those given out before run out at the horizon."""
        self._gcra.paused_until_s = max(self._gcra.paused_until_s, now_s + seconds)


@define
class Start:
    """The answer to a worker that takes up a shard."""

    is_repeat: bool
    """Whether the shard was begun before and not ended: its worker was lost."""
    is_stopped: bool
    """Whether the run has been told to stop."""


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
        """Return a block of slots."""
        return _AS_FAST_AS_ASKED if self._book is None else self._book.take(now_s, wanted)

    def pause(self, now_s: float, seconds: float) -> None:
        """Let nobody send for so long."""
        if self._book is not None:
            self._book.pause(now_s, seconds)

    def begin(self, shard: int, worker: str) -> Start:
        """Note that a worker takes up a shard."""
        before = self._entries.get(shard)
        is_repeat = shard in self._lost or (before is not None and not before.has_ended)
        self._lost.discard(shard)
        self._entries[shard] = _Entry(worker, {})
        return Start(is_repeat, self.is_stopped)

    def beat(self, shard: int, worker: str, counts: Mapping[State, int]) -> bool:
        """Note how far a shard is; return whether its worker must stop: the run ends, or another has the shard."""
        entry = self._entries.get(shard)
        if entry is None or entry.worker != worker:
            return True
        entry.counts = counts
        return self.is_stopped

    def end(self, shard: int, worker: str, counts: Mapping[State, int]) -> None:
        """Note that a worker has finished a shard."""
        entry = self._entries.get(shard)
        if entry is not None and entry.worker == worker:
            entry.counts, entry.has_ended = counts, True

    def lose(self, worker: str) -> list[int]:
        """Note that a worker has gone; return the shards it was running, whose counts so far no longer count."""
        gone = [number for number, entry in self._entries.items() if entry.worker == worker and not entry.has_ended]
        for number in gone:
            del self._entries[number]
        self._lost.update(gone)
        return gone

    def look(self, forget: Iterable[int] = ()) -> Mapping[int, Mapping[State, int]]:
        """Return how far each shard is that has begun.

        Args:
            forget: shards whose report has come, of which nothing more need be kept.
        """
        for number in forget:
            self._entries.pop(number, None)
            self._lost.discard(number)
        return {number: entry.counts for number, entry in self._entries.items()}


class DistributedProgress:
    """Adds up what is known; the caller says what time it is."""

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._throughput = Throughput(now_s)

    def progress(
        self, now_s: float, reported: Mapping[State, int], under_way: Iterable[Mapping[State, int]], total: int | None
    ) -> Progress:
        """Return how far the run is; rows of a lost worker count again only when they are done again."""
        counts = dict(reported)
        for part in under_way:
            for state, count in part.items():
                counts[state] += count
        done = sum(counts.values())
        rate = max(0.0, self._throughput.note(now_s, done))
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


class LedgerLimiter(BlockLimiter):
    """A ``Limiter`` whose slots come from one ledger for many processes.

    While nobody answers, nothing is sent. A slot is used within the time of the limit's burst, 20 ms at least, or not
    at all: so all processes together send at most ``rate * W + burst`` in a window of W seconds, where the burst is 20
    ms' worth or more, and besides what a process lags between an answer and its use. Single calls go before rows of
    bulk runs, which get a tenth at least. It belongs to one running loop.

    Args:
        take: asks for so many slots.
        pause: tells the ledger that nobody may send for so many seconds.
        limit: that of the whole ledger.
    """

    def __init__(
        self,
        take: Callable[[int], Awaitable[SlotBlock]],
        pause: Callable[[float], Awaitable[None]],
        *,
        limit: RateLimit,
    ) -> None:
        super().__init__()
        self.rate: float = 1 / limit.interval_s
        """Requests a second for all processes together."""
        self._take = take
        self._pause = pause
        self._latest_s = max(_LEAST_LATE_S, (limit.burst_size - 1) * limit.interval_s)
        self._is_closed = False

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long: here at once, elsewhere within the horizon."""
        self._pause_here(seconds)
        self._send(lambda: self._tell(seconds))

    async def close(self) -> None:
        """Stop its background tasks; waiting calls end in NotSentError."""
        self._is_closed = True
        self._waiters.fail_all(_closed)
        try:
            await self._stop()
        finally:
            await self._drop_errands()

    def _enter(self) -> None:
        if self._is_closed:
            raise _closed()

    def _next_ask(self, now: float) -> float:
        return float("inf") if self._slots or self._paused_until > now else self._ask_at

    async def _ask(self, now: float) -> None:  # noqa: ARG002 - a block counts from its answer
        # No more than can be used: what one process holds, the others lack.
        wanted = max(1, min(len(self._waiters), int(self.rate * HORIZON_S / 2)))
        try:
            block = await self._take(wanted)
        except (OSError, TimeoutError):
            self._ask_at = clock.now() + AWAY_AGAIN_S
            return
        self._add_block(block.slots_s, block.again_s)

    def _late_s(self) -> float:
        return self._latest_s

    async def _tell(self, seconds: float) -> None:
        try:
            await self._pause(seconds)
        except (OSError, TimeoutError):
            return  # this process pauses all the same


def _closed() -> NotSentError:
    return NotSentError("the run has ended, so nothing was sent", reason="closed")
