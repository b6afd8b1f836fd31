"""Requisitions: samples that are sent to a laboratory without one of the vendor's kits."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from .enums import Carrier, RequisitionStatus
from .model import Model, as_tuple
from .people import NewPatient, Patient
from .privacy import PHI
from .reports import Report

__all__ = [
    "NewRequisition",
    "Requisition",
    "RequisitionAttributes",
    "RequisitionEvent",
    "RequisitionSummary",
    "Tracking",
]


@attrs.frozen(kw_only=True, repr=False)
class Tracking(Model):
    """The parcel in which the sample travels to the laboratory.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Requisition.tracking``.
    Assumed: nothing.
    """

    tracking_number: str | None = attrs.field(default=None, **PHI)
    """The carrier's number, which leads to an address."""

    carrier: Carrier | str | None = None
    """Who carries it; a value that the SDK does not know is kept as it came, and refused where it is sent."""


@attrs.frozen(kw_only=True, repr=False)
class RequisitionAttributes(Model):
    """Values that are passed on to the laboratory CRL.

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
    """The new status; a value that the SDK does not know is kept as it came."""

    date: datetime | None = None
    """When it happened."""


@attrs.frozen(kw_only=True, repr=False)
class NewRequisition(Model):
    """A requisition to be made; its barcode can be used once. Unknown fields in ``extra`` are sent as they are.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``CreateRequisition``.
    Assumed: a requisition without a panel is a mistake.
    """

    barcode: str | None = None
    """The whole barcode of the sample, which no other requisition has. Required."""

    panels: tuple[str, ...] = attrs.field(default=(), converter=as_tuple, **PHI)
    """Codes of the tests to be made, agreed with the vendor; they can tell what a person is tested for. Required."""

    account_number: str | None = None
    """The account number at the laboratory. Required."""

    lab: str | None = None
    """The laboratory's name, such as ``CRL``. Required."""

    state_collected: str | None = attrs.field(default=None, **PHI)
    """Where the sample was taken: a state's two letters. Required."""

    patient: NewPatient | None = None
    """Whose sample it is, with the address. Required, with everything in it but ``phone`` and ``street2``."""

    tracking: Tracking | None = None
    """The parcel to the laboratory."""

    attributes: RequisitionAttributes | None = None
    """Values that are passed on to the laboratory CRL."""

    metadata: Mapping[str, Any] | None = attrs.field(default=None, hash=False, **PHI)
    """What to keep with it: string keys, JSON values. The SDK adds its client reference."""


@attrs.frozen(kw_only=True, repr=False)
class Requisition(Model):
    """A requisition, with everything that is known of it.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Requisition``; the requisition endpoints.
    Assumed: a list of reports may hold null, since the document calls a report nullable.
    """

    requisition_id: str | None = None
    """The requisition's identifier, a UUID."""

    barcode: str | None = None
    """The whole barcode of the sample."""

    account_number: str | None = None
    """The account number at the laboratory."""

    lab: str | None = None
    """The laboratory's name."""

    panels: tuple[str, ...] = attrs.field(default=(), **PHI)
    """Codes of the tests to be made; they can tell what a person is tested for."""

    state_collected: str | None = attrs.field(default=None, **PHI)
    """Where the sample was taken: a state's two letters."""

    patient: Patient | None = None
    """Whose sample it is."""

    tracking: Tracking | None = None
    """The parcel to the laboratory."""

    status: RequisitionStatus | str | None = None
    """Where it stands; a value that the SDK does not know is kept as it came."""

    events: tuple[RequisitionEvent, ...] = ()
    """What happened to it, in the server's order."""

    reports: tuple[Report | None, ...] = ()
    """The laboratory's reports; the server may put null in place of one."""

    attributes: RequisitionAttributes | None = None
    """Values that are passed on to the laboratory CRL; null where there are none."""

    metadata: Mapping[str, Any] | None = attrs.field(default=None, hash=False, **PHI)
    """What its maker keeps with it; it may hold anything, patient data too. Null where there is none."""

    created: datetime | None = None
    """When it was made."""

    updated: datetime | None = None
    """When it last changed."""


@attrs.frozen(kw_only=True, repr=False)
class RequisitionSummary(Model):
    """A requisition as the list of requisitions shows it.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``RequisitionSummary``.
    Assumed: nothing.
    """

    requisition_id: str | None = None
    """The requisition's identifier, a UUID."""

    barcode: str | None = None
    """The whole barcode of the sample."""

    account_number: str | None = None
    """The account number at the laboratory."""

    lab: str | None = None
    """The laboratory's name."""

    panels: tuple[str, ...] = attrs.field(default=(), **PHI)
    """Codes of the tests to be made; they can tell what a person is tested for."""

    patient: Patient | None = None
    """Whose sample it is."""

    status: RequisitionStatus | str | None = None
    """Where it stands; a value that the SDK does not know is kept as it came."""

    created: datetime | None = None
    """When it was made."""

    updated: datetime | None = None
    """When it last changed."""
