"""Properties of the codec over answers that are drawn: nothing is lost, both readers agree, nothing foreign escapes."""

import copy
import json
import pickle
from datetime import datetime
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
from tests.long_set import IS_FULL

pytestmark = pytest.mark.no_cover

M = TypeVar("M", bound=Model)
Json = st.SearchStrategy[Any]

WORD = st.text(max_size=12)
INTEGER = st.integers() | st.integers(min_value=-(10**60), max_value=10**60)
NUMBER = INTEGER | st.floats(allow_nan=False, allow_infinity=False)
ANY: Json = st.recursive(
    st.none() | st.booleans() | NUMBER | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=8,
)
ZONE = st.sampled_from(["Z", "Z", "Z", "", "z", "+00:00", "-08:00", "+0530", "+01"])
FRACTION = st.sampled_from(["", ".222", ",222", ".000", ".5", ".12345", ".123456", ".123456789"])
TIME = st.builds(
    lambda moment, day, mark, clock, fraction, zone: moment.strftime(f"{day}{mark}{clock}") + fraction + zone,
    st.datetimes(min_value=datetime(1999, 12, 31), max_value=datetime(2099, 12, 31)),  # noqa: DTZ001 - zones follow
    st.sampled_from(["%Y-%m-%d", "%Y-%m-%d", "%Y%m%d", "%G-W%V-%u"]),
    st.sampled_from(["T", "T", "T", " ", "t"]),
    st.sampled_from(["%H:%M:%S", "%H:%M:%S", "%H%M%S"]),
    FRACTION,
    ZONE,
)
DATE = st.dates().map(lambda day: day.isoformat())
LIMIT = NUMBER | NUMBER.map(str) | WORD


def known_or_not(*values: str) -> Json:
    return st.sampled_from([*values, "pending", "rejected"]) | WORD


def shape(**fields: Json) -> Json:
    """Draw objects in which each property is present, null or missing, beside properties that nobody knows."""
    nullable = {name: st.none() | values for name, values in fields.items()}
    unknown = st.dictionaries(WORD.filter(lambda name: name not in {*fields, "result_type"}), ANY, max_size=2)
    return st.builds(lambda some, more: {**more, **some}, st.fixed_dictionaries({}, optional=nullable), unknown)


def listed(items: Json) -> Json:
    return st.lists(items, max_size=2)


def tagged(results: Json, tag: Json) -> Json:
    return st.builds(lambda result, word: {**result, "result_type": word}, results, tag)


