"""A pull that is killed again and again leaves the mirror that an undisturbed one would."""

import asyncio
import random
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.mirror import Mirror, PullReport
from spotdx_async.testing import FakeSpot
from tests.end_to_end.test_cli_process import start
from tests.patience import PATIENCE_S
from tests.unit.mirror.scripted import dump, rows_of

pytestmark = pytest.mark.no_cover

A_DAY = 400


def fill(fake: FakeSpot, kits: int) -> None:
    """Add kits that were created some a day, of which the last ones changed today."""
    now = datetime.now(UTC)
    for number in range(kits):
        created = now - timedelta(days=(kits - number) // A_DAY)
        fake.kits.add(f"SPOT{number:06}", created=created)


async def killed(fake: FakeSpot, path: Path, dice: random.Random, most_gets: int) -> bool:
    """Kill a pull at some instant: while its file is made, or after some objects; False if it has ended before."""
    process = await start(fake, "mirror", "pull", str(path))
    if dice.random() < 0.2:
        look, moment_s = path.with_name(f"{path.name}-lock").exists, dice.uniform(0, 0.05)
    else:
        gets = fake.operation_counts["kits.get"] + dice.randrange(most_gets)
        look, moment_s = (lambda: fake.operation_counts["kits.get"] >= gets), dice.uniform(0, 0.02)
    async with asyncio.timeout(10 * PATIENCE_S):
        while process.returncode is None and not look():
            await asyncio.sleep(0.001)
        await asyncio.sleep(moment_s)  # anywhere in a batch, its transaction, and what follows
        has_ended = process.returncode is not None
        if not has_ended:
            process.send_signal(signal.SIGKILL)
        await process.communicate()
    return not has_ended


async def pulled(fake: FakeSpot, path: Path) -> PullReport:
    async with fake.client() as spot:
        return await Mirror(path).pull(spot)


async def test_a_mirror_whose_pulls_were_killed_is_as_if_none_had_been(tmp_path: Path, chaos: Any) -> None:
    dice = random.Random(chaos.seed)
    kits, kills = (20_000, 20) if chaos.is_full else (400, 4)
    async with FakeSpot(kits=0, keep_requests=False) as fake:
        fill(fake, kits)
        await pulled(fake, tmp_path / "undisturbed.db")
        gets, path = fake.operation_counts["kits.get"], tmp_path / "spot.db"

        done = 0
        while done < kills and await killed(fake, path, dice, max(1, kits // kills)):
            done += 1
        print(f"{done} kills")  # noqa: T201 - says how much was tried
        await pulled(fake, path)

        assert dump(path) == dump(tmp_path / "undisturbed.db")
        assert rows_of(path, "PRAGMA integrity_check") == [("ok",)]
        assert (
            fake.operation_counts["kits.get"] - gets <= gets + (done + 1) * 300
        )  # what was committed is not got again
        assert done >= kills // 2
        gets = fake.operation_counts["kits.get"]
        idle = await pulled(fake, path)
        assert (idle.kits.delivered, idle.orders.delivered, idle.requisitions.delivered) == (0, 0, 0)
        assert fake.operation_counts["kits.get"] == gets
        assert {path.name for path in tmp_path.iterdir()} == {
            f"{name}.db{suffix}" for name in ("spot", "undisturbed") for suffix in ("", "-lock")
        }
