"""Lists of the server, shown as they are read. Patient data is hidden unless asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

import attrs

from spotdx_async.cli.answers import field_of, plain, row_of
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.list_options import ListView
from spotdx_async.cli.output import Streams
from spotdx_async.cli.settings import Server
from spotdx_async.cli.tables import RowsTable
from spotdx_async.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from spotdx_async import Pages, SpotClient
    from spotdx_async.models import Model

_USUAL_LIMIT = 100


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
