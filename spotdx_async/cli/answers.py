"""An object that the server gave, shown, and its fields. Patient data is hidden unless asked for."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import attrs

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import View
from spotdx_async.cli.output import HIDDEN, Streams, json_text
from spotdx_async.cli.tables import show_fields

if TYPE_CHECKING:
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
