"""Waits for what another process, thread or socket does, which no loop of a test is told of: looked at, and bounded."""

import asyncio
from collections.abc import Callable

__all__ = ["PATIENCE_S", "until"]

PATIENCE_S = 30
"""How long a test waits before it fails."""


async def until(is_so: Callable[[], object]) -> None:
    """Wait for what a process or a connection does, or a server notes of it."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0.002)
