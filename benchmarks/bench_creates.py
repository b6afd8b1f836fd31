"""What does settling cost, how long do rows wait for the disk, and how fast is a bulk create beside a plain gather?

Settling: a run places some orders, sends ``--doubt`` more and is left before they are answered; half of them were
placed. Others place ``--foreign`` orders. The same call then settles all that is in doubt, by one look: lists, gets and
seconds from the first of them to the last. Beside it ``orders.reconcile`` for a few of the same rows, half of them
placed, one at a time; its figures are multiplied. The waits for what may still land are in neither. Then the requests
of the audit, after what was not placed was sent again.

The disk: runs at ``--rate`` orders a second, where rows wait for the rate limit, and where nothing but the answers'
latency paces them. A row waits for the disk from being taken up to the moment when its intent is synced, so that it may
be sent: all these waits over the whole time of all rows, from being taken up to their outcomes. Then the share of the
run in which the journal's thread writes and syncs, and how many rows share a sync. On this disk, and with each sync so
much longer as ``--slower-ms`` says, as on slower ones.

Throughput: ``create_many`` with its journal, until its last outcome, and ``gather`` over ``orders.create``, as many at
once, in turn, against a thin server that answers after 20 ms, as over a network, or at once, so that the client's CPU
alone counts. All servers are processes of their own. Takes a quarter of an hour::

    python benchmarks/bench_creates.py [--rounds 5] [--doubt 100] [--foreign 2000] [--rate 150] [--rows 2000]
        [--latency-ms 20 0] [--slower-ms 0 5 10] [--json FILE]
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from unittest.mock import patch

import attrs
from fake_server import FakeProcess, fake_process
from figures import Figure, figure, leave, options_of
from rounds import Cost, interleaved, ratio, spread, thin_server

from spotdx_async import Address, AttemptRecord, NewOrder, Order, RateLimit, Recipient, SpotClient
from spotdx_async.bulk.create_engine import CreateEngine
from spotdx_async.bulk.create_rows import CreateRow
from spotdx_async.bulk.journal.creates_file import CreatesFile, Entry, RowEntry

CONCURRENCY = 8
PLACED, RECONCILED = 20, 4
PACED_S, FAST_MS, PACING_MS = 10, 20, 45
LANDS_WITHIN_S, TIMEOUT_S = 15.0, 5.0
MOST_LISTS, MOST_GETS, MOST_WAITING = 30, 2110, 0.1
LIST, GET = "GET /api/v2/orders/", "GET /api/v2/orders/{order_id}/"
ADDRESS = Address(street1="1 Example Street", city="Springfield", state="CA", country="US", zip="00000")
PERSON = Recipient(first_name="Robin", last_name="Sample", email="r@example.com", phone="2025550147", address=ADDRESS)


def rows(count: int) -> Iterator[tuple[str, NewOrder]]:
    """Give rows with keys of their own, and references of their own, so that they can be looked for one by one too."""
    for number in range(count):
        key = f"P-{number:06}"
        yield key, NewOrder(kit_types=("health_kit_1",), recipient=PERSON, metadata={"client_ref": key})


def main() -> None:
    """Measure, and print the tables."""
    parser = options_of(__doc__, rounds=5)
    parser.add_argument("--doubt", type=int, default=100)
    parser.add_argument("--foreign", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--latency-ms", type=float, nargs="*", default=[20, 0])
    parser.add_argument("--slower-ms", type=float, nargs="*", default=[0, 5, 10])
    options = parser.parse_args()
    leave([*settling(options), *disk(options), *throughput(options)], options.json)


# Settling


@attrs.define
class Looking:
    """What looking has cost, without the waits before it; what is created ends it."""

    requests: Counter[str] = attrs.Factory(Counter)
    later: Counter[str] = attrs.Factory(Counter)
    """Those after that."""
    began_s: float = 0.0
    ended_s: float = 0.0
    is_over: bool = False

    def note(self, record: AttemptRecord) -> None:
        """Take an attempt that has ended."""
        self.is_over = self.is_over or record.method == "POST"
        if self.is_over:
            self.later[record.operation] += 1
            return
        self.requests[record.operation] += 1
        self.ended_s = time.perf_counter()
        self.began_s = self.began_s or self.ended_s - record.request_s

    @property
    def seconds(self) -> float:
        """From the first request to the last."""
        return self.ended_s - self.began_s


def settling(options: argparse.Namespace) -> list[Figure]:
    """Settle rows in doubt at once, and a few of them one at a time, round by round."""
    at_once, alone = [], []
    for _ in range(options.rounds):
        with fake_process() as fake, tempfile.TemporaryDirectory() as folder:
            one, settled = asyncio.run(settle_round(fake, Path(folder, "j"), options))
        alone.append(one)
        at_once.append(settled)
    share = options.doubt / RECONCILED
    lists, gets = (max(one.requests[name] + one.later[name] for one in at_once) for name in (LIST, GET))
    print(f"{options.doubt} rows in doubt, {options.foreign:,} orders of others, {options.rounds} rounds\n")
    print("| looking | lists | gets | seconds |")
    print("|---|---|---|---|")
    print_looking("one settlement", [one.requests for one in at_once], [one.seconds for one in at_once])
    print_looking("its audit at the end", [one.later for one in at_once])
    few = f"one `reconcile` a row ({RECONCILED} of them, times {share:g})"
    print_looking(few, [one.requests for one in alone], [one.seconds for one in alone], share)
    name = f"settlement of {options.doubt} rows among {options.foreign:,} orders of others"
    faster = ratio([one.seconds * share for one in alone], [one.seconds for one in at_once])
    return [
        figure(f"list requests, {name}, with its audit", lists, at_most=MOST_LISTS),
        figure(f"get requests, {name}, with its audit", gets, at_most=MOST_GETS),
        figure(f"seconds, one reconcile a row / {name}", faster, " times"),
    ]


def print_looking(
    name: str, requests: Sequence[Counter[str]], seconds: Sequence[float] = (), share: float = 1.0
) -> None:
    """Print a row: the most requests of all rounds, and the median of their seconds."""
    lists, gets = (max(one[kind] for one in requests) * share for kind in (LIST, GET))
    took = f"{statistics.median(seconds) * share:,.1f}" if seconds else ""
    print(f"| {name} | {lists:,.0f} | {gets:,.0f} | {took} |", flush=True)


async def settle_round(fake: FakeProcess, journal: Path, options: argparse.Namespace) -> tuple[Looking, Looking]:
    """Leave rows in doubt, reconcile some of them, settle all."""
    sent_at = await leave_in_doubt(fake, journal, options.doubt)
    fake.tell("foreign", options.foreign)
    await asyncio.sleep(LANDS_WITHIN_S + 1)
    alone, at_once = Looking(), Looking()
    every_key = [key for key, _ in rows(PLACED + options.doubt)]
    keys = [*every_key[PLACED:][: RECONCILED // 2], *every_key[-RECONCILED // 2 :]]
    async with client(fake.url, alone) as spot:
        found = [await spot.orders.reconcile(client_ref=key, sent_at=sent_at) for key in keys]
    if Counter(one.state for one in found) != {"found": RECONCILED // 2, "not found": RECONCILED // 2}:
        raise RuntimeError("half of them were placed, and that was not found out")
    async with client(fake.url, at_once) as spot:
        run = spot.orders.create_many(
            rows(len(every_key)), batch="bench", journal=journal, lands_within_s=LANDS_WITHIN_S
        )
        states = Counter([outcome.state async for outcome in run])
    if states != {"skipped": PLACED, "ok": options.doubt} or run.duplicates or run.audit_error:
        raise RuntimeError(f"not all was settled: {states}")
    return alone, at_once


async def leave_in_doubt(fake: FakeProcess, journal: Path, doubt: int) -> datetime:
    """Place some orders, send more, and leave while they wait for their answers; give the moment."""
    async with SpotClient("benchmark", base_url=fake.url, concurrency=doubt) as spot:
        first = spot.orders.create_many(rows(PLACED), batch="bench", journal=journal)
        assert all([outcome.ok async for outcome in first])
        fake.tell("silence", doubt // 2, doubt - doubt // 2)
        before = fake.tell("counts")["orders.create"]
        assert before == PLACED
        async with spot.orders.create_many(
            rows(PLACED + doubt), batch="bench", journal=journal, concurrency=doubt
        ) as run:
            taking = asyncio.ensure_future(take_all(run))
            arrived = 0
            while arrived < doubt:
                await asyncio.sleep(0.05)
                arrived += fake.tell("counts").get("orders.create", 0)
            sent_at = datetime.now(UTC)
            taking.cancel()
    return sent_at


async def take_all(run: object) -> None:
    """Take outcomes until nobody wants them."""
    async for _ in run:  # type: ignore[attr-defined]
        pass


def client(url: str, looking: Looking) -> SpotClient:
    """Make a client that reports what it sends."""
    return SpotClient(
        "benchmark", base_url=url, timeout_s=TIMEOUT_S, lands_within_s=LANDS_WITHIN_S, on_attempt=looking.note
    )


# The disk


@attrs.define
class Disk:
    """What the journal does while a run goes on, measured where the run meets it."""

    slower_s: float
    waited_s: float = 0.0
    """By rows, for their intents to be synced."""
    wrote_s: float = 0.0
    """By the journal's thread."""
    groups: list[int] = attrs.Factory(list)
    """How many intents each sync held."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure within the block."""
        intended, write = CreateEngine._intended, CreatesFile.write  # noqa: SLF001 - nothing public tells of it

        async def timed_intended(engine: CreateEngine[Order], row: CreateRow) -> bool:
            began_s = time.perf_counter()
            try:
                return await intended(engine, row)
            finally:
                self.waited_s += time.perf_counter() - began_s

        def timed_write(file: CreatesFile, entries: Sequence[Entry], ending: str | None = None) -> None:
            began_s = time.perf_counter()
            write(file, entries, ending)
            time.sleep(self.slower_s)  # in the journal's own thread, as a slower disk would
            self.wrote_s += time.perf_counter() - began_s
            self.groups.append(sum(isinstance(one, RowEntry) and one.object_id is None for one in entries))

        with patch.multiple(CreateEngine, _intended=timed_intended), patch.multiple(CreatesFile, write=timed_write):
            yield


