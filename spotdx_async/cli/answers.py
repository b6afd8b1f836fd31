"""Answers of the server, shown: one object, or a list of them. Patient data is hidden unless asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

import attrs

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import ListView, View
from spotdx_async.cli.output import HIDDEN, Streams, json_text
from spotdx_async.cli.settings import Server
from spotdx_async.cli.tables import RowsTable, show_fields
from spotdx_async.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from spotdx_async import Pages, SpotClient
    from spotdx_async.models import Model

_USUAL_LIMIT = 100
_EMPTY: tuple[Any, ...] = (None, (), {})


def show_object(found: "Model", streams: Streams, view: View, *, asked_for: str | None = None) -> Exit:
    """Show one object with all its fields; the field ``asked_for`` is shown even if it is patient data."""
    values = plain(found, show_phi=view.show_phi, asked_for=asked_for)
    if view.as_json:
        streams.write_json(values)
    else:
        show_fields(fields_of(values), streams)
    return Exit.OK


def show_list(
    server: Server,
    listing: "Callable[[SpotClient], Pages[Any]]",
    streams: Streams,
    view: ListView,
    *,
    model: "type[Model]",
    columns: Sequence[str],
    names: Sequence[str] = (),
    nouns: str,
) -> Exit:
    """Request a list and show it: all fields as JSON, or some columns as a table; say so if it was cut at the limit.

    Args:
        server: whom to ask.
        listing: starts the list.
        streams: where to write.
        view: how much is shown, and how.
        model: what the list is of.
        columns: what the table shows of each, unless the view says so.
        names: columns that are patient data, shown only on request.
        nouns: what the objects are called.

    Raises:
        InvalidInputError: the limit is below 1, a column is unknown, or a filter is wrong.
        SpotError: the request failed.
    """
    limit = _limit_of(view)
    chosen = None if view.columns is None else columns_of(view.columns, model)
    if chosen is None and not view.as_json:
        chosen = [*columns, *names] if view.show_phi else [*columns]
    writer = _ListWriter(streams, view, chosen)

    async def show(spot: "SpotClient") -> int:
        pages = listing(spot)
        if limit is not None:
            found = await pages.first(limit)
            writer.write(found)
            return len(found)
        async with aclosing(cast("AsyncGenerator[Sequence[Model]]", pages.by_page())) as read:
            async for page in read:
                writer.write(page)
                if streams.is_unread:
                    break
        return 0

    shown = server.ask(show)
    writer.close()
    if shown == limit and not (view.as_json and view.limit is not None):
        streams.note(f"the first {'one' if limit == 1 else f'{limit:,} {nouns}'}; --limit or --all shows more")
    return Exit.OK


def _limit_of(view: ListView) -> int | None:
    if view.is_whole and view.limit is not None:
        raise InvalidInputError("pass --limit or --all, not both")
    if view.limit is not None and view.limit < 1:
        raise InvalidInputError("--limit must be at least 1")
    return None if view.is_whole else _USUAL_LIMIT if view.limit is None else view.limit


class _ListWriter:
    """Writes the objects of a list, a few at a time."""

    def __init__(self, streams: Streams, view: ListView, columns: Sequence[str] | None) -> None:
        self._streams, self._view, self._columns = streams, view, columns
        self._table = None if view.as_json or columns is None else RowsTable(streams, columns)
        self._array: list[Any] = []

    def write(self, models: "Sequence[Model]") -> None:
        """Show some objects; an array of JSON is written as a whole, at the end."""
        values = [plain(one, show_phi=self._view.show_phi) for one in models]
        if self._table is not None and self._columns is not None:
            self._table.write([row_of(value, self._columns) for value in values])
            return
        if self._columns is not None:
            values = [{column: field_of(value, column) for column in self._columns} for value in values]
        if not self._view.is_whole:
            self._array += values
            return
        for value in values:
            self._streams.write_json(value, is_line=True)

    def close(self) -> None:
        """Write what is left."""
        if self._table is not None:
            self._table.close()
        elif not self._view.is_whole:
            self._streams.write_json(self._array)


def columns_of(text: str, model: "type[Model]") -> list[str]:
    """Read ``--columns``.

    Raises:
        InvalidInputError: a column is not a field of the objects; the message lists those that there are.
    """
    columns, known = [word.strip() for word in text.split(",")], [*_paths(model)]
    unknown = [column for column in columns if column not in known]
    if unknown:
        name = unknown[0] or "an empty name"
        raise InvalidInputError(f"--columns: {name} is not a field; the fields are {', '.join(known)}")
    if len({*columns}) < len(columns):
        raise InvalidInputError("--columns: a field is named twice")
    return columns


def _paths(model: "type[Model]", prefix: str = "") -> Iterator[str]:
    """Yield the fields that can be a column, those of objects within included."""
    from spotdx_async.models import Model

    kinds = get_type_hints(model)
    for field in attrs.fields(model):
        if field.name in {"_as_came", "extra"}:
            continue
        yield f"{prefix}{field.name}"
        for kind in get_args(kinds[field.name]):
            if isinstance(kind, type) and issubclass(kind, Model):
                yield from _paths(kind, f"{prefix}{field.name}.")


def plain(model: "Model", *, show_phi: bool, asked_for: str | None = None) -> Any:
    """Return a model as values for JSON: as it came, or with ``HIDDEN`` in place of patient data.

    The field ``asked_for`` of the model itself is never hidden.
    """
    if show_phi:
        from spotdx_async import dumps
        from spotdx_async.files.exact_json import read_exactly

        return read_exactly(dumps(model))
    shown = _without_phi(model)
    return shown if asked_for is None else {**shown, asked_for: getattr(model, asked_for)}


def fields_of(values: dict[str, Any]) -> dict[str, str]:
    """Return the fields of one object, as returned by ``plain``, that have a value: each by its place."""
    return {path: str(value) for path, value in _leaves(values)}


def field_of(value: Any, column: str) -> Any:
    """Return a field of an object, as returned by ``plain``, or of one within it, such as ``recipient.first_name``."""
    for name in column.split("."):
        if not isinstance(value, dict):
            return value  # missing, or hidden as a whole
        value = value.get(name)
    return value


def row_of(value: Any, columns: Sequence[str]) -> list[str]:
    """Return the cells of an object, as returned by ``plain``; lists are separated by commas, objects are JSON."""
    return [_cell(field_of(value, column)) for column in columns]


def _cell(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        return ",".join(map(str, value))
    if isinstance(value, (dict, list)):
        return json_text(value, is_ascii=False)
    return "" if value is None else str(value)


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


def _leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    waiting = [("", tree)]
    while waiting:  # no recursion: an answer may be nested deeper than Python's call stack
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{path}.{name}" if path else name, item) for name, item in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(f"{path}[{index}]", item) for index, item in reversed([*enumerate(value)])]
        elif value is not None:
            yield path, value
