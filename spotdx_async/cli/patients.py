"""``spotdx patients`` and ``spotdx tokens``: create a patient, and a secret with which a patient registers a kit."""

from cyclopts import App

from spotdx_async.cli.create_options import USUAL_CREATE, CreateWith
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import HIDING, RowFiles, Shown, Yes
from spotdx_async.cli.output import OurScreen, checked_one
from spotdx_async.cli.settings import USUAL_SERVER, OnServer

patients: App = App(
    name="patients", help="Patients: create one or many.\n\nExample: spotdx patients create patient.json"
)
tokens: App = App(
    name="tokens",
    help="Registration tokens: create one.\n\nExample: spotdx tokens create 3c90c3cc-0d44-4b50-8888-8dd25736052a",
)


@patients.command
def create(
    files: RowFiles,
    /,
    *,
    options: CreateWith = USUAL_CREATE,
    yes: Yes = False,
    view: Shown = HIDING,
    server: OnServer = USUAL_SERVER,
    streams: OurScreen,
) -> int:
    """Create one patient and show the patient_id, or create one for each row of a file. Asks first.

    Files of rows: CSV, JSON Lines, Parquet or Excel. They need --batch NAME and --journal PATH; the same command
    resumes after a stop or a kill, and creates nobody twice. CSV has a header: key (your own, unique in the batch),
    first_name, last_name, email, phone, sex (M or F), date_of_birth (YYYY-MM-DD). JSON Lines has {"key": …,
    "patient": {…}} a line, or the patient itself with a key. The API has no list of patients: a row whose answer did
    not come stays in doubt, and is never sent again; only the vendor can tell. For gzip, Parquet and Excel see spotdx
    kits update --help.

    A .json file holds one patient in the API's own form, and so does standard input without --batch:

    {"first_name": …, "last_name": …, "email": …, "phone": …, "sex": …, "date_of_birth": "YYYY-MM-DD"}

    Such a patient is created at most once. If no usable answer comes, the API has no way to check whether it was.

    Exit codes: 0 all is done; 1 something is not, or that is not known; 2 wrong usage or an unusable file, nothing was
    sent; 3 stopped early, or not confirmed.

    Example: spotdx patients create patient.json
    Example: spotdx patients create people.csv --batch people-7 --journal people-7.journal --created ids.csv

    Args:
        files: The patient, or files of rows; - is standard input and needs --yes.
        options: Of files of rows: how to run.
        yes: Skip confirmation.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async import NewPatient
    from spotdx_async.cli.create import ConfirmedAction, carry_out, read_to_send
    from spotdx_async.cli.create_many import create_many, is_one_object
    from spotdx_async.cli.new_objects import PATIENTS

    if not is_one_object(files, options, "key"):
        return create_many(PATIENTS, files, options, server, streams, view=view, yes=yes)
    patient = read_to_send(files[0], NewPatient, yes=yes)
    if options.is_dry_run:
        return checked_one(streams)
    act = ConfirmedAction(
        question="Create one patient",
        do=lambda spot: spot.patients.create(patient),
        look=None,
        advice="only the vendor can tell; running this command again may create a second patient",
        asked_for="patient_id",
    )
    return carry_out(act, server, streams, view, yes=yes)


@tokens.command(name="create")
def create_token(
    patient_id: str,
    /,
    *,
    kit_type: str | None = None,
    view: Shown = HIDING,
    server: OnServer = USUAL_SERVER,
    streams: OurScreen,
) -> int:
    """Create a token with which a patient registers a kit on the vendor's page, and print it.

    Example: spotdx tokens create 3c90c3cc-0d44-4b50-8888-8dd25736052a

    Args:
        patient_id: The patient.
        kit_type: The type that a multi-purpose kit is to become.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    made = server.ask(lambda spot: spot.registration_tokens.create(patient_id, kit_type))
    if view.as_json:
        streams.write_json({"token": made.token})
    else:
        streams.tell(str(made.token))
    streams.say("the token is a secret: give it to the patient only; it works once, for 10 minutes")
    return Exit.OK
