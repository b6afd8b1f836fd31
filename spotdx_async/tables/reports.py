"""The tables of reports: those on the samples of kits, and those on the samples of requisitions."""

from collections.abc import Iterator, Sequence

from spotdx_async.models import Report
from spotdx_async.tables.cells import extra_of, instant
from spotdx_async.tables.schema import Row, Table, key, patient_data, safe

_EVERY_REPORT = (
    safe("report_id", "text", "The report's id."),
    safe("is_amendment", "boolean", "Whether the report amends an earlier one."),
    safe("date_collected", "instant", "When the sample was taken."),
    safe("date_received", "instant", "When the laboratory received the sample."),
    safe("date_resulted", "instant", "When the results were ready."),
    safe("result_count", "integer", "How many results the report has.", nullable=False),
    patient_data("pdf", "text", "The URL of the report as PDF."),
    patient_data("txt", "text", "The URL of the report as text."),
    patient_data("extra", "json", "Fields of the report that the SDK does not know, as an object."),
)

REPORTS = Table(
    name="reports",
    doc="A laboratory's report on the sample of a kit.",
    columns=(
        key("kit_id", "text", "The kit's id."),
        key("seq", "integer", "The position among the sample's reports, from 0, in the server's order."),
        safe("sample_id", "text", "The sample's id."),
        *_EVERY_REPORT,
    ),
    primary_key=("kit_id", "seq"),
    owner=("kit_id",),
    indexes=(("report_id",), ("date_resulted",)),
)

REQUISITION_REPORTS = Table(
    name="requisition_reports",
    doc="A laboratory's report on the sample of a requisition.",
    columns=(
        key("requisition_id", "text", "The requisition's id."),
        key("seq", "integer", "The position among the requisition's reports, from 0, in the server's order."),
        *_EVERY_REPORT,
    ),
    primary_key=("requisition_id", "seq"),
    owner=("requisition_id",),
    indexes=(("report_id",), ("date_resulted",)),
)


def report_cells(reports: Sequence[Report | None], *, phi: bool) -> Iterator[tuple[int, Row]]:
    """Yield the position of each report, and its values in the columns that both tables have; null has no row."""
    for seq, report in enumerate(reports):
        if report is not None:
            yield (
                seq,
                (
                    report.report_id,
                    report.is_amendment,
                    instant(report.date_collected),
                    instant(report.date_received),
                    instant(report.date_resulted),
                    len(report.results),
                    report.pdf,
                    report.txt,
                    extra_of(report, phi=phi),
                ),
            )
