"""Answers of the server, shown: one object, or a list of them. Patient data is hidden unless asked for."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import attrs

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import View
from spotdx_async.cli.output import Streams
from spotdx_async.cli.tables import show_fields, show_rows
from spotdx_async.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from spotdx_async import Pages, SpotClient
    from spotdx_async.models import Model

HIDDEN = "<hidden>"
"""What stands in place of patient data."""
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
    shown = (*columns, *names) if view.show_phi else columns
    show_rows(streams, shown, [row_of(one, shown, show_phi=view.show_phi) for one in found])
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


def fields_of(values: dict[str, Any]) -> dict[str, str]:
    """Return the fields of one object, as returned by ``plain``, that have a value: each by its place."""
    return {path: str(value) for path, value in _leaves(values)}


def row_of(model: "Model", columns: Sequence[str], *, show_phi: bool) -> list[str]:
    """Return the cells of an object; a column is a field, or one of a nested object, ``recipient.first_name``."""
    values = fields_of(plain(model, show_phi=show_phi))
    return [values.get(column, "") for column in columns]


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
