"""People: every field here is patient data."""

from datetime import date

import attrs

from .enums import Sex
from .model import Model
from .privacy import PHI

__all__ = ["Registrant"]


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
