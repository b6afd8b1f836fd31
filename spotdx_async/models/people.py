"""People: every field here is patient data."""

from datetime import date
from typing import Annotated, TypeAlias

import attrs

from .enums import Country, Sex
from .model import Model
from .privacy import PHI

__all__ = ["Address", "NewPatient", "Patient", "PatientAddress", "Recipient", "Registrant"]


@attrs.frozen(kw_only=True, repr=False)
class Address(Model):
    """A postal address. To send one, give everything but ``street2``.

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
    """The state or province, two letters where it is sent."""

    country: Country | str | None = attrs.field(default=None, **PHI)
    """``US`` or ``CA``; another value is kept as it came."""

    zip: str | None = attrs.field(default=None, **PHI)
    """The postal code."""


PatientAddress: TypeAlias = Annotated[Address, "the address itself, even where it came inside an object of its own"]
"""The address of a requisition's patient, which the vendor documents in two forms."""


@attrs.frozen(kw_only=True, repr=False)
class Recipient(Model):
    """The person whom an order is shipped to. To send one, give everything.

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
class Registrant(Model):
    """The person whom a kit is registered to.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Kit.registered_to``.
    Assumed: null until somebody registers the kit; the document does not say so.
    """

    patient_id: str | None = attrs.field(default=None, **PHI)
    """The vendor's identifier of the patient, a UUID."""

    first_name: str | None = attrs.field(default=None, **PHI)
    """The given name."""

    last_name: str | None = attrs.field(default=None, **PHI)
    """The family name."""

    date_of_birth: date | None = attrs.field(default=None, **PHI)
    """The day of birth."""

    sex: Sex | str | None = attrs.field(default=None, **PHI)
    """``M`` or ``F``; another value is kept as it came."""

    email: str | None = attrs.field(default=None, **PHI)
    """The e-mail address."""

    phone: str | None = attrs.field(default=None, **PHI)
    """The telephone number, as the vendor writes it."""


@attrs.frozen(kw_only=True, repr=False)
class NewPatient(Model):
    """A person to be made known to the vendor: alone, with a requisition, or by activating a kit.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``CreatePatient``, ``CreateRequisition.patient`` and what an
        activation takes.
    Assumed: nothing.
    """

    first_name: str | None = attrs.field(default=None, **PHI)
    """The given name. Required, but for an activation, where the kit type decides; so are the others without a word."""

    last_name: str | None = attrs.field(default=None, **PHI)
    """The family name."""

    email: str | None = attrs.field(default=None, **PHI)
    """The e-mail address."""

    phone: str | None = attrs.field(default=None, **PHI)
    """The telephone number; never required."""

    sex: Sex | str | None = attrs.field(default=None, **PHI)
    """``M`` or ``F``."""

    date_of_birth: date | None = attrs.field(default=None, **PHI)
    """The day of birth, not in the future."""

    address: Address | None = attrs.field(default=None, **PHI)
    """Required with a requisition, allowed with an activation (which has no place for ``country``), else left out."""


@attrs.frozen(kw_only=True, repr=False)
class Patient(Model):
    """A person whom the vendor knows: the answer to a new patient, and whom a requisition is for.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Patient``, ``Requisition.patient`` and
        ``RequisitionSummary.patient``.
    Assumed: ``patient_id`` comes with a new patient, as it does with a kit's registrant; the document does not name it.
    """

    patient_id: str | None = attrs.field(default=None, **PHI)
    """The vendor's identifier of the patient, a UUID; None where the answer does not carry it."""

    first_name: str | None = attrs.field(default=None, **PHI)
    """The given name."""

    last_name: str | None = attrs.field(default=None, **PHI)
    """The family name."""

    email: str | None = attrs.field(default=None, **PHI)
    """The e-mail address."""

    phone: str | None = attrs.field(default=None, **PHI)
    """The telephone number, as the vendor writes it."""

    sex: Sex | str | None = attrs.field(default=None, **PHI)
    """``M`` or ``F``; another value is kept as it came."""

    date_of_birth: date | None = attrs.field(default=None, **PHI)
    """The day of birth."""

    address: PatientAddress | None = attrs.field(default=None, **PHI)
    """Where the person lives; with a requisition alone."""
