"""What is sent is what stood there at the call, whatever is called; and one wrong call of a batch is one result."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import attrs
import pytest

from spotdx_async import (
    Address,
    InvalidInputError,
    Kit,
    NewOrder,
    NewRequisition,
    RateLimit,
    Recipient,
    SpotClient,
)
from spotdx_async.resources.kits import Kits
from spotdx_async.resources.orders import Orders
from spotdx_async.resources.patients import Patients
from spotdx_async.resources.registration_tokens import RegistrationTokens
from spotdx_async.resources.requisitions import Requisitions
from spotdx_async.testing import FakeSpot
from tests.calls import is_async
from tests.new_objects import ORDER, REQUISITION, part

NOUNS = (Kits, Orders, Patients, RegistrationTokens, Requisitions)
COUNT = 20


def filled(values: dict[str, Any], number: int) -> dict[str, Any]:
    """Refill one mapping, as a generator of rows does."""
    values["n"] = number
    values.setdefault("list", []).append(number)
    return values


def order_of(values: dict[str, Any]) -> NewOrder:
    return attrs.evolve(ORDER, metadata=values)


def requisition_of(values: dict[str, Any], number: int) -> NewRequisition:
    return attrs.evolve(REQUISITION, barcode=f"{number:011}", metadata=values)


CALLS: dict[str, Callable[[SpotClient, dict[str, Any], int], Coroutine[Any, Any, object]]] = {
    "kit": lambda spot, values, number: spot.kits.update_metadata(f"SPOT{number}", values),
    "order": lambda spot, values, _: spot.orders.update_metadata("O1234567", values),
    "new order": lambda spot, values, _: spot.orders.create(order_of(values)),
    "new requisition": lambda spot, values, number: spot.requisitions.create(requisition_of(values, number)),
    "request": lambda spot, values, number: spot.request(
        "POST", f"/api/v2/kits/SPOT{number}/", json={"metadata": values}, query=values and {}, replay_safe=True
    ),
}


@pytest.mark.virtual_time
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("options", [{}, {"concurrency": 1}, {"rate_limit": RateLimit(5, burst=1)}], ids=str)
async def test_each_call_sends_what_stood_there_when_it_was_made(name: str, options: dict[str, Any]) -> None:
    async with FakeSpot() as fake:
        fake.kits.add_many([f"SPOT{number}" for number in range(COUNT)])
        spot = fake.client(**options)
        values: dict[str, Any] = {}

        await asyncio.gather(*(CALLS[name](spot, filled(values, number), number) for number in range(COUNT)))

        sent = [request.body["metadata"] for request in fake.requests]
        assert sorted(one["n"] for one in sent) == list(range(COUNT))
        assert all(one["list"] == list(range(one["n"] + 1)) for one in sent)


async def test_one_wrong_call_of_a_batch_is_one_result(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    results = await asyncio.gather(
        spot_client.kits.update_metadata("SPOT123456", {"a": 1}),
        spot_client.kits.update_metadata("", {"a": 1}),
        spot_client.orders.create(NewOrder(kit_types=(), recipient=part(Recipient, address=part(Address)))),
        return_exceptions=True,
    )

    assert [type(one) for one in results] == [Kit, InvalidInputError, InvalidInputError]
    assert fake_spot.counts["requests"] == 1


def test_every_call_is_still_a_coroutine_function() -> None:
    plain = {"changes", "list", "resume", "with_options"}
    calls = {
        f"{noun.__name__}.{name}": function
        for noun in (*NOUNS, SpotClient)
        for name, function in vars(noun).items()
        if inspect.isfunction(function) and not name.startswith("_") and name not in plain and "_many" not in name
    }

    assert [name for name, function in calls.items() if not is_async(function)] == []
    assert "Orders.create" in calls
