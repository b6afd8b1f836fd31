"""Requisitions of one sample: new ones, and resulted ones."""

from typing import Any

from spotdx_async.models import (
    Carrier,
    NewRequisition,
    Requisition,
    RequisitionAttributes,
    RequisitionEvent,
    RequisitionStatus,
    RequisitionSummary,
    Tracking,
)
from spotdx_async.testing.factories.kits import COLLECTED_ON, RECEIVED_ON, RESULTED_ON, make_report
from spotdx_async.testing.factories.making import at, checked, made, made_up_uuid, tracking_number
from spotdx_async.testing.factories.people import make_address, make_new_patient, make_patient

_REQUISITION = 2
_TO_LABORATORY = 13  # the first digits of its tracking numbers
_LIFE = (
    (RequisitionStatus.CREATED, COLLECTED_ON),
    (RequisitionStatus.APPROVED, COLLECTED_ON),
    (RequisitionStatus.RECEIVED, RECEIVED_ON),
    (RequisitionStatus.RESULTED, RESULTED_ON),
)


def _form(number: int) -> dict[str, Any]:
    return {
        "barcode": f"BARCODE{checked(number):06}",
        "panels": ("PANEL-123",),
        "account_number": "0000000000",
        "lab": "CRL",
    }


def make_tracking(number: int = 1, /, **fields: Any) -> Tracking:
    """Make a parcel to the laboratory."""
    return made(Tracking, fields, tracking_number=tracking_number(_TO_LABORATORY, number), carrier=Carrier.FEDEX)


def make_requisition_attributes(number: int = 1, /, **fields: Any) -> RequisitionAttributes:
    """Make attributes for the laboratory."""
    slip = f"SLIP{checked(number):06}"
    return made(RequisitionAttributes, fields, crl_slip_id=slip, crl_tier3_account_number="00000000")


def make_requisition_event(number: int = 1, /, **fields: Any) -> RequisitionEvent:
    """Make the first event of a requisition: the higher the number, the later the day."""
    return made(RequisitionEvent, fields, event=RequisitionStatus.CREATED, date=at(checked(number)))


def make_new_requisition(number: int = 1, /, **fields: Any) -> NewRequisition:
    """Make a requisition that can be sent, to the fake too; a barcode can be used once, so give each its own number."""
    return made(
        NewRequisition,
        fields,
        **_form(number),
        state_collected="CA",
        patient=make_new_patient(number, address=make_address(number)),
        tracking=make_tracking(number),
        attributes=make_requisition_attributes(number),
        metadata={"made_up": number},
    )


def make_requisition(number: int = 1, /, **fields: Any) -> Requisition:
    """Make a resulted requisition with its report."""
    return made(
        Requisition,
        fields,
        requisition_id=made_up_uuid(_REQUISITION, number),
        **_form(number),
        state_collected="CA",
        patient=make_patient(number, address=make_address(number)),
        tracking=make_tracking(number),
        status=RequisitionStatus.RESULTED,
        events=tuple(RequisitionEvent(event=event, date=at(day)) for event, day in _LIFE),
        reports=(make_report(number),),
        attributes=make_requisition_attributes(number),
        metadata={"made_up": number},
        created=at(COLLECTED_ON),
        updated=at(RESULTED_ON),
    )


def make_requisition_summary(number: int = 1, /, **fields: Any) -> RequisitionSummary:
    """Make the requisition of that number as the list of requisitions shows it."""
    return made(
        RequisitionSummary,
        fields,
        requisition_id=made_up_uuid(_REQUISITION, number),
        **_form(number),
        patient=make_patient(number, address=make_address(number)),
        status=RequisitionStatus.RESULTED,
        created=at(COLLECTED_ON),
        updated=at(RESULTED_ON),
    )
