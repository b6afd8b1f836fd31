"""Kits: the parcel to the customer, the sample that comes back, and what happened to both."""

from datetime import datetime

import attrs

from .enums import Carrier, KitStatus, SampleStatus, SampleType
from .model import Model
from .people import Registrant
from .privacy import PHI
from .reports import Report

__all__ = ["Kit", "KitEvent", "KitSummary", "Sample", "SampleEvent", "Shipment"]


@attrs.frozen(kw_only=True, repr=False)
class KitEvent(Model):
    """A change of a kit's status.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``KitEvent``.
    Assumed: a status of samples may stand here too, as in the vendor's own example; it is kept as text.
    """

    status: KitStatus | str | None = None
    """The new status; a value that the SDK does not know is kept as it came."""

    created: datetime | None = None
    """When it happened."""


@attrs.frozen(kw_only=True, repr=False)
class SampleEvent(Model):
    """A change of a sample's status.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``SampleEvent``.
    Assumed: nothing.
    """

    status: SampleStatus | str | None = None
    """The new status; a value that the SDK does not know is kept as it came."""

    created: datetime | None = None
    """When it happened."""


@attrs.frozen(kw_only=True, repr=False)
class Shipment(Model):
    """A parcel on its way.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Shipment``.
    Assumed: nothing.
    """

    tracking_number: str | None = attrs.field(default=None, **PHI)
    """The carrier's number, which leads to an address; null until there is one."""

    carrier: Carrier | str | None = None
    """Who carries it; a value that the SDK does not know is kept as it came."""

    created: datetime | None = None
    """When the parcel was made ready."""


@attrs.frozen(kw_only=True, repr=False)
class Sample(Model):
    """What the customer sends to the laboratory.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Kit.sample``.
    Assumed: nothing.
    """

    sample_id: str | None = None
    """The sample's identifier."""

    status: SampleStatus | str | None = None
    """Where it stands; a value that the SDK does not know is kept as it came."""

    events: tuple[SampleEvent, ...] = ()
    """What happened to it, in the server's order."""

    type: SampleType | str | None = None
    """What it is collected on; a value that the SDK does not know is kept as it came."""

    shipments: tuple[Shipment, ...] = ()
    """Its parcels to the laboratory."""

    panels: tuple[str, ...] = attrs.field(default=(), **PHI)
    """Codes of the tests to be made, agreed with the vendor; they can tell what a person is tested for."""

    reports: tuple[Report | None, ...] = ()
    """The laboratory's reports; the server may put null in place of one."""


@attrs.frozen(kw_only=True, repr=False)
class Kit(Model):
    """A kit, with everything that is known of it.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Kit``; the kit endpoints.
    Assumed: the documented answer does not carry the kit's metadata; should it come, it stands in ``extra``.
    """

    kit_id: str | None = None
    """The kit's identifier, such as ``SPOT123456``."""

    type: str | None = None
    """The kit's type, one of ``spot.kits.types()``."""

    status: KitStatus | str | None = None
    """Where it stands; a value that the SDK does not know is kept as it came."""

    events: tuple[KitEvent, ...] = ()
    """What happened to it, in the server's order."""

    shipment_to_customer: Shipment | None = None
    """The parcel to the customer."""

    registered_to: Registrant | None = None
    """The person who registered the kit; None before that."""

    sample: Sample | None = None
    """The sample; None before there is one."""


@attrs.frozen(kw_only=True, repr=False)
class KitSummary(Model):
    """A kit as the list of kits shows it.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``KitSummary``.
    Assumed: nothing.
    """

    kit_id: str | None = None
    """The kit's identifier, such as ``SPOT123456``."""

    kit_type: str | None = None
    """The kit's type, one of ``spot.kits.types()``."""

    order_id: str | None = None
    """The order that the kit belongs to; None for a kit without one."""

    kit_status: KitStatus | str | None = None
    """Where the kit stands; a value that the SDK does not know is kept as it came."""

    sample_status: SampleStatus | str | None = None
    """Where its sample stands; a value that the SDK does not know is kept as it came."""

    created: datetime | None = None
    """When the kit was made."""

    updated: datetime | None = None
    """When it last changed."""
