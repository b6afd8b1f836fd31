"""A page that does not do what it says is found out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spotdx_async.testing import FakeSpot
from tests.docs.pages import read_blocks
from tests.docs.playing import Player, is_like

Play = Callable[[str], None]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    with FakeSpot() as fake, Player(fake, tmp_path) as player:

        def played(text: str) -> None:
            for block in read_blocks("page.md", text):
                player.play(block)
            player.finish()

        yield played


def test_a_gap_stands_for_anything_and_nothing_else_does() -> None:
    assert is_like("a … c\n", "a   b\n\nb c")
    assert is_like("── x", "──────  x ")
    assert not is_like("a … c", "a b d")
    assert not is_like("a.c", "abc")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("```python\nprint(1)\n```\n\n<!-- output -->\n```text\n2\n```\n", "page.md:6"),
        ("```console\n$ echo 1\n2\n```\n", "page.md:1: echo 1"),
        ("```console\n$ false\n$ echo 1\n1\n```\n", "the command before ended with 1"),
        ("```console\n$ false\n```\n", "the last command ended with 1"),
        ("```console\n$ make nothing-of-the-kind\n```\n", "nothing-of-the-kind"),
        ("```python\ndef test_it():\n    assert 1 == 2\n```\n", "1 failed"),
        ("```python\nassert 1 == 2, 'no'\n```\n", "no"),
    ],
    ids=["output", "console", "a failed command", "the last command", "make", "a test", "an assertion"],
)
def test_a_block_that_does_something_else_fails(play: Play, text: str, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        play(text)


def test_files_and_names_go_from_block_to_block(play: Play) -> None:
    reads = "from pathlib import Path\nfound = Path('a.txt').read_text()"
    checks = "assert found == 'x\\n'"

    play(f"<!-- file: a.txt -->\n```text\nx\n```\n\n```python\n{reads}\n```\n\n```python\n{checks}\n```\n")


@pytest.mark.parametrize(
    "text",
    [
        "```yaml\na: 1\n```\n",
        "```\nspotdx kits types\n```\n",
        "  ```python\n  assert False\n  ```\n",
        "~~~python\n~~~\n",
    ],
)
def test_a_block_that_would_not_be_played_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md"):
        read_blocks("page.md", text)
