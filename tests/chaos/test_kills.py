"""A run that is killed again and again ends as an undisturbed one would."""

import asyncio
import csv
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest

from spotdx_async import read_journal
from spotdx_async.testing import FakeSpot

pytestmark = pytest.mark.no_cover

CONCURRENCY = 32
ONE_GROUP = 1000
UNRECORDED = CONCURRENCY + ONE_GROUP


@attrs.frozen
class Command:
    """``spotdx kits update`` on an input with a journal, as a process of its own."""

    folder: Path
    url: str
    token: str

    async def start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "spotdx_async", "kits", "update", str(self.folder / "rows.csv")),
            *("--journal", str(self.folder / "run.journal"), "--failed", str(self.folder / "failed.csv")),
            *("--concurrency", str(CONCURRENCY), "--timeout", "2", "--lands-within", "2", "--json"),
            env={**os.environ, "SPOTDX_TOKEN": self.token, "SPOTDX_BASE_URL": self.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


def write_rows(folder: Path, kit_ids: list[str], count: int, dice: random.Random) -> dict[str, str]:
    """Write an input in which kits come several times; give each kit's last value."""
    last = {}
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["kit_id", "n"])
        for n in range(count):
            kit_id = dice.choice(kit_ids)
            writer.writerow([kit_id, n])
            last[kit_id] = str(n)
    return last


async def kill_some_time(process: asyncio.subprocess.Process, fake: FakeSpot, dice: random.Random, most: int) -> bool:
    """Kill the process after some work or some time; False where it was done before."""
    work = fake.counts["executed"] + dice.randrange(most)
    until = time.monotonic() + (dice.uniform(0.2, 1.5) if dice.random() < 0.3 else 60.0)
    while process.returncode is None and fake.counts["executed"] < work and time.monotonic() < until:
        await asyncio.sleep(0.005)
    if process.returncode is not None:
        return False
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    return True


async def test_kills_lose_no_row_and_repeat_few(tmp_path: Path, chaos: Any) -> None:
    dice = random.Random(chaos.seed)
    rows, kills = (20_000, 50) if chaos.is_full else (3_000, 5)
    kit_ids = [f"SPOT{n:06}" for n in range(rows // 4)]
    last = write_rows(tmp_path, kit_ids, rows, dice)
    async with FakeSpot(kits=kit_ids) as fake:
        fake.faults.random(0.05, seed=chaos.seed)
        command = Command(tmp_path, fake.url, fake.token)
        killed = 0
        while killed < kills and await kill_some_time(await command.start(), fake, dice, rows // kills * 2):
            killed += 1
        process = await command.start()
        told, said = await process.communicate()

        assert process.returncode == 0, said.decode()
        assert read_journal(tmp_path / "run.journal").ending == "complete"
        check_ledger(fake, last, rows)
        repeats = Counter((entry.kit_id, entry.metadata["n"]) for entry in fake.ledger).total() - rows
        played = sum(1 for request in fake.requests if request.executed and request.fault)
        print(f"{killed} kills, {repeats} rows sent more than once, {played} of them by faults; {told.decode()}")  # noqa: T201
        assert repeats <= played + killed * UNRECORDED


def check_ledger(fake: FakeSpot, last: dict[str, str], rows: int) -> None:
    """Every row was executed, each kit's in order, and each kit holds its last value."""
    written: dict[str, list[int]] = {}
    for entry in fake.ledger:
        written.setdefault(entry.kit_id, []).append(int(entry.metadata["n"]))
    assert {n for numbers in written.values() for n in numbers} == set(range(rows))
    for kit_id, numbers in written.items():
        first_times = list(dict.fromkeys(numbers))
        assert first_times == sorted(first_times), "a row went before an earlier one of its kit"
        assert fake.kits[kit_id].metadata == {"n": last[kit_id]}
