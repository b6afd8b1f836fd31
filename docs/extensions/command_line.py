"""The directive ``spotdx-help``: what ``--help`` of every command says, asked while the site is built."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from unittest.mock import patch

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from spotdx_async.cli.app import run

__all__ = ["CommandHelp", "every_help", "setup"]

_A_COMMAND = re.compile(r"^│ ([a-z][\w-]*) {2,}\S", re.MULTILINE)
_COLUMNS = "88"


def every_help(*words: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give the words of a command with its help, then those of its subcommands.

    Args:
        words: of the command; none for ``spotdx`` itself.
    """
    text = io.StringIO()
    with redirect_stdout(text), patch.dict(os.environ, COLUMNS=_COLUMNS):
        run([*words, "--help"])
    page = "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())
    yield words, page
    _, _, commands = page.partition("─ Commands ─")
    for name in _A_COMMAND.findall(commands):
        yield from every_help(*words, name)


class CommandHelp(SphinxDirective):
    """A section for every command, with its help as it stands on a terminal."""

    def run(self) -> list[nodes.Node]:
        """Make the sections."""
        return [self._section(words, text) for words, text in every_help()]

    def _section(self, words: tuple[str, ...], text: str) -> nodes.section:
        title = " ".join(("spotdx", *words))
        section = nodes.section(ids=[title.replace(" ", "-")], names=[title])
        section += nodes.title(title, title)
        block = nodes.literal_block(text, text)
        block["language"] = "text"
        section += block
        return section


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("spotdx-help", CommandHelp)
    return {"parallel_read_safe": True}
