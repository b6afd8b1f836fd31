"""``spotdx patients`` and ``spotdx tokens``: create a patient, and a secret with which a patient registers a kit."""

from cyclopts import App

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import HIDING, JsonFile, Shown, Yes
from spotdx_async.cli.output import OurScreen
from spotdx_async.cli.settings import USUAL_SERVER, OnServer

patients: App = App(name="patients", help="Patients: create one.\n\nExample: spotdx patients create patient.json")
tokens: App = App(
    name="tokens",
    help="Registration tokens: create one.\n\nExample: spotdx tokens create 3c90c3cc-0d44-4b50-8888-8dd25736052a",
)


@patients.command
def create(
    file: JsonFile,
    /,
    *,
    yes: Yes = False,
    view: Shown = HIDING,
    server: OnServer = USUAL_SERVER,
    streams: OurScreen,
) -> int:
    """Create a patient and show the patient_id; asks first.

    The file holds one JSON object in the API's own form:

    {"first_name": …, "last_name": …, "email": …, "phone": …, "sex": …, "date_of_birth": "YYYY-MM-DD"}

    It is done at most once. The API has no way to check whether it was done.

    Exit codes: 0 it is done; 1 it is not, or that is not known; 2 wrong usage or an unusable file, nothing was sent;
    3 not confirmed, nothing was sent.

    Example: spotdx patients create patient.json

    Args:
        file: The patient; - is standard input and needs --yes.
        yes: Skip confirmation.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async import NewPatient
    from spotdx_async.cli.create import ConfirmedAction, carry_out, read_to_send

    patient = read_to_send(file, NewPatient, yes=yes)
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
