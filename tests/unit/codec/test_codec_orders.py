"""Orders from JSON and back: the documented example, nulls, and metadata that may hold anything."""

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from spotdx_async import DecodeError, InvalidInputError, dumps, loads
from spotdx_async.models import Address, Country, Kit, KitStatus, Order, OrderStatus, Recipient
from tests.new_objects import part

MOMENT = datetime(2023, 1, 1, 4, 30, 11, 222_000, tzinfo=UTC)
# The examples that the vendor's document gives for each property of an order.
EXAMPLE: dict[str, Any] = {
    "order_id": "O1234567",
    "status": "pending",
    "recipient": {
        "first_name": "Alice",
        "last_name": "Smith",
        "email": "alice123@gmail.com",
        "phone": "1234567890",
        "address": {
            "street1": "123 Main St",
            "street2": "Apt 1",
            "city": "San Francisco",
            "state": "CA",
            "country": "US",
            "zip": "94105",
        },
    },
    "kit_types": ["health_kit_1"],
    "kits": [{"kit_id": "SPOT123456", "type": "health_kit_1", "status": "preparing"}],
    "created": "2023-01-01T04:30:11.222Z",
    "updated": "2023-01-01T04:30:11.222Z",
    "metadata": {"some_key": "some_value"},
}


def read(**changes: Any) -> Order:
    return loads(json.dumps({**EXAMPLE, **changes}), Order)


def test_the_documented_example_is_read_field_by_field() -> None:
    assert read() == Order(
        order_id="O1234567",
        status=OrderStatus.PENDING,
        recipient=Recipient(
            first_name="Alice",
            last_name="Smith",
            email="alice123@gmail.com",
            phone="1234567890",
            address=Address(
                street1="123 Main St",
                street2="Apt 1",
                city="San Francisco",
                state="CA",
                country=Country.US,
                zip="94105",
            ),
        ),
        kit_types=("health_kit_1",),
        kits=(Kit(kit_id="SPOT123456", type="health_kit_1", status=KitStatus.PREPARING),),
        created=MOMENT,
        updated=MOMENT,
        metadata={"some_key": "some_value"},
    )


def test_what_came_goes_out() -> None:
    assert json.loads(dumps(read())) == EXAMPLE


def test_a_new_order_has_no_kits_and_was_never_updated() -> None:
    came = {name: value for name, value in EXAMPLE.items() if name != "updated"} | {"kits": [], "metadata": None}

    order = loads(json.dumps(came), Order)

    assert (order.kits, order.updated, order.metadata) == ((), None, None)
    assert json.loads(dumps(order)) == came


def test_unknown_values_and_fields_are_data() -> None:
    order = read(status="on_hold", recipient={"address": {"country": "MX", "planet": "Earth"}}, placed_by="someone")

    assert (order.status, type(order.status)) == ("on_hold", str)
    assert order.recipient is not None
    assert order.recipient.address == part(Address, country="MX", extra={"planet": "Earth"})
    assert order.extra == {"placed_by": "someone"}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"a": None, "b": [1, {"c": 1.5}], "": ""},
        {"number": 123456789012345678901234567890},
        {"number": 1e300},
        {"status": "pending", "order_id": 7},
    ],
)
def test_any_metadata_is_kept_as_it_came(metadata: dict[str, Any]) -> None:
    order = read(metadata=metadata)

    assert order.metadata == metadata
    assert json.loads(dumps(order))["metadata"] == metadata


@pytest.mark.parametrize(
    ("came", "changed"), [({"n": 1}, {"n": True}), ({"n": 1}, {"n": 1.0}), ({"n": [0]}, {"n": [False]}), ({}, None)]
)
def test_changed_metadata_goes_out_as_it_is_now(came: Any, changed: Any) -> None:
    order = attrs.evolve(read(metadata=came), metadata=changed)

    assert json.dumps(json.loads(dumps(order)).get("metadata")) == json.dumps(changed)


@pytest.mark.parametrize("depth", [150, 900])
def test_metadata_is_read_and_written_however_deep_it_is(depth: int) -> None:
    text = b'{"metadata":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"

    assert dumps(loads(text, Order)) == text


def test_metadata_of_ones_own_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"metadata\.when is of type datetime"):
        dumps(Order(metadata={"when": MOMENT}))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"metadata": ["Jane"]}, "metadata"),
        ({"metadata": "Jane"}, "metadata"),
        ({"recipient": "Jane"}, "recipient"),
        ({"recipient": {"address": {"zip": 94105}}}, "recipient.address.zip"),
        ({"kits": [{}, {"sample": "Jane"}]}, "kits[1].sample"),
        ({"kits": [None]}, "kits[0]"),
    ],
)
def test_another_shape_is_a_decode_error_that_names_the_place_alone(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(**changes)

    assert (caught.value.path, caught.value.outcome) == (path, "done")
    assert "Jane" not in f"{caught.value!r}"
    assert "94105" not in f"{caught.value!r}"
