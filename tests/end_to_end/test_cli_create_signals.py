"""Signals to a command that creates, at any instant: a summary, a true exit code, and nothing done twice afterwards."""

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot
from tests.command_line import Spotdx
from tests.end_to_end.test_cli_signals import SIGNALS_AFTER_ALL_ROWS, WHENS, finish, start
from tests.long_set import with_long
from tests.patience import until

pytestmark = pytest.mark.no_cover

HEADER = "key,kit_types,first_name,last_name,email,phone,street1,city,state,country,zip"
ROWS = 40
SIGNALS = [
    *((each,) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)),
    *((signal.SIGINT, each) for each in (signal.SIGINT, signal.SIGTERM)),
    (signal.SIGTERM, signal.SIGHUP),
]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(orders=[]) as server:
        yield server


def command(folder: Path, rows: int = ROWS) -> list[str]:
    lines = [
        f"P{n},health_kit_1,Robin{n},Sample,r@example.com,2025550147,1 Example Street,Springfield,IL,US,62701"
        for n in range(rows)
    ]
    path = folder / "rows.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    names = ("--batch", "7", "--journal", str(folder / "j"), "--created", str(folder / "placed.csv"))
    return ["orders", "create", str(path), *names, "--yes", "--json"]


def created(folder: Path) -> set[str]:
    """The ids of those that the file of created ones calls placed."""
    return {line.split(",")[1] for line in (folder / "placed.csv").read_text().splitlines() if line.endswith(",ok")}


@pytest.mark.parametrize("when", with_long(["the files are closed, once"], WHENS))
async def test_signals_after_the_last_row_change_neither_files_nor_the_exit_code(
    fake: FakeSpot, tmp_path: Path, when: str
) -> None:
    words = command(tmp_path, rows=3)

    code, out, err = await finish(await start(fake, when, *words, how=("-c", SIGNALS_AFTER_ALL_ROWS)))

    summary = json.loads(out)
    assert (code, summary["stopped"], summary["ok"], len(fake.orders)) == (0, None, 3, 3)
    assert created(tmp_path) == {*fake.orders}
    assert "stop" not in err


async def test_a_signal_while_rows_in_doubt_wait_to_be_looked_for_gives_3_and_says_how_to_go_on(
    fake: FakeSpot, tmp_path: Path
) -> None:
    fake.faults.add("drop_after", method="POST")
    process = await start(fake, *command(tmp_path, rows=3))
    await until(lambda: len(fake.orders) == 3)
    await until(lambda: fake.in_flight == 0)

    process.send_signal(signal.SIGTERM)

    code, out, err = await finish(process)
    summary = json.loads(out)
    assert (code, summary["stopped"], summary["ok"], summary["unknown"]) == (3, "stopped by a signal", 2, 1)
    assert "run the same command again to resume" in err


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("seed", with_long(range(2), range(30)))
async def test_after_signals_at_any_instant_the_same_command_places_nothing_twice(
    fake: FakeSpot, spotdx: Spotdx, tmp_path: Path, chaos: Any, seed: int
) -> None:
    dice = random.Random(chaos.seed * 1000 + seed)
    fake.latency_s = dice.choice([0.0, 0.01, 0.05])
    fake.faults.random(0.1, seed=seed, kinds=["drop_after", "503", "429"])
    words = command(tmp_path)
    process = await start(fake, *words, "--concurrency", "4")
    await until(lambda: len([*tmp_path.iterdir()]) > 1 or process.returncode is not None)  # it has begun its files
    await at_some_instant(process, fake, dice)
    signals = dice.choice(SIGNALS)
    for number in signals:
        if process.returncode is None:
            process.send_signal(number)
            await asyncio.sleep(dice.choice([0.0, 0.01, 0.1]))

    code, out, err = await finish(process)
    stopped = len(fake.orders)
    fake.latency_s = 0.0
    fake.faults.clear()
    again = await spotdx(*words, "--force")

    assert code in {0, 3, *(128 + number for number in signals)}, err
    if stopped or code == 0:
        # Of two signals the second may come while the summary is shown.
        assert out or len(signals) > 1, (code, signals, stopped, err)
    if out:
        summary = json.loads(out)
        assert sum(summary[state] for state in ("ok", "failed", "unknown", "skipped")) == summary["rows"]
        assert summary["ok"] <= stopped <= summary["ok"] + summary["unknown"]
        assert code == (3 if summary["stopped"] else 0), err
    assert again.code == 0, again.err
    persons = Counter(order.document["recipient"]["first_name"] for order in fake.orders.values())
    assert {*persons.values()} == {1}
    assert len(persons) == ROWS
    assert created(tmp_path) == {*fake.orders}


async def at_some_instant(process: asyncio.subprocess.Process, fake: FakeSpot, dice: random.Random) -> None:
    """Wait for some time or some work."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + (dice.uniform(0.0, 1.0) if dice.random() < 0.3 else 4.0)
    work = dice.randrange(1, ROWS + 5)
    while process.returncode is None and loop.time() < until_s and fake.counts["executed"] < work:
        await asyncio.sleep(0.002)
