"""One limit for many processes: slots come in blocks from a server, and are handed out here in the order of asking."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Literal, Self, get_args

from spotdx_async._pipeline import clock
from spotdx_async.config import AdaptiveRateLimit, RateLimit
from spotdx_async.errors import ConfigError, NotSentError
from spotdx_async.shared.script import HORIZON_S
from spotdx_async.shared.store import Grant, Store, StoreAwayError

__all__ = ["OnOutage", "SharedLimiter"]

OnOutage = Literal["wait", "local_share", "fail"]
"""What to do while the server cannot be asked."""

_MOST_SLOTS = 64
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.05, 1.0
_STALE_S = 0.05
_KEPT_S = 0.05
_IDLE_S = 10.0


class SharedLimiter:
    """One rate for all processes and machines that name the same server and key; give it as ``rate_limit``.

    In this process the first to ask is the first to go; between processes the server's slots go to whoever comes, and
    whoever has just had a block comes later. In any window of W seconds all of them together send at most
    ``rate * W + burst`` requests. A pause, and another rate, is obeyed by all within half a second.

    While the server cannot be asked, nobody sends faster than before: see ``on_outage``.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, of a server that speaks the Redis protocol, 5 or later. It may
            hold credentials: no text shows it.
        rate: requests a second; or a ``RateLimit``, or an ``AdaptiveRateLimit``: then all of them learn one rate.
        burst: requests that may go at once after a quiet time; as in ``RateLimit``.
        key: what the limit is kept under; one for each account.
        on_outage: ``"wait"``: until the server is back; ``"local_share"``: this process goes on with ``share`` of the
            rate; ``"fail"``: calls end in NotSentError.
        share: with ``"local_share"``, this process's part of the rate, such as 1 divided by the number of processes.
        timeout_s: the longest that one round trip may take, in seconds.

    Raises:
        ConfigError: an argument is wrong; the message shows no url.
    """

    def __init__(
        self,
        url: str,
        rate: float | RateLimit | AdaptiveRateLimit,
        burst: float | None = None,
        *,
        key: str = "spotdx:limit",
        on_outage: OnOutage = "wait",
        share: float = 0.05,
        timeout_s: float = 1.0,
    ) -> None:
        limit = rate if isinstance(rate, (RateLimit, AdaptiveRateLimit)) else RateLimit(rate, burst=burst)
        if on_outage not in get_args(OnOutage):
            raise ConfigError(f"on_outage must be one of {', '.join(get_args(OnOutage))}")
        if not 0 < share <= 1:
            raise ConfigError("share must be a number above 0, and 1 at most")
        if not key:
            raise ConfigError("key must be a text that is not empty")
        self._store = Store(url, limit, key=key, timeout_s=timeout_s)
        self._rate = limit.start if isinstance(limit, AdaptiveRateLimit) else 1 / limit.interval_s
        self._on_outage = on_outage
        self._share = float(share)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._slots: deque[float] = deque()
        self._mark = b""
        self._appetite = 1
        self._paused_until = float("-inf")
        self._local_next = float("-inf")
        self._cut_at = float("-inf")
        self._is_away = False
        self._pump: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<SharedLimiter of {self._rate:g} a second{', server away' if self._is_away else ''}>"

    @property
    def rate(self) -> float:
        """Requests a second for all processes together, as far as this one knows."""
        return self._rate

    @property
    def round_trips(self) -> int:
        """How often the server has been asked."""
        return self._store.trips

    async def acquire(self) -> None:
        """Take the next slot, after everybody in this process who came before; cancelled, it goes to the next one.

        Raises:
            NotSentError: the server cannot be asked, with ``on_outage="fail"``.
        """
        self._come_home()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._start()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give back a slot that was not used: the next one who waits gets it."""
        self._slots.appendleft(clock.now())
        self._start()

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long: here at once, in all other processes within half a second."""
        self._come_home()
        self._paused_until = max(self._paused_until, clock.now() + seconds)
        self._slots.clear()
        self._wake.set()
        self._send(self._store.pause(seconds))

    def throttled(self, sent_s: float) -> None:
        """Tell of a 429 to a request that was sent at ``sent_s`` on the loop's clock; a learned rate is cut for all."""
        self._come_home()
        if sent_s > self._cut_at:  # else it was sent before the last cut, and says nothing of the rate since
            self._cut_at = clock.now()
            self._send(self._cut(max(0.0, clock.now() - sent_s)))

    async def set_rate(self, rate: float) -> None:
        """Change the rate for all processes; they take it over within half a second.

        Raises:
            ConfigError: the rate is no number above 0.
            NotSentError: the server cannot be asked.
        """
        self._come_home()
        try:
            self._note(await self._store.set_rate(1 / RateLimit(rate).interval_s))
        except StoreAwayError:
            away = True
        else:
            away = False
        if away:
            raise _away()

    async def close(self) -> None:
        """Give back what was not used, and close the connections. Waiting calls end in NotSentError."""
        self._come_home()
        self._fail(NotSentError("the shared limiter is closed, so nothing was sent", reason="closed"))
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self._give_rest_back()
        pump = self._pump
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        await self._store.close()

    async def __aenter__(self) -> Self:
        """Give itself; nothing is opened before the first slot is asked for."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    # The pump: runs while somebody waits.

    def _start(self) -> None:
        self._wake.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiters or await self._has_more_to_do():
                if await self._wait_for_slot():
                    self._slots.popleft()
                    self._hand_out()
        finally:
            self._pump = None
            # Also where the loop ends: nothing stays open that another loop could not close.
            await self._store.close()

    async def _has_more_to_do(self) -> bool:
        """Keep what is left for those who come soon, then give it back; and keep the connection a while longer."""
        if self._slots:
            await self._rest(_KEPT_S)
            if not self._waiters:
                self._appetite = 1
                await self._give_rest_back()
        if not self._waiters:
            await self._rest(_IDLE_S)
        return bool(self._waiters)

    async def _wait_for_slot(self) -> bool:
        """Wait until the first slot is due; False where things have changed meanwhile."""
        now = clock.now()
        if self._paused_until > now:
            return await self._rest(self._paused_until - now)
        while self._slots and self._slots[0] < now - max(_STALE_S, 1 / self._rate):
            self._slots.popleft()  # used late, it would come on top of those that are due
            self._appetite = 1
        if not self._slots:
            await self._refill()
            return False
        if self._slots[0] > now:
            return await self._rest(self._slots[0] - now)
        return True

    async def _rest(self, seconds: float) -> bool:
        self._wake.clear()
        await clock.sleep(seconds, unless=self._wake)
        return False

    async def _refill(self) -> None:
        most = max(1, min(_MOST_SLOTS, int(self._rate * HORIZON_S / 2)))
        waiting = sum(not waiter.done() for waiter in self._waiters)
        wanted = min(most, max(waiting, self._appetite))
        try:
            grant = await self._store.take(wanted)
        except StoreAwayError:
            await self._do_without()
            return
        now = clock.now()
        self._is_away = False
        self._note(grant)
        self._mark = grant.mark
        self._slots.extend(now + slot_s for slot_s in grant.slots_s)
        self._appetite = min(most, wanted * 2)  # all of the last block were used, so more will be
        if not grant.slots_s:
            await self._rest(max(0.001, grant.opens_in_s))

    async def _do_without(self) -> None:
        """Bear that the server is away: never without a limit."""
        self._is_away = True
        self._slots.clear()
        if self._on_outage == "fail":
            self._fail(_away())
            return
        if self._on_outage == "wait":
            await self._rest(_LONGEST_BACKOFF_S / 4)
            return
        # What was handed out before the server went runs out first.
        interval_s = 1 / (self._rate * self._share)
        now = clock.now()
        first = max(now + HORIZON_S if self._local_next < now - _LONGEST_BACKOFF_S else now, self._local_next)
        count = max(1, int(_LONGEST_BACKOFF_S / interval_s))
        self._slots.extend(first + number * interval_s for number in range(count))
        self._local_next = first + count * interval_s

    def _hand_out(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._slots.appendleft(clock.now())

    def _fail(self, error: NotSentError) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(NotSentError(error.args[0], reason=error.reason))

    async def _give_rest_back(self) -> None:
        now = clock.now()
        rest = sum(slot > now for slot in self._slots)
        self._slots.clear()
        if rest and not self._is_away and self._mark:
            try:
                await self._store.give_back(rest, self._mark)
            except StoreAwayError:
                self._is_away = True

    # Errands: what the server is told without anybody waiting for it.

    async def _cut(self, seconds_ago: float) -> None:
        self._note(await self._store.cut(seconds_ago))
        self._cut_at = clock.now()

    def _send(self, errand: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await errand
            except StoreAwayError:
                self._is_away = True

        task = asyncio.get_running_loop().create_task(run())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _note(self, grant: Grant) -> None:
        self._rate = grant.rate

    def _come_home(self) -> None:
        """Forget the waiters of a loop that is gone."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._waiters.clear()
            self._slots.clear()
            self._errands.clear()
            self._pump = None
            self._wake = asyncio.Event()
            self._paused_until = self._local_next = self._cut_at = float("-inf")


def _away() -> NotSentError:
    return NotSentError("the shared limit's server cannot be asked, so nothing was sent", reason="limit")
