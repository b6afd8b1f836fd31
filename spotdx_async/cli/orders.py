"""``spotdx orders``: create, settle, reconcile, get, list and update."""

from collections import Counter
from typing import TYPE_CHECKING

from cyclopts import App

from spotdx_async.cli.create_options import (
    UNKNOWN_ATTEMPT,
    USUAL_CREATE,
    CreateWith,
    SentBefore,
    SettleWith,
    check_for_rows,
)
from spotdx_async.cli.list_options import ALL, FIRST, Filtered, ListShown
from spotdx_async.cli.lists import show_list
from spotdx_async.cli.lookups import add_get
from spotdx_async.cli.options import HIDING, Day, Json, Moment, RowFiles, Shown, Yes
from spotdx_async.cli.output import OurScreen, checked_one, counted
from spotdx_async.cli.row_options import USUAL_UPDATE, UpdateWith
from spotdx_async.cli.settings import USUAL_SERVER, USUAL_SERVER_OF_IDS, OnServer, OnServerOfIds

if TYPE_CHECKING:
    from spotdx_async import NewOrder, Order

_COLUMNS = ("order_id", "status", "created", "updated")
_NAMES = ("recipient.first_name", "recipient.last_name")
_NAMED_KINDS = 5

orders: App = App(
    name="orders",
    help="""Orders: create one or many, show one, list them, set their metadata.

    Example: spotdx orders list --status pending --limit 20
    """,
)


