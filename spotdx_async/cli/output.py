"""What a command writes: lines, tables and JSON on two streams.

Text from elsewhere cannot control the terminal, patient data is hidden unless asked for, and a closed pipe is not an
error.
"""

import json
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import attrs
from cyclopts import Parameter
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import View
from spotdx_async.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from spotdx_async import Pages, SpotClient
    from spotdx_async.models import Model

HIDDEN = "<hidden>"
"""What stands in place of patient data."""
_EMPTY: tuple[Any, ...] = (None, (), {})
# Control, format (which reorder or hide text), lone surrogates, line and paragraph separators.
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_WIDE = 10_000


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


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


class Streams:
    """Standard output for what was asked for, standard error for everything about it.

    There are colours and bold letters on a terminal that has them, and none with ``--no-color`` or ``NO_COLOR``;
    markup in texts is never interpreted.
    """

    def __init__(self, *, no_color: bool = False) -> None:
        self.out: _PlainConsole = _PlainConsole(stderr=False, no_color=no_color)
        self.err: _PlainConsole = _PlainConsole(stderr=True, no_color=no_color)
        self.pages: _PlainConsole = _PlainConsole(stderr=False, no_color=no_color)
        """Standard output for help: folded at the usual width even when written to a file."""
        self.is_code_the_answer: bool = False
        """Whether the exit code tells what became of something, so that it stays where the output is lost."""
        self.tells_events: bool = False
        """Whether standard error is for programs: each line one JSON object."""
        for console in (self.out, self.err):
            if not console.is_terminal:
                console.width = _WIDE  # nothing is cut off or folded on its way to a file

    def say(self, text: str) -> None:
        """Write one line on standard error; an event there, if it is for programs."""
        if self.tells_events:
            self.tell_event("message", text=text)
            return
        self.err.print(Text(visible(f"spotdx: {text}")), soft_wrap=True)

    def tell_event(self, name: str, **about: Any) -> None:
        """Write one line of JSON on standard error, in ASCII."""
        self.err.write_raw(json.dumps({"event": name, **about}) + "\n")

    def ask(self, text: str) -> None:
        """Write a question on standard error; the answer is typed after it."""
        self.err.print(Text(visible(text)), soft_wrap=True, end="")

    def tell(self, text: str, *, marked: tuple[str, str] | None = None) -> None:
        """Write one line on standard output; ``marked`` is a word before it and that word's style."""
        line = Text(visible(text)) if marked is None else Text.assemble(marked, " ", visible(text))
        self.out.print(line, soft_wrap=True)

    def show(self, renderable: RenderableType) -> None:
        """Write a table or the like on standard output."""
        self.out.print(renderable)

    def write_json(self, value: Any) -> None:
        """Write one JSON value on standard output, in ASCII, so that no terminal or encoding can spoil it."""
        self.out.write_raw(json.dumps(value, indent=2 if self.out.is_terminal else None) + "\n")


OurScreen: TypeAlias = Annotated[Streams, Parameter(parse=False)]
"""A command's parameter that the app passes in, not the command line."""


class _PlainConsole(Console):
    """A console without markup; that it cannot be written is no matter of its own: see ``guarded_outputs``."""

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

    def write_raw(self, text: str) -> None:
        """Write text as it is."""
        self.file.write(text)
        self.file.flush()


def show_object(found: "Model", streams: Streams, view: View, *, asked_for: str | None = None) -> Exit:
    """Show one object with all its fields; the field ``asked_for`` is shown even if it is patient data."""
    values = plain(found, show_phi=view.show_phi, asked_for=asked_for)
    if view.as_json:
        streams.write_json(values)
    else:
        streams.show(fields_table(values))
    return Exit.OK


def show_list(
    ask: "Callable[[Callable[[SpotClient], Awaitable[list[Any]]]], list[Any]]",
    listing: "Callable[[SpotClient], Pages[Any]]",
    streams: Streams,
    view: View,
    *,
    limit: int,
    columns: Sequence[str],
    names: Sequence[str] = (),
    nouns: str,
) -> Exit:
    """Request a list and show it: all fields as JSON, or some columns as a table; say so if it was cut at the limit.

    Args:
        ask: runs a call on a client.
        listing: starts the list.
        streams: where to write.
        view: how it is shown.
        limit: the most objects.
        columns: what the table shows of each.
        names: columns that are patient data, shown only on request.
        nouns: what the objects are called.

    Raises:
        InvalidInputError: the limit is below 1, or a filter is wrong.
        SpotError: the request failed.
    """
    if limit < 1:
        raise InvalidInputError("--limit must be at least 1")
    found = ask(lambda spot: listing(spot).first(limit))
    if view.as_json:
        streams.write_json([plain(one, show_phi=view.show_phi) for one in found])
        return Exit.OK
    streams.show(rows_table(found, (*columns, *names) if view.show_phi else columns, show_phi=view.show_phi))
    if len(found) == limit:
        streams.say(f"the first {limit:,} {nouns}; --limit shows more")
    return Exit.OK


def plain(model: "Model", *, show_phi: bool, asked_for: str | None = None) -> Any:
    """Return a model as values for JSON: as it came, or with ``HIDDEN`` in place of patient data.

    The field ``asked_for`` of the model itself is never hidden.
    """
    from spotdx_async import dumps

    if show_phi:
        return json.loads(dumps(model))
    shown = _without_phi(model)
    return shown if asked_for is None else {**shown, asked_for: getattr(model, asked_for)}


def fields_table(values: dict[str, Any]) -> Table:
    """Build a table of one object, as returned by ``plain``: a line for each field that has a value."""
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column("field", style="bold", overflow="fold")
    table.add_column("value", overflow="fold")
    for path, value in _leaves(values):
        table.add_row(_cell(path), _cell(value))
    return table


def rows_table(models: "Sequence[Model]", columns: Sequence[str], *, show_phi: bool) -> Table:
    """Build a table of objects; a column is a field, or one of a nested object, such as ``recipient.first_name``."""
    table = Table(*columns, box=box.SIMPLE)
    for model in models:
        values = dict(_leaves(plain(model, show_phi=show_phi)))
        table.add_row(*(_cell(values.get(column)) for column in columns))
    return table


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Build a table of words under these columns."""
    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _without_phi(value: Any) -> Any:
    from spotdx_async.models import Model, phi_fields

    if isinstance(value, Model):
        phi = phi_fields(type(value))
        fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
        del fields["_as_came"]
        if not fields["extra"]:
            del fields["extra"]
        # That a field is empty is not patient data, and shows that nothing was hidden.
        return {
            name: HIDDEN if name in phi and item not in _EMPTY else _without_phi(item) for name, item in fields.items()
        }
    if isinstance(value, tuple):
        return [_without_phi(item) for item in value]
    if isinstance(value, datetime):
        is_coarse = value.microsecond % 1000 == 0
        unit = "seconds" if not value.microsecond else "milliseconds" if is_coarse else "microseconds"
        return value.isoformat(timespec=unit).replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif value is not None:
        yield path, value


def _cell(value: Any) -> Text:
    return Text("" if value is None else visible(str(value)))
