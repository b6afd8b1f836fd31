"""What users rely on in every model: fields as in the contract, defaults, frozen, copied, pickled, compared, hashed."""

import copy
import inspect
import pickle
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import attrs
import pytest

from spotdx_async import models
from spotdx_async.models import (
    Address,
    Carrier,
    Country,
    GenotypeResult,
    Kit,
    KitEvent,
    KitStatus,
    KitSummary,
    Model,
    Order,
    OrderStatus,
    QuantityResult,
    ReactivityResult,
    Recipient,
    Registrant,
    Report,
    Sample,
    SampleEvent,
    SampleStatus,
    SampleType,
    Sex,
    Shipment,
    UnknownResult,
)

NOON = datetime(2023, 1, 1, 12, tzinfo=UTC)
RESULT_FIELDS = (
    "result_type name time_collected result unit_of_measure range_minimum range_maximum comments"  # all kinds alike
)
FIELDS: dict[type[Model], str] = {
    Kit: "kit_id type status events shipment_to_customer registered_to sample",
    KitEvent: "status created",
    SampleEvent: "status created",
    Shipment: "tracking_number carrier created",
    Registrant: "patient_id first_name last_name date_of_birth sex email phone",
    Sample: "sample_id status events type shipments panels reports",
    Report: "report_id results pdf txt date_collected date_received date_resulted is_amendment",
    QuantityResult: RESULT_FIELDS,
    ReactivityResult: RESULT_FIELDS,
    GenotypeResult: RESULT_FIELDS,
    UnknownResult: RESULT_FIELDS,
    KitSummary: "kit_id kit_type order_id kit_status sample_status created updated",
    Order: "order_id status recipient kit_types kits created updated metadata",
    Recipient: "first_name last_name email phone address",
    Address: "street1 street2 city state country zip",
}
EVERY_MODEL = pytest.mark.parametrize("cls", FIELDS, ids=lambda cls: cls.__name__)

FULL_KIT = Kit(
    kit_id="SPOT123456",
    type="health_kit_1",
    status=KitStatus.REGISTERED,
    events=(KitEvent(status="pending", created=NOON),),
    shipment_to_customer=Shipment(tracking_number="94001", carrier=Carrier.UPS, created=NOON),
    registered_to=Registrant(first_name="Alice", date_of_birth=date(1990, 1, 1), sex=Sex.F, extra={"note": ["x"]}),
    sample=Sample(
        sample_id="SPOT654321",
        status=SampleStatus.RESULTED,
        type=SampleType.SALIVA_3,
        panels=("PANEL-123",),
        reports=(
            None,
            Report(
                report_id="r1",
                results=(
                    QuantityResult(result=123, range_minimum=20, range_maximum=200.5),
                    ReactivityResult(result="negative"),
                    GenotypeResult(result="TT"),
                    UnknownResult(result_type="titer", result={"deep": [1, 2]}, name=["not", "hashable"]),
                ),
            ),
        ),
    ),
    extra={"metadata": {"cohort": "A"}},
)
FULL_ORDER = Order(
    order_id="O1234567",
    status=OrderStatus.COMPLETED,
    recipient=Recipient(first_name="Alice", address=Address(city="Springfield", country=Country.US, zip="00000")),
    kit_types=("health_kit_1",),
    kits=(FULL_KIT,),
    created=NOON,
    updated=NOON,
    metadata={"not": ["hashable"]},
)
FULL: list[Kit | Order] = [FULL_KIT, FULL_ORDER]
EVERY_FULL = pytest.mark.parametrize("full", FULL, ids=lambda full: type(full).__name__)


@EVERY_MODEL
def test_a_model_has_the_fields_of_the_contract_and_the_extra(cls: type[Model]) -> None:
    public = {field.name for field in attrs.fields(cls) if not field.name.startswith("_")}

    assert public == {*FIELDS[cls].split(), "extra"}


