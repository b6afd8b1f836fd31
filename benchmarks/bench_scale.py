"""What do 1, 2 and 3 processes bring, what does a shared limit cost, and what follows for 10^7 and 10^9 rows?

A pool of processes runs shards with journals against a server in another process that answers at once, so that the
client's CPU alone counts; then the same with one limit through Redis that is never reached, if a server of it is found.
The CPU of the server, and of Redis, is not the client's, but on this machine all share the cores: see the CPU figures,
which do not depend on that. ``--page`` writes the projection to docs/cost-at-scale.md::

    python benchmarks/bench_scale.py [--rows 20000] [--rounds 3] [--processes 1 2 3] [--page] [--json FILE]
"""

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import attrs
from figures import figure, leave, options_of

from spotdx_async import RateLimit
from spotdx_async.distributed import ClientSettings, Shard, ShardReport, Split, run_shard_blocking
from spotdx_async.shared import SharedLimiter

METADATA = {"cohort": "A", "site": "Oslo", "visit": 3}
NEVER_REACHED = 1_000_000
PAGE = Path(__file__).parents[1] / "docs" / "cost-at-scale.md"
DAY_S = 86_400


@attrs.frozen
class Measured:
    """One way of running, its medians."""

    processes: int
    is_shared: bool
    rows_per_s: float
    cpu_us: float
    """Of all client processes, for a row."""
    redis_calls: float
    """For a thousand rows."""

    @property
    def way(self) -> str:
        """How it ran, in words."""
        processes = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return f"{processes}, {'the shared limit' if self.is_shared else 'no limit'}"


@attrs.frozen
class Sizes:
    """What a row takes on disk, and what splitting takes."""

    journal_bytes: float
    row_bytes: float
    split_us: float
    split_mb: float


def main() -> None:
    """Measure, print, and write the page where that is asked for."""
    parser = options_of(__doc__, rounds=3)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--split-once", type=int, help="split so many rows, for the memory of this process")
    options = parser.parse_args()
    if options.split_once:
        split_once(options.split_once)
        return
    os.environ["SPOTDX_TOKEN"] = "benchmark"  # noqa: S105 - of a server that does not look at it
    with fast_server() as url, redis_server() as redis_url:
        os.environ |= {"SPOTDX_BASE_URL": url, "LIMIT_URL": redis_url or ""}
        ways = [(number, shared) for shared in (False, True) if not shared or redis_url for number in options.processes]
        found = [measure(*way, options) for way in ways]
    sizes = measured_sizes(options.rows)
    text = table(found, options) + sizes_text(sizes)
    print(text)
    if options.page:
        write_page(text, projection(found, sizes))
    leave((figure(f"CPU of a row, {one.way}", one.cpu_us, "µs") for one in found), options.json)


