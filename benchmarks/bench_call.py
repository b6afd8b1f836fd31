"""What does the SDK add to a call, and what does uvloop take away?

One ``update_metadata`` against plain ``session.post`` and ``orjson.loads``, both on one loop against the same thin
server in another process, in turn, round by round, each call to a kit of its own. CPU is this process's alone. Then the
typed call on a loop of uvloop against the same on asyncio's, where uvloop is installed::

    python benchmarks/bench_call.py [--rounds 15] [--calls 2000] [--json FILE]
"""

import asyncio
import importlib
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial

import aiohttp
import orjson
from figures import Figure, figure, leave, not_measured, options_of
from rounds import Call, Cost, cost, interleaved, ratio, spread, thin_server

from spotdx_async import SpotClient

CONCURRENCIES = (1, 10, 100)
MOST_AT_TEN = 1.18
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def main() -> None:
    """Measure, and print two tables."""
    parser = options_of(__doc__, rounds=15)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    print(f"{options.calls} calls a round, {options.rounds} rounds; ratios are medians over the rounds, with quartiles")
    with thin_server() as server:
        found = beside_plain(server.url, options.rounds, options.calls)
        found += beside_asyncio(server.url, options.rounds, options.calls)
    leave(found, options.json)


def beside_plain(url: str, rounds: int, calls: int) -> list[Figure]:
    """Run the rounds of the typed and the plain call."""
    print(f"\n{'concurrency':>11}  {'plain CPU':>9}  {'typed CPU':>9}  {'CPU ratio':>20}  {'wall ratio':>20}")
    found = []
    with Side(url, asyncio.new_event_loop).opened() as side:
        for concurrency in CONCURRENCIES:
            ways = {"plain": side.plain, "typed": side.typed}
            kinds = {name: partial(side.cost, way, calls, concurrency) for name, way in ways.items()}
            costs = interleaved(kinds, rounds)
            plain, typed = cpu_of(costs["plain"]), cpu_of(costs["typed"])
            added = ratio(typed, plain)
            wall = ratio(*([one.wall_us for one in costs[name]] for name in ("typed", "plain")))
            print(
                f"{concurrency:>11}  {spread(plain).middle:>6.0f} µs  {spread(typed).middle:>6.0f} µs  "
                f"{added.text():>20}  {wall.text():>20}"
            )
            bar = MOST_AT_TEN if concurrency == 10 else None
            found.append(figure(f"typed update / plain aiohttp, CPU, {concurrency} at once", added, at_most=bar))
    return found


def beside_asyncio(url: str, rounds: int, calls: int) -> list[Figure]:
    """Run the rounds of the typed call on both loops."""
    name = "typed update, uvloop / asyncio, CPU, {} at once"
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        print("\nuvloop is not installed")
        return [not_measured(name.format(10), "uvloop is not installed")]
    print(f"\n{'concurrency':>11}  {'asyncio CPU':>11}  {'uvloop CPU':>10}  {'CPU ratio':>20}")
    found = []
    with (
        Side(url, asyncio.new_event_loop).opened() as on_asyncio,
        Side(url, uvloop.new_event_loop).opened() as on_uvloop,
    ):
        for concurrency in CONCURRENCIES:
            sides = {"asyncio": on_asyncio, "uvloop": on_uvloop}
            kinds = {loop: partial(side.cost, side.typed, calls, concurrency) for loop, side in sides.items()}
            costs = interleaved(kinds, rounds)
            slow, fast = cpu_of(costs["asyncio"]), cpu_of(costs["uvloop"])
            left = ratio(fast, slow)
            print(
                f"{concurrency:>11}  {spread(slow).middle:>8.0f} µs  {spread(fast).middle:>7.0f} µs  {left.text():>20}"
            )
            found.append(figure(name.format(concurrency), left))
            if concurrency == 10:
                print(f"{'':>11}  uvloop: {1 - left.middle:.0%} less CPU at concurrency 10")
    return found


class Side:
    """A loop with a session of plain aiohttp and a client of the SDK."""

    def __init__(self, url: str, loop_factory: LoopFactory) -> None:
        self._url = url
        self._loop_factory = loop_factory

    @contextmanager
    def opened(self) -> Iterator["Side"]:
        """Open both; close them, and the loop."""
        with asyncio.Runner(loop_factory=self._loop_factory) as self._runner:
            stack = AsyncExitStack()
            self._runner.run(self._open(stack))
            try:
                yield self
            finally:
                self._runner.run(stack.aclose())

    async def _open(self, stack: AsyncExitStack) -> None:
        headers = {"Authorization": "Token benchmark", "Content-Type": "application/json"}
        connector = aiohttp.TCPConnector(limit=0)
        self._session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=headers))
        self._spot = await stack.enter_async_context(SpotClient("benchmark", base_url=self._url, concurrency=200))

    def cost(self, call: Call, calls: int, concurrency: int) -> Cost:
        """Make so many calls on this loop."""
        return self._runner.run(cost(call, calls, concurrency))

    async def plain(self, kit_id: str) -> object:
        """Post and parse with aiohttp and orjson alone."""
        body = orjson.dumps({"metadata": {"cohort": "A"}})
        async with self._session.post(f"{self._url}/api/v2/kits/{kit_id}/", data=body) as response:
            return orjson.loads(await response.read())

    async def typed(self, kit_id: str) -> object:
        """Call ``update_metadata``."""
        return await self._spot.kits.update_metadata(kit_id, {"cohort": "A"})


def cpu_of(costs: list[Cost]) -> list[float]:
    """The CPU of each round."""
    return [one.cpu_us for one in costs]


if __name__ == "__main__":
    main()
