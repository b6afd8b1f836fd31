"""What all calls and views of a client share; it belongs to one running loop at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from attrs import define, evolve

from spotdx_async._http import clock
from spotdx_async._http.auth import Auth
from spotdx_async._http.messages import ClosableRun, Token
from spotdx_async._http.rate_limiter import GcraLimiter, SharedGcraLimiter, SlotTooFarError
from spotdx_async._http.transport import Transport
from spotdx_async._http.waiters import Permits
from spotdx_async.config import Limiter, Stats
from spotdx_async.errors import NotSentError

if TYPE_CHECKING:
    from spotdx_async._observe.dispatch import CallObservation, Dispatcher

__all__ = ["ClientState", "RetryBudget", "WaitTooLongError"]

T = TypeVar("T")

# The AWS SDKs' standard retry quota holds 500, takes 5 for a retry and returns 1 for a success: 100 retries, a fifth of
# one earned each time. Theirs starts full. A choice: starting at 20, a process that has never seen the server answer
# makes 1.02 requests a call over 1,000 calls in a total outage, where a full one would make 1.1.
_CAPACITY = 100.0
_START = 20.0
_EARNED = 0.2


class WaitTooLongError(Exception):
    """A wait before an attempt took longer than the caller allows."""


@define(eq=False, repr=False)
class Counters:
    """Counts so far, under the names of ``Stats``."""

    calls: int = 0
    attempts: int = 0
    retries: int = 0
    throttled: int = 0
    in_flight: int = 0
    open_calls: int = 0


class RetryBudget:
    """Repeats that the client may still make: each costs 1, each call that succeeds at once earns a fifth.

    So 1,000 calls in a total outage get 20 repeats on top, not 3,000.
    """

    def __init__(self) -> None:
        self.left: float = _START

    def earn(self) -> None:
        """Note a call whose first attempt succeeded."""
        if self.left < _CAPACITY:
            self.left = min(_CAPACITY, self.left + _EARNED)

    def spend(self) -> bool:
        """Pay for a repeat; False where nothing is left."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


