"""The SDK's own rows, enumerations and models against the table of facts."""

from collections.abc import Iterable
from enum import StrEnum
from importlib import import_module
from typing import Any, get_args, get_origin

import attrs
import pytest

from spotdx_async import models, resources
from spotdx_async._requests.answers import ListPage
from spotdx_async._requests.operation import Operation
from spotdx_async.models import enums
from tests.facts import FACTS, MODELS, SHAPES

NOUNS = [import_module(getattr(resources, name).__module__) for name in resources.__all__]
ENUMS = [
    kind
    for kind in vars(enums).values()
    if isinstance(kind, type) and issubclass(kind, StrEnum) and kind is not StrEnum
]
# The facts' words that are literals or plain text in the SDK: the laboratory's values, and the tags of results.
NO_ENUMS = {"Reactivity", "Genotype", "IsQuantity", "IsReactivity", "IsGenotype"}
# One class stands for two shapes, or carries what other answers are known to carry.
BESIDE = {
    "CreatedOrder": {"updated"},
    "Patient": {"patient_id", "address"},
    "RequisitionPatient": {"patient_id"},
}


def fields_of(model: type[models.Model]) -> set[str]:
    return {field.name for field in attrs.fields(model)} - {"extra", "_as_came"}


def test_the_nouns_rows_are_those_of_the_contract_each_once() -> None:
    ours = [as_row(row.method, row.path, row.query, is_replay_safe=row.is_replay_safe) for row in rows()]

    documented = [
        as_row(row["method"], row["path"], row.get("query", ()), is_replay_safe=row["is_replay_safe"])
        for row in FACTS["operations"]
    ]
    assert sorted(ours) == sorted(documented)


@pytest.mark.parametrize("documented", FACTS["operations"], ids=lambda row: row["name"])
def test_an_operation_is_read_into_what_the_contract_answers(documented: dict[str, Any]) -> None:
    (row,) = [row for row in rows() if (row.method, row.path) == (documented["method"], documented["path"])]
    kind = documented["answer"]

    if kind == ["string"]:
        assert row.answer == list[str]
    elif isinstance(kind, list):
        assert (get_origin(row.answer), get_args(row.answer)) == (ListPage, (SHAPES[kind[0]],))
    else:
        assert row.answer is SHAPES[kind]


def rows() -> list[Operation[Any]]:
    return [row for noun in NOUNS for row in noun.OPERATIONS]


def as_row(method: str, path: str, query: Iterable[str], *, is_replay_safe: bool) -> tuple[Any, ...]:
    return method, path, sorted(query), is_replay_safe


def test_every_enumeration_of_the_contract_is_there() -> None:
    assert {enum.__name__ for enum in ENUMS} == FACTS["enums"].keys() - NO_ENUMS


@pytest.mark.parametrize("enum", ENUMS)
def test_an_enumeration_has_the_documented_values_alone(enum: type[StrEnum]) -> None:
    assert sorted(member.value for member in enum) == sorted(FACTS["enums"][enum.__name__])


def test_every_shape_of_the_contract_has_a_model() -> None:
    assert SHAPES.keys() == FACTS["shapes"].keys()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_has_every_documented_field_and_no_other(shape: str) -> None:
    assert fields_of(SHAPES[shape]) == FACTS["shapes"][shape].keys() | BESIDE.get(shape, set())


@pytest.mark.parametrize("shape", ["Patient", "RequisitionPatient"])
def test_a_new_patient_has_what_the_contract_takes_and_an_address(shape: str) -> None:
    assert fields_of(models.NewPatient) == FACTS["shapes"][shape].keys() | {"address"}


def test_a_result_of_an_unknown_kind_has_what_all_kinds_have() -> None:
    assert fields_of(models.UnknownResult) == FACTS["shapes"]["Quantity"].keys()


def test_every_model_stands_for_a_shape_of_the_contract() -> None:
    # But for the input of two shapes, and what stands for kinds of result that may come.
    assert set(MODELS) - set(SHAPES.values()) == {models.NewPatient, models.UnknownResult}
    assert {getattr(models, name) for name in models.__all__} >= set(MODELS)