def disk(options: argparse.Namespace) -> list[Figure]:
    """Measure how long rows wait for the disk at a rate, and what its syncs are like."""
    print(f"\n{options.rate:g} orders a second for {PACED_S} s, {CONCURRENCY} at once, {options.rounds} rounds\n")
    columns = ("paced by", "a sync takes longer by", "orders a second", "rows wait for the disk", "its thread is busy")
    print(f"| {' | '.join((*columns, 'syncs a second', 'intents a sync'))} |\n|{'---|' * 7}")
    figures = []
    for name, latency_ms, rate in (
        ("a rate limit", FAST_MS, options.rate),
        ("answers", PACING_MS, None),
    ):
        for slower_ms in options.slower_ms:
            with thin_server(latency_ms) as server:
                rounds = [asyncio.run(disk_round(server.url, rate, slower_ms, options)) for _ in range(options.rounds)]
            per_second, share, busy, syncs, size = (spread([one[at] for one in rounds]) for at in range(5))
            print(
                f"| {name} | {slower_ms:g} ms | {per_second.middle:.0f} | {share.text(3)} | {busy.text(2)} "
                f"| {syncs.middle:.0f} | {size.middle:.1f} |",
                flush=True,
            )
            if not slower_ms:
                what = f"share of their time that rows wait for the disk at {options.rate:g} orders a second"
                figures.append(figure(f"{what}, paced by {name}", share, at_most=MOST_WAITING))
    return figures


