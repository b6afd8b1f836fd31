"""What a kit or a requisition is in FHIR: its resources, one by one or in a Bundle."""

from collections.abc import Iterator
from typing import Any

from spotdx_async.errors import InvalidInputError
from spotdx_async.fhir.case import Case, Options, case_of, urn
from spotdx_async.fhir.elements import Codes, Json, compact
from spotdx_async.fhir.observations import observation
from spotdx_async.fhir.people import patient
from spotdx_async.fhir.reports import diagnostic_report, report_status, result_status, specimen
from spotdx_async.models import Kit, Requisition
from spotdx_async.tables.cells import Pseudonym
from spotdx_async.tables.results import newest_reports


def bundle(
    kit: Kit | Requisition,
    *,
    codes: Codes | None = None,
    phi: bool = False,
    links: bool = False,
    pseudonym: Pseudonym | None = None,
) -> dict[str, Any]:
    """Return a Bundle of the type ``collection`` with the resources of ``resources``, which refer to one another in it.

    Without a sample and a patient it has no entry.

    Args:
        kit: the kit, or a requisition.
        codes: what stands for the name and the unit of a result, both exactly as they come, and for a panel, whose unit
            is None.
        phi: whether to write patient data: the patient, comments, what an unknown kind of result holds.
        links: whether reports link to their files. The links open them without a token, and so need ``phi``.
        pseudonym: without ``phi``, what stands for a patient's id; None leaves the subject out.

    Raises:
        InvalidInputError: ``links`` without ``phi``, or something in ``codes`` is no coding.
    """
    case = _case(kit, Options(codes=codes, phi=phi, links=links, pseudonym=pseudonym, reference=urn))
    entries = [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in _made(case)]
    return compact(resourceType="Bundle", id=case.id_of("Bundle"), type="collection", entry=entries)


def resources(
    kit: Kit | Requisition,
    *,
    codes: Codes | None = None,
    phi: bool = False,
    links: bool = False,
    pseudonym: Pseudonym | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the resources one by one, for files with one resource a line; they refer to one another by type and id.

    Patient (with ``phi``), Specimen (with a sample), then for each report its Observations and its DiagnosticReport. A
    sample without a report has a DiagnosticReport that is ``registered``, or ``cancelled``. A patient whom the vendor
    gives an id has the same resource id in every kit: a file of many kits holds it several times.

    Args:
        kit: the kit, or a requisition.
        codes: as in ``bundle``.
        phi: as in ``bundle``.
        links: as in ``bundle``.
        pseudonym: as in ``bundle``.

    Raises:
        InvalidInputError: as in ``bundle``; what the arguments alone show is raised before anything is yielded.
    """
    return _made(_case(kit, Options(codes=codes, phi=phi, links=links, pseudonym=pseudonym)))


def _case(of: Kit | Requisition, options: Options) -> Case:
    if options.links and not options.phi:
        raise InvalidInputError("links to the files of reports are patient data: pass phi=True too")
    return case_of(of, options)


def _made(case: Case) -> Iterator[Json]:
    if (person := patient(case)) is not None:
        yield person
    if not case.has_specimen:
        return
    yield specimen(case)
    newest = newest_reports(case.reports)
    reports = [(position, report) for position, report in enumerate(case.reports) if report is not None]
    for position, report in reports:
        status = result_status(report_status(case, report))
        for index, result in enumerate(report.results):
            is_current = not isinstance(result.name, str) or newest.get(result.name, position) == position
            yield observation(case, report, result, (position, index), is_current=is_current, status=status)
        yield diagnostic_report(case, report, position)
    if not reports:
        yield diagnostic_report(case, None, 0)
