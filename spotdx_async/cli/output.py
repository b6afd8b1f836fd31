"""What a command writes: lines, tables and JSON on two streams.

Text from elsewhere cannot control the terminal, patient data is hidden unless asked for, and a closed pipe is not an
error.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeAlias

from cyclopts import Parameter

from spotdx_async.cli.standard_streams import GuardedStream, is_terminal

if TYPE_CHECKING:
    from spotdx_async.cli.console import PlainConsole
    from spotdx_async.cli.exit_codes import Exit
    from spotdx_async.cli.global_options import Color

HIDDEN = "<hidden>"
"""What stands in place of patient data."""
# Control, format (which reorder or hide text), lone surrogates, line and paragraph separators.
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
WIDE = 10_000
"""The width of what is no terminal: nothing is cut off or folded on its way to a file."""
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
        self.out: _Output = _Output(stderr=False, color=color)
        self.err: _Output = _Output(stderr=True, color=color)
        self.pages: Any = _Pages(color)
        """Standard output for help: folded at the usual width even when written to a file."""
        self.is_code_the_answer: bool = False
        """Whether the exit code tells what became of something, so that it stays where the output is lost."""
        self.answer: Exit | None = None
        """That code once it is known for certain: no signal changes it any more."""
        self.tells_events: bool = False
        """Whether standard error is for programs: each line one JSON object."""
        self.as_json: bool = False
        """Whether the command was asked to write JSON; errors are then objects too."""
        self.is_quiet: bool = False
        """Whether only what needs attention is said."""
        self.shows_phi: bool = False
        """Whether the command was asked to show patient data."""
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
        self.err.write(visible(f"spotdx: {text}"))

    def tell_event(self, name: str, **about: Any) -> None:
        """Write one line of JSON on standard error, in ASCII."""
        self.err.write_raw(json_text({"event": name, **about}) + "\n")

    def note(self, text: str) -> None:
        """Write one line on standard error that nobody has to act on; nothing with ``--quiet``."""
        if not self.is_quiet:
            self.say(text)

    def ask(self, text: str) -> None:
        """Write a question on standard error; the answer is typed after it."""
        self.err.write(visible(text), end="")

    def tell(self, text: str, *, marked: tuple[str, str] | None = None) -> None:
        """Write one line on standard output; ``marked`` is a word before it and that word's style."""
        self.out.write(*(() if marked is None else (marked, " ")), visible(text))

    def put(self, *pieces: str | tuple[str, str]) -> None:
        """Write lines on standard output, some pieces with a style; the terminal itself breaks those that are long."""
        self.out.write(*pieces)

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


class _Output:
    """One of the two streams: through rich where it is laid out, as it is anywhere else.

    rich takes a tenth of a short command's start. Where it will be needed it is there from the beginning, so that
    nothing is imported once a request was sent.
    """

    def __init__(self, *, stderr: bool, color: "Color") -> None:
        self._stderr, self._color = stderr, color
        self.is_terminal: bool = is_terminal(self.file)
        self._is_laid_out = self.is_terminal or color == "always"
        if self._is_laid_out:
            _ = self.console

    @property
    def file(self) -> TextIO:
        """The stream of the process, as it is now; not what rich puts in its place while it draws."""
        stream = sys.stderr if self._stderr else sys.stdout
        return getattr(stream, "rich_proxied_file", stream)

    @property
    def is_live(self) -> bool:
        """Whether something can be drawn over itself."""
        return self.is_terminal and not self.console.is_dumb_terminal

    @property
    def width(self) -> int:
        """The most cells of a line."""
        return self.console.width if self._is_laid_out else WIDE

    @cached_property
    def console(self) -> "PlainConsole":
        """What lays out tables and progress."""
        from spotdx_async.cli.console import PlainConsole

        return PlainConsole(stderr=self._stderr, color=self._color, width=None if self.is_terminal else WIDE)

    def write(self, *pieces: str | tuple[str, str], end: str = "\n") -> None:
        """Write text that the terminal itself breaks; a piece may have a style, which is shown where there is one."""
        if self._is_laid_out:
            self.console.put(pieces, end=end)
        else:
            self.write_raw("".join(one if isinstance(one, str) else one[0] for one in pieces) + end)

    def write_raw_json(self, value: Any) -> None:
        """Write one JSON value as a line of ASCII."""
        self.write_raw(json_text(value) + "\n")

    def write_raw(self, text: str) -> None:
        """Write text as it is."""
        self.file.write(text)
        self.file.flush()


class _Pages:
    """The console of help pages, made when it is first used: cyclopts is given one with every line."""

    def __init__(self, color: "Color") -> None:
        self._color = color

    def __getattr__(self, name: str) -> Any:
        return getattr(self._console, name)

    @cached_property
    def _console(self) -> "PlainConsole":
        from spotdx_async.cli.console import PlainConsole

        return PlainConsole(stderr=False, color=self._color)
