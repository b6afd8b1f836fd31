"""Properties of the codec over answers that are drawn: nothing is lost, both readers agree, nothing foreign escapes."""

import copy
import json
import pickle
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotdx_async import DecodeError, dumps, loads
from spotdx_async._codec import codec
from spotdx_async.models import (
    Activation,
    ActivationResult,
    Address,
    GenotypeResult,
    Kit,
    KitEvent,
    KitSummary,
    Model,
    NewOrder,
    NewPatient,
    NewRequisition,
    Order,
    OrderSummary,
    Patient,
    QuantityResult,
    ReactivityResult,
    Recipient,
    Registrant,
    RegistrationToken,
    Report,
    Requisition,
    RequisitionAttributes,
    RequisitionEvent,
    RequisitionSummary,
    Result,
    Sample,
    SampleEvent,
    Shipment,
    Tracking,
    UnknownResult,
)
from tests.drawn_answers import (
    ADDRESS,
    ANY,
    ATTRIBUTES,
    EVENT,
    GENOTYPE,
    KIT,
    NEW_ORDER,
    NEW_PATIENT,
    NEW_REQUISITION,
    ORDER,
    ORDER_SUMMARY,
    PATIENT,
    QUANTITY,
    REACTIVITY,
    RECIPIENT,
    REGISTRANT,
    REPORT,
    REQUISITION,
    REQUISITION_EVENT,
    REQUISITION_SUMMARY,
    SAMPLE,
    SHIPMENT,
    SUMMARY,
    TRACKING,
    UNKNOWN,
    WORD,
    listed,
    shape,
)
from tests.long_set import IS_FULL

pytestmark = pytest.mark.no_cover

M = TypeVar("M", bound=Model)
ACTIVATION_RESULT = shape(result=WORD)
ANSWER = st.one_of(
    st.tuples(st.just(Kit), KIT),
    st.tuples(st.just(KitSummary), SUMMARY),
    st.tuples(st.just(Order), ORDER),
    st.tuples(st.just(OrderSummary), ORDER_SUMMARY),
    st.tuples(st.just(NewOrder), NEW_ORDER),
    st.tuples(st.just(Recipient), RECIPIENT),
    st.tuples(st.just(Address), ADDRESS),
    st.tuples(st.just(KitEvent), EVENT),
    st.tuples(st.just(SampleEvent), EVENT),
    st.tuples(st.just(Shipment), SHIPMENT),
    st.tuples(st.just(Registrant), REGISTRANT),
    st.tuples(st.just(Sample), SAMPLE),
    st.tuples(st.just(Report), REPORT),
    st.tuples(st.just(QuantityResult), QUANTITY),
    st.tuples(st.just(ReactivityResult), REACTIVITY),
    st.tuples(st.just(GenotypeResult), GENOTYPE),
    st.tuples(st.just(UnknownResult), UNKNOWN),
    st.tuples(st.just(NewPatient), NEW_PATIENT),
    st.tuples(st.just(Patient), PATIENT),
    st.tuples(st.just(NewRequisition), NEW_REQUISITION),
    st.tuples(st.just(Requisition), REQUISITION),
    st.tuples(st.just(RequisitionSummary), REQUISITION_SUMMARY),
    st.tuples(st.just(RequisitionEvent), REQUISITION_EVENT),
    st.tuples(st.just(RequisitionAttributes), ATTRIBUTES),
    st.tuples(st.just(Tracking), TRACKING),
    st.tuples(st.just(RegistrationToken), shape(token=WORD)),
    st.tuples(st.just(Activation), shape(data=ACTIVATION_RESULT)),
    st.tuples(st.just(ActivationResult), ACTIVATION_RESULT),
    st.tuples(st.just(tuple[KitSummary, ...]), listed(SUMMARY)),
    st.tuples(st.just(tuple[RequisitionSummary, ...]), listed(REQUISITION_SUMMARY)),
    st.tuples(st.just(tuple[Result, ...]), listed(QUANTITY | UNKNOWN)),
)
MANY = settings(max_examples=300 if IS_FULL else 100, suppress_health_check=[HealthCheck.too_slow])


def canonical(value: Any) -> str:
    """Write JSON so that equal text means equal JSON: Python alone takes True for 1 and 1 for 1.0."""
    return json.dumps(value, sort_keys=True)


