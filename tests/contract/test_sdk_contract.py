"""The SDK's own rows, enumerations and models against the table of facts."""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs
import pytest

from spotdx_async import models
from spotdx_async.models import enums
from spotdx_async.resources import kits, orders, patients, registration_tokens, requisitions

FACTS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))
# All operations of the contract, by the module that holds their rows.
COVERED = {
    kits: ("update kit metadata", "get kit", "list kits", "list kit types", "activate kit"),
    orders: ("create order", "update order metadata", "get order", "list orders"),
    requisitions: ("create requisition", "get requisition", "list requisitions"),
    patients: ("create patient",),
    registration_tokens: ("create registration token",),
}
ENUMS = [getattr(enums, name) for name in enums.__all__]
# The facts' words that are literals or plain text in the SDK: the laboratory's values, and the tags of results.
NO_ENUMS = {"Reactivity", "Genotype", "IsQuantity", "IsReactivity", "IsGenotype"}
# The facts' name of a shape and the SDK's.
SHAPES: dict[str, type[models.Model]] = {
    "Kit": models.Kit,
    "KitEvent": models.KitEvent,
    "SampleEvent": models.SampleEvent,
    "Shipment": models.Shipment,
    "Registrant": models.Registrant,
    "Sample": models.Sample,
    "Report": models.Report,
    "Quantity": models.QuantityResult,
    "ReactivityResult": models.ReactivityResult,
    "GenotypeResult": models.GenotypeResult,
    "KitSummary": models.KitSummary,
    "CreatedOrder": models.Order,
    "Order": models.Order,
    "OrderSummary": models.OrderSummary,
    "CreateOrder": models.NewOrder,
    "Recipient": models.Recipient,
    "Address": models.Address,
    "Patient": models.Patient,
    "RequisitionPatient": models.Patient,
    "CreateRequisition": models.NewRequisition,
    "Requisition": models.Requisition,
    "RequisitionEvent": models.RequisitionEvent,
    "Tracking": models.Tracking,
    "Attributes": models.RequisitionAttributes,
    "RequisitionSummary": models.RequisitionSummary,
    "RegistrationToken": models.RegistrationToken,
    "Activation": models.Activation,
    "ActivationResult": models.ActivationResult,
}
# One class stands for two shapes, or carries what other answers are known to carry.
BESIDE = {
    "CreatedOrder": {"updated"},
    "Patient": {"patient_id", "address"},
    "RequisitionPatient": {"patient_id"},
}


def fields_of(model: type[models.Model]) -> set[str]:
    return {field.name for field in attrs.fields(model)} - {"extra", "_as_came"}


def test_the_modules_cover_every_operation_of_the_contract_once() -> None:
    covered = [name for names in COVERED.values() for name in names]

    assert sorted(covered) == sorted(row["name"] for row in FACTS["operations"])


@pytest.mark.parametrize(("module", "names"), COVERED.items())
def test_a_nouns_rows_are_those_of_the_contract(module: Any, names: tuple[str, ...]) -> None:
    documented = {
        (row["method"], row["path"], frozenset(row.get("query", ())), row["is_replay_safe"])
        for row in FACTS["operations"]
        if row["name"] in names
    }

    ours = {(row.method, row.path, frozenset(row.query), row.is_replay_safe) for row in module.OPERATIONS}

    assert ours == documented
    assert len(module.OPERATIONS) == len(names)


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


def test_every_model_stands_for_a_shape_of_the_contract() -> None:
    exported = {getattr(models, name) for name in models.__all__}
    ours = {model for model in exported if isinstance(model, type) and issubclass(model, models.Model)}

    # The root, the input of two shapes, and what stands for kinds of result that may come.
    assert ours - set(SHAPES.values()) == {models.Model, models.NewPatient, models.UnknownResult}