ABOUT_RESULT = {"name": WORD, "time_collected": TIME, "unit_of_measure": WORD, "comments": WORD}
LIMITS = {"range_minimum": LIMIT, "range_maximum": LIMIT}
QUANTITY = tagged(shape(**ABOUT_RESULT, **LIMITS, result=NUMBER | NUMBER.map(str) | WORD), st.just("quantity"))
REACTIVITY = tagged(shape(**ABOUT_RESULT, **LIMITS, result=WORD), st.just("reactivity"))
GENOTYPE = tagged(shape(**ABOUT_RESULT, **LIMITS, result=WORD), st.just("genotype"))
NEW_TAG = st.none() | st.sampled_from(["titer", "Quantity", ""])
LOOSE = shape(**dict.fromkeys([*ABOUT_RESULT, *LIMITS, "result"], ANY))
UNKNOWN = tagged(LOOSE, NEW_TAG) | LOOSE
EVENT = shape(status=known_or_not("preparing", "delivered", "resulted"), created=TIME)
SHIPMENT = shape(tracking_number=WORD, carrier=known_or_not("ups", "usps"), created=TIME)
REPORT = shape(
    report_id=WORD,
    results=listed(QUANTITY | REACTIVITY | GENOTYPE | UNKNOWN),
    pdf=WORD,
    txt=WORD,
    date_collected=TIME,
    date_received=TIME,
    date_resulted=TIME,
    is_amendment=st.booleans(),
)
REGISTRANT = shape(
    patient_id=WORD,
    first_name=WORD,
    last_name=WORD,
    date_of_birth=DATE,
    sex=known_or_not("M", "F"),
    email=WORD,
    phone=WORD,
)
SAMPLE = shape(
    sample_id=WORD,
    status=known_or_not("resulted", "received"),
    events=listed(EVENT),
    type=known_or_not("adx100", "saliva_3"),
    shipments=listed(SHIPMENT),
    panels=listed(WORD),
    reports=listed(st.none() | REPORT),
)
KIT = shape(
    kit_id=WORD,
    type=WORD,
    status=known_or_not("preparing", "registered"),
    events=listed(EVENT),
    shipment_to_customer=SHIPMENT,
    registered_to=REGISTRANT,
    sample=SAMPLE,
)
SUMMARY = shape(
    kit_id=WORD,
    kit_type=WORD,
    order_id=WORD,
    kit_status=known_or_not("preparing"),
    sample_status=known_or_not("resulted"),
    created=TIME,
    updated=TIME,
)
ADDRESS = shape(
    street1=WORD,
    street2=WORD,
    city=WORD,
    state=WORD,
    country=known_or_not("US", "CA"),
    zip=WORD,
)
RECIPIENT = shape(first_name=WORD, last_name=WORD, email=WORD, phone=WORD, address=ADDRESS)
METADATA = st.dictionaries(WORD, ANY, max_size=3)
ORDER_SUMMARY = shape(
    order_id=WORD,
    status=known_or_not("in_progress", "completed"),
    recipient=RECIPIENT,
    created=TIME,
    updated=TIME,
)
ORDER = shape(
    order_id=WORD,
    status=known_or_not("in_progress", "completed"),
    recipient=RECIPIENT,
    kit_types=listed(WORD),
    kits=listed(KIT),
    created=TIME,
    updated=TIME,
    metadata=METADATA,
)
NEW_ORDER = shape(kit_types=listed(WORD), recipient=RECIPIENT, metadata=METADATA)
# The address itself, or inside an object of its own, with others beside it or in its place.
WRAPPED = st.builds(
    lambda more, inner: {**more, "address": inner}, st.dictionaries(WORD, ANY, max_size=2), ADDRESS | st.none() | WORD
)
PERSON = {
    "first_name": WORD,
    "last_name": WORD,
    "email": WORD,
    "phone": WORD,
    "sex": known_or_not("M", "F"),
    "date_of_birth": DATE,
}
NEW_PATIENT = shape(**PERSON, address=ADDRESS)
PATIENT = shape(**PERSON, patient_id=WORD, address=ADDRESS | WRAPPED)
TRACKING = shape(tracking_number=WORD, carrier=known_or_not("ups", "usps"))
ATTRIBUTES = shape(crl_slip_id=WORD, crl_tier3_account_number=WORD)
REQUISITION_STATUS = known_or_not("created", "approved", "denied", "resulted")
REQUISITION_EVENT = shape(event=REQUISITION_STATUS, date=TIME)
SAMPLE_IN_A_LAB = {"barcode": WORD, "account_number": WORD, "lab": WORD, "panels": listed(WORD)}
NEW_REQUISITION = shape(
    **SAMPLE_IN_A_LAB,
    state_collected=WORD,
    patient=NEW_PATIENT,
    tracking=TRACKING,
    attributes=ATTRIBUTES,
    metadata=METADATA,
)
REQUISITION_SUMMARY = shape(
    **SAMPLE_IN_A_LAB,
    requisition_id=WORD,
    patient=PATIENT,
    status=REQUISITION_STATUS,
    created=TIME,
    updated=TIME,
)
REQUISITION = shape(
    **SAMPLE_IN_A_LAB,
    requisition_id=WORD,
    state_collected=WORD,
    patient=PATIENT,
    tracking=TRACKING,
    status=REQUISITION_STATUS,
    events=listed(REQUISITION_EVENT),
    reports=listed(st.none() | REPORT),
    attributes=ATTRIBUTES,
    metadata=METADATA,
    created=TIME,
    updated=TIME,
)
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
