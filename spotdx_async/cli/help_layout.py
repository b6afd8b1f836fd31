"""How a command's page of help looks: plain text in columns, folded at the terminal's width, 100 at most."""

import io
import textwrap
from typing import Any

from attrs import frozen
from rich.console import Console, ConsoleOptions
from rich.text import Text

__all__ = ["HelpPages"]

_WIDEST, _UNFOLDED = 100, 10_000
_INDENT, _COLUMN = 2, 24


@frozen
class HelpPages:
    """Writes the parts of a page, as the library for command lines hands them over."""

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:  # noqa: ARG002 - named by the library
        """Write the line that shows how the command is used."""
        if usage:
            line = _plain(usage).removeprefix("Usage: ")
            _write(console, f"Usage: {line}")

    def render_description(
        self,
        console: Console,
        options: ConsoleOptions,  # noqa: ARG002 - the same
        description: Any,
    ) -> None:
        """Write what the command does. Lines of a paragraph are folded anew; an example keeps its own."""
        for paragraph in _plain(description).split("\n\n"):
            if paragraph.strip():
                _write(console, "\n" + _folded(paragraph, console))

    def __call__(self, console: Console, options: ConsoleOptions, panel: Any) -> None:  # noqa: ARG002 - the same
        """Write a list of options or commands with what each means."""
        if not panel.entries:
            return
        console.print(Text.assemble("\n", (f"{_plain(panel.title)}:", "bold")), soft_wrap=True)
        for entry in panel.entries:
            _write(console, _line_of(entry, console))


def _line_of(entry: Any, console: Console) -> str:
    names = ", ".join(entry.display_labels_with_metavar)
    notes = [
        _plain(entry.description),
        f"[choices: {', '.join(entry.choices)}]" if entry.choices else "",
        f"[default: {entry.default}]" if entry.default is not None else "",
        "[required]" if entry.required else "",
    ]
    text = " ".join(" ".join(notes).split())
    first = f"{' ' * _INDENT}{names}".ljust(_COLUMN - 1) + " "
    lines = textwrap.wrap(text, _width(console) - _COLUMN, break_on_hyphens=False) or [""]
    if len(first) > _COLUMN:
        lines = ["", *lines]
    return f"\n{' ' * _COLUMN}".join([first.rstrip() if not lines[0] else first + lines[0], *lines[1:]])


def _folded(paragraph: str, console: Console) -> str:
    if paragraph.startswith(("Example:", " ")):
        return paragraph
    return textwrap.fill(" ".join(paragraph.split()), _width(console), break_on_hyphens=False)


def _width(console: Console) -> int:
    return max(2 * _COLUMN, min(_WIDEST, console.width))


def _plain(text: Any) -> str:
    """Give the text of what the library hands over, its lines as they are."""
    if text is None or isinstance(text, str):
        return (text or "").strip()
    console = Console(file=io.StringIO(), width=_UNFOLDED, color_system=None)
    with console.capture() as written:
        console.print(text)
    return "\n".join(line.rstrip() for line in written.get().splitlines()).strip()


def _write(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)
