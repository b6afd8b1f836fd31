"""What does the SDK add to a call? One ``update_metadata`` against plain ``session.post`` and ``orjson.loads``.

Both talk to the same thin server in another process, in turn, round by round, each call to a kit of its own. CPU is
this process's alone. Run it with the package installed::

    python benchmarks/bench_call.py [--rounds 15] [--calls 2000]
"""

import argparse
import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import orjson

from spotdx_async import SpotClient

CONCURRENCIES = (1, 10, 100)
Call = Callable[[str], Awaitable[object]]


async def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    server = subprocess.Popen(  # noqa: ASYNC220, S603 - started once, before anything is measured
        [sys.executable, str(Path(__file__).with_name("loopback_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    base_url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    try:
        await measure(base_url, options.rounds, options.calls)
    finally:
        server.communicate()


async def measure(base_url: str, rounds: int, calls: int) -> None:
    """Run the rounds of all concurrencies and print their medians."""
    headers = {"Authorization": "Token benchmark", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        SpotClient("benchmark", base_url=base_url, concurrency=200) as spot,
    ):

        async def plain(kit_id: str) -> object:
            body = orjson.dumps({"metadata": {"cohort": "A"}})
            async with session.post(f"{base_url}/api/v2/kits/{kit_id}/", data=body) as response:
                return orjson.loads(await response.read())

        async def typed(kit_id: str) -> object:
            return await spot.kits.update_metadata(kit_id, {"cohort": "A"})

        print(f"{calls} calls a round, {rounds} rounds; ratios are medians over the rounds, with quartiles")
        print(f"{'concurrency':>11}  {'plain CPU':>9}  {'typed CPU':>9}  {'CPU ratio':>20}  {'wall ratio':>20}")
        for concurrency in CONCURRENCIES:
            await run(plain, calls, concurrency)
            await run(typed, calls, concurrency)
            pairs = []
            for round_number in range(rounds):
                first, second = (plain, typed) if round_number % 2 else (typed, plain)
                figures = {first: await run(first, calls, concurrency), second: await run(second, calls, concurrency)}
                pairs.append((figures[plain], figures[typed]))
            report(concurrency, pairs)


async def run(call: Call, calls: int, concurrency: int) -> tuple[float, float]:
    """Microseconds a call of CPU and of wall time, by workers that share one run of kit ids."""
    kit_ids = iter([f"SPOT{number:09d}" for number in range(calls)])
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work(call, kit_ids))
    return (time.process_time() - cpu) / calls * 1e6, (time.perf_counter() - wall) / calls * 1e6


async def work(call: Call, kit_ids: Iterator[str]) -> None:
    """Call for one kit after the other."""
    for kit_id in kit_ids:
        await call(kit_id)


def report(concurrency: int, pairs: list[tuple[tuple[float, float], tuple[float, float]]]) -> None:
    """Print one row of the table."""
    cpu = [typed[0] / plain[0] for plain, typed in pairs]
    wall = [typed[1] / plain[1] for plain, typed in pairs]
    plain_us = statistics.median(plain[0] for plain, _ in pairs)
    typed_us = statistics.median(typed[0] for _, typed in pairs)
    print(f"{concurrency:>11}  {plain_us:>6.0f} µs  {typed_us:>6.0f} µs  {spread(cpu):>20}  {spread(wall):>20}")


def spread(ratios: list[float]) -> str:
    """The median with the quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    asyncio.run(main())
