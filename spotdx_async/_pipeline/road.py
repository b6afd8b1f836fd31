"""What every call of a client passes and all its views share; belongs to one running loop at a time."""

import asyncio
import os
from collections.abc import Callable
from weakref import WeakSet

from attrs import define

from spotdx_async._pipeline import clock
from spotdx_async._pipeline.auth import Auth
from spotdx_async._pipeline.limiter import GcraLimiter
from spotdx_async._pipeline.messages import ClosableRun, Token
from spotdx_async._pipeline.places import Places
from spotdx_async._pipeline.retry import RetryBudget
from spotdx_async._pipeline.transport import Transport
from spotdx_async._pipeline.watching import Watcher
from spotdx_async.config import Limiter, Stats
from spotdx_async.errors import ConfigError, NotSentError

__all__ = ["Road"]


@define
class Counters:
    """What has been counted so far; the names are those of ``Stats``."""

    calls: int = 0
    attempts: int = 0
    retries: int = 0
    throttled: int = 0
    in_flight: int = 0
    open_calls: int = 0


class Road:
    """The places, the limiter, the token, the connections, the retry budget and the counts of one client.

    Waiters and connections belong to one running loop. A later loop gets its own; two at once are refused.
    """

    def __init__(
        self,
        *,
        auth: Auth,
        transport: Transport,
        limiter: GcraLimiter | Limiter,
        concurrency: int,
        lands_within_s: float = 60.0,
        max_pause_s: float = 300.0,
        watcher: Watcher | None = None,
    ) -> None:
        self.watcher = watcher
        self.lands_within_s = lands_within_s
        self.max_pause_s = max_pause_s
        self.auth = auth
        self.transport = transport
        self.limiter = limiter
        # Beyond the protocol: what a limiter of our own, local or shared, can be told as well.
        self.tell_throttled: Callable[[float], None] | None = _method_of(limiter, "throttled")
        self._try_acquire: Callable[[], bool] = limiter.try_acquire if isinstance(limiter, GcraLimiter) else _never
        self.give_slot_back: Callable[[], None] | None = _method_of(limiter, "give_back")
        self.budget: RetryBudget = RetryBudget()
        self.counters: Counters = Counters()
        self._concurrency = min(concurrency, transport.most_connections or concurrency)
        self.places: Places = Places(self._concurrency)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._closing = asyncio.Event()
        self.open_runs: WeakSet[ClosableRun] = WeakSet()
        """Bulk runs that are under way: they end with the client."""
        self.paused_until_s: float = float("-inf")
        """On the loop's clock, the end of the last pause that the server asked for."""

    def is_clear(self) -> bool:
        """Whether the road may be walked in the running loop as it is; else ``enter`` says more."""
        return asyncio.get_running_loop() is self._loop and not self._closing.is_set()

    def admit_now(self) -> Token | None:
        """Give the token with a slot taken, where there is nothing to wait for; else take nothing, and give None.

        The usual case, without a coroutine: 2.1 kI, and asking each in turn takes 8.5 (callgrind).
        """
        token = self.auth.current
        return token if token is not None and not self._closing.is_set() and self._try_acquire() else None

    async def enter(self) -> None:
        """Make sure that the road may be walked in the running loop.

        Raises:
            NotSentError: the client is closed.
            ConfigError: another loop uses the client at the same time.
        """
        self.check_open()
        if asyncio.get_running_loop() is not self._loop:
            await self._move()

    async def close(self) -> None:
        """Close the connections and end the waits.

        Calls that have sent a request fail as if the connection had broken, all others as not sent.
        """
        # Every part may be closed again: a close that was cancelled is made good by the next.
        self._closing.set()
        for run in list(self.open_runs):
            run.end_with_client()
        if self._pid == os.getpid():
            if isinstance(self.limiter, GcraLimiter):
                self.limiter.close()
            try:
                await self.auth.close()
            finally:
                await self.transport.close()

    def check_open(self) -> None:
        """Say no to a call, or to its next attempt, once the client is closed.

        Raises:
            NotSentError: it is closed.
        """
        if self._closing.is_set():
            raise NotSentError("the client is closed, so nothing was sent: open a new one", reason="closed")

    async def sleep(self, seconds: float) -> None:
        """Wait, or until the client is closed."""
        await clock.sleep(seconds, unless=self._closing)

    def stats(self) -> Stats:
        """Count what has happened so far."""
        counters = self.counters
        return Stats(
            calls=counters.calls,
            attempts=counters.attempts,
            retries=counters.retries,
            throttled=counters.throttled,
            in_flight=counters.in_flight,
            waiting=counters.open_calls - counters.in_flight,
            retry_budget=self.budget.left,
            rate=getattr(self.limiter, "rate", None),
        )

    async def _move(self) -> None:
        loop, earlier = asyncio.get_running_loop(), self._loop
        is_forked = self._pid != os.getpid()
        if earlier is not None and not is_forked and earlier.is_running():
            raise ConfigError("the client is in use in another running event loop: make one client for each loop")
        self.transport.check_loop(loop)
        # All of this before the first await: calls that start meanwhile find the new loop's things.
        self._loop, self._pid = loop, os.getpid()
        if earlier is None:
            return
        self.places = Places(self._concurrency)
        self._closing = asyncio.Event()
        self.counters.in_flight = self.counters.open_calls = 0
        self.paused_until_s = float("-inf")
        self.auth.forget_loop()
        if isinstance(self.limiter, GcraLimiter):
            self.limiter.move_to_loop(loop.time() - earlier.time())
        if is_forked:
            self.transport.leave_to_parent()
        else:
            await self.transport.close()


def _never() -> bool:
    return False


def _method_of(limiter: object, name: str) -> Callable[..., None] | None:
    method: Callable[..., None] | None = getattr(limiter, name, None)
    return method if callable(method) else None
