"""The local rate limit: a GCRA with a queue of waiters and one timer.

A learned rate changes the length of an interval; slots that were taken early are then owed at the new one.
"""

import asyncio

from spotdx_async._http import clock
from spotdx_async._http.rate_control import LearnedPace
from spotdx_async._http.waiters import WaiterQueue
from spotdx_async.config import AdaptiveRateLimit, RateLimit
from spotdx_async.errors import ConfigError

_NEVER = float("-inf")


class Gcra:
    """The generic cell rate algorithm: at most ``rate * W + burst`` slots in any window of W seconds.

    It keeps the theoretical arrival time (``tat``): the earliest at which the next slot follows the last one at full
    rate. A slot may be taken ``burst - 1`` intervals before it. A leaky bucket of capacity R would let 2 R through.

    Pure: the caller says what time it is. The script in ``limits/redis_script.lua`` is the same arithmetic with the
    same names, and ``tests/limits/gcra_vectors.py`` holds both to it.
    """

    __slots__ = ("interval_s", "paused_until_s", "slack_s", "tat_s")

    def __init__(self, interval_s: float, burst: float) -> None:
        self.interval_s = interval_s
        self.slack_s = (burst - 1) * interval_s
        self.tat_s = self.paused_until_s = _NEVER

    def opens_at(self) -> float:
        """Return when the next slot may be taken."""
        return max(self.tat_s - self.slack_s, self.paused_until_s)

    def is_open(self, now_s: float) -> bool:
        """Return whether the next slot may be taken now."""
        # Adding intervals and taking the slack off again rounds, so a slot of the burst may open a moment after now.
        return self.paused_until_s <= now_s and self.tat_s - self.slack_s <= now_s + clock.INSTANT_S

    def take(self, at_s: float) -> None:
        """Take a slot at a time that is not before it opens."""
        self.tat_s = max(self.tat_s, at_s) + self.interval_s

    def give_back(self) -> None:
        """Return a slot that was not used."""
        self.tat_s -= self.interval_s

    def change(self, now_s: float, interval_s: float, burst: float) -> None:
        """Convert what was taken early into slots, not seconds: they are paid back at the new pace, from now on."""
        since_s = max(now_s, self.paused_until_s)
        if self.tat_s > since_s:
            self.tat_s = since_s + (self.tat_s - since_s) * interval_s / self.interval_s
        self.interval_s = interval_s
        self.slack_s = (burst - 1) * interval_s


class SlotTooFarError(Exception):
    """The next free slot is further away than the longest wait that the caller allows."""


