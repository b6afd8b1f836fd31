"""What programs read of a run: where it stops, each row's outcome, its progress, and the folder of a run of workers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio
from attrs import frozen

from spotdx_async.cli.app import run
from spotdx_async.testing import FakeSpot


@frozen
class Done:
    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


Update: TypeAlias = Callable[..., Awaitable[Done]]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"SPOT{number}" for number in range(1, 31)]) as server:
        yield server


@pytest.fixture
def update(
    fake: FakeSpot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Update:
    monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
    monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
    monkeypatch.chdir(tmp_path)

    async def command(*argv: str, file: str = "kits.csv") -> Done:
        code = await asyncio.to_thread(run, ["kits", "update", file, "--json", *argv])
        return Done(code, *capsys.readouterr())

    return command


def kits(path: Path, *ids: str) -> None:
    path.write_text("kit_id,a\n" + "".join(f"{kit},x\n" for kit in ids))


# --- --max-errors -----------------------------------------------------------------------------------------------------


async def test_a_run_stops_after_that_many_errors_and_is_resumed(
    update: Update, fake: FakeSpot, tmp_path: Path
) -> None:
    kits(tmp_path / "kits.csv", "SPOT1", "NONE1", "NONE2", *(f"SPOT{number}" for number in range(2, 31)))
    options = ("--concurrency", "1", "--journal", "night.journal")

    done = await update(*options, "--max-errors", "2")

    assert done.code == 3
    assert (done.summary["ok"], done.summary["failed"]) == (1, 2)
    assert done.summary["stopped"] == "2 rows rejected, failed or unknown, and --max-errors is reached"
    assert "run the same command again to resume" in done.err
    assert len(fake.ledger) == 1

    again = await update(*options)

    assert again.code == 1
    assert (again.summary["ok"], again.summary["done_before"], again.summary["failed"]) == (29, 1, 2)


async def test_errors_of_the_last_rows_stop_nothing(update: Update, tmp_path: Path) -> None:
    kits(tmp_path / "kits.csv", "SPOT1", "NONE1")

    done = await update("--max-errors", "1")

    assert (done.code, done.summary["stopped"], done.summary["rows"]) == (1, None, 2)


async def test_a_dry_run_stops_after_that_many_bad_rows(update: Update, tmp_path: Path) -> None:
    kits(tmp_path / "kits.csv", "SPOT1", "", "", "", "SPOT2")

    done = await update("--dry-run", "--max-errors", "2")

    assert (done.code, done.summary["ok"], done.summary["rejected"]) == (3, 1, 2)
    assert done.summary["next_row"] == {"file": "kits.csv", "row": 2}


async def test_a_limit_below_one_is_refused(update: Update, fake: FakeSpot, tmp_path: Path) -> None:
    kits(tmp_path / "kits.csv", "SPOT1")

    done = await update("--max-errors", "0")

    assert (done.code, done.err) == (2, "spotdx: --max-errors must be at least 1\n")
    assert not fake.requests
