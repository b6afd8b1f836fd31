"""Blocks of slots from a Redis server, by one script and with bounded waits; errors of redis stay in this module."""

import asyncio
import hashlib
import logging
import os
import socket
import ssl
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any, Literal
from uuid import uuid4

import redis.asyncio as redis
from attrs import frozen
from redis import exceptions as errors
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from spotdx_async._http import clock, rate_control
from spotdx_async.config import AdaptiveRateLimit, RateLimit
from spotdx_async.errors import ConfigError
from spotdx_async.limits.block_limiter import HORIZON_S

_log = logging.getLogger("spotdx_async")

Act = Literal["join", "take", "look", "back", "leave", "pause", "resume", "cut", "rate"]
"""What the script can be asked to do."""

_COLD_TRIPS = 5
"""Round trips that a first call on a new connection may take: TCP, TLS (two), credentials, and the call itself."""
_LEAST_COLD_TRIPS = 3
"""The least that it takes: TCP, redis's greeting, and the call."""
_SOON_ENOUGH_S = 0.025
"""A slot is still used this long after it was due, so that a nearby server need not give later ones. A choice: a round
trip within a data centre takes a few ms, and bursts grow by 25 ms' worth at most."""
_IN_SECONDS: frozenset[Act] = frozenset({"pause", "cut"})
_TIMED: frozenset[Act] = frozenset({"join", "take", "look"})
"""At most one of these is in progress at a time, so that none of them waits for a connection of its own."""
_FORGETTING = 0.3
"""Share of the measured round trip that each later, shorter one replaces. A choice: ten trips forget a slow one (0.7^10
= 3 %)."""

_UNTRUSTED = {
    10: "its certificate has expired",
    18: "its certificate is signed by itself",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}
"""By OpenSSL's verify codes. Its texts are not shown, since some contain the name of the server."""


@frozen
class RedisFailure:
    """Why the server cannot be asked."""

    text: str
    """Such as ``connection refused``."""
    is_lasting: bool = False
    """Whether somebody has to fix something: waiting does not help."""


_NO_ANSWER = RedisFailure("no answer in time")
_LOST = RedisFailure("the connection was lost")
_NOT_REDIS = RedisFailure("it does not speak the Redis protocol", is_lasting=True)

_CREDENTIALS = RedisFailure("it does not accept the credentials", is_lasting=True)
_BY_WORD = {
    "unauthenticated": _CREDENTIALS,  # Redis refuses a call with many arguments before reading it
    "READONLY": RedisFailure("it is a read-only replica"),
    "OOM": RedisFailure("it is out of memory"),
    "MISCONF": RedisFailure("it cannot write to its disk"),
    "BUSY": RedisFailure("it is busy with another script"),
    "NOREPLICAS": RedisFailure("it has too few replicas"),
}
"""Protocol errors that redis has no class for. Before version 7, a script's error contains the code of another one."""

# The first match counts.
_BY_TYPE: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], RedisFailure], ...] = (
    (
        (errors.AuthenticationError, errors.AuthenticationWrongNumberOfArgsError),
        _CREDENTIALS,
    ),
    (
        (errors.NoPermissionError, errors.AuthorizationError),
        RedisFailure("this user has no permission for scripts or for the key", is_lasting=True),
    ),
    (errors.ReadOnlyError, RedisFailure("it is a read-only replica")),
    (errors.BusyLoadingError, RedisFailure("it is loading its data")),
    (errors.OutOfMemoryError, RedisFailure("it is out of memory")),
    # Before its parent class: this one is a redirection too, but passes by itself.
    (errors.MovedError, RedisFailure("it is a cluster node that does not hold the key", is_lasting=True)),
    (errors.AskError, RedisFailure("its cluster is being rearranged")),
    ((errors.ClusterError, errors.TryAgainError), RedisFailure("its cluster is down")),
    (
        errors.ClusterCrossSlotError,
        RedisFailure("its cluster has no common place for this key's data: name a key without }", is_lasting=True),
    ),
    (errors.InvalidResponse, _NOT_REDIS),
    ((errors.TimeoutError, TimeoutError), _NO_ANSWER),
    (errors.ResponseError, RedisFailure("it refuses the script's command", is_lasting=True)),
    (socket.gaierror, RedisFailure("its name cannot be resolved")),
    (ConnectionRefusedError, RedisFailure("connection refused")),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError), _LOST),
    (ssl.SSLError, RedisFailure("the TLS handshake failed", is_lasting=True)),
    (ConnectionError, _LOST),
    (OSError, RedisFailure("cannot connect")),
    (errors.ConnectionError, _LOST),
)


