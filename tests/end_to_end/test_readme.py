"""The README's examples, run as they stand."""

import asyncio
from pathlib import Path

import pytest

from spotdx_async.testing import FakeSpot
from tests.docs.pages import DOCS, ROOT, blocks_of
from tests.docs.playing import Player

BLOCKS = blocks_of(ROOT / "README.md")
(EXAMPLE,) = (block.text for block in BLOCKS if block.language == "python")


def test_the_first_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> FakeSpot:
        async with FakeSpot() as fake:
            monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
            monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
            await asyncio.to_thread(exec, EXAMPLE, {})
            return fake

    fake = asyncio.run(main())

    results = [("HDL Cholesterol", "123"), ("Vitamin B12", "<10"), ("Chlamydia", "negative"), ("rs1234567", "TT")]
    assert capsys.readouterr().out == f"preparing {results}\n"
    assert [entry.metadata for entry in fake.ledger] == [{"cohort": "A"}, {"cohort": "B"}, {"cohort": "B"}]


def test_the_commands_run(tmp_path: Path) -> None:
    (tmp_path / "kits.csv").write_text("kit_id,cohort\nSPOT123456,A\n")
    (cohort,) = (block.text for block in blocks_of(DOCS / "cohorts.md") if block.about == "cohort.csv")
    good = [line for line in cohort.splitlines() if not line.startswith("P-005")]  # the page shows how it is corrected
    (tmp_path / "cohort.csv").write_text("\n".join(good) + "\n")
    with FakeSpot() as fake, Player(fake, tmp_path) as player:
        for block in BLOCKS:
            if block.act == "shell":
                player.play(block)
        player.finish()
        assert [entry.metadata for entry in fake.ledger] == [{"cohort": "A"}]
        assert len(fake.creations) == 4
    assert (tmp_path / "night.journal").exists()
