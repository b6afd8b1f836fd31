"""Time, as the whole SDK sees it: the running loop's clock for waits, the wall clock for dates.

All waits go through here, so that a loop with virtual time moves every one of them.
"""

import asyncio
import os
import re
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from spotdx_async.errors import ConfigError

__all__ = [
    "NEVER_S",
    "OneLoop",
    "call_at",
    "cancellations",
    "current_task",
    "http_date",
    "now",
    "pending_cancellations",
    "running_loop",
    "sleep",
    "taken_elsewhere",
    "turn",
    "wall",
]

_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} [1-9]\d{3} \d{2}:\d{2}:\d{2} GMT", re.ASCII)
NEVER_S = float("-inf")
"""A moment before every other, on any clock."""


def running_loop() -> asyncio.AbstractEventLoop:
    """Give the loop that runs here.

    Raises:
        ConfigError: none of asyncio's does, under trio say.
    """
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    raise ConfigError("a SpotClient needs a running asyncio event loop: with anyio, choose its asyncio backend")


class OneLoop:
    """The event loop that something belongs to: whichever comes, but one that runs at a time."""

    def __init__(self, name: str) -> None:
        """Belong to none so far.

        Args:
            name: what belongs to it, in an error.
        """
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._moving = threading.Lock()

    def enter(self) -> "tuple[asyncio.AbstractEventLoop, bool] | None":
        """Come to the loop that runs here.

        Returns:
            the loop before, and whether it is gone, or a forked child's parent's; None where there was none, or it is
            this one.

        Raises:
            ConfigError: the loop before runs, in another thread.
        """
        loop = running_loop()
        if loop is self._loop:
            return None
        with self._moving:
            earlier, is_forked = self._loop, self._pid != os.getpid()
            if earlier is not None and not is_forked and earlier.is_running():
                message = f"the {self._name} is in use in another running event loop: make one for each loop"
                raise ConfigError(message)
            self._loop, self._pid = loop, os.getpid()
        return None if earlier is None else (earlier, is_forked or earlier.is_closed())


def current_task() -> "asyncio.Task[Any] | None":
    """Give the task that runs; None outside of one, as in a signal's handler that came between two runs of the loop."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def taken_elsewhere() -> ConfigError:
    """Make the error of one who waits in a loop that is idle, where another one takes over: nobody would wake it."""
    return ConfigError("another event loop took the client, or its limiter, while this one was idle and a call waited")


def now() -> float:
    """Seconds on the running loop's monotonic clock."""
    return asyncio.get_running_loop().time()


def wall() -> datetime:
    """The date and time of day, aware, UTC. It may jump; only dates that the server names are compared with it."""
    return datetime.now(UTC)


def http_date(text: object) -> datetime | None:
    """Read a date as HTTP's headers write it, aware, UTC; None for anything else, and for a day that does not exist."""
    # The parser of mail dates takes much that HTTP does not write.
    if not isinstance(text, str) or _HTTP_DATE.fullmatch(text) is None:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def sleep(seconds: float, unless: asyncio.Event) -> None:
    """Wait at least ``seconds``, or until the event is set.

    Some loops wake a little early, so the clock is read again before returning.
    """
    end = now() + seconds
    while now() < end and not unless.is_set():
        try:
            async with asyncio.timeout_at(end):
                await unless.wait()
        except TimeoutError:
            continue


class _Turn:
    """A turn of the loop, in which a cancellation that is due comes up."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def turn() -> None:
    """Let the loop's other tasks go on, once."""
    await _Turn()


async def pending_cancellations() -> int:
    """Count the cancellations of this task that it has been told of; one that was not delivered yet is, here.

    Who compares the count later knows whether a CancelledError was aimed at the task. A signal's handler may have
    cancelled it while its own code ran, say: then it is in the count, and was not raised.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await _Turn()
    return cancellations()


def cancellations() -> int:
    """Count the cancellations that were asked of this task."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def call_at(when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
    """Call ``callback`` when the loop's clock reaches ``when``."""
    return asyncio.get_running_loop().call_at(when, callback)
