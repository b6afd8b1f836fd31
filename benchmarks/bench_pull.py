"""What does a pull into a mirror cost beside a loop of list and gather(get), and does its memory stay flat?

``Mirror.pull`` of kits, with their rows written to SQLite, against two loops that list the kits page by page and get
each with plain aiohttp: one parses them with orjson and keeps nothing, the other writes the same rows to the same
tables, a page in a transaction, without noting where it stands. All three against the same thin server in another
process, in turn, round by round. CPU is this process's alone, all threads. Then the memory of a first pull by number of
kits, each in a process of its own, and the rows a second of the exports::

    python benchmarks/bench_pull.py [--rounds 5] [--kits 5000] [--memory 100000 1000000] [--json FILE]
"""

import asyncio
import gc
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

import aiohttp
import orjson
from figures import figure, leave, options_of
from rounds import CLIENT_CORE, SERVER_CORE, interleaved, pin, ratio, spread

from spotdx_async import SpotClient, loads
from spotdx_async.mirror import Mirror
from spotdx_async.mirror.export import ExportFormat
from spotdx_async.mirror.schema import insert, statements
from spotdx_async.models import Kit, KitSummary
from spotdx_async.tables import TABLES, kit_rows

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
        ways = {
            "loop": partial(loop_cpu_s, url),
            "loop into SQLite": partial(loop_into_sqlite_cpu_s, url),
            "pull into SQLite": partial(pull_cpu_s, url),
        }
        costs = interleaved(ways, options.rounds)
    for name, each in costs.items():
        cpu_s = spread(each).middle
        print(f"{name:>16}: {options.kits / cpu_s:,.0f} kits a CPU second, {cpu_s / options.kits * 1e6:,.0f} us a kit")
    rate, like_for_like = (ratio(costs[loop], costs["pull into SQLite"]) for loop in ("loop", "loop into SQLite"))
    print(f"rate of the pull / that of the loop that keeps nothing: {rate.text()}")
    print(f"rate of the pull / that of the loop into SQLite: {like_for_like.text()}")
    found = [
        figure("pull into SQLite / loop that keeps nothing, kits a CPU second", rate, at_least=LEAST_RATE),
        figure("pull into SQLite / loop into SQLite, kits a CPU second", like_for_like, at_least=LEAST_RATE),
    ]
    for kits in options.memory:
        command = [sys.executable, __file__, "--pull-once", str(kits)]
        peak_mb, *export_s = map(float, subprocess.check_output(command).split())  # noqa: S603 - this script
        rates = ", ".join(f"{form} {speed:,.0f}" for form, speed in zip(_FORMATS, export_s, strict=True))
        print(f"{kits:,} kits: {peak_mb:,.0f} MB at most; exported rows a second: {rates}")
        found.append(figure(f"memory of a first pull of {kits:,} kits", peak_mb, "MB"))
    leave(found, options.json)


def loop_cpu_s(url: str) -> float:
    """Read everything by a loop of list and gather(get)."""
    return cpu_s(lambda: asyncio.run(_loop(url, orjson.loads)))


def loop_into_sqlite_cpu_s(url: str) -> float:
    """Do the same, and write the rows of a mirror."""
    with tempfile.TemporaryDirectory() as folder:
        return cpu_s(lambda: asyncio.run(_loop_into_sqlite(url, Path(folder) / "spot.db")))


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


async def _loop(
    url: str, parse: Callable[[bytes], Any], keep: Callable[[list[Any], list[Any]], object] = lambda _rows, _kits: None
) -> None:
    headers = {"Authorization": "Token benchmark"}
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def get(path: str, parse: Callable[[bytes], Any]) -> Any:
            async with session.get(f"{url}{path}") as response:
                return parse(await response.read())

        offset = 0
        while rows := await get(f"/api/v2/kits/?results=100&offset={offset}", orjson.loads):
            kits = await asyncio.gather(*(get(f"/api/v2/kits/{row['kit_id']}/", parse) for row in rows))
            keep(rows, kits)
            offset += len(rows)


async def _loop_into_sqlite(url: str, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        for statement in statements(phi=False):
            database.execute(statement)

        def keep(rows: list[Any], kits: list[Kit]) -> None:
            listed = loads(orjson.dumps(rows), tuple[KitSummary, ...])
            database.execute("BEGIN")
            for kit, summary in zip(kits, listed, strict=True):
                for name, made in kit_rows(kit, summary=summary, pseudonym=str.lower).items():
                    if made:
                        width = len(TABLES[name].safe_names)
                        cells = [[_cell(value) for value in row[:width]] for row in made]
                        database.executemany(insert(TABLES[name], phi=False), cells)
            database.execute("COMMIT")

        await _loop(url, partial(loads, type_=Kit), keep)


def _cell(value: Any) -> Any:
    return f"{value.isoformat(timespec='microseconds')[:-6]}Z" if isinstance(value, datetime) else value


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
