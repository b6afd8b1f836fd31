"""The files that a run writes: nothing is touched before the end, and nothing that others do to them loses a row."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from spotdx_async.cli.app import run
from spotdx_async.files import FailedRows
from spotdx_async.testing import FakeSpot

HEADER = "kit_id,a\n"
YESTERDAY = "kit_id,a\nNOPE9,corrected by hand\n"
Spotdx: TypeAlias = Callable[..., Awaitable[tuple[int, Any, str]]]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"K{number}" for number in range(9)]) as server:
        yield server


@pytest.fixture
def spotdx(
    fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Spotdx:
    monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
    monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kits.csv").write_text(f"{HEADER}K1,x\nNOPE1,x\nK2,x\nNOPE2,x\n")

    async def command(*options: str) -> tuple[int, Any, str]:
        code = await asyncio.to_thread(
            run, ["kits", "update", "kits.csv", "--failed", "failed.csv", "--json", *options]
        )
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return command


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    path = tmp_path / "failed.csv"
    path.write_text(YESTERDAY)
    (tmp_path / "failed.csv.unreadable").write_text("# text\n")
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"kits.csv", "run.journal"}


@pytest.mark.parametrize("options", [("--force",), ()], ids=["with --force", "as resuming would do"])
async def test_a_journal_that_is_refused_leaves_the_files_of_the_session_before(
    spotdx: Spotdx, fake: FakeSpot, failed: Path, options: tuple[str, ...]
) -> None:
    await spotdx("--journal", "run.journal", "--force")
    failed.write_text(YESTERDAY)
    sent = len(fake.ledger)

    code, _, err = await spotdx("--journal", "run.journal", "--from-row", "2", *options)

    assert (code, len(fake.ledger)) == (2, sent)
    assert "the journal" in err
    assert failed.read_text() == YESTERDAY
    assert names(failed.parent) == {"failed.csv"}


@pytest.mark.parametrize("name", ["failed.csv", "failed.csv.unreadable"])
async def test_a_resumed_run_replaces_no_file_that_is_older_than_its_journal_unasked(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, name: str
) -> None:
    await spotdx("--journal", "run.journal")
    (tmp_path / name).write_text(YESTERDAY)
    assert (await spotdx("--journal", "run.journal"))[0] == 1
    assert names(tmp_path) == {"failed.csv"}

    (tmp_path / name).write_text(YESTERDAY)
    os.utime(tmp_path / name, (0, 0))
    sent = fake.counts["requests"]
    code, _, err = await spotdx("--journal", "run.journal")
    assert (code, fake.counts["requests"], (tmp_path / name).read_text()) == (2, sent, YESTERDAY)
    assert f"{name} exists and is not empty: give another name, or --force to replace it" in err
    assert (await spotdx("--journal", "run.journal", "--force"))[0] == 1
    assert names(tmp_path) == {"failed.csv"}


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_a_dry_run_replaces_no_file(spotdx: Spotdx, failed: Path, is_resumed: bool) -> None:
    if is_resumed:
        await spotdx("--journal", "run.journal", "--force")
        failed.write_text(YESTERDAY)
    there = names(failed.parent)

    code, told, err = await spotdx("--dry-run", *(("--journal", "run.journal") if is_resumed else ("--force",)))

    assert (code, told["failed_file"]) == (0, None)
    assert "a dry run replaces nothing, and there is failed.csv already: bad rows are shown, and not written" in err
    assert "pass --failed PATH" not in err
    assert "--force" not in err
    assert failed.read_text() == YESTERDAY
    assert names(failed.parent) == there


async def test_a_dry_run_says_that_a_file_older_than_the_journal_needs_force(spotdx: Spotdx, failed: Path) -> None:
    await spotdx("--journal", "run.journal", "--force")
    failed.write_text(YESTERDAY)
    os.utime(failed, (0, 0))

    _, _, err = await spotdx("--dry-run", "--journal", "run.journal")

    assert "the run itself needs --force to replace failed.csv, which is older than its journal" in err


async def test_a_dry_run_does_not_move_what_a_killed_run_has_left(spotdx: Spotdx, tmp_path: Path) -> None:
    (tmp_path / "failed.csv.part").write_text(YESTERDAY)

    assert (await spotdx("--dry-run"))[0] == 0

    assert names(tmp_path) == {"failed.csv.part"}


async def test_a_dry_run_leaves_the_report_of_a_run(spotdx: Spotdx, tmp_path: Path) -> None:
    await spotdx("--report", "page.html", "--force")
    page = (tmp_path / "page.html").read_bytes()

    code, _, err = await spotdx("--dry-run", "--force", "--report", "page.html")

    assert (code, (tmp_path / "page.html").read_bytes()) == (0, page)
    assert "a dry run replaces nothing: the report page.html stays as it is" in err
    assert "the report is in" not in err


async def test_what_a_killed_run_has_left_is_told_and_kept(spotdx: Spotdx, tmp_path: Path) -> None:
    (tmp_path / "failed.csv.part").write_text(YESTERDAY)
    (tmp_path / "failed.csv.unreadable.part").write_text("# text\n")

    code, told, err = await spotdx()

    assert (code, told["failed_file"]) == (1, "failed.csv")
    assert "failed.csv.part is what a run that was killed has left: it is kept as failed.csv.1" in err
    assert (tmp_path / "failed.csv.1").read_text() == YESTERDAY
    assert (tmp_path / "failed.csv").read_text() == f"{HEADER}NOPE1,x\nNOPE2,x\n"
    assert names(tmp_path) == {"failed.csv", "failed.csv.1", "failed.csv.unreadable.1"}


async def test_a_second_run_on_the_same_file_is_refused(spotdx: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    with FailedRows(tmp_path / "failed.csv") as first:
        first.write(b"NOPE9,x\n")
        code, told, err = await spotdx("--force")
    assert (code, told) == (2, None)
    assert "failed.csv is being written by another run: wait until that has ended, or name another file" in err
    assert not fake.ledger
    assert (tmp_path / "failed.csv").read_text() == "NOPE9,x\n"


@pytest.mark.parametrize("is_at_the_end", [False, True])
async def test_a_file_that_is_deleted_during_the_run_costs_no_row(
    spotdx: Spotdx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_at_the_end: bool
) -> None:
    write = FailedRows.write

    def deleting(self: FailedRows, source: bytes) -> None:
        write(self, source)
        if self.count == 1 + is_at_the_end:
            (tmp_path / "failed.csv.part").unlink()

    monkeypatch.setattr(FailedRows, "write", deleting)

    code, told, err = await spotdx()

    assert (code, told["ok"], told["failed"], told["failed_file"]) == (3, 2, 2, "failed.csv.1")
    assert "failed.csv.part was moved or deleted during the run: what this run wrote is in failed.csv.1" in err
    assert "not done: 2 rows, written to failed.csv.1; correct what is wrong and use the file as input" in err
    assert (tmp_path / "failed.csv.1").read_text() == f"{HEADER}NOPE1,x\nNOPE2,x\n"


async def test_a_file_that_is_filled_during_the_run_is_not_replaced(
    spotdx: Spotdx, failed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FailedRows.write

    def filling(self: FailedRows, source: bytes) -> None:
        write(self, source)
        failed.write_text("mine")

    monkeypatch.setattr(FailedRows, "write", filling)

    code, told, err = await spotdx("--force")

    assert (code, told["failed_file"]) == (3, "failed.csv.1")
    assert "failed.csv was filled or changed by someone else during the run" in err
    assert failed.read_text() == "mine"


async def test_a_report_whose_place_is_taken_during_the_run_costs_no_summary(
    spotdx: Spotdx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FailedRows.write

    def filling(self: FailedRows, source: bytes) -> None:
        write(self, source)
        (tmp_path / "page.html").write_text("mine")

    monkeypatch.setattr(FailedRows, "write", filling)

    code, told, err = await spotdx("--report", "page.html")

    assert (code, told["failed"], told["failed_file"]) == (1, 2, "failed.csv")
    assert "page.html exists and is not an earlier report" in err
    assert "the summary is complete without it" in err
    assert (tmp_path / "page.html").read_text() == "mine"
