"""What lays out text on a terminal; it alone brings rich's console, so that a command in a pipe starts without it."""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.text import Text

from spotdx_async.cli.standard_streams import is_terminal

if TYPE_CHECKING:
    from spotdx_async.cli.global_options import Color
    from spotdx_async.cli.output import Streams


class PlainConsole(Console):
    """A console without markup; that it cannot be written is no matter of its own: see ``guarded_outputs``."""

    def __init__(self, *, stderr: bool, color: "Color", width: int | None = None) -> None:
        is_plain = color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR")))
        super().__init__(
            stderr=stderr,
            # Said here, since rich would take FORCE_COLOR for a terminal.
            force_terminal=is_terminal(sys.stderr if stderr else sys.stdout),
            color_system=None if is_plain else "standard" if color == "always" else "auto",
            no_color=is_plain,
            markup=False,
            emoji=False,
            highlight=False,
            width=width,
        )

    def put(self, pieces: Iterable[str | tuple[str, str]], *, end: str) -> None:
        """Write text whose lines the terminal itself breaks; a piece is text, or text and a style."""
        self.print(Text.assemble(*pieces), soft_wrap=True, end=end)


def show(renderable: RenderableType, streams: "Streams") -> None:
    """Write a table or the like on standard output, without the blanks that fill its lines."""
    console = streams.out.console
    with console.capture() as shown:
        console.print(renderable)
    streams.out.write_raw("".join(f"{line.rstrip()}\n" for line in shown.get().splitlines()))
