"""Requisitions from JSON and back: the documented examples, both forms of a patient's address, models made here."""

import json
import pickle
from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest

from spotdx_async import DecodeError, InvalidInputError, dumps, loads
from spotdx_async._codec.codec import tree
from spotdx_async.models import (
    Activation,
    ActivationResult,
    Address,
    Carrier,
    Country,
    NewOrder,
    NewPatient,
    NewRequisition,
    Patient,
    QuantityResult,
    Recipient,
    RegistrationToken,
    Report,
    Requisition,
    RequisitionAttributes,
    RequisitionEvent,
    RequisitionStatus,
    RequisitionSummary,
    Sex,
    Tracking,
)
from tests.new_objects import part

CANARY = "canary-7f3a"
MOMENT = datetime(2020, 1, 1, tzinfo=UTC)
HOME_AS_IT_COMES = {
    "street1": "123 Main St",
    "street2": "Apt 1",
    "city": "San Francisco",
    "state": "CA",
    "country": "US",
    "zip": "94105",
}
HOME = Address(
    street1="123 Main St", street2="Apt 1", city="San Francisco", state="CA", country=Country.US, zip="94105"
)
# The examples that the vendor's document gives for each property of a requisition.
EXAMPLE: dict[str, Any] = {
    "requisition_id": "f0e5a607-5b52-4d7c-a3f2-c40772d41482",
    "barcode": "19742938328",
    "account_number": "1234567890",
    "lab": "CRL",
    "panels": ["PANEL-123"],
    "state_collected": "OH",
    "patient": {
        "first_name": "Alice",
        "last_name": "Smith",
        "email": "alice123@gmail.com",
        "phone": "1234567890",
        "sex": "F",
        "date_of_birth": "1990-01-31",
        "address": {"address": HOME_AS_IT_COMES},
    },
    "tracking": {"tracking_number": "9400123456789999876500", "carrier": "usps"},
    "status": "resulted",
    "events": [
        {"event": "created", "date": "2020-01-01T00:00:00Z"},
        {"event": "on_hold", "date": "2020-01-01T00:00:00Z"},
    ],
    "reports": [{"report_id": "r1", "results": [{"result_type": "quantity", "result": "<10"}]}, None],
    "attributes": {"crl_slip_id": "1234567890", "crl_tier3_account_number": "12345678"},
    "metadata": {"some_key": "some_value"},
    "created": "2020-01-01T00:00:00Z",
    "updated": "2020-01-01T00:00:00Z",
}
READ = Requisition(
    requisition_id="f0e5a607-5b52-4d7c-a3f2-c40772d41482",
    barcode="19742938328",
    account_number="1234567890",
    lab="CRL",
    panels=("PANEL-123",),
    state_collected="OH",
    patient=Patient(
        first_name="Alice",
        last_name="Smith",
        email="alice123@gmail.com",
        phone="1234567890",
        sex=Sex.F,
        date_of_birth=date(1990, 1, 31),
        address=HOME,
    ),
    tracking=Tracking(tracking_number="9400123456789999876500", carrier=Carrier.USPS),
    status=RequisitionStatus.RESULTED,
    events=(
        RequisitionEvent(event=RequisitionStatus.CREATED, date=MOMENT),
        RequisitionEvent(event="on_hold", date=MOMENT),
    ),
    reports=(Report(report_id="r1", results=(QuantityResult(result="<10"),)), None),
    attributes=RequisitionAttributes(crl_slip_id="1234567890", crl_tier3_account_number="12345678"),
    metadata={"some_key": "some_value"},
    created=MOMENT,
    updated=MOMENT,
)
SUMMARY_FIELDS = ("requisition_id", "barcode", "account_number", "lab", "panels", "patient", "status", "created")
FORMS: dict[str, Any] = {
    "plain": HOME_AS_IT_COMES,
    "wrapped": {"address": HOME_AS_IT_COMES},
    "wrapped, others beside it": {"address": HOME_AS_IT_COMES, "verified": True, "score": 1.0},
    "wrapped, an old form beside it": {"city": "Berlin", "address": HOME_AS_IT_COMES},
    "wrapped, the others null": {"address": {**HOME_AS_IT_COMES, "street2": None}},
    "plain, others in it": {**HOME_AS_IT_COMES, "planet": "Earth"},
    "plain and empty": {},
    "wrapped and empty": {"address": {}},
    "null": None,
    "wrapped null": {"address": None},
    "wrapped text": {"address": "123 Main St, San Francisco"},
    "wrapped twice": {"address": {"address": HOME_AS_IT_COMES}},
}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def read_patient(address: Any) -> Patient:
    return loads(json.dumps({"first_name": "Alice", "address": address}), Patient)


