"""A real server that runs the script, asked in virtual time: its clock, the network's delays and its outages are a
test's own.
"""

import asyncio
from typing import Any

import redis

from spotdx_async.limits.redis_source import RedisSource, script
from spotdx_async.shared import SharedLimiter
from tests.limits.timed_script import CLOCK

_BEGAN_S = 1_700_000_000


class VirtualServer:
    """What all limiters of a test are connected to."""

    def __init__(self, url: str) -> None:
        assert CLOCK in script()
        self._redis: Any = redis.Redis.from_url(url)
        self._script = self._redis.register_script(script().replace(CLOCK, "local clock = { ARGV[13], ARGV[14] }"))
        self.url = url
        self.set_ahead_s = 0.0
        """How far the server's clock has been set ahead; negative: back."""
        self.trouble: Exception | None = None
        """What comes instead of answers."""
        self.acts: list[str] = []

    def close(self) -> None:
        self._redis.close()

    def limiter(self, rate: Any, *, trip_s: float = 0.0, **options: Any) -> SharedLimiter:
        """Make a limiter that is so far away."""
        made = SharedLimiter(self.url, rate, **options)
        made._source = _SourceAt(self, trip_s, made._source)
        return made

    def call(self, keys: list[str], args: list[Any]) -> Any:
        if self.trouble is not None:
            raise self.trouble
        self.acts.append(args[0])
        now = asyncio.get_running_loop().time() + _BEGAN_S + self.set_ahead_s
        return self._script(keys=keys, args=[*args, int(now), int(now % 1 * 1e6)])


class _SourceAt(RedisSource):
    def __init__(self, server: VirtualServer, trip_s: float, like: RedisSource) -> None:
        self._virtual, self._trip_s = server, trip_s
        self.__dict__.update(like.__dict__)
        self._make()

    def _make(self) -> None:
        self._is_warm = False
        self._server = _Connections()

    async def _ask(self, *, keys: list[str], args: list[Any]) -> Any:
        if not self._is_connected:
            await asyncio.sleep(2 * self._trip_s)
            self._is_connected = True
        await asyncio.sleep(self._trip_s / 2)
        answer = self._virtual.call(keys, args)
        await asyncio.sleep(self._trip_s / 2)
        return answer

    _eval = _evalsha = _ask
    _is_connected = False


class _Connections:
    async def aclose(self) -> None:
        pass
