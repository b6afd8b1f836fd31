"""How well does ``AdaptiveRateLimit`` find a rate that nobody tells, and how soon a new one?

The client's own limiter against simulated servers, in virtual time, with seeded latencies: no sockets, no waiting, the
same figures on every machine. Each client always has more to send, up to 64 requests on their way. Prints three tables,
and draws one client whose limit changes::

    python benchmarks/bench_adaptive.py [--plot benchmarks/adaptive.svg] [--seeds 1]
"""

import argparse
import asyncio
import itertools
import math
import os
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from spotdx_async import AdaptiveRateLimit
from spotdx_async._http.rate_limiter import GcraLimiter
from spotdx_async.testing import run_virtual

MOST_IN_FLIGHT = 64
LEARNED_AFTER_S = 30.0
WARM_UP_S = 100.0
AFTER_CHANGE_S = 110.0
WINDOW_S = 10.0
LONG_WINDOW_S = 30.0
COLOURS = {"allowed": "#666666", "limit": "#1f6fb2", "used": "#2a9d4a", "refused": "#c0392b"}


class Server(Protocol):
    """Decides on a request."""

    def take(self, now_s: float) -> float | None:
        """None: accepted. Else a 429, with so many seconds of ``Retry-After``; 0: without the header."""
        ...


@dataclass
class BucketServer:
    """A token bucket that holds ``size_s`` seconds' worth."""

    rate: float
    size_s: float = 1.0
    tells: bool = False
    """Whether a 429 carries ``Retry-After``, in whole seconds."""
    level: float = math.inf
    at_s: float = 0.0

    def take(self, now_s: float) -> float | None:
        """Take a token."""
        size = max(1.0, self.rate * self.size_s)
        self.level = min(size, self.level + (now_s - self.at_s) * self.rate)
        self.at_s = now_s
        if self.level >= 1 - 1e-9:
            self.level -= 1
            return None
        return math.ceil((1 - self.level) / self.rate) if self.tells else 0.0


@dataclass
class WindowServer:
    """So many requests in each window of the clock; ``Retry-After`` to the window's end, in whole seconds."""

    rate: float
    length_s: float
    window: int = -1
    count: int = 0

    def take(self, now_s: float) -> float | None:
        """Count a request."""
        window = int(now_s // self.length_s)
        if window != self.window:
            self.window, self.count = window, 0
        if self.count < round(self.rate * self.length_s):
            self.count += 1
            return None
        return math.ceil((window + 1) * self.length_s - now_s)


@dataclass
class Run:
    """Clients that always have something to send, against one server."""

    server: Server
    clients: int = 1
    start: float = 10.0
    latency_s: float = 0.1
    seed: int = 1
    changes: Mapping[float, Callable[[], object]] = field(default_factory=dict)
    """What happens when."""
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)
    """The sum of the clients' rates, four times a second."""

    def go(self, seconds: float) -> "Run":
        """Run for so many virtual seconds."""
        run_virtual(self._go(seconds))
        return self

    def measure(self, from_s: float, to_s: float, rate: float) -> tuple[float, float]:
        """Give the share of the rate that was used, and the share of 429s among the answers."""
        accepted, refused = count(self.accepted, from_s, to_s), count(self.refused, from_s, to_s)
        return accepted / (rate * (to_s - from_s)), refused / max(1, accepted + refused)

    async def _go(self, seconds: float) -> None:
        dice = random.Random(self.seed)
        limiters = [GcraLimiter(AdaptiveRateLimit(self.start)) for _ in range(self.clients)]
        tasks = [asyncio.create_task(self._send(limiter, dice)) for limiter in limiters]
        tasks.append(asyncio.create_task(self._watch(limiters)))
        for at_s, change in self.changes.items():
            asyncio.get_running_loop().call_at(at_s, change)
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _watch(self, limiters: list[GcraLimiter]) -> None:
        while True:
            self.rates.append((asyncio.get_running_loop().time(), sum(limiter.rate or 0 for limiter in limiters)))
            await asyncio.sleep(0.25)

    async def _send(self, limiter: GcraLimiter, dice: random.Random) -> None:
        loop = asyncio.get_running_loop()
        places = asyncio.Semaphore(MOST_IN_FLIGHT)

        def arrive(sent_s: float, back_s: float) -> None:
            now = loop.time()
            wait_s = self.server.take(now)
            (self.accepted if wait_s is None else self.refused).append(now)
            loop.call_at(now + back_s, answer, sent_s, wait_s)

        def answer(sent_s: float, wait_s: float | None) -> None:
            places.release()
            if wait_s is not None:
                limiter.throttled(sent_s)
            if wait_s:
                limiter.pause(wait_s)

        while True:
            await places.acquire()
            await limiter.acquire()
            there_s, back_s = (self.latency_s * dice.uniform(0.4, 0.6) for _ in range(2))
            loop.call_at(loop.time() + there_s, arrive, loop.time(), back_s)


def count(times: list[float], from_s: float, to_s: float) -> int:
    """How many of the sorted times lie in between."""
    return bisect_left(times, to_s) - bisect_left(times, from_s)


