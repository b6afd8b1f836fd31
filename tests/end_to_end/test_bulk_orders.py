"""Many order updates take the same road as those of kits."""

from collections import Counter
from typing import Any

import pytest

from spotdx_async import InvalidInputError, MetadataUpdate, OrderMetadataUpdate
from spotdx_async.testing import FakeSpot

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("decode", [True, False])
async def test_orders_are_updated_in_order_through_faults(fake_spot: FakeSpot, *, decode: bool) -> None:
    order_ids = [f"O{n}" for n in range(20)]
    fake_spot.orders.add_many(order_ids)
    fake_spot.faults.random(0.1, seed=1)
    rows = [(order_ids[n % 20], {"n": n}) for n in range(400)]
    async with fake_spot.client(timeout_s=2) as spot:
        outcomes = [outcome async for outcome in spot.orders.update_metadata_many(rows, decode=decode)]

    assert Counter(outcome.state for outcome in outcomes) == {"ok": 400}
    assert all((outcome.value is not None) is decode for outcome in outcomes)
    for order_id in order_ids:
        written = [entry.metadata["n"] for entry in fake_spot.order_ledger if entry.order_id == order_id]
        assert written == sorted(written)
    assert [fake_spot.orders[f"O{n}"].metadata for n in range(20)] == [{"n": 380 + n} for n in range(20)]


async def test_rows_are_those_of_orders(fake_spot: FakeSpot) -> None:
    fake_spot.orders.add("O1")
    async with fake_spot.client() as spot:
        rows: list[Any] = [OrderMetadataUpdate("O1", {"a": 1}), MetadataUpdate("O1", {})]  # a row that types refuse
        run = spot.orders.update_metadata_many(rows)
        outcomes = sorted([outcome async for outcome in run], key=lambda outcome: outcome.index)

    assert [outcome.state for outcome in outcomes] == ["ok", "rejected"]
    assert outcomes[0].value is not None
    assert outcomes[0].value.order_id == "O1"
    assert "OrderMetadataUpdate(order_id, metadata)" in str(outcomes[1].error)


def test_a_row_is_checked_as_sending_would() -> None:
    OrderMetadataUpdate("O1", {"a": 1}).check()
    with pytest.raises(InvalidInputError, match="order_id"):
        OrderMetadataUpdate("..", {}).check()
