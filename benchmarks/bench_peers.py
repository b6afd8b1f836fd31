"""How many requests does a second of CPU carry, beside clients that public generators make of the vendor's document?

Each client runs in a process of its own, with the same interpreter and packages, against the same thin server; in turn,
round by round, each call to a kit of its own, each answer decoded to the client's own models. Plain aiohttp with
``orjson.loads`` runs along. The generators and their clients go to ``benchmarks/peers`` and are made again when the
document changes; ``--remake`` makes them anew, and the packages with them::

    python benchmarks/bench_peers.py [--rounds 9] [--calls 300] [--spec FILE] [--remake] [--json FILE]
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from figures import RATE, TIMES, Figure, figure, leave, not_measured, options_of
from peer_clients import PEERS, PEERS_TO_MAKE, ROOT, NotMadeError, Workshop, made
from rounds import CLIENT_CORE, interleaved, pin, ratio, spread, thin_server

SPEC = ROOT.parent / "shared" / "spot-api" / "openapi.json"
WORKER = Path(__file__).with_name("peer_worker.py")
OURS, PLAIN = "spotdx_async", "plain"
TITLES = {OURS: "spotdx_async", PLAIN: "aiohttp and orjson alone"} | {peer.kind: peer.title for peer in PEERS_TO_MAKE}
LEAST_TIMES = {("httpx", 10): 6.0, ("httpx", 100): 20.0, ("asyncio", 10): 4.0}
CALLS_OF_THE_FAST = 4
"""So many more calls a round of those that take little, since a round should take long enough to be measured."""


def main() -> None:
    """Make the peers, measure, and print a table."""
    parser = options_of(__doc__, rounds=9)
    parser.add_argument(
        "--calls", type=int, default=300, help="of each peer in a round; the others make four times as many"
    )
    parser.add_argument("--concurrency", type=int, nargs="*", default=[10, 100])
    parser.add_argument("--spec", type=Path, default=SPEC, help="the vendor's OpenAPI document")
    parser.add_argument("--remake", action="store_true", help="make the peers anew")
    options = parser.parse_args()
    if not options.spec.is_file():
        sys.exit("no OpenAPI document to make clients of: name one with --spec")
    if options.remake:
        shutil.rmtree(PEERS, ignore_errors=True)
    shop = Workshop(PEERS, options.spec.resolve())
    try:
        missing = made(shop)
    except NotMadeError as error:
        sys.exit(str(error))
    leave(measured(shop, missing, options.rounds, options.calls, options.concurrency), options.json)


def measured(
    shop: Workshop, missing: dict[str, str | None], rounds: int, calls: int, concurrencies: list[int]
) -> list[Figure]:
    """Run the rounds of all clients that are there."""
    figures = []
    with thin_server(answer=shop.answer) as server, ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for kind in TITLES:
            if missing.get(kind) is None:
                try:
                    workers[kind] = stack.enter_context(worker(shop, kind, server.url))
                except NotMadeError as error:
                    missing[kind] = str(error)
        runs_on = {kind: one.runs_on for kind, one in workers.items()}
        for concurrency in concurrencies:
            kinds = {kind: partial(one.cpu_us, calls, concurrency) for kind, one in workers.items()}
            costs = interleaved(kinds, rounds)
            figures += told(costs, missing, runs_on, concurrency)
            runs_on = {}  # told once
    return figures


def told(
    costs: dict[str, list[float]], missing: dict[str, str | None], runs_on: dict[str, str], concurrency: int
) -> list[Figure]:
    """Print a table of one concurrency, and give its figures."""
    figures = []
    print(f"\n{concurrency} at once: requests per CPU second, and how many times as many are ours\n")
    for kind, title in TITLES.items():
        rate_name, times_name = (name.format(title=title, concurrency=concurrency) for name in (RATE, TIMES))
        if kind not in costs:
            reason = missing.get(kind) or "it was not run"
            print(f"  {title:32} {reason}")
            figures += [not_measured(rate_name, reason), not_measured(times_name, reason)]
            continue
        rates = spread([1e6 / cpu_us for cpu_us in costs[kind]])
        times = ratio(costs[kind], costs[OURS])
        print(f"  {title:32} {rates.text(0):>26}  {times.text():>22}")
        figures.append(figure(rate_name, rates, "/s", note=runs_on.get(kind, "")))
        if kind != OURS:
            figures.append(figure(times_name, times, "times", at_least=LEAST_TIMES.get((kind, concurrency))))
    return figures


class Worker:
    """A process with one client, that waits for commands."""

    def __init__(self, process: "subprocess.Popen[str]", calls_times: int) -> None:
        self._process = process
        self._calls_times = calls_times
        state, _, self.runs_on = self._line().partition(" ")
        if state != "ready":
            raise NotMadeError(f"its first call failed ({self.runs_on or 'it ended'})")

    def cpu_us(self, calls: int, concurrency: int) -> float:
        """Let it make its calls: microseconds of CPU a call."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{calls * self._calls_times} {concurrency}\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        """Wait for its next line."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def worker(shop: Workshop, kind: str, url: str) -> Iterator[Worker]:
    """Start a client's process on the client's core; end it."""
    process = subprocess.Popen(  # noqa: S603 - our own script
        [str(shop.python), str(WORKER), kind, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pin(CLIENT_CORE, process.pid)
    try:
        yield Worker(process, CALLS_OF_THE_FAST if kind in (OURS, PLAIN) else 1)
    finally:
        process.communicate()


if __name__ == "__main__":
    main()
