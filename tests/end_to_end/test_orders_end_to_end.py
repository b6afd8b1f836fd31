"""What a user asks about orders, against the fake server."""

import asyncio
import logging
import pickle
import traceback
from typing import Any

import attrs
import pytest

from spotdx_async import (
    DecodeError,
    InvalidInputError,
    KitStatus,
    NotFoundError,
    OrderStatus,
    OutcomeUnknownError,
    RetryPolicy,
    SpotClient,
    SpotError,
)
from spotdx_async.testing import FakeSpot, faults

CANARIES = ("Robin", "Sample", "robin.sample", "2025550147", "Example Street", "Springfield", "canary")


async def test_an_update_replaces_the_metadata_and_gives_the_order(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    order = await spot_client.orders.update_metadata("ORDER123456", {"cohort": "A", "visit": 2})

    assert fake_spot.orders["ORDER123456"].metadata == {"cohort": "A", "visit": 2}
    assert order.order_id == "ORDER123456"
    assert order.status is OrderStatus.IN_PROGRESS
    assert order.metadata == {"cohort": "A", "visit": 2}
    assert order.updated is not None
    assert [(kit.kit_id, kit.status) for kit in order.kits] == [("SPOT345678", KitStatus.IN_TRANSIT)]


async def test_an_order_comes_with_its_recipient(spot_client: SpotClient) -> None:
    order = await spot_client.orders.get("O1234567")

    assert (order.status, order.kit_types, order.kits) == (OrderStatus.PENDING, ("health_kit_1",), ())
    assert (order.updated, order.metadata) == (None, None)
    assert order.recipient is not None
    assert order.recipient.address is not None
    assert (order.recipient.first_name, order.recipient.address.zip) == ("Robin", "00000")


async def test_an_order_with_next_to_nothing_is_read(spot_client: SpotClient) -> None:
    order = await spot_client.orders.get("O2345678")

    assert (order.status, order.recipient, order.kit_types) == (OrderStatus.CANCELED, None, ())


async def test_a_gathered_batch_updates_every_order(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    order_ids = fake_spot.orders.add_many(200)

    orders = await asyncio.gather(*(spot_client.orders.update_metadata(one, {"of": one}) for one in order_ids))

    assert [order.metadata for order in orders] == [{"of": one} for one in order_ids]
    assert sorted(entry.order_id for entry in fake_spot.order_ledger) == sorted(order_ids)


@pytest.mark.parametrize("call", ["get", "update"])
async def test_an_order_that_the_server_does_not_know_is_a_not_found_error(spot_client: SpotClient, call: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        if call == "get":
            await spot_client.orders.get("OZZZZZZZ")
        else:
            await spot_client.orders.update_metadata("OZZZZZZZ", {})

    assert (caught.value.status, caught.value.type, caught.value.attempts) == (404, "not_found", 1)
    assert caught.value.operation == f"{'GET' if call == 'get' else 'POST'} /api/v2/orders/{{order_id}}/"
    assert "OZZZZZZZ" not in f"{caught.value} {caught.value!r} {caught.value.args}"


@pytest.mark.parametrize("order_id", ["a/b", "ä ö", "50%", "?x=1", "%2e%2e"])
async def test_any_id_arrives_as_one_path_segment(fake_spot: FakeSpot, order_id: str) -> None:
    fake_spot.orders.add(order_id)

    order = await fake_spot.client(allow_any_id=True).orders.update_metadata(order_id, {"x": 1})

    assert order.order_id == fake_spot.requests[0].order_id == order_id


@pytest.mark.parametrize("order_id", ["", ".", "..", "a\nb", "\ud800", None, 7])
async def test_an_unusable_id_is_refused_before_sending(
    fake_spot: FakeSpot, spot_client: SpotClient, order_id: Any
) -> None:
    with pytest.raises(InvalidInputError, match="order_id"):
        await spot_client.orders.update_metadata(order_id, {})
    with pytest.raises(InvalidInputError, match="order_id"):
        await spot_client.orders.get(order_id)
    assert fake_spot.counts["requests"] == 0


@pytest.mark.parametrize("metadata", [{"x": float("nan")}, {1: 2}, {"x": {1, 2}}, [], None, "x"])
async def test_unusable_metadata_is_refused_before_sending(
    fake_spot: FakeSpot, spot_client: SpotClient, metadata: Any
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await spot_client.orders.update_metadata("O1234567", metadata)

    assert caught.value.operation == "POST /api/v2/orders/{order_id}/"
    assert fake_spot.counts["requests"] == 0


@pytest.mark.parametrize("fault", ["503", "drop_before", "drop_after", "half_body", "unreadable"])
async def test_an_update_is_repeated_since_it_sets_a_value(fake_spot: FakeSpot, fault: str) -> None:
    fake_spot.faults.add(fault, order_id="O1234567")
    client = fake_spot.client(retry=RetryPolicy(base_s=0.001, cap_s=0.01))

    order = await client.orders.update_metadata("O1234567", {"n": 1})

    assert order.metadata == {"n": 1}
    assert [request.fault for request in fake_spot.requests] == [fault, None]
    assert fake_spot.orders["O1234567"].metadata == {"n": 1}


async def test_an_unknown_status_and_field_are_data(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("unknown_enum")

    order = await spot_client.orders.get("O1234567")

    assert (order.status, type(order.status)) == (faults.UNKNOWN_VALUE, str)
    assert order.extra[faults.UNKNOWN_FIELD] == {"of": "a later version"}


def texts(error: BaseException) -> str:
    return "\n".join([str(error), repr(error), repr(error.args), *traceback.format_exception(error)])


async def test_no_error_or_log_line_shows_patient_data(fake_spot: FakeSpot, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake_spot.orders.add("canary-order", recipient={"first_name": "canary", "address": "canary street"})
    fake_spot.orders.add("canary-metadata", metadata={"note": "canary"})
    fake_spot.faults.add("half_body", order_id="canary-metadata", times=None)
    client = fake_spot.client(retry=RetryPolicy(max_attempts=2, base_s=0.001, cap_s=0.01))
    metadata = {"canary": "canary"}  # by name, since a traceback shows the lines of this test
    errors: list[SpotError] = []

    for order_id, expected in (
        ("canary-order", DecodeError),
        ("canary-metadata", OutcomeUnknownError),
        ("canary-nobody", NotFoundError),
    ):
        with pytest.raises(expected) as caught:
            await client.orders.update_metadata(order_id, metadata)
        errors.append(caught.value)

    assert isinstance(errors[0], DecodeError)
    assert (errors[0].path, errors[0].outcome) == ("recipient.address", "done")
    for text in (*map(texts, errors), caplog.text):
        assert not [canary for canary in CANARIES if canary in text]
    assert b"canary street" not in pickle.dumps(errors[0])


async def test_no_text_of_an_order_shows_patient_data(spot_client: SpotClient) -> None:
    order = await spot_client.orders.update_metadata("O1234567", {"canary": "canary"})

    for text in (repr(order), str(order), f"{[order]}", repr(attrs.evolve(order, status="held"))):
        assert not [canary for canary in CANARIES if canary in text]
