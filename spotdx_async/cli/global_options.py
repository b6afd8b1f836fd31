"""The options that every command takes, wherever they stand on the line, and what may stand before the command.

Nothing is imported, so that the front page appears at once.
"""

from __future__ import annotations

TYPE_CHECKING = False  # in place of the import: the front page does not wait for typing
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal, TypeAlias

    Color: TypeAlias = Literal["auto", "always", "never"]

_COLORS: tuple[Color, ...] = ("auto", "always", "never")
# Options of most commands that may also stand before the command; these have a value, those have none.
_LEADING_WITH_VALUE = {"--profile", "--base-url", "--timeout"}
_LEADING = {"--json", "--show-phi", "--allow-any-id"}


class GlobalOptions:
    """What the line says for every command; the first of several faults is kept."""

    def __init__(self) -> None:
        self.words: list[str] = []
        """The rest of the line: the command with its own options."""
        self.color: Color = "auto"
        self.is_quiet: bool = False
        self.is_verbose: bool = False
        self.log_file: str | None = None
        self.fault: str | None = None
        """What is wrong with one of the options; None if nothing is."""

    @property
    def as_json(self) -> bool:
        """Whether JSON is asked for, as far as that can be told from a line that may be wrong."""
        words = self.words
        return "--json" in (words[: words.index("--")] if "--" in words else words)

    def take(self, name: str, value: str | None) -> None:
        """Take an option that has a value; None: it is missing."""
        if name == "--log-file":
            self.log_file = value
            if not value:
                self._fail("--log-file needs a path")
            return
        found = next((color for color in _COLORS if color == value), None)
        if found is not None:
            self.color = found
        else:
            self._fail(f"{name} must be auto, always or never")

    def close(self) -> None:
        """Put the words into the order that commands take; say what excludes each other."""
        if self.is_quiet and self.is_verbose:
            self._fail("-q and -v cannot be used together")
        self.words = _with_leading_behind(self.words)
        if self.words[:1] == ["help"]:
            self.words = [*self.words[1:], "--help"]

    def _fail(self, fault: str) -> None:
        self.fault = self.fault or fault


_WITH_VALUE = {"--color", "--log-file"}


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
        elif word in {"-q", "--quiet"}:
            found.is_quiet = True
        elif word in {"-v", "--verbose"}:
            found.is_verbose = True
        elif name in _WITH_VALUE:
            found.take(name, value if equals else next(rest, None))
        else:
            found.words.append(word)
    found.close()
    return found


def _with_leading_behind(words: list[str]) -> list[str]:
    """Move the options that stand before the command behind it and its arguments, where the command takes them."""
    leading, command = _split(words)
    if not leading or not command:
        return words
    others = (index for index, word in enumerate(command) if word.startswith("-") and word != "-")
    first = next(others, len(command))
    return [*command[:first], *leading, *command[first:]]


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    rest: Iterator[str] = iter(words)
    leading: list[str] = []
    for word in rest:
        if word in _LEADING_WITH_VALUE:
            leading += [word, *([value] if (value := next(rest, None)) is not None else [])]
        elif word in _LEADING or word.partition("=")[0] in _LEADING_WITH_VALUE:
            leading.append(word)
        else:
            return leading, [word, *rest]
    return leading, []
