"""A model as Python's own JSON values: what ``dumps`` writes, and nothing that ``json.dumps`` does not take."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import (
    Address,
    InvalidInputError,
    Kit,
    KitStatus,
    NewOrder,
    NewPatient,
    Recipient,
    dumps,
    loads,
    to_dict,
)
from tests.new_objects import part

SAMPLE = Path(__file__).parents[2] / "samples" / "kit.json"


@pytest.fixture
def kit() -> Kit:
    return loads(SAMPLE.read_bytes(), Kit)


def test_a_kit_is_what_the_server_sent(kit: Kit) -> None:
    values = to_dict(kit)

    assert values == json.loads(SAMPLE.read_bytes()) == json.loads(dumps(kit))
    assert loads(json.dumps(values), Kit) == kit


def test_there_is_nothing_but_plain_values(kit: Kit) -> None:
    order = NewOrder(
        kit_types=("health_kit_1",),
        recipient=Recipient(first_name="A", last_name="B", email="a@b.example", phone="1", address=None),
        metadata={"status": KitStatus.DELIVERED, "pair": (1, 2.5), "deep": {"none": None, "yes": True}},
    )

    for model in (kit, order, part(NewPatient, date_of_birth=date(1999, 12, 31))):
        assert {type(value) for value in values_in(to_dict(model))} <= {dict, list, str, int, float, bool, type(None)}
    assert to_dict(order)["metadata"] == {
        "status": "delivered",
        "pair": [1, 2.5],
        "deep": {"none": None, "yes": True},
    }


def values_in(tree: Any) -> list[Any]:
    inside = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [tree, *(value for item in inside for value in values_in(item))]


def test_a_list_of_models_is_a_list(kit: Kit) -> None:
    assert to_dict([kit, kit]) == to_dict((kit, kit)) == to_dict(each for each in (kit, kit)) == [to_dict(kit)] * 2
    assert to_dict(()) == []


def test_changing_it_leaves_the_model_alone() -> None:
    kit = loads(b'{"kit_id": "SPOT1", "metadata": {"cohort": "A"}}', Kit)

    to_dict(kit)["metadata"]["cohort"] = "B"

    assert kit.extra == {"metadata": {"cohort": "A"}}


@pytest.mark.parametrize(
    ("number", "integer"),
    [
        ("1e400", 10**400),
        ("-1E+400", -(10**400)),
        ("1.25e310", 125 * 10**308),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1e4299", 10**4299),
    ],
)
def test_a_number_beyond_a_float_is_the_integer_that_it_is(number: str, integer: int) -> None:
    values = to_dict(loads(f'{{"kit_id": "SPOT1", "new": [{{"n": {number}}}]}}', Kit))

    assert json.loads(json.dumps(values))["new"] == [{"n": integer}]


@pytest.mark.parametrize("number", ["1e4300", "1e99999999999999999999", f"1.{'1' * 400}e309", "1" * 4301])
def test_a_number_that_python_cannot_write_is_refused(number: str) -> None:
    kit = loads(f'{{"kit_id": "SPOT1", "new": {number}}}', Kit)

    with pytest.raises(InvalidInputError, match="use dumps") as caught:
        to_dict(kit)

    assert "1e" not in str(caught.value)
    assert caught.value.__context__ is None


def test_text_that_is_no_unicode_survives() -> None:
    kit = loads(b'{"kit_id": "SPOT1", "note": "\\ud800"}', Kit)

    assert loads(json.dumps(to_dict(kit)), Kit) == kit


def test_what_has_no_json_form_is_refused_as_dumps_does() -> None:
    with pytest.raises(InvalidInputError, match="NaN"):
        to_dict(part(NewOrder, kit_types=("a",), metadata={"share": float("nan")}))
    with pytest.raises(InvalidInputError, match=r"metadata\.who is of type Address"):
        to_dict(part(NewOrder, kit_types=("a",), metadata={"who": part(Address)}))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"kit_id": "canary"}, "dict"),
        ("canary", "str"),
        (None, "NoneType"),
        (7, "int"),
        (["canary"], "str"),
        (b"", "bytes"),
    ],
)
def test_what_is_no_model_is_refused_in_place_of_listing_its_keys(value: Any, kind: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        to_dict(value)

    assert str(caught.value) == f"to_dict takes a model, such as a Kit, or a list of them, not {kind}"
    with pytest.raises(InvalidInputError, match="not dict"):
        to_dict([loads(b'{"kit_id": "SPOT1"}', Kit), {"kit_id": "SPOT1"}])  # type: ignore[list-item]
