"""The tables of kits: the kit, its sample, what happened to both, parcels and reports."""

from spotdx_async.models import Kit, KitEvent, KitSummary, Sample, SampleEvent, Shipment
from spotdx_async.tables.cells import (
    Pseudonym,
    extra_of,
    instant,
    json_or_none,
    plain,
    pseudonym_of,
    unknown_fields,
)
from spotdx_async.tables.people import person_cells, person_columns
from spotdx_async.tables.reports import REPORTS, report_cells
from spotdx_async.tables.results import results_of
from spotdx_async.tables.schema import Row, Table, key, patient_data, safe

KITS = Table(
    name="kits",
    doc="One kit.",
    columns=(
        key("kit_id", "text", "The kit's id, such as ``SPOT123456``."),
        safe("type", "text", "The kit's type, such as ``health_kit_1``."),
        safe("status", "text", "The kit's status; one that the SDK does not know is kept as it came."),
        safe("order_id", "text", "The id of the kit's order; null without an order. From the list of kits."),
        safe("created", "instant", "When the kit was created. From the list of kits."),
        safe("updated", "instant", "When the kit last changed. From the list of kits."),
        safe(
            "patient_id",
            "text",
            "The id of the patient who registered the kit: without ``phi`` a pseudonym, the same for the same patient.",
        ),
        *person_columns("The registrant's"),
        patient_data(
            "extra",
            "json",
            "Fields of the kit that the SDK does not know, as an object; those of the registrant in ``registered_to``.",
        ),
    ),
    primary_key=("kit_id",),
    owner=("kit_id",),
    indexes=(("status",), ("order_id",), ("updated",), ("patient_id",)),
)

SAMPLES = Table(
    name="samples",
    doc="The sample of a kit that has one.",
    columns=(
        key("kit_id", "text", "The kit's id."),
        safe("sample_id", "text", "The sample's id."),
        safe("status", "text", "The sample's status; one that the SDK does not know is kept as it came."),
        safe("type", "text", "What the sample is collected on or in, such as ``adx100``."),
        safe("panels", "json", "The codes of the tests to run, as a list of texts; null without any."),
        patient_data("extra", "json", "Fields of the sample that the SDK does not know, as an object."),
    ),
    primary_key=("kit_id",),
    owner=("kit_id",),
    indexes=(("sample_id",), ("status",)),
)

KIT_EVENTS = Table(
    name="kit_events",
    doc="A change of a kit's status.",
    columns=(
        key("kit_id", "text", "The kit's id."),
        key("seq", "integer", "The position among the kit's events, from 0, in the server's order."),
        safe("status", "text", "The new status; one that the SDK does not know is kept as it came."),
        safe("created", "instant", "When it happened."),
        patient_data("extra", "json", "Fields of the event that the SDK does not know, as an object."),
    ),
    primary_key=("kit_id", "seq"),
    owner=("kit_id",),
)

SAMPLE_EVENTS = Table(
    name="sample_events",
    doc="A change of a sample's status.",
    columns=(
        key("kit_id", "text", "The kit's id."),
        key("seq", "integer", "The position among the sample's events, from 0, in the server's order."),
        safe("sample_id", "text", "The sample's id."),
        safe("status", "text", "The new status; one that the SDK does not know is kept as it came."),
        safe("created", "instant", "When it happened."),
        patient_data("extra", "json", "Fields of the event that the SDK does not know, as an object."),
    ),
    primary_key=("kit_id", "seq"),
    owner=("kit_id",),
)

SHIPMENTS = Table(
    name="shipments",
    doc="A parcel of a kit. Those of requisitions are columns of ``requisitions``.",
    columns=(
        key("kit_id", "text", "The kit's id."),
        key("direction", "text", "``to_customer`` or ``to_laboratory``."),
        key("seq", "integer", "The position among the parcels of that direction, from 0."),
        safe("sample_id", "text", "The sample's id; null for a parcel to the customer."),
        safe("carrier", "text", "``fedex``, ``ups``, ``usps``, or what came in their place."),
        safe("created", "instant", "When the parcel was prepared."),
        patient_data("tracking_number", "text", "The carrier's number, from which an address can be found."),
        patient_data("extra", "json", "Fields of the parcel that the SDK does not know, as an object."),
    ),
    primary_key=("kit_id", "direction", "seq"),
    owner=("kit_id",),
)


