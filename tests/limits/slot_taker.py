"""A process of its own that takes slots and writes down when; ended by its parent, in order or by a kill."""

import asyncio
import sys
import time
from pathlib import Path

from spotdx_async import RateLimit
from spotdx_async.shared import SharedLimiter


async def take(url: str, rate: float, until_s: float, path: str) -> None:
    with Path(path).open("wb", buffering=0) as file:  # noqa: ASYNC230 - before the first slot

        async def one(limiter: SharedLimiter) -> None:
            while time.monotonic() < until_s:
                await limiter.acquire()
                file.write(b"%.6f\n" % time.monotonic())  # at once: a kill must not lose it

        async with SharedLimiter(url, RateLimit(rate)) as limiter:
            await asyncio.gather(*(one(limiter) for _ in range(16)))


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
