import pytest

from spotdx_async.testing import OPERATIONS, FakeSpot
from spotdx_async.testing.expectations import operation_named, title_of
from spotdx_async.testing.state import ROUTES
from tests.calls import call


def test_every_operation_of_the_fake_has_a_name() -> None:
    assert sorted(OPERATIONS.values()) == sorted((route.method, route.template) for route in ROUTES)


@pytest.mark.virtual_time
@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_name_is_the_clients_call(name: str) -> None:
    async with FakeSpot() as fake, fake.client() as spot:
        fake.faults.add("400")
        with pytest.raises(Exception, match="400"):
            await call(spot, name)

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
