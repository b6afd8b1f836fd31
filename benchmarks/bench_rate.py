"""How much of a fixed rate is used, and is it ever exceeded?

A ``RateLimit`` in real time: for some seconds more workers than the rate needs call ``update_metadata``, against the
thin server in another process. The share is what the server answered, of the rate. The worst second is the most slots
that were granted in any second, looked at in the client at the moment of the grant, since a loop that is busy may send
late what was granted; rate and burst bound it::

    python benchmarks/bench_rate.py [--rounds 3] [--seconds 5] [--rates 50 400 2000] [--json FILE]
"""

import asyncio
from bisect import bisect_left

from figures import Figure, figure, leave, options_of
from rounds import kit_ids, spread, thin_server

from spotdx_async import RateLimit, SpotClient
from spotdx_async._http.rate_limiter import Gcra, GcraLimiter

LEAST_USED = 0.98
WORKERS = 64


class NotingLimiter(GcraLimiter):
    """The client's own limiter, which writes down when it grants a slot."""

    def __init__(self, limit: RateLimit) -> None:
        super().__init__(limit)
        self._gcra = noting = NotingGcra(limit.interval_s, limit.burst_size)
        self.granted: list[float] = noting.taken


class NotingGcra(Gcra):
    """Its arithmetic, which does so."""

    def __init__(self, interval_s: float, burst: float) -> None:
        super().__init__(interval_s, burst)
        self.taken: list[float] = []

    def take(self, at_s: float) -> None:
        """Take a slot."""
        super().take(at_s)
        self.taken.append(at_s)


def main() -> None:
    """Measure, and print a table."""
    parser = options_of(__doc__, rounds=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rates", type=float, nargs="*", default=[50, 400, 2000])
    options = parser.parse_args()
    print(f"{options.rounds} runs of {options.seconds:g} s\n")
    print(f"{'rate':>6}  {'share used':>22}  {'worst second':>12}  bound")
    figures = [one for rate in options.rates for one in measured(rate, options.rounds, options.seconds)]
    leave(figures, options.json)


def measured(rate: float, rounds: int, seconds: float) -> list[Figure]:
    """Run at one rate."""
    limit = RateLimit(rate)
    shares, worst = [], 0
    for _ in range(rounds):
        with thin_server() as server:
            granted = asyncio.run(send(server.url, limit, seconds))
        assert server.answered is not None
        shares.append(server.answered / (rate * seconds))
        worst = max(worst, worst_second(granted))
    used, bound = spread(shares), rate + limit.burst_size
    print(f"{rate:>6g}  {used.text(3):>22}  {worst:>12}  {bound:g}")
    return [
        figure(f"share of {rate:,g} a second that is used", used, at_least=LEAST_USED),
        figure(f"slots granted in the worst second, at {rate:,g} a second", worst, at_most=bound),
    ]


async def send(url: str, limit: RateLimit, seconds: float) -> list[float]:
    """Call for so long; give the times of the grants."""
    limiter = NotingLimiter(limit)
    async with SpotClient("benchmark", base_url=url, rate_limit=limiter) as spot:
        ids = kit_ids(round(limit.rate * seconds * 2))

        async def work() -> None:
            for kit_id in ids:
                await spot.kits.update_metadata(kit_id, {"cohort": "A"})

        tasks = [asyncio.create_task(work()) for _ in range(WORKERS)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert len(limiter.granted) >= spot.stats.attempts > 0, "grants were not seen"
    return limiter.granted


def worst_second(times: list[float]) -> int:
    """The most of the sorted times that lie in one second."""
    return max(place + 1 - bisect_left(times, at_s - 1 + 1e-9) for place, at_s in enumerate(times))


if __name__ == "__main__":
    main()
