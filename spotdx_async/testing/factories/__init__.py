"""Models full of made-up data, one function for each, for tests of your own code.

The same number makes an equal model, a different number a different one. Nobody in them exists: names, numbers and
addresses are reserved ones.
"""

from typing import Any

from spotdx_async import models
from spotdx_async.testing.factories.making import (
    KIT_TYPE,
    at,
    checked,
    kit_id,
    made,
    made_up_uuid,
    order_id,
    tracking_number,
)
from spotdx_async.testing.factories.people import (
    make_address,
    make_new_patient,
    make_patient,
    make_recipient,
    make_registrant,
    make_registration_token,
)

__all__ = [
    "make_activation",
    "make_activation_result",
    "make_address",
    "make_genotype_result",
    "make_kit",
    "make_kit_event",
    "make_kit_summary",
    "make_new_order",
    "make_new_patient",
    "make_new_requisition",
    "make_order",
    "make_order_summary",
    "make_patient",
    "make_quantity_result",
    "make_reactivity_result",
    "make_recipient",
    "make_registrant",
    "make_registration_token",
    "make_report",
    "make_requisition",
    "make_requisition_attributes",
    "make_requisition_event",
    "make_requisition_summary",
    "make_sample",
    "make_sample_event",
    "make_shipment",
    "make_tracking",
    "make_unknown_result",
]

_REQUISITION = 2
# The first digits of tracking numbers: kits to customers and back, requisitions to the laboratory.
_KIT_TO_CUSTOMER, _KIT_TO_LABORATORY, _REQUISITION_TO_LABORATORY = 11, 12, 13
_PLACED_ON, _COMPLETED_ON = 0, 1
_COLLECTED_ON, _RECEIVED_ON, _RESULTED_ON = 7, 9, 11  # of a sample, and of a requisition
_KIT_LIFE = (
    (models.KitStatus.PREPARING, 0),
    (models.KitStatus.IN_TRANSIT, 1),
    (models.KitStatus.DELIVERED, 4),
    (models.KitStatus.REGISTERED, 5),
)
_SAMPLE_LIFE = (
    (models.SampleStatus.AWAITING_COLLECTION, 0),
    (models.SampleStatus.IN_TRANSIT, _COLLECTED_ON),
    (models.SampleStatus.DELIVERED, _RECEIVED_ON - 1),
    (models.SampleStatus.RECEIVED, _RECEIVED_ON),
    (models.SampleStatus.RESULTED, _RESULTED_ON),
)
_REQUISITION_LIFE = (
    (models.RequisitionStatus.CREATED, _COLLECTED_ON),
    (models.RequisitionStatus.APPROVED, _COLLECTED_ON),
    (models.RequisitionStatus.RECEIVED, _RECEIVED_ON),
    (models.RequisitionStatus.RESULTED, _RESULTED_ON),
)


def make_quantity_result(number: int = 1, /, **fields: Any) -> models.QuantityResult:
    """Make an amount within its reference range."""
    return made(
        models.QuantityResult,
        fields,
        name=f"Made-up Amount {checked(number)}",
        time_collected=at(_COLLECTED_ON),
        result=100,
        unit_of_measure="mg/dL",
        range_minimum=20,
        range_maximum=200,
    )


def make_reactivity_result(number: int = 1, /, **fields: Any) -> models.ReactivityResult:
    """Make a negative result."""
    name = f"Made-up Finding {checked(number)}"
    return made(models.ReactivityResult, fields, name=name, time_collected=at(_COLLECTED_ON), result="negative")


def make_genotype_result(number: int = 1, /, **fields: Any) -> models.GenotypeResult:
    """Make the letters at a position that no genome has."""
    name = f"rs0000{checked(number):06}"
    return made(models.GenotypeResult, fields, name=name, time_collected=at(_COLLECTED_ON), result="TT")


