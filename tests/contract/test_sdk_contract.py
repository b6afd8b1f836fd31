"""The SDK's own rows and enumerations against the table of facts."""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import models
from spotdx_async.resources import kits

FACTS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))
# The operations that the SDK has rows for, by the module that holds them.
COVERED = {kits: ("update kit metadata", "get kit", "list kits", "list kit types")}


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


@pytest.mark.parametrize("enum", [models.KitStatus, models.SampleStatus, models.SampleType, models.Carrier, models.Sex])
def test_an_enumeration_has_the_documented_values_alone(enum: type[StrEnum]) -> None:
    assert {member.value for member in enum} == set(FACTS["enums"][enum.__name__])
