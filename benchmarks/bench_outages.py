"""Which share of its healthy rate does a bulk run keep while a part of the requests fails, and while a server flaps?

A run against the fake server over loopback, in virtual time, so that the machine's own speed does not count: answers
after 20 ms, 32 at once, and a share of all requests is answered 503. Rounds are interleaved: each has its own healthy
run, and the figures are ratios to it. Then a server that is away for 0.3 s every 3 s, and one that is 2 s up and 2 s
down, at 200 a second. Prints two tables, and draws the first::

    python benchmarks/bench_outages.py [--plot benchmarks/outages.svg] [--rounds 3] [--rows 6000]
"""

import argparse
import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from spotdx_async import RateLimit
from spotdx_async.testing import FakeSpot, run_virtual

SHARES = (0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4)
LATENCY_S = 0.02
CONCURRENCY = 32
FLAPS = {"0.3 s of maintenance every 3 s": (2.7, 0.3), "2 s up, 2 s down": (2.0, 2.0)}
FLAP_RATE = 200.0
FLAP_S = 24.0
BAR = 0.8
FLAP_BAR = 0.7


def prepared(fake: FakeSpot, count: int) -> list[tuple[str, dict[str, int]]]:
    """Give rows, each of a kit of its own."""
    kit_ids = [f"SPOT{n}" for n in range(count)]
    fake.kits.add_many(kit_ids)
    return [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]


async def partial(share: float, *, rows: int, seed: int) -> tuple[float, float]:
    """Give rows a second, and requests a row."""
    async with FakeSpot(latency_s=LATENCY_S, keep_requests=False) as fake:
        updates = prepared(fake, rows)
        fake.faults.random(share, seed=seed, kinds=["503"])
        async with fake.client() as spot:
            began_s = asyncio.get_running_loop().time()
            async with spot.kits.update_metadata_many(updates, concurrency=CONCURRENCY) as run:
                states = [outcome.state async for outcome in run]
            took_s = asyncio.get_running_loop().time() - began_s
    if set(states) != {"ok"}:
        raise RuntimeError(f"{rows - states.count('ok')} rows are not ok")
    return rows / took_s, fake.counts["requests"] / rows


async def flapping(up_s: float, down_s: float) -> tuple[float, float]:
    """Give the share of the time that the server was up which was used, and requests a row."""
    async with FakeSpot(latency_s=LATENCY_S, keep_requests=False) as fake:
        updates = prepared(fake, int(FLAP_RATE * FLAP_S))
        loop = asyncio.get_running_loop()
        for n in range(int(FLAP_S / (up_s + down_s))):
            down_at_s = loop.time() + n * (up_s + down_s) + up_s
            loop.call_at(down_at_s, lambda: fake.faults.add("503", times=None))
            loop.call_at(down_at_s + down_s, fake.faults.clear)
        done, end_s = 0, loop.time() + FLAP_S
        async with (
            fake.client(rate_limit=RateLimit(FLAP_RATE)) as spot,
            spot.kits.update_metadata_many(updates) as run,
        ):
            async for _ in run:
                done += 1
                if loop.time() >= end_s:
                    break
    possible = FLAP_RATE * FLAP_S * up_s / (up_s + down_s)
    return done / possible, fake.counts["requests"] / done


def draw(path: Path, kept: dict[float, float]) -> None:
    """Draw the share of the healthy rate that is kept over the share that fails, with what is left and the bar."""
    left, top, width, height = 60, 50, 640, 300

    def at(share: float, rate: float) -> str:
        return f"{left + width * share / 0.4:.1f},{top + height * (1 - rate):.1f}"

    def line(points: Iterable[tuple[float, float]], colour: str, style: str) -> str:
        text = " ".join(at(*point) for point in points)
        return f'<polyline points="{text}" fill="none" stroke="{colour}" {style}/>'

    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {top + height + 50}" '
        'font-family="sans-serif" font-size="13" role="img"><title>Rate of a bulk run in a partial outage</title>'
        f'<rect width="{left + width + 30}" height="{top + height + 50}" fill="white"/>'
    )
    parts = [head]
    for tenth in range(0, 11, 2):
        y = top + height * (1 - tenth / 10)
        parts.append(f'<path d="M{left} {y:.1f}H{left + width}" stroke="#dddddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tenth / 10:.0%}</text>')
    for share in SHARES:
        x = left + width * share / 0.4
        parts.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{share:.0%}</text>')
    parts.append(line([(share, 1 - share) for share in (0, 0.4)], "#666666", 'stroke-width="2"'))
    parts.append(line([(s, BAR * (1 - s)) for s in (0, 0.4)], "#c0392b", 'stroke-width="2" stroke-dasharray="6 4"'))
    parts.append(line(sorted(kept.items()), "#1f6fb2", 'stroke-width="2.5"'))
    for share, rate in kept.items():
        cx, cy = at(share, rate).split(",")
        parts.append(f'<circle cx="{cx}" cy="{cy}" r="4" fill="#1f6fb2"/>')
    words = (("#1f6fb2", "measured"), ("#666666", "what does not fail"), ("#c0392b", "bar: 0.8 of that"))
    for place, (colour, text) in enumerate(words):
        x = left + 190 * place
        parts.append(
            f'<path d="M{x} 20h24" stroke="{colour}" stroke-width="4"/><text x="{x + 30}" y="25">{text}</text>'
        )
    parts.append(f'<text x="{left}" y="{top - 10}">rows a second, of the healthy rate</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">requests that fail</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")
    print(f"\ndrawn: {path.name}")


def main() -> None:
    """Run all, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_name("outages.svg"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=6000)
    options = parser.parse_args()
    logging.getLogger("spotdx_async").setLevel(logging.CRITICAL)  # each pause would be a line
    ratios: dict[float, list[float]] = {share: [] for share in SHARES}
    requests: dict[float, list[float]] = {share: [] for share in SHARES}
    for seed in range(1, options.rounds + 1):
        healthy = 0.0
        for share in SHARES:  # the first is the healthy run
            rate, a_row = run_virtual(partial(share, rows=options.rows, seed=seed))
            healthy = healthy or rate
            ratios[share].append(rate / healthy)
            requests[share].append(a_row)
    print("| fails | of the healthy rate | of what does not fail | least, bar 0.8 | requests a row | at most |")
    print("|---|---|---|---|---|---|")
    for share in SHARES:
        kept, most = ratios[share], 1.1 + share / (1 - share)
        print(
            f"| {share:.0%} | {median(kept):.2f} | {median(kept) / (1 - share):.2f} | {min(kept) / (1 - share):.2f} "
            f"| {median(requests[share]):.2f} | {most:.2f} |"
        )
    print("\n| server | of the time that it was up, bar 0.7 | requests a row |")
    print("|---|---|---|")
    for name, (up_s, down_s) in FLAPS.items():
        used, a_row = run_virtual(flapping(up_s, down_s))
        print(f"| {name} | {used:.2f} | {a_row:.2f} |")
    draw(options.plot, {share: median(kept) for share, kept in ratios.items()})


if __name__ == "__main__":
    main()
