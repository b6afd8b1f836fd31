"""``spotdx requisitions``: create, reconcile, get and list."""

from typing import TYPE_CHECKING

from cyclopts import App

from spotdx_async.cli.create_options import UNKNOWN_ATTEMPT, USUAL_CREATE, CreateWith, SentBefore, check_for_rows
from spotdx_async.cli.list_options import ALL, FIRST, Filtered, ListShown
from spotdx_async.cli.lists import show_list
from spotdx_async.cli.lookups import add_get
from spotdx_async.cli.options import HIDING, Day, Moment, RowFiles, Shown, Yes
from spotdx_async.cli.output import OurScreen, checked_one, counted
from spotdx_async.cli.settings import USUAL_SERVER, USUAL_SERVER_OF_IDS, OnServer, OnServerOfIds

if TYPE_CHECKING:
    from spotdx_async import Requisition

_COLUMNS = ("requisition_id", "barcode", "lab", "status", "created", "updated")
_NAMES = ("patient.first_name", "patient.last_name")

requisitions: App = App(
    name="requisitions",
    help="""Requisitions: create one or many, show one, list them.

    Example: spotdx requisitions list --status resulted --limit 20
    """,
)


@requisitions.command
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
    """Create one requisition, or one for each row of a file; each is approved or denied at once. Asks first.

    Files of rows: CSV, JSON Lines, Parquet or Excel. They need --batch NAME and --journal PATH; the same command
    resumes after a stop or a kill, and creates nothing twice. CSV has a header: key (yours, unique in the batch),
    barcode, panels (separated by ;), account_number, lab, state_collected, first_name, last_name, email, phone, sex (M
    or F), date_of_birth (YYYY-MM-DD), street1, street2, city, state, country, zip, tracking_number, carrier,
    crl_slip_id, crl_tier3_account_number, and metadata.NAME for each metadata key. JSON Lines has {"key": …,
    "requisition": {…}} a line, or the requisition itself with a key. For gzip, Parquet and Excel see spotdx kits update
    --help.

    A .json file holds one requisition in the API's own form, and so does standard input without --batch:

    {"barcode": …, "panels": ["…"], "account_number": …, "lab": …, "state_collected": …, "patient": {"first_name": …,
    "last_name": …, "email": …, "phone": …, "sex": …, "date_of_birth": "YYYY-MM-DD", "address": {"street1": …,
    "street2": …, "city": …, "state": …, "country": …, "zip": …}}, "tracking": {…}, "attributes": {…}, "metadata": {…}}

    Such a requisition is created at most once. With a reference of your own, from --client-ref or the metadata, its
    barcode is looked up first: if it was created before, it is shown, and nothing is sent; if that cannot be known,
    nothing is sent either. That takes a minute, since an earlier attempt may still be executed. --sent-at, --since and
    --never-sent say what you know of it. Two commands that run at the same time do not know of each other.

    Before the requisition is sent its reference is shown, for spotdx requisitions reconcile. If no usable answer comes,
    the command checks whether it was created.

    Exit codes: 0 all is created, even if it is denied; 1 something is not, or that is not known, or was created twice;
    2 wrong usage or an unusable file, nothing was sent; 3 stopped early, not confirmed, or not known whether it was
    sent before.

    Example: spotdx requisitions create requisition.json
    Example: spotdx requisitions create tubes.csv --batch tubes-7 --journal tubes-7.journal

    Args:
        files: The requisition, or files of rows; - is standard input and needs --yes.
        client_ref: Of one requisition: your own reference, by which it can be found again. Default: a new one.
        earlier: Of one requisition: what is known of an earlier attempt with the same reference.
        options: Of files of rows: how to run.
        yes: Skip confirmation.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async import NewRequisition
    from spotdx_async.cli.create import ConfirmedAction, carry_out, how_to_look, read_to_send, reference_of
    from spotdx_async.cli.create_many import create_many, is_one_object
    from spotdx_async.cli.new_objects import REQUISITIONS

    if not is_one_object(files, options, "key"):
        check_for_rows(client_ref, earlier)
        return create_many(REQUISITIONS, files, options, server, streams, view=view, yes=yes)
    requisition = read_to_send(files[0], NewRequisition, yes=yes)
    if options.is_dry_run:
        return checked_one(streams)
    reference = reference_of(client_ref, requisition.metadata, earlier)
    act = ConfirmedAction(
        question=f"Create a requisition of {counted(len(requisition.panels), 'panel')} for one patient",
        do=lambda spot: spot.requisitions.create(requisition, client_ref=reference.text),
        look=lambda spot, error: spot.requisitions.reconcile(error),
        advice="look with spotdx requisitions reconcile before you run this command again",
        known_by="barcode",
        other_than_asked=lambda found: _other_reference(reference.text, found),
        looks_first=reference.is_to_be_looked_up,
        look_first=lambda spot: spot.requisitions.reconcile(
            # Not by the reference: the list shows barcodes, and no two requisitions have the same.
            barcode=requisition.barcode,
            sent_at=reference.sent_at,
            since=reference.since,
        ),
        how_to_look=lambda: how_to_look("requisitions", reference.text),
    )
    return carry_out(act, server, streams, view, yes=yes)


@requisitions.command
def reconcile(
    *,
    client_ref: str | None = None,
    barcode: str | None = None,
    sent_at: Moment = None,
    since: Day = None,
    view: Shown = HIDING,
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Find out whether a requisition was created, by its client reference.

    For a create that was killed or whose outcome is unknown. While it can still be executed, the command waits, a
    minute at most; --sent-at says until when.

    Exit codes: 0 it is created, also where there are several with the reference, which are named; 1 it is not, and no
    longer can be, or the look-up failed; 2 wrong usage; 3 it is not known: look again later.

    Example: spotdx requisitions reconcile --client-ref study-7-A --sent-at 2024-01-31T12:00:00Z

    Args:
        client_ref: The reference, as spotdx requisitions create showed it.
        barcode: The barcode of the requisition; instead of the reference, or with it.
        sent_at: When the requisition was sent at the latest, such as 2024-01-31T12:00:00Z. Default: not known, so the
            command waits a whole minute before reporting that it is not found.
        since: Without --sent-at, the day of the create, YYYY-MM-DD; it saves time. Default: all requisitions are
            searched.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.cli.create import date_of, instant_of, look_up

    moment, day = instant_of(sent_at), date_of(since)
    return look_up(
        lambda spot: spot.requisitions.reconcile(barcode=barcode, client_ref=client_ref, sent_at=moment, since=day),
        *(server, streams, view),
    )


add_get(
    requisitions,
    "requisitions",
    lambda spot: spot.requisitions.get,
    "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "- --json < ids.txt",
    "- --json --rate 20 < ids.txt",
)


@requisitions.command(name="list")
def list_requisitions(
    *,
    lab: str | None = None,
    status: str | None = None,
    filters: Filtered = ALL,
    view: ListShown = FIRST,
    server: OnServer = USUAL_SERVER,
    streams: OurScreen,
) -> int:
    """List requisitions; dates are written YYYY-MM-DD and are inclusive.

    Example: spotdx requisitions list --lab CRL --status approved --limit 20

    Args:
        lab: Only requisitions of this laboratory; case matters.
        status: Only requisitions in this status. Known: created, approved, denied, delivered, received,
            extra_quality_checks, resulted, rejected and delivery_exception.
        filters: Which ones.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.models import RequisitionSummary

    return show_list(
        server,
        lambda spot: spot.requisitions.list(lab=lab, status=status, **filters.query),
        *(streams, view),
        model=RequisitionSummary,
        columns=_COLUMNS,
        names=_NAMES,
        nouns="requisitions",
    )


def _other_reference(reference: str, found: "Requisition") -> str | None:
    """Return that a requisition with the barcode has another reference; None if it has the same, or shows none."""
    from spotdx_async.cli.create import reference_in

    theirs = reference_in(found.metadata)
    return None if theirs in (None, reference) else "the barcode belongs to a requisition with another reference"