@orders.command
def create(
    files: RowFiles,
    /,
    *,
    client_ref: str | None = None,
    earlier: SentBefore = UNKNOWN_ATTEMPT,
    options: CreateWith = USUAL_CREATE,
    yes: Yes = False,
    view: Shown = HIDING,
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Place one order, or an order for each row of a file; each ships a parcel. Asks first.

    Files of rows: CSV, JSON Lines, Parquet or Excel. They need --batch NAME and --journal PATH; the same command
    resumes after a stop or a kill, and places nothing twice. Start with --dry-run, which names all faults of all rows.
    CSV has a header: key (your own, unique in the batch), kit_types (separated by ;), first_name, last_name, email,
    phone, street1, street2, city, state, country, zip, and metadata.NAME for each metadata key. JSON Lines has
    {"key": …, "order": {…}} a line, or the order itself with a key. For gzip, Parquet and Excel see spotdx kits update
    --help.

    A .json file holds one order in the API's own form, and so does standard input without --batch:

    {"kit_types": ["health_kit_1"], "recipient": {"first_name": …, "last_name": …, "email": …, "phone": …,
    "address": {"street1": …, "street2": …, "city": …, "state": …, "country": …, "zip": …}}, "metadata": {…}}

    Such an order is placed at most once. A reference of your own, from --client-ref or the metadata, is looked up
    first: if it was sent before, what was placed is shown, and nothing is sent; if that cannot be known, nothing is
    sent either. That takes a minute, since an earlier attempt may still be executed. --sent-at, --since and
    --never-sent say what you know of it. Two commands that run at the same time do not know of each other.

    Before the order is sent its reference is shown, for spotdx orders reconcile. If no usable answer comes, the command
    checks whether it was placed.

    Exit codes: 0 all is placed; 1 something is not, or that is not known, or was placed twice; 2 wrong usage or an
    unusable file, nothing was sent; 3 stopped early, not confirmed, or not known whether it was sent before.

    Example: spotdx orders create order.json
    Example: spotdx orders create cohort.csv --dry-run
    Example: spotdx orders create cohort.csv --batch cohort-7 --journal cohort-7.journal --created placed.csv

    Args:
        files: The order, or files of rows; - is standard input and needs --yes.
        client_ref: Of one order: your own reference, by which it can be found again. Default: a new one.
        earlier: Of one order: what is known of an earlier attempt with the same reference.
        options: Of files of rows: how to run.
        yes: Skip confirmation.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async import NewOrder
    from spotdx_async.cli.create import ConfirmedAction, carry_out, how_to_look, read_to_send, reference_of
    from spotdx_async.cli.create_many import create_many, is_one_object
    from spotdx_async.cli.new_objects import ORDERS

    if not is_one_object(files, options, "key"):
        check_for_rows(client_ref, earlier)
        return create_many(ORDERS, files, options, server, streams, view=view, yes=yes)
    order = read_to_send(files[0], NewOrder, yes=yes)
    if options.is_dry_run:
        return checked_one(streams)
    reference = reference_of(client_ref, order.metadata, earlier)
    act = ConfirmedAction(
        question=f"Order {_kits_of(order)} for one recipient",
        do=lambda spot: spot.orders.create(order, client_ref=reference.text),
        look=lambda spot, error: spot.orders.reconcile(error),
        advice="look with spotdx orders reconcile before you run this command again",
        looks_first=reference.is_to_be_looked_up,
        look_first=lambda spot: spot.orders.reconcile(
            client_ref=reference.text, sent_at=reference.sent_at, since=reference.since
        ),
        other_than_asked=lambda found: _other_kits(order, found),
        how_to_look=lambda: how_to_look("orders", reference.text),
    )
    return carry_out(act, server, streams, view, yes=yes)


@orders.command
def reconcile(
    *,
    client_ref: str,
    sent_at: Moment = None,
    since: Day = None,
    view: Shown = HIDING,
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Find out whether an order was placed, by its client reference.

    For a create that was killed or whose outcome is unknown. While it can still be executed, the command waits, a
    minute at most; --sent-at says until when.

    Exit codes: 0 it is placed, also where there are several with the reference, which are named; 1 it is not, and no
    longer can be, or the look-up failed; 2 wrong usage; 3 it is not known: look again later.

    Example: spotdx orders reconcile --client-ref study-7-A --sent-at 2024-01-31T12:00:00Z

    Args:
        client_ref: The reference, as spotdx orders create showed it.
        sent_at: When the order was sent at the latest, such as 2024-01-31T12:00:00Z. Default: not known, so the
            command waits a whole minute before reporting that it is not found.
        since: Without --sent-at, the day of the create, YYYY-MM-DD; it saves time. Default: all orders are searched.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.cli.create import date_of, instant_of, look_up

    moment, day = instant_of(sent_at), date_of(since)
    return look_up(
        lambda spot: spot.orders.reconcile(client_ref=client_ref, sent_at=moment, since=day),
        *(server, streams, view),
    )


@orders.command
def settle(
    files: RowFiles,
    /,
    *,
    options: SettleWith,
    as_json: Json = False,
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Find out which orders were placed by a spotdx orders create that was killed; places nothing.

    Each order that the journal has in doubt is looked for, once it can no longer be executed: 70 seconds after the
    start. One that is found is done; one that was surely not placed is sent by the next spotdx orders create; where
    neither is certain it stays in doubt.

    Exit codes: 0 nothing is left in doubt; 1 something is; 2 wrong usage or unusable input; 3 stopped early.

    Example: spotdx orders settle cohort.csv --journal cohort-7.journal

    Args:
        files: The files of rows, as they were passed to create.
        options: Of which run, and how its files are read.
        as_json: Write the summary as one JSON object on standard output.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.cli.create_many import settle as settle_rows
    from spotdx_async.cli.new_objects import ORDERS

    return settle_rows(ORDERS, files, options, server, streams, as_json=as_json)


add_get(orders, "orders", lambda spot: spot.orders.get, "O1234567", "O1234567 O1234568", "- --json --rate 20 < ids.txt")


@orders.command(name="list")
def list_orders(
    *,
    status: str | None = None,
    filters: Filtered = ALL,
    view: ListShown = FIRST,
    server: OnServer = USUAL_SERVER,
    streams: OurScreen,
) -> int:
    """List orders, most recently updated first; dates are written YYYY-MM-DD and are inclusive.

    Example: spotdx orders list --status pending --created-after 2024-01-31 --limit 20

    Args:
        status: Only orders in this status. Known: pending, in_progress, completed and canceled.
        filters: Which ones; people are their recipients.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.models import OrderSummary

    return show_list(
        server,
        lambda spot: spot.orders.list(status=status, **filters.query),
        *(streams, view),
        model=OrderSummary,
        columns=_COLUMNS,
        names=_NAMES,
        nouns="orders",
    )


@orders.command
def update(
    files: RowFiles,
    /,
    *,
    options: UpdateWith = USUAL_UPDATE,
    as_json: Json = False,
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Set the metadata of many orders from CSV, JSON Lines, Parquet or Excel.

    CSV has a header: order_id and a column for each metadata key (values are strings, an empty cell leaves its key
    out), or order_id and one column metadata that holds JSON. JSON Lines has one {"order_id": …, "metadata": {…}} a
    line. For Parquet, gzip, the order of rows and --journal see spotdx kits update --help.

    Exit codes: 0 all done; 1 some rows were rejected, failed or ended unknown; 2 wrong usage or unusable input, nothing
    was sent; 3 stopped early.

    Example: spotdx orders update orders.csv --dry-run
    Example: spotdx orders update orders.csv --rate 20 --journal night.journal --failed failed.csv

    Args:
        files: Files of rows, read one after another; - is standard input.
        options: How to run.
        as_json: Write the summary as one JSON object on standard output.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.cli.update import update_many

    return update_many("orders", files, options, server, streams, as_json=as_json)


def _kits_of(order: "NewOrder | Order") -> str:
    kinds = Counter(order.kit_types)
    named = [f"{kind} x{count:,}" for kind, count in kinds.most_common(_NAMED_KINDS)]
    more = [f"and {counted(len(kinds) - _NAMED_KINDS, 'other kind')}"] if len(kinds) > _NAMED_KINDS else []
    return f"{counted(len(order.kit_types), 'kit')} ({', '.join(named + more)})"


def _other_kits(order: "NewOrder", found: "Order") -> str | None:
    """Return that an order found has other kits than the one to be placed; None if it has the same, or shows none."""
    if not found.kit_types or Counter(found.kit_types) == Counter(order.kit_types):
        return None
    return f"the order with this reference is one of {_kits_of(found)}, not of {_kits_of(order)}"
