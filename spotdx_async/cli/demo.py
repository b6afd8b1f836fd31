"""``spotdx demo``: the real ``kits update`` on a fake server that misbehaves, and a look at what the server holds."""

import asyncio
import csv
import sys
import tempfile
from pathlib import Path

from spotdx_async import RateLimit, RetryPolicy
from spotdx_async.cli.summary import Summary
from spotdx_async.cli.update_run import UpdateRun
from spotdx_async.testing import FakeSpot, faults

__all__ = ["run_demo"]

_FAULT_RATE = 0.05
_CONCURRENCY = 64
# A pause of a second is rare here, since each one stops the whole client; the others are played about equally.
_KINDS: list[faults.Fault | str] = [
    *(kind for kind in faults.DEFAULT_MIXTURE for _ in range(5)),
    *(faults.slow_answer(0.3),) * 5,
    faults.status(429, retry_after=1),
]


def run_demo(kits: int, *, seed: int, rate_limit: RateLimit | None) -> int:
    """Run it; 0 when every kit holds its value."""
    values = {f"DEMO{number:07d}": f"cohort-{number % 97}" for number in range(kits)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kits.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["kit_id", "cohort"])
            writer.writerows(values.items())
        summary, wrong, played = asyncio.run(_update(path, values, seed, rate_limit))
    summary.write(as_json=False)
    troubles = ", ".join(f"{count} {name}" for name, count in sorted(played.items()))
    sys.stdout.write(f"Faults played: {troubles or 'none'}.\n")
    if wrong or summary.exit_code:
        sys.stdout.write(f"{wrong} of {kits} kits do not hold their value.\n")
        return summary.exit_code or 1
    sys.stdout.write(f"Every one of the {kits} kits holds its value on the server.\n")
    return 0


async def _update(
    path: Path, values: dict[str, str], seed: int, rate_limit: RateLimit | None
) -> tuple[Summary, int, dict[str, int]]:
    async with FakeSpot(kits=list(values), latency_s=0.005) as fake:
        fake.faults.random(_FAULT_RATE, seed=seed, kinds=_KINDS)
        sys.stdout.write(f"A fake Spot server with {len(values)} kits plays faults on {_FAULT_RATE:.0%} of requests.\n")
        sys.stdout.flush()
        client = fake.client(concurrency=_CONCURRENCY, rate_limit=rate_limit, retry=RetryPolicy(max_attempts=8))
        with UpdateRun([str(path)], row_format="csv", failed_path=None, concurrency=_CONCURRENCY) as run:
            summary = await run.send(client)
        last = {entry.kit_id: entry.metadata for entry in fake.ledger}
        wrong = sum(
            last.get(kit_id) != {"cohort": value} or fake.kits[kit_id].metadata != last.get(kit_id)
            for kit_id, value in values.items()
        )
        return summary, wrong, dict(fake.faults.played)
