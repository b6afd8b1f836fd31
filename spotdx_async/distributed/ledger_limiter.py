"""The limiter of a worker: it asks for blocks of slots, and hands them out in the order of asking. Knows no engine."""

from collections.abc import Awaitable, Callable

from spotdx_async._http import clock
from spotdx_async.config import RateLimit
from spotdx_async.distributed.slot_ledger import HORIZON_S, SlotBlock
from spotdx_async.errors import NotSentError
from spotdx_async.limits.block_limiter import BlockLimiter

__all__ = ["LedgerLimiter"]

_LEAST_LATE_S = 0.02
_AGAIN_S = 0.25
_LONGEST_WAIT_S = 1.0


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
        """End what it does in the background; whoever waits gets NotSentError."""
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
            self._ask_at = clock.now() + _AGAIN_S
            return
        answered = clock.now()
        self._add(answered + slot_s for slot_s in block.slots_s)
        self._ask_at = answered
        if not block.slots_s:
            self._ask_at += min(_LONGEST_WAIT_S, max(0.001, block.again_s))

    def _late_s(self) -> float:
        return self._latest_s

    async def _tell(self, seconds: float) -> None:
        try:
            await self._pause(seconds)
        except (OSError, TimeoutError):
            return  # this process pauses all the same


def _closed() -> NotSentError:
    return NotSentError("the run has ended, so nothing was sent", reason="closed")
