"""The factories make every model, whole and valid, of nobody who exists."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from spotdx_async import InvalidInputError, check_new, dumps, loads, models
from spotdx_async.models import KitStatus, Model, UnknownResult
from spotdx_async.testing import FakeSpot, factories
from tests.facts import MODELS

NULL_IN_EVERY_EXAMPLE = {"unit_of_measure", "range_minimum", "range_maximum", "comments"}
# What the model has and an answer or request of its kind does not: an address, with a requisition alone.
LEFT_OUT = {"Patient": {"address"}, "NewPatient": {"address"}}


def factory_of(model: type[Model]) -> Callable[..., Any]:
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", model.__name__).lower()
    made: Callable[..., Any] = getattr(factories, f"make_{words}")
    return made


def test_every_model_has_a_factory_and_every_factory_a_model() -> None:
    assert sorted(factory_of(model).__name__ for model in MODELS) == sorted(factories.__all__)


@pytest.mark.parametrize("model", MODELS)
def test_a_factory_makes_its_model_with_every_field_filled(model: type[Model]) -> None:
    made = factory_of(model)()

    empty = {
        field.name
        for field in attrs.fields(model)
        if field.name not in {"extra", "_as_came"} and getattr(made, field.name) in (None, ())
    }
    assert type(made) is model
    assert empty <= NULL_IN_EVERY_EXAMPLE | LEFT_OUT.get(model.__name__, set())


@pytest.mark.parametrize("model", MODELS)
def test_its_json_form_reads_back_as_the_same_model(model: type[Model]) -> None:
    made = factory_of(model)(7)

    assert loads(dumps(made), model) == made


@pytest.mark.parametrize("model", MODELS)
def test_the_same_number_makes_an_equal_model(model: type[Model]) -> None:
    assert factory_of(model)(3) == factory_of(model)(3)


@pytest.mark.parametrize("model", [one for one in MODELS if not one.__name__.startswith("Activation")])
def test_another_number_makes_another_model(model: type[Model]) -> None:
    assert factory_of(model)(3) != factory_of(model)(4)


@pytest.mark.parametrize("model", MODELS)
def test_a_field_that_the_model_does_not_have_is_told_with_those_that_it_has(model: type[Model]) -> None:
    with pytest.raises(TypeError) as caught:
        factory_of(model)(verborgen=1)

    fields = [field.name for field in attrs.fields(model) if field.name != "_as_came"]
    assert str(caught.value) == f"{model.__name__} has no field 'verborgen': it has {', '.join(fields)}"


def test_a_misspelt_field_is_guessed() -> None:
    with pytest.raises(TypeError, match=r"no field 'kitid' \(did you mean 'kit_id'\?\): it has extra, kit_id, type"):
        factories.make_kit(kitid="SPOT000002")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("number", [0, -1, 1_000_000, 1.5, True, "1", None])
def test_what_is_no_number_of_a_thing_is_refused(model: type[Model], number: Any) -> None:
    with pytest.raises(ValueError, match="must be a whole number from 1 to 999999"):
        factory_of(model)(number)


@pytest.mark.parametrize("model", MODELS)
def test_the_last_number_is_as_good_as_the_first(model: type[Model]) -> None:
    assert loads(dumps(factory_of(model)(999_999)), model) == factory_of(model)(999_999)


def test_fields_are_set_by_keyword_and_the_rest_stays() -> None:
    kit = factories.make_kit(2, status=KitStatus.CANCELED, sample=None, extra={"added": 1})

    assert (kit.status, kit.sample, kit.extra) == ("canceled", None, {"added": 1})
    assert kit.kit_id == "SPOT000002"
    assert kit.registered_to == factories.make_registrant(2)


def test_things_of_one_number_belong_together() -> None:
    order = factories.make_order(5)

    assert order.kits == (factories.make_kit(5),)
    assert factories.make_order_summary(5).order_id == factories.make_kit_summary(5).order_id == order.order_id
    assert factories.make_patient(5).patient_id == factories.make_registrant(5).patient_id
    assert factories.make_requisition_summary(5).requisition_id == factories.make_requisition(5).requisition_id


def texts_in(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Model):
        for field in attrs.fields(type(value)):
            yield field.name, getattr(value, field.name)
            yield from texts_in(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from texts_in(item)


MADE_UP = {
    "first_name": r"Robin",
    "last_name": r"Sample \d+",
    "email": r"robin\.sample\.\d+@example\.com",
    "phone": r"20255501\d\d",
    "street1": r"\d+ Example Street",
    "zip": r"00000",
    "patient_id": r"00000000-0000-4000-8000-01\d{10}",
    "requisition_id": r"00000000-0000-4000-8000-02\d{10}",
    "tracking_number": r"1[123]\d{20}",
    "pdf": r"https://example\.com/reports/\d+\.pdf",
    "txt": r"https://example\.com/reports/\d+\.txt",
}


@pytest.mark.parametrize("number", [1, 54_321])
def test_nobody_in_a_model_exists(number: int) -> None:
    found = [pair for model in MODELS for pair in texts_in(factory_of(model)(number)) if pair[0] in MADE_UP]

    assert {name for name, _ in found} == MADE_UP.keys()
    assert [name for name, value in found if value is not None and not re.fullmatch(MADE_UP[name], value)] == []


@pytest.mark.parametrize("make", [factories.make_new_order, factories.make_new_patient, factories.make_new_requisition])
def test_what_is_to_be_created_passes_the_check(make: Callable[..., Any]) -> None:
    check_new(make())
    check_new(make(999_999))


def test_a_new_patient_with_an_address_can_activate_a_kit_and_cannot_be_created() -> None:
    patient = factories.make_new_patient(address=factories.make_address())

    check_new(patient, to_activate=True)
    with pytest.raises(InvalidInputError, match="address must be left out"):
        check_new(patient)


@pytest.mark.virtual_time
async def test_the_fake_accepts_what_is_to_be_created() -> None:
    async with FakeSpot() as fake, fake.client() as spot:
        for number in (1, 2):
            await spot.orders.create(factories.make_new_order(number))
            await spot.patients.create(factories.make_new_patient(number))
            await spot.requisitions.create(factories.make_new_requisition(number))

        assert [created.noun for created in fake.creations] == ["order", "patient", "requisition"] * 2


def test_a_result_of_no_known_kind_stays_one_when_it_is_read() -> None:
    report = factories.make_report(results=(factories.make_unknown_result(),))

    (result,) = loads(dumps(report), models.Report).results

    assert isinstance(result, UnknownResult)
    assert result.result_type == "made_up_kind"
