"""What programs read of a run: where it stops, each row's outcome, its progress, and the folder of a run of workers."""

import asyncio
import csv
import errno
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async import private_files
from spotdx_async.cli.app import run
from spotdx_async.distributed import Shard, Split, run_shard
from spotdx_async.errors import InvalidInputError
from spotdx_async.files.part_file import PartFile
from spotdx_async.testing import FakeSpot
from tests.command_line import Spotdx


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"SPOT{number}" for number in range(1, 31)]) as server:
        yield server


@pytest.fixture
def update(spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Spotdx:
    monkeypatch.chdir(tmp_path)
    return lambda *argv, file="kits.csv": spotdx("kits", "update", file, "--json", *argv)


def kits(path: Path, *ids: str) -> None:
    path.write_text("kit_id,a\n" + "".join(f"{kit},x\n" for kit in ids))


# --- --max-errors -----------------------------------------------------------------------------------------------------


async def test_a_run_stops_after_that_many_errors_and_is_resumed(
    update: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    kits(tmp_path / "kits.csv", "SPOT1", "NONE1", "NONE2", *(f"SPOT{number}" for number in range(2, 31)))
    options = ("--concurrency", "1", "--journal", "night.journal")

    done = await update(*options, "--max-errors", "2")

    assert done.code == 3
    assert (done.summary["ok"], done.summary["failed"]) == (1, 2)
    assert done.summary["stopped"] == "--max-errors is reached: 2 rows rejected, failed or unknown"
    assert "run the same command again to resume" in done.err
    assert len(fake.ledger) == 1

    again = await update(*options)

    assert again.code == 1
    assert (again.summary["ok"], again.summary["done_before"], again.summary["failed"]) == (29, 1, 2)


async def test_errors_of_the_last_rows_stop_nothing(update: Spotdx, tmp_path: Path) -> None:
    kits(tmp_path / "kits.csv", "SPOT1", "NONE1")

    done = await update("--max-errors", "1")

    assert (done.code, done.summary["stopped"], done.summary["rows"]) == (1, None, 2)


async def test_a_dry_run_stops_after_that_many_bad_rows(update: Spotdx, tmp_path: Path) -> None:
    kits(tmp_path / "kits.csv", "SPOT1", "", "", "", "SPOT2")

    done = await update("--dry-run", "--max-errors", "2")

    assert (done.code, done.summary["ok"], done.summary["rejected"]) == (3, 1, 2)
    assert done.summary["next_row"] == {"file": "kits.csv", "row": 2}


async def test_a_limit_below_one_is_refused(update: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    kits(tmp_path / "kits.csv", "SPOT1")

    done = await update("--max-errors", "0")

    assert (done.code, json.loads(done.err)["error"]["message"]) == (2, "--max-errors must be at least 1")
    assert not fake.requests


# --- --outcomes -------------------------------------------------------------------------------------------------------

ROWS = 'kit_id,a\nSPOT1,x\nNONE1,y\n,z\n"SPOT2","two\nlines"\nSPOT3,v\n'
OF_ROWS: list[dict[str, Any]] = [
    {"file": 1, "row": 1, "line": 2, "key": "SPOT1", "state": "ok", "error": None, "message": None, "attempts": 1},
    {
        "file": 1,
        "row": 2,
        "line": 3,
        "key": "NONE1",
        "state": "failed",
        "error": "NotFoundError",
        "message": "the server answered 404: it does not know this object",
        "attempts": 1,
    },
    {
        "file": 1,
        "row": 3,
        "line": 4,
        "key": None,
        "state": "rejected",
        "error": "InvalidInputError",
        "message": "the kit_id is empty",
        "attempts": 0,
    },
    {"file": 1, "row": 4, "line": 5, "key": "SPOT2", "state": "ok", "error": None, "message": None, "attempts": 1},
    {"file": 1, "row": 5, "line": 7, "key": "SPOT3", "state": "ok", "error": None, "message": None, "attempts": 1},
]


def outcomes_in(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(rows, key=lambda row: (row["file"], row["row"]))


async def test_every_row_s_outcome_is_written_and_nothing_of_its_metadata(update: Spotdx, tmp_path: Path) -> None:
    (tmp_path / "kits.csv").write_text(ROWS)

    done = await update("--outcomes", "out.jsonl")

    out = tmp_path / "out.jsonl"
    assert (done.code, done.summary["outcomes_file"]) == (1, "out.jsonl")
    assert outcomes_in(out) == OF_ROWS
    assert out.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob("out*")] == ["out.jsonl"]


async def test_outcomes_are_csv_where_the_name_says_so(update: Spotdx, tmp_path: Path) -> None:
    (tmp_path / "kits.csv").write_text(ROWS)

    done = await update("--outcomes", "out.csv", "--outcomes-only", "failed", "--concurrency", "1")

    assert done.code == 1
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["row"])
    assert rows == [{name: "" if value is None else str(value) for name, value in row.items()} for row in OF_ROWS[1:3]]


async def test_a_resumed_run_tells_rows_that_were_done_before_and_replaces_the_file(
    update: Spotdx, tmp_path: Path
) -> None:
    kits(tmp_path / "kits.csv", "SPOT1", "NONE1", "SPOT2", "SPOT3")
    options = ("--concurrency", "1", "--journal", "j", "--outcomes", "out.jsonl")

    stopped = await update(*options, "--max-errors", "1")
    first = outcomes_in(tmp_path / "out.jsonl")
    done = await update(*options)
    second = outcomes_in(tmp_path / "out.jsonl")

    assert (stopped.code, done.code) == (3, 1)
    assert [row["state"] for row in first][:2] == ["ok", "failed"]
    assert {(row["state"], row["error"], row["message"]) for row in first[2:]} <= {
        ("skipped", "NotSentError", "the run stopped before this row, so it was not sent")
    }
    assert [(row["state"], row["error"], row["message"]) for row in second] == [
        ("skipped", None, "done before"),
        ("failed", "NotFoundError", "the server answered 404: it does not know this object"),
        ("ok", None, None),
        ("ok", None, None),
    ]


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
async def test_outcomes_that_a_killed_run_has_left_are_touched_by_no_run_that_sends_nothing(
    update: Spotdx, fake: FakeSpot, tmp_path: Path, name: str
) -> None:
    kits(tmp_path / "kits.csv", "SPOT1")
    part = tmp_path / f"{name}.part"
    part.write_text("of the killed run\n")

    dry = await update("--outcomes", name, "--dry-run")
    refused = await update("--outcomes", name, "--failed", "gone/failed")

    assert (dry.code, refused.code, fake.requests) == (2, 2, [])
    assert f"{name}.part is what a run that was killed has left, and a dry run moves nothing" in dry.err
    assert {path.name for path in tmp_path.iterdir()} == {"kits.csv", part.name}

    done = await update("--outcomes", name)

    assert done.code == 0
    assert f"{name}.part is what a run that was killed has left: it is kept as {name}.1" in done.err
    assert (tmp_path / f"{name}.1").read_text() == "of the killed run\n"
    assert len((tmp_path / name).read_text().splitlines()) == (1 if name == "out.jsonl" else 2)


async def test_a_file_of_outcomes_has_its_header_even_without_a_row(update: Spotdx, tmp_path: Path) -> None:
    kits(tmp_path / "kits.csv", "SPOT1")

    assert (await update("--outcomes", "out.csv", "--outcomes-only", "failed")).code == 0

    assert (tmp_path / "out.csv").read_text() == "file,row,line,key,state,error,message,attempts\n"


async def test_a_file_that_is_there_stays_until_all_is_checked(update: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    kits(tmp_path / "kits.csv", "SPOT1")
    out = tmp_path / "out.jsonl"
    out.write_text("mine\n")

    for options, words in (
        ((), "out.jsonl exists and is not empty: give another name, or --force"),
        (("--force", "--map", "nonsense"), "--map"),
        (("--force", "--dry-run"), "out.jsonl exists and is not empty"),
        (
            ("--force", "--outcomes-only", "failed", "--failed", "out.jsonl"),
            "--outcomes out.jsonl are the same file",
        ),
    ):
        done = await update("--outcomes", "out.jsonl", *options)
        assert (done.code, words in done.err) == (2, True), done.err
        assert out.read_text() == "mine\n"
    assert not fake.requests
    assert not (tmp_path / "out.jsonl.part").exists()

    assert (await update("--outcomes", "out.jsonl", "--force")).code == 0
    assert [row["state"] for row in outcomes_in(out)] == ["ok"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--outcomes", "out.txt"), "ends in .csv or .jsonl"),
        (("--outcomes", "kits.csv", "--force"), "are the same file"),
        (("--outcomes", "gone/out.csv"), "there is no such folder"),
        (("--outcomes-only", "failed"), "--outcomes-only needs --outcomes PATH"),
    ],
)
async def test_a_place_that_outcomes_cannot_have_is_refused(
    update: Spotdx, fake: FakeSpot, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    kits(tmp_path / "kits.csv", "SPOT1")

    done = await update(*options)

    assert (done.code, words in done.err) == (2, True), done.err
    assert not fake.requests
    assert (tmp_path / "kits.csv").read_text() == "kit_id,a\nSPOT1,x\n"


async def test_a_disk_that_takes_no_more_outcomes_costs_no_row(
    update: Spotdx, fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kits(tmp_path / "kits.csv", "SPOT1", "SPOT2", "SPOT3")
    append = PartFile.append

    def full(part: PartFile, data: bytes) -> None:
        if part.size:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(part, data)

    monkeypatch.setattr(PartFile, "append", full)

    done = await update("--outcomes", "out.jsonl")

    assert (done.code, done.summary["ok"], done.summary["outcomes_file"]) == (1, 3, None)
    assert "the outcomes are incomplete, out.jsonl.part has those written before: No space left on device" in done.err
    assert len(fake.ledger) == 3
    assert len(outcomes_in(tmp_path / "out.jsonl.part")) == 1
    assert not (tmp_path / "out.jsonl").exists()


# --- --progress json --------------------------------------------------------------------------------------------------

PROGRESS = {"event", "elapsed_s", "rows", "failures", "states", "rows_per_s", "share", "left_s"}


async def test_standard_error_is_one_json_object_a_line(update: Spotdx, tmp_path: Path) -> None:
    kits(tmp_path / "kits.csv", "SPOT1", "NONE1", "")

    done = await update("--progress", "json", "--failed", "failed.csv")

    events = [json.loads(line) for line in done.err.splitlines()]
    assert [event["event"] for event in events if event["event"] != "message"] == ["progress", "end"]
    progress = next(event for event in events if event["event"] == "progress")
    assert progress.keys() == PROGRESS
    assert (progress["rows"], progress["failures"], progress["share"]) == (3, 2, 1.0)
    assert progress["states"] == {"ok": 1, "rejected": 1, "failed": 1, "unknown": 0, "superseded": 0, "skipped": 0}
    texts = [event["text"] for event in events if event["event"] == "message"]
    assert "not done: 2 rows, written to failed.csv; correct what is wrong and use the file as input" in texts
    assert events[-1] == {
        "event": "end",
        "elapsed_s": events[-1]["elapsed_s"],
        "rows": 3,
        "failures": 2,
        "states": progress["states"],
        "done_before": 0,
        "stopped": None,
        "exit_code": 1,
    }


async def test_what_is_refused_is_an_event_too(update: Spotdx) -> None:
    done = await update("--progress", "json", file="gone.csv")

    assert done.code == 2
    told = json.loads(done.err)
    assert (told["event"], told["error"]["message"]) == ("error", "gone.csv: No such file or directory")


# --- The state of a run ---------------------------------------------------------------------------------------------


async def test_a_run_that_is_over_tells_how_many_rows_are_not_done(
    update: Spotdx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kits.csv").write_text("kit_id,a\nSPOT1,x\nGONE,x\nSPOT2,\n")
    assert (await update("--journal", "j")).code == 1

    assert run(["runs", "show", "j"]) == 0
    shown = capsys.readouterr().out
    assert "complete: the same command tries again what is not done" in shown
    assert "not done      2" in shown
    assert run(["runs", "show", "j", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_done"] == 2


async def test_a_run_that_was_stopped_does_not_know_how_many_rows_are_not_done(
    update: Spotdx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kits.csv").write_text("kit_id,a\nGONE,x\nSPOT1,x\n")
    assert (await update("--journal", "j", "--max-errors", "1", "--concurrency", "1")).code == 3

    assert run(["runs", "show", "j"]) == 0
    assert "not done" not in capsys.readouterr().out
    assert run(["runs", "show", "j", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_done"] is None


# --- The folder of a run of workers -----------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def night(fake: FakeSpot, tmp_path: Path) -> list[Shard]:
    """A run of four shards, as a kill has left it: the first is done, the second was stopped, the third cut off."""
    rows: list[Any] = [(f"SPOT{number}", {"n": number}) for number in range(1, 31)]
    split = Split(folder=tmp_path / "night", shard_rows=8, keeps_rows=True)
    await split.read([*rows, InvalidInputError("a bad row")])
    shards = []
    for shard in split.shards():
        shards.append(shard)
        if len(shards) == 3:
            break  # before all were given out
    stop = asyncio.Event()
    async with fake.client() as spot:
        assert (await run_shard(shards[0], spot)).counts["ok"] == shards[0].count
        stop.set()
        await run_shard(shards[1], spot, stop=stop)
        await run_shard(shards[2], spot)
    with closing(sqlite3.connect(shards[2].journal or "")) as journal, journal:
        journal.execute("UPDATE meta SET ending = NULL")
    return shards


def test_the_folder_of_a_run_of_workers_shows_its_shards_and_how_to_go_on(
    night: list[Shard], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _, third = (shard.count for shard in night)
    Path(night[0].journal or "").with_name("shard-000003.journal").write_bytes(b"no journal" * 100)

    assert run(["runs", "show", str(tmp_path / "night"), "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["noun"], told["rows"], told["ok"], told["not_done"]) == ("kits", 31, first + third, 31 - first - third)
    assert (told["shards"], told["shards_begun"], told["complete"], told["in_use"]) == (None, 4, False, False)
    assert told["shards_by_state"] == {
        "complete": [0],
        "stopped": [1],
        "killed": [2],
        "under_way": [],
        "unreadable": [3],
    }
    assert "spotdx: shard 3: the journal" in err

    assert run(["runs", "show", str(tmp_path / "night")]) == 0
    shown = capsys.readouterr().out
    assert "not complete: the same command resumes it (spotdx kits update FILE… --workers N --journal" in shown


def test_a_folder_without_a_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "show", str(tmp_path)]) == 2
    assert "this folder holds no run of --workers or --dask" in capsys.readouterr().err


async def test_a_file_of_outcomes_that_could_not_be_replaced_is_refused_before_anything_is_sent(
    update: Spotdx, fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kits(tmp_path / "kits.csv", "SPOT1")
    (tmp_path / "out.jsonl").touch()
    monkeypatch.setattr(private_files, "is_mounted", lambda path: Path(path).name == "out.jsonl")

    done = await update("--outcomes", "out.jsonl")

    assert (done.code, "is mounted by itself" in done.err, fake.requests) == (2, True, [])
