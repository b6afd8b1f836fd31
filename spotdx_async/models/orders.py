"""Orders: kits on their way to a person whose name and address are patient data."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from .kits import Kit
from .model import Model
from .privacy import PHI

__all__ = ["Address", "Country", "Order", "OrderStatus", "Recipient"]


class OrderStatus(StrEnum):
    """Where an order stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Country(StrEnum):
    """Where the vendor ships to."""

    US = "US"
    CA = "CA"


@attrs.frozen(kw_only=True, repr=False)
class Address(Model):
    """A postal address.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Address``.
    Assumed: nothing.
    """

    street1: str | None = attrs.field(default=None, **PHI)
    """Street and number."""

    street2: str | None = attrs.field(default=None, **PHI)
    """A second line, such as the apartment; null where there is none."""

    city: str | None = attrs.field(default=None, **PHI)
    """The town."""

    state: str | None = attrs.field(default=None, **PHI)
    """The state or province."""

    country: Country | str | None = attrs.field(default=None, **PHI)
    """``US`` or ``CA``; another value is kept as it came."""

    zip: str | None = attrs.field(default=None, **PHI)
    """The postal code."""


@attrs.frozen(kw_only=True, repr=False)
class Recipient(Model):
    """The person whom an order is shipped to.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Recipient``.
    Assumed: nothing.
    """

    first_name: str | None = attrs.field(default=None, **PHI)
    """The given name."""

    last_name: str | None = attrs.field(default=None, **PHI)
    """The family name."""

    email: str | None = attrs.field(default=None, **PHI)
    """The e-mail address."""

    phone: str | None = attrs.field(default=None, **PHI)
    """The telephone number, as the vendor writes it."""

    address: Address | None = attrs.field(default=None, **PHI)
    """Where the parcel goes."""


@attrs.frozen(kw_only=True, repr=False)
class Order(Model):
    """An order of kits, with the kits that were made for it.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``OrderFull`` and ``OrderEmpty``; the order endpoints.
    Assumed: ``OrderEmpty``, the answer to a new order, is an order without ``updated``.
    """

    order_id: str | None = None
    """The order's identifier, such as ``O1234567``."""

    status: OrderStatus | str | None = None
    """Where it stands; a value that the SDK does not know is kept as it came."""

    recipient: Recipient | None = None
    """Whom it is shipped to."""

    kit_types: tuple[str, ...] = ()
    """The kit types ordered, each of ``spot.kits.types()``; one that is ordered twice stands here twice."""

    kits: tuple[Kit, ...] = ()
    """The kits made for it; empty while the order is new."""

    created: datetime | None = None
    """When it was placed."""

    updated: datetime | None = None
    """When it last changed; None in the answer to a new order."""

    metadata: Mapping[str, Any] | None = attrs.field(default=None, hash=False, **PHI)
    """What its placer keeps with it; it may hold anything, patient data too. Null where there is none."""
