"""The SDK's own rows and enumerations against the table of facts."""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs
import pytest

from spotdx_async import models
from spotdx_async.resources import kits, orders

FACTS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))
# The operations that the SDK has rows for, by the module that holds them.
COVERED = {
    kits: ("update kit metadata", "get kit", "list kits", "list kit types"),
    orders: ("update order metadata", "get order"),
}
ENUMS = (
    *(models.KitStatus, models.SampleStatus, models.SampleType, models.Carrier, models.Sex),
    *(models.OrderStatus, models.Country),
)
# The facts' name of a shape and the SDK's, where an answer's whole tree is covered.
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
    "Order": models.Order,
    "CreatedOrder": models.Order,
    "Recipient": models.Recipient,
    "Address": models.Address,
}


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


@pytest.mark.parametrize("enum", ENUMS)
def test_an_enumeration_has_the_documented_values_alone(enum: type[StrEnum]) -> None:
    assert {member.value for member in enum} == set(FACTS["enums"][enum.__name__])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_has_every_documented_field_and_no_other(shape: str) -> None:
    ours = {field.name for field in attrs.fields(SHAPES[shape])} - {"extra", "_as_came"}
    documented = set(FACTS["shapes"][shape])

    assert ours == documented | ({"updated"} if shape == "CreatedOrder" else set())
