"""``spotdx requisitions``: create, get and list."""

from cyclopts import App

from spotdx_async.cli.answers import look_at, show_list
from spotdx_async.cli.consent import Yes
from spotdx_async.cli.file_arguments import JsonFile
from spotdx_async.cli.options import ALL, HIDING, USUAL_SERVER, Filtered, OnServer, Shown
from spotdx_async.cli.screen import OurScreen
from spotdx_async.cli.words import counted

__all__ = ["requisitions"]

_COLUMNS = ("requisition_id", "barcode", "lab", "status", "created", "updated")
_NAMES = ("patient.first_name", "patient.last_name")

requisitions: App = App(
    name="requisitions",
    help="""Requisitions: create one, look at one, list them.

    Example: spotdx requisitions list --status resulted --limit 20
    """,
)


@requisitions.command
def create(
    file: JsonFile,
    /,
    *,
    client_ref: str | None = None,
    yes: Yes = False,
    view: Shown = HIDING,
    server: OnServer = USUAL_SERVER,
    screen: OurScreen,
) -> int:
    """Make a requisition, which is approved or denied at once; asks first.

    The file holds one JSON object in the API's own form:

    {"barcode": …, "panels": ["…"], "account_number": …, "lab": …, "state_collected": …, "patient": {"first_name": …,
    "last_name": …, "email": …, "phone": …, "sex": …, "date_of_birth": "YYYY-MM-DD", "address": {"street1": …,
    "street2": …, "city": …, "state": …, "country": …, "zip": …}}, "tracking": {…}, "attributes": {…}, "metadata": {…}}

    It is made at most once. Where no usable answer came, the command looks whether it was made.

    Exit codes: 0 it is made, even where it is denied; 1 it is not, or nobody knows; 2 wrong usage or an unusable file,
    nothing was sent; 3 the answer was no, nothing was sent.

    Example: spotdx requisitions create requisition.json

    Args:
        file: The requisition; - is standard input, and needs --yes.
        client_ref: A reference of your own, by which the requisition can be found again. Default: a new one.
        yes: Do not ask.
        view: In which form.
        server: The server.
        screen: Where to write; no argument of the command line.
    """
    from spotdx_async import NewRequisition
    from spotdx_async.cli.acts import Act, carry_out
    from spotdx_async.cli.model_file import read_to_send

    requisition = read_to_send(file, NewRequisition, yes=yes)
    act = Act(
        question=f"Make a requisition of {counted(len(requisition.panels), 'panel')} for one patient",
        do=lambda spot: spot.requisitions.create(requisition, client_ref=client_ref),
        look=lambda spot, error: spot.requisitions.reconcile(error),
        advice="look with spotdx requisitions list before you give this command again",
    )
    return carry_out(act, server, screen, view, yes=yes)


@requisitions.command
def get(requisition_id: str, /, *, view: Shown = HIDING, server: OnServer = USUAL_SERVER, screen: OurScreen) -> int:
    """Show one requisition; patient data is hidden.

    Example: spotdx requisitions get 3c90c3cc-0d44-4b50-8888-8dd25736052a

    Args:
        requisition_id: The requisition.
        view: In which form.
        server: The server.
        screen: Where to write; no argument of the command line.
    """
    return look_at(lambda spot: spot.requisitions.get(requisition_id), server, screen, view)


@requisitions.command(name="list")
def list_requisitions(
    *,
    limit: int = 100,
    lab: str | None = None,
    status: str | None = None,
    filters: Filtered = ALL,
    view: Shown = HIDING,
    server: OnServer = USUAL_SERVER,
    screen: OurScreen,
) -> int:
    """List requisitions; dates are written YYYY-MM-DD and count themselves.

    Example: spotdx requisitions list --lab CRL --status approved --limit 20

    Args:
        limit: The most requisitions to list.
        lab: Only requisitions of this laboratory; upper and lower case count.
        status: Only requisitions in this status.
        filters: Which of them.
        view: In which form.
        server: The server.
        screen: Where to write; no argument of the command line.
    """
    return show_list(
        lambda spot: spot.requisitions.list(lab=lab, status=status, **filters.query),
        *(server, screen, view),
        limit=limit,
        columns=_COLUMNS,
        names=_NAMES,
        nouns="requisitions",
    )
