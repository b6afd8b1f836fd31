"""Kits that came all their way: shipped, registered, sent back, resulted."""

from typing import Any

from spotdx_async.models import (
    Activation,
    ActivationResult,
    Carrier,
    Kit,
    KitEvent,
    KitStatus,
    KitSummary,
    Sample,
    SampleEvent,
    SampleStatus,
    SampleType,
    Shipment,
)
from spotdx_async.testing.factories.making import KIT_TYPE, at, checked, kit_id, made, order_id, tracking_number
from spotdx_async.testing.factories.people import make_registrant
from spotdx_async.testing.factories.reports import COLLECTED_ON, RECEIVED_ON, RESULTED_ON, make_report

__all__ = [
    "make_activation",
    "make_activation_result",
    "make_kit",
    "make_kit_event",
    "make_kit_summary",
    "make_sample",
    "make_sample_event",
    "make_shipment",
]

_TO_CUSTOMER, _TO_LABORATORY = 11, 12  # the first digits of their tracking numbers
_KIT_LIFE = (
    (KitStatus.PREPARING, 0),
    (KitStatus.IN_TRANSIT, 1),
    (KitStatus.DELIVERED, 4),
    (KitStatus.REGISTERED, 5),
)
_SAMPLE_LIFE = (
    (SampleStatus.AWAITING_COLLECTION, 0),
    (SampleStatus.IN_TRANSIT, COLLECTED_ON),
    (SampleStatus.DELIVERED, RECEIVED_ON - 1),
    (SampleStatus.RECEIVED, RECEIVED_ON),
    (SampleStatus.RESULTED, RESULTED_ON),
)


def make_kit_event(number: int = 1, /, **fields: Any) -> KitEvent:
    """Make the event with which a kit begins: a later day for a higher number."""
    return made(KitEvent, fields, status=KitStatus.PREPARING, created=at(checked(number)))


def make_sample_event(number: int = 1, /, **fields: Any) -> SampleEvent:
    """Make the event with which a sample begins: a later day for a higher number."""
    return made(SampleEvent, fields, status=SampleStatus.AWAITING_COLLECTION, created=at(checked(number)))


def make_shipment(number: int = 1, /, **fields: Any) -> Shipment:
    """Make a parcel to the customer."""
    tracking = tracking_number(_TO_CUSTOMER, number)
    return made(Shipment, fields, tracking_number=tracking, carrier=Carrier.USPS, created=at(0))


def make_sample(number: int = 1, /, **fields: Any) -> Sample:
    """Make a sample with its parcel to the laboratory and its report."""
    back = make_shipment(number, tracking_number=tracking_number(_TO_LABORATORY, number))
    return made(
        Sample,
        fields,
        sample_id=f"SAMPLE{number:06}",
        status=SampleStatus.RESULTED,
        events=tuple(SampleEvent(status=status, created=at(day)) for status, day in _SAMPLE_LIFE),
        type=SampleType.ADX100,
        shipments=(back,),
        panels=("PANEL-123",),
        reports=(make_report(number),),
    )


def make_kit(number: int = 1, /, **fields: Any) -> Kit:
    """Make a kit that is registered, with a sample that is resulted."""
    return made(
        Kit,
        fields,
        kit_id=kit_id(number),
        type=KIT_TYPE,
        status=KitStatus.REGISTERED,
        events=tuple(KitEvent(status=status, created=at(day)) for status, day in _KIT_LIFE),
        shipment_to_customer=make_shipment(number),
        registered_to=make_registrant(number),
        sample=make_sample(number),
    )


def make_kit_summary(number: int = 1, /, **fields: Any) -> KitSummary:
    """Make the kit of that number as the list of kits shows it, in the order of the same number."""
    return made(
        KitSummary,
        fields,
        kit_id=kit_id(number),
        kit_type=KIT_TYPE,
        order_id=order_id(number),
        kit_status=KitStatus.REGISTERED,
        sample_status=SampleStatus.RESULTED,
        created=at(0),
        updated=at(RESULTED_ON),
    )


def make_activation_result(number: int = 1, /, **fields: Any) -> ActivationResult:
    """Make the result of an activation that went well; no number makes another one."""
    checked(number)
    return made(ActivationResult, fields, result="success")


def make_activation(number: int = 1, /, **fields: Any) -> Activation:
    """Make the answer to an activation that went well; no number makes another one."""
    return made(Activation, fields, data=make_activation_result(number))
