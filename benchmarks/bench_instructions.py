"""How many instructions does the SDK add to a call? Counted, not timed: the figure is the same on a busy machine.

Each kind of call runs in a process of its own under valgrind's cachegrind, which counts the instructions of the whole
process in user space; two runs that differ only in the number of calls give the instructions of one call (in kI, 1,000
instructions). The processes are forks of one that has imported everything, which takes many times the instructions of
the calls. The server is the thin one, outside of valgrind. Ratios are to the plain call, ``session.post`` and
``orjson.loads``, 10 at once, each to a kit of its own. Needs valgrind and ``fork``::

    python benchmarks/bench_instructions.py [--calls 400] [--rounds 3] [--json FILE]
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
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
_TOTAL = re.compile(r"==(\d+)== I +refs: +([\d,]+)")

Run = tuple[str, int]
"""A kind, and the number of its calls."""


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


def work(url: str, runs: list[Run]) -> None:
    """Fork a process for each run, one after the other, and print their ids."""
    for kind, calls in runs:
        pid = os.fork()
        if not pid:
            asyncio.run(KINDS[kind](url, calls))
            os._exit(0)
        assert os.waitpid(pid, 0) == (pid, 0)
        print(pid)


def counted(url: str, runs: list[Run]) -> list[int]:
    """Count the instructions of each run, and those of what they have in common."""
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={os.devnull}"]
    work = [sys.executable, __file__, "--work", url, *(str(word) for run in runs for word in run)]
    surroundings = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        surroundings.pop(name, None)
    done = subprocess.run(  # noqa: S603 - our own script
        [*valgrind, *work], capture_output=True, text=True, check=False, env=surroundings
    )
    assert done.returncode == 0, done.stderr
    totals = dict(_TOTAL.findall(done.stderr))
    return [int(totals[pid].replace(",", "")) for pid in done.stdout.split()]


def instructions_a_call(kinds: list[str], calls: int, repeats: int = 1) -> dict[str, list[float]]:
    """Give the instructions of a call of each kind, one figure a repeat."""
    runs = [(kind, number) for kind in kinds for number in (WARM_UP, WARM_UP + calls)]
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    with thin_server(pinned=False) as server:
        for _ in range(repeats):
            totals = iter(counted(server.url, runs))
            for kind, few, many in zip(kinds, totals, totals, strict=True):
                found[kind].append((many - few) / calls)
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
        work(sys.argv[2], [*zip(sys.argv[3::2], map(int, sys.argv[4::2]), strict=True)])
    else:
        main()