@dataclass(frozen=True)
class Case:
    """What one simulation is made of."""

    kind: str
    """``bucket``, ``bucket+RA`` (with Retry-After) or ``window``."""
    rate: float
    size_s: float
    latency_s: float
    clients: int
    start: float = 10.0
    factor: float = 1.0
    seed: int = 1


def steady(case: Case) -> tuple[float, float]:
    """Give the share used and the share of 429s, from 30 s on: two minutes, or four windows."""
    server: Server
    if case.kind == "window":
        server = WindowServer(case.rate, case.size_s)
    else:
        server = BucketServer(case.rate, case.size_s, tells=case.kind == "bucket+RA")
    until_s = LEARNED_AFTER_S + (max(120.0, 4 * case.size_s) if case.kind == "window" else 120.0)
    run = Run(server, case.clients, case.start, case.latency_s, case.seed).go(until_s)
    return run.measure(LEARNED_AFTER_S, until_s, case.rate)


def relearn(case: Case) -> float:
    """Give the seconds until a changed limit is learned again; infinity: not within 80.

    That is the first moment from which on 95 % of the new rate are used in 10 s, and 1 % or less of the answers in 30 s
    are 429s, or no more than one for each client: at 5 a second, 1 % of the answers in 30 s are one and a half.
    """
    server = BucketServer(case.rate, case.size_s, tells=case.kind == "bucket+RA")
    change_s = WARM_UP_S + 3.7 * case.seed  # another phase of the learning for each seed
    new_rate = case.rate * case.factor
    changes = {change_s: partial(setattr, server, "rate", new_rate)}
    run = Run(server, case.clients, case.start, case.latency_s, case.seed, changes).go(change_s + AFTER_CHANGE_S)
    passed_s = 0.0
    while passed_s <= AFTER_CHANGE_S - LONG_WINDOW_S:
        at_s = change_s + passed_s
        used, _ = run.measure(at_s, at_s + WINDOW_S, new_rate)
        _, refused = run.measure(at_s, at_s + LONG_WINDOW_S, new_rate)
        few = count(run.refused, at_s, at_s + LONG_WINDOW_S) <= case.clients
        if used >= 0.95 and (refused <= 0.01 or few):
            return passed_s
        passed_s += 0.5
    return math.inf


def report_steady(pool: ProcessPoolExecutor, title: str, cases: list[Case], least_used: float, most: float) -> None:
    """Print the worst, the middle and how many keep the bars, a row for each kind, rate and number of clients."""
    figures = dict(zip(cases, pool.map(steady, cases, chunksize=4), strict=True))
    print(f"\n{title}")
    print(f"{'server':>10} {'rate':>5} {'clients':>7}  {'used, least':>11}  {'429s, most':>10}  {'mean':>6}  kept")
    for key, group in grouped(cases, lambda case: (case.kind, case.rate, case.clients)):
        used = [figures[case][0] for case in group]
        refused = [figures[case][1] for case in group]
        kept = sum(figures[case][0] >= least_used and figures[case][1] <= most for case in group)
        print(
            f"{key[0]:>10} {key[1]:>5g} {key[2]:>7}  {min(used):>11.1%}  {max(refused):>10.2%}  "
            f"{sum(refused) / len(refused):>6.2%}  {kept} of {len(group)}"
        )


def report_relearn(pool: ProcessPoolExecutor, cases: list[Case]) -> None:
    """Print the seconds until a new limit is learned, a row for each kind, rate and number of clients."""
    figures = dict(zip(cases, pool.map(relearn, cases, chunksize=2), strict=True))
    print("\nthe limit changes: seconds until 95 % are used and 1 % or less are 429s, or one a client; best and worst")
    factors = sorted({case.factor for case in cases})
    print(f"{'server':>10} {'rate':>5} {'clients':>7}" + "".join(f"  {f'x{factor:g}':>13}" for factor in factors))
    for key, group in grouped(cases, lambda case: (case.kind, case.rate, case.clients)):
        cells = []
        for factor in factors:
            seconds = sorted(figures[case] for case in group if case.factor == factor)
            cells.append(f"  {seconds[0]:>5.1f} / {seconds[-1]:>5.1f}")
        print(f"{key[0]:>10} {key[1]:>5g} {key[2]:>7}" + "".join(cells))


def grouped(
    cases: list[Case], key: Callable[[Case], tuple[str, float, int]]
) -> Iterable[tuple[tuple[str, float, int], list[Case]]]:
    """Give the cases by their key."""
    ordered = sorted(cases, key=key)
    return ((found, list(group)) for found, group in itertools.groupby(ordered, key))


