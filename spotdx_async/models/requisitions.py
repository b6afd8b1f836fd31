"""Requisitions: samples sent to a laboratory without one of the vendor's kits."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from .enums import Carrier, RequisitionStatus
from .model import PHI, REQUIRED, REQUIRED_LIST_PHI, REQUIRED_PHI, Model, as_tuple
from .people import NewPatient, Patient
from .reports import Report


@attrs.frozen(kw_only=True, repr=False)
class Tracking(Model):
    """The parcel in which the sample travels to the laboratory.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Requisition.tracking``.
    Assumed: nothing.
    """

    tracking_number: str | None = attrs.field(default=None, **PHI)
    """The carrier's number, from which an address can be found."""

    carrier: Carrier | str | None = None
    """Who carries it; a value unknown to the SDK is kept as it came, but refused when sending."""


@attrs.frozen(kw_only=True, repr=False)
class RequisitionAttributes(Model):
    """Values passed on to the laboratory CRL.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Requisition.attributes``.
    Assumed: nothing.
    """

    crl_slip_id: str | None = attrs.field(default=None, **PHI)
    """The slip's identifier: up to 10 letters and digits."""

    crl_tier3_account_number: str | None = attrs.field(default=None, **PHI)
    """The region's identifier: exactly 8 letters and digits."""


@attrs.frozen(kw_only=True, repr=False)
class RequisitionEvent(Model):
    """A change of a requisition's status.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Requisition.events``.
    Assumed: nothing.
    """

    event: RequisitionStatus | str | None = None
    """The new status; a value unknown to the SDK is kept as it came."""

    date: datetime | None = None
    """When it happened."""


@attrs.frozen(kw_only=True, repr=False)
class NewRequisition(Model):
    """A requisition to create; its barcode can be used once. Unknown fields in ``extra`` are sent as they are.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``CreateRequisition``.
    Assumed: a requisition without a panel is a mistake.
    """

    barcode: str | None = attrs.field(**REQUIRED)
    """The full barcode of the sample, unique to this requisition. Required."""

    panels: tuple[str, ...] = attrs.field(converter=as_tuple, **REQUIRED_LIST_PHI)
    """Codes of the tests to run, agreed with the vendor; they can reveal what a person is tested for. Required."""

    account_number: str | None = attrs.field(**REQUIRED)
    """The account number at the laboratory. Required."""

    lab: str | None = attrs.field(**REQUIRED)
    """The laboratory's name, such as ``CRL``. Required."""

    state_collected: str | None = attrs.field(**REQUIRED_PHI)
    """The state in which the sample was taken, two letters. Required."""

    patient: NewPatient | None = attrs.field(**REQUIRED)
    """The person tested, with an address. Required, with every field but ``phone`` and ``street2``."""

    tracking: Tracking | None = None
    """The parcel to the laboratory."""

    attributes: RequisitionAttributes | None = None
    """Values passed on to the laboratory CRL."""

    metadata: Mapping[str, Any] | None = attrs.field(default=None, hash=False, **PHI)
    """What to store with it: string keys, JSON values. The SDK adds its client reference."""


@attrs.frozen(kw_only=True, repr=False)
class Requisition(Model):
    """A requisition, with everything that is known about it.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Requisition``; the requisition endpoints.
    Assumed: a list of reports may hold null, since the document calls a report nullable.
    """

    requisition_id: str | None = None
    """The requisition's identifier, a UUID."""

    barcode: str | None = None
    """The full barcode of the sample."""

    account_number: str | None = None
    """The account number at the laboratory."""

    lab: str | None = None
    """The laboratory's name."""

    panels: tuple[str, ...] = attrs.field(default=(), **PHI)
    """Codes of the tests to run; they can reveal what a person is tested for."""

    state_collected: str | None = attrs.field(default=None, **PHI)
    """The state in which the sample was taken, two letters."""

    patient: Patient | None = None
    """The person tested."""

    tracking: Tracking | None = None
    """The parcel to the laboratory."""

    status: RequisitionStatus | str | None = None
    """Its status; a value unknown to the SDK is kept as it came."""

    events: tuple[RequisitionEvent, ...] = ()
    """What happened to it, in the server's order."""

    reports: tuple[Report | None, ...] = ()
    """The laboratory's reports; None in place of one that the server sent as null."""

    attributes: RequisitionAttributes | None = None
    """Values passed on to the laboratory CRL; None if there are none."""

    metadata: Mapping[str, Any] | None = attrs.field(default=None, hash=False, **PHI)
    """What the customer stores with it; it may hold anything, patient data included. None if there is none."""

    created: datetime | None = None
    """When it was created."""

    updated: datetime | None = None
    """When it last changed."""


@attrs.frozen(kw_only=True, repr=False)
class RequisitionSummary(Model):
    """A requisition as listed.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``RequisitionSummary``.
    Assumed: nothing.
    """

    requisition_id: str | None = None
    """The requisition's identifier, a UUID."""

    barcode: str | None = None
    """The full barcode of the sample."""

    account_number: str | None = None
    """The account number at the laboratory."""

    lab: str | None = None
    """The laboratory's name."""

    panels: tuple[str, ...] = attrs.field(default=(), **PHI)
    """Codes of the tests to run; they can reveal what a person is tested for."""

    patient: Patient | None = None
    """The person tested."""

    status: RequisitionStatus | str | None = None
    """Its status; a value unknown to the SDK is kept as it came."""

    created: datetime | None = None
    """When it was created."""

    updated: datetime | None = None
    """When it last changed."""
