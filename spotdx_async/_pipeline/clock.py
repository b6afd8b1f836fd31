"""Time, as the whole SDK sees it: the running loop's clock for waits, the wall clock for dates.

All waits go through here, so that a loop with virtual time moves every one of them.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import UTC, datetime

from spotdx_async.errors import ConfigError

__all__ = ["NEVER_S", "call_at", "now", "running_loop", "sleep", "wall"]

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


def now() -> float:
    """Seconds on the running loop's monotonic clock."""
    return asyncio.get_running_loop().time()


def wall() -> datetime:
    """The date and time of day, aware, UTC. It may jump; only dates that the server names are compared with it."""
    return datetime.now(UTC)


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


async def pending_cancellations() -> int:
    """Count the cancellations of this task that it has been told of; one that was not delivered yet is, here.

    Who compares the count later knows whether a CancelledError was aimed at the task. A signal's handler may have
    cancelled it while its own code ran, say: then it is in the count, and was not raised.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await _Turn()
    return task.cancelling() if task is not None else 0


def call_at(when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
    """Call ``callback`` when the loop's clock reaches ``when``."""
    return asyncio.get_running_loop().call_at(when, callback)
