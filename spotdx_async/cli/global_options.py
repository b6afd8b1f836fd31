"""The options that every command takes, wherever they stand on the line; read before the command's own.

Nothing is imported, so that the front page appears at once.
"""

from __future__ import annotations

TYPE_CHECKING = False  # in place of the import: the front page does not wait for typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, TypeAlias

    Color: TypeAlias = Literal["auto", "always", "never"]

_COLORS: tuple[Color, ...] = ("auto", "always", "never")


class GlobalOptions:
    """What the line says for every command; the first of several faults is kept."""

    def __init__(self) -> None:
        self.words: list[str] = []
        """The rest of the line: the command with its own options."""
        self.color: Color = "auto"
        self.fault: str | None = None
        """What is wrong with one of the options; None if nothing is."""

    def take(self, name: str, value: str | None) -> None:
        """Take an option that has a value; None: it is missing."""
        found = next((color for color in _COLORS if color == value), None)
        if found is not None:
            self.color = found
        elif self.fault is None:
            self.fault = f"{name} must be auto, always or never"


_WITH_VALUE = ("--color",)


def read_global_options(argv: Sequence[str]) -> GlobalOptions:
    """Take the options of every command off a line; after a ``--`` there are none."""
    found = GlobalOptions()
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--":
            found.words += [word, *rest]
        elif word == "--no-color":
            found.color = "never"
        elif name in _WITH_VALUE:
            found.take(name, value if equals else next(rest, None))
        else:
            found.words.append(word)
    return found
