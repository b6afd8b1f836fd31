import pytest

from spotdx_async.testing.answers import Answer
from spotdx_async.testing.routes import NOT_JSON, Call, Route, RouteTable
from spotdx_async.testing.state import ROUTES

TABLE = RouteTable(ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "template", "params"),
    [
        ("POST", "/api/v2/kits/SPOT123456/", "/api/v2/kits/{kit_id}/", {"kit_id": "SPOT123456"}),
        ("GET", "/api/v2/kits/SPOT123456/", "/api/v2/kits/{kit_id}/", {"kit_id": "SPOT123456"}),
        ("GET", "/api/v2/kits/a%2Fb%20c/", "/api/v2/kits/{kit_id}/", {"kit_id": "a/b c"}),
        ("GET", "/api/v2/kits/", "/api/v2/kits/", {}),
        ("GET", "/api/v2/kit_types", "/api/v2/kit_types", {}),
        ("POST", "/api/v2/orders/O1/", "/api/v2/orders/{order_id}/", {"order_id": "O1"}),
        ("POST", "/api/v2/orders/", "/api/v2/orders/", {}),
        ("GET", "/api/v2/requisitions/R1", "/api/v2/requisitions/{requisition_id}", {"requisition_id": "R1"}),
        ("GET", "/api/v2/requisitions/", "/api/v2/requisitions/", {}),
        ("POST", "/api/v2/tokens/patient_registration/", "/api/v2/tokens/patient_registration/", {}),
        ("POST", "/api/v3/kits/A/activate/", "/api/v3/kits/{kit_id}/activate/", {"kit_id": "A"}),
        ("GET", "/api/v2/orders/a%2Fb/", "/api/v2/orders/{order_id}/", {"order_id": "a/b"}),
    ],
)
def test_a_path_with_the_right_slashes_finds_its_row(
    method: str, path: str, template: str, params: dict[str, str]
) -> None:
    route, found = TABLE.find(method, path)

    assert route is not None
    assert (route.method, route.template) == (method, template)
    assert found == params


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v2/kits/SPOT123456"),
        ("GET", "/api/v2/kits"),
        ("GET", "/api/v2/kit_types/"),
        ("GET", "/api/v2/kits//"),
        ("GET", "//api/v2/kits/"),
        ("GET", "/api/v1/kits/"),
        ("DELETE", "/api/v2/kits/SPOT123456/"),
        ("POST", "/api/v2/kits/"),
        ("GET", "/api/v2/orders/O1"),
        ("PUT", "/api/v2/orders/O1/"),
        ("GET", "/api/v2/requisitions/R1/"),
        ("POST", "/api/v2/requisitions/R1"),
        ("GET", "/api/v2/patients/"),
        ("POST", "/api/v2/kits/A/activate/"),
        ("GET", ""),
    ],
)
def test_another_slash_path_or_method_finds_no_row(method: str, path: str) -> None:
    assert TABLE.find(method, path) == (None, {})


def test_the_table_gives_its_rows_in_order() -> None:
    assert tuple(TABLE) == ROUTES


def test_a_call_tells_its_template_and_kit() -> None:
    route = Route("things.get", "GET", "/things/{kit_id}", lambda _state, _call: Answer(200))

    call = Call("GET", "/things/A%20B", route, {"kit_id": "A B"})

    assert call.template == "/things/{kit_id}"
    assert call.kit_id == "A B"
    assert call.order_id is None
    assert call.requisition_id is None
    assert Call("GET", "/x", None, {"order_id": "O1"}).order_id == "O1"
    assert Call("GET", "/x", None, {"requisition_id": "R1"}).requisition_id == "R1"


def test_a_call_of_no_row_has_neither_template_nor_kit() -> None:
    call = Call("GET", "/nowhere")

    assert call.template is None
    assert call.kit_id is None


def test_the_repr_of_a_call_shows_no_path_query_or_body() -> None:
    call = Call("GET", "/secret-path", None, {"kit_id": "secret-id"}, {"email": "secret@x"}, {"secret": 1}, 7)

    assert "secret" not in repr(call)
    assert repr(NOT_JSON) == "NOT_JSON"
