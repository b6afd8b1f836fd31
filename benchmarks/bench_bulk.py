"""What does a bulk run cost beside a plain pool of workers, what does its journal add, and is its memory flat?

Throughput: ``update_metadata_many`` (without Kits, as the command line runs it), the same with a journal, and a pool
of workers on raw aiohttp that parses each answer, in turn, round by round, against the same server in another process,
with the same concurrency. The server answers after ``--latency-ms``, as a network would, or at once with 0, so that
nothing but the client's CPU counts. Memory: the peak of a process of its own for each number of rows::

    python benchmarks/bench_bulk.py [--rounds 5] [--rows 10000] [--latency-ms 20 0] [--memory 100000 1000000]
"""

import argparse
import asyncio
import gc
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import orjson

from spotdx_async import SpotClient

CONCURRENCY = 64
METADATA = {"cohort": "A", "site": "Oslo", "visit": 3}
Runner = Callable[[int], Awaitable[None]]


def rows(count: int) -> Iterator[tuple[str, dict[str, object]]]:
    """Give rows of kits that come once each."""
    return ((f"SPOT{number:09d}", METADATA) for number in range(count))


async def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--latency-ms", type=float, nargs="*", default=[20, 0])
    parser.add_argument("--memory", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--run-once", metavar="URL", help="one run of --rows rows, for the memory of this process")
    options = parser.parse_args()
    if options.run_once:
        await run_once(options.run_once, options.rows)
        return
    print(f"{options.rows} rows a round, {options.rounds} rounds, concurrency {CONCURRENCY}; medians with quartiles")
    print(f"{'latency':>8}  {'plain pool':>12}  {'bulk / pool':>20}  {'with journal / bulk':>20}")
    for latency_ms in options.latency_ms:
        with Server(latency_ms) as url:
            await measure(url, latency_ms, options.rounds, options.rows)
    with Server(0) as url:
        for count in options.memory:
            report_memory(url, count)


class Server:
    """The thin server in a process of its own."""

    def __init__(self, latency_ms: float) -> None:
        self._latency_ms = latency_ms

    def __enter__(self) -> str:
        """Start it; give its address."""
        script = str(Path(__file__).with_name("loopback_server.py"))
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, script, str(self._latency_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        return f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.communicate()


async def measure(url: str, latency_ms: float, rounds: int, count: int) -> None:
    """Run the rounds for one latency and print their medians."""
    headers = {"Authorization": "Token benchmark", "Content-Type": "application/json"}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session,
            SpotClient("benchmark", base_url=url) as spot,
        ):

            async def pool(count: int) -> None:
                given = rows(count)
                async with asyncio.TaskGroup() as group:
                    for _ in range(CONCURRENCY):
                        group.create_task(work(session, url, given))

            async def bulk(count: int) -> None:
                await consume(spot, count, None)

            async def journaled(count: int) -> None:
                await consume(spot, count, Path(folder, f"{time.monotonic_ns()}.journal"))

            runners = (pool, bulk, journaled)
            for runner in runners:
                await seconds(runner, min(count, 2000))
            figures: dict[Runner, list[float]] = {runner: [] for runner in runners}
            for number in range(rounds):
                for runner in (*runners[number % 3 :], *runners[: number % 3]):
                    figures[runner].append(await seconds(runner, count))
    rate = count / statistics.median(figures[pool])
    beside_pool = spread([pool_s / bulk_s for pool_s, bulk_s in zip(figures[pool], figures[bulk], strict=True)])
    beside_bulk = spread([bulk_s / both_s for bulk_s, both_s in zip(figures[bulk], figures[journaled], strict=True)])
    print(f"{latency_ms:>5} ms  {rate:>8.0f} / s  {beside_pool:>20}  {beside_bulk:>20}")


async def work(session: aiohttp.ClientSession, url: str, given: Iterator[tuple[str, dict[str, object]]]) -> None:
    """Send one row after the other."""
    for kit_id, metadata in given:
        body = orjson.dumps({"metadata": metadata})
        async with session.post(f"{url}/api/v2/kits/{kit_id}/", data=body) as response:
            orjson.loads(await response.read())


async def consume(spot: SpotClient, count: int, journal: Path | None) -> None:
    """Run, and look at every outcome."""
    done = 0
    async for outcome in spot.kits.update_metadata_many(
        rows(count), concurrency=CONCURRENCY, decode=False, journal=journal
    ):
        done += outcome.ok
    assert done == count


async def seconds(runner: Runner, count: int) -> float:
    """How long a run takes."""
    gc.collect()
    began = time.perf_counter()
    await runner(count)
    return time.perf_counter() - began


async def run_once(url: str, count: int) -> None:
    """Run, and print this process's peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        async with SpotClient("benchmark", base_url=url) as spot:
            await consume(spot, count, Path(folder, "run.journal"))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def report_memory(url: str, count: int) -> None:
    """Print the peak of a process that makes one run with a journal."""
    command = [sys.executable, __file__, "--run-once", url, "--rows", str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own script
    print(f"peak memory of a run of {count:,} rows with a journal: {float(done.stdout):.1f} MB")


def spread(ratios: list[float]) -> str:
    """The median with the quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    asyncio.run(main())
