"""The limiter of a worker: it asks for leases, and hands their slots out in the order of asking. Knows no engine."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from spotdx_async._pipeline import clock
from spotdx_async.config import RateLimit
from spotdx_async.distributed.lease import HORIZON_S, Lease
from spotdx_async.errors import NotSentError

__all__ = ["LeasedLimiter"]

_LEAST_LATE_S = 0.02
_AGAIN_S = 0.25
_LONGEST_WAIT_S = 1.0


class LeasedLimiter:
    """A ``Limiter`` whose slots come from one book for many processes.

    While nobody answers, nothing is sent. A slot is used within the time of the limit's burst, 20 ms at least, or not
    at all: so all processes together send at most ``rate * W + burst`` in a window of W seconds, where the burst is 20
    ms' worth or more, and besides what a process lags between an answer and its use. It belongs to one running loop.

    Args:
        take: asks for so many slots.
        pause: tells the book that nobody may send for so many seconds.
        limit: that of the whole book.
    """

    def __init__(
        self,
        take: Callable[[int], Awaitable[Lease]],
        pause: Callable[[float], Awaitable[None]],
        *,
        limit: RateLimit,
    ) -> None:
        self.rate: float = 1 / limit.interval_s
        """Requests a second for all processes together."""
        self._take = take
        self._pause = pause
        self._late_s = max(_LEAST_LATE_S, (limit.burst_size - 1) * limit.interval_s)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._slots: deque[float] = deque()
        self._paused_until_s = float("-inf")
        self._news = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def acquire(self) -> None:
        """Take the next slot, after everybody in this process who came before; cancelled, it goes to the next one.

        Raises:
            NotSentError: it is closed.
        """
        if self._is_closed:
            raise _closed()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._hand_out(), name="spotdx lease")
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._slots.appendleft(clock.now())
                self._news.set()
            raise

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long: here at once, elsewhere within the horizon."""
        self._paused_until_s = max(self._paused_until_s, clock.now() + seconds)
        self._slots.clear()
        self._news.set()
        errand = asyncio.create_task(self._tell(seconds), name="spotdx lease")
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def close(self) -> None:
        """End what it does in the background; whoever waits gets NotSentError."""
        self._is_closed = True
        tasks = [task for task in (self._pump, *self._errands) if task is not None]
        for task in tasks:
            task.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(_closed())
        self._waiters.clear()
        if tasks:
            await asyncio.wait(tasks)

    async def _hand_out(self) -> None:
        while self._waiters:
            if self._waiters[0].done():
                self._waiters.popleft()  # cancelled while it waited
            elif await self._wait_for_slot():
                self._slots.popleft()
                self._waiters.popleft().set_result(None)

    async def _wait_for_slot(self) -> bool:
        """Wait until the first slot is due; False where things may have changed meanwhile."""
        now = clock.now()
        while self._slots and self._slots[0] < now - self._late_s:
            self._slots.popleft()  # used late, it would come on top of those that are due
        if self._paused_until_s > now:
            await self._rest(self._paused_until_s - now)
            return False
        if not self._slots:
            await self._refill()
            return False
        if self._slots[0] > now:
            await self._rest(self._slots[0] - now)
            return False
        return True

    async def _refill(self) -> None:
        # No more than can be used: what one process holds, the others lack.
        wanted = max(1, min(sum(not waiter.done() for waiter in self._waiters), int(self.rate * HORIZON_S / 2)))
        try:
            lease = await self._take(wanted)
        except (OSError, TimeoutError):
            await self._rest(_AGAIN_S)
            return
        now = clock.now()
        self._slots.extend(now + slot_s for slot_s in lease.slots_s)
        if not lease.slots_s:
            await self._rest(min(_LONGEST_WAIT_S, max(0.001, lease.again_s)))

    async def _rest(self, seconds: float) -> None:
        self._news.clear()
        await clock.sleep(seconds, unless=self._news)

    async def _tell(self, seconds: float) -> None:
        try:
            await self._pause(seconds)
        except (OSError, TimeoutError):
            return  # this process pauses all the same


def _closed() -> NotSentError:
    return NotSentError("the run has ended, so nothing was sent", reason="closed")
