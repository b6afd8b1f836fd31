"""One limit for many processes: slots come in blocks from a server, and are handed out here in order of asking."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Literal, Self, get_args

from spotdx_async._http import clock
from spotdx_async.config import AdaptiveRateLimit, RateLimit
from spotdx_async.errors import ConfigError, NotSentError
from spotdx_async.limits.block_limiter import AWAY_AGAIN_S, HORIZON_S, LOOK_AGAIN_S, BlockLimiter
from spotdx_async.limits.redis_source import (
    Grant,
    RedisFailure,
    RedisSource,
    SourceAwayError,
    log_failure,
    log_recovery,
)

OnOutage = Literal["wait", "local_share", "fail"]
"""What to do while the server cannot be asked."""

_MOST_SLOTS = 64
"""In one block, beside those for a round trip: 600 slots cost at most 100 round trips (tests/limits). A choice; larger
blocks leave more unused when a process goes."""
_LOCAL_BLOCK_S = 1.0
"""How long a block lasts that a process grants itself while the server is away, and how far ahead it does so. A
choice."""
_LASTING_S = 10.0
"""How long to wait for wrong credentials, say, to be corrected. A choice: somebody may be changing them at this
moment."""
_STALE_S = 0.05
"""How late a slot may be used, or an interval if that is longer. A choice: the lag of a busy loop."""
_KEPT_S = 0.05
"""How long slots in hand are kept, beside a round trip, for a caller that takes them one after the other. A choice."""
_IDLE_S = 10.0
"""How long the connection is kept after that. A choice: a new one costs up to five round trips."""
_MEANWHILE = {
    "wait": "calls wait for it",
    "local_share": "this process continues with its own share of the rate",
    "fail": "calls fail",
}


class SharedLimiter(BlockLimiter):
    """One rate for all processes and machines that name the same server and key; pass it as ``rate_limit``.

    In this process single calls go before rows of bulk runs (which get at least a tenth), and otherwise the first to
    ask is the first to go. Between processes, those that want more than there is get equal parts, however distant they
    are. In any window of W seconds all of them together send at most ``rate * W + burst`` requests. A pause, or a new
    rate, reaches all of them within half a second and a round trip.

    While the server cannot be asked, this process does what ``on_outage`` says, and a WARNING says why. If waiting does
    not help (wrong credentials, a certificate, a server that is not Redis or has no scripts), all calls end in
    ConfigError after ten seconds. Closing, and abandoning a wait, never wait for the server.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, of a server that speaks the Redis protocol, 5 or later. It may
            contain credentials: no text shows it.
        rate: requests a second; or a ``RateLimit``, or an ``AdaptiveRateLimit``: then all of them learn one rate.
        burst: requests that may go at once after a quiet time; as in ``RateLimit``.
        key: under which the limit is kept; one for each account.
        on_outage: ``"wait"``: until the server is back; ``"local_share"``: this process continues with ``share`` of the
            rate; ``"fail"``: calls end in NotSentError.
        share: with ``"local_share"``, this process's part of the rate, such as 1 divided by the number of processes.
            The server cannot know about processes that it does not hear from: while some are cut off, the others still
            use all of the rate, and all together send up to ``rate * (1 + share * number cut off)``.
        timeout_s: the longest that one round trip may take, in seconds; a new connection takes up to five of them.

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
            raise ConfigError("key must be a string that is not empty")
        super().__init__()
        self._source = RedisSource(url, limit, key=key, timeout_s=timeout_s)
        self._timeout_s = timeout_s
        self._rate = limit.start if isinstance(limit, AdaptiveRateLimit) else 1 / limit.interval_s
        self._on_outage = on_outage
        self._share = float(share)
        self._mark = b""
        self._block: tuple[float, ...] = ()
        self._lacks = False
        self._appetite = 1
        self._used = 0
        self._lifted: int | None = None
        self._local_next = float("-inf")
        self._cut_at = float("-inf")
        self._away_since: float | None = None
        self._lasting_since: float | None = None
        self._told: set[str] = set()
        self._is_closing = False
        self._home = clock.OneLoop("SharedLimiter")

    def __repr__(self) -> str:
        return f"<SharedLimiter of {self._rate:g} a second{', server away' if self._is_away else ''}>"

    @property
    def rate(self) -> float:
        """Requests a second for all processes together, as far as this one knows."""
        return self._rate

    @property
    def round_trips(self) -> int:
        """How often the server has been asked."""
        return self._source.trips

    def give_back(self) -> None:
        """Return a slot that was not used: the next waiter gets it."""
        self._enter()
        super().give_back()

    def pause(self, seconds: float) -> None:
        """Let nobody through for that long: here at once, in other processes within half a second and a round trip."""
        self._enter()
        self._pause_here(seconds)
        self._send(lambda: self._tell(self._source.ask("pause", seconds)))

    def resume(self) -> None:
        """Lift a pause for everybody: here at once, in all other processes within a second or so."""
        self._enter()
        self._paused_until = float("-inf")
        self._wake.set()
        self._send(lambda: self._tell(self._resume()))

    def throttled(self, sent_s: float) -> None:
        """Report a 429 to a request sent at ``sent_s`` on the loop's clock; a learned rate is cut for all."""
        self._enter()
        if sent_s > self._cut_at:  # otherwise it was sent before the last cut, and says nothing about the rate since
            self._cut_at = now = clock.now()
            self._send(lambda: self._tell(self._cut(max(0.0, now - sent_s))))

    async def set_rate(self, rate: float) -> None:
        """Change the rate for all processes; they adopt it within half a second.

        Raises:
            ConfigError: the rate is not a number above 0.
            NotSentError: the server cannot be asked.
        """
        self._enter()
        try:
            self._note(await self._source.ask("rate", 1 / RateLimit(rate).interval_s))
        except SourceAwayError as error:
            failure = error.failure
        else:
            return
        self._note_failure(failure)
        raise _away(failure)

    async def close(self) -> None:
        """Return unused slots, unregister from the server, and close the connections.

        Waiting calls end in NotSentError. It takes no longer than two round trips may, whether or not the server can be
        asked.
        """
        self._enter()
        self._is_closing = True
        try:
            self._waiters.fail_all(_closed)
            await self._stop()
            if not self._is_away:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._timeout_s):
                        await self._say_goodbye()
        finally:
            self._is_closing = False
            try:
                await self._drop_errands()
            finally:
                await self._source.close()

    async def __aenter__(self) -> Self:
        """Return the limiter itself; nothing is opened before the first slot is asked for."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    # Asking the server.

    async def _ask(self, now: float) -> None:
        try:
            if self._paused_until > now:
                self._note(await self._source.ask("look"))
                self._ask_at = clock.now() + LOOK_AGAIN_S
            else:
                await self._take()
        except SourceAwayError as error:
            failure = error.failure
        else:
            return
        self._do_without(failure)

    async def _take(self) -> None:
        # Slots asked for now are used two or three round trips later.
        if self._used and 4 * self._used >= self._appetite:
            self._appetite = min(self._most(), self._wanted() * 2)  # all slots in hand were used, so more will be
        self._used = 0
        wanted = max(1, min(self._most(), self._wanted() - len(self._slots)))
        grant = await self._source.ask("take", wanted, waiting=len(self._waiters))
        self._note(grant)
        self._mark, self._block = grant.mark, self._add_block(grant.slots_s, grant.opens_in_s)
        self._lacks = len(self._block) < wanted

    def _next_ask(self, now: float) -> float:
        if self._paused_until > now or not self._slots:
            return self._ask_at
        if self._wanted() <= len(self._slots):
            return float("inf")
        # Early enough for the answer to arrive by the time the last slot is used.
        lead_s = self._timeout_s if self._is_away else 2 * self._source.trip_s
        return max(self._ask_at, self._slots[-1] - lead_s)

    def _wanted(self) -> int:
        return max(len(self._waiters), self._appetite)

    def _most(self) -> int:
        trips_s = 1.5 * self._source.trip_s
        return max(1, min(_MOST_SLOTS + int(self._rate * trips_s), int(self._rate * (HORIZON_S / 2 + trips_s))))

    def _late_s(self) -> float:
        return max(_STALE_S, 1 / self._rate)

    def _hand_out(self) -> None:
        super()._hand_out()
        self._used += 1

    def _lost(self) -> None:
        self._appetite = max(1, self._appetite // 2)

    def _note(self, grant: Grant) -> None:
        now = clock.now()
        self._note_recovery(now)
        self._rate = grant.rate
        if self._lifted is not None and grant.lifted > self._lifted:
            self._paused_until = float("-inf")
        self._lifted = grant.lifted
        if grant.paused_s > 0:
            self._paused_until = max(self._paused_until, now + grant.paused_s)
            self._slots.clear()

    # The server is away.

    @property
    def _is_away(self) -> bool:
        return self._away_since is not None

    def _do_without(self, failure: RedisFailure) -> None:
        """Do what ``on_outage`` says while the server cannot be asked: never send without a limit."""
        self._note_failure(failure)
        now = clock.now()
        self._ask_at = now + AWAY_AGAIN_S
        if self._lasting_since is not None and now - self._lasting_since >= _LASTING_S:
            self._waiters.fail_all(lambda: _unusable(failure))
        elif self._on_outage == "fail":
            self._waiters.fail_all(lambda: _away(failure))
        elif self._on_outage == "local_share" and self._paused_until <= now:
            self._add_local_slots(now)

    def _add_local_slots(self, now: float) -> None:
        interval_s = 1 / (self._rate * self._share)
        # Slots handed out before the server went away are used up first.
        first = max(now + HORIZON_S if self._local_next < now - 2 * _LOCAL_BLOCK_S else now, self._local_next)
        count = max(1, int(_LOCAL_BLOCK_S / interval_s))
        if first - now <= _LOCAL_BLOCK_S:
            self._add(first + number * interval_s for number in range(count))
            self._local_next = first + count * interval_s

    def _note_failure(self, failure: RedisFailure) -> None:
        now = clock.now()
        if self._away_since is None:
            self._away_since = now
            self._slots.clear()
            self._mark = b""
        if not failure.is_lasting:
            self._lasting_since = None
        elif self._lasting_since is None:
            self._lasting_since = now
        if failure.text not in self._told:
            self._told.add(failure.text)
            log_failure(failure, outcome=_MEANWHILE[self._on_outage])

    def _note_recovery(self, now: float) -> None:
        if self._away_since is not None:
            log_recovery(now - self._away_since)
            self._slots.clear()  # those that this process granted itself
            self._away_since = self._lasting_since = None
            self._told.clear()

    # Leaving, and errands to the server that nobody waits for.

    async def _linger(self) -> bool:
        """Keep leftover slots for those who come soon, then return them; and keep the connection a while longer."""
        if await super()._linger():
            return True
        if self._slots or self._lacks:
            await self._rest_until(clock.now() + _KEPT_S + self._source.trip_s)
            if not self._waiters:
                self._appetite = 1
                await self._give_rest_back()
        if not self._waiters:
            await self._rest_until(clock.now() + _IDLE_S)
        return bool(self._waiters)

    async def _end(self) -> None:
        # Even if the loop ends: nothing stays open that another loop could not close.
        if not self._is_closing:
            await self._source.close()

    async def _say_goodbye(self) -> None:
        if self._errands:
            await asyncio.wait(self._errands)
        with suppress(SourceAwayError):
            rest = self._drop_rest()
            if self._source.has_joined:
                await self._source.ask("leave", rest, self._mark)

    async def _give_rest_back(self) -> None:
        lacked, self._lacks = self._lacks, False
        rest = self._drop_rest()
        if self._is_away:
            return
        if lacked:
            await self._tell(self._source.ask("leave", rest, self._mark))
        elif rest and self._mark:
            await self._tell(self._source.ask("back", rest, self._mark))

    def _drop_rest(self) -> int:
        """Drop the leftover slots; return how many are of the last block, the only one that can be returned."""
        now = clock.now()
        rest = sum((Counter(slot for slot in self._slots if slot > now) & Counter(self._block)).values())
        self._slots.clear()
        return rest

    async def _cut(self, seconds_ago: float) -> None:
        self._note(await self._source.ask("cut", seconds_ago))
        self._cut_at = clock.now()

    async def _resume(self) -> None:
        grant = await self._source.ask("resume")
        self._lifted = grant.lifted
        self._note(grant)

    async def _tell(self, errand: Coroutine[Any, Any, object]) -> None:
        try:
            await errand
        except SourceAwayError as error:
            self._note_failure(error.failure)

    def _enter(self) -> None:
        """Move to the running loop if need be, and drop everything that belongs to the one before.

        Raises:
            ConfigError: the limiter is in use in another running loop.
        """
        if (moved := self._home.enter()) is not None:
            self._leave_loop(is_gone=moved[1])
            self._block, self._mark = (), b""
            self._local_next = self._cut_at = float("-inf")
            self._away_since = self._lasting_since = None
            self._is_closing = False


def _away(failure: RedisFailure) -> NotSentError:
    text = f"the shared limit's server cannot be asked ({failure.text}), so nothing was sent"
    return NotSentError(text, reason="limit")


def _unusable(failure: RedisFailure) -> ConfigError:
    return ConfigError(f"the shared limit's server cannot be used: {failure.text}; nothing was sent")


def _closed() -> NotSentError:
    return NotSentError("the shared limiter is closed, so nothing was sent", reason="closed")
