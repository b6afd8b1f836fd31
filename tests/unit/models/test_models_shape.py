"""What users rely on in every model: fields as in the contract, defaults, frozen, copied, pickled, compared, hashed."""

import ast
import copy
import inspect
import pickle
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs
import pytest

from spotdx_async import models
from spotdx_async._requests import validation
from spotdx_async.models import (
    Address,
    Carrier,
    Country,
    GenotypeResult,
    Kit,
    KitEvent,
    KitStatus,
    Model,
    NewOrder,
    NewPatient,
    NewRequisition,
    Order,
    OrderStatus,
    OrderSummary,
    Patient,
    QuantityResult,
    ReactivityResult,
    Recipient,
    Registrant,
    Report,
    Requisition,
    RequisitionAttributes,
    RequisitionEvent,
    RequisitionStatus,
    Sample,
    SampleEvent,
    SampleStatus,
    SampleType,
    Sex,
    Shipment,
    Tracking,
    UnknownResult,
)
from spotdx_async.models.model import as_tuple, is_required
from tests.facts import MODELS
from tests.new_objects import part

NOON = datetime(2023, 1, 1, 12, tzinfo=UTC)
EVERY_MODEL = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)

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
    recipient=part(
        Recipient, first_name="Alice", address=part(Address, city="Springfield", country=Country.US, zip="00000")
    ),
    kit_types=("health_kit_1",),
    kits=(FULL_KIT,),
    created=NOON,
    updated=NOON,
    metadata={"not": ["hashable"]},
)
FULL_REQUISITION = Requisition(
    requisition_id="r1",
    barcode="19742938328",
    lab="CRL",
    panels=("PANEL-123",),
    patient=Patient(first_name="Alice", date_of_birth=date(1990, 1, 1), address=part(Address, city="Springfield")),
    tracking=Tracking(carrier=Carrier.USPS),
    status=RequisitionStatus.APPROVED,
    events=(RequisitionEvent(event="on_hold", date=NOON),),
    reports=(None, Report(results=(QuantityResult(result="<10"),))),
    attributes=RequisitionAttributes(crl_slip_id="1"),
    metadata={"not": ["hashable"]},
)
NEW_REQUISITION = part(
    NewRequisition,
    barcode="19742938328",
    panels=("PANEL-123",),
    patient=part(NewPatient, first_name="Alice", sex=Sex.F, address=part(Address, city="Springfield")),
    metadata={"not": ["hashable"]},
)
NEW_ORDER = NewOrder(
    kit_types=("health_kit_1",),
    recipient=part(Recipient, first_name="Alice", address=part(Address, city="Springfield")),
    metadata={"not": ["hashable"]},
)
FULL: list[Model] = [FULL_KIT, FULL_ORDER, FULL_REQUISITION, NEW_REQUISITION, NEW_ORDER]
EVERY_FULL = pytest.mark.parametrize("full", FULL, ids=lambda full: type(full).__name__)


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


def test_every_field_of_every_model_has_a_line_beneath_it() -> None:
    silent = []
    for path in sorted(Path(models.__file__).parent.glob("*.py")):
        for cls in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)):
            silent += [f"{cls.name}.{name}" for name, line in fields_with_their_lines(cls) if not line]

    assert silent == []


def fields_with_their_lines(cls: ast.ClassDef) -> list[tuple[str, str]]:
    """List the annotated names of a class with the text beneath each; "" where there is none."""
    found = []
    for node, after in zip(cls.body, [*cls.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            beneath = after.value if isinstance(after, ast.Expr) else None
            text = beneath.value if isinstance(beneath, ast.Constant) else ""
            found.append((ast.unparse(node.target), str(text).strip()))
    return found


@EVERY_FULL
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_model_survives_pickling(full: Model, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(full, protocol))

    assert again == full


@pytest.mark.parametrize("full", [FULL_KIT, FULL_ORDER, FULL_REQUISITION], ids=lambda full: type(full).__name__)
def test_a_member_is_a_member_after_pickling(full: Kit | Order | Requisition) -> None:
    again = pickle.loads(pickle.dumps(full))

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
def test_models_that_are_equal_have_the_same_hash(full: Model) -> None:
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (KitEvent(status="delivered"), SampleEvent(status="delivered")),
        (part(NewPatient, first_name="Alice"), Patient(first_name="Alice")),
        (OrderSummary(order_id="O1"), Order(order_id="O1")),
    ],
)
def test_models_of_two_kinds_are_never_equal(one: Model, other: Model) -> None:
    assert one != other


# Lists that a caller gives


def test_a_list_becomes_a_tuple() -> None:
    items = ["a", "b"]

    assert as_tuple(items) == ("a", "b")
    assert items == ["a", "b"]


@pytest.mark.parametrize("value", [(), ("a",), "abc", b"abc", {"a"}, {"a": 1}, None, 5])
def test_what_is_no_list_stays_as_it_is(value: Any) -> None:
    assert as_tuple(value) is value


def test_the_lists_of_what_is_to_be_created_become_tuples() -> None:
    kit_types: Any = ["a", "a"]

    assert part(NewOrder, kit_types=kit_types).kit_types == ("a", "a")
    assert part(NewRequisition, panels=kit_types).panels == ("a", "a")
    assert hash(part(NewOrder, kit_types=kit_types)) == hash(part(NewOrder, kit_types=("a", "a")))


def test_a_text_in_place_of_a_list_is_not_taken_apart() -> None:
    text: Any = "abc"

    assert part(NewOrder, kit_types=text).kit_types is text


def test_a_list_that_is_given_to_evolve_becomes_a_tuple() -> None:
    kit_types: Any = ["b"]

    assert attrs.evolve(NEW_ORDER, kit_types=kit_types).kit_types == ("b",)


# Enumerations


ENUMS = {
    KitStatus: "preparing in_transit delivered delivery_exception registered canceled",
    SampleStatus: "awaiting_collection collection_exception delivery_exception delivered in_transit received resulted "
    "partially_resulted extra_quality_checks canceled",
    SampleType: "adx100 adx100_2 adx100_4 whatman903_10 dry_transport_swab hemaspot_hf saliva_3",
    Carrier: "fedex ups usps",
    Sex: "M F",
    OrderStatus: "pending in_progress completed canceled",
    Country: "US CA",
    RequisitionStatus: "created approved denied delivered received extra_quality_checks resulted rejected "
    "delivery_exception",
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
    kinds: set[type[Any]] = {*MODELS, *ENUMS}

    assert {cls.__name__ for cls in kinds} <= set(models.__all__)
    assert all(hasattr(models, name) for name in models.__all__)


ORDER_SHAPE: Any = validation.ORDER


@pytest.mark.parametrize(
    ("cls", "shape"),
    [
        (NewOrder, ORDER_SHAPE),
        (Recipient, ORDER_SHAPE.checks["recipient"]),
        (Address, ORDER_SHAPE.checks["recipient"].checks["address"]),
        (NewPatient, validation.PATIENT),
        (NewRequisition, validation.REQUISITION),
    ],
)
def test_what_a_model_says_is_required_is_what_is_checked_before_sending(cls: type[Model], shape: Any) -> None:
    assert {field.name for field in attrs.fields(cls) if is_required(field)} == shape.required
