"""No text that is made of a model shows patient data, and the fields stay readable."""

import pickle
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, TypeVar, get_args

import attrs
import pytest

from spotdx_async.models import (
    Activation,
    ActivationResult,
    Address,
    Carrier,
    GenotypeResult,
    Kit,
    KitEvent,
    Model,
    NewOrder,
    NewPatient,
    NewRequisition,
    Order,
    Patient,
    QuantityResult,
    ReactivityResult,
    Recipient,
    Registrant,
    RegistrationToken,
    Report,
    Requisition,
    RequisitionAttributes,
    RequisitionStatus,
    Result,
    Sample,
    Shipment,
    Tracking,
    UnknownResult,
    phi_fields,
)
from tests.facts import FACTS, MODELS, SHAPES
from tests.new_objects import part

M = TypeVar("M", bound=Model)

CANARY = "canary-7f3a"
BIRTH = date(1931, 3, 7)
HIDDEN: dict[type[Model], set[str]] = {
    # Those without a shape of the contract; and what an answer is known to carry beside its shape.
    NewPatient: {*FACTS["hidden"]["RequisitionPatient"]},
    UnknownResult: {*FACTS["hidden"]["Quantity"], "time_collected"},
    Patient: {"patient_id"},
}
for shape, names in FACTS["hidden"].items():
    HIDDEN.setdefault(SHAPES[shape], set()).update(names)


def planted(cls: type[M]) -> M:
    values: dict[str, Any] = {name: _canary(cls, name) for name in phi_fields(cls) - {"_as_came"}}
    return part(cls, **values, as_came={"comments": CANARY})


def _canary(cls: type[Model], name: str) -> Any:
    if name == "extra":
        return {"note": CANARY, CANARY: 1}
    if name == "date_of_birth":
        return BIRTH
    return (CANARY,) if attrs.fields_dict(cls)[name].default == () else CANARY


def texts(value: Any) -> Iterator[str]:
    yield repr(value)
    yield str(value)
    yield f"{value}"
    yield f"{value!a}"
    yield f"{[value]}"


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_no_text_of_a_model_shows_what_is_planted_in_its_hidden_fields(cls: type[Model]) -> None:
    model = planted(cls)

    for text in texts(model):
        assert CANARY not in text
        assert "1931" not in text
    assert CANARY.encode() in pickle.dumps(model)  # planted for sure


def test_a_kit_does_not_show_what_its_parts_hide() -> None:
    results: list[Result] = [
        planted(QuantityResult),
        planted(ReactivityResult),
        planted(GenotypeResult),
        planted(UnknownResult),
    ]
    report = attrs.evolve(planted(Report), results=tuple(results))
    sample = attrs.evolve(planted(Sample), reports=(report,), shipments=(planted(Shipment),))
    kit = attrs.evolve(planted(Kit), registered_to=planted(Registrant), sample=sample)

    assert all(CANARY not in text and "1931" not in text for text in texts(kit))


def test_an_order_does_not_show_what_its_parts_hide() -> None:
    recipient = attrs.evolve(planted(Recipient), address=planted(Address))
    kit = attrs.evolve(planted(Kit), registered_to=planted(Registrant))
    order = attrs.evolve(planted(Order), metadata={CANARY: CANARY}, recipient=recipient, kits=(kit,))

    assert all(CANARY not in text and "1931" not in text for text in texts(order))


def test_an_order_that_is_to_be_placed_does_not_show_what_its_parts_hide() -> None:
    recipient = attrs.evolve(planted(Recipient), address=planted(Address))
    order = attrs.evolve(planted(NewOrder), metadata={CANARY: CANARY}, recipient=recipient)

    assert all(CANARY not in text for text in texts(order))


def test_a_requisition_does_not_show_what_its_parts_hide() -> None:
    requisition = attrs.evolve(
        planted(Requisition),
        patient=attrs.evolve(planted(Patient), address=planted(Address)),
        tracking=planted(Tracking),
        attributes=planted(RequisitionAttributes),
    )

    assert all(CANARY not in text and "1931" not in text for text in texts(requisition))


def test_a_requisition_that_is_to_be_made_does_not_show_what_its_parts_hide() -> None:
    requisition = attrs.evolve(
        planted(NewRequisition),
        patient=attrs.evolve(planted(NewPatient), address=planted(Address)),
        tracking=planted(Tracking),
        attributes=planted(RequisitionAttributes),
    )

    assert all(CANARY not in text and "1931" not in text for text in texts(requisition))


