"""What the API does with kits: one function an operation, and the rows that say where each is found. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spotdx_async.testing import bodies, listing
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.fake_kits import FakeKit
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.world import World

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
_PEOPLE = ("email", "first_name", "last_name", "phone")
_STAMPS = ("created", "updated")

_Row = Mapping[str, Any]
_Condition = Callable[[FakeKit, _Row], bool]


def update_kit_metadata(world: World, call: Call) -> Answer:
    """Set the kit's metadata, the whole value, and answer with the kit.

    Assumed: the value is replaced, as the contract says of an order's; of a kit's it says only that it is set.
    """
    kit = world.kits.get(call.params["kit_id"])
    if kit is None:
        return _unknown_kit(world, call)
    try:
        metadata = bodies.metadata(call.body)
    except bodies.BadBodyError as error:
        return world.refuse(400, str(error))
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
    try:
        listing.refuse_unknown(call.query, KIT_LIST_QUERY)
        part = listing.page(call.query)
        conditions = list(_conditions(call.query))
    except listing.BadQueryError as error:
        return world.refuse(400, str(error))
    kits = world.kits.by_creation()
    if not conditions:
        return json_answer(200, [kit.summary() for kit in kits[part]])
    rows = [row for kit in kits if all(meets(kit, row := kit.summary()) for meets in conditions)]
    return json_answer(200, rows[part])


def list_kit_types(world: World, _call: Call) -> Answer:
    """Answer with the names of the kit types."""
    return json_answer(200, world.kit_types)


KIT_LIST_QUERY = (
    *("results", "offset", *_PEOPLE, "kit_type", "has_order", "kit_status", "sample_status"),
    *("created_before", "created_after", "updated_before", "updated_after"),
)
KIT_ROUTES = (
    Route("POST", "/api/v2/kits/{kit_id}/", update_kit_metadata),
    Route("GET", "/api/v2/kits/{kit_id}/", get_kit),
    Route("GET", "/api/v2/kits/", list_kits, query=KIT_LIST_QUERY),
    Route("GET", "/api/v2/kit_types", list_kit_types),
)


def _unknown_kit(world: World, call: Call) -> Answer:
    return world.refuse(404, f"Kit id {call.params['kit_id']} not found")


def _conditions(query: Mapping[str, str]) -> Iterator[_Condition]:
    """Turn the filters into conditions that a listed kit meets, all of them.

    Assumed: texts are compared as they are, whole and with their case; dates by the day in UTC.
    """
    for name in _PEOPLE:
        if name in query:
            yield _registered_to(name, query[name])
    if "kit_type" in query:
        yield _holds("kit_type", query["kit_type"])
    for name, allowed in (("kit_status", KIT_STATUSES), ("sample_status", SAMPLE_STATUSES)):
        if (wanted := listing.choice(query, name, allowed)) is not None:
            yield _holds(name, wanted)
    if (has_order := listing.boolean(query, "has_order")) is not None:
        yield lambda _, row: (row["order_id"] is not None) is has_order
    for name in _STAMPS:
        if (latest := listing.day(query, f"{name}_before")) is not None:
            yield _is_within(name, "", latest)
        if (earliest := listing.day(query, f"{name}_after")) is not None:
            yield _is_within(name, earliest, "9999-12-31")


def _registered_to(name: str, wanted: str) -> _Condition:
    return lambda kit, _: kit.registered_to.get(name) == wanted


def _holds(name: str, wanted: str) -> _Condition:
    return lambda _, row: row.get(name) == wanted


def _is_within(name: str, earliest: str, latest: str) -> _Condition:
    return lambda _, row: earliest <= row[name][: len("2023-01-31")] <= latest
