"""What does a bulk run cost beside a plain pool of workers, what does its journal add, and does it grow with the rows?

Throughput: ``update_metadata_many`` without Kits, as the command line runs it, and a pool of workers on raw aiohttp
that share the rows and read each answer without parsing it, in turn, round by round, against the same thin server in
another process, with the same concurrency. The server answers after ``--latency-ms``, as a network would, or at once
with 0, so that the client's CPU alone counts. Then bulk runs with and without a journal. Then one run of ``--growth``
rows whose second half is cut into slices: the CPU of a row in each beside that in a run as short as the slice, in turn.
Then the peak memory of runs of ``--memory`` rows, each in a process of its own. Takes about half an hour as it is::

    python benchmarks/bench_bulk.py [--rounds 9] [--rows 100000] [--journal-rows 10000] [--latency-ms 20 0]
        [--growth 1000000] [--memory 1000000] [--json FILE]
"""

import argparse
import asyncio
import gc
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp
import orjson
from figures import Figure, figure, leave, options_of
from rounds import Cost, interleaved, kit_ids, ratio, spread, thin_server

from spotdx_async import SpotClient

CONCURRENCY = 64
METADATA = {"cohort": "A", "site": "Oslo", "visit": 3}
WARM_UP = 1000
SLICE = 10_000
LEAST_OF_POOL = 0.95
MOST_GROWTH = 1.05
Row = tuple[str, dict[str, object]]
Runner = Callable[[int], Awaitable[None]]


def rows(count: int) -> Iterator[Row]:
    """Give rows of kits that come once each."""
    return ((kit_id, METADATA) for kit_id in kit_ids(count))


