"""``spotdx kits update --report``: a page about the run, refused in time where it cannot be written."""

import errno
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async import report
from spotdx_async.testing import FakeSpot
from tests.command_line import spotdx


@pytest_asyncio.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"SPOT{number}" for number in range(40)]) as server:
        monkeypatch.setenv("SPOTDX_TOKEN", server.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", server.url)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = "".join(f"SPOT{number},A,canary\n" for number in range(41))
    (tmp_path / "kits.csv").write_text("kit_id,cohort,note\n" + rows)
    return tmp_path


async def test_a_run_leaves_its_page(fake: FakeSpot, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = folder / "run.html"

    code = await spotdx("kits", "update", folder / "kits.csv", "--report", page)

    text = page.read_text()
    assert code == 1
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert f"the report is in {page}" in capsys.readouterr().err
    assert "41 rows" in text
    assert "NotFoundError" in text
    assert "concurrency" in text
    assert text.count("<svg") > 4
    assert len(text) < 100_000
    assert "Each row: POST /api/v2/kits/{kit_id}/" in text
    assert '<th scope="row">files</th><td>kits.csv</td>' in text
    for secret in ("canary", "SPOT1<", "SPOT40", fake.token, str(folder)):
        assert secret not in text


@pytest.mark.parametrize("place", ["kits.csv", "missing/run.html", "."])
async def test_a_place_that_cannot_hold_it_is_refused_before_anything_is_sent(
    fake: FakeSpot, folder: Path, place: str
) -> None:
    before = (folder / "kits.csv").read_bytes()

    assert await spotdx("kits", "update", folder / "kits.csv", "--report", folder / place) == 2

    assert fake.counts["requests"] == 0
    assert (folder / "kits.csv").read_bytes() == before


async def test_a_page_that_cannot_be_written_takes_nothing_else_away(
    fake: FakeSpot, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "write_report", full)

    code = await spotdx("kits", "update", folder / "kits.csv", "--report", folder / "run.html")

    told = capsys.readouterr()
    assert code == 1
    assert "41 rows read" in told.out
    assert "cannot be written: No space left on device" in told.err
    assert fake.counts["executed"] == 40
