"""``spotdx kits activate``: registers one kit to a patient, or a kit for each row of a file."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from spotdx_async.cli.create_options import USUAL_CREATE, CreateWith
from spotdx_async.cli.options import HIDING, JsonFile, KitsOrFiles, Shown, Word, Yes
from spotdx_async.cli.output import OurScreen, checked_one
from spotdx_async.cli.settings import USUAL_SERVER_OF_IDS, OnServerOfIds
from spotdx_async.errors import InvalidInputError


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
