"""Kits: the parcel to the customer, the sample that comes back, what happened to both, and who registered the kit."""

from datetime import datetime

import attrs

from .enums import Carrier, KitStatus, SampleStatus, SampleType
from .model import PHI, Model
from .people import Registrant
from .reports import Report


@attrs.frozen(kw_only=True, repr=False)
class KitEvent(Model):
    """A change of a kit's status.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``KitEvent``.
    Assumed: a sample's status may occur here too, as in the vendor's own example; it is kept as text.
    """

    status: KitStatus | str | None = None
    """The new status; a value unknown to the SDK is kept as it came."""

    created: datetime | None = None
    """When it happened."""


@attrs.frozen(kw_only=True, repr=False)
class SampleEvent(Model):
    """A change of a sample's status.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``SampleEvent``.
    Assumed: nothing.
    """

    status: SampleStatus | str | None = None
    """The new status; a value unknown to the SDK is kept as it came."""

    created: datetime | None = None
    """When it happened."""


@attrs.frozen(kw_only=True, repr=False)
class Shipment(Model):
    """A parcel on its way.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Shipment``.
    Assumed: nothing.
    """

    tracking_number: str | None = attrs.field(default=None, **PHI)
    """The carrier's number, from which an address can be found; None until there is one."""

    carrier: Carrier | str | None = None
    """Who carries it; a value unknown to the SDK is kept as it came."""

    created: datetime | None = None
    """When the parcel was prepared."""


@attrs.frozen(kw_only=True, repr=False)
class Sample(Model):
    """What the customer sends to the laboratory.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Kit.sample``.
    Assumed: nothing.
    """

    sample_id: str | None = None
    """The sample's identifier."""

    status: SampleStatus | str | None = None
    """Its status; a value unknown to the SDK is kept as it came."""

    events: tuple[SampleEvent, ...] = ()
    """What happened to it, in the server's order."""

    type: SampleType | str | None = None
    """What it is collected on or in; a value unknown to the SDK is kept as it came."""

    shipments: tuple[Shipment, ...] = ()
    """Its parcels to the laboratory."""

    panels: tuple[str, ...] = attrs.field(default=(), **PHI)
    """Codes of the tests to run, agreed with the vendor; they can reveal what a person is tested for."""

    reports: tuple[Report | None, ...] = ()
    """The laboratory's reports; None in place of one that the server sent as null."""


@attrs.frozen(kw_only=True, repr=False)
class Kit(Model):
    """A kit, with everything that is known about it.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Kit``; the kit endpoints.
    Assumed: the documented answer does not include the kit's metadata; should it come, it is in ``extra``.
    """

    kit_id: str | None = None
    """The kit's identifier, such as ``SPOT123456``."""

    type: str | None = None
    """The kit's type, one of ``spot.kits.types()``."""

    status: KitStatus | str | None = None
    """Its status; a value unknown to the SDK is kept as it came."""

    events: tuple[KitEvent, ...] = ()
    """What happened to it, in the server's order."""

    shipment_to_customer: Shipment | None = None
    """The parcel to the customer."""

    registered_to: Registrant | None = None
    """The person who registered the kit; None until someone does."""

    sample: Sample | None = None
    """The sample; None until there is one."""


@attrs.frozen(kw_only=True, repr=False)
class KitSummary(Model):
    """A kit as listed.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``KitSummary``.
    Assumed: nothing.
    """

    kit_id: str | None = None
    """The kit's identifier, such as ``SPOT123456``."""

    kit_type: str | None = None
    """The kit's type, one of ``spot.kits.types()``."""

    order_id: str | None = None
    """The order that the kit belongs to; None for a kit without an order."""

    kit_status: KitStatus | str | None = None
    """The kit's status; a value unknown to the SDK is kept as it came."""

    sample_status: SampleStatus | str | None = None
    """The sample's status; a value unknown to the SDK is kept as it came."""

    created: datetime | None = None
    """When the kit was created."""

    updated: datetime | None = None
    """When it last changed."""


@attrs.frozen(kw_only=True, repr=False)
class RegistrationToken(Model):
    """A secret with which a patient registers a kit on the vendor's page: it works once, within 10 minutes.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``PatientRegistrationTokenResponse``, and its guide.
    Assumed: nothing.
    """

    token: str | None = attrs.field(default=None, **PHI)
    """The secret. Every text hides it, so pass on the field itself."""


@attrs.frozen(kw_only=True, repr=False)
class ActivationResult(Model):
    """How an activation ended.

    Source: OpenAPI document of the Spot API v2 (May 2024), the response to an activation.
    Assumed: nothing.
    """

    result: str | None = None
    """``success``; any other word is kept as it came."""


@attrs.frozen(kw_only=True, repr=False)
class Activation(Model):
    """The response to an activation.

    Source: OpenAPI document of the Spot API v2 (May 2024), the response to an activation.
    Assumed: nothing: the document calls it an unspecified body and shows ``{"data": {"result": "success"}}``.
    """

    data: ActivationResult | None = None
    """How it ended."""