class GcraLimiter:
    """Hands out slots as the limit allows; without a limit it only pauses. Bound to no loop until somebody waits."""

    def __init__(self, limit: RateLimit | AdaptiveRateLimit | None = None) -> None:
        self._pace: LearnedPace | None = None
        if limit is None:
            self._gcra = Gcra(0.0, burst=1)
        elif isinstance(limit, RateLimit):
            self._gcra = Gcra(limit.interval_s, limit.burst_size)
        else:
            pace = self._pace = LearnedPace(limit)
            self._gcra = Gcra(pace.interval_s, pace.burst)
        # Each with the latest time at which it still wants a slot.
        self._waiters = WaiterQueue[float]()
        self._held_since = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    @property
    def rate(self) -> float | None:
        """Slots a second; None: without limit."""
        return 1 / self._gcra.interval_s if self._gcra.interval_s else None

    @property
    def waiting(self) -> int:
        """How many wait for a slot now."""
        return len(self._waiters)

    def try_acquire(self) -> bool:
        """Take a slot if one is free and nobody is waiting; otherwise the caller waits with ``acquire``."""
        if self._waiters:
            return False
        gcra = self._gcra
        if not gcra.interval_s and gcra.paused_until_s == _NEVER:
            return True  # no limit, and never a pause: the clock need not be asked
        now = clock.now()
        if not gcra.is_open(now):
            return False
        gcra.take(now)
        return True

    async def acquire(self, within_s: float | None = None, *, is_bulk: bool = False) -> None:
        """Take the next slot, after everybody of the same class who came before.

        A cancelled wait gives up its turn, or the slot that it was just handed.

        Args:
            within_s: the longest wait, in seconds; None: no bound.
            is_bulk: whether it is for a row of a bulk run; single calls go first.

        Raises:
            SlotTooFarError: at once if the wait would be longer, and also later if a pause or a slower pace makes it
                longer.
        """
        if self.try_acquire():
            return
        now = clock.now()
        latest = float("inf") if within_s is None else now + within_s
        if self._turn_of(self._waiters.before_next(is_bulk=is_bulk)) > latest + clock.INSTANT_S:
            raise SlotTooFarError
        if not self._waiters:
            self._held_since = now
        ahead_of_a_call = self._waiters.before_next()
        waiter = self._waiters.add(latest, is_bulk=is_bulk)
        if is_bulk and self._waiters.before_next() > ahead_of_a_call:
            self._send_late_away()  # its next turn may come before a single call that is already waiting
        self._set_timer()
        await self._waiters.wait(waiter, self.give_back)

    async def acquire_bulk(self) -> None:
        """Take the next slot for a row of a bulk run; single calls go first."""
        await self.acquire(is_bulk=True)

    def give_back(self) -> None:
        """Return a slot that was not used: the next waiter gets it."""
        self._gcra.give_back()
        self._set_timer()

    def pause(self, seconds: float) -> None:
        """Hand out no slot for this long, counted from now; a shorter pause than the one in force changes nothing."""
        now, gcra = clock.now(), self._gcra
        until = now + seconds
        if until <= gcra.paused_until_s:
            return
        gcra.paused_until_s = until
        if self._pace is not None:
            self._pace.pause(now, until)
            # The burst does not accumulate: everybody else who was told to wait comes back at the same moment.
            gcra.tat_s = max(gcra.tat_s, until + gcra.slack_s)
        self._set_timer()
        self._send_late_away()

    def resume(self) -> None:
        """End a pause; the slots that it held back are not made up for."""
        now, gcra = clock.now(), self._gcra
        if gcra.paused_until_s > now:
            if self._pace is not None:
                self._pace.pause(now, now)
                # One interval from now, since the last slot may have been taken just before the pause.
                gcra.tat_s = min(gcra.tat_s, now + gcra.slack_s + gcra.interval_s)
            gcra.paused_until_s = now
            self._set_timer()

    def throttled(self, sent_s: float) -> None:
        """Take note of an answer that said that calls come too fast.

        Args:
            sent_s: when its request was sent, on the loop's clock.
        """
        now = clock.now()
        if self._pace is not None and self._pace.cut(now, sent_s):
            self._adopt(self._pace, now)
            self._set_timer()
            self._send_late_away()

    def close(self) -> None:
        """Fail everybody who waits with SlotTooFarError."""
        self._waiters.fail_all(SlotTooFarError)
        self._set_timer()

    def refuse_waiters(self) -> None:
        """Fail waiters whose loop is idle, not gone: another loop takes over, and nobody would wake them."""
        self._waiters.fail_all(clock.taken_elsewhere)

    def move_to_loop(self, shift_s: float) -> None:
        """Forget the waiters of a loop that is gone, and carry the account of slots over to the new loop's clock."""
        self._waiters.clear()
        self._set_timer()
        self._gcra.tat_s += shift_s
        self._gcra.paused_until_s += shift_s
        if self._pace is not None:
            self._pace.move(shift_s)

    def _grow(self, pace: LearnedPace, now: float) -> None:
        """Let the pace grow for the time it has held somebody back: not in a pause, and not while nobody waits."""
        held_s = now - max(self._held_since, self._gcra.paused_until_s)
        self._held_since = now
        if pace.grow(now, max(0.0, held_s)):
            self._adopt(pace, now)

    def _adopt(self, pace: LearnedPace, now: float) -> None:
        self._gcra.change(now, pace.interval_s, pace.burst)

    def _turn_of(self, place: int) -> float:
        """Return when the waiter with ``place`` others before it would get its slot, as things are."""
        gcra = self._gcra
        opens_at = max(gcra.opens_at(), clock.now())
        # The first to get a slot takes it then, however long it has been due: a pause saves up no more than the burst.
        return max(opens_at, max(gcra.tat_s, opens_at) - gcra.slack_s + place * gcra.interval_s)

    def _send_late_away(self) -> None:
        """Dismiss waiters whose turn has moved beyond the longest wait that they allow."""
        stay, leave = 0, []
        for waiter in self._waiters:
            if self._turn_of(stay) > waiter.data + clock.INSTANT_S:
                leave.append(waiter)
            else:
                stay += 1
        for waiter in leave:
            self._waiters.discard(waiter)
            if not waiter.is_done:
                waiter.fail(SlotTooFarError())

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = clock.call_at(self._gcra.opens_at(), self._hand_out) if self._waiters else None

    def _hand_out(self) -> None:
        now = clock.now()
        if self._waiters and self._pace is not None:
            self._grow(self._pace, now)
        while self._waiters and self._gcra.is_open(now):
            if (waiter := self._waiters.pop()) is not None:
                self._gcra.take(now)
                waiter.grant()
        self._set_timer()


