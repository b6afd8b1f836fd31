from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from spotdx_async import SpotClient
from spotdx_async.testing import OPERATIONS, FakeSpot, factories
from spotdx_async.testing.expectations import operation_named, title_of
from spotdx_async.testing.state import ROUTES

Call = Callable[[SpotClient], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "kits.update_metadata": lambda spot: spot.kits.update_metadata("SPOT123456", {}),
    "kits.get": lambda spot: spot.kits.get("SPOT123456"),
    "kits.list": lambda spot: spot.kits.list().first(1),
    "kits.types": lambda spot: spot.kits.types(),
    "kits.activate": lambda spot: spot.kits.activate("SPOT000002", patient_id="1"),
    "orders.create": lambda spot: spot.orders.create(factories.make_new_order()),
    "orders.list": lambda spot: spot.orders.list().first(1),
    "orders.update_metadata": lambda spot: spot.orders.update_metadata("O0000001", {}),
    "orders.get": lambda spot: spot.orders.get("O0000001"),
    "requisitions.create": lambda spot: spot.requisitions.create(factories.make_new_requisition()),
    "requisitions.get": lambda spot: spot.requisitions.get("1"),
    "requisitions.list": lambda spot: spot.requisitions.list().first(1),
    "patients.create": lambda spot: spot.patients.create(factories.make_new_patient()),
    "registration_tokens.create": lambda spot: spot.registration_tokens.create("1"),
}


def test_every_operation_of_the_fake_has_a_name() -> None:
    assert sorted(OPERATIONS.values()) == sorted((route.method, route.template) for route in ROUTES)
    assert OPERATIONS.keys() == CALLS.keys()


@pytest.mark.virtual_time
@pytest.mark.parametrize("name", CALLS)
async def test_a_name_is_the_clients_call(name: str) -> None:
    async with FakeSpot() as fake, fake.client() as spot:
        fake.faults.add("400")
        with pytest.raises(Exception, match="400"):
            await CALLS[name](spot)

        assert [(request.method, request.template) for request in fake.requests] == [OPERATIONS[name]]


@pytest.mark.parametrize("name", ["kits.get", "GET /api/v2/kits/{kit_id}/"])
def test_an_operation_is_found_by_either_name(name: str) -> None:
    assert operation_named(name) == ("GET", "/api/v2/kits/{kit_id}/")


@pytest.mark.parametrize("name", ["kits.gte", "GET", "", "DELETE /api/v2/kits/", "get /api/v2/kits/", None, 5])
def test_an_unknown_operation_is_told_with_those_that_there_are(name: object) -> None:
    with pytest.raises(ValueError, match=r"unknown operation .*: use one of kits.update_metadata, kits.get, .* or met"):
        operation_named(name)


def test_a_title_names_no_path_as_sent() -> None:
    assert title_of("GET", "/api/v2/kit_types") == "GET /api/v2/kit_types (kits.types)"
    assert title_of("GET", None) == "GET of a path that no operation has"
