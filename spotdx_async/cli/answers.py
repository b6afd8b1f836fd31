"""How the answer to a command is shown: a table or JSON, one object or a list of them."""

from collections.abc import Sequence

from spotdx_async.cli.options import View
from spotdx_async.cli.screen import Screen
from spotdx_async.cli.tables import fields_table, plain, rows_table
from spotdx_async.errors import InvalidInputError
from spotdx_async.models import Model

__all__ = ["check_limit", "show_object", "show_objects"]


def check_limit(limit: int) -> int:
    """Give the limit as it is.

    Raises:
        InvalidInputError: it is below 1.
    """
    if limit < 1:
        raise InvalidInputError("--limit must be at least 1")
    return limit


def show_object(found: Model, screen: Screen, view: View, *, asked_for: str | None = None) -> None:
    """Show one object with all its fields; the field ``asked_for`` is shown even where it is patient data."""
    values = plain(found, show_phi=view.show_phi, asked_for=asked_for)
    if view.as_json:
        screen.write_json(values)
    else:
        screen.show(fields_table(values))


def show_objects(
    found: Sequence[Model], screen: Screen, view: View, *, columns: Sequence[str], limit: int, nouns: str
) -> None:
    """Show a list: all fields as JSON, the columns as a table; a list that ends at the limit says so."""
    if view.as_json:
        screen.write_json([plain(one, show_phi=view.show_phi) for one in found])
        return
    screen.show(rows_table(found, columns, show_phi=view.show_phi))
    if len(found) == limit:
        screen.say(f"the first {limit:,} {nouns}; --limit shows more")