def main() -> None:
    """Measure, and print the tables."""
    parser = options_of(__doc__, rounds=9)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--journal-rows", type=int, default=10_000)
    parser.add_argument("--latency-ms", type=float, nargs="*", default=[20, 0])
    parser.add_argument("--growth", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--memory", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--run-once", nargs=2, metavar=("URL", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_once:
        url, count = options.run_once
        asyncio.run(run_once(url, int(count)))
        return
    print(
        f"{options.rows:,} rows a round, {options.rounds} rounds, concurrency {CONCURRENCY}; medians with quartiles\n"
    )
    print(f"{'latency':>8}  {'plain pool':>12}  {'bulk / pool':>20}  {'its CPU':>20}  {'with journal / without':>22}")
    figures = []
    for latency_ms in options.latency_ms:
        with thin_server(latency_ms) as server:
            figures += beside_pool(server.url, latency_ms, options)
    with thin_server() as server:
        if options.growth:
            figures.append(asyncio.run(growth(server.url, options.growth)))
        figures += [memory(server.url, count) for count in options.memory]
    leave(figures, options.json)


def beside_pool(url: str, latency_ms: float, options: argparse.Namespace) -> list[Figure]:
    """Run the rounds for one latency."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        stack = AsyncExitStack()
        pool, bulk, journaled = runner.run(opened(stack, url, Path(folder)))

        def row_of(run: Runner, count: int) -> Cost:
            return runner.run(timed(run, count))

        kinds = {name: partial(row_of, run, options.rows) for name, run in (("pool", pool), ("bulk", bulk))}
        plain, ours = interleaved(kinds, options.rounds).values()
        count = options.journal_rows
        kinds = {name: partial(row_of, run, count) for name, run in (("without", bulk), ("with", journaled))}
        without, written = interleaved(kinds, options.rounds).values()
        runner.run(stack.aclose())
    rate = spread([1e6 / one.wall_us for one in plain])
    beside, journal = ratio(wall_of(plain), wall_of(ours)), ratio(wall_of(without), wall_of(written))
    cpu = ratio([one.cpu_us for one in ours], [one.cpu_us for one in plain])
    print(f"{latency_ms:>5g} ms  {rate.middle:>8,.0f} / s  {beside.text():>20}  {cpu.text():>20}  {journal.text():>22}")
    ending = f"answers after {latency_ms:g} ms"
    return [
        figure(f"bulk run / plain pool, rows a second, {ending}", beside, at_least=LEAST_OF_POOL),
        figure(f"bulk run / plain pool, CPU of a row, {ending}", cpu),
        figure(f"bulk run with / without journal, rows a second, {ending}", journal),
    ]


async def opened(stack: AsyncExitStack, url: str, folder: Path) -> tuple[Runner, Runner, Runner]:
    """Open a session and a client: the plain pool, the bulk run, and the same with a journal."""
    headers = {"Authorization": "Token benchmark", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=headers))
    spot = await stack.enter_async_context(SpotClient("benchmark", base_url=url))

    async def pool(count: int) -> None:
        given = rows(count)
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work(session, url, given))

    async def bulk(count: int) -> None:
        await consume(spot, count, None)

    async def journaled(count: int) -> None:
        await consume(spot, count, folder / f"{time.monotonic_ns()}.journal")

    return pool, bulk, journaled


async def work(session: aiohttp.ClientSession, url: str, given: Iterator[Row]) -> None:
    """Send one row after the other."""
    for kit_id, metadata in given:
        body = orjson.dumps({"metadata": metadata})
        async with session.post(f"{url}/api/v2/kits/{kit_id}/", data=body) as response:
            await response.read()


async def consume(spot: SpotClient, count: int, journal: Path | None) -> None:
    """Run, and look at every outcome."""
    done = 0
    async for outcome in spot.kits.update_metadata_many(
        rows(count), concurrency=CONCURRENCY, decode=False, journal=journal
    ):
        done += outcome.ok
    assert done == count


async def timed(run: Runner, count: int) -> Cost:
    """What a row takes."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    await run(count)
    return Cost((time.process_time() - cpu) / count * 1e6, (time.perf_counter() - wall) / count * 1e6)


def wall_of(costs: list[Cost]) -> list[float]:
    """The time that a row took in each round."""
    return [one.wall_us for one in costs]


async def growth(url: str, count: int) -> Figure:
    """Compare the CPU of a row deep in a long run with that in a short one, slice by slice."""
    async with SpotClient("benchmark", base_url=url) as spot:
        await consume(spot, WARM_UP, None)
        run = aiter(spot.kits.update_metadata_many(rows(count), concurrency=CONCURRENCY, decode=False))

        async def go_on(rows_more: int) -> None:
            for _ in range(rows_more):
                await anext(run)

        async def start_anew(rows_alone: int) -> None:
            await consume(spot, rows_alone, None)

        await go_on(count // 2)
        pairs = [(await timed(go_on, SLICE), await timed(start_anew, SLICE)) for _ in range(count // 2 // SLICE)]
        await run.aclose()
    deep, alone = ([one.cpu_us for one in costs] for costs in zip(*pairs, strict=True))
    print(f"\nCPU of a row: {spread(deep).text(1)} µs in the second half of a run of {count:,} rows, ", end="")
    print(f"{spread(alone).text(1)} µs in runs of {SLICE:,}")
    name = f"CPU of a row in the second half of a run of {count:,} rows / in runs of {SLICE:,}"
    return figure(name, ratio(deep, alone), at_most=MOST_GROWTH)


def memory(url: str, count: int) -> Figure:
    """Tell the peak of a process that makes one run with a journal."""
    command = [sys.executable, __file__, "--run-once", url, str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own script
    peak_mb = float(done.stdout)
    print(f"peak memory of a run of {count:,} rows with a journal: {peak_mb:.1f} MB")
    return figure(f"peak memory of a run of {count:,} rows with a journal", peak_mb, "MB")


async def run_once(url: str, count: int) -> None:
    """Run with a journal, and print this process's peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        async with SpotClient("benchmark", base_url=url) as spot:
            await consume(spot, count, Path(folder, "run.journal"))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
