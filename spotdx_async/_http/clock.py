"""Time for the whole SDK: the running loop's clock for waits, the wall clock for dates.

All waits go through this module, so that a loop with virtual time controls every one of them.
"""

import asyncio
import os
import re
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from spotdx_async.errors import ConfigError

_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} [1-9]\d{3} \d{2}:\d{2}:\d{2} GMT", re.ASCII)
NEVER_S = float("-inf")
"""Earlier than any moment, on any clock."""
INSTANT_S = 1e-6
"""What is due so soon is due: sums of times round, and a wait for the rest would never end where the clock stands."""
_PATIENCE_S = 5.0
"""For a cancelled task: longer than the journal's longest wait (2 s, for another program)."""
_SUSPENSION_S = 5.0
"""A choice: servers keep an idle connection for that long at least, and corrections of a clock are smaller."""

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop.

    Raises:
        ConfigError: no asyncio loop runs, as under trio.
    """
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    raise ConfigError("a SpotClient needs a running asyncio event loop: with anyio, choose its asyncio backend")


class OneLoop:
    """The event loop that something belongs to: any loop may take it over, but one running loop at a time."""

    def __init__(self, name: str) -> None:
        """Start without a loop.

        Args:
            name: what belongs to the loop, as an error names it.
        """
        self._name = name
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that it belongs to, if any."""
        self._pid = os.getpid()
        # Threads with loops of their own may arrive at the same moment: only one of them gets it.
        self._moving = threading.Lock()

    @property
    def is_forked(self) -> bool:
        """Whether this process is a forked child of the one that entered the loop."""
        return self._pid != os.getpid()

    def enter(self) -> "tuple[asyncio.AbstractEventLoop, bool] | None":
        """Move to the loop that runs here.

        Returns:
            the previous loop, and whether it is gone or belongs to the parent of a forked child; None if there was
            none, or it is this one.

        Raises:
            ConfigError: the previous loop is still running, in another thread.
        """
        loop = running_loop()
        if loop is self.loop:
            return None
        with self._moving:
            earlier, is_forked = self.loop, self.is_forked
            if earlier is not None and not is_forked and earlier.is_running():
                message = (
                    f"the {self._name} is in use in another running event loop: make one {self._name} for each loop"
                )
                raise ConfigError(message)
            self.loop, self._pid = loop, os.getpid()
        return None if earlier is None else (earlier, is_forked or earlier.is_closed())


def current_task() -> "asyncio.Task[Any] | None":
    """Return the running task; None outside of one, as in a signal handler that runs between two turns of the loop."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def taken_elsewhere() -> ConfigError:
    """Build the error for a waiter whose idle loop lost the client to another: nothing would ever wake it."""
    return ConfigError("another event loop took the client, or its limiter, while this one was idle and a call waited")


def now() -> float:
    """Seconds on the running loop's monotonic clock."""
    return asyncio.get_running_loop().time()


def of_loop() -> Callable[[], float]:
    """Return the running loop's clock, for what belongs to that loop: one call, where ``now`` looks the loop up."""
    return asyncio.get_running_loop().time


def wall() -> datetime:
    """The date and time, timezone-aware, in UTC. It may jump; it is compared only with dates that the server names."""
    return datetime.now(UTC)


class SuspensionWatch:
    """Notices that the machine stood still: a laptop that slept, a virtual machine that was frozen.

    The loop's clock stands still with it, so that whatever was idle meanwhile looks as fresh as before; the wall clock
    does not.
    """

    def __init__(self) -> None:
        """Start to watch, in the running loop."""
        self._ahead_s = time.time() - now()

    def has_stood_still(self, now_s: float) -> bool:
        """Return whether the machine has stood still since the last look; a clock that was set forward looks the same.

        Args:
            now_s: the loop's clock.
        """
        before_s = self._ahead_s
        self._ahead_s = time.time() - now_s
        return self._ahead_s - before_s > _SUSPENSION_S


def http_date(text: object) -> datetime | None:
    """Read a date as HTTP headers write it, as UTC; None for anything else, and for a day that does not exist."""
    # The parser of mail dates accepts much that HTTP does not allow.
    if not isinstance(text, str) or _HTTP_DATE.fullmatch(text) is None:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def sleep(seconds: float, unless: asyncio.Event) -> None:
    """Wait at least ``seconds``, or until the event is set.

    Some loops wake slightly early, so the clock is read again before returning.
    """
    end = now() + seconds
    while now() < end and not unless.is_set():
        try:
            async with asyncio.timeout_at(end):
                await unless.wait()
        except TimeoutError:
            continue


class _Turn:
    """One turn of the loop, in which a pending cancellation is delivered."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def turn() -> None:
    """Let the loop run its other tasks for one turn."""
    await _Turn()


async def pending_cancellations() -> int:
    """Return the number of cancellations of this task; one that was requested but not yet delivered is delivered here.

    Comparing the count later shows whether a CancelledError was meant for the task. A signal handler, say, may have
    cancelled it while its own code ran: that is in the count, but was never raised.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await _Turn()
    return cancellations()


def cancellations() -> int:
    """Return how many cancellations of this task were requested."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def call_at(when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
    """Call ``callback`` when the loop's clock reaches ``when``."""
    return asyncio.get_running_loop().call_at(when, callback)


async def seen_through(job: asyncio.Future[T]) -> T:
    """Wait for a job; a cancellation is raised once it is done, or after 5 s, and the job continues even then.

    Some callers cancel again and again until they are obeyed, as anyio's scopes do: a second cancellation changes
    nothing.

    Raises:
        asyncio.CancelledError: the wait was cancelled.
        Exception: what the job raised.
    """
    cancellation: asyncio.CancelledError | None = None
    until_s = float("inf")
    while not job.done() and now() < until_s:
        try:
            await asyncio.wait([job], timeout=None if cancellation is None else until_s - now())
        except asyncio.CancelledError as error:
            if cancellation is None:
                cancellation, until_s = error, now() + _PATIENCE_S
    if cancellation is not None:
        if job.done() and not job.cancelled():
            job.exception()  # otherwise asyncio reports it as never retrieved
        raise cancellation
    return job.result()
