"""What a command writes: lines, tables and JSON on two streams.

Text from elsewhere cannot control the terminal, patient data is hidden unless asked for, and a closed pipe is not an
error.
"""

import json
import os
import sys
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeAlias

from cyclopts import Parameter
from rich.console import Console, RenderableType
from rich.text import Text

from spotdx_async.cli.standard_streams import GuardedStream

if TYPE_CHECKING:
    from spotdx_async.cli.global_options import Color

HIDDEN = "<hidden>"
"""What stands in place of patient data."""
# Control, format (which reorder or hide text), lone surrogates, line and paragraph separators.
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_WIDE = 10_000
_FAST = 9.95  # rows a second from which no decimal is shown: it would be 10.0


def pairs_of(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs of ids as a part of a sentence."""
    return ", ".join(f"{one} and {other}" for one, other in pairs)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def pace(rows_per_s: float) -> str:
    """Return a throughput; a slow one with a decimal, so that it is not told as 0."""
    return f"{rows_per_s:.1f} rows/s" if 0 < rows_per_s < _FAST else f"{rows_per_s:,.0f} rows/s"


def duration(seconds: float) -> str:
    """Return seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"


def visible(text: str) -> str:
    r"""Escape characters that control a terminal as ``\x1b`` and the like, so that they are seen instead of obeyed."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _STEERING else char for char in text
    )


def json_text(value: Any, *, indent: int | None = None, is_ascii: bool = True) -> str:
    """Return a value as JSON; one that Python's own ``json`` cannot write, such as 1e400, compact and as it came."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=is_ascii, allow_nan=False)
    except (ValueError, RecursionError):
        from spotdx_async.files.exact_json import exact_text

        return exact_text(value, is_ascii=is_ascii)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a person may be at the other end; a stream that was closed before Python started is None."""
    return stream is not None and not stream.closed and stream.isatty()


def checked_one(streams: "Streams") -> int:
    """Say that the one object of a dry run is in order; return the exit code."""
    streams.say("it can be sent as it is; nothing was sent")
    return 0


class Streams:
    """Standard output for what was asked for, standard error for everything about it.

    There are colours and bold letters on a terminal that has them, unless ``NO_COLOR`` is set, and nowhere else,
    whatever ``FORCE_COLOR`` says; ``color`` overrides both. Markup in texts is never interpreted.
    """

    def __init__(self, *, color: "Color" = "auto") -> None:
        self.out: _PlainConsole = _PlainConsole(stderr=False, color=color)
        self.err: _PlainConsole = _PlainConsole(stderr=True, color=color)
        self.pages: _PlainConsole = _PlainConsole(stderr=False, color=color)
        """Standard output for help: folded at the usual width even when written to a file."""
        self.is_code_the_answer: bool = False
        """Whether the exit code tells what became of something, so that it stays where the output is lost."""
        self.tells_events: bool = False
        """Whether standard error is for programs: each line one JSON object."""
        self.as_json: bool = False
        """Whether the command was asked to write JSON; errors are then objects too."""
        self.is_quiet: bool = False
        """Whether only what needs attention is said."""
        self.shows_phi: bool = False
        """Whether the command was asked to show patient data."""
        for console in (self.out, self.err):
            if not console.is_terminal:
                console.width = _WIDE  # nothing is cut off or folded on its way to a file
        self.is_for_people: bool = self.out.is_terminal or color == "always"
        """Whether standard output is laid out for people, rather than for the program at the end of a pipe."""

    @property
    def is_unread(self) -> bool:
        """Whether nothing that is written on standard output gets through any more, so that a list need not go on."""
        return isinstance(sys.stdout, GuardedStream) and sys.stdout.is_silent

    def say(self, text: str) -> None:
        """Write one line on standard error; an event there, if it is for programs."""
        if self.tells_events:
            self.tell_event("message", text=text)
            return
        self.err.print(Text(visible(f"spotdx: {text}")), soft_wrap=True)

    def tell_event(self, name: str, **about: Any) -> None:
        """Write one line of JSON on standard error, in ASCII."""
        self.err.write_raw(json_text({"event": name, **about}) + "\n")

    def note(self, text: str) -> None:
        """Write one line on standard error that nobody has to act on; nothing with ``--quiet``."""
        if not self.is_quiet:
            self.say(text)

    def ask(self, text: str) -> None:
        """Write a question on standard error; the answer is typed after it."""
        self.err.print(Text(visible(text)), soft_wrap=True, end="")

    def tell(self, text: str, *, marked: tuple[str, str] | None = None) -> None:
        """Write one line on standard output; ``marked`` is a word before it and that word's style."""
        line = Text(visible(text)) if marked is None else Text.assemble(marked, " ", visible(text))
        self.out.print(line, soft_wrap=True)

    def put(self, text: Text) -> None:
        """Write lines on standard output as they are; the terminal itself breaks those that are too long."""
        self.out.print(text, soft_wrap=True)

    def show(self, renderable: RenderableType) -> None:
        """Write a table or the like on standard output, without the blanks that fill its lines."""
        with self.out.capture() as shown:
            self.out.print(renderable)
        self.out.write_raw("".join(f"{line.rstrip()}\n" for line in shown.get().splitlines()))

    def write_json(self, value: Any, *, is_line: bool = False) -> None:
        """Write one JSON value on standard output, in ASCII, so that no terminal or encoding can spoil it.

        Args:
            value: the value.
            is_line: whether it is one line even on a terminal, as one of many.
        """
        indent = 2 if self.out.is_terminal and not is_line else None
        self.out.write_raw(json_text(value, indent=indent) + "\n")


OurScreen: TypeAlias = Annotated[Streams, Parameter(parse=False)]
"""A command's parameter that the app passes in, not the command line."""


class _PlainConsole(Console):
    """A console without markup; that it cannot be written is no matter of its own: see ``guarded_outputs``."""

    def __init__(self, *, stderr: bool, color: "Color") -> None:
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
        )

    def write_raw_json(self, value: Any) -> None:
        """Write one JSON value as a line of ASCII."""
        self.write_raw(json_text(value) + "\n")

    def write_raw(self, text: str) -> None:
        """Write text as it is."""
        self.file.write(text)
        self.file.flush()
