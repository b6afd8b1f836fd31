"""What the API does with requisitions: one function an operation, and the rows that say where each is found. Pure."""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from spotdx_async.testing import bodies, listing
from spotdx_async.testing.answers import Answer
from spotdx_async.testing.bodies import Check, an_object, array_of, fields, fits, maybe_null, one_of, text
from spotdx_async.testing.conditions import DATES, PEOPLE, Condition, Query, holds
from spotdx_async.testing.made_up import fresh
from spotdx_async.testing.pages import page_of
from spotdx_async.testing.people_checks import ADDRESS, TWO_LETTERS, person_fields
from spotdx_async.testing.requisition_lifecycle import new_events
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.state import World

__all__ = ["REQUISITION_ROUTES", "REQUISITION_STATUSES"]

REQUISITION_STATUSES = (
    *("created", "approved", "denied", "delivered", "received", "extra_quality_checks", "resulted", "rejected"),
    "delivery_exception",
)
_TRACKING = fields({}, {"tracking_number": maybe_null(text), "carrier": maybe_null(one_of("fedex", "ups", "usps"))})
_ATTRIBUTES = fields(
    {},
    {
        "crl_slip_id": maybe_null(fits("[A-Za-z0-9]{1,10}", "1 to 10 letters and digits")),
        "crl_tier3_account_number": maybe_null(fits("[A-Za-z0-9]{8}", "exactly 8 letters and digits")),
    },
)


def create_requisition(world: World, call: Call) -> Answer:
    """Create a requisition, approved at once; denied where its sample was collected in a state without testing.

    Assumed: that this is what decides; the documents say only that it is decided at once. And that a patient's fields
        are required as those of "create patient" are.
    """
    sent = bodies.checked(call.body, _check(world))
    status = "denied" if world.is_without_testing(sent["state_collected"]) else "approved"
    at, requisition_id = world.now(), world.requisitions.free_id()
    document = {
        "requisition_id": requisition_id,
        "attributes": None,
        "metadata": None,
        **fresh(sent),  # apart from the ledger's
        "status": status,
        "events": new_events(status, at),
        "reports": [],
    }
    requisition = world.requisitions.add(requisition_id, created=at, document=document)
    world.enter_creation("requisition", requisition_id, call)
    return requisition.answer(world.address_form)


def get_requisition(world: World, call: Call) -> Answer:
    """Answer with the requisition."""
    requisition = world.requisitions.get(call.params["requisition_id"])
    if requisition is None:
        return world.refuse(404, f"Requisition id {call.params['requisition_id']} not found")
    return requisition.answer(world.address_form)


def list_requisitions(world: World, call: Call) -> Answer:
    """Answer with a page of requisition summaries: a bare array without a total.

    Assumed: by creation date, as kits; the documents do not say.
    """
    things = world.requisitions.by_creation()
    return page_of(call, things, known=REQUISITION_LIST_QUERY, person_of=attrgetter("patient"), own=_conditions)


REQUISITION_LIST_QUERY = ("results", "offset", *PEOPLE, "lab", "status", *DATES)
REQUISITION_ROUTES = (
    Route("POST", "/api/v2/requisitions/", create_requisition),
    Route("GET", "/api/v2/requisitions/{requisition_id}", get_requisition),
    Route("GET", "/api/v2/requisitions/", list_requisitions, query=REQUISITION_LIST_QUERY),
)


def _check(world: World) -> Check:
    def barcode(value: Any, path: str) -> Iterator[str]:
        yield from text(value, path)
        if isinstance(value, str) and world.requisitions.has_barcode(value):
            yield f"{path}: Must be globally unique"

    patient = fields({**person_fields(world.today()), "address": ADDRESS}, {"phone": text})
    return fields(
        {
            "barcode": barcode,
            "panels": array_of(text),
            "account_number": text,
            "lab": text,
            "state_collected": TWO_LETTERS,
            "patient": patient,
        },
        {
            "tracking": _TRACKING,
            "attributes": maybe_null(_ATTRIBUTES),
            "metadata": maybe_null(an_object),
        },
    )


def _conditions(query: Query) -> Iterator[Condition]:
    """Turn the filters that requisitions alone have into conditions.

    Assumed: a status that is on no list is refused, as with kits.
    """
    if "lab" in query:
        yield holds("lab", query["lab"])
    if (wanted := listing.choice(query, "status", REQUISITION_STATUSES)) is not None:
        yield holds("status", wanted)