def make_unknown_result(number: int = 1, /, **fields: Any) -> models.UnknownResult:
    """Make a result of a kind that the SDK does not know."""
    return made(
        models.UnknownResult,
        fields,
        result_type="made_up_kind",
        name=f"Made-up Kind {checked(number)}",
        time_collected=at(_COLLECTED_ON),
        result="none",
    )


def make_report(number: int = 1, /, **fields: Any) -> models.Report:
    """Make a report with a result of each known kind."""
    return made(
        models.Report,
        fields,
        report_id=f"REPORT-{checked(number)}",
        results=(make_quantity_result(number), make_reactivity_result(number), make_genotype_result(number)),
        pdf=f"https://example.com/reports/{number}.pdf",
        txt=f"https://example.com/reports/{number}.txt",
        date_collected=at(_COLLECTED_ON),
        date_received=at(_RECEIVED_ON),
        date_resulted=at(_RESULTED_ON),
        is_amendment=False,
    )


def make_kit_event(number: int = 1, /, **fields: Any) -> models.KitEvent:
    """Make the first event of a kit: the higher the number, the later the day."""
    return made(models.KitEvent, fields, status=models.KitStatus.PREPARING, created=at(checked(number)))


def make_sample_event(number: int = 1, /, **fields: Any) -> models.SampleEvent:
    """Make the first event of a sample: the higher the number, the later the day."""
    return made(models.SampleEvent, fields, status=models.SampleStatus.AWAITING_COLLECTION, created=at(checked(number)))


def make_shipment(number: int = 1, /, **fields: Any) -> models.Shipment:
    """Make a parcel to the customer."""
    tracking = tracking_number(_KIT_TO_CUSTOMER, number)
    return made(models.Shipment, fields, tracking_number=tracking, carrier=models.Carrier.USPS, created=at(0))


def make_sample(number: int = 1, /, **fields: Any) -> models.Sample:
    """Make a sample with its parcel to the laboratory and its report."""
    back = make_shipment(number, tracking_number=tracking_number(_KIT_TO_LABORATORY, number))
    return made(
        models.Sample,
        fields,
        sample_id=f"SAMPLE{number:06}",
        status=models.SampleStatus.RESULTED,
        events=tuple(models.SampleEvent(status=status, created=at(day)) for status, day in _SAMPLE_LIFE),
        type=models.SampleType.ADX100,
        shipments=(back,),
        panels=("PANEL-123",),
        reports=(make_report(number),),
    )


def make_kit(number: int = 1, /, **fields: Any) -> models.Kit:
    """Make a registered kit with a resulted sample."""
    return made(
        models.Kit,
        fields,
        kit_id=kit_id(number),
        type=KIT_TYPE,
        status=models.KitStatus.REGISTERED,
        events=tuple(models.KitEvent(status=status, created=at(day)) for status, day in _KIT_LIFE),
        shipment_to_customer=make_shipment(number),
        registered_to=make_registrant(number),
        sample=make_sample(number),
    )


def make_kit_summary(number: int = 1, /, **fields: Any) -> models.KitSummary:
    """Make the kit of that number as the list of kits shows it; its order has the same number."""
    return made(
        models.KitSummary,
        fields,
        kit_id=kit_id(number),
        kit_type=KIT_TYPE,
        order_id=order_id(number),
        kit_status=models.KitStatus.REGISTERED,
        sample_status=models.SampleStatus.RESULTED,
        created=at(0),
        updated=at(_RESULTED_ON),
    )


def make_activation_result(number: int = 1, /, **fields: Any) -> models.ActivationResult:
    """Make the result of a successful activation, the same for every number."""
    checked(number)
    return made(models.ActivationResult, fields, result="success")


def make_activation(number: int = 1, /, **fields: Any) -> models.Activation:
    """Make the answer to a successful activation, the same for every number."""
    return made(models.Activation, fields, data=make_activation_result(number))


def make_new_order(number: int = 1, /, **fields: Any) -> models.NewOrder:
    """Make an order that can be placed, at the fake too."""
    return made(
        models.NewOrder, fields, kit_types=(KIT_TYPE,), recipient=make_recipient(number), metadata={"made_up": number}
    )


