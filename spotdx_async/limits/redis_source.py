"""The server's face: one script, called with bounded waits; the only caller of redis. No error of its gets out."""

import asyncio
import os
from contextlib import suppress
from typing import Any
from uuid import uuid4

import redis.asyncio as redis
from attrs import frozen
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from spotdx_async._http import clock
from spotdx_async.config import AdaptiveRateLimit, RateLimit
from spotdx_async.errors import ConfigError
from spotdx_async.limits.redis_errors import RedisFailure, trouble_of
from spotdx_async.limits.redis_script import HORIZON_S, SCRIPT

__all__ = ["Grant", "Store", "StoreAwayError"]

_COLD_TRIPS = 5
"""Round trips that a first call on a new connection may take: TCP, TLS (two), credentials, and the call itself."""
_LEAST_COLD_TRIPS = 3
"""What it takes at least: TCP, the greetings of redis, and the call."""
_SOON_ENOUGH_S = 0.025
"""A slot is still used so long after it was due, so that a server as near as this need not give later ones."""
_TIMED = frozenset({"join", "take", "look"})
"""Of these at most one is under way at a time, so that none of them waits for a connection of its own."""
_FORGETTING = 0.3
"""How much of the measured round trip each further one replaces, where it was shorter."""


class StoreAwayError(Exception):
    """The server cannot be asked, or does not answer as it should."""

    def __init__(self, trouble: RedisFailure) -> None:
        super().__init__(trouble.text)
        self.trouble = trouble


@frozen
class Grant:
    """What the server answered."""

    rate: float
    """In force, a second."""
    opens_in_s: float
    """When more slots can be had, where fewer came than were wanted."""
    mark: bytes
    """For giving back; empty where that cannot be done."""
    paused_s: float
    """How much longer nobody is to send."""
    lifted: int
    """How many pauses have been lifted."""
    slots_s: tuple[float, ...]
    """The times of the slots, in seconds from the answer; the first may be due already."""


