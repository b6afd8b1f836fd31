"""How large is the page about a run, and what does it cost to gather and to write?

A made-up run of 50 rows a second, one row of a hundred failed, with retries, 429s and pauses: the size of its page, the
CPU time to write it (the best of some rounds), and the CPU time that each row costs while the run goes on::

    python benchmarks/bench_report.py [--rows 10 5000 200000] [--rounds 9]
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from spotdx_async import Outcome, Progress
from spotdx_async.errors import NotFoundError
from spotdx_async.report import RunStory, write_report

RATE = 50
FAILED = NotFoundError("the server answered 404", status=404)


def outcomes(rows: int) -> list[Outcome[None]]:
    """Return the outcomes of a run: the server's time is log-normal around 0.14 s."""
    draw = random.Random(1)
    made: list[Outcome[None]] = []
    for index in range(rows):
        if index % 100 == 99:
            made.append(Outcome(index=index, key=str(index), state="failed", attempts=1, error=FAILED))
        else:
            took_s, attempts = draw.lognormvariate(-2, 0.5), 1 + (index % 40 == 0)
            made.append(
                Outcome(
                    index=index, key=str(index), state="ok", attempts=attempts, request_s=took_s, elapsed_s=took_s + 0.5
                )
            )
    return made


def gathered(made: list[Outcome[None]]) -> tuple[RunStory, float]:
    """Return the run's record, and the CPU seconds that it took."""
    run_stats = RunStory({"rate": RATE, "concurrency": 32}, 0.0)
    began_s = time.process_time()
    for index, outcome in enumerate(made):
        run_stats.add(outcome, index / RATE)
        if index % RATE == 0:
            progress = Progress(
                done=index,
                by_state={},
                rate=RATE,
                eta_s=None,
                throttled=index // 100,
                is_paused=index % 10_000 == RATE,
                elapsed_s=index / RATE,
                total=len(made),
            )
            run_stats.note(progress, index / RATE)
    took_s = time.process_time() - began_s
    run_stats.finish(len(made) / RATE)
    return run_stats, took_s


def main() -> None:
    """Run all, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[10, 5000, 200_000])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print("| rows | page | CPU to write it | CPU a row |")
    print("|---|---|---|---|")
    for rows in options.rows:
        run_stats, took_s = gathered(outcomes(rows))
        with tempfile.TemporaryDirectory() as folder:
            page, times_s = Path(folder, "run.html"), []
            for _ in range(options.rounds):
                began_s = time.process_time()
                write_report(page, run_stats)
                times_s.append(time.process_time() - began_s)
            size = page.stat().st_size
        print(f"| {rows:,} | {size / 1000:.0f} kB | {min(times_s) * 1000:.0f} ms | {took_s / rows * 1e6:.1f} µs |")


if __name__ == "__main__":
    main()
