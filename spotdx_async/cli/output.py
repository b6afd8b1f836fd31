"""How the answer to a question is shown: a table or JSON, one object or a list of them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import Server, View
from spotdx_async.cli.streams import Streams
from spotdx_async.errors import InvalidInputError

if TYPE_CHECKING:
    from spotdx_async import Pages, SpotClient
    from spotdx_async.models import Model

__all__ = ["look_at", "show_list", "show_object"]


def look_at(question: "Callable[[SpotClient], Awaitable[Model]]", server: Server, streams: Streams, view: View) -> Exit:
    """Ask for one object and show it.

    Raises:
        SpotError: there is no answer to show.
    """
    show_object(server.ask(question), streams, view)
    return Exit.OK


def show_list(
    listing: "Callable[[SpotClient], Pages[Any]]",
    server: Server,
    streams: Streams,
    view: View,
    *,
    limit: int,
    columns: Sequence[str],
    names: Sequence[str] = (),
    nouns: str,
) -> Exit:
    """Ask for a list and show it: all fields as JSON, the columns as a table; one that ends at the limit says so.

    Args:
        listing: starts the list.
        server: who is asked.
        streams: where to write.
        view: in which form.
        limit: the most objects.
        columns: what the table shows of each.
        names: columns that are patient data, shown where that was asked for.
        nouns: what the objects are called.

    Raises:
        InvalidInputError: the limit is below 1, or a filter is wrong.
        SpotError: there is no answer to show.
    """
    if limit < 1:
        raise InvalidInputError("--limit must be at least 1")
    found = server.ask(lambda spot: listing(spot).first(limit))

    from spotdx_async.cli.tables import plain, rows_table

    if view.as_json:
        streams.write_json([plain(one, show_phi=view.show_phi) for one in found])
        return Exit.OK
    streams.show(rows_table(found, (*columns, *names) if view.show_phi else columns, show_phi=view.show_phi))
    if len(found) == limit:
        streams.say(f"the first {limit:,} {nouns}; --limit shows more")
    return Exit.OK


def show_object(found: "Model", streams: Streams, view: View, *, asked_for: str | None = None) -> None:
    """Show one object with all its fields; the field ``asked_for`` is shown even where it is patient data."""
    from spotdx_async.cli.tables import fields_table, plain

    values = plain(found, show_phi=view.show_phi, asked_for=asked_for)
    if view.as_json:
        streams.write_json(values)
    else:
        streams.show(fields_table(values))