class ClientState:
    """The permits, the limiter, the token, the connections, the retry budget and the counts of one client.

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
        dispatcher: "Dispatcher | None" = None,
        allow_any_id: bool = False,
        encode: Callable[[Any], object] | None = None,
    ) -> None:
        self.allow_any_id = allow_any_id
        self.encode = encode
        self.dispatcher = dispatcher
        self.lands_within_s = lands_within_s
        self.max_pause_s = max_pause_s
        self.auth = auth
        self.transport = transport
        self.limiter = limiter
        # Not in the protocol: extras that only our own limiters, local or shared, understand.
        self.tell_throttled: Callable[[float], None] | None = _method_of(limiter, "throttled")
        self._try_acquire: Callable[[], bool] = limiter.try_acquire if isinstance(limiter, GcraLimiter) else _never
        self.give_slot_back: Callable[[], object] = _method_of(limiter, "give_back") or _never
        self._acquire_bulk: Callable[[], Awaitable[None]] | None = _method_of(limiter, "acquire_bulk")
        self._resume_limiter: Callable[[], None] | None = _method_of(limiter, "resume")
        # Everything that waits in it is this client's.
        self._own_limiter = (
            limiter if isinstance(limiter, GcraLimiter) and not isinstance(limiter, SharedGcraLimiter) else None
        )
        self.now: Callable[[], float] = clock.now
        """The clock of the loop that the client belongs to."""
        self.budget: RetryBudget = RetryBudget()
        self.counters: Counters = Counters()
        self._concurrency = min(concurrency, transport.most_connections or concurrency)
        self.permits: Permits = Permits(self._concurrency)
        self._home = clock.OneLoop("client")
        self._closing = asyncio.Event()
        # Set by whatever ends the sleeps before repeats: closing the client, or lifting a pause.
        self._waking = asyncio.Event()
        # The bounds of the waits in progress: closing lets all of them expire.
        self._bounds: set[asyncio.Timeout] = set()
        self._is_closed = False
        self.open_runs: WeakSet[ClosableRun] = WeakSet()
        """Bulk runs in progress: they end with the client."""
        self.paused_until_s: float = float("-inf")
        """On the loop's clock, the end of the last pause that the server asked for."""

    def is_clear(self) -> bool:
        """Whether a call may start in the running loop right away; otherwise ``enter`` finds out more."""
        return asyncio.get_running_loop() is self._home.loop and not self._closing.is_set()

    def admit_now(self) -> Token | None:
        """Return the token and take a slot, if nothing has to be waited for; otherwise take nothing and return None.

        The usual case, without a coroutine: 2.1 kI; asking each in turn takes 8.5 (callgrind).
        """
        token = self.auth.current
        return token if token is not None and self.is_clear() and self._try_acquire() else None

    async def admit(
        self, latest_s: float | None, *, is_bulk: bool, observation: "CallObservation | None"
    ) -> Token | None:
        """Wait for a slot and a token for it; None if that would take longer than until ``latest_s``.

        The token comes first, so that it is there when the slot is: during a slow token call, slots would be handed out
        and then all be used at once. If it was refused meanwhile, the slot is given back and another is taken.
        """
        try:
            while True:
                if not self.is_clear():
                    await self.enter()
                if self.auth.current is None:
                    await self.bounded(self.auth.token, latest_s, what="the token", reason="token")
                slot = self._take_slot(latest_s, is_bulk=is_bulk)
                await (slot if observation is None else observation.wait_for_slot(slot))
                if self.is_clear() and (token := self.auth.current) is not None:
                    return token
                self.give_slot_back()
        except (WaitTooLongError, SlotTooFarError):
            self.check_open()
            return None

    async def _take_slot(self, latest_s: float | None, *, is_bulk: bool) -> None:
        """Wait for the limiter.

        Raises:
            SlotTooFarError: it would take longer than the options allow, and that is known at once.
            WaitTooLongError: the same, for a caller's limiter that cannot tell in advance.
        """
        limiter = self.limiter
        if not isinstance(limiter, GcraLimiter):
            acquire = self._acquire_bulk if is_bulk and self._acquire_bulk else limiter.acquire
            await self.bounded(acquire, latest_s, what="the rate limit", reason="limit")
            return
        within_s = None if latest_s is None else max(0.0, latest_s - clock.now())
        # It keeps the bound itself, and may hand out a slot at the very last moment.
        await self.bounded(lambda: limiter.acquire(within_s, is_bulk=is_bulk), None, what="the rate limit")

    async def enter(self) -> None:
        """Make sure that a call may start in the running loop.

        Raises:
            NotSentError: the client is closed.
            ConfigError: another loop uses the client at the same time.
        """
        self.check_open()
        loop = clock.running_loop()
        if loop is not self._home.loop:
            self.transport.check_loop(loop)
            self._take_over(loop)
            await self.transport.close_orphans()

    async def close(self) -> None:
        """Close the connections and end the waits.

        Calls that have sent a request fail as if the connection had broken, all others as not sent.
        """
        if self._is_closed:
            return
        loop = clock.running_loop()
        if not self._home.is_forked and self._home.loop is not None and self._home.loop is not loop:
            self._take_over(loop)
        runs = list(self.open_runs)
        # Closing a part twice is harmless: a close that was cancelled is completed by the next one.
        try:
            with ExitStack() as ends:  # all of them run, whatever one of them raises
                for run in runs:
                    ends.callback(run.end_with_client)
        finally:
            self._closing.set()
            self._waking.set()
            self._end_waits()
            await self._close_parts()
        for run in runs:
            await run.closed()

    async def _close_parts(self) -> None:
        if not self._home.is_forked:
            if self._own_limiter is not None:
                self._own_limiter.close()
            try:
                await self.auth.close()
            finally:
                await self.transport.close()
        self._is_closed = True

    @property
    def is_open(self) -> bool:
        """Whether the client is open."""
        return not self._closing.is_set()

    def check_open(self) -> None:
        """Refuse a call, or its next attempt, once the client is closed.

        Raises:
            NotSentError: it is closed.
        """
        if self._closing.is_set():
            raise NotSentError("the client is closed, so nothing was sent: open a new one", reason="closed")

    async def sleep(self, seconds: float, *, for_pause: bool = False) -> None:
        """Wait, at most until the client is closed; a wait for a server's pause also ends when that is lifted."""
        await clock.sleep(seconds, unless=self._waking if for_pause else self._closing)

    def pause(self, seconds: float) -> None:
        """Hold all calls for that long; waits that would exceed their bound by it end at once."""
        until_s = clock.now() + seconds
        if until_s > self.paused_until_s:
            self.paused_until_s = until_s
            self._end_waits(bounded_before_s=until_s)
        self.limiter.pause(seconds)

    def resume(self) -> None:
        """Lift the pause that the server asked for, including for calls that are waiting now.

        Raises:
            ConfigError: another running loop has the client, or no loop runs here.
        """
        if self._home.loop is None and self._own_limiter is not None:
            return  # never used, so no other loop can know of a pause
        loop = clock.running_loop()
        if self._home.loop is not None and self.is_open:  # taking over a closed client would open it again
            self._take_over(loop)
        self.paused_until_s = float("-inf")
        if self._resume_limiter is not None:
            self._resume_limiter()
        if not self._closing.is_set():
            self._waking.set()
            self._waking = asyncio.Event()

    async def bounded(
        self, start: Callable[[], Awaitable[T]], until_s: float | None, *, what: str, reason: str = "wait"
    ) -> T:
        """Wait for something before an attempt; closing the client ends any such wait.

        Args:
            start: begins the wait, which is cancelled if it takes too long.
            until_s: the latest end on the loop's clock; None: no bound.
            what: its name in an error.
            reason: of the error if somebody else cancels the wait.

        Raises:
            WaitTooLongError: it takes longer; raised at once if a pause does.
            NotSentError: the client was closed, or somebody else cancelled what was awaited.
        """
        if until_s is not None and self.paused_until_s > until_s:
            raise WaitTooLongError
        before = await clock.pending_cancellations()
        task = asyncio.current_task()
        bound = asyncio.timeout_at(until_s)
        trouble: Exception = WaitTooLongError()
        self._bounds.add(bound)
        try:
            async with bound:
                return await start()
        except TimeoutError:
            if not bound.expired():
                raise  # raised by what was awaited: the caller's own code
        except asyncio.CancelledError:
            if task is None or task.cancelling() > before:
                raise
            message = f"the wait for {what} was cancelled, and not by the caller, so nothing was sent"
            trouble = NotSentError(message, reason=reason)
        finally:
            self._bounds.discard(bound)
        self.check_open()
        raise trouble

    def stats(self) -> Stats:
        """Return what has been counted so far."""
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

    def _end_waits(self, *, bounded_before_s: float | None = None) -> None:
        """Expire the waits in progress: all of them, or those bounded before that moment."""
        now = clock.now()
        for bound in self._bounds:
            until_s = bound.when()
            is_meant = bounded_before_s is None or (until_s is not None and until_s < bounded_before_s)
            if is_meant and not bound.expired():
                bound.reschedule(now)

    def _take_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand the client to this loop in one step, so that calls that start meanwhile find the new loop's parts.

        Raises:
            ConfigError: another running loop has it.
        """
        is_forked = self._home.is_forked
        moved = self._home.enter()
        self.now = self.transport.now = clock.of_loop()
        if moved is None:
            return
        earlier, is_gone = moved
        self.permits = Permits(self._concurrency)
        self._closing, self._waking, self._bounds = asyncio.Event(), asyncio.Event(), set()
        self._is_closed = False
        # A new one: calls of the earlier loop that end late still release permits of the old one.
        self.counters = evolve(self.counters, in_flight=0, open_calls=0)
        self.paused_until_s = float("-inf")
        self.auth.forget_loop()
        if self._own_limiter is not None:
            if not is_gone:
                self._own_limiter.refuse_waiters()
            self._own_limiter.move_to_loop(loop.time() - earlier.time())
        if is_forked:
            self.transport.leave_to_parent()
        else:
            self.transport.leave(earlier)
            self.transport.come_to(loop)


def _never() -> bool:
    return False


def _method_of(limiter: object, name: str) -> Callable[..., Any] | None:
    method: Callable[..., Any] | None = getattr(limiter, name, None)
    return method if callable(method) else None
