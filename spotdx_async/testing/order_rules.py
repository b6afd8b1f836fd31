"""What the API does with orders: one function an operation, and the rows that say where each is found. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from operator import attrgetter

from spotdx_async.testing import bodies, listing
from spotdx_async.testing.answers import Answer
from spotdx_async.testing.bodies import an_object, array_of, fields, maybe_null, one_of
from spotdx_async.testing.conditions import DATES, PEOPLE, Condition, Query, holds
from spotdx_async.testing.made_up import fresh
from spotdx_async.testing.pages import page_of
from spotdx_async.testing.people_checks import RECIPIENT
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.state import World

__all__ = ["ORDER_ROUTES", "ORDER_STATUSES"]

ORDER_STATUSES = ("pending", "in_progress", "completed", "canceled")


def create_order(world: World, call: Call) -> Answer:
    """Place an order: pending, without kits and without ``updated``.

    Assumed: a kit type that "list kit types" does not name is refused.
    """
    kit_types = array_of(one_of(*world.kit_types))
    check = fields({"kit_types": kit_types, "recipient": RECIPIENT}, {"metadata": maybe_null(an_object)})
    placed = fresh(bodies.checked(call.body, check))  # apart from the ledger's
    metadata, order_id = placed.pop("metadata", None), world.orders.free_id()
    document = {"order_id": order_id, "status": "pending", **placed, "kits": []}
    order = world.orders.add(order_id, created=world.now(), metadata=metadata, document=document)
    world.enter_creation("order", order_id, call)
    return replace(order.answer(), status=201)


def list_orders(world: World, call: Call) -> Answer:
    """Answer with a page of order summaries, the most recently updated first: a bare array without a total."""
    orders = world.orders.by_update()
    return page_of(call, orders, known=ORDER_LIST_QUERY, person_of=attrgetter("recipient"), own=_conditions)


def update_order_metadata(world: World, call: Call) -> Answer:
    """Replace the order's metadata, the whole value, and answer with the order."""
    order = world.orders.get(call.params["order_id"])
    if order is None:
        return _unknown_order(world, call)
    metadata = bodies.metadata(call.body)
    order.metadata = dict(metadata)  # apart from the ledger's, as a kit's
    order.updated = world.now()
    world.enter_order(order.order_id, metadata, call.index)
    return order.answer()


def get_order(world: World, call: Call) -> Answer:
    """Answer with the order."""
    order = world.orders.get(call.params["order_id"])
    return _unknown_order(world, call) if order is None else order.answer()


ORDER_LIST_QUERY = ("results", "offset", *PEOPLE, "status", *DATES)
ORDER_ROUTES = (
    Route("POST", "/api/v2/orders/", create_order),
    Route("GET", "/api/v2/orders/", list_orders, query=ORDER_LIST_QUERY),
    Route("POST", "/api/v2/orders/{order_id}/", update_order_metadata),
    Route("GET", "/api/v2/orders/{order_id}/", get_order),
)


def _unknown_order(world: World, call: Call) -> Answer:
    return world.refuse(404, f"Order id {call.params['order_id']} not found")


def _conditions(query: Query) -> Iterator[Condition]:
    if (wanted := listing.choice(query, "status", ORDER_STATUSES)) is not None:
        yield holds("status", wanted)
