"""An input that changes while it is read: what was sent, the exit code, and what is said."""

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async import distributed
from spotdx_async.cli.row_source import RowSource
from spotdx_async.files import ParquetFile, RowFile
from spotdx_async.testing import FakeSpot
from tests.command_line import spotdx

OLD_S = 1_700_000_000
PIECE = "x" * 65_000  # two rows fill a piece of what is read at once
ROWS = 12


@pytest_asyncio.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"K{number}" for number in range(ROWS)]) as server:
        monkeypatch.setenv("SPOTDX_TOKEN", server.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", server.url)
        yield server


def values(fake: FakeSpot) -> set[str]:
    return {str(entry.metadata)[-5:] for entry in fake.ledger}


def csv(path: Path, mark: str, rows: int = ROWS) -> Path:
    path.write_text("kit_id,a\n" + "".join(f"K{number},{PIECE}{mark}\n" for number in range(rows)))
    os.utime(path, (OLD_S, OLD_S))
    return path


def parquet(path: Path, mark: str) -> Path:
    arrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"kit_id": [f"K{number}" for number in range(ROWS)], "a": [mark] * ROWS})
    writer.write_table(table, path, row_group_size=3)
    os.utime(path, (OLD_S, OLD_S))
    return path


def change_at_fill(
    monkeypatch: pytest.MonkeyPatch, kind: type[RowFile | ParquetFile], number: int, change: Callable[[], object]
) -> None:
    """Change the input right before a piece of it is read, once the run has begun."""
    fill, fills, begin = kind.fill, [0], RowSource.__aiter__

    def changing(self: Any) -> None:
        fills[0] += 1
        if fills[0] == number:
            change()
        fill(self)

    def begun(self: RowSource) -> Any:
        monkeypatch.setattr(kind, "fill", changing)
        return begin(self)

    monkeypatch.setattr(RowSource, "__aiter__", begun)


@pytest.mark.parametrize("journal", [True, False])
async def test_a_csv_that_is_rewritten_in_place_stops_the_run(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, journal: bool
) -> None:
    path, failed = csv(tmp_path / "kits.csv", "old"), tmp_path / "failed.csv"
    options = ("--journal", tmp_path / "run.journal") if journal else ()
    change_at_fill(monkeypatch, RowFile, 3, lambda: csv(path, "new!"))

    assert await spotdx("kits", "update", path, "--failed", failed, "--concurrency", 1, "--json", *options) == 3

    out, err = capsys.readouterr()
    assert values(fake) <= {"old'}"}
    assert len(fake.ledger) < 8
    assert f"stopped early: {path}: it was changed while it was read: it had " in err
    again = (
        " with --accept-changed-input, which sends only what is not done; or with a new --journal" if journal else ""
    )
    assert (
        f"nothing more was sent; once nothing writes to the input any more, run the same command again{again}:" in err
    )
    assert "--from-row" not in err
    summary = json.loads(out)
    assert summary["next_row"] is None
    assert summary["ok"] == len(fake.ledger)
    if failed.exists():
        assert f"do not use {failed} as input" in err
    # What it says to do.
    monkeypatch.undo()
    monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
    monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
    assert await spotdx("kits", "update", path, *(("--journal", tmp_path / "new") if journal else ())) == 0
    assert {str(kit.metadata)[-6:] for kit in fake.kits.values()} == {"new!'}"}


async def test_parquet_that_is_replaced_stops_the_run(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "kits.parquet", "old")
    change_at_fill(monkeypatch, ParquetFile, 4, lambda: parquet(tmp_path / "other.parquet", "new").replace(path))

    assert await spotdx("kits", "update", path, "--concurrency", 1) == 3

    assert 0 < len(fake.ledger) <= 9
    assert values(fake) == {"old'}"}
    assert f"stopped early: {path}: another file has taken its place while it was read" in capsys.readouterr().err


async def test_a_dry_run_tells_of_a_change_too(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = csv(tmp_path / "kits.csv", "old")
    change_at_fill(monkeypatch, RowFile, 3, lambda: csv(path, "new!"))

    assert await spotdx("kits", "update", path, "--dry-run") == 3

    assert fake.requests == []
    assert "it was changed while it was read" in capsys.readouterr().err


async def test_a_second_file_that_changed_before_its_turn_sends_none_of_its_rows(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = csv(tmp_path / "a.csv", "one"), csv(tmp_path / "b.csv", "two", rows=1)
    change_at_fill(monkeypatch, RowFile, 2, lambda: csv(second, "new!", rows=1))

    assert await spotdx("kits", "update", first, second, "--concurrency", 1) == 3

    assert values(fake) == {"one'}"}
    assert f"stopped early: {second}: it was changed" in capsys.readouterr().err


async def test_a_change_before_the_first_row_sends_nothing(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, journal = csv(tmp_path / "kits.csv", "old"), tmp_path / "run.journal"
    digest = RowFile.digest

    def changed(self: RowFile) -> bytes | None:
        csv(path, "new!")
        return digest(self)

    monkeypatch.setattr(RowFile, "digest", changed)
    assert await spotdx("kits", "update", path, "--journal", journal) == 3

    assert fake.requests == []
    assert not journal.exists()
    err = capsys.readouterr().err
    assert f"{path}: it was changed while it was read" in err
    assert "nothing was sent: run the same command again once nothing writes to that file any more" in err


async def test_a_file_that_may_be_written_still_is_warned_of(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kits.csv"
    path.write_text("kit_id,a\nK1,x")

    assert await spotdx("kits", "update", path) == 0

    assert f"{path}: it was written " in capsys.readouterr().err
    assert len(fake.ledger) == 1


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("is_sent", [True, False])
async def test_workers_name_no_row_of_a_file_that_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_sent: bool
) -> None:
    path = csv(tmp_path / "kits.csv", "old")

    @asynccontextmanager
    async def connected(*_: object, **__: object) -> AsyncIterator[None]:
        yield None

    async def update(source: Any, *, on_report: Any, **_: object) -> distributed.RunReport:
        if is_sent:
            rows = [row async for row in source]
            csv(path, "new!")
            on_report(distributed.ShardReport(shard=0, counts={}, undone=tuple(range(len(rows)))))
            report = distributed.RunReport()
            report.counts["failed"] = len(rows)
            return report
        csv(path, "new!")
        return [row async for row in source]  # type: ignore[return-value] # it raises

    monkeypatch.setattr(distributed, "connected", connected)
    monkeypatch.setattr(distributed, "update_metadata_distributed", update)

    assert await spotdx("kits", "update", path, "--workers", 1, "--failed", tmp_path / "failed.csv") == 3

    err = capsys.readouterr().err
    assert f"{path}: it was changed while it was read" in err
    assert ("so rows that are not done cannot all be named" if is_sent else "nothing was sent: run the same") in err
    assert not (tmp_path / "failed.csv").exists()
