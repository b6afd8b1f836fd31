"""What does a pull into a mirror cost beside a loop of list and gather(get), and does its memory stay flat?

``Mirror.pull`` of kits, with their rows written to SQLite, against a loop that lists the kits page by page, gets each
with plain aiohttp, parses it with orjson and keeps nothing: both against the same thin server in another process, in
turn, round by round. CPU is this process's alone, all threads. Then the memory of a first pull by number of kits, each
in a process of its own, and the rows a second of the exports::

    python benchmarks/bench_pull.py [--rounds 5] [--kits 5000] [--memory 100000 1000000] [--json FILE]
"""

import asyncio
import gc
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

import aiohttp
import orjson
from figures import figure, leave, options_of
from rounds import CLIENT_CORE, SERVER_CORE, interleaved, pin, ratio, spread

from spotdx_async import SpotClient
from spotdx_async.mirror import Mirror
from spotdx_async.mirror.export import ExportFormat

SERVER = Path(__file__).with_name("pull_server.py")
AT_ONCE = 16
LEAST_RATE = 0.8
_FORMATS = get_args(ExportFormat)


def main() -> None:
    """Measure, and print."""
    parser = options_of(__doc__, rounds=5)
    parser.add_argument("--kits", type=int, default=5000)
    parser.add_argument("--memory", type=int, nargs="*", default=[20_000, 100_000])
    parser.add_argument("--pull-once", type=int, help="pull so many kits, for the memory of this process")
    options = parser.parse_args()
    if options.pull_once:
        pull_once(options.pull_once)
        return
    with kit_server(options.kits) as url:
        ways = {"plain": partial(plain_cpu_s, url), "pull": partial(pull_cpu_s, url)}
        costs = interleaved(ways, options.rounds)
    rate = ratio(costs["plain"], costs["pull"])
    for name, each in costs.items():
        print(f"{name:>6}: {options.kits / spread(each).middle:,.0f} kits a CPU second")
    print(f"rate of the pull / that of the loop: {rate.text()}")
    found = [figure("pull into SQLite / list and gather(get), kits a CPU second", rate, at_least=LEAST_RATE)]
    for kits in options.memory:
        command = [sys.executable, __file__, "--pull-once", str(kits)]
        peak_mb, *export_s = map(float, subprocess.check_output(command).split())  # noqa: S603 - this script
        rates = ", ".join(f"{form} {speed:,.0f}" for form, speed in zip(_FORMATS, export_s, strict=True))
        print(f"{kits:,} kits: {peak_mb:,.0f} MB at most; exported rows a second: {rates}")
        found.append(figure(f"memory of a first pull of {kits:,} kits", peak_mb, "MB"))
    leave(found, options.json)


def plain_cpu_s(url: str) -> float:
    """Read everything by a loop of list and gather(get)."""
    return cpu_s(lambda: asyncio.run(_plain(url)))


def pull_cpu_s(url: str) -> float:
    """Read everything into a new mirror."""
    with tempfile.TemporaryDirectory() as folder:
        return cpu_s(lambda: asyncio.run(_pull(url, Path(folder) / "spot.db")))


def cpu_s(act: Callable[[], object]) -> float:
    """Return the CPU seconds of something."""
    gc.collect()
    began = time.process_time()
    act()
    return time.process_time() - began


async def _plain(url: str) -> None:
    headers = {"Authorization": "Token benchmark"}
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def get(path: str) -> Any:
            async with session.get(f"{url}{path}") as response:
                return orjson.loads(await response.read())

        offset = 0
        while rows := await get(f"/api/v2/kits/?results=100&offset={offset}"):
            await asyncio.gather(*(get(f"/api/v2/kits/{row['kit_id']}/") for row in rows))
            offset += len(rows)


async def _pull(url: str, path: Path) -> None:
    async with SpotClient("benchmark", base_url=url) as spot:
        await Mirror(path).pull(spot, nouns=("kits",), concurrency=AT_ONCE)


def pull_once(kits: int) -> None:
    """Pull so many kits; print the peak of this process's memory in MB, and the rows a second of each export."""
    with kit_server(kits) as url, tempfile.TemporaryDirectory() as folder:
        mirror = Mirror(Path(folder) / "spot.db")
        asyncio.run(_pull(url, mirror.path))
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows = sum(count for name, count in mirror.state().rows.items() if name != "pulls")
        speeds = []
        for form in _FORMATS:
            began = time.perf_counter()
            mirror.export(Path(folder) / form, form)
            speeds.append(rows / (time.perf_counter() - began))
    print(peak_mb, *speeds)


@contextmanager
def kit_server(kits: int) -> Iterator[str]:
    """Start the server of so many kits, on its core and this process on the other."""
    pin(CLIENT_CORE)
    process = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, str(SERVER), str(kits)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    pin(SERVER_CORE, process.pid)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.communicate()


if __name__ == "__main__":
    os.environ.setdefault("SPOTDX_TOKEN", "benchmark")
    main()
