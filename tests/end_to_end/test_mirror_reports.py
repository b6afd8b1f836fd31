"""The files of reports beside a mirror: each saved once, renewed where it must be, and never half there."""

import hashlib
import json
import logging
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import InvalidInputError
from spotdx_async.mirror import Mirror, MirrorError, PullReport
from spotdx_async.mirror.report_files import ReportFiles
from spotdx_async.testing import FakeSpot, faults


async def pulled(fake: FakeSpot, folder: Path, **options: Any) -> PullReport:
    async with fake.client() as spot:
        return await Mirror(folder / "spot.db").pull(spot, reports=folder / "reports", **options)


def saved_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "reports").iterdir()}


async def test_each_report_is_saved_once_and_its_digest_kept(fake_spot: FakeSpot, tmp_path: Path) -> None:
    first = await pulled(fake_spot, tmp_path)
    files = saved_in(tmp_path)
    second = await pulled(fake_spot, tmp_path)

    assert first.files == len(files) > 0
    assert (second.files, second.files_failed) == (0, 0)
    assert all(data.startswith(b"%PDF-") for data in files.values())
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "reports").iterdir()} == {0o600}
    with closing(sqlite3.connect(tmp_path / "spot.db")) as mirror:
        known = dict(mirror.execute("SELECT name, sha256 FROM report_files WHERE name IS NOT NULL"))
    assert known == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


