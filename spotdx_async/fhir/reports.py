"""Reports and specimens: what state they are in, and what they hold."""

import re
from typing import Final

from spotdx_async.fhir.case import Case
from spotdx_async.fhir.elements import (
    REPORT_SYSTEM,
    Json,
    agreed,
    clean,
    coding,
    codings_of,
    compact,
    date_time,
    identifier,
)
from spotdx_async.fhir.people import subject
from spotdx_async.models import Report
from spotdx_async.tables.cells import instant

# Words of the contract and of the vendor's guides, for samples and for requisitions.
_CANCELED: Final = frozenset({"canceled", "rejected", "denied"})
_AT_THE_LABORATORY: Final = frozenset({"received", "resulted", "partially_resulted", "extra_quality_checks"})
_LABORATORY: Final = coding("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB", "Laboratory")
_URL: Final = re.compile(r"https?://[!-~]+")


def report_status(case: Case, report: Report | None) -> str:
    """Return the status of a report; None stands for one that is not there yet."""
    if case.status in _CANCELED:
        return "cancelled"
    if report is None:
        return "registered"
    if report.is_amendment:
        return "amended"
    if case.status == "partially_resulted":
        return "partial"
    if case.status == "extra_quality_checks":
        return "preliminary"
    if case.status == "resulted" or report.date_resulted is not None:
        return "final"
    return "unknown" if report.results else "registered"


def result_status(status_of_report: str) -> str:
    """Return the status of a result in a report; what is missing from a partial report are other results."""
    return "final" if status_of_report == "partial" else status_of_report


def specimen(case: Case) -> Json:
    """Return the specimen."""
    reports = [report for report in case.reports if report is not None]
    collected = agreed(instant(report.date_collected) for report in reports)
    container = clean(case.container)
    return compact(
        resourceType="Specimen",
        id=case.id_of("Specimen"),
        identifier=case.identifiers,
        status=_specimen_status(case.status),
        subject=subject(case),
        receivedTime=date_time(agreed(instant(report.date_received) for report in reports)),
        collection=compact(collectedDateTime=date_time(collected)),
        container=[{"type": {"text": container}}] if container else [],
    )


def _specimen_status(status: str | None) -> str | None:
    if status == "rejected":
        return "unsatisfactory"
    return "available" if status in _AT_THE_LABORATORY else None


def diagnostic_report(case: Case, report: Report | None, position: int) -> Json:
    """Return a report with references to its results; None stands for one that is not there yet."""
    of = Report() if report is None else report
    results = [case.reference("Observation", position, index) for index in range(len(of.results))]
    panels = [text for text in map(clean, case.panels) if text]
    codings = [one for panel in case.panels for one in codings_of(case.options.codes, panel, None)]
    reference = case.specimen()
    return compact(
        resourceType="DiagnosticReport",
        id=case.id_of("DiagnosticReport", position),
        identifier=identifier(REPORT_SYSTEM, of.report_id),
        status=report_status(case, report),
        category=[{"coding": [dict(_LABORATORY)]}],
        code=compact(coding=codings, text=", ".join(panels) or "Laboratory report"),
        subject=subject(case),
        effectiveDateTime=date_time(of.date_collected),
        issued=date_time(of.date_resulted),
        specimen=[reference] if reference else [],
        result=results,
        presentedForm=_links(of) if case.options.links else [],
    )


def _links(report: Report) -> list[Json]:
    """Return links to the report's files; an address that is none is left out."""
    files = (("application/pdf", report.pdf), ("text/plain", report.txt))
    return [{"contentType": kind, "url": url} for kind, url in files if url is not None and _URL.fullmatch(url)]
