"""Every code block of the documentation does what its page says; the README's are run in ``tests/end_to_end``."""

from pathlib import Path

import pytest

from spotdx_async.testing import FakeSpot
from tests.docs.pages import DOCS, ROOT, Block, blocks_of, every_page
from tests.docs.playing import Player

pytestmark = pytest.mark.no_cover

PAGES = {page.relative_to(ROOT).as_posix(): blocks_of(page) for page in every_page()}
PLAYED = [
    name for name, blocks in PAGES.items() if any(block.act not in {"show", "site", "elsewhere"} for block in blocks)
]


@pytest.mark.parametrize("name", [name for name in PLAYED if name != "README.md"])
def test_the_blocks_of_a_page_do_what_it_says(name: str, tmp_path: Path) -> None:
    with FakeSpot() as fake, Player(fake, tmp_path) as player:
        for number in range(1, 101):
            fake.kits.add(f"SPOT{number:06}")
        for block in PAGES[name]:
            player.play(block)
        player.finish()


def blocks_with(act: str) -> list[Block]:
    return [block for blocks in PAGES.values() for block in blocks if block.act == act]


def test_what_a_page_says_is_run_elsewhere_is_run_there() -> None:
    for block in blocks_with("elsewhere"):
        text = (ROOT / block.about).read_text(encoding="utf-8")
        assert "blocks_of(" in text, block.place
        assert Path(block.page).name in text, block.place


def test_what_is_not_run_says_why() -> None:
    assert [block.place for block in blocks_with("left out") if len(block.about.split()) < 3] == []


def test_files_that_pages_show_are_the_tested_examples() -> None:
    shown = {
        block.language.removeprefix("{literalinclude} ") for block in blocks_with("site") if "include" in block.language
    }
    ours = {name for name in shown if name.startswith("../examples/")}

    assert shown - ours == {"../../spotdx_async/errors.py", "{include} ../CHANGELOG.md"}
    assert all((DOCS / name).is_file() for name in ours)
