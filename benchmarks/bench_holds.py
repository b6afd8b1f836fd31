"""What does it cost that a kit's next value waits for a minute after a try that may still be executed?

A run against the fake server over loopback, in virtual time: answers after 20 ms, 64 at once. First, a share of all
requests is answered 504, and each kit comes several times, one row behind the other: rows a second, until nine tenths
are done, over those of the same run where nothing fails, and the seconds of the whole run. Then some kits of a run in
order are answered 504 once, and their next value comes ten rows behind: seconds beyond those of the same run without.
Last, kits with one value each, in order and not::

    python benchmarks/bench_holds.py [--rows 50000] [--shares 0.05 0.2] [--values 2 10]
"""

import argparse
import asyncio
import logging

from spotdx_async.testing import FakeSpot, faults, run_virtual

LATENCY_S = 0.02
MOST_KEPT = 9 / 10
LARGE_BODY = 40_000
"""Of which 410 rows may be held before others wait."""
LARGE_ROWS = 6000
HOLDS = (1, 5, 20)
ROWS_IN_ORDER = (2000, 10_000)


async def held_by_chance(
    share: float, *, rows: int, values: int, ordered: bool = False, body: int = 0
) -> tuple[float, float]:
    """Give rows a second, until nine tenths are done, and the seconds of the whole run."""
    async with FakeSpot(latency_s=LATENCY_S, keep_requests=False) as fake:
        kit_ids = [f"SPOT{n}" for n in range(rows // values)]
        fake.kits.add_many(kit_ids)
        fake.faults.random(share, seed=1, kinds=["504"])
        updates = [(kit_id, {"n": n, "text": "x" * body}) for kit_id in kit_ids for n in range(values)]
        loop = asyncio.get_running_loop()
        began_s, done, took_s = loop.time(), 0, 0.0
        async with fake.client() as spot:
            run = spot.kits.update_metadata_many(updates, decode=False, ordered=ordered)
            async for outcome in run:
                if not outcome.ok:
                    raise RuntimeError("a row is not ok")
                done += 1
                if done == int(rows * MOST_KEPT):
                    took_s = loop.time() - began_s
        return rows * MOST_KEPT / took_s, loop.time() - began_s


async def in_order(holds: int, *, rows: int, decode: bool) -> float:
    """Give the seconds of a run in order."""
    async with FakeSpot(latency_s=LATENCY_S, keep_requests=False) as fake:
        kit_ids = [f"SPOT{n}" for n in range(rows)]
        fake.kits.add_many(kit_ids)
        updates = [(kit_id, {"n": 0}) for kit_id in kit_ids]
        for place in range(holds * rows // (holds + 1), 0, -(rows // (holds + 1)))[:holds]:
            updates.insert(place + 10, (kit_ids[place], {"n": 1}))
            fake.faults.add(faults.status(504), kit_id=kit_ids[place])
        began_s = asyncio.get_running_loop().time()
        async with fake.client() as spot:
            handle = spot.kits.update_metadata_many(updates, ordered=True, decode=decode)
            if not all([outcome.ok async for outcome in handle]):
                raise RuntimeError("a row is not ok")
        return asyncio.get_running_loop().time() - began_s


def main() -> None:
    """Run all, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.05, 0.2])
    parser.add_argument("--values", type=int, nargs="*", default=[2, 10])
    options = parser.parse_args()
    logging.getLogger("spotdx_async").setLevel(logging.CRITICAL)  # each repeat would be a line
    print("| values a kit | answered 504 | rows a second | of the healthy rate | seconds in all |")
    print("|---|---|---|---|---|")
    for values in options.values:
        healthy = 0.0
        for share in (0.0, *options.shares):
            rate, took_s = run_virtual(held_by_chance(share, rows=options.rows, values=values))
            healthy = healthy or rate
            print(f"| {values} | {share:.0%} | {rate:,.0f} | {rate / healthy:.2f} | {took_s:.0f} |", flush=True)
    (healthy, _), (rate, took_s) = (
        run_virtual(held_by_chance(share, rows=LARGE_ROWS, values=2, body=LARGE_BODY)) for share in (0.0, 0.2)
    )
    print(f"| 2, of {LARGE_BODY:,} bytes | 20% | {rate:,.0f} | {rate / healthy:.2f} | {took_s:.0f} |", flush=True)
    print("\n| in order | decode | holds | seconds longer |")
    print("|---|---|---|---|")
    for rows in ROWS_IN_ORDER:
        for decode in (True, False):
            healthy_s = run_virtual(in_order(0, rows=rows, decode=decode))
            for holds in HOLDS:
                longer_s = run_virtual(in_order(holds, rows=rows, decode=decode)) - healthy_s
                print(f"| {rows:,} rows | {decode} | {holds} | {longer_s:.0f} |", flush=True)
    print("\n| one value a kit | answered 504 | of the healthy rate |")
    print("|---|---|---|")
    for ordered in (False, True):
        healthy = 0.0
        for share in (0.0, 0.2, 0.4):
            rate, _ = run_virtual(held_by_chance(share, rows=options.rows // 5, values=1, ordered=ordered))
            healthy = healthy or rate
            print(f"| {'in order' if ordered else 'as they come'} | {share:.0%} | {rate / healthy:.2f} |", flush=True)


if __name__ == "__main__":
    main()
