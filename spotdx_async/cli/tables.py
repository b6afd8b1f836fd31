"""Models as tables or JSON for people; patient data is hidden by the models' own marks."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spotdx_async import dumps
from spotdx_async.models.privacy import phi_fields

__all__ = ["plain_text", "show"]

_HIDDEN = "(hidden)"


def plain_text(text: object) -> Text:
    """Text from a server or a file, in which control characters are written out and markup means nothing."""
    return Text("".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text)))


def show(items: Sequence[Any], *, as_json: bool, show_phi: bool, is_list: bool) -> None:
    """Write one object, or a list of them, to standard output."""
    seen = [_seen(item, show_phi=show_phi) for item in items]
    if as_json:
        sys.stdout.write(json.dumps(seen if is_list else seen[0], indent=2) + "\n")
        return
    console = Console(highlight=False)
    if is_list:
        console.print(_listing(seen))
    else:
        console.print(_sheet(seen[0]))
        if not show_phi:
            console.print("Patient data is hidden; --show-phi shows it.")


def _seen(value: Any, *, show_phi: bool) -> Any:
    """JSON values of a model, with what is patient data hidden unless it may be seen."""
    if attrs.has(type(value)):
        if show_phi:
            return json.loads(dumps(value))
        hidden = phi_fields(type(value))
        out = {}
        for field in attrs.fields(type(value)):
            item = getattr(value, field.name)
            if field.name.startswith("_") or item in (None, (), {}):
                continue
            out[field.name] = _HIDDEN if field.name in hidden else _seen(item, show_phi=False)
        return out
    if isinstance(value, tuple):
        return [_seen(item, show_phi=show_phi) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _listing(rows: Sequence[Any]) -> Table:
    table = Table()
    if rows and isinstance(rows[0], dict):
        names = list(dict.fromkeys(name for row in rows for name in row))
        for name in names:
            table.add_column(name)
        for row in rows:
            table.add_row(*(plain_text(row.get(name, "")) for name in names))
    else:
        table.add_column("type")
        for row in rows:
            table.add_row(plain_text(row))
    table.caption = f"{len(rows)} in all"
    return table


def _sheet(value: Any) -> Table:
    table = Table("field", "value")
    for path, leaf in _leaves(value, ""):
        table.add_row(plain_text(path), plain_text(leaf))
    return table


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value
