"""What the API does with orders: one function an operation, and the rows that say where each is found. Pure."""

from spotdx_async.testing import bodies
from spotdx_async.testing.answers import Answer
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.world import World

__all__ = ["ORDER_ROUTES"]


def update_order_metadata(world: World, call: Call) -> Answer:
    """Replace the order's metadata, the whole value, and answer with the order."""
    order = world.orders.get(call.params["order_id"])
    if order is None:
        return _unknown_order(world, call)
    try:
        metadata = bodies.metadata(call.body)
    except bodies.BadBodyError as error:
        return world.refuse(400, str(error))
    order.metadata = dict(metadata)  # apart from the ledger's, as a kit's
    order.updated = world.now()
    world.enter_order(order.order_id, metadata, call.index)
    return order.answer()


def get_order(world: World, call: Call) -> Answer:
    """Answer with the order."""
    order = world.orders.get(call.params["order_id"])
    return _unknown_order(world, call) if order is None else order.answer()


ORDER_ROUTES = (
    Route("POST", "/api/v2/orders/{order_id}/", update_order_metadata),
    Route("GET", "/api/v2/orders/{order_id}/", get_order),
)


def _unknown_order(world: World, call: Call) -> Answer:
    return world.refuse(404, f"Order id {call.params['order_id']} not found")
