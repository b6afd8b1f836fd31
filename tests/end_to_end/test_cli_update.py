"""``spotdx kits update`` against the fake server, in this process."""

import asyncio
import errno
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async.files import FailedRows, RowFile
from spotdx_async.files.rows import EMPTY_ROW
from spotdx_async.resources.kits import Kits
from spotdx_async.testing import FakeSpot
from tests.command_line import Spotdx

HEADER = "kit_id,cohort,note\n"


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"SPOT{number}" for number in range(1, 31)]) as server:
        yield server


@pytest.fixture
def kits_csv(tmp_path: Path) -> Path:
    path = tmp_path / "kits.csv"
    path.write_text(HEADER + "".join(f"SPOT{number},A,{number}\n" for number in range(1, 31)))
    return path


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


async def test_every_kit_gets_its_value(spotdx: Spotdx, fake: FakeSpot, kits_csv: Path) -> None:
    done = await spotdx("kits", "update", kits_csv)
    assert done.code == 0
    assert {kit_id: kit.metadata for kit_id, kit in fake.kits.items()} == {
        f"SPOT{number}": {"cohort": "A", "note": str(number)} for number in range(1, 31)
    }
    assert "30 rows read" in done.out
    assert "ok" in done.out
    assert done.err == ""


async def test_json_gives_one_object_with_a_count_for_each_state(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    path = written(tmp_path / "k.csv", HEADER + "SPOT1,A,x\nNOPE,A,x\nSPOT2\n")
    fake.faults.add("drop_before", times=None, kit_id="SPOT3")
    done = await spotdx("kits", "update", path, "--json")
    summary = done.summary
    assert summary.pop("elapsed_s") >= 0
    assert summary == {
        "rows": 3,
        "ok": 1,
        "rejected": 1,
        "failed": 1,
        "unknown": 0,
        "superseded": 0,
        "skipped": 0,
        "done_before": 0,
        "not_sent": 0,
        "dry_run": False,
        "overtaken": 0,
        "failed_file": None,
        "unreadable_file": None,
        "outcomes_file": None,
        "not_in_failed_file": [],
        "overtaken_rows": [],
        "stopped": None,
        "next_row": None,
    }
    assert done.code == 1


async def test_json_lines_keep_their_types(spotdx: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    path = written(
        tmp_path / "k.jsonl", '{"kit_id": "SPOT1", "metadata": {"n": 12345678901234567890123, "x": [1.5, null, true]}}'
    )
    assert (await spotdx("kits", "update", path)).code == 0
    assert fake.kits["SPOT1"].metadata == {"n": 12345678901234567890123, "x": [1.5, None, True]}


BAD_ROWS = (
    b"SPOT1,A,x\n"
    b"SPOT2,A\n"
    b",A,x\n"
    b"\n"
    b" SPOT3,A,x\n"
    b"SPOT4,A,caf\xe9\n"
    b"SPOT5,A,\0\n"
    b"SPOT6,,\n"
    b"SPOT7,A,x\n"
    b"SPOT\x07,A,x\n"
    b"..,A,x\n"
    b"SPOT8,A,x\n"
)


async def test_bad_rows_are_told_by_number_and_the_good_ones_still_go(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    path = written(tmp_path / "k.csv", HEADER.encode() + BAD_ROWS)
    done = await spotdx("kits", "update", path, "--json")
    assert done.code == 1
    assert done.counts == {"rows": 11, "ok": 3, "rejected": 8}
    assert {entry.kit_id for entry in fake.ledger} == {"SPOT1", "SPOT7", "SPOT8"}
    told = [line.removeprefix("spotdx: ").partition(": rejected: ") for line in done.err.splitlines() if "row " in line]
    assert {place: reason for place, _, reason in told[:8]} == {
        "row 2 (line 3)": "the row has 2 cells, the header 3",
        "row 3 (line 4)": "the kit_id is empty",
        "row 4 (line 6)": "the kit_id has whitespace around it",
        "row 5 (line 7)": "the text is not UTF-8: save it as UTF-8, or pass --encoding, such as latin-1",
        "row 6 (line 8)": "the text holds a NUL byte",
        "row 7 (line 9)": EMPTY_ROW,
        "row 9 (line 11)": told[6][2],
        "row 10 (line 12)": told[7][2],
    }
    assert "pass --failed PATH" in done.err


async def test_rows_that_are_not_done_can_be_mended_and_fed_in_again(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    path, failed = written(tmp_path / "k.csv", HEADER.encode() + BAD_ROWS), tmp_path / "failed.csv"
    fake.faults.add("404", kit_id="SPOT8")
    done = await spotdx("kits", "update", path, "--failed", failed, "--json")
    assert (done.code, done.counts) == (1, {"rows": 11, "ok": 2, "rejected": 8, "failed": 1})
    assert done.summary["failed_file"] == str(failed)
    assert stat.S_IMODE(failed.stat().st_mode) == 0o600
    lines = BAD_ROWS.replace(b"\n\n", b"\n").splitlines(keepends=True)
    assert sorted(failed.read_bytes().splitlines(keepends=True)) == sorted(
        [HEADER.encode(), *(line for line in lines if not line.startswith((b"SPOT1,", b"SPOT7,")))]
    )
    mended = written(tmp_path / "mended.csv", HEADER + "SPOT2,A,x\nSPOT8,A,x\n")
    assert (await spotdx("kits", "update", mended)).code == 0
    assert fake.kits["SPOT8"].metadata == {"cohort": "A", "note": "x"}


async def test_a_run_without_trouble_leaves_no_file_of_failed_rows(
    spotdx: Spotdx, kits_csv: Path, tmp_path: Path
) -> None:
    assert (await spotdx("kits", "update", kits_csv, "--failed", tmp_path / "failed.csv")).code == 0
    assert not (tmp_path / "failed.csv").exists()


async def test_nothing_that_is_written_shows_a_kit_or_its_metadata(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    rows = "Alice1,Alice,x\nAlice2,Alice\nSPOT3,Alice,x\n Alice,Alice,x\n"
    path = written(tmp_path / "k.csv", HEADER + rows)
    fake.faults.add("400", times=None, kit_id="SPOT3")
    done = await spotdx("kits", "update", path, "--failed", tmp_path / "failed.csv")
    assert done.code == 1
    assert "Alice" not in done.out + done.err
    assert "SPOT3" not in done.out + done.err
    assert fake.token not in done.out + done.err


async def test_only_the_first_twenty_reasons_are_told(spotdx: Spotdx, tmp_path: Path) -> None:
    path = written(tmp_path / "k.csv", HEADER + "".join("SPOT1" + ",A" * cells + "\n" for cells in range(3, 53)))
    done = await spotdx("kits", "update", path)
    assert done.err.count("rejected") == 20
    assert "row 20 (line 21)" in done.err
    assert "and 30 more rows that failed" in done.err


async def test_rows_of_one_reason_are_told_as_one(spotdx: Spotdx, tmp_path: Path) -> None:
    path = written(tmp_path / "k.csv", HEADER + "SPOT1\n" * 20 + "NOPE,A,x\nSPOT1,A,x\nNOPE,A,x\n")
    done = await spotdx("kits", "update", path)
    told = done.err.splitlines()
    assert told[0] == "spotdx: row 1 (line 2): rejected: the row has 1 cell, the header 3"
    assert told[1] == "spotdx: … and 19 more rows like it (rows 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …)"
    assert told[2].startswith("spotdx: row 21 (line 22): failed: the server answered 404")
    assert told[3] == "spotdx: … and 1 more row like it (row 23)"
    assert "that failed" not in done.err


async def test_a_wrong_token_is_told_once(
    spotdx: Spotdx, fake: FakeSpot, kits_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "stale-token")
    fake.latency_s = 0.1
    done = await spotdx("kits", "update", kits_csv, "--concurrency", "20")
    told = [line for line in done.err.splitlines() if "failed: the server answered 401" in line]
    assert len(told) == 1
    assert "more rows like it (rows " in done.err


async def test_a_server_that_misbehaves_costs_no_row(spotdx: Spotdx, fake: FakeSpot, kits_csv: Path) -> None:
    fake.faults.add("503", times=3)
    fake.faults.add("drop_after", times=3)
    fake.faults.add("unreadable", times=2)
    assert (await spotdx("kits", "update", kits_csv, "--rate", "500", "--concurrency", "8")).code == 0
    assert {kit.metadata.get("cohort") for kit in fake.kits.values()} == {"A"}
    assert fake.peak_in_flight <= 8


async def test_a_row_without_a_usable_answer_is_unknown_and_kept(
    spotdx: Spotdx, fake: FakeSpot, kits_csv: Path, tmp_path: Path
) -> None:
    fake.faults.add("drop_after", times=None, kit_id="SPOT7")
    done = await spotdx("kits", "update", kits_csv, "--failed", tmp_path / "failed.csv", "--json")
    assert (done.code, done.counts) == (1, {"rows": 30, "ok": 29, "unknown": 1})
    assert (tmp_path / "failed.csv").read_text() == HEADER + "SPOT7,A,7\n"
    assert "row 7 (line 8): unknown: " in done.err


async def test_a_row_of_server_errors_alone_may_be_done_and_is_kept(
    spotdx: Spotdx, fake: FakeSpot, kits_csv: Path, tmp_path: Path
) -> None:
    fake.faults.add("503", times=None, kit_id="SPOT7")
    done = await spotdx("kits", "update", kits_csv, "--failed", tmp_path / "failed.csv", "--json")
    assert (done.code, done.counts) == (1, {"rows": 30, "ok": 29, "unknown": 1})
    assert (tmp_path / "failed.csv").read_text() == HEADER + "SPOT7,A,7\n"
    assert "row 7 (line 8): unknown: the server answered 503" in done.err


async def test_an_attempt_takes_no_longer_than_its_timeout(spotdx: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    fake.latency_s = 60
    path = written(tmp_path / "k.csv", HEADER + "SPOT1,A,x\n")
    done = await spotdx("kits", "update", path, "--timeout", "0.05", "--json")
    assert done.counts == {"rows": 1, "unknown": 1}


@pytest.mark.parametrize(("flags", "waits"), [([], False), (["--wait-for-server"], True)])
async def test_a_run_waits_for_a_server_that_was_never_there_where_it_is_told_to(
    spotdx: Spotdx, kits_csv: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], *, waits: bool
) -> None:
    asked: list[bool] = []
    begin = Kits.update_metadata_many

    def begin_and_note(self: Any, *rows: Any, wait_for_server: bool, **options: Any) -> Any:
        asked.append(wait_for_server)
        return begin(self, *rows, wait_for_server=wait_for_server, **options)

    monkeypatch.setattr(Kits, "update_metadata_many", begin_and_note)
    assert (await spotdx("kits", "update", kits_csv, *flags)).code == 0
    assert asked == [waits]


async def test_a_dry_run_checks_every_row_sends_nothing_and_needs_no_token(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN")
    rows = ['{"kit_id": "SPOT1", "metadata": {}}', '{"kit_id": "..", "metadata": {}}', "{", "", "[]"]
    rows.append('{"kit_id": "SPOT2", "metadata": {"a": "\\ud800"}}')
    path = written(tmp_path / "k.jsonl", "\n".join(rows))
    done = await spotdx("kits", "update", path, "--dry-run", "--json", "--failed", tmp_path / "failed.jsonl")
    assert (done.code, done.counts) == (1, {"rows": 5, "ok": 1, "rejected": 4})
    assert done.summary["dry_run"] is True
    assert (tmp_path / "failed.jsonl").read_text() == "\n".join([rows[1], rows[2], rows[5], ""])
    assert (tmp_path / "failed.jsonl.unreadable").read_text() == f"# {path}, line 5: the row is not a JSON object\n[]\n"
    assert fake.requests == []
    good = written(tmp_path / "good.csv", HEADER + "SPOT1,A,x\n")
    done = await spotdx("kits", "update", good, "--dry-run")
    assert (done.code, "would be sent" in done.out) == (0, True)
    assert fake.requests == []


async def test_an_id_that_leads_to_another_path_is_a_bad_row_and_a_wrong_argument(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    path = written(tmp_path / "k.csv", HEADER + "x/../../orders/O1,A,x\n%252e%252e,A,x\na\\b,A,x\n")
    for flags in ((), ("--dry-run",)):
        done = await spotdx("kits", "update", path, "--json", *flags)
        assert (done.code, done.counts) == (1, {"rows": 3, "rejected": 3})
    done = await spotdx("kits", "get", "x/../../orders/O1")
    assert (done.code, "kit_id must not hold '/'" in done.err, "O1" in done.err) == (2, True, False)
    assert fake.requests == []


async def test_a_refused_token_stops_the_run_and_tells_where_to_go_on(
    spotdx: Spotdx, fake: FakeSpot, kits_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "stale-token")
    failed = tmp_path / "failed.csv"
    done = await spotdx("kits", "update", kits_csv, "--concurrency", "1", "--failed", failed, "--json")
    assert done.code == 3
    assert "check SPOTDX_TOKEN" in done.err
    assert "stale-token" not in done.err
    assert done.summary["next_row"] == {"file": str(kits_csv), "row": 1}
    assert f"row 1 of {kits_csv} is the first that is left" in done.err
    assert "name another file with --failed" in done.err
    assert done.counts["failed"] + done.counts.get("skipped", 0) == done.summary["rows"] < 30
    monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
    assert (await spotdx("kits", "update", kits_csv, "--from-row", "1")).code == 0
    assert {kit.metadata.get("cohort") for kit in fake.kits.values()} == {"A"}
    assert len(fake.ledger) == 30


async def test_without_a_file_for_them_the_row_that_met_the_stop_is_where_to_go_on(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "stale-token")
    fake.latency_s = 0.05
    path = written(tmp_path / "k.csv", HEADER + "SPOT1,A,x\n" * 9)
    done = await spotdx("kits", "update", path, "--json")
    assert done.counts == {"rows": 9, "failed": 1, "skipped": 8}
    assert done.summary["next_row"] == {"file": str(path), "row": 1}
    assert f"row 1 of {path} is the first that is left" in done.err


async def test_several_files_are_one_run(spotdx: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", HEADER + "SPOT1,A,x\nSPOT2\n")
    second = written(tmp_path / "b.jsonl", '{"kit_id": "SPOT1", "metadata": {"last": 1}}\n{}\n')
    done = await spotdx("kits", "update", first, second, "--json")
    assert (done.code, done.counts) == (1, {"rows": 4, "ok": 2, "rejected": 2})
    assert f"{first} row 2 (line 3): rejected" in done.err
    assert f"{second} row 2: rejected" in done.err
    assert fake.kits["SPOT1"].metadata == {"last": 1}
    refused = await spotdx("kits", "update", first, second, "--failed", tmp_path / "failed")
    assert refused.code == 2
    assert "of one format with the same header" in refused.err


async def test_a_stop_in_the_second_file_names_it(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [written(tmp_path / f"{name}.csv", HEADER + "SPOT1,A,x\n" * 5) for name in "ab"]
    fill = RowFile.fill

    def broken(self: RowFile) -> None:
        if self.name.endswith("b.csv"):
            raise OSError(errno.EIO, "Input/output error")
        fill(self)

    monkeypatch.setattr(RowFile, "fill", broken)
    done = await spotdx("kits", "update", *files, "--json")
    assert (done.code, done.counts) == (3, {"rows": 10, "ok": 10})
    assert "the input cannot be read any further (Input/output error)" in done.err
    assert done.summary["next_row"] == {"file": str(files[1]), "row": 6}
    assert f"pass {files[1]} and the files after it with --from-row 6" in done.err
    assert len(fake.ledger) == 10


async def test_a_full_disk_stops_the_run_and_names_the_rows_that_are_not_in_the_file(
    spotdx: Spotdx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FailedRows.write

    def full(self: FailedRows, source: bytes) -> None:
        if self.count == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, source)

    monkeypatch.setattr(FailedRows, "write", full)
    path = written(tmp_path / "k.csv", HEADER + "".join(f"NOPE{number},A,x\n" for number in range(500)))
    done = await spotdx("kits", "update", path, "--concurrency", "2", "--failed", tmp_path / "failed.csv", "--json")
    assert done.code == 3
    assert done.counts["failed"] + done.counts["skipped"] == done.counts["rows"] < 20
    assert (tmp_path / "failed.csv").read_text().count("\n") == 3
    assert "cannot be written any further (No space left on device)" in done.err
    rows = done.counts["rows"]
    in_file = {int(line[4:].split(",")[0]) + 1 for line in (tmp_path / "failed.csv").read_text().splitlines()[1:]}
    named = {row for span in done.summary["not_in_failed_file"] for row in range(span["first"], span["last"] + 1)}
    assert named == {*range(1, rows + 1)} - in_file
    assert f"not done, and not certainly in {tmp_path / 'failed.csv'}: row" in done.err
    start = done.summary["next_row"]["row"]
    assert start == 1 == min(in_file)
    assert f"to resume, pass the same input with --from-row {start}\n" in done.err
    monkeypatch.setattr(FailedRows, "write", write)
    again = await spotdx("kits", "update", path, "--failed", tmp_path / "more.csv", "--from-row", start, "--json")
    rest = {int(line[4:].split(",")[0]) + 1 for line in (tmp_path / "more.csv").read_text().splitlines()[1:]}
    assert again.code == 1
    assert rest == {*range(1, 501)}


@pytest.mark.parametrize("has_journal", [False, True])
async def test_a_file_of_failed_rows_that_does_not_reach_the_disk_names_all_its_rows(
    spotdx: Spotdx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_journal: bool
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = written(tmp_path / "k.csv", HEADER + "SPOT1,A,x\nNOPE2,A,x\nNOPE3,A,x\nSPOT4,A,x\nNOPE5,A,x\n")
    options = ("--journal", tmp_path / "run.journal") if has_journal else ()
    if has_journal:  # which syncs too
        monkeypatch.setattr(FailedRows, "close", lambda _: broken(0))
    else:
        monkeypatch.setattr(os, "fsync", broken)

    done = await spotdx("kits", "update", path, "--failed", tmp_path / "failed.csv", "--json", *options)

    assert done.code == 1
    assert "not certainly in" in done.err
    assert ": rows 2-3, row 5" in done.err
    spans = [(span["first"], span["last"]) for span in done.summary["not_in_failed_file"]]
    assert spans == [(2, 3), (5, 5)]
    if has_journal:
        assert "run the same command again to resume" in done.err
    else:
        assert done.summary["next_row"] == {"file": str(path), "row": 2}
        assert "--from-row 2" in done.err


async def test_a_disk_that_is_full_names_every_row_of_very_many(
    spotdx: Spotdx, tmp_path: Path, small_disk: Path
) -> None:
    text = HEADER + "".join(f"NOPE{number},{'A' * 2000},x\n" for number in range(2000))
    path = written(tmp_path / "k.csv", text)

    done = await spotdx("kits", "update", path, "--failed", small_disk / "failed.csv", "--json")

    assert done.code == 3
    assert "No space left on device" in done.err
    kept = (small_disk / "failed.csv").read_text()
    assert kept.endswith("\n")
    in_file = {int(line[4:].split(",")[0]) + 1 for line in kept.splitlines()[1:]}
    assert 100 < len(in_file) < 600
    start = done.summary["next_row"]["row"]
    assert {*range(1, 2001)} - in_file <= {*range(start, 2001)}
    named = {row for span in done.summary["not_in_failed_file"] for row in range(span["first"], span["last"] + 1)}
    assert named == {*range(1, done.counts["rows"] + 1)} - in_file


async def test_a_device_is_no_place_for_failed_rows(spotdx: Spotdx, tmp_path: Path) -> None:
    path = written(tmp_path / "k.csv", HEADER + "SPOT1,A,x\n")
    done = await spotdx("kits", "update", path, "--failed", "/dev/full")
    assert done.code == 2
    assert "/dev/full is not a regular file" in done.err


async def test_a_row_too_long_to_be_kept_fails_the_run_and_is_named(spotdx: Spotdx, tmp_path: Path) -> None:
    row = "SPOT1,A," + "x" * 20_000_000 + "\n"
    path = written(tmp_path / "k.csv", HEADER + row + "SPOT2,A,x\n")
    done = await spotdx("kits", "update", path, "--failed", tmp_path / "failed.csv")
    assert done.code == 1
    unreadable = tmp_path / "failed.csv.unreadable"
    assert f"the text of 1 row that cannot be read is in {unreadable} with its line numbers" in done.err
    head, end = f"# {path}, from line 2:\n", f"\n# {path}, that was line 2: the row is longer than 17,825,792 bytes\n"
    assert unreadable.read_text() == head + row + end
    assert stat.S_IMODE(unreadable.stat().st_mode) == 0o600
    assert not (tmp_path / "failed.csv").exists()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "good.csv", HEADER + "SPOT1,A,x\n")
    written(tmp_path / "headless.csv", "SPOT1,Alice,x\n")
    written(tmp_path / "full.csv", "mine")
    written(tmp_path / "empty.csv", "")
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["missing.csv"], "missing.csv: No such file or directory"),
        (["."], ".: Is a directory"),
        ([], "spotdx: FILE is missing (see spotdx kits update --help)"),
        (["good.csv", "--rate"], "spotdx: --rate needs a value (see spotdx kits update --help)"),
        (
            ["good.csv", "--delimiter", "-x"],
            "--delimiter needs a value; one that begins with a hyphen is written --del",
        ),
        (["good.csv", "--failed", "-"], "--failed does not take -, neither as standard input nor as standard output"),
        (["good.csv", "--rate", "0"], "spotdx: --rate must be a number above 0"),
        (["good.csv", "--rate", "nan"], "spotdx: --rate must be a number above 0"),
        (["good.csv", "--rate", "fast"], 'Invalid value for --rate: "fast" is not a number'),
        (["good.csv", "--concurrency", "0"], "spotdx: --concurrency must be a whole number of at least 1"),
        (["good.csv", "--timeout", "0"], "spotdx: --timeout must be a number above 0"),
        (["good.csv", "--lands-within", "inf"], "spotdx: --lands-within must be a number of seconds above 0"),
        (["good.csv", "--outage-limit", "-1"], "spotdx: --outage-limit must be a number of seconds above 0"),
        (["good.csv", "--base-url", "http://example.com"], "spotdx: --base-url must use https"),
        (["good.csv", "--format", "xml"], 'Invalid value "xml" for --format'),
        (["good.csv", "--from-row", "0"], "--from-row counts from 1"),
        (["good.csv", "--nope"], "unknown option --nope"),
        (["good.csv", "--token", "abc"], "the token is never an argument"),
        (["-", "-"], "standard input (-) can be read only once"),
        (["good.csv", "--failed", "good.csv"], "the input good.csv and --failed good.csv are the same file"),
        (["good.csv", "--failed", "full.csv"], "full.csv exists and is not empty"),
        (["good.csv", "--failed", "no/where.csv"], "there is no such folder"),
        (["headless.csv"], "no column is named kit_id"),
        (["good.csv", "headless.csv"], "headless.csv: the header on line 1 cannot be used"),
        (["empty.csv"], "empty.csv: the file is empty"),
    ],
)
async def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    spotdx: Spotdx, fake: FakeSpot, here: Path, argv: list[str], reason: str
) -> None:
    done = await spotdx("kits", "update", *argv)
    assert fake.requests == []
    assert done.code == 2
    assert reason in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert (here / "full.csv").read_text() == "mine"


@pytest.mark.parametrize("token", [None, "", "two words"])
async def test_without_a_usable_token_nothing_is_read_or_sent(
    spotdx: Spotdx, fake: FakeSpot, kits_csv: Path, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN") if token is None else monkeypatch.setenv("SPOTDX_TOKEN", token)
    done = await spotdx("kits", "update", kits_csv)
    assert done.code == 2
    assert "token" in done.err
    assert "two words" not in done.err
    assert fake.requests == []


async def test_force_replaces_yesterdays_failed_rows_even_when_none_fail_today(
    spotdx: Spotdx, kits_csv: Path, tmp_path: Path
) -> None:
    failed = written(tmp_path / "failed.csv", "old")
    assert (await spotdx("kits", "update", kits_csv, "--failed", failed, "--force")).code == 0
    assert not failed.exists()
    refused = await spotdx("kits", "update", kits_csv, "--failed", kits_csv, "--force")
    assert refused.code == 2
    assert await asyncio.to_thread(kits_csv.exists)


async def test_an_error_of_our_own_is_not_hidden(
    spotdx: Spotdx, kits_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: RowFile) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(RowFile, "rows", broken)
    with pytest.raises(ZeroDivisionError):
        await spotdx("kits", "update", kits_csv)


async def test_interrupting_before_the_run_has_begun_is_a_stop(
    spotdx: Spotdx, kits_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spotdx_async.cli.row_run.open_rows", interrupted)
    done = await spotdx("kits", "update", kits_csv)
    assert done.code == 3
    assert done.err == (
        "spotdx: stopped: you may run the same command again; setting the same values twice does no harm\n"
    )


async def test_ids_that_could_lead_elsewhere_are_taken_where_the_option_says_so(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    odd = ["x/../y", "a\\b", "%2e%2e"]
    fake.kits.add_many(odd)
    path = written(
        tmp_path / "odd.jsonl", "".join(json.dumps({"kit_id": one, "metadata": {"a": 1}}) + "\n" for one in odd)
    )
    refused = await spotdx("kits", "update", path, "--dry-run", "--json")
    assert (refused.summary["rejected"], refused.code) == (3, 1)
    assert "--allow-any-id" in refused.err
    assert (await spotdx("kits", "update", path, "--dry-run", "--allow-any-id")).code == 0
    assert fake.counts["requests"] == 0

    done = await spotdx("kits", "update", path, "--allow-any-id", "--json")

    assert (done.summary["ok"], done.code) == (3, 0)
    assert all(fake.kits[one].metadata == {"a": 1} for one in odd)
    asked = await spotdx("kits", "get", odd[0])
    assert asked.code != 0
    assert "--allow-any-id" in asked.err
    assert (await spotdx("kits", "get", odd[0], "--allow-any-id")).code == 0
