"""The programs of the page on cohorts, run on the fake server: killed or deployed in the middle, nothing is doubled."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async import SpotClient
from spotdx_async.testing import FakeSpot
from tests.command_line import Spotdx
from tests.docs.pages import DOCS, blocks_of
from tests.new_objects import ORDER

PAGE = blocks_of(DOCS / "cohorts.md")
PROGRAMS = [block.text for block in PAGE if block.act == "elsewhere" and block.language == "python"]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(orders=[]) as server:
        yield server


def program_with(name: str) -> str:
    (found,) = (text for text in PROGRAMS if name in text)
    return found


async def test_a_program_goes_on_with_what_the_command_began(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cohort.csv").write_text(next(block.text for block in PAGE if block.act == "file"))
    batch = ("--batch", "cohort-7", "--journal", "cohort-7.journal", "--yes")
    begun = await spotdx("orders", "create", "cohort.csv", *batch, "--from-row", 3)

    await asyncio.to_thread(exec, compile(program_with("create_many(rows("), "cohorts.md", "exec"), {})

    shown = Counter(line.split()[1] for line in capsys.readouterr().out.splitlines())
    assert (begun.code, shown, len(fake.orders)) == (0, {"skipped": 2, "ok": 2}, 4)
    again = await spotdx("orders", "create", "cohort.csv", *batch)
    assert (again.code, len(fake.orders)) == (0, 4)


@pytest.mark.usefixtures("soon")
async def test_a_background_task_survives_a_deploy(fake: FakeSpot, tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(program_with("class Cohorts"), "cohorts.md", "exec"), names)  # noqa: S102 - our own page
    saved: dict[str, str | None] = {}

    def rows_of(_batch: str) -> Iterator[Any]:
        return ((f"P{number}", ORDER) for number in range(20))

    async def save(_batch: str, key: str, _state: str, object_id: str | None) -> None:
        saved[key] = object_id

    async with SpotClient(fake.token, base_url=fake.url) as spot:
        first = names["Cohorts"](spot, tmp_path, rows_of, save)
        first.place("cohort-7")
        async with asyncio.timeout(20):
            while len(fake.orders) < 5:
                await asyncio.sleep(0)
        await first.close()
        second = names["Cohorts"](spot, tmp_path, rows_of, save)
        await asyncio.wait_for(second.place("cohort-7"), 20)
        await second.close()

    assert sorted(fake.orders) == sorted(an_id for an_id in saved.values() if an_id is not None)
    assert len(fake.orders) == len(saved) == 20
