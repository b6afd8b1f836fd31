import asyncio

import pytest

from spotdx_async import AuthenticationError, SpotClient
from spotdx_async.testing import FakeSpot, SpotServer, faults


async def test_a_client_of_the_fake_needs_no_options(fake_spot: FakeSpot) -> None:
    spot = fake_spot.client()

    kit = await spot.kits.update_metadata("SPOT123456", {"cohort": "A"})

    assert isinstance(spot, SpotClient)
    assert kit.kit_id == "SPOT123456"
    assert fake_spot.kits["SPOT123456"].metadata == {"cohort": "A"}


async def test_the_bare_kit_and_the_one_of_nulls_are_read(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    bare, nulls = [await spot_client.kits.get(kit_id) for kit_id in ("SPOT234567", "SPOT345678")]

    assert (bare.sample, bare.registered_to, bare.shipment_to_customer) == (None, None, None)
    assert (nulls.sample, nulls.registered_to) == (None, None)
    assert nulls.shipment_to_customer is not None
    assert nulls.shipment_to_customer.carrier is None
    assert fake_spot.counts["200"] == 2


async def test_options_go_to_the_client(fake_spot: FakeSpot) -> None:
    spot = fake_spot.client(token="other")

    with pytest.raises(AuthenticationError):
        await spot.kits.get("SPOT123456")

    assert fake_spot.requests[0].headers["authorization"] == "Token other"


async def test_closing_the_fake_closes_its_clients() -> None:
    async with FakeSpot() as fake:
        clients = [fake.client(), fake.client()]
        for client in clients:
            await client.kits.get("SPOT123456")

    for client in clients:
        with pytest.raises(Exception, match="closed"):
            await client.kits.get("SPOT123456")


async def test_a_client_that_is_closed_already_does_no_harm() -> None:
    async with FakeSpot() as fake, fake.client() as client:
        await client.kits.get("SPOT123456")

    await fake.close()


@pytest.mark.virtual_time
async def test_five_minutes_of_outage_passes_in_no_time() -> None:
    async with FakeSpot() as fake:
        fake.faults.add(faults.status(503, retry_after=300))
        spot = fake.client()

        start = asyncio.get_running_loop().time()
        await spot.kits.update_metadata("SPOT123456", {})

        assert 300 <= asyncio.get_running_loop().time() - start < 360


def test_the_fake_is_a_server_with_clients() -> None:
    assert issubclass(FakeSpot, SpotServer)
