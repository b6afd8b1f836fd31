"""People: every field here is patient data."""

from datetime import date
from typing import Annotated, TypeAlias

import attrs

from .enums import Country, Sex
from .model import PHI, REQUIRED_PHI, Model


@attrs.frozen(kw_only=True, repr=False)
class Address(Model):
    """A postal address. When sending one, fill in everything but ``street2``.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Address``.
    Assumed: nothing.
    """

    street1: str | None = attrs.field(**REQUIRED_PHI)
    """Street and number."""

    street2: str | None = attrs.field(default=None, **PHI)
    """A second line, such as the apartment; None if there is none."""

    city: str | None = attrs.field(**REQUIRED_PHI)
    """The town."""

    state: str | None = attrs.field(**REQUIRED_PHI)
    """The state or province; two letters when sent."""

    country: Country | str | None = attrs.field(**REQUIRED_PHI)
    """``US`` or ``CA``; any other value is kept as it came. Not sent with an activation: None will do there."""

    zip: str | None = attrs.field(**REQUIRED_PHI)
    """The postal code."""


PatientAddress: TypeAlias = Annotated[Address, "the address itself, even where it came inside an object of its own"]
"""The address of a requisition's patient, which the vendor documents in two forms."""


@attrs.frozen(kw_only=True, repr=False)
class Recipient(Model):
    """The person an order is shipped to. When sending one, fill in everything.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Recipient``.
    Assumed: nothing.
    """

    first_name: str | None = attrs.field(**REQUIRED_PHI)
    """The given name."""

    last_name: str | None = attrs.field(**REQUIRED_PHI)
    """The family name."""

    email: str | None = attrs.field(**REQUIRED_PHI)
    """The e-mail address."""

    phone: str | None = attrs.field(**REQUIRED_PHI)
    """The telephone number, as the vendor writes it."""

    address: Address | None = attrs.field(**REQUIRED_PHI)
    """Where the parcel goes."""


@attrs.frozen(kw_only=True, repr=False)
class Registrant(Model):
    """The person a kit is registered to.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Kit.registered_to``.
    Assumed: null until someone registers the kit; the document does not say so.
    """

    patient_id: str | None = attrs.field(default=None, **PHI)
    """The vendor's identifier for the patient, a UUID."""

    first_name: str | None = attrs.field(default=None, **PHI)
    """The given name."""

    last_name: str | None = attrs.field(default=None, **PHI)
    """The family name."""

    date_of_birth: date | None = attrs.field(default=None, **PHI)
    """The date of birth."""

    sex: Sex | str | None = attrs.field(default=None, **PHI)
    """``M`` or ``F``; any other value is kept as it came."""

    email: str | None = attrs.field(default=None, **PHI)
    """The e-mail address."""

    phone: str | None = attrs.field(default=None, **PHI)
    """The telephone number, as the vendor writes it."""


@attrs.frozen(kw_only=True, repr=False)
class NewPatient(Model):
    """A person to register with the vendor: alone, with a requisition, or by activating a kit.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``CreatePatient``, ``CreateRequisition.patient`` and the
        body of an activation.
    Assumed: nothing.
    """

    first_name: str | None = attrs.field(**REQUIRED_PHI)
    """The given name. Required, like every field that says nothing else; for an activation the kit type decides, and
    what is not known is None."""

    last_name: str | None = attrs.field(**REQUIRED_PHI)
    """The family name."""

    email: str | None = attrs.field(**REQUIRED_PHI)
    """The e-mail address."""

    phone: str | None = attrs.field(default=None, **PHI)
    """The telephone number; never required."""

    sex: Sex | str | None = attrs.field(**REQUIRED_PHI)
    """``M`` or ``F``."""

    date_of_birth: date | None = attrs.field(**REQUIRED_PHI)
    """The date of birth, not in the future."""

    address: Address | None = attrs.field(default=None, **PHI)
    """Required with a requisition, optional with an activation (which takes no ``country``), otherwise left out."""


@attrs.frozen(kw_only=True, repr=False)
class Patient(Model):
    """A person the vendor knows: the answer to a new patient, and the person a requisition is for.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Patient``, ``Requisition.patient`` and
        ``RequisitionSummary.patient``.
    Assumed: ``patient_id`` comes with a new patient, as it does with a kit's registrant; the document does not list it.
    """

    patient_id: str | None = attrs.field(default=None, **PHI)
    """The vendor's identifier for the patient, a UUID; None if the answer does not include it."""

    first_name: str | None = attrs.field(default=None, **PHI)
    """The given name."""

    last_name: str | None = attrs.field(default=None, **PHI)
    """The family name."""

    email: str | None = attrs.field(default=None, **PHI)
    """The e-mail address."""

    phone: str | None = attrs.field(default=None, **PHI)
    """The telephone number, as the vendor writes it."""

    sex: Sex | str | None = attrs.field(default=None, **PHI)
    """``M`` or ``F``; any other value is kept as it came."""

    date_of_birth: date | None = attrs.field(default=None, **PHI)
    """The date of birth."""

    address: PatientAddress | None = attrs.field(default=None, **PHI)
    """Where the person lives; only with a requisition."""
