"""Files of objects to be sent: read whole into their model, or refused by the place of the fault alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import InvalidInputError, NewOrder, NewRequisition
from spotdx_async.cli.model_file import read_to_send

ADDRESS = {"street1": "1 Canary Street", "city": "Springfield", "state": "IL", "country": "US", "zip": "00000"}
ORDER: dict[str, Any] = {
    "kit_types": ["health_kit_1"],
    "recipient": {
        "first_name": "Canary",
        "last_name": "Sample",
        "email": "c@example.org",
        "phone": "1",
        "address": ADDRESS,
    },
    "metadata": {"street_2": "free to be anything"},
}


def written(tmp_path: Path, value: Any) -> str:
    path = tmp_path / "object.json"
    path.write_text(json.dumps(value))
    return str(path)


def test_an_object_is_read_into_its_model(tmp_path: Path) -> None:
    order = read_to_send(written(tmp_path, ORDER), NewOrder, yes=False)

    assert order.kit_types == ("health_kit_1",)
    assert order.recipient is not None
    assert order.recipient.address is not None
    assert (order.recipient.first_name, order.recipient.address.city) == ("Canary", "Springfield")
    assert order.metadata == {"street_2": "free to be anything"}


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({**ORDER, "quantity": 2}, "quantity"),
        ({**ORDER, "recipient": {**ORDER["recipient"], "name": "Canary"}}, "recipient.name"),
        (
            {"recipient": {"address": {**ADDRESS, "street_2": "Canary"}, "phone_": "1"}, "kit": []},
            "kit, recipient.phone_, recipient.address.street_2",
        ),
        (dict.fromkeys("abcdefghijkl"), "a, b, c, d, e, f, g, h, i, j and 2 more"),
    ],
)
def test_a_field_that_the_api_does_not_have_never_gets_lost(tmp_path: Path, value: Any, fields: str) -> None:
    path = written(tmp_path, value)

    with pytest.raises(InvalidInputError) as caught:
        read_to_send(path, NewOrder, yes=False)

    assert str(caught.value) == f"{path}: unknown fields: {fields}"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"kit_types": "Canary"}, "kit_types"),
        ({"patient": ["Canary"]}, "patient"),
        ({"patient": {"date_of_birth": "Canary"}}, "patient.date_of_birth"),
        ({"patient": {"date_of_birth": "1990-02-30"}}, "patient.date_of_birth"),
        ({"patient": {"address": {"zip": 90210}}}, "patient.address.zip"),
        ({"panels": ["a", 1]}, "panels[1]"),
    ],
)
def test_a_value_of_another_shape_is_told_by_its_place(tmp_path: Path, value: Any, place: str) -> None:
    path = written(tmp_path, value)

    with pytest.raises(InvalidInputError) as caught:
        if "kit_types" in value:
            read_to_send(path, NewOrder, yes=False)
        else:
            read_to_send(path, NewRequisition, yes=False)

    assert str(caught.value).startswith(f"{path}: {place} should be ")
    assert "Canary" not in str(caught.value)
    assert "1990" not in str(caught.value)


def test_an_option_that_nobody_knows_is_no_file() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown option --nope: --help lists .* written \./--nope"):
        read_to_send("--nope", NewOrder, yes=True)


def test_standard_input_without_a_yes_is_not_even_read() -> None:
    with pytest.raises(InvalidInputError, match="give --yes"):
        read_to_send("-", NewOrder, yes=False)
