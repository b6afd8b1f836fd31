"""A laboratory's reports and the results in them; all patient data, except for types and times."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import attrs

from .model import PHI, Model

RangeLimit: TypeAlias = Annotated[int | float | str, "a number, even where it came as text"]
"""One end of a range: a number, even if the server wrote it as text; text that is not a number stays text."""


@attrs.frozen(kw_only=True, repr=False)
class QuantityResult(Model):
    """A measured amount.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``ResultQuantity``.
    Assumed: both ends of the range come as a number, numeric text or null; the document types them differently.
    """

    result_type: Literal["quantity"] = "quantity"
    """Distinguishes the kinds of result."""

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
    """The laboratory's comments."""


@attrs.frozen(kw_only=True, repr=False)
class ReactivityResult(Model):
    """Whether something was found.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``ResultReactivity``.
    Assumed: words other than ``positive`` and ``negative`` may come; they are kept.
    """

    result_type: Literal["reactivity"] = "reactivity"
    """Distinguishes the kinds of result."""

    name: str | None = attrs.field(default=None, **PHI)
    """The biomarker that was analyzed."""

    time_collected: datetime | None = None
    """When the sample was taken."""

    result: str | None = attrs.field(default=None, **PHI)
    """``positive`` or ``negative``."""

    unit_of_measure: str | None = attrs.field(default=None, **PHI)
    """Null in all of the vendor's examples."""

    range_minimum: RangeLimit | None = attrs.field(default=None, **PHI)
    """Null in all of the vendor's examples."""

    range_maximum: RangeLimit | None = attrs.field(default=None, **PHI)
    """Null in all of the vendor's examples."""

    comments: str | None = attrs.field(default=None, **PHI)
    """The laboratory's comments."""


@attrs.frozen(kw_only=True, repr=False)
class GenotypeResult(Model):
    """The two letters found at one position of the genome.

    Source: OpenAPI document of the Spot API v2 (May 2024), ``ResultGenotype``.
    Assumed: text other than two letters of A, C, G, T may come; it is kept.
    """

    result_type: Literal["genotype"] = "genotype"
    """Distinguishes the kinds of result."""

    name: str | None = attrs.field(default=None, **PHI)
    """The position in the genome, such as ``rs1234567``."""

    time_collected: datetime | None = None
    """When the sample was taken."""

    result: str | None = attrs.field(default=None, **PHI)
    """Two letters of A, C, G, T."""

    unit_of_measure: str | None = attrs.field(default=None, **PHI)
    """Null in all of the vendor's examples."""

    range_minimum: RangeLimit | None = attrs.field(default=None, **PHI)
    """Null in all of the vendor's examples."""

    range_maximum: RangeLimit | None = attrs.field(default=None, **PHI)
    """Null in all of the vendor's examples."""

    comments: str | None = attrs.field(default=None, **PHI)
    """The laboratory's comments."""


@attrs.frozen(kw_only=True, repr=False)
class UnknownResult(Model):
    """A result of a kind unknown to the SDK; whatever it holds is kept as it came.

    Source: none; for kinds that the vendor may add.
    Assumed: nothing but ``result_type`` has a type that can be relied on.
    """

    result_type: str | None = None
    """The vendor's word for the kind; None if it was null or missing."""

    name: Any = attrs.field(default=None, hash=False, **PHI)
    """As it came; for the known kinds, the biomarker."""

    time_collected: datetime | Any = attrs.field(default=None, hash=False, **PHI)
    """When the sample was taken; as it came if it is not a valid time."""

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
"""One result of a report; tell the kinds apart with ``isinstance`` or ``match``."""


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
    """The link to the report as PDF, for ``spot.reports.save``. It may open the file to whoever has it, and expires."""

    txt: str | None = attrs.field(default=None, **PHI)
    """The same for the report as text."""

    date_collected: datetime | None = None
    """When the sample was taken."""

    date_received: datetime | None = None
    """When the laboratory received the sample."""

    date_resulted: datetime | None = None
    """When the results were ready."""

    is_amendment: bool | None = None
    """Whether this report amends an earlier one."""
