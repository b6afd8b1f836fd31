"""Waits that see a job through to its end, even if the waiting task is cancelled, and however often."""

import asyncio
from typing import TypeVar

from spotdx_async._http import clock

__all__ = ["seen_through"]

T = TypeVar("T")

_PATIENCE_S = 5.0
"""For a cancelled task: longer than the journal's longest wait (2 s, for another program)."""


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
    while not job.done() and clock.now() < until_s:
        try:
            await asyncio.wait([job], timeout=None if cancellation is None else until_s - clock.now())
        except asyncio.CancelledError as error:
            if cancellation is None:
                cancellation, until_s = error, clock.now() + _PATIENCE_S
    if cancellation is not None:
        if job.done() and not job.cancelled():
            job.exception()  # otherwise asyncio reports it as never retrieved
        raise cancellation
    return job.result()