async def disk_round(
    url: str, rate: float | None, slower_ms: float, options: argparse.Namespace
) -> tuple[float, float, float, float, float]:
    """Run for some seconds; give rows a second, two shares, syncs a second, and intents a sync."""
    count, watch = int(options.rate * PACED_S), Disk(slower_ms / 1000)
    limit = None if rate is None else RateLimit(rate)
    with tempfile.TemporaryDirectory() as folder, watch.watched():
        async with SpotClient("benchmark", base_url=url, rate_limit=limit) as spot:
            began_s, rows_s, ended_s = time.perf_counter(), 0.0, 0.0
            run = spot.orders.create_many(
                rows(count), batch="bench", journal=Path(folder, "j"), concurrency=CONCURRENCY
            )
            async for outcome in run:
                assert outcome.ok
                rows_s, ended_s = rows_s + outcome.elapsed_s, time.perf_counter()
    took_s = ended_s - began_s
    groups = [one for one in watch.groups if one]
    return (
        count / took_s,
        watch.waited_s / rows_s,
        watch.wrote_s / took_s,
        len(watch.groups) / took_s,
        statistics.mean(groups),
    )


# Throughput


def throughput(options: argparse.Namespace) -> list[Figure]:
    """Compare a bulk create with a gather, in turn."""
    print(f"\n{options.rows:,} rows a round, {options.rounds} rounds, {CONCURRENCY} at once\n")
    print(
        "| answers after | gather, orders a second | create_many / gather | CPU of a row | without a journal / gather |"
    )
    print("|---|---|---|---|---|")
    figures = []
    for latency_ms in options.latency_ms:
        with thin_server(latency_ms) as server, tempfile.TemporaryDirectory() as folder:
            runs = {
                "gather": gathered,
                "bulk": partial(created, lambda: Path(folder, f"{time.monotonic_ns()}.journal")),
                "unkept": partial(created, lambda: None),
            }
            kinds = {
                name: lambda run=run: asyncio.run(timed(run, server.url, options.rows)) for name, run in runs.items()
            }
            gather, bulk, unkept = interleaved(kinds, options.rounds).values()
        rate = spread([1e6 / one.wall_us for one in gather])
        beside, plain = (ratio(wall_of(gather), wall_of(one)) for one in (bulk, unkept))
        cpu = ratio([one.cpu_us for one in bulk], [one.cpu_us for one in gather])
        print(
            f"| {latency_ms:g} ms | {rate.middle:,.0f} | {beside.text()} | {cpu.text()} | {plain.text()} |", flush=True
        )
        ending = f"answers after {latency_ms:g} ms"
        figures += [
            figure(f"create_many with journal / gather of creates, rows a second, {ending}", beside),
            figure(f"create_many with journal / gather of creates, CPU of a row, {ending}", cpu),
        ]
    return figures


Run = Callable[[SpotClient, int], Awaitable[None]]


async def gathered(spot: SpotClient, count: int) -> None:
    """Place all orders by single calls; the client limits how many are under way."""
    await asyncio.gather(*(spot.orders.create(order) for _, order in rows(count)))


async def created(journal: Callable[[], Path | None], spot: SpotClient, count: int) -> None:
    """Place them in bulk; left at the last outcome, since a list that shows none keeps the audit busy for a minute."""
    done = []
    async with spot.orders.create_many(rows(count), batch="bench", journal=journal(), concurrency=CONCURRENCY) as run:
        async for outcome in run:
            done.append(outcome.ok)
            if len(done) == count:
                break
    assert done.count(True) == count


async def timed(run: Run, url: str, count: int) -> Cost:
    """What a row takes."""
    async with SpotClient("benchmark", base_url=url, concurrency=CONCURRENCY) as spot:
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        await run(spot, count)
        return Cost((time.process_time() - cpu) / count * 1e6, (time.perf_counter() - wall) / count * 1e6)


def wall_of(costs: list[Cost]) -> list[float]:
    """The time that a row took in each round."""
    return [one.wall_us for one in costs]


if __name__ == "__main__":
    main()
