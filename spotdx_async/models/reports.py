"""Reports of a laboratory and the results in them; apart from types and times it is all patient data."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import attrs

from .model import Model
from .privacy import PHI

__all__ = [
    "GenotypeResult",
    "QuantityResult",
    "RangeLimit",
    "ReactivityResult",
    "Report",
    "Result",
    "UnknownResult",
]

RangeLimit: TypeAlias = Annotated[int | float | str, "a number, even where it came as text"]
"""An end of a range: a number, also where the server wrote it as text; text that is no number stays text."""


@attrs.frozen(kw_only=True, repr=False)
class QuantityResult(Model):
    """An amount that was measured.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``ResultQuantity``.
    Assumed: both ends of the range come as number, numeric text or null; the document types them differently.
    """

    result_type: Literal["quantity"] = "quantity"
    """What tells the kinds of result apart."""

    name: str | None = attrs.field(default=None, **PHI)
    """The biomarker that was analyzed."""

    time_collected: datetime | None = None
    """When the sample was taken."""

    result: int | float | str | None = attrs.field(default=None, **PHI)
    """The amount as it came: a number, or text such as ``"<10"`` below the detection limit; never converted."""

    unit_of_measure: str | None = attrs.field(default=None, **PHI)
    """The unit of the amount and of the range, such as ``mg/dL``."""

    range_minimum: RangeLimit | None = attrs.field(default=None, **PHI)
    """The low end of the reference range."""

    range_maximum: RangeLimit | None = attrs.field(default=None, **PHI)
    """The high end of the reference range."""

    comments: str | None = attrs.field(default=None, **PHI)
    """What the laboratory adds in words."""


@attrs.frozen(kw_only=True, repr=False)
class ReactivityResult(Model):
    """Whether something was found.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``ResultReactivity``.
    Assumed: other words than ``positive`` and ``negative`` may come; they are kept.
    """

    result_type: Literal["reactivity"] = "reactivity"
    """What tells the kinds of result apart."""

    name: str | None = attrs.field(default=None, **PHI)
    """The biomarker that was analyzed."""

    time_collected: datetime | None = None
    """When the sample was taken."""

    result: str | None = attrs.field(default=None, **PHI)
    """``positive`` or ``negative``."""

    unit_of_measure: str | None = attrs.field(default=None, **PHI)
    """Null in every example."""

    range_minimum: RangeLimit | None = attrs.field(default=None, **PHI)
    """Null in every example."""

    range_maximum: RangeLimit | None = attrs.field(default=None, **PHI)
    """Null in every example."""

    comments: str | None = attrs.field(default=None, **PHI)
    """What the laboratory adds in words."""


@attrs.frozen(kw_only=True, repr=False)
class GenotypeResult(Model):
    """The two letters found at a place of the genome.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``ResultGenotype``.
    Assumed: other text than two letters of A, C, G, T may come; it is kept.
    """

    result_type: Literal["genotype"] = "genotype"
    """What tells the kinds of result apart."""

    name: str | None = attrs.field(default=None, **PHI)
    """The place of the genome, such as ``rs1234567``."""

    time_collected: datetime | None = None
    """When the sample was taken."""

    result: str | None = attrs.field(default=None, **PHI)
    """Two letters of A, C, G, T."""

    unit_of_measure: str | None = attrs.field(default=None, **PHI)
    """Null in every example."""

    range_minimum: RangeLimit | None = attrs.field(default=None, **PHI)
    """Null in every example."""

    range_maximum: RangeLimit | None = attrs.field(default=None, **PHI)
    """Null in every example."""

    comments: str | None = attrs.field(default=None, **PHI)
    """What the laboratory adds in words."""


@attrs.frozen(kw_only=True, repr=False)
class UnknownResult(Model):
    """A result of a kind that the SDK does not know; whatever it holds is kept as it came.

    Source: none; it stands for kinds that the vendor may add.
    Assumed: nothing but ``result_type`` has a type that can be relied on.
    """

    result_type: str | None = None
    """The vendor's word for the kind; None where it came as null or not at all."""

    name: Any = attrs.field(default=None, hash=False, **PHI)
    """As it came; in the known kinds the biomarker."""

    time_collected: datetime | Any = attrs.field(default=None, hash=False, **PHI)
    """When the sample was taken; as it came where it is no readable time."""

    result: Any = attrs.field(default=None, hash=False, **PHI)
    """As it came."""

    unit_of_measure: Any = attrs.field(default=None, hash=False, **PHI)
    """As it came."""

    range_minimum: Any = attrs.field(default=None, hash=False, **PHI)
    """As it came: numeric text stays text here."""

    range_maximum: Any = attrs.field(default=None, hash=False, **PHI)
    """As it came: numeric text stays text here."""

    comments: Any = attrs.field(default=None, hash=False, **PHI)
    """As it came."""


Result: TypeAlias = QuantityResult | ReactivityResult | GenotypeResult | UnknownResult
"""One result of a report; ``isinstance`` or ``match`` tells the kinds apart."""


@attrs.frozen(kw_only=True, repr=False)
class Report(Model):
    """A laboratory's report on a sample.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``Report``.
    Assumed: a list of reports may hold null, since the document calls a report nullable.
    """

    report_id: str | None = None
    """The report's identifier."""

    results: tuple[Result, ...] = ()
    """The results, in the server's order."""

    pdf: str | None = attrs.field(default=None, **PHI)
    """Where the report lies as PDF."""

    txt: str | None = attrs.field(default=None, **PHI)
    """Where the report lies as text."""

    date_collected: datetime | None = None
    """When the sample was taken."""

    date_received: datetime | None = None
    """When the laboratory received the sample."""

    date_resulted: datetime | None = None
    """When the results were ready."""

    is_amendment: bool | None = None
    """Whether this report amends an earlier one."""