def kit_rows(
    kit: Kit, *, summary: KitSummary | None = None, phi: bool = False, pseudonym: Pseudonym | None = None
) -> dict[str, list[Row]]:
    """Return the rows of a kit, by table: ``kits``, ``kit_events``, ``samples`` and so on, each table once.

    A table has no rows where the kit has nothing for it. The rows are in the server's order, and the same for an equal
    kit. Where the kit has no id, the rows have none either: only use those without a database.

    Args:
        kit: the kit.
        summary: the kit as listed, which alone says its order and when it was created and updated.
        phi: whether to fill in the columns of patient data; without it they are None.
        pseudonym: without ``phi``, what stands for a patient's id; None leaves it out.

    Raises:
        InvalidInputError: with ``phi``, a model that you built yourself holds what has no JSON form.
    """
    kit_id, sample = kit.kit_id, kit.sample
    rows: dict[str, list[Row]] = {
        "kits": KITS.shown([_kit_row(kit, summary, phi=phi, pseudonym=pseudonym)], phi=phi),
        "kit_events": KIT_EVENTS.shown(
            [(kit_id, seq, *_event(event, phi=phi)) for seq, event in enumerate(kit.events)], phi=phi
        ),
        "samples": [],
        "sample_events": [],
        "shipments": [],
        "reports": [],
        "results": [],
    }
    outward = kit.shipment_to_customer
    parcels: list[Row] = [] if outward is None else [(kit_id, "to_customer", 0, None, *_parcel(outward, phi=phi))]
    if sample is not None:
        sample_id = sample.sample_id
        parcels += [
            (kit_id, "to_laboratory", seq, sample_id, *_parcel(parcel, phi=phi))
            for seq, parcel in enumerate(sample.shipments)
        ]
        rows["samples"] = SAMPLES.shown([_sample_row(kit_id, sample, phi=phi)], phi=phi)
        rows["sample_events"] = SAMPLE_EVENTS.shown(
            [(kit_id, seq, sample_id, *_event(event, phi=phi)) for seq, event in enumerate(sample.events)], phi=phi
        )
        rows["reports"] = REPORTS.shown(
            [(kit_id, seq, sample_id, *cells) for seq, cells in report_cells(sample.reports, phi=phi)], phi=phi
        )
        rows["results"] = results_of("kit", kit_id, sample_id, sample.reports, phi=phi)
    rows["shipments"] = SHIPMENTS.shown(parcels, phi=phi)
    return rows


def _kit_row(kit: Kit, summary: KitSummary | None, *, phi: bool, pseudonym: Pseudonym | None) -> Row:
    person, kit_type = kit.registered_to, kit.type
    order_id = created = updated = None
    if summary is not None:
        order_id, created, updated = summary.order_id, instant(summary.created), instant(summary.updated)
        kit_type = kit_type if kit_type is not None else summary.kit_type
    patient_id = None if person is None else pseudonym_of(person.patient_id, pseudonym, phi=phi)
    row = (kit.kit_id, kit_type, plain(kit.status), order_id, created, updated, patient_id)
    if not phi:
        return (*row, *(None,) * 7)
    extra = unknown_fields(kit, registered_to=unknown_fields(person))
    return (*row, *person_cells(person), json_or_none(extra))


def _sample_row(kit_id: str | None, sample: Sample, *, phi: bool) -> Row:
    panels = json_or_none(sample.panels)
    return (
        kit_id,
        sample.sample_id,
        plain(sample.status),
        plain(sample.type),
        panels,
        extra_of(sample, phi=phi),
    )


def _event(event: KitEvent | SampleEvent, *, phi: bool) -> Row:
    return plain(event.status), instant(event.created), extra_of(event, phi=phi)


def _parcel(parcel: Shipment, *, phi: bool) -> Row:
    return plain(parcel.carrier), instant(parcel.created), parcel.tracking_number, extra_of(parcel, phi=phi)