class SharedGcraLimiter(GcraLimiter):
    """A limiter for several clients, in whichever loop they run; used by one running loop at a time."""

    def __init__(self, limit: RateLimit | AdaptiveRateLimit) -> None:
        super().__init__(limit)
        self._home = clock.OneLoop("RateLimiter")

    def try_acquire(self) -> bool:
        """Take a slot if one is free and nobody is waiting."""
        self._come_home()
        return super().try_acquire()

    def pause(self, seconds: float) -> None:
        """Hand out no slot for this long, to any of the clients."""
        self._come_home()
        super().pause(seconds)

    def resume(self) -> None:
        """End a pause, for all of the clients."""
        self._come_home()
        super().resume()

    def throttled(self, sent_s: float) -> None:
        """Note a 429 to a request that was sent then, on the loop's clock."""
        self._come_home()
        super().throttled(sent_s)

    def _come_home(self) -> None:
        if (moved := self._home.enter()) is not None:
            earlier, is_gone = moved
            if not is_gone:
                self.refuse_waiters()
            self.move_to_loop(clock.now() - earlier.time())


class RateLimiter:
    """One limit for several clients of a process: pass the same object to each as ``rate_limit``.

    Together they send at most what the limit allows, and a pause that one of them is asked for holds for all. A client
    that closes ends only its own waits. It belongs to one running event loop at a time, and keeps its account from one
    to the next. For several processes there is ``spotdx_async.shared.SharedLimiter``.

    Args:
        limit: a ``RateLimit``, or an ``AdaptiveRateLimit`` that the clients learn together.

    Raises:
        ConfigError: the limit is neither.
    """

    def __init__(self, limit: RateLimit | AdaptiveRateLimit) -> None:
        if not isinstance(limit, (RateLimit, AdaptiveRateLimit)):
            raise ConfigError(f"a RateLimiter takes a RateLimit or an AdaptiveRateLimit, not {type(limit).__name__}")
        self._slots = SharedGcraLimiter(limit)

    def __repr__(self) -> str:
        return f"<RateLimiter of {self.rate:g} a second>"

    @property
    def rate(self) -> float:
        """Requests a second that it allows now, for all clients together."""
        return self._slots.rate or 0.0

    @property
    def waiting(self) -> int:
        """How many requests of all clients are waiting for a slot now."""
        return self._slots.waiting

    async def acquire(self) -> None:
        """Take the next slot, for a request of your own that counts towards the same limit.

        Raises:
            ConfigError: it is in use in another running event loop.
        """
        await self._slots.acquire()

    def pause(self, seconds: float) -> None:
        """Hand out no slot for this long, counted from now, to any of the clients."""
        self._slots.pause(seconds)

    def resume(self) -> None:
        """End a pause, for all of the clients; the slots that it held back are not made up for."""
        self._slots.resume()


def slots_of(limiter: RateLimiter) -> SharedGcraLimiter:
    """Return the object that a client takes its slots from, which has more methods than the public class."""
    return limiter._slots  # noqa: SLF001 - of this module
