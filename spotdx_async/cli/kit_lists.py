"""``spotdx kits list`` and ``spotdx kits types``."""

from typing import Annotated

from cyclopts import Parameter

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.list_options import ALL, FIRST, Filtered, ListShown
from spotdx_async.cli.lists import show_list
from spotdx_async.cli.options import HIDING, Shown
from spotdx_async.cli.output import OurScreen
from spotdx_async.cli.settings import USUAL_SERVER, OnServer
from spotdx_async.cli.tables import show_rows

_COLUMNS = ("kit_id", "kit_type", "kit_status", "sample_status", "order_id", "created", "updated")


def list_kits(
    *,
    kit_type: str | None = None,
    kit_status: str | None = None,
    sample_status: str | None = None,
    has_order: Annotated[bool | None, Parameter(negative="--no-has-order")] = None,
    filters: Filtered = ALL,
    view: ListShown = FIRST,
    server: OnServer = USUAL_SERVER,
    streams: OurScreen,
) -> int:
    """List kits, oldest first; dates are written YYYY-MM-DD and are inclusive.

    Example: spotdx kits list --kit-status delivered --created-after 2024-01-31 --limit 20

    Args:
        kit_type: Only this type, one of spotdx kits types.
        kit_status: Only kits in this status. Known: preparing, in_transit, delivered, delivery_exception, registered
            and canceled.
        sample_status: Only kits whose sample is in this status. Known: awaiting_collection, collection_exception,
            delivery_exception, delivered, in_transit, received, resulted, partially_resulted, extra_quality_checks
            and canceled.
        has_order: Only kits that belong to an order, or to none.
        filters: Which ones.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.models import KitSummary

    query = {"kit_type": kit_type, "kit_status": kit_status, "sample_status": sample_status, **filters.query}
    return show_list(
        server,
        lambda spot: spot.kits.list(has_order=has_order, **query),
        *(streams, view),
        model=KitSummary,
        columns=_COLUMNS,
        nouns="kits",
    )


def types(*, view: Shown = HIDING, server: OnServer = USUAL_SERVER, streams: OurScreen) -> int:
    """List the kit types that can be ordered.

    Example: spotdx kits types

    Args:
        view: How to show them.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    found = server.ask(lambda spot: spot.kits.types())
    if view.as_json:
        streams.write_json(found)
    else:
        show_rows(streams, ("kit_type",), [(one,) for one in found], is_firm=lambda _column: True)
    return Exit.OK
