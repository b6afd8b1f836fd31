"""The two outputs of a command: text of others cannot steer the terminal, and a closed pipe is no trouble."""

import io
import json
import os
import unicodedata
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter
from rich.console import Console, RenderableType
from rich.text import Text

__all__ = ["OurScreen", "Streams", "visible"]

# Control, format (which turn text around or hide it), lone surrogates, line and paragraph separators.
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_WIDE = 10_000


def visible(text: str) -> str:
    r"""Write characters that steer a terminal as ``\x1b`` and the like, so that they are seen instead of obeyed."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _STEERING else char for char in text
    )


class Streams:
    """Standard output for what was asked for, standard error for everything about it.

    There are colours and bold letters on a terminal that has them, and none after ``--no-color`` or with ``NO_COLOR``;
    markup in texts is never obeyed.
    """

    def __init__(self, *, no_color: bool = False) -> None:
        self.out: _PipeProofConsole = _PipeProofConsole(stderr=False, no_color=no_color)
        self.err: _PipeProofConsole = _PipeProofConsole(stderr=True, no_color=no_color)
        self.pages: _PipeProofConsole = _PipeProofConsole(stderr=False, no_color=no_color)
        """Standard output for help: folded at the usual width, also on its way to a file."""
        for console in (self.out, self.err):
            if not console.is_terminal:
                console.width = _WIDE  # nothing is cut off or folded on its way to a file

    def say(self, text: str) -> None:
        """Write one line on standard error."""
        self.err.print(Text(visible(f"spotdx: {text}")), soft_wrap=True)

    def ask(self, text: str) -> None:
        """Write a question on standard error; the answer is typed behind it."""
        self.err.print(Text(visible(text)), soft_wrap=True, end="")

    def tell(self, text: str, *, marked: tuple[str, str] | None = None) -> None:
        """Write one line on standard output; ``marked`` is a word before it with the style that it is shown in."""
        line = Text(visible(text)) if marked is None else Text.assemble(marked, " ", visible(text))
        self.out.print(line, soft_wrap=True)

    def show(self, renderable: RenderableType) -> None:
        """Write a table or the like on standard output."""
        self.out.print(renderable)

    def write_json(self, value: Any) -> None:
        """Write one JSON value on standard output, in ASCII, so that no terminal or encoding can spoil it."""
        self.out.write_raw(json.dumps(value, indent=2 if self.out.is_terminal else None) + "\n")


OurScreen: TypeAlias = Annotated[Streams, Parameter(parse=False)]
"""A command's parameter that is given by the app, not by the command line."""


class _PipeProofConsole(Console):
    """A console that falls silent when its reader has gone, and leaves the command and its exit code alone."""

    def __init__(self, *, stderr: bool, no_color: bool) -> None:
        is_plain = no_color or bool(os.environ.get("NO_COLOR"))
        super().__init__(
            stderr=stderr,
            color_system=None if is_plain else "auto",
            no_color=is_plain,
            markup=False,
            emoji=False,
            highlight=False,
        )
        if isinstance(self.file, io.TextIOWrapper):
            self.file.reconfigure(errors="backslashreplace")  # what the encoding lacks is no reason to fail

    def on_broken_pipe(self) -> None:
        """Send the rest nowhere; Python's own last flush included."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self.file.fileno())
        finally:
            os.close(nowhere)

    def write_raw(self, text: str) -> None:
        """Write text as it is."""
        if self.quiet:
            return
        try:
            self.file.write(text)
            self.file.flush()
        except BrokenPipeError:
            self.on_broken_pipe()
