"""``spotdx demo`` and ``spotdx sandbox``: the fake server, to watch the main job on or to try things on."""

import asyncio
import csv
import math
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import Number, Whole
from spotdx_async.cli.output import OurScreen, Streams, counted
from spotdx_async.cli.tables import show_fields
from spotdx_async.errors import InvalidInputError
from spotdx_async.testing import Fault, FaultPlan, faults
from spotdx_async.testing.routes import Call

if TYPE_CHECKING:
    from spotdx_async.cli.summary import RunResult
    from spotdx_async.testing import FakeSpot

_COHORTS = ("A", "B", "control")
_SITES = ("Oslo", "Łódź", "São Paulo", "北京")
_NOTED_SHARE = 0.1
_LARGEST_SEED = 10**6

# Kits that meet no, one and two faults: fewer than a call has attempts.
_FAULT_SHARES = (0.92, 0.06, 0.02)
_SLOW_S = 0.2
_THROTTLES = 3
_THROTTLE_S = 1

_SHIP_EVERY_S = 0.5
_LAST_PORT = 65535
_TOKEN = "sandbox-token"  # noqa: S105 - made up, and shown on purpose


def demo(*, kits: Whole = 5000, seed: Whole | None = None, rate: float | None = None, streams: OurScreen) -> int:
    """Update kits on a bundled fake server that misbehaves, then compare its ledger with the input.

    Needs neither token nor network. The exit code is 0 only if every kit holds exactly its value.

    Example: spotdx demo --kits 1000 --seed 7

    Args:
        kits: How many kits to update.
        seed: Chooses values and faults; the same seed, the same ones. Default: random, shown at the start.
        rate: The most requests a second. Default: no limit.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.own_loop import run_in_own_loop

    if kits < 1:
        raise InvalidInputError("--kits must be at least 1")
    seed = random.randrange(_LARGEST_SEED) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="spotdx-demo-") as folder:
        return run_in_own_loop(_demonstrate(Path(folder, "kits.csv"), kits, seed, rate, streams))


def plan_faults(kit_ids: Sequence[str], *, seed: int) -> "FaultsByKit":
    """Plan faults for some of the kits: the same ones for the same seed, in whatever order requests arrive."""
    dice = random.Random(seed)
    kinds = _kinds()
    plan = FaultsByKit()
    for kit_id in kit_ids:
        (how_many,) = dice.choices(range(len(_FAULT_SHARES)), _FAULT_SHARES)
        if how_many:
            plan.planned[kit_id] = dice.choices(kinds, k=how_many)
    # Few, and spread out: each makes the whole client wait.
    for part in range(1, _THROTTLES + 1):
        kit_id = kit_ids[len(kit_ids) * part // (_THROTTLES + 1)]
        plan.planned[kit_id] = [faults.status(429, retry_after=_THROTTLE_S)]
    return plan


class FaultsByKit(FaultPlan):
    """A plan that finds a kit's faults without searching: there may be very many."""

    def __init__(self) -> None:
        super().__init__()
        self.planned: dict[str, list[Fault]] = {}

    def pick(self, call: Call) -> Fault | None:
        """Return the fault that this request meets; None if it meets none."""
        left = self.planned.get(call.kit_id or "")
        if not left:
            return super().pick(call)
        fault = left.pop()
        self.played[fault.name] += 1
        return fault


def _kinds() -> list[Fault]:
    return [
        faults.status(500),
        faults.status(502, form="html"),
        faults.status(503, form="guide"),
        faults.status(504, form="empty"),
        faults.drop_before(),
        faults.drop_after(),
        faults.half_body(),
        faults.unreadable(),
        faults.broken_json(),
        faults.unknown_enum(),
        faults.slow(_SLOW_S),
        faults.slow_answer(_SLOW_S),
    ]


@frozen
class _Comparison:
    """The server's ledger beside the input."""

    kits: int
    equal: int
    """Kits whose last write, and whose value now, are those of the input."""
    foreign: int
    """Writes to kits, or of values, that the input does not hold."""

    @property
    def is_equal(self) -> bool:
        return self.equal == self.kits and not self.foreign


async def _demonstrate(path: Path, kits: int, seed: int, rate: float | None, streams: Streams) -> Exit:
    from spotdx_async.cli.settings import Settings
    from spotdx_async.cli.summary import show_summary
    from spotdx_async.cli.update_run import LocalUpdate, UpdateRequest
    from spotdx_async.testing import FakeSpot

    kit_ids = [f"SPOT{number:06}" for number in range(1, kits + 1)]
    _write_input(path, kit_ids, random.Random(seed))
    async with FakeSpot(kits=kit_ids, faults=plan_faults(kit_ids, seed=seed)) as fake:
        streams.tell(f"A fake server on {fake.url} with {counted(kits, 'kit')}, and faults of seed {seed}.")
        streams.tell(f"$ spotdx kits update {path.name}")
        settings = Settings.for_server(fake.url, fake.token, rate=rate)
        with LocalUpdate(UpdateRequest(noun="kits", files=(str(path),), settings=settings), streams) as run:
            run_result = await run.run()
            show_summary(run_result, streams, as_json=False)
        comparison = _compare(fake, path)
        _show_comparison(fake, comparison, run_result, streams)
    if run_result.exit is not Exit.OK:
        return run_result.exit
    return Exit.OK if comparison.is_equal else Exit.FAILED