def make_order(number: int = 1, /, **fields: Any) -> models.Order:
    """Make a completed order with its one kit, the kit of the same number."""
    return made(
        models.Order,
        fields,
        order_id=order_id(number),
        status=models.OrderStatus.COMPLETED,
        recipient=make_recipient(number),
        kit_types=(KIT_TYPE,),
        kits=(make_kit(number),),
        created=at(_PLACED_ON),
        updated=at(_COMPLETED_ON),
        metadata={"made_up": number},
    )


def make_order_summary(number: int = 1, /, **fields: Any) -> models.OrderSummary:
    """Make the order of that number as the list of orders shows it."""
    return made(
        models.OrderSummary,
        fields,
        order_id=order_id(number),
        status=models.OrderStatus.COMPLETED,
        recipient=make_recipient(number),
        created=at(_PLACED_ON),
        updated=at(_COMPLETED_ON),
    )


def _requisition_form(number: int) -> dict[str, Any]:
    return {
        "barcode": f"BARCODE{checked(number):06}",
        "panels": ("PANEL-123",),
        "account_number": "0000000000",
        "lab": "CRL",
    }


def make_tracking(number: int = 1, /, **fields: Any) -> models.Tracking:
    """Make a parcel to the laboratory."""
    return made(
        models.Tracking,
        fields,
        tracking_number=tracking_number(_REQUISITION_TO_LABORATORY, number),
        carrier=models.Carrier.FEDEX,
    )


def make_requisition_attributes(number: int = 1, /, **fields: Any) -> models.RequisitionAttributes:
    """Make attributes for the laboratory."""
    slip = f"SLIP{checked(number):06}"
    return made(models.RequisitionAttributes, fields, crl_slip_id=slip, crl_tier3_account_number="00000000")


def make_requisition_event(number: int = 1, /, **fields: Any) -> models.RequisitionEvent:
    """Make the first event of a requisition: the higher the number, the later the day."""
    return made(models.RequisitionEvent, fields, event=models.RequisitionStatus.CREATED, date=at(checked(number)))


def make_new_requisition(number: int = 1, /, **fields: Any) -> models.NewRequisition:
    """Make a requisition that can be sent, to the fake too; a barcode can be used once, so give each its own number."""
    return made(
        models.NewRequisition,
        fields,
        **_requisition_form(number),
        state_collected="CA",
        patient=make_new_patient(number, address=make_address(number)),
        tracking=make_tracking(number),
        attributes=make_requisition_attributes(number),
        metadata={"made_up": number},
    )


def make_requisition(number: int = 1, /, **fields: Any) -> models.Requisition:
    """Make a resulted requisition with its report."""
    return made(
        models.Requisition,
        fields,
        requisition_id=made_up_uuid(_REQUISITION, number),
        **_requisition_form(number),
        state_collected="CA",
        patient=make_patient(number, address=make_address(number)),
        tracking=make_tracking(number),
        status=models.RequisitionStatus.RESULTED,
        events=tuple(models.RequisitionEvent(event=event, date=at(day)) for event, day in _REQUISITION_LIFE),
        reports=(make_report(number),),
        attributes=make_requisition_attributes(number),
        metadata={"made_up": number},
        created=at(_COLLECTED_ON),
        updated=at(_RESULTED_ON),
    )


def make_requisition_summary(number: int = 1, /, **fields: Any) -> models.RequisitionSummary:
    """Make the requisition of that number as the list of requisitions shows it."""
    return made(
        models.RequisitionSummary,
        fields,
        requisition_id=made_up_uuid(_REQUISITION, number),
        **_requisition_form(number),
        patient=make_patient(number, address=make_address(number)),
        status=models.RequisitionStatus.RESULTED,
        created=at(_COLLECTED_ON),
        updated=at(_RESULTED_ON),
    )