class Store:
    """Calls the script; connections belong to one loop and one process at a time."""

    def __init__(self, url: str, limit: RateLimit | AdaptiveRateLimit, *, key: str, timeout_s: float) -> None:
        self._url = url
        # The braces keep both in one place of a cluster.
        self._keys = [key, f"{{{key}}}:shares"]
        self._me = uuid4().hex
        self._timeout_s = timeout_s
        self._settings = _settings(limit)
        self._server: Any = None
        self._script: Any = None
        self._home: tuple[asyncio.AbstractEventLoop, int] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._abandoned: list[Any] = []
        self._has_joined = False
        self._is_warm = False
        self._make()
        self.trips: int = 0
        """Round trips so far."""
        self.trip_s: float = 0.0
        """How long one takes, of late: the longest, forgotten by and by."""

    async def take(self, number: int) -> Grant:
        """Take so many slots, or fewer where they lie beyond the horizon or this process's share.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        return await self._call("take", number)

    async def look(self) -> Grant:
        """Ask what is in force, and take nothing.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        return await self._call("look", 0)

    async def give_back(self, number: int, mark: bytes) -> None:
        """Give back the last slots of a grant, unless somebody has taken others since.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        await self._call("back", number, mark)

    async def leave(self, number: int, mark: bytes) -> None:
        """Give back the last slots of a grant, and count no longer as one of those who share the rate.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        if self._has_joined:
            await self._call("leave", number, mark)

    async def pause(self, seconds: float) -> None:
        """Let nobody through for so long.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        await self._call("pause", seconds * 1e6)

    async def resume(self) -> Grant:
        """Lift the pause.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        return await self._call("resume", 0)

    async def cut(self, seconds_ago: float) -> Grant:
        """Tell of a 429 to a request that was sent so long ago.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        return await self._call("cut", seconds_ago * 1e6)

    async def set_rate(self, rate: float) -> Grant:
        """Change the rate for all.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        return await self._call("rate", rate)

    async def close(self) -> None:
        """Close the connections, within the time of a round trip; the next call makes new ones."""
        server, self._server = self._server, None
        self._is_warm = False
        if server is not None:
            with suppress(RedisError, OSError):  # TimeoutError is one
                async with asyncio.timeout(self._timeout_s):
                    await server.aclose()

    async def _call(self, act: str, number: float, mark: bytes = b"") -> Grant:
        self._come_home()
        if not self._has_joined:
            await self._run("join", 0, b"")
            self._has_joined = True
        return await self._run(act, number, mark)

    async def _run(self, act: str, number: float, mark: bytes) -> Grant:
        self.trips += 1
        began, was_warm = clock.now(), self._is_warm
        self._is_warm = False
        try:
            async with asyncio.timeout(self._timeout_s * (1 if was_warm else _COLD_TRIPS)):
                # By its hash, which a server that was just connected to may not know: two round trips more.
                script = self._script if was_warm else self._eval
                answer = await script(keys=self._keys, args=[act, self._me, number, mark, *self._arguments()])
            self._is_warm = True
            trip_s = (clock.now() - began) / (1 if was_warm else _LEAST_COLD_TRIPS)
            if act in _TIMED:
                self.trip_s = max(trip_s, self.trip_s + (trip_s - self.trip_s) * _FORGETTING)
            return _grant(answer, age_s=trip_s / 2)
        except (RedisError, OSError, ValueError, IndexError, TypeError) as error:
            trouble = trouble_of(error)
        # Out here, so that an error that may show the address is not even the context.
        raise StoreAwayError(trouble)

    async def _eval(self, *, keys: list[str], args: list[Any]) -> Any:
        return await self._server.eval(SCRIPT, len(keys), *keys, *args)

    def _arguments(self) -> list[float]:
        ahead_s = max(0.0, self.trip_s - _SOON_ENOUGH_S)
        return [ahead_s * 1e6, *self._settings]

    def _come_home(self) -> None:
        """Make new connections in another loop, or after a fork; those of a parent stay untouched.

        Those of a loop that is idle are closed when it runs again: nobody else can.
        """
        home = (asyncio.get_running_loop(), os.getpid())
        if self._home is not None and self._home != home:
            loop, pid = self._home
            if pid != os.getpid() or loop.is_closed():
                self._abandoned.append(self._server)
            elif self._server is not None:
                loop.call_soon_threadsafe(self._close_later, self._server)
            self._me = uuid4().hex
            self._make()
        elif self._server is None:
            self._make()
        self._home = home

    def _close_later(self, server: "redis.Redis") -> None:
        closing = asyncio.get_running_loop().create_task(server.aclose(), name="spotdx close")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _make(self) -> None:
        self._is_warm = False
        try:
            server = redis.Redis.from_url(
                self._url,
                socket_timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                protocol=2,  # the later one takes more round trips to begin with
                retry=Retry(NoBackoff(), 0),
            )
        except (ValueError, TypeError, AttributeError):
            server = None
        if server is None:
            raise ConfigError("the limiter's url must look like redis://host:6379/0, rediss:// or unix://")
        self._server = server
        self._script = server.register_script(SCRIPT)


def _settings(limit: RateLimit | AdaptiveRateLimit) -> list[float]:
    horizon_us = HORIZON_S * 1e6
    if isinstance(limit, AdaptiveRateLimit):
        ceiling = limit.ceiling if limit.ceiling is not None else 1e9
        return [limit.start, 1.0, horizon_us, 0.02, limit.floor, ceiling]
    rate = 1 / limit.interval_s
    return [rate, limit.burst_size, horizon_us, 0.0, rate, rate]


def _grant(answer: Any, *, age_s: float) -> Grant:
    """Read an answer whose times count from the moment, so long ago, at which the server was asked."""
    rate, opens_in_us, mark, paused_us, lifted, slots = answer
    return Grant(
        rate=float(rate),
        opens_in_s=float(opens_in_us) / 1e6 - age_s,
        mark=mark,
        paused_s=float(paused_us) / 1e6 - age_s,
        lifted=int(lifted),
        slots_s=tuple(float(slot) / 1e6 - age_s for slot in slots),
    )
