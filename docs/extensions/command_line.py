"""The directive ``spotdx-help``: what ``--help`` of every command says, asked while the site is built."""

import io
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from unittest.mock import patch

from cyclopts import App
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from spotdx_async.cli.app import make_app, run

__all__ = ["CommandHelp", "commands_of", "every_help", "setup"]

_COLUMNS = "88"


def every_help() -> Iterator[tuple[str, str]]:
    """Give every command with its help: ``spotdx`` first, each before its subcommands."""
    for words in commands_of(make_app()):
        text = io.StringIO()
        with redirect_stdout(text), patch.dict(os.environ, COLUMNS=_COLUMNS):
            run([*words, "--help"])
        yield " ".join(("spotdx", *words)), "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())


def commands_of(app: App, *words: str) -> Iterator[tuple[str, ...]]:
    """Give the words of a command and of its subcommands."""
    yield words
    for name in app:
        if not name.startswith("-"):
            yield from commands_of(app[name], *words, name)


class CommandHelp(SphinxDirective):
    """A section for every command, with its help as it stands on a terminal."""

    def run(self) -> list[nodes.Node]:
        """Make the sections."""
        return [self._section(title, text) for title, text in every_help()]

    def _section(self, title: str, text: str) -> nodes.section:
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