def canonical(value: Any) -> str:
    """Write JSON so that equal text means equal JSON: Python alone takes True for 1 and 1 for 1.0."""
    return json.dumps(value, sort_keys=True)


def written(model: Any) -> str:
    return canonical(json.loads(dumps(model)))


# The documented examples


def test_the_documented_example_is_read_field_by_field() -> None:
    assert loads(json.dumps(EXAMPLE), Requisition) == READ


def test_what_came_goes_out() -> None:
    assert written(loads(json.dumps(EXAMPLE), Requisition)) == canonical(EXAMPLE)


def test_an_object_without_a_word_is_an_empty_requisition() -> None:
    requisition = loads(b"{}", Requisition)

    assert requisition == Requisition()
    assert dumps(requisition) == b"{}"


def test_a_list_of_summaries_is_read_and_written() -> None:
    rows = [{name: EXAMPLE[name] for name in SUMMARY_FIELDS}, {}, {"status": None, "note": [1]}]

    summaries = loads(json.dumps(rows), tuple[RequisitionSummary, ...])

    assert [summary.barcode for summary in summaries] == ["19742938328", None, None]
    assert summaries[0].patient == READ.patient
    assert summaries[0].status is RequisitionStatus.RESULTED
    assert summaries[2].extra == {"note": [1]}
    assert written(summaries) == canonical(rows)


def test_the_answer_to_a_new_patient_keeps_the_id_that_no_document_names() -> None:
    patient = loads(b'{"patient_id":"6c9f","first_name":"Alice"}', Patient)

    assert patient == Patient(patient_id="6c9f", first_name="Alice")


def test_the_answer_to_an_activation_is_read() -> None:
    activation = loads(b'{"data":{"result":"success"}}', Activation)

    assert activation == Activation(data=ActivationResult(result="success"))


def test_an_answer_to_an_activation_that_nobody_knows_is_kept() -> None:
    text = b'{"data":null,"message":"registered"}'

    activation = loads(text, Activation)

    assert activation == Activation(extra={"message": "registered"})
    assert dumps(activation) == b'{"data":null,"message":"registered"}'


def test_a_registration_token_is_read() -> None:
    assert loads(b'{"token":"secret"}', RegistrationToken) == RegistrationToken(token="secret")


# The two forms of an address


@pytest.mark.parametrize(
    "form",
    [
        HOME_AS_IT_COMES,
        {"address": HOME_AS_IT_COMES},
        {"address": HOME_AS_IT_COMES, "verified": True},
        {"city": "Berlin", "address": HOME_AS_IT_COMES},
    ],
)
def test_both_forms_of_an_address_are_the_same_address(form: Any) -> None:
    assert read_patient(form).address == HOME


def test_where_no_object_is_wrapped_the_address_is_the_outer_one() -> None:
    assert read_patient(None).address is None
    assert read_patient({"address": None}).address == part(Address, extra={"address": None})
    assert read_patient({"address": CANARY, "city": "B"}).address == part(Address, city="B", extra={"address": CANARY})


def test_an_address_is_unwrapped_once() -> None:
    assert read_patient({"address": {"address": HOME_AS_IT_COMES}}).address == part(
        Address, extra={"address": HOME_AS_IT_COMES}
    )


@each_form
def test_each_form_goes_out_as_it_came(form: Any) -> None:
    assert written(read_patient(form)) == canonical({"first_name": "Alice", "address": form})


@each_form
def test_each_form_goes_out_as_it_came_when_another_field_was_changed(form: Any) -> None:
    changed = attrs.evolve(read_patient(form), first_name="Bob")

    assert written(changed) == canonical({"first_name": "Bob", "address": form})


@each_form
def test_each_form_goes_out_as_it_came_after_pickling(form: Any) -> None:
    again = pickle.loads(pickle.dumps(read_patient(form)))

    assert written(again) == canonical({"first_name": "Alice", "address": form})


@each_form
def test_each_form_stays_as_it_came_inside_a_requisition(form: Any) -> None:
    came = {**EXAMPLE, "patient": {**EXAMPLE["patient"], "address": form}}

    assert written(loads(json.dumps(came), Requisition)) == canonical(came)


@each_form
def test_another_address_goes_out_in_place_of_each_form(form: Any) -> None:
    changed = attrs.evolve(read_patient(form), address=part(Address, city="Springfield", state="OH"))

    assert written(changed) == canonical({"first_name": "Alice", "address": {"city": "Springfield", "state": "OH"}})