def _write_input(path: Path, kit_ids: list[str], dice: random.Random) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["kit_id", "cohort", "site", "note"])
        for kit_id in kit_ids:
            note = f"visit {dice.randrange(9)},\nrow of {kit_id}" if dice.random() < _NOTED_SHARE else ""
            writer.writerow([kit_id, dice.choice(_COHORTS), dice.choice(_SITES), note])


def _compare(fake: "FakeSpot", path: Path) -> _Comparison:
    """Read the input again, with the standard library alone, and compare it with what the server received."""
    with path.open(encoding="utf-8", newline="") as file:
        wanted = {row.pop("kit_id"): {key: cell for key, cell in row.items() if cell} for row in csv.DictReader(file)}
    last = {entry.kit_id: entry.metadata for entry in fake.ledger}
    return _Comparison(
        kits=len(wanted),
        equal=sum(last.get(kit_id) == value == fake.kits[kit_id].metadata for kit_id, value in wanted.items()),
        foreign=sum(wanted.get(entry.kit_id) != entry.metadata for entry in fake.ledger),
    )


def _show_comparison(fake: "FakeSpot", comparison: _Comparison, run_result: "RunResult", streams: Streams) -> None:
    played = ", ".join(f"{name} x{times}" for name, times in sorted(fake.faults.played.items()))
    streams.tell("The server's side:")
    figures = {
        "requests received": f"{fake.counts['requests']:,}",
        "updates executed": f"{len(fake.ledger):,}",
        "faults played": f"{sum(fake.faults.played.values()):,} ({played or 'none'})",
        "rows ok": f"{run_result.row_results.counts['ok']:,} of {run_result.row_results.rows:,}",
        "kits with their value": f"{comparison.equal:,} of {comparison.kits:,}",
        "foreign writes": f"{comparison.foreign:,}",
        "time": f"{run_result.elapsed_s:.1f} s",
    }
    show_fields(figures, streams)
    streams.tell("Every kit holds its value." if comparison.is_equal else "NOT every kit holds its value.")


def sandbox(
    *,
    port: Whole = 0,
    kits: Whole | None = None,
    latency: Number = 0.0,
    rate_limit: Number | None = None,
    faults: Number = 0.0,
    seed: Whole = 1,
    ship_after: Number | None = None,
    streams: OurScreen,
) -> int:
    """Run the bundled fake server on this machine until Ctrl-C, to try things on; it keeps nothing afterwards.

    Example: spotdx sandbox --port 8123 --kits 1000 --faults 0.05
    Example: spotdx sandbox --port 8123 --ship-after 20

    Args:
        port: The port on 127.0.0.1. Default: any free one.
        kits: How many kits, named SPOT000001 and so on. Default: the documented example, SPOT123456, and two others.
        latency: Seconds of delay for every request.
        rate_limit: Requests a second; those above it get a 429.
        faults: The share of requests that meet a fault, from 0 (none) to 1 (all).
        seed: Which faults.
        ship_after: Seconds after which the kits of an order are shipped, with tracking numbers. Default: never.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.own_loop import run_in_own_loop
    from spotdx_async.testing import FakeSpot

    if not 0 <= faults <= 1:
        raise InvalidInputError("--faults is a share of requests, from 0 (none) to 1 (all), such as 0.05")
    if ship_after is not None and not 0 <= ship_after < math.inf:
        raise InvalidInputError("--ship-after must be 0 or more seconds")
    if kits is not None and kits < 0:
        raise InvalidInputError("--kits must be 0 or more")
    try:
        fake = FakeSpot(
            token=_TOKEN, kits=kits, latency_s=latency, rate_limit=rate_limit, port=port, keep_requests=False
        )
        fake.faults.random(faults, seed=seed)
    except ValueError as error:
        reason = str(error)
    else:
        return run_in_own_loop(_serve(fake, port, ship_after, streams))
    raise InvalidInputError(reason)


def _unusable(why: str) -> InvalidInputError:
    return InvalidInputError(f"the port cannot be used ({why}): pass another --port, or none for any free one")


async def _serve(fake: "FakeSpot", port: int, ship_after_s: float | None, streams: Streams) -> Exit:
    from spotdx_async.cli.progress import StopSignals

    if not 0 <= port <= _LAST_PORT:  # uvloop takes it modulo 65536
        raise _unusable(f"ports are 0 to {_LAST_PORT}")
    stop = asyncio.Event()
    with StopSignals(first=stop.set, second=stop.set):
        try:
            await fake.start()
        except OSError as error:
            raise _unusable(str(error)) from None
        try:
            streams.say(f"the fake server with {counted(len(fake.kits), 'kit')} is on {fake.url}; Ctrl-C stops it")
            streams.tell(f"export SPOTDX_BASE_URL={fake.url}")
            streams.tell(f"export SPOTDX_TOKEN={fake.token}")
            shipping = None if ship_after_s is None else asyncio.create_task(_ship(fake, ship_after_s))
            await stop.wait()
            if shipping is not None:
                shipping.cancel()
        finally:
            await fake.close()
    played = sum(fake.faults.played.values())
    streams.say(f"received {counted(fake.counts['requests'], 'request')}; {played:,} met a fault")
    return Exit.OK


async def _ship(fake: "FakeSpot", after_s: float) -> None:
    """Make the kits of each order that has been there for so long, and hand them to the carrier."""
    loop, first_seen_s = asyncio.get_running_loop(), dict[str, float]()
    while True:
        now_s = loop.time()
        for order_id, order in [*fake.orders.items()]:
            if order.status == "pending" and now_s - first_seen_s.setdefault(order_id, now_s) >= after_s:
                for kit in order.fulfil():
                    kit.ship()
        await asyncio.sleep(_SHIP_EVERY_S)