def draw(path: Path) -> None:
    """Draw one client while its limit changes: 50, then 25, 100 and 50 requests a second."""
    steps = [(0.0, 50.0), (60.0, 25.0), (120.0, 100.0), (180.0, 50.0)]
    server = BucketServer(50)
    changes = {at_s: partial(setattr, server, "rate", rate) for at_s, rate in steps[1:]}
    run = Run(server, changes=changes).go(240)
    plot = Plot(seconds=240, most=175)
    ends = [at_s for at_s, _ in steps[1:]] + [240.0]
    allowed = [(at_s, rate) for (start_s, rate), end_s in zip(steps, ends, strict=True) for at_s in (start_s, end_s)]
    plot.line("allowed", allowed, width=4)
    plot.line("limit", run.rates, width=1.5)
    plot.line("used", [(at, count(run.accepted, at - 1, at + 1) / 2) for at in (i / 2 for i in range(2, 479))], width=2)
    plot.marks("refused", run.refused)
    path.write_text(plot.svg(), encoding="utf-8")
    print(f"\ndrawn: {path}")


class Plot:
    """A plot over time, written as SVG by hand: no library draws so little with so few bytes."""

    LEFT, TOP, WIDTH, HEIGHT = 60, 56, 800, 300
    WORDS = (
        ("allowed", "allowed by the server"),
        ("used", "used (mean of 2 s)"),
        ("limit", "learned limit"),
        ("refused", "a 429"),
    )

    def __init__(self, seconds: float, most: float) -> None:
        self._seconds = seconds
        self._most = most
        self._parts: list[str] = []

    def line(self, name: str, points: list[tuple[float, float]], width: float) -> None:
        """Add a line."""
        text = " ".join(f"{self._x(at):.1f},{self._y(value):.1f}" for at, value in points)
        style = f'fill="none" stroke="{COLOURS[name]}" stroke-width="{width}"'
        self._parts.append(f'<polyline points="{text}" {style} stroke-linejoin="round"/>')

    def marks(self, name: str, times: list[float]) -> None:
        """Add a stroke at the bottom for each moment."""
        bottom = self.TOP + self.HEIGHT
        path = "".join(f"M{self._x(at):.1f} {bottom}v-14" for at in times)
        self._parts.append(f'<path d="{path}" stroke="{COLOURS[name]}" stroke-width="1.5"/>')

    def svg(self) -> str:
        """Give the whole picture."""
        width, height = self.LEFT + self.WIDTH + 20, self.TOP + self.HEIGHT + 50
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
            f'font-size="13" role="img"><title>AdaptiveRateLimit while the limit changes</title>'
            f'<rect width="{width}" height="{height}" fill="white"/>'
        )
        return "\n".join([head, *self._axes(), *self._parts, *self._legend(), "</svg>"]) + "\n"

    def _x(self, at_s: float) -> float:
        return self.LEFT + self.WIDTH * at_s / self._seconds

    def _y(self, value: float) -> float:
        return self.TOP + self.HEIGHT * (1 - min(value, self._most) / self._most)

    def _axes(self) -> Iterable[str]:
        right, bottom = self.LEFT + self.WIDTH, self.TOP + self.HEIGHT
        for value in range(0, int(self._most) + 1, 25):
            y = self._y(value)
            yield f'<path d="M{self.LEFT} {y:.1f}H{right}" stroke="#dddddd"/>'
            yield f'<text x="{self.LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'
        for at_s in range(0, int(self._seconds) + 1, 20):
            yield f'<text x="{self._x(at_s):.1f}" y="{bottom + 18}" text-anchor="middle">{at_s}</text>'
        yield f'<text x="{self.LEFT + self.WIDTH / 2}" y="{bottom + 40}" text-anchor="middle">seconds</text>'
        yield f'<text x="{self.LEFT}" y="{self.TOP - 12}">requests a second</text>'

    def _legend(self) -> Iterable[str]:
        for place, (name, words) in enumerate(self.WORDS):
            x = self.LEFT + 225 * place
            yield f'<path d="M{x} 20h24" stroke="{COLOURS[name]}" stroke-width="4"/>'
            yield f'<text x="{x + 30}" y="25">{words}</text>'


def main() -> None:
    """Run all, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_name("adaptive.svg"))
    parser.add_argument(
        "--seeds", type=int, default=1, help="runs of each case (twice as many where the limit changes)"
    )
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    kinds, clients = ("bucket", "bucket+RA"), (1, 2, 4)
    buckets = [
        Case(kind, rate, size_s, latency_s, number, start, seed=seed)
        for kind in kinds
        for rate, size_s, latency_s, number in itertools.product((5, 20, 50, 200), (1, 5), (0.02, 0.2), clients)
        for start in ((1, 10, 500) if (size_s, latency_s) == (1, 0.2) else (10,))
        for seed in seeds
    ]
    windows = [
        Case("window", *values, seed=seed)
        for values in itertools.product((5, 20, 50), (1, 10, 60), (0.2,), clients)
        for seed in seeds
    ]
    moving = [
        Case(kind, rate, 1, 0.1, number, factor=factor, seed=seed)
        for kind, rate, number, factor in itertools.product(kinds, (10, 20, 50), clients, (0.5, 2, 4))
        for seed in range(1, 2 * options.seeds + 1)
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        report_steady(pool, "token bucket, after 30 s; bars: 95 % used, 1 % 429s", buckets, 0.95, 0.01)
        report_steady(pool, "fixed window with Retry-After, after 30 s; bar: 90 % used", windows, 0.90, 1.0)
        report_relearn(pool, moving)
    draw(options.plot)


if __name__ == "__main__":
    main()