@pytest.mark.parametrize("form", [HOME_AS_IT_COMES, {"address": HOME_AS_IT_COMES}])
def test_a_changed_field_of_an_address_goes_out_with_the_others_as_they_came(form: Any) -> None:
    patient = read_patient(form)
    assert patient.address is not None

    changed = attrs.evolve(patient, address=attrs.evolve(patient.address, zip="94107"))

    assert written(changed) == canonical({"first_name": "Alice", "address": {**HOME_AS_IT_COMES, "zip": "94107"}})


@pytest.mark.parametrize("form", [HOME_AS_IT_COMES, {"address": HOME_AS_IT_COMES}])
def test_an_address_that_was_taken_away_is_not_written(form: Any) -> None:
    changed = attrs.evolve(read_patient(form), address=None)

    assert written(changed) == canonical({"first_name": "Alice"})


def test_an_equal_address_of_ones_own_leaves_what_came() -> None:
    changed = attrs.evolve(read_patient({"address": HOME_AS_IT_COMES}), address=HOME)

    assert written(changed) == canonical({"first_name": "Alice", "address": {"address": HOME_AS_IT_COMES}})


@pytest.mark.parametrize("wrap", [lambda inner: inner, lambda inner: {"address": inner}], ids=["plain", "wrapped"])
@pytest.mark.parametrize(
    ("came", "now"),
    [
        (1, True),
        (0, False),
        (True, 1),
        (1, 1.0),
        (2.0, 2),
        ([1, 0], [1, False]),
        ({"deep": [{"n": 1}]}, {"deep": [{"n": True}]}),
        ({"a": 1}, {"a": 1, "b": None}),
        ([1], [1, None]),
        (None, 0),
    ],
)
def test_a_change_that_python_takes_for_equal_is_written(wrap: Any, came: Any, now: Any) -> None:
    patient = read_patient(wrap({"city": "B", "floor": came}))
    assert patient.address is not None

    changed = attrs.evolve(patient, address=attrs.evolve(patient.address, extra={"floor": now}))

    assert json.dumps(json.loads(dumps(changed))["address"]) == json.dumps({"city": "B", "floor": now})


