"""Orders of one kit: to be placed, and completed."""

from typing import Any

from spotdx_async.models import NewOrder, Order, OrderStatus, OrderSummary
from spotdx_async.testing.factories.kits import make_kit
from spotdx_async.testing.factories.making import KIT_TYPE, at, made, order_id
from spotdx_async.testing.factories.people import make_recipient

__all__ = ["make_new_order", "make_order", "make_order_summary"]

_PLACED_ON, _COMPLETED_ON = 0, 1


def make_new_order(number: int = 1, /, **fields: Any) -> NewOrder:
    """Make an order that can be placed, at the fake too."""
    return made(NewOrder, fields, kit_types=(KIT_TYPE,), recipient=make_recipient(number), metadata={"made_up": number})


def make_order(number: int = 1, /, **fields: Any) -> Order:
    """Make a completed order with its kit, the kit of the same number."""
    return made(
        Order,
        fields,
        order_id=order_id(number),
        status=OrderStatus.COMPLETED,
        recipient=make_recipient(number),
        kit_types=(KIT_TYPE,),
        kits=(make_kit(number),),
        created=at(_PLACED_ON),
        updated=at(_COMPLETED_ON),
        metadata={"made_up": number},
    )


def make_order_summary(number: int = 1, /, **fields: Any) -> OrderSummary:
    """Make the order of that number as the list of orders shows it."""
    return made(
        OrderSummary,
        fields,
        order_id=order_id(number),
        status=OrderStatus.COMPLETED,
        recipient=make_recipient(number),
        created=at(_PLACED_ON),
        updated=at(_COMPLETED_ON),
    )