@cache
def script() -> str:
    """Return the script: ``redis_script.lua``, after the constants of the adaptive law, which Lua and Python share."""
    constants = "".join(
        f"local {name} = {value!r}\n"
        for name, value in vars(rate_control).items()
        if name.isupper() and isinstance(value, (int, float))
    )
    return constants + (files("spotdx_async.limits") / "redis_script.lua").read_text(encoding="utf-8")


@cache
def _sha() -> str:
    """Return the name that Redis knows the script by."""
    return hashlib.sha1(script().encode(), usedforsecurity=False).hexdigest()


class SourceAwayError(Exception):
    """The server cannot be asked, or does not answer as it should."""

    def __init__(self, failure: RedisFailure) -> None:
        super().__init__(failure.text)
        self.failure = failure


@frozen
class Grant:
    """What the server answered."""

    rate: float
    """The rate in force, a second."""
    opens_in_s: float
    """When more slots are available, if there were fewer than wanted."""
    mark: bytes
    """Identifies the block when slots are returned; empty if that is impossible."""
    paused_s: float
    """How much longer nobody may send."""
    lifted: int
    """How many pauses have been lifted."""
    slots_s: tuple[float, ...]
    """The times of the slots, in seconds from the answer; the first may be due already."""


class RedisSource:
    """Calls the script; connections belong to one loop and one process at a time."""

    def __init__(self, url: str, limit: RateLimit | AdaptiveRateLimit, *, key: str, timeout_s: float) -> None:
        self._url = url
        self._keys = [key, _beside(key)]
        self._me = uuid4().hex
        self._timeout_s = timeout_s
        self._settings = _settings(limit)
        self._server: Any = None
        self._home: tuple[asyncio.AbstractEventLoop, int] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._abandoned: list[Any] = []
        self.has_joined: bool = False
        """Whether the server knows of this process."""
        self._is_warm = False
        self._make()
        self.trips: int = 0
        """Round trips so far."""
        self.trip_s: float = 0.0
        """How long a round trip has taken lately: the longest, which fades."""

    async def ask(self, act: Act, number: float = 0, mark: bytes = b"", *, waiting: int = 0) -> Grant:
        """Run the script.

        Args:
            act: what to do. ``join`` is sent automatically before the first of the others.
            number: slots for ``take``, and for ``back`` and ``leave``, which return the last ones of a grant unless
                somebody has taken others since; seconds for ``pause``, and for ``cut`` how long ago the request was
                sent that a 429 answered; the new rate for ``rate``.
            mark: of the grant whose slots are returned.
            waiting: with ``take``, how many are waiting for a slot now.

        Raises:
            SourceAwayError: the server cannot be asked.
        """
        self._come_home()
        if not self.has_joined:
            await self._run("join", 0, b"", 0)
            self.has_joined = True
        return await self._run(act, number, mark, waiting)

    async def close(self) -> None:
        """Close the connections, within the time of a round trip; the next call makes new ones."""
        server, self._server = self._server, None
        self._is_warm = False
        if server is not None:
            with suppress(errors.RedisError, OSError):  # TimeoutError is one
                async with asyncio.timeout(self._timeout_s):
                    await server.aclose()

    async def _run(self, act: Act, number: float, mark: bytes, waiting: int) -> Grant:
        self.trips += 1
        number = number * 1e6 if act in _IN_SECONDS else number
        began, was_warm = clock.now(), self._is_warm
        self._is_warm = False
        try:
            async with asyncio.timeout(self._timeout_s * (1 if was_warm else _COLD_TRIPS)):
                # By its hash, which a server that was just connected to may not know: a round trip more.
                run = self._evalsha if was_warm else self._eval
                answer = await run(keys=self._keys, args=[act, self._me, number, mark, *self._arguments(), waiting])
            self._is_warm = True
            trip_s = (clock.now() - began) / (1 if was_warm else _LEAST_COLD_TRIPS)
            if act in _TIMED:
                self.trip_s = max(trip_s, self.trip_s + (trip_s - self.trip_s) * _FORGETTING)
            return _grant(answer, age_s=trip_s / 2)
        except (errors.RedisError, OSError, ValueError, IndexError, TypeError) as error:
            failure = failure_of(error)
        # Raised out here, so that an error that may show the address is not even the context.
        raise SourceAwayError(failure)

    async def _evalsha(self, *, keys: list[str], args: list[Any]) -> Any:
        with suppress(errors.NoScriptError):  # it was restarted, or its scripts were flushed
            return await self._server.evalsha(_sha(), len(keys), *keys, *args)
        # Not by SCRIPT LOAD, as redis does it: that is another permission, and a round trip more.
        return await self._eval(keys=keys, args=args)

    async def _eval(self, *, keys: list[str], args: list[Any]) -> Any:
        return await self._server.eval(script(), len(keys), *keys, *args)

    def _arguments(self) -> list[float]:
        ahead_s = max(0.0, self.trip_s - _SOON_ENOUGH_S)
        return [ahead_s * 1e6, *self._settings]

    def _come_home(self) -> None:
        """Make new connections in another loop, or after a fork; a parent's connections stay untouched.

        Those of an idle loop are closed when it runs again: nobody else can.
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
                protocol=2,  # version 3 takes more round trips to connect
                retry=Retry(NoBackoff(), 0),
            )
        except (ValueError, TypeError, AttributeError):
            server = None
        if server is None:
            raise ConfigError("the limiter's url must look like redis://host:6379/0, rediss:// or unix://")
        self._server = server


def _beside(key: str) -> str:
    """Return a second key that a cluster keeps in the same place as the first.

    It chooses the place by what is in the key's first braces, or else by the whole key.
    """
    _, is_begun, rest = key.partition("{")
    tag, is_ended, _ = rest.partition("}")
    return f"{key}:shares" if is_begun and tag and is_ended else f"{{{key}}}:shares"


def _settings(limit: RateLimit | AdaptiveRateLimit) -> list[float]:
    horizon_us = HORIZON_S * 1e6
    if isinstance(limit, AdaptiveRateLimit):
        ceiling = limit.ceiling if limit.ceiling is not None else 1e9
        return [limit.start, 1.0, horizon_us, 1, limit.floor, ceiling]
    rate = 1 / limit.interval_s
    return [rate, limit.burst_size, horizon_us, 0, rate, rate]


def _grant(answer: Any, *, age_s: float) -> Grant:
    """Read an answer whose times count from the moment at which the server was asked, ``age_s`` ago."""
    rate, opens_in_us, mark, paused_us, lifted, slots = answer
    return Grant(
        rate=float(rate),
        opens_in_s=float(opens_in_us) / 1e6 - age_s,
        mark=mark,
        paused_s=float(paused_us) / 1e6 - age_s,
        lifted=int(lifted),
        slots_s=tuple(float(slot) / 1e6 - age_s for slot in slots),
    )


def failure_of(error: Exception) -> RedisFailure:
    """Return what an error of redis, or of the system below it, means."""
    if type(error) is errors.ConnectionError:
        below = error.__cause__ or error.__context__  # redis wraps the system's errors in its own text
        if isinstance(below, (OSError, errors.RedisError)):
            error = below
    if isinstance(error, errors.ResponseError):
        words = str(error).replace("-", " ").split()
        if found := next((failure for word, failure in _BY_WORD.items() if word in words), None):
            return found
    if isinstance(error, ssl.SSLCertVerificationError):
        return RedisFailure(_UNTRUSTED.get(error.verify_code, "its certificate is not trusted"), is_lasting=True)
    # The rest are answers that the script cannot have given.
    return next((failure for kind, failure in _BY_TYPE if isinstance(error, kind)), _NOT_REDIS)


def log_failure(failure: RedisFailure, *, outcome: str) -> None:
    """Log that the server cannot be asked, at WARNING.

    Args:
        failure: why.
        outcome: what happens to calls meanwhile.
    """
    _log.warning(
        "the shared limit's server cannot be asked (%s): %s",
        failure.text,
        outcome,
        extra=_fields(spotdx_reason=failure.text),
    )


def log_recovery(after_s: float) -> None:
    """Log at WARNING, like the failure, that the server can be asked again."""
    text = "the shared limit's server can be asked again after %.1f s"
    _log.warning(text, after_s, extra=_fields(spotdx_wait_s=after_s))


def _fields(**fields: Any) -> dict[str, Any]:
    return {"spotdx_event": "limit", **fields}
