"""Orders: kits shipped to a person, whose name and address are patient data."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from .enums import OrderStatus
from .kits import Kit
from .model import PHI, REQUIRED, REQUIRED_LIST, Model, as_tuple
from .people import Recipient


@attrs.frozen(kw_only=True, repr=False)
class NewOrder(Model):
    """An order to place, which ships a parcel. Unknown fields in ``extra`` are sent as they are.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``CreateOrder``.
    Assumed: an order without a kit type is a mistake.
    """

    kit_types: tuple[str, ...] = attrs.field(converter=as_tuple, **REQUIRED_LIST)
    """The kit types to ship, each one of ``spot.kits.types()``; to ship a type twice, list it twice. Required."""

    recipient: Recipient | None = attrs.field(**REQUIRED)
    """Who it is shipped to. Required, with every field but the address's ``street2``."""

    metadata: Mapping[str, Any] | None = attrs.field(default=None, hash=False, **PHI)
    """What to store with it: string keys, JSON values. The SDK adds its client reference."""


@attrs.frozen(kw_only=True, repr=False)
class Order(Model):
    """An order, with the kits that were prepared for it.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``OrderFull`` and ``OrderEmpty``; the order endpoints.
    Assumed: ``OrderEmpty``, the answer to a new order, is an order without ``updated``.
    """

    order_id: str | None = None
    """The order's identifier, such as ``O1234567``."""

    status: OrderStatus | str | None = None
    """Its status; a value unknown to the SDK is kept as it came."""

    recipient: Recipient | None = None
    """Who it is shipped to."""

    kit_types: tuple[str, ...] = ()
    """The kit types ordered, each one of ``spot.kits.types()``; a type ordered twice is listed twice."""

    kits: tuple[Kit, ...] = ()
    """The kits prepared for it; empty while the order is new."""

    created: datetime | None = None
    """When it was placed."""

    updated: datetime | None = None
    """When it last changed; None in the answer to a new order."""

    metadata: Mapping[str, Any] | None = attrs.field(default=None, hash=False, **PHI)
    """What the customer stores with it; it may hold anything, patient data included. None if there is none."""


@attrs.frozen(kw_only=True, repr=False)
class OrderSummary(Model):
    """An order as listed.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``OrderSummary``.
    Assumed: nothing.
    """

    order_id: str | None = None
    """The order's identifier, such as ``O1234567``."""

    status: OrderStatus | str | None = None
    """Its status; a value unknown to the SDK is kept as it came."""

    recipient: Recipient | None = None
    """Who it is shipped to."""

    created: datetime | None = None
    """When it was placed."""

    updated: datetime | None = None
    """When it last changed."""
