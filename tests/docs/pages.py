"""The code blocks of a page of Markdown, each with how it is played: run, written to a file, shown, or left out.

A console block that shows no output at all only has to succeed. A comment right above a block says what its language
does not:

- ``<!-- file: kits.csv -->``: it is the content of that file, which later blocks find in their folder.
- ``<!-- output -->``: it is what the Python block above prints; ``…`` stands for anything.
- ``<!-- background -->``: its command goes on until the page ends.
- ``<!-- killed: night.journal -->``: its command is killed once that journal knows of rows.
- ``<!-- run by: tests/unit/test_x.py -->``: that file runs it.
- ``<!-- not run: why -->``: it cannot be run.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from attrs import frozen

__all__ = ["DOCS", "ROOT", "Act", "Block", "blocks_of", "every_page", "read_blocks"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

Act = Literal["run", "test", "shell", "background", "file", "killed", "output", "show", "site", "elsewhere", "left out"]

_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n+)?^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_BY_LANGUAGE: dict[str, Act] = {"python": "run", "console": "shell", "text": "show", "": "show"}
_BY_NOTE: dict[str, Act] = {
    "file": "file",
    "output": "output",
    "background": "background",
    "killed": "killed",
    "run by": "elsewhere",
    "not run": "left out",
}
_A_COMMAND = re.compile(r"^(\$ |spotdx |make |pip |python )", re.MULTILINE)


@frozen
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str
    act: Act
    about: str = ""
    """What follows the note's colon: the file's name, who runs it, why it is not run."""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def every_page() -> list[Path]:
    return [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)]


def blocks_of(page: Path) -> list[Block]:
    """Give a page's blocks in their order.

    Raises:
        ValueError: a block says neither by its language nor by a note what it is.
    """
    return read_blocks(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"))


def read_blocks(name: str, text: str) -> list[Block]:
    """Do the same with a text."""
    blocks = [*_read(name, text)]
    if 2 * len(blocks) != len(re.findall(r"^\s*(```|~~~)", text, re.MULTILINE)):
        raise ValueError(f"{name}: not every block begins and ends with three backticks at the start of a line")
    return blocks


def _read(name: str, text: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("info")) + 1
        yield _block(name, line, found["info"].strip(), found["text"], found["note"] or "")


def _block(page: str, line: int, language: str, text: str, note: str) -> Block:
    word, _, about = note.partition(": ")
    if word in _BY_NOTE:
        return Block(page, line, language, text, _BY_NOTE[word], about)
    if language.startswith("{"):
        return Block(page, line, language, text, "site")
    act = _BY_LANGUAGE.get(language)
    if act is None:
        raise ValueError(f"{page}:{line}: a block of {language!r} needs a note that says what it is")
    if act == "show" and _A_COMMAND.search(text):
        raise ValueError(f"{page}:{line}: this looks like a command: make it a console block")
    if act == "run" and re.search(r"^(async )?def test_", text, re.MULTILINE):
        act = "test"
    return Block(page, line, language, text, act)
