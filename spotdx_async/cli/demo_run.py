"""The run of ``spotdx demo``, and the comparison of the fake server's ledger with the input."""

import csv
import random
import tempfile
from pathlib import Path

from attrs import frozen
from rich import box
from rich.table import Table

from spotdx_async.cli.demo_faults import mishaps_for
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.formatting import counted
from spotdx_async.cli.run_result import RunResult
from spotdx_async.cli.settings import Settings
from spotdx_async.cli.streams import Streams
from spotdx_async.cli.summary import tell_ending
from spotdx_async.cli.update_kinds import KITS
from spotdx_async.cli.update_request import UpdateRequest
from spotdx_async.cli.update_run import UpdateRun
from spotdx_async.own_loop import run_in_own_loop
from spotdx_async.testing import FakeSpot

__all__ = ["demonstrate"]

_COHORTS = ("A", "B", "control")
_SITES = ("Oslo", "Łódź", "São Paulo", "北京")
_LARGEST_SEED = 10**6


def demonstrate(kits: int, seed: int | None, rate: float | None, streams: Streams) -> Exit:
    """Update so many kits; without a seed any is taken, and told."""
    seed = random.randrange(_LARGEST_SEED) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="spotdx-demo-") as folder:
        return run_in_own_loop(_demonstrate(Path(folder, "kits.csv"), kits, seed, rate, streams))


@frozen
class _Comparison:
    """The server's ledger beside the input."""

    kits: int
    equal: int
    """Kits whose last write, and whose value now, are those of the input."""
    strangers: int
    """Writes to kits, or of values, that the input does not hold."""

    @property
    def is_equal(self) -> bool:
        return self.equal == self.kits and not self.strangers


async def _demonstrate(path: Path, kits: int, seed: int, rate: float | None, streams: Streams) -> Exit:
    kit_ids = [f"SPOT{number:06}" for number in range(1, kits + 1)]
    _write_input(path, kit_ids, random.Random(seed))
    async with FakeSpot(kits=kit_ids, faults=mishaps_for(kit_ids, seed=seed)) as fake:
        streams.tell(f"A fake server on {fake.url} with {counted(kits, 'kit')}, and troubles of seed {seed}.")
        streams.tell(f"$ spotdx kits update {path.name}")
        task = UpdateRequest(
            kind=KITS,
            files=(str(path),),
            settings=Settings.for_server(fake.url, fake.token, rate=rate),
        )
        with UpdateRun(task, streams) as run:
            run_result = await run.run()
        tell_ending(run_result, streams, as_json=False)
        comparison = _compare(fake, path)
        _tell_comparison(fake, comparison, run_result, streams)
    if run_result.exit is not Exit.OK:
        return run_result.exit
    return Exit.OK if comparison.is_equal else Exit.FAILED


def _write_input(path: Path, kit_ids: list[str], dice: random.Random) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["kit_id", "cohort", "site", "note"])
        for kit_id in kit_ids:
            note = f"visit {dice.randrange(9)},\nrow of {kit_id}" if dice.random() < 0.1 else ""  # noqa: PLR2004 - a tenth
            writer.writerow([kit_id, dice.choice(_COHORTS), dice.choice(_SITES), note])


def _compare(fake: FakeSpot, path: Path) -> _Comparison:
    """Read the input again, by the standard library alone, and hold it against what the server was told."""
    with path.open(encoding="utf-8", newline="") as file:
        told = {row.pop("kit_id"): {key: cell for key, cell in row.items() if cell} for row in csv.DictReader(file)}
    last = {entry.kit_id: entry.metadata for entry in fake.ledger}
    return _Comparison(
        kits=len(told),
        equal=sum(last.get(kit_id) == value == fake.kits[kit_id].metadata for kit_id, value in told.items()),
        strangers=sum(told.get(entry.kit_id) != entry.metadata for entry in fake.ledger),
    )


def _tell_comparison(fake: FakeSpot, comparison: _Comparison, run_result: RunResult, streams: Streams) -> None:
    played = ", ".join(f"{name} x{times}" for name, times in sorted(fake.faults.played.items()))
    streams.tell("The server's side:")
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column("what", style="bold")
    table.add_column("figure", overflow="fold")
    table.add_row("requests received", f"{fake.counts['requests']:,}")
    table.add_row("updates executed", f"{len(fake.ledger):,}")
    table.add_row("troubles played", f"{sum(fake.faults.played.values()):,} ({played or 'none'})")
    table.add_row("rows ok", f"{run_result.row_results.counts['ok']:,} of {run_result.row_results.rows:,}")
    table.add_row("kits with their value", f"{comparison.equal:,} of {comparison.kits:,}")
    table.add_row("foreign writes", f"{comparison.strangers:,}")
    table.add_row("time", f"{run_result.elapsed_s:.1f} s")
    streams.show(table)
    streams.tell("Every kit holds its value." if comparison.is_equal else "NOT every kit holds its value.")
