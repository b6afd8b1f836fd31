"""What the API does to activate a kit: for a patient it knows, or for a new one. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from spotdx_async.testing import bodies, listing
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.bodies import Check, fields, text
from spotdx_async.testing.patient_rules import unknown_patient
from spotdx_async.testing.patients import FakePatient
from spotdx_async.testing.people_checks import person_fields
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.state import World

__all__ = ["ACTIVATION_ROUTES"]

_QUERY = ("public_id",)
_ADDRESS = ("street1", "street2", "city", "state", "zip")
_STATE_NAMES = {"NY": "New York"}  # the documented example; other states are named by their two letters


def activate_kit(world: World, call: Call) -> Answer:
    """Register a kit to a patient, by ``patient_id`` or by the details of a new patient.

    Assumed: where both are given, or the kit is registered or canceled, it is a bad request; a patient whose state is
        not known may be tested; ``public_id`` must be the path's.
    """
    kit_id = call.params["kit_id"]
    _check_query(call.query, kit_id)
    kit = world.kits.get(kit_id)
    if kit is None:
        return world.refuse(404, f"Kit id {kit_id} not found")
    sent = bodies.checked(call.body, _check(world, call.body))
    known = world.patients.get(sent["patient_id"]) if "patient_id" in sent else None
    if "patient_id" in sent and known is None:
        return unknown_patient(world, sent["patient_id"])
    if not kit.can_be_activated:
        return world.refuse(400, f"Kit id {kit_id} cannot be activated: it is {kit.status}")
    state = sent.get("state") if known is None else known.address.get("state")
    if world.is_without_testing(state):
        where = _STATE_NAMES.get(str(state).upper(), state)
        return world.refuse(403, f"At-home testing is not available to residents of {where} state")
    kit.activate(_new_patient(world, sent) if known is None else known)
    world.enter_creation("activation", kit_id, call)
    return json_answer(200, {"data": {"result": "success"}})


ACTIVATION_ROUTES = (Route("POST", "/api/v3/kits/{kit_id}/activate/", activate_kit, query=_QUERY),)


def _check_query(query: Mapping[str, str], kit_id: str) -> None:
    listing.refuse_unknown(query, _QUERY)
    if "public_id" not in query:
        raise listing.BadQueryError("public_id: Field is required")
    if query["public_id"] != kit_id:
        raise listing.BadQueryError("public_id: Must be the kit id of the path")


def _check(world: World, body: Any) -> Check:
    """Choose the check: an id alone, or details of which the fake's ``activation_requires`` are required."""
    details = {**person_fields(world.today()), "phone": text, **dict.fromkeys(_ADDRESS, text)}
    consent = {"research_consent": bodies.boolean}
    if isinstance(body, dict) and "patient_id" in body:
        return fields({"patient_id": text}, {**dict.fromkeys(details, _refuse_beside_an_id), **consent})
    required = {name: details[name] for name in world.activation_requires}
    return fields(required, {**details, **consent})


def _refuse_beside_an_id(_: Any, path: str) -> Iterator[str]:
    yield f"{path}: Must not be given beside patient_id"


def _new_patient(world: World, sent: Mapping[str, Any]) -> FakePatient:
    address = {name: sent[name] for name in _ADDRESS if name in sent}
    document = {name: value for name, value in sent.items() if name not in {*_ADDRESS, "research_consent"}}
    return world.patients.add(world.patients.free_id(), address=address, document=document)
