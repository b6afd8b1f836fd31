"""The server's face: one script, called with bounded waits; the only importer of redis. No error of its gets out."""

import asyncio
import os
from typing import Any
from uuid import uuid4

import redis.asyncio as redis
from attrs import frozen
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from spotdx_async.config import AdaptiveRateLimit, RateLimit
from spotdx_async.errors import ConfigError
from spotdx_async.shared.script import HORIZON_S, SCRIPT

__all__ = ["Grant", "Store", "StoreAwayError"]


class StoreAwayError(Exception):
    """The server cannot be asked, or does not answer as it should."""


@frozen
class Grant:
    """What the server answered."""

    rate: float
    """In force, a second."""
    opens_in_s: float
    """When more slots can be had, where fewer came than were wanted."""
    mark: bytes
    """For giving back."""
    slots_s: tuple[float, ...]
    """The times of the slots, in seconds from the answer."""


class Store:
    """Calls the script; connections belong to one loop and one process at a time."""

    def __init__(self, url: str, limit: RateLimit | AdaptiveRateLimit, *, key: str, timeout_s: float) -> None:
        self._url = url
        # The braces keep all three in one place of a cluster.
        self._keys = [key, f"{{{key}}}:members", f"{{{key}}}:queue"]
        self._me = uuid4().hex
        self._timeout_s = timeout_s
        self._settings = _settings(limit)
        self._server: Any = None
        self._script: Any = None
        self._home: tuple[asyncio.AbstractEventLoop, int] | None = None
        self._abandoned: list[Any] = []
        self._has_joined = False
        self._make()
        self.trips: int = 0
        """Round trips so far."""

    async def take(self, number: int) -> Grant:
        """Take so many slots, or fewer where they lie beyond the horizon.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        return await self._call("take", number)

    async def give_back(self, number: int, mark: bytes) -> None:
        """Give back the last slots of a grant, unless somebody has taken others since.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        await self._call("back", number, mark)

    async def pause(self, seconds: float) -> None:
        """Let nobody through for so long.

        Raises:
            StoreAwayError: the server cannot be asked.
        """
        await self._call("pause", seconds * 1e6)

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
        """Close the connections; the next call makes new ones."""
        server, self._server = self._server, None
        if server is not None:
            await server.aclose()

    async def _call(self, act: str, number: float, mark: bytes = b"") -> Grant:
        self._come_home()
        if not self._has_joined:
            await self._run("join", 0)
            self._has_joined = True
        return await self._run(act, number, mark)

    async def _run(self, act: str, number: float, mark: bytes = b"") -> Grant:
        self.trips += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._script(keys=self._keys, args=[act, *self._settings, number, mark, self._me])
            return _grant(answer)
        except (RedisError, OSError, TimeoutError, ValueError, IndexError, TypeError):
            pass
        # Out here, so that an error that may show the address is not even the context.
        raise StoreAwayError

    def _come_home(self) -> None:
        """Make new connections in another loop, or after a fork; those of a parent stay untouched."""
        home = (asyncio.get_running_loop(), os.getpid())
        if self._home is not None and self._home != home:
            self._abandoned.append(self._server)
            self._me = uuid4().hex
            self._make()
        elif self._server is None:
            self._make()
        self._home = home

    def _make(self) -> None:
        try:
            server = redis.Redis.from_url(
                self._url,
                socket_timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
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


def _grant(answer: Any) -> Grant:
    rate, opens_in_us, mark, slots = answer
    return Grant(float(rate), float(opens_in_us) / 1e6, mark, tuple(float(slot) / 1e6 for slot in slots))
