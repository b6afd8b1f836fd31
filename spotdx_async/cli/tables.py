"""Models as tables and as plain values for JSON, patient data hidden unless asked for, by the models' own marking."""

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

import attrs
from rich import box
from rich.table import Table
from rich.text import Text

from spotdx_async import dumps
from spotdx_async.cli.streams import visible
from spotdx_async.models import Model, phi_fields

__all__ = ["HIDDEN", "fields_table", "plain", "rows_table", "words_table"]

HIDDEN = "<hidden>"
"""What stands in place of patient data."""
_EMPTY: tuple[Any, ...] = (None, (), {})


def plain(model: Model, *, show_phi: bool, asked_for: str | None = None) -> Any:
    """Give a model as values for JSON: as it came with patient data, or with ``HIDDEN`` in place of what there is.

    The field ``asked_for`` of the model itself is never hidden.
    """
    if show_phi:
        return json.loads(dumps(model))
    shown = _without_phi(model)
    return shown if asked_for is None else {**shown, asked_for: getattr(model, asked_for)}


def fields_table(values: dict[str, Any]) -> Table:
    """Show one object, given as ``plain`` gives it: a line for each field that has a value."""
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column("field", style="bold", overflow="fold")
    table.add_column("value", overflow="fold")
    for path, value in _leaves(values):
        table.add_row(_cell(path), _cell(value))
    return table


def rows_table(models: Sequence[Model], columns: Sequence[str], *, show_phi: bool) -> Table:
    """Show objects, one a line; a column is a field, or one of an object within, such as ``recipient.first_name``."""
    table = Table(*columns, box=box.SIMPLE)
    for model in models:
        values = dict(_leaves(plain(model, show_phi=show_phi)))
        table.add_row(*(_cell(values.get(column)) for column in columns))
    return table


def words_table(column: str, words: Sequence[str]) -> Table:
    """Show words, one a line."""
    table = Table(column, box=box.SIMPLE)
    for word in words:
        table.add_row(_cell(word))
    return table


def _without_phi(value: Any) -> Any:
    if isinstance(value, Model):
        phi = phi_fields(type(value))
        fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
        del fields["_as_came"]
        if not fields["extra"]:
            del fields["extra"]
        # That there is nothing is no patient data, and says that nothing was hidden.
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


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Show rows of words under these columns."""
    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table
