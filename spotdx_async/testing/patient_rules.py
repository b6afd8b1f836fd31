"""What the API does with patients: created, given a registration token. Pure."""

from typing import Any

from spotdx_async.testing import bodies
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.bodies import fields, one_of, text
from spotdx_async.testing.people_checks import person_fields
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.state import World

__all__ = ["PATIENT_ROUTES", "unknown_patient"]


def create_patient(world: World, call: Call) -> Answer:
    """Create a patient, and answer with it.

    Assumed: a second patient with the same fields is another patient.
    """
    sent = bodies.checked(call.body, fields(person_fields(world.today()), {"phone": text}))
    patient = world.patients.add(world.patients.free_id(), document=dict(sent))
    world.enter_creation("patient", patient.patient_id, call)
    return patient.answer()


def create_registration_token(world: World, call: Call) -> Answer:
    """Mint a token that registers a kit to the patient once, within ten minutes."""
    sent = bodies.checked(call.body, fields({"patient_id": text}, {"kit_type": one_of(*world.kit_types)}))
    patient = world.patients.get(sent["patient_id"])
    if patient is None:
        return unknown_patient(world, sent["patient_id"])
    number, token = world.registrations.mint(patient.patient_id, sent.get("kit_type"), at=world.wall())
    world.enter_creation("registration token", number, call)
    return json_answer(201, {"token": token})


PATIENT_ROUTES = (
    Route("POST", "/api/v2/patients/", create_patient),
    Route("POST", "/api/v2/tokens/patient_registration/", create_registration_token),
)


def unknown_patient(world: World, patient_id: Any) -> Answer:
    """Answer that no patient has this id."""
    return world.refuse(404, f"Patient id {patient_id} not found")
