"""How many instructions does the SDK add to a call? Counted, not timed, so that the figure is the same on a busy machine.

Each kind of call runs in a process of its own under valgrind's callgrind, which counts the user-space instructions of
the whole process; two runs that differ only in the number of calls give the instructions of one. The server is the thin
one, outside of valgrind. Ratios are to the plain call: ``session.post`` and ``orjson.loads``. Needs valgrind::

    python benchmarks/bench_instructions.py [--calls 400] [--repeats 3] [--json FILE] [--kinds plain typed bulk]
"""

import argparse
import asyncio
import gc
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import orjson

from spotdx_async import SpotClient

CONCURRENCY = 10
WARM_UP = 50
METADATA = {"cohort": "A"}
BARS = {"typed": 1.25, "bulk": 1.08}
_TOTAL = re.compile(r"Collected : (\d+)")


async def plain(url: str, calls: int) -> None:
    """Post and parse with aiohttp and orjson alone."""
    await pool(url, calls, parse=orjson.loads)


async def read(url: str, calls: int) -> None:
    """Post with aiohttp alone, and read the answer without parsing it."""
    await pool(url, calls, parse=len)


async def typed(url: str, calls: int) -> None:
    """Call ``update_metadata``."""
    async with SpotClient("benchmark", base_url=url) as spot:
        await share(spot.kits.update_metadata, calls)


async def bulk(url: str, calls: int) -> None:
    """Run ``update_metadata_many`` without Kits."""
    async with SpotClient("benchmark", base_url=url) as spot:
        rows = ((kit_id, METADATA) for kit_id in kit_ids(calls))
        async for outcome in spot.kits.update_metadata_many(rows, concurrency=CONCURRENCY, decode=False):
            assert outcome.ok


KINDS: dict[str, Callable[[str, int], Awaitable[None]]] = {"plain": plain, "read": read, "typed": typed, "bulk": bulk}


async def pool(url: str, calls: int, *, parse: Callable[[bytes], object]) -> None:
    """Post from workers that share one run of kit ids."""
    headers = {"Authorization": "Token benchmark", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def call(kit_id: str, metadata: dict[str, str]) -> None:
            body = orjson.dumps({"metadata": metadata})
            async with session.post(f"{url}/api/v2/kits/{kit_id}/", data=body) as response:
                parse(await response.read())

        await share(call, calls)


async def share(call: Callable[[str, dict[str, str]], Awaitable[object]], calls: int) -> None:
    """Call from workers that share one run of kit ids."""
    given = kit_ids(calls)

    async def work() -> None:
        for kit_id in given:
            await call(kit_id, METADATA)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work())


def kit_ids(count: int) -> Iterator[str]:
    """Give ids of kits that come once each."""
    return (f"SPOT{number:09d}" for number in range(count))


def count(kind: str, url: str, calls: int, profile: Path | None = None) -> int:
    """Count the instructions of a process that makes so many calls."""
    output = str(profile) if profile else os.devnull
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", sys.executable, "-X", "frozen_modules=on"]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603 - our own script
        [*command, __file__, "--work", kind, url, str(calls)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    found = _TOTAL.search(done.stderr)
    assert found is not None, done.stderr
    return int(found[1])