@MANY
@given(ANSWER)
def test_what_came_goes_out_equal(answer: tuple[Any, Any]) -> None:
    type_, tree = answer

    model = loads(json.dumps(tree), type_)

    assert canonical(json.loads(dumps(model))) == canonical(tree)


@MANY
@given(ANSWER)
def test_both_readers_give_the_same_model(answer: tuple[Any, Any]) -> None:
    type_, tree = answer

    model = loads(json.dumps(tree), type_)
    careful, error = codec._read_with_care(json.dumps(tree).encode(), type_, None)

    assert error is None
    assert careful == model
    assert repr(careful) == repr(model)
    assert canonical(json.loads(dumps(careful))) == canonical(tree)


@MANY
@given(st.tuples(st.just(Kit), KIT) | st.tuples(st.just(Order), ORDER) | st.tuples(st.just(Requisition), REQUISITION))
def test_copies_lose_nothing(answer: tuple[Any, Any]) -> None:
    type_, tree = answer
    model = loads(json.dumps(tree), type_)

    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), attrs.evolve(model)):
        assert again == model
        assert hash(again) == hash(model)
        assert canonical(json.loads(dumps(again))) == canonical(tree)


@MANY
@given(KIT, WORD)
def test_a_changed_field_comes_out_changed_and_all_else_as_it_came(tree: Any, kit_id: str) -> None:
    kit = attrs.evolve(loads(json.dumps(tree), Kit), kit_id=kit_id)

    assert canonical(json.loads(dumps(kit))) == canonical({**tree, "kit_id": kit_id})


@MANY
@given(ORDER, st.dictionaries(WORD, ANY, max_size=3))
def test_changed_metadata_comes_out_changed_even_where_python_takes_it_for_equal(tree: Any, metadata: Any) -> None:
    order = attrs.evolve(loads(json.dumps(tree), Order), metadata=metadata)

    assert canonical(json.loads(dumps(order))) == canonical({**tree, "metadata": metadata})


@MANY
@given(PATIENT)
def test_a_patient_goes_out_as_it_came_in_whatever_form_the_address_is(tree: Any) -> None:
    assert canonical(json.loads(dumps(loads(json.dumps(tree), Patient)))) == canonical(tree)


@MANY
@given(PATIENT, ADDRESS)
def test_a_changed_address_comes_out_changed_in_whatever_form_the_old_one_came(tree: Any, address: Any) -> None:
    patient = loads(json.dumps({**tree, "address": {"address": {"zip": "0"}}}), Patient)

    changed = attrs.evolve(patient, address=loads(json.dumps({**address, "city": "Springfield"}), Address))

    assert canonical(json.loads(dumps(changed))) == canonical({**tree, "address": {**address, "city": "Springfield"}})


@MANY
@given(ADDRESS, st.dictionaries(WORD, ANY, max_size=2))
def test_an_address_is_the_same_in_both_forms(address: Any, beside: Any) -> None:
    inner = {**address, "city": "Springfield"}

    plain = loads(json.dumps({"address": inner}), Patient)
    wrapped = loads(json.dumps({"address": {**beside, "address": inner}}), Patient)

    assert wrapped == plain


@MANY
@given(st.tuples(st.just(Kit), KIT) | st.tuples(st.just(Requisition), REQUISITION), st.data())
def test_any_value_at_any_place_is_read_or_a_decode_error(answer: tuple[Any, Any], data: st.DataObject) -> None:
    type_, tree = answer
    holder = tree
    while isinstance(holder, (dict, list)) and holder:
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if not isinstance(holder[key], (dict, list)) or not holder[key] or data.draw(st.booleans()):
            holder[key] = data.draw(ANY)
            break
        holder = holder[key]

    model = read_or_fault(json.dumps(tree), type_)

    if isinstance(model, DecodeError):
        assert (model.outcome, model.__context__) == ("done", None)
    else:
        assert canonical(json.loads(dumps(model))) == canonical(tree)


@MANY
@given(st.binary(max_size=40) | st.text(max_size=40) | ANY.map(json.dumps))
def test_any_text_is_read_or_a_decode_error(text: bytes | str) -> None:
    kit = read_or_fault(text, Kit)

    assert isinstance(kit, Kit) or kit.outcome in {"done", "unknown"}


def read_or_fault(text: bytes | str, type_: type[M]) -> M | DecodeError:
    try:
        return loads(text, type_)
    except DecodeError as error:
        return error
