"""Registering a kit to a person: the token for the vendor's own page, and the answer to an activation."""

import attrs

from .model import Model
from .privacy import PHI

__all__ = ["Activation", "ActivationResult", "RegistrationToken"]


@attrs.frozen(kw_only=True, repr=False)
class RegistrationToken(Model):
    """A secret with which a patient registers a kit on the vendor's page: it works once, for 10 minutes.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``PatientRegistrationTokenResponse``, and its guide.
    Assumed: nothing.
    """

    token: str | None = attrs.field(default=None, **PHI)
    """The secret; hidden in every text, so hand on the field itself."""


@attrs.frozen(kw_only=True, repr=False)
class ActivationResult(Model):
    """How an activation ended.

    Source: OpenAPI document of the Spot API v2 (May 2024), the answer of the activation.
    Assumed: nothing.
    """

    result: str | None = None
    """``success``; another word is kept as it came."""


@attrs.frozen(kw_only=True, repr=False)
class Activation(Model):
    """The answer to an activation.

    Source: OpenAPI document of the Spot API v2 (May 2024), the answer of the activation.
    Assumed: nothing: the document calls it an unspecified body and shows ``{"data": {"result": "success"}}``.
    """

    data: ActivationResult | None = None
    """How it ended."""