def measure(processes: int, is_shared: bool, options: argparse.Namespace) -> Measured:
    """Run the rounds, each with fresh processes that have warmed up."""
    rates, cpus, calls = [], [], []
    for _ in range(options.rounds):
        context = get_context("spawn")
        cores = context.SimpleQueue()
        for core in cores_for(processes):
            cores.put(core)
        with ProcessPoolExecutor(processes, mp_context=context, initializer=pin, initargs=(cores,)) as pool:
            task = partial(run_one, is_shared=is_shared)
            with prepared(processes * 1000, 1000) as shards:
                [*pool.map(task, shards)]
            with prepared(options.rows, max(500, options.rows // (processes * 4))) as shards:
                began = time.perf_counter()
                done = [*pool.map(task, shards)]
                took_s = time.perf_counter() - began
        assert sum(report.counts["ok"] for report, _, _ in done) == options.rows
        rates.append(options.rows / took_s)
        cpus.append(sum(cpu_s for _, cpu_s, _ in done) / options.rows * 1e6)
        calls.append(sum(trips for _, _, trips in done) / options.rows * 1000)
    return Measured(processes, is_shared, *map(statistics.median, (rates, cpus, calls)))


def run_one(shard: Shard, *, is_shared: bool) -> tuple[ShardReport, float, int]:
    """Run a shard in a process of the pool: its report, its CPU seconds, its calls to Redis."""
    limiters: list[SharedLimiter] = []

    def limiter() -> SharedLimiter:
        limiters.append(SharedLimiter(os.environ["LIMIT_URL"], RateLimit(NEVER_REACHED)))
        return limiters[0]

    began = time.process_time()
    report = run_shard_blocking(shard, ClientSettings(limiter=limiter if is_shared else None))
    return report, time.process_time() - began, sum(one.round_trips for one in limiters)


def cores_for(processes: int) -> list[int | None]:
    """Give each process a core of its own; None where there are not enough."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [*cores[:processes]] if processes <= len(cores) else [None] * processes


def pin(cores: "SimpleQueue[int | None]") -> None:
    """Keep this process on its core."""
    core = cores.get()
    if core is not None:
        os.sched_setaffinity(0, {core})


@contextmanager
def prepared(rows: int, shard_rows: int) -> Iterator[list[Shard]]:
    """Split rows of kits that come once each."""
    with tempfile.TemporaryDirectory() as folder, Split(shard_rows=min(8000, shard_rows), folder=folder) as split:
        split.read_now((f"SPOT{number:09d}", METADATA) for number in range(rows))
        yield [*split.shards()]


@contextmanager
def fast_server() -> Iterator[str]:
    """The thin server in a process of its own."""
    script = str(Path(__file__).with_name("loopback_server.py"))
    process = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, script, "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.communicate()


@contextmanager
def redis_server() -> Iterator[str | None]:
    """A Redis on loopback; None where none is installed."""
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - found, with arguments of ours
    assert process.stdout is not None
    for line in process.stdout:
        if b"eady to accept connections" in line:
            break
    yield f"redis://127.0.0.1:{port}/0"
    process.kill()
    process.communicate()


def measured_sizes(rows: int) -> Sizes:
    """Run one shard for its journal's size, and split many rows for time and memory."""
    with fast_server() as url, prepared(min(rows, 8000), 8000) as (shard, *_):
        run_shard_blocking(shard, ClientSettings(base_url=url))
        assert shard.journal is not None
        journal = Path(shard.journal).stat().st_size / shard.count
        row = Path(str(shard.rows)).stat().st_size / shard.count
    command = [sys.executable, __file__, "--split-once", "1000000"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own script
    split_us, split_mb = map(float, out.split())
    return Sizes(journal, row, split_us, split_mb)


def split_once(rows: int) -> None:
    """Split, and print the microseconds of a row and this process's peak memory in MB."""
    began = time.perf_counter()
    with Split() as split:
        split.read_now((f"SPOT{number:09d}", METADATA) for number in range(rows))
        assert sum(shard.count for shard in split.shards()) == rows
    took_s = time.perf_counter() - began
    print(took_s / rows * 1e6, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def table(found: list[Measured], options: argparse.Namespace) -> str:
    """What was measured, as a Markdown table."""
    lines = [
        f"{options.rows:,} rows a round with journals, {options.rounds} rounds, medians.",
        f"{os.cpu_count()} cores, shared by clients, server and Redis; up to so many clients have a core each.",
        "",
        "| processes | limit | rows/s | client CPU a row | calls to Redis for 1,000 rows |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.processes} | {'shared' if one.is_shared else 'none'} | {one.rows_per_s:,.0f} | {one.cpu_us:.0f} µs | "
        f"{f'{one.redis_calls:.0f}' if one.is_shared else '-'} |"
        for one in found
    ]
    return "\n".join(lines) + "\n"


def sizes_text(sizes: Sizes) -> str:
    """The other figures, as Markdown."""
    return (
        f"\nA row of {sizes.row_bytes:.0f} bytes takes {sizes.journal_bytes:.0f} bytes in its shard's journal, and "
        f"{sizes.split_us:.0f} µs to be split (1,000,000 rows, {sizes.split_mb:.0f} MB at the peak).\n"
    )


def projection(found: list[Measured], sizes: Sizes) -> str:
    """From the figures to large runs, as a Markdown table."""
    plain = found[0]
    shared = next((one for one in found if one.is_shared), plain)
    cpu_us = shared.cpu_us
    lines = ["| | 10^7 rows | 10^9 rows |", "|---|---|---|"]

    def add(what: str, *values: str) -> None:
        lines.append(f"| {what} | {' | '.join(values)} |")

    counts = (10**7, 10**9)
    for rate in (50, 1000, 10_000):
        add(f"API at {rate:,} requests/s: time", *(span(count / rate) for count in counts))
    add(f"client CPU, {cpu_us:.0f} µs a row", *(f"{count * cpu_us / 3.6e9:,.1f} core hours" for count in counts))
    for rate in (1000, 10_000):
        add(f"cores busy at {rate:,} requests/s", *(f"{rate * cpu_us / 1e6:.2f}" for _ in counts))
    add(
        "calls to Redis",
        *(f"{count * shared.redis_calls / 1000:,.0f}" for count in counts),
    )
    add("journals", *(f"{count * sizes.journal_bytes / 1e9:,.2f} GB" for count in counts))
    add(
        "rows on disk while splitting, at most",
        *(f"{2 * count * (sizes.row_bytes + 17) / 1e9:,.1f} GB" for count in counts),
    )
    add(
        "splitting, one process, 2 and 3 passes",
        *(span(count * sizes.split_us * passes / 1e6) for count, passes in zip(counts, (2, 3), strict=True)),
    )
    add("shards of 4,000 rows", *(f"{count / 4000:,.0f}" for count in counts))
    return "\n".join(lines) + "\n"


def span(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds < 7200:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 2 * DAY_S else f"{seconds / DAY_S:,.1f} days"


def write_page(*parts: str) -> None:
    """Put the figures between the page's marks."""
    text = PAGE.read_text()
    for name, part in zip(("measured", "projected"), parts, strict=True):
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        text = before + mark + part + end + after
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