@EVERY_MODEL
def test_every_field_may_be_left_out(cls: type[Model]) -> None:
    empty = cls()

    assert empty.extra == {}
    for field in attrs.fields(cls):
        assert getattr(empty, field.name) in (None, (), {}, "quantity", "reactivity", "genotype")


@EVERY_MODEL
def test_a_model_is_frozen_and_has_no_room_for_more(cls: type[Model]) -> None:
    empty = cls()

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        empty.extra = {}  # type: ignore[misc]  # what the test is about
    assert not hasattr(empty, "__dict__")


@EVERY_MODEL
def test_fields_are_given_by_keyword_only(cls: type[Model]) -> None:
    parameters = inspect.signature(cls).parameters.values()

    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.KEYWORD_ONLY}


@EVERY_MODEL
def test_a_model_says_where_it_comes_from_and_what_is_assumed(cls: type[Model]) -> None:
    text = inspect.getdoc(cls) or ""

    assert "\nSource: " in text
    assert "\nAssumed: " in text


@EVERY_FULL
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_model_survives_pickling(full: Kit | Order, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(full, protocol))

    assert again == full
    assert type(again.status) is type(full.status)


def test_a_deep_copy_is_equal_and_shares_no_mutable_part() -> None:
    again = copy.deepcopy(FULL_KIT)

    assert again == FULL_KIT
    assert again.extra["metadata"] is not FULL_KIT.extra["metadata"]
    assert copy.copy(FULL_KIT) == FULL_KIT


def test_evolve_changes_one_field_of_a_new_model() -> None:
    changed = attrs.evolve(FULL_KIT, status="kit_type_assigned")

    assert changed.status == "kit_type_assigned"
    assert FULL_KIT.status is KitStatus.REGISTERED
    assert changed.sample is FULL_KIT.sample


@EVERY_FULL
def test_models_that_are_equal_have_the_same_hash(full: Kit | Order) -> None:
    again = copy.deepcopy(full)

    assert hash(again) == hash(full)
    assert {full: "found"}[again] == "found"


def test_orders_with_other_metadata_are_not_equal() -> None:
    assert attrs.evolve(FULL_ORDER, metadata=None) != FULL_ORDER


@pytest.mark.parametrize(
    "change",
    [{"kit_id": "SPOT2"}, {"extra": {}}, {"events": ()}, {"sample": None}],
    ids=lambda change: next(iter(change)),
)
def test_a_difference_in_any_field_is_a_difference(change: dict[str, Any]) -> None:
    assert attrs.evolve(FULL_KIT, **change) != FULL_KIT


def test_models_of_two_kinds_are_never_equal() -> None:
    events: list[Model] = [KitEvent(status="delivered"), SampleEvent(status="delivered")]

    assert events[0] != events[1]


ENUMS = {
    KitStatus: "preparing in_transit delivered delivery_exception registered canceled",
    SampleStatus: "awaiting_collection collection_exception delivery_exception delivered in_transit received resulted "
    "partially_resulted extra_quality_checks canceled",
    SampleType: "adx100 adx100_2 adx100_4 whatman903_10 dry_transport_swab hemaspot_hf saliva_3",
    Carrier: "fedex ups usps",
    Sex: "M F",
    OrderStatus: "pending in_progress completed canceled",
    Country: "US CA",
}


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_an_enumeration_has_the_values_of_the_contract_in_upper_case_names(enum: type[StrEnum]) -> None:
    assert [member.value for member in enum] == ENUMS[enum].split()
    assert all(member.name == member.value.upper() for member in enum)


def test_a_member_compares_like_the_text_of_the_server() -> None:
    status: KitStatus | str = KitStatus.IN_TRANSIT

    assert status == "in_transit"
    assert f"{status}" == "in_transit"


def test_the_package_lists_every_model_and_enumeration() -> None:
    kinds: set[type[Any]] = {*FIELDS, *ENUMS}

    assert {cls.__name__ for cls in kinds} <= set(models.__all__)
    assert all(hasattr(models, name) for name in models.__all__)
