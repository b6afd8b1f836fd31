"""``spotdx kits``: update, get, reports, list, types and activate."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from spotdx_async.cli.answers import show_list
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.lookups import add_get
from spotdx_async.cli.options import (
    ALL,
    FIRST,
    HIDING,
    UNLIMITED,
    USUAL_CREATE,
    USUAL_UPDATE,
    AtMost,
    CreateWith,
    Filtered,
    Ids,
    Json,
    JsonFile,
    KitsOrFiles,
    ListShown,
    RowFiles,
    Shown,
    UpdateWith,
    Word,
    Yes,
)
from spotdx_async.cli.output import OurScreen, checked_one
from spotdx_async.cli.report_files import SaveWith, save_reports
from spotdx_async.cli.settings import USUAL_SERVER, USUAL_SERVER_OF_IDS, OnServer, OnServerOfIds
from spotdx_async.cli.tables import show_rows
from spotdx_async.errors import InvalidInputError

_COLUMNS = ("kit_id", "kit_type", "kit_status", "sample_status", "order_id", "created", "updated")

kits: App = App(
    name="kits",
    help="""Kits: set their metadata, show one, list them, list their types, activate one or many.

    Example: spotdx kits list --kit-status delivered --limit 20
    """,
)


@kits.command
def update(
    files: RowFiles,
    /,
    *,
    options: UpdateWith = USUAL_UPDATE,
    as_json: Json = False,
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Set the metadata of many kits from CSV, JSON Lines, Parquet or Excel.

    CSV has a header: kit_id and a column for each metadata key (values are strings, an empty cell leaves its key out),
    or kit_id and one column metadata that holds JSON. JSON Lines has one {"kit_id": …, "metadata": {…}} a line; an
    array of these is read too. Parquet and Excel (.xlsx) have the columns of CSV and keep their types. CSV and JSON may
    be compressed with gzip, bzip2, xz or zstd.
    Each row sets the whole metadata of its kit. Rows of one kit are sent in order. With --journal, running the same
    command again resumes a run that was stopped or killed.

    Exit codes: 0 all done; 1 some rows were rejected, failed or ended unknown; 2 wrong usage or unusable input, nothing
    was sent; 3 stopped early.

    Example: spotdx kits update kits.csv --dry-run
    Example: spotdx kits update kits.csv --rate 20 --journal night.journal --failed failed.csv

    Args:
        files: Files of rows, read one after another; - is standard input.
        options: How to run.
        as_json: Write the summary as one JSON object on standard output.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.cli.update import update_many

    return update_many("kits", files, options, server, streams, as_json=as_json)


add_get(kits, "kits", lambda spot: spot.kits.get, "SPOT123456", "SPOT123456 SPOT234567", "- --json --rate 20 < ids.txt")


@kits.command
def reports(
    ids: Ids,
    /,
    *,
    options: SaveWith,
    limits: AtMost = UNLIMITED,
    view: Shown = HIDING,  # noqa: ARG001 - the app reads it
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Save the files of kits' reports, each named KIT_ID-REPORT_ID.pdf and readable by you alone (mode 0600).

    A file is there whole or not at all. One that is there is not fetched again, since an amendment is a report of its
    own; with --force all are. The paths of the files go to standard output; with --json it is one object a line for
    each file, with its state (saved, kept, missing or failed), path, size and sha256. A link that has expired is
    renewed once.

    Exit codes: 0 all files that the reports have are there; 1 some are not, or the server cannot be asked; 2 wrong
    usage, nothing was sent.

    Example: spotdx kits reports SPOT123456 --out reports
    Example: spotdx kits reports - --out reports --kind all --json --rate 20 < ids.txt

    Args:
        ids: The kits; - is standard input, one id a line.
        options: Which files, and where.
        limits: How fast.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    return save_reports(ids, options, limits=limits, server=server, streams=streams)


@kits.command(name="list")
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


@kits.command
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


@kits.command
def activate(
    kits_or_files: KitsOrFiles,
    /,
    *,
    patient_id: str | None = None,
    patient: JsonFile | None = None,
    research_consent: Annotated[bool | None, Parameter(negative="--no-research-consent")] = None,
    options: CreateWith = USUAL_CREATE,
    yes: Yes = False,
    view: Shown = HIDING,
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Register one kit to a patient, or a kit for each row of a file. Asks first.

    Files of rows: CSV, JSON Lines, Parquet or Excel. They need --journal PATH; the same command resumes after a stop or
    a kill, and registers no kit twice. CSV has a header: kit_id, then patient_id of a patient that the vendor knows, or
    first_name, last_name, email, phone, sex (M or F), date_of_birth (YYYY-MM-DD), street1, street2, city, state, zip
    of a new one; and research_consent (true or false). JSON Lines has {"kit_id": …, "patient_id": …} a line, or
    {"kit_id": …, "patient": {…}, "research_consent": …}. For gzip, Parquet and Excel see spotdx kits update --help.

    For one kit give exactly one of --patient-id and --patient. That file holds one JSON object in the API's own form:

    {"first_name": …, "last_name": …, "email": …, "phone": …, "sex": …, "date_of_birth": "YYYY-MM-DD", "address": {…}}

    That is done at most once. If no usable answer comes, the command checks whether it was done.

    Exit codes: 0 all is done; 1 something is not, or that is not known; 2 wrong usage or an unusable file, nothing was
    sent; 3 stopped early, or not confirmed.

    Example: spotdx kits activate SPOT123456 --patient patient.json
    Example: spotdx kits activate patients.csv --journal activations.journal
    Example: spotdx kits activate SPOT123456 --patient-id 3c90c3cc-0d44-4b50-8888-8dd25736052a

    Args:
        kits_or_files: The kit, or files of rows; - is standard input and needs --yes.
        patient_id: The id of a patient that the vendor knows.
        patient: A new patient; - is standard input and needs --yes.
        research_consent: Whether the patient consents to research. Default: not stated.
        options: Of files of rows: how to run.
        yes: Skip confirmation.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    if patient_id is None and patient is None and _are_files(kits_or_files):
        from spotdx_async.cli.create_many import create_many
        from spotdx_async.cli.new_objects import ACTIVATIONS

        if research_consent is not None:
            raise InvalidInputError("--research-consent is for one kit: rows have a column of that name")
        return create_many(ACTIVATIONS, kits_or_files, options, server, streams, view=view, yes=yes)
    if (patient_id is None) == (patient is None) or len(kits_or_files) > 1:
        raise InvalidInputError("give exactly one of --patient-id and --patient for one kit, or files of rows")
    kit_id = str(kits_or_files[0])
    from spotdx_async import Activation, NewPatient
    from spotdx_async.cli.create import ConfirmedAction, carry_out, read_to_send
    from spotdx_async.cli.create_many import check_for_one

    check_for_one(options, "with --patient-id or --patient one kit is activated")
    if Path(kit_id).suffix and Path(kit_id).is_file():
        option = "--patient" if patient_id is None else "--patient-id"
        raise InvalidInputError(f"{kit_id} is a file, whose rows say who the patients are: leave out {option}")

    new = None if patient is None else read_to_send(patient, NewPatient, yes=yes, to_activate=True)
    if options.is_dry_run:
        return checked_one(streams)
    act = ConfirmedAction(
        question=f"Activate the kit {kit_id} for {'the patient with that id' if new is None else 'a new patient'}",
        do=lambda spot: spot.kits.activate(
            kit_id, patient_id=patient_id, patient=new, research_consent=research_consent
        ),
        look=lambda spot, error: spot.kits.reconcile(error),
        advice="look with spotdx kits get before you run this command again",
        is_done=lambda answer: (
            not isinstance(answer, Activation) or (answer.data is not None and answer.data.result == "success")
        ),
    )
    return carry_out(act, server, streams, view, yes=yes)


def _are_files(words: list[Word]) -> bool:
    return all(str(word) == "-" or Path(word).suffix or Path(word).is_file() for word in words)
