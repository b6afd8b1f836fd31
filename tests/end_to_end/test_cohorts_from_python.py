"""The program of the page on cohorts, run on the fake server: it goes on with what the command began."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot
from tests.command_line import Spotdx
from tests.docs.pages import DOCS, blocks_of

PAGE = blocks_of(DOCS / "cohorts.md")
(PROGRAM,) = [block.text for block in PAGE if block.act == "elsewhere" and "create_many(rows(" in block.text]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(orders=[]) as server:
        yield server


async def test_a_program_goes_on_with_what_the_command_began(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cohort.csv").write_text(next(block.text for block in PAGE if block.act == "file"))
    batch = ("--batch", "cohort-7", "--journal", "cohort-7.journal", "--yes")
    begun = await spotdx("orders", "create", "cohort.csv", *batch, "--from-row", 3)

    await asyncio.to_thread(exec, compile(PROGRAM, "cohorts.md", "exec"), {})

    shown = Counter(line.split()[1] for line in capsys.readouterr().out.splitlines())
    assert (begun.code, shown, len(fake.orders)) == (1, {"skipped": 2, "ok": 2, "rejected": 1}, 4)
    again = await spotdx("orders", "create", "cohort.csv", *batch, "--json")
    assert (again.counts, len(fake.orders)) == ({"rows": 5, "skipped": 4, "rejected": 1}, 4)