def test_an_order_shows_what_is_no_patient_data() -> None:
    order = Order(
        order_id="O1", status="held", recipient=part(Recipient, first_name="Alice"), kit_types=("k",), metadata={}
    )

    assert repr(order) == ("Order(order_id='O1', status='held', recipient=Recipient(<hidden>), kit_types=('k',))")
    assert repr(attrs.evolve(order, recipient=None, metadata={"a": 1})).endswith("kit_types=('k',), <hidden>)")


def test_a_requisition_shows_what_is_no_patient_data() -> None:
    requisition = Requisition(
        requisition_id="r1",
        barcode="b1",
        account_number="a1",
        lab="CRL",
        panels=("PANEL-123",),
        state_collected="OH",
        patient=Patient(first_name="Alice"),
        tracking=Tracking(tracking_number="94001", carrier=Carrier.UPS),
        status=RequisitionStatus.DENIED,
        attributes=RequisitionAttributes(crl_slip_id="1"),
    )

    assert repr(requisition) == (
        "Requisition(requisition_id='r1', barcode='b1', account_number='a1', lab='CRL', patient=Patient(<hidden>), "
        "tracking=Tracking(carrier=<Carrier.UPS: 'ups'>, <hidden>), status=<RequisitionStatus.DENIED: 'denied'>, "
        "attributes=RequisitionAttributes(<hidden>), <hidden>)"
    )


def test_a_registration_token_shows_that_there_is_one_and_not_which() -> None:
    token = RegistrationToken(token="secret-7f3a")

    assert repr(token) == "RegistrationToken(<hidden>)"
    assert token.token == "secret-7f3a"


def test_the_answer_to_an_activation_is_shown() -> None:
    assert repr(Activation(data=ActivationResult(result="success"))) == (
        "Activation(data=ActivationResult(result='success'))"
    )


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_the_hidden_fields_are_listed(cls: type[Model]) -> None:
    assert phi_fields(cls) == HIDDEN.get(cls, set()) | {"extra", "_as_came"}


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_what_other_tools_make_of_the_fields_hides_them_too(cls: type[Model]) -> None:
    shown_by_attrs = {field.name for field in attrs.fields(cls) if field.repr}

    assert not shown_by_attrs & phi_fields(cls)


def test_hidden_fields_stay_readable() -> None:
    registrant = Registrant(first_name="Alice", date_of_birth=BIRTH)

    assert (registrant.first_name, registrant.date_of_birth) == ("Alice", BIRTH)


def test_a_model_with_hidden_values_alone_says_so() -> None:
    assert repr(Registrant(first_name="Alice")) == "Registrant(<hidden>)"
    assert repr(Registrant(extra={"a": 1})) == "Registrant(<hidden>)"


def test_an_empty_model_hides_nothing() -> None:
    assert repr(Registrant()) == "Registrant()"


@pytest.mark.parametrize("result", [0, 0.0, "", False])
def test_a_hidden_value_that_counts_as_false_is_a_value(result: Any) -> None:
    assert repr(UnknownResult(result=result)) == "UnknownResult(<hidden>)"


def test_what_is_no_patient_data_shows() -> None:
    moment = datetime(2023, 1, 1, tzinfo=UTC)
    kit = Kit(
        kit_id="SPOT1", type="k", status="pending", events=(KitEvent(created=moment),), registered_to=Registrant()
    )

    assert repr(kit) == (
        "Kit(kit_id='SPOT1', type='k', status='pending', "
        f"events=(KitEvent(created={moment!r}),), registered_to=Registrant())"
    )


def test_control_characters_of_an_unknown_value_are_escaped() -> None:
    assert repr(KitEvent(status="a\n\x1b[31mb")) == r"KitEvent(status='a\n\x1b[31mb')"


def test_the_kinds_of_result_that_are_checked_here_are_all() -> None:
    annotation = attrs.fields(Report).results.type

    assert set(get_args(get_args(annotation)[0])) == {
        kind for kind in MODELS if "result_type" in attrs.fields_dict(kind)
    }


def test_completion_offers_no_private_field() -> None:
    kit = planted(Kit)

    assert [name for name in dir(kit) if name.startswith("_") and not name.startswith("__")] == []
    assert {"kit_id", "status", "sample", "extra"} <= {*dir(kit)}
