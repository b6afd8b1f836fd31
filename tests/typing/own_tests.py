"""Tests of users: the fake server, its fixtures and the clock that jumps. Checked, never run."""

from typing import assert_type

import pytest

from spotdx_async import Kit, SpotClient
from spotdx_async.testing import Creation, FakeKit, FakeOrder, FakeSpot, ReceivedRequest, faults, run_virtual


async def uses_the_fixtures(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("502", times=2, kit_id="SPOT123456")
    fake_spot.faults.add(faults.status(503, retry_after=3))
    assert_type(await spot_client.kits.get("SPOT123456"), Kit)
    assert_type(fake_spot.requests[0], ReceivedRequest)
    assert_type([request.status for request in fake_spot.requests], list[int | None])


@pytest.fixture
def kit_of_mine(fake_spot: FakeSpot) -> FakeKit:
    return fake_spot.kits["SPOT123456"]


async def follows_an_order(fake: FakeSpot) -> None:
    order = fake.orders["O1234567"]
    assert_type(order, FakeOrder)
    order.fulfil()
    assert_type(fake.creations[0], Creation)


async def of_its_own() -> int:
    async with FakeSpot(kits=3, latency_s=0.1, rate_limit=5.0) as fake:
        assert_type(fake, FakeSpot)
        assert_type(fake.url, str)
        assert_type(fake.token, str)
        async with fake.client(timeout_s=3) as spot:
            assert_type(spot, SpotClient)
            return len(await spot.kits.types())


assert_type(run_virtual(of_its_own()), int)
