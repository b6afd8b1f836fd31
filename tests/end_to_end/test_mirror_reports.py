"""The files of reports beside a mirror: each saved once, renewed where it must be, and never half there."""

import hashlib
import sqlite3
import stat
from pathlib import Path

from spotdx_async.mirror import Mirror, PullReport
from spotdx_async.testing import FakeSpot, faults


async def pulled(fake: FakeSpot, folder: Path) -> PullReport:
    async with fake.client() as spot:
        return await Mirror(folder / "spot.db").pull(spot, reports=folder / "reports")


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
    with sqlite3.connect(tmp_path / "spot.db") as mirror:
        known = dict(mirror.execute("SELECT name, sha256 FROM report_files WHERE name IS NOT NULL"))
    assert known == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


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


async def test_without_a_folder_no_file_is_asked_for(fake_spot: FakeSpot, tmp_path: Path) -> None:
    async with fake_spot.client() as spot:
        report = await Mirror(tmp_path / "spot.db").pull(spot)

    assert report.files == 0
    assert not any("report" in request.path for request in fake_spot.requests)
