"""What the API does with kits: one function an operation, and the rows that say where each is found. Pure."""

from collections.abc import Iterator
from operator import attrgetter

from spotdx_async.testing import bodies, listing
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.conditions import DATES, PEOPLE, Condition, Query, holds
from spotdx_async.testing.pages import page_of
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.state import World

__all__ = ["KIT_ROUTES", "KIT_STATUSES", "SAMPLE_STATUSES"]

KIT_STATUSES = (
    *("preparing", "in_transit", "delivered", "delivery_exception", "registered", "canceled"),
    *("pending", "kit_type_assigned"),  # named by the guides alone
)
SAMPLE_STATUSES = (
    *("awaiting_collection", "collection_exception", "delivery_exception", "delivered", "in_transit", "received"),
    *("resulted", "partially_resulted", "extra_quality_checks", "canceled"),
    *("rejected", "collected"),  # named by the guides alone
)


def update_kit_metadata(world: World, call: Call) -> Answer:
    """Set the kit's metadata, the whole value, and answer with the kit.

    Assumed: the value is replaced, as the contract says of an order's; of a kit's it says only that it is set.
    """
    kit = world.kits.get(call.params["kit_id"])
    if kit is None:
        return _unknown_kit(world, call)
    metadata = bodies.metadata(call.body)
    kit.metadata = dict(metadata)  # apart from the ledger's, so that a test that changes one sees the other unchanged
    kit.updated = world.now()
    world.enter(kit.kit_id, metadata, call.index)
    return kit.answer()


def get_kit(world: World, call: Call) -> Answer:
    """Answer with the kit."""
    kit = world.kits.get(call.params["kit_id"])
    return _unknown_kit(world, call) if kit is None else kit.answer()


def list_kits(world: World, call: Call) -> Answer:
    """Answer with a page of kit summaries by creation date: a bare array without a total."""
    kits = world.kits.by_creation()
    return page_of(call, kits, known=KIT_LIST_QUERY, person_of=attrgetter("registered_to"), own=_conditions)


def list_kit_types(world: World, _call: Call) -> Answer:
    """Answer with the names of the kit types."""
    return json_answer(200, world.kit_types)


KIT_LIST_QUERY = (
    *("results", "offset", *PEOPLE, "kit_type", "has_order", "kit_status", "sample_status"),
    *DATES,
)
KIT_ROUTES = (
    Route("POST", "/api/v2/kits/{kit_id}/", update_kit_metadata),
    Route("GET", "/api/v2/kits/{kit_id}/", get_kit),
    Route("GET", "/api/v2/kits/", list_kits, query=KIT_LIST_QUERY),
    Route("GET", "/api/v2/kit_types", list_kit_types),
)


def _unknown_kit(world: World, call: Call) -> Answer:
    return world.refuse(404, f"Kit id {call.params['kit_id']} not found")


def _conditions(query: Query) -> Iterator[Condition]:
    """Turn the filters that kits alone have into conditions.

    Assumed: texts are compared as they are, whole and with their case.
    """
    if "kit_type" in query:
        yield holds("kit_type", query["kit_type"])
    for name, allowed in (("kit_status", KIT_STATUSES), ("sample_status", SAMPLE_STATUSES)):
        if (wanted := listing.choice(query, name, allowed)) is not None:
            yield holds(name, wanted)
    if (has_order := listing.boolean(query, "has_order")) is not None:
        yield lambda row, _: (row["order_id"] is not None) is has_order
