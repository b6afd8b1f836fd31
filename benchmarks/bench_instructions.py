"""How many instructions does the SDK add to a call? Counted, not timed: the figure is the same on a busy machine.

Each kind of call runs in a process of its own under valgrind's callgrind, which counts the instructions of the whole
process in user space; two runs that differ only in the number of calls give the instructions of one call (in kI, 1,000
instructions). The server is the thin one, outside of valgrind. Ratios are to the plain call, ``session.post`` and
``orjson.loads``, 10 at once, each to a kit of its own. Needs valgrind::

    python benchmarks/bench_instructions.py [--calls 400] [--rounds 3] [--json FILE]
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import orjson
from figures import figure, leave, options_of
from rounds import Spread, thin_server

from spotdx_async import SpotClient

CONCURRENCY = 10
WARM_UP = 100
METADATA = {"cohort": "A"}
PLAIN = "plain"
BARS = {"typed": 1.27, "bulk": 1.10}
"""The most that a kind may take of the plain call's instructions."""
NAMES = {"typed": "typed call / plain call, instructions", "bulk": "bulk row / plain call, instructions"}
_TOTAL = re.compile(r"Collected : (\d+)")


async def plain(url: str, calls: int) -> None:
    """Post and parse with aiohttp and orjson alone."""
    await pool(url, calls, orjson.loads)


async def unparsed(url: str, calls: int) -> None:
    """Post with aiohttp alone, and read the answer without parsing it."""
    await pool(url, calls, len)


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


KINDS: dict[str, Callable[[str, int], Coroutine[Any, Any, None]]] = {
    PLAIN: plain,
    "unparsed": unparsed,
    "typed": typed,
    "bulk": bulk,
}


async def pool(url: str, calls: int, parse: Callable[[bytes], object]) -> None:
    """Post with aiohttp alone."""
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


def counted(kind: str, url: str, calls: int) -> int:
    """Count the instructions of a process that makes so many calls."""
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}"]
    work = [sys.executable, __file__, "--work", kind, url, str(calls)]
    surroundings = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        surroundings.pop(name, None)
    done = subprocess.run(  # noqa: S603 - our own script
        [*valgrind, *work], capture_output=True, text=True, check=False, env=surroundings
    )
    total = _TOTAL.search(done.stderr)
    assert done.returncode == 0, done.stderr
    assert total is not None
    return int(total[1])


def instructions_a_call(kinds: list[str], calls: int, repeats: int = 1) -> dict[str, list[float]]:
    """Give the instructions of a call of each kind, one figure a repeat."""
    runs = [(kind, number) for _ in range(repeats) for kind in kinds for number in (WARM_UP, WARM_UP + calls)]
    # Counting does not mind a neighbour, so all cores work.
    with thin_server(pinned=False) as server, ThreadPoolExecutor(os.cpu_count()) as threads:
        totals = list(threads.map(lambda run: counted(run[0], server.url, run[1]), runs))
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for place in range(0, len(runs), 2):
        found[runs[place][0]].append((totals[place + 1] - totals[place]) / calls)
    return found


def main() -> None:
    """Count, and print one table."""
    parser = options_of(__doc__, rounds=3)
    parser.add_argument("--calls", type=int, default=400)
    options = parser.parse_args()
    found = instructions_a_call(list(KINDS), options.calls, options.rounds)
    base = statistics.median(found[PLAIN])
    print(f"{options.calls} calls, {options.rounds} repeats; the least and the greatest in brackets\n")
    print("| call | kI | of the plain call |\n|---|---|---|")
    figures = []
    for kind, values in found.items():
        share_of_plain = Spread(statistics.median(values) / base, min(values) / base, max(values) / base)
        print(f"| {kind} | {statistics.median(values) / 1000:.0f} | {share_of_plain.text(3)} |")
        if kind in BARS:
            figures.append(figure(NAMES[kind], share_of_plain, at_most=BARS[kind]))
    leave(figures, options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        asyncio.run(KINDS[sys.argv[2]](sys.argv[3], int(sys.argv[4])))
    else:
        main()
