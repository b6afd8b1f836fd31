"""Completed orders, their kits (shipped, registered and sent back), and the laboratory's reports on them."""

from typing import Any

from spotdx_async.models import (
    Activation,
    ActivationResult,
    Carrier,
    GenotypeResult,
    Kit,
    KitEvent,
    KitStatus,
    KitSummary,
    NewOrder,
    Order,
    OrderStatus,
    OrderSummary,
    QuantityResult,
    ReactivityResult,
    Report,
    Sample,
    SampleEvent,
    SampleStatus,
    SampleType,
    Shipment,
    UnknownResult,
)
from spotdx_async.testing.factories.making import KIT_TYPE, at, checked, kit_id, made, order_id, tracking_number
from spotdx_async.testing.factories.people import make_recipient, make_registrant

_PLACED_ON, _COMPLETED_ON = 0, 1
COLLECTED_ON, RECEIVED_ON, RESULTED_ON = 7, 9, 11
"""The days of a sample's life, those of requisitions too."""
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


def make_quantity_result(number: int = 1, /, **fields: Any) -> QuantityResult:
    """Make an amount within its reference range."""
    return made(
        QuantityResult,
        fields,
        name=f"Made-up Amount {checked(number)}",
        time_collected=at(COLLECTED_ON),
        result=100,
        unit_of_measure="mg/dL",
        range_minimum=20,
        range_maximum=200,
    )


def make_reactivity_result(number: int = 1, /, **fields: Any) -> ReactivityResult:
    """Make a negative result."""
    name = f"Made-up Finding {checked(number)}"
    return made(ReactivityResult, fields, name=name, time_collected=at(COLLECTED_ON), result="negative")


def make_genotype_result(number: int = 1, /, **fields: Any) -> GenotypeResult:
    """Make the letters at a position that no genome has."""
    name = f"rs0000{checked(number):06}"
    return made(GenotypeResult, fields, name=name, time_collected=at(COLLECTED_ON), result="TT")


def make_unknown_result(number: int = 1, /, **fields: Any) -> UnknownResult:
    """Make a result of a kind that the SDK does not know."""
    return made(
        UnknownResult,
        fields,
        result_type="made_up_kind",
        name=f"Made-up Kind {checked(number)}",
        time_collected=at(COLLECTED_ON),
        result="none",
    )


def make_report(number: int = 1, /, **fields: Any) -> Report:
    """Make a report with a result of each known kind."""
    return made(
        Report,
        fields,
        report_id=f"REPORT-{checked(number)}",
        results=(make_quantity_result(number), make_reactivity_result(number), make_genotype_result(number)),
        pdf=f"https://example.com/reports/{number}.pdf",
        txt=f"https://example.com/reports/{number}.txt",
        date_collected=at(COLLECTED_ON),
        date_received=at(RECEIVED_ON),
        date_resulted=at(RESULTED_ON),
        is_amendment=False,
    )


def make_kit_event(number: int = 1, /, **fields: Any) -> KitEvent:
    """Make the first event of a kit: the higher the number, the later the day."""
    return made(KitEvent, fields, status=KitStatus.PREPARING, created=at(checked(number)))


def make_sample_event(number: int = 1, /, **fields: Any) -> SampleEvent:
    """Make the first event of a sample: the higher the number, the later the day."""
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
    """Make a registered kit with a resulted sample."""
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
    """Make the kit of that number as the list of kits shows it; its order has the same number."""
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
    """Make the result of a successful activation, the same for every number."""
    checked(number)
    return made(ActivationResult, fields, result="success")


def make_activation(number: int = 1, /, **fields: Any) -> Activation:
    """Make the answer to a successful activation, the same for every number."""
    return made(Activation, fields, data=make_activation_result(number))


def make_new_order(number: int = 1, /, **fields: Any) -> NewOrder:
    """Make an order that can be placed, at the fake too."""
    return made(NewOrder, fields, kit_types=(KIT_TYPE,), recipient=make_recipient(number), metadata={"made_up": number})


def make_order(number: int = 1, /, **fields: Any) -> Order:
    """Make a completed order with its one kit, the kit of the same number."""
    return made(
        Order,
        fields,
        order_id=order_id(number),
        status=OrderStatus.COMPLETED,
        recipient=make_recipient(number),
        kit_types=(KIT_TYPE,),
        kits=(make_kit(number),),
        created=at(_PLACED_ON),
        updated=at(_COMPLETED_ON),
        metadata={"made_up": number},
    )


def make_order_summary(number: int = 1, /, **fields: Any) -> OrderSummary:
    """Make the order of that number as the list of orders shows it."""
    return made(
        OrderSummary,
        fields,
        order_id=order_id(number),
        status=OrderStatus.COMPLETED,
        recipient=make_recipient(number),
        created=at(_PLACED_ON),
        updated=at(_COMPLETED_ON),
    )
