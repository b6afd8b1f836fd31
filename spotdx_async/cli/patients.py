"""``spotdx patients`` and ``spotdx tokens``: make a patient known, and a secret with which one registers a kit."""

from cyclopts import App

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.file_arguments import JsonFile
from spotdx_async.cli.options import HIDING, USUAL_SERVER, Json, OnServer, Shown
from spotdx_async.cli.prompt import Yes
from spotdx_async.cli.streams import OurScreen

__all__ = ["patients", "tokens"]

patients: App = App(name="patients", help="Patients: make one known.\n\nExample: spotdx patients create patient.json")
tokens: App = App(
    name="tokens",
    help="Registration tokens: make one.\n\nExample: spotdx tokens create 3c90c3cc-0d44-4b50-8888-8dd25736052a",
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
    """Make a patient known, and get the patient_id; asks first.

    The file holds one JSON object in the API's own form:

    {"first_name": …, "last_name": …, "email": …, "phone": …, "sex": …, "date_of_birth": "YYYY-MM-DD"}

    It is done at most once. The API has no way to look whether it was done.

    Exit codes: 0 it is done; 1 it is not, or nobody knows; 2 wrong usage or an unusable file, nothing was sent; 3 the
    answer was no, nothing was sent.

    Example: spotdx patients create patient.json

    Args:
        file: The patient; - is standard input, and needs --yes.
        yes: Do not ask.
        view: In which form.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async import NewPatient
    from spotdx_async.cli.confirm import ConfirmedAction, carry_out
    from spotdx_async.cli.model_file import read_to_send

    patient = read_to_send(file, NewPatient, yes=yes)
    act = ConfirmedAction(
        question="Make one patient known",
        do=lambda spot: spot.patients.create(patient),
        look=None,
        advice="only the vendor can tell; this command given again may make a second patient",
        asked_for="patient_id",
    )
    return carry_out(act, server, streams, view, yes=yes)


@tokens.command(name="create")
def create_token(
    patient_id: str,
    /,
    *,
    kit_type: str | None = None,
    as_json: Json = False,
    server: OnServer = USUAL_SERVER,
    streams: OurScreen,
) -> int:
    """Make a token with which a patient registers a kit on the vendor's page; it is written on standard output.

    Example: spotdx tokens create 3c90c3cc-0d44-4b50-8888-8dd25736052a

    Args:
        patient_id: The patient.
        kit_type: What a kit of many purposes shall become.
        as_json: Write one JSON object.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    made = server.ask(lambda spot: spot.registration_tokens.create(patient_id, kit_type))
    if as_json:
        streams.write_json({"token": made.token})
    else:
        streams.tell(str(made.token))
    streams.say("the token is a secret: hand it to the patient alone; it works once, for 10 minutes")
    return Exit.OK