# Faults


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"patient": {"address": {"address": {"street1": 817_263}}}}, "patient.address.address.street1"),
        ({"patient": {"address": {"street1": 817_263}}}, "patient.address.street1"),
        ({"patient": {"address": CANARY}}, "patient.address"),
        ({"patient": {"address": [CANARY]}}, "patient.address"),
        ({"patient": {"date_of_birth": CANARY}}, "patient.date_of_birth"),
        ({"patient": CANARY}, "patient"),
        ({"tracking": [CANARY]}, "tracking"),
        ({"tracking": {"carrier": 817_263}}, "tracking.carrier"),
        ({"attributes": {"crl_slip_id": 817_263}}, "attributes.crl_slip_id"),
        ({"panels": ["a", 817_263]}, "panels[1]"),
        ({"panels": CANARY}, "panels"),
        ({"events": [{}, {"date": CANARY}]}, "events[1].date"),
        ({"events": [None]}, "events[0]"),
        (
            {"reports": [None, {"results": [{"result_type": "genotype", "result": 817_263}]}]},
            "reports[1].results[0].result",
        ),
        ({"metadata": CANARY}, "metadata"),
    ],
)
def test_another_shape_is_a_decode_error_that_names_the_place_alone(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        loads(json.dumps({**EXAMPLE, **changes}), Requisition)

    assert (caught.value.path, caught.value.outcome) == (path, "done")
    assert "canary" not in repr(caught.value)
    assert "817" not in repr(caught.value)
    assert caught.value.__context__ is None


def test_a_fault_in_a_list_of_summaries_names_the_row() -> None:
    rows = [{}, {"patient": {"address": {"address": {"zip": 94105}}}}]

    with pytest.raises(DecodeError) as caught:
        loads(json.dumps(rows), tuple[RequisitionSummary, ...])

    assert caught.value.path == "[1].patient.address.address.zip"


# Models of one's own making


def test_a_new_requisition_is_written_as_the_contract_says() -> None:
    requisition = NewRequisition(
        barcode="19742938328",
        panels=["PANEL-123"],
        account_number="1234567890",
        lab="CRL",
        state_collected="OH",
        patient=NewPatient(
            first_name="Alice",
            last_name="Smith",
            email="alice123@gmail.com",
            sex=Sex.F,
            date_of_birth=date(1990, 1, 31),
            address=HOME,
        ),
        tracking=Tracking(tracking_number="94001", carrier=Carrier.USPS),
        attributes=RequisitionAttributes(crl_slip_id="1234567890"),
        metadata={"some_key": None},
        extra={"note": "first"},
    )

    assert json.loads(dumps(requisition)) == {
        "barcode": "19742938328",
        "panels": ["PANEL-123"],
        "account_number": "1234567890",
        "lab": "CRL",
        "state_collected": "OH",
        "patient": {
            "first_name": "Alice",
            "last_name": "Smith",
            "email": "alice123@gmail.com",
            "sex": "F",
            "date_of_birth": "1990-01-31",
            "address": HOME_AS_IT_COMES,
        },
        "tracking": {"tracking_number": "94001", "carrier": "usps"},
        "attributes": {"crl_slip_id": "1234567890"},
        "metadata": {"some_key": None},
        "note": "first",
    }


def test_a_new_order_is_written_as_the_contract_says() -> None:
    order = NewOrder(kit_types=("k", "k"), recipient=part(Recipient, first_name="Alice", address=HOME), metadata={})

    assert json.loads(dumps(order)) == {
        "kit_types": ["k", "k"],
        "recipient": {"first_name": "Alice", "address": HOME_AS_IT_COMES},
        "metadata": {},
    }


def test_what_is_to_be_sent_is_what_dumps_writes() -> None:
    patient = part(NewPatient, first_name="Alice", sex=Sex.F, date_of_birth=date(1990, 1, 31), address=HOME)

    assert tree(patient) == json.loads(dumps(patient))


def test_a_birth_date_that_was_given_as_text_is_written_as_it_is() -> None:
    patient = part(NewPatient, date_of_birth="1990-01-31")  # text is accepted where it is sent

    assert dumps(patient) == b'{"date_of_birth":"1990-01-31"}'


def test_a_patient_of_ones_own_is_written_with_the_address_itself() -> None:
    assert dumps(Patient(address=part(Address, city="B"))) == b'{"address":{"city":"B"}}'


def test_a_requisition_of_ones_own_is_written_and_read_again() -> None:
    assert loads(dumps(READ), Requisition) == READ


def test_metadata_of_ones_own_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"metadata\.when is of type datetime"):
        dumps(part(NewRequisition, metadata={"when": MOMENT}))


# Deep nesting


@pytest.mark.parametrize("depth", [300, 900])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"note":', b"}"),
        (b'{"metadata":', b"}"),
        (b'{"patient":{"note":', b"}}"),
        (b'{"patient":{"address":{"note":', b"}}}"),
        (b'{"patient":{"address":{"address":{"note":', b"}}}}"),
        (b'{"patient":{"address":{"address":null,"note":', b"}}}"),
    ],
)
def test_what_came_is_read_and_written_however_deep_it_is(depth: int, before: bytes, after: bytes) -> None:
    text = before + b'{"a":' * depth + b"1" + b"}" * depth + after

    assert dumps(loads(text, Requisition)) == text


def test_an_address_with_deep_unknown_fields_may_be_changed() -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    patient = loads(b'{"address":{"address":{"city":"B","note":' + deep + b"}}}", Patient)
    assert patient.address is not None

    changed = attrs.evolve(patient, address=attrs.evolve(patient.address, city="C"))

    assert dumps(changed) == b'{"address":{"city":"C","note":' + deep + b"}}"


def test_a_change_at_the_bottom_of_deep_unknown_fields_is_written() -> None:
    came, now = (b"[" * 900 + leaf + b"]" * 900 for leaf in (b"1", b"true"))
    patient = loads(b'{"address":{"note":' + came + b"}}", Patient)
    other = loads(b'{"address":{"note":' + now + b"}}", Patient)

    changed = attrs.evolve(patient, address=other.address)

    assert dumps(changed) == b'{"address":{"note":' + now + b"}}"


def test_a_long_number_beside_a_wrapped_address_keeps_its_digits() -> None:
    text = b'{"address":{"account":-9223372036854775809,"address":{}}}'

    assert dumps(loads(text, Patient)) == text


def test_what_is_sent_holds_no_null_that_was_read() -> None:
    text = b'{"first_name":"Robin","phone":null,"address":{"street1":"x","street2":null},"more":null}'

    assert tree(loads(text, NewPatient)) == {"first_name": "Robin", "address": {"street1": "x"}, "more": None}