async def test_every_report_is_saved_however_many_objects_are_taken_at_once(
    fake_spot: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        kit = fake_spot.kits.add(f"MORE{number}", status="registered", sample=None)
        kit.collect()
        kit.result()
        kit.result()
    await pulled(fake_spot, tmp_path)
    files = saved_in(tmp_path)
    monkeypatch.setattr("spotdx_async.mirror.report_files._OBJECTS_AT_ONCE", 1)

    async with fake_spot.client() as spot:
        report = await Mirror(tmp_path / "other.db").pull(spot, reports=tmp_path / "others")

    assert {path.name for path in (tmp_path / "others").iterdir()} == {*files}
    assert report.files == len(files) >= 8


async def test_a_file_that_is_gone_or_cut_is_fetched_again(fake_spot: FakeSpot, tmp_path: Path) -> None:
    await pulled(fake_spot, tmp_path)
    files = saved_in(tmp_path)
    victims = sorted(files)
    (tmp_path / "reports" / victims[0]).write_bytes(b"%PDF-")

    again = await pulled(fake_spot, tmp_path)

    assert again.files == 1
    assert saved_in(tmp_path) == files


async def test_an_amended_report_is_fetched_again(fake_spot: FakeSpot, tmp_path: Path) -> None:
    await pulled(fake_spot, tmp_path)
    kit = fake_spot.kits["SPOT123456"]
    kit.document["sample"]["reports"][0]["is_amendment"] = True
    kit.updated = "2030-01-01T00:00:00.000Z"

    again = await pulled(fake_spot, tmp_path)

    assert again.files == 1


async def test_a_link_that_has_expired_is_tried_again_by_the_next_pull(fake_spot: FakeSpot, tmp_path: Path) -> None:
    fake_spot.faults.add(faults.expired_link(), path="/results/{file}")

    first = await pulled(fake_spot, tmp_path)
    second = await pulled(fake_spot, tmp_path)

    assert first.files_failed == 1
    assert second.files == 1
    assert second.files_failed == 0


async def test_a_folder_in_the_place_of_a_file_is_told_and_keeps_back_nothing(
    fake_spot: FakeSpot, tmp_path: Path
) -> None:
    await pulled(fake_spot, tmp_path)
    place, *others = sorted((tmp_path / "reports").iterdir())
    place.unlink()
    place.mkdir()

    again = await pulled(fake_spot, tmp_path)

    assert (again.files, again.files_failed) == (0, 1)
    assert all(other.is_file() for other in others)


async def test_a_sweep_fetches_again_what_somebody_has_edited(fake_spot: FakeSpot, tmp_path: Path) -> None:
    await pulled(fake_spot, tmp_path)
    files = saved_in(tmp_path)
    victim = tmp_path / "reports" / min(files)
    victim.write_bytes(files[victim.name][:-1] + b"?")

    assert (await pulled(fake_spot, tmp_path)).files == 0  # a look at every byte of every file would take long
    swept = await pulled(fake_spot, tmp_path, sweep=True)

    assert swept.files == 1
    assert saved_in(tmp_path) == files


async def test_a_link_in_the_place_of_a_file_is_none(fake_spot: FakeSpot, tmp_path: Path) -> None:
    await pulled(fake_spot, tmp_path)
    files = saved_in(tmp_path)
    place = tmp_path / "reports" / min(files)
    place.unlink()
    (tmp_path / "elsewhere.pdf").write_bytes(files[place.name])
    place.symlink_to(tmp_path / "elsewhere.pdf")

    assert (await pulled(fake_spot, tmp_path)).files_failed == 1


async def test_half_of_a_surrogate_pair_in_a_reports_id_ends_no_pull(fake_spot: FakeSpot, tmp_path: Path) -> None:
    with_odd_id(fake_spot)

    report = await pulled(fake_spot, tmp_path)

    assert report.files_failed == 0
    assert "SPOT123456-%ED%A0%80.pdf" in saved_in(tmp_path)
    assert (await pulled(fake_spot, tmp_path)).files == 0


def with_odd_id(fake: FakeSpot) -> None:
    """Let a report have an id that JSON can hold, and UTF-8 cannot."""
    kit = json.loads(json.dumps(fake.kits["SPOT123456"].document))
    report = kit["sample"]["reports"][0]
    report["report_id"], report["pdf"] = "\ud800", fake.report_files.renewed(report["pdf"])
    fake.faults.add(faults.body(json.dumps(kit).encode()), path="/api/v2/kits/SPOT123456/", times=None)


async def test_a_folder_that_goes_away_ends_the_pull_and_no_kit_is_got_in_vain(
    fake_spot: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReportFiles, "prepare", lambda _: None)  # so it is not there when the first file comes

    with pytest.raises(MirrorError, match="reports cannot be written any more: no further file") as caught:
        await pulled(fake_spot, tmp_path)

    assert caught.value.reason == "disk"
    monkeypatch.undo()
    assert (await pulled(fake_spot, tmp_path)).files > 0


async def test_a_folder_that_takes_no_files_is_told_before_anything_is_asked(
    fake_spot: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reports").write_text("a file")

    with pytest.raises(InvalidInputError, match="reports cannot be used as the folder of reports: File exists"):
        await pulled(fake_spot, tmp_path)

    (tmp_path / "reports").unlink()
    monkeypatch.setattr("spotdx_async.mirror.report_files.os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(InvalidInputError, match="cannot be used as the folder of reports: Permission denied"):
        await pulled(fake_spot, tmp_path)
    assert fake_spot.requests == []


async def test_why_a_file_cannot_be_saved_is_logged_without_its_name(
    fake_spot: FakeSpot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "spotdx_async")
    fake_spot.faults.add(faults.expired_link(), path="/results/{file}")
    await pulled(fake_spot, tmp_path)
    place = min((tmp_path / "reports").iterdir())
    place.unlink()
    place.mkdir()
    await pulled(fake_spot, tmp_path)

    first, *_, last = [record.getMessage() for record in caplog.records if "cannot be saved" in record.getMessage()]
    assert "the link has expired" in first
    assert "its place is a folder" in last
    assert "SPOT" not in f"{first}{last}"


async def test_without_a_folder_no_file_is_asked_for(fake_spot: FakeSpot, tmp_path: Path) -> None:
    async with fake_spot.client() as spot:
        report = await Mirror(tmp_path / "spot.db").pull(spot)

    assert report.files == 0
    assert not any("report" in request.path for request in fake_spot.requests)
