"""The tables of requisitions: the requisition with its patient and parcel, what happened to it, and its reports."""

from spotdx_async.models import Requisition
from spotdx_async.tables.cells import (
    Pseudonym,
    extra_of,
    instant,
    json_or_none,
    json_text,
    plain,
    pseudonym_of,
    unknown_fields,
)
from spotdx_async.tables.people import address_cells, address_columns, person_cells, person_columns
from spotdx_async.tables.reports import REQUISITION_REPORTS, report_cells
from spotdx_async.tables.results import RESULTS, results_of
from spotdx_async.tables.schema import Row, Table, key, patient_data, safe

REQUISITIONS = Table(
    name="requisitions",
    doc="One requisition.",
    columns=(
        key("requisition_id", "text", "The requisition's id, a UUID."),
        safe("barcode", "text", "The full barcode of the sample."),
        safe("account_number", "text", "The account number at the laboratory."),
        safe("lab", "text", "The laboratory's name, such as ``CRL``."),
        safe("status", "text", "The requisition's status; one that the SDK does not know is kept as it came."),
        safe("panels", "json", "The codes of the tests to run, as a list of texts; null without any."),
        safe("carrier", "text", "The carrier of the parcel to the laboratory; null without a parcel."),
        safe("created", "instant", "When the requisition was created."),
        safe("updated", "instant", "When the requisition last changed."),
        safe(
            "patient_id",
            "text",
            "The patient's id, if the server shows one: without ``phi`` a pseudonym, the same for the same patient.",
        ),
        *person_columns("The patient's"),
        *address_columns("The patient's"),
        patient_data("state_collected", "text", "The state in which the sample was taken, two letters."),
        patient_data("tracking_number", "text", "The carrier's number, from which an address can be found."),
        patient_data("crl_slip_id", "text", "The slip's identifier at the laboratory CRL."),
        patient_data("crl_tier3_account_number", "text", "The region's identifier at the laboratory CRL."),
        patient_data("metadata", "json", "What is stored with the requisition; null where nothing is."),
        patient_data(
            "extra",
            "json",
            "Fields of the requisition that the SDK does not know, as an object; those of its parts in ``patient`` "
            "(and in it ``address``), ``tracking`` and ``attributes``.",
        ),
    ),
    primary_key=("requisition_id",),
    owner=("requisition_id",),
    indexes=(("status",), ("barcode",), ("updated",), ("patient_id",)),
)

REQUISITION_EVENTS = Table(
    name="requisition_events",
    doc="A change of a requisition's status.",
    columns=(
        key("requisition_id", "text", "The requisition's id."),
        key("seq", "integer", "The position among the requisition's events, from 0, in the server's order."),
        safe("event", "text", "The new status; one that the SDK does not know is kept as it came."),
        safe("date", "instant", "When it happened."),
        patient_data("extra", "json", "Fields of the event that the SDK does not know, as an object."),
    ),
    primary_key=("requisition_id", "seq"),
    owner=("requisition_id",),
)


def requisition_rows(
    requisition: Requisition, *, phi: bool = False, pseudonym: Pseudonym | None = None
) -> dict[str, list[Row]]:
    """Return the rows of a requisition, by table: ``requisitions``, its events and reports, and ``results``.

    A table has no rows where the requisition has nothing for it. The rows are in the server's order, and the same for
    an equal requisition.

    Args:
        requisition: the requisition.
        phi: whether to fill in the columns of patient data; without it they are None.
        pseudonym: without ``phi``, what stands for a patient's id; None leaves it out.

    Raises:
        InvalidInputError: with ``phi``, a model that you built yourself holds what has no JSON form.
    """
    requisition_id, reports = requisition.requisition_id, requisition.reports
    events: list[Row] = [
        (requisition_id, seq, plain(event.event), instant(event.date), extra_of(event, phi=phi))
        for seq, event in enumerate(requisition.events)
    ]
    return {
        "requisitions": REQUISITIONS.shown([_requisition_row(requisition, phi=phi, pseudonym=pseudonym)], phi=phi),
        "requisition_events": REQUISITION_EVENTS.shown(events, phi=phi),
        "requisition_reports": REQUISITION_REPORTS.shown(
            [(requisition_id, seq, *cells) for seq, cells in report_cells(reports, phi=phi)], phi=phi
        ),
        RESULTS.name: results_of("requisition", requisition_id, None, reports, phi=phi),
    }


def _requisition_row(requisition: Requisition, *, phi: bool, pseudonym: Pseudonym | None) -> Row:
    patient, tracking = requisition.patient, requisition.tracking
    row = (
        requisition.requisition_id,
        requisition.barcode,
        requisition.account_number,
        requisition.lab,
        plain(requisition.status),
        json_or_none(requisition.panels),
        None if tracking is None else plain(tracking.carrier),
        instant(requisition.created),
        instant(requisition.updated),
        None if patient is None else pseudonym_of(patient.patient_id, pseudonym, phi=phi),
    )
    return (*row, *(_patient_data(requisition) if phi else (None,) * 18))


def _patient_data(requisition: Requisition) -> Row:
    patient, tracking, attributes = requisition.patient, requisition.tracking, requisition.attributes
    address = None if patient is None else patient.address
    extra = unknown_fields(
        requisition,
        patient=unknown_fields(patient, address=unknown_fields(address)),
        tracking=unknown_fields(tracking),
        attributes=unknown_fields(attributes),
    )
    return (
        *person_cells(patient),
        *address_cells(address),
        requisition.state_collected,
        None if tracking is None else tracking.tracking_number,
        None if attributes is None else attributes.crl_slip_id,
        None if attributes is None else attributes.crl_tier3_account_number,
        None if requisition.metadata is None else json_text(requisition.metadata),
        json_or_none(extra),
    )
