import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from spotdx_async.testing.orders import EXAMPLE_ORDER_ID
from spotdx_async.testing.state import SpotState

AUTHORIZATION = "Token test-token"
ADDRESS = {"street1": "1 Example Street", "city": "Springfield", "state": "CA", "country": "US", "zip": "00000"}
RECIPIENT = {
    "first_name": "Robin",
    "last_name": "Sample",
    "email": "robin@example.com",
    "phone": "2025550147",
    "address": ADDRESS,
}
ORDER: dict[str, Any] = {"kit_types": ["health_kit_1"], "recipient": RECIPIENT}
PATH = f"/api/v2/orders/{EXAMPLE_ORDER_ID}/"


@pytest.fixture
def state() -> SpotState:
    return SpotState(wall=lambda: datetime(2030, 1, 1, tzinfo=UTC))


def send(state: SpotState, method: str, target: str, body: bytes = b"", index: int = 0) -> tuple[int, Any]:
    answer = state.execute(state.read(method, target, body, index=index), AUTHORIZATION)
    return answer.status, json.loads(answer.body)


def test_an_update_replaces_the_whole_metadata_and_answers_with_the_order(state: SpotState) -> None:
    send(state, "POST", PATH, b'{"metadata": {"a": 1, "b": {"c": [null]}}}')
    status, order = send(state, "POST", PATH, b'{"metadata": {"b": 2}}')

    assert status == 200
    assert (order["order_id"], order["metadata"]) == (EXAMPLE_ORDER_ID, {"b": 2})
    assert order["updated"] == state.orders[EXAMPLE_ORDER_ID].updated == "2030-01-01T00:00:00.000Z"


def test_the_order_ledger_holds_the_executed_updates_of_orders_alone(state: SpotState) -> None:
    send(state, "POST", PATH, b'{"metadata": {"n": 1}}', 0)
    send(state, "POST", PATH, b"{}", 1)
    send(state, "POST", "/api/v2/kits/SPOT123456/", b'{"metadata": {"n": 2}}', 2)
    send(state, "POST", PATH, b'{"metadata": {"n": 3}}', 3)

    assert [(entry.order_id, entry.metadata, entry.index) for entry in state.order_ledger] == [
        (EXAMPLE_ORDER_ID, {"n": 1}, 0),
        (EXAMPLE_ORDER_ID, {"n": 3}, 3),
    ]
    assert [entry.index for entry in state.ledger] == [2]


def test_changing_an_orders_metadata_leaves_the_ledger_alone(state: SpotState) -> None:
    send(state, "POST", PATH, b'{"metadata": {"n": 1}}')

    metadata = state.orders[EXAMPLE_ORDER_ID].metadata
    assert metadata is not None
    metadata["n"] = 2

    assert state.order_ledger[0].metadata == {"n": 1}
    assert "n" not in repr(state.order_ledger[0]).partition("metadata")[2]


def test_without_a_ledger_an_update_is_executed_all_the_same() -> None:
    state = SpotState(orders=["A"], keep_ledger=False)

    send(state, "POST", "/api/v2/orders/A/", b'{"metadata": {"n": 1}}')

    assert state.order_ledger == []
    assert state.orders["A"].metadata == {"n": 1}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "metadata: Field is required"),
        (b"[]", "metadata: Field is required"),
        (b'{"metadata": null}', "metadata: Must be an object"),
        (b'{"metadata": {', "The body is not JSON"),
    ],
)
def test_an_update_without_a_metadata_object_is_a_bad_request(state: SpotState, body: bytes, detail: str) -> None:
    assert send(state, "POST", PATH, body) == (
        400,
        {"error": {"status": 400, "type": "bad_request", "detail": detail}},
    )
    assert state.order_ledger == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_order_is_not_found(state: SpotState, method: str) -> None:
    assert send(state, method, "/api/v2/orders/OZZZZZZZ/", b'{"metadata": {}}') == (
        404,
        {"error": {"status": 404, "type": "not_found", "detail": "Order id OZZZZZZZ not found"}},
    )


def test_an_order_is_answered_with_its_metadata(state: SpotState) -> None:
    status, order = send(state, "GET", "/api/v2/orders/ORDER123456/")

    assert status == 200
    assert order["metadata"] == {"campaign": "winter"}
    assert order["kits"] == [state.kits["SPOT345678"].document]


def placed(state: SpotState, **more: Any) -> Any:
    status, order = send(state, "POST", "/api/v2/orders/", json.dumps({**ORDER, **more}).encode())
    assert status == 201, order
    return order


def test_a_new_order_is_pending_without_kits_and_without_a_change(state: SpotState) -> None:
    order = placed(state)

    assert order == {
        "order_id": "O0000001",
        "status": "pending",
        **ORDER,
        "kits": [],
        "created": "2030-01-01T00:00:00.000Z",
        "metadata": None,
    }
    assert send(state, "GET", "/api/v2/orders/O0000001/") == (200, order)


def test_a_new_order_has_the_metadata_that_was_sent(state: SpotState) -> None:
    order = placed(state, metadata={"cohort": "A"})

    assert order["metadata"] == state.orders[order["order_id"]].metadata == {"cohort": "A"}
    assert placed(state, metadata=None)["metadata"] is None


def test_new_orders_get_ids_that_are_free(state: SpotState) -> None:
    state.orders.add("O0000002")

    assert [placed(state)["order_id"] for _ in range(2)] == ["O0000001", "O0000003"]


def test_a_new_order_can_be_fulfilled(state: SpotState) -> None:
    order = state.orders[placed(state)["order_id"]]

    (kit,) = order.fulfil()

    assert send(state, "GET", f"/api/v2/kits/{kit.kit_id}/") == (200, kit.document)
    assert send(state, "GET", "/api/v2/kits/?has_order=true&created_after=2030-01-01")[1][0]["order_id"] == "O0000001"


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, ["kit_types: Field is required", "recipient: Field is required"]),
        ({**ORDER, "kit_types": []}, ["kit_types: Must be an array that is not empty"]),
        ({**ORDER, "kit_types": ["x"]}, ["kit_types[0]: Must be one of health_kit_1, health_kit_2"]),
        ({**ORDER, "recipient": None}, ["recipient: Must be an object"]),
        ({**ORDER, "metadata": "A", "notes": 1}, ["metadata: Must be an object", "notes: Unknown field"]),
        (
            {**ORDER, "recipient": {**RECIPIENT, "email": "robin", "address": {**ADDRESS, "country": "DE"}}},
            ["recipient.email: Must be an e-mail address", "recipient.address.country: Must be one of US, CA"],
        ),
    ],
)
def test_a_refused_order_lists_every_fault_and_places_nothing(body: Any, faults: list[str]) -> None:
    state, before = SpotState(error_form="guide"), len(SpotState().orders)

    status, answer = send(state, "POST", "/api/v2/orders/", json.dumps(body).encode())

    assert (status, answer["error"]["details"]) == (400, faults)
    assert len(state.orders) == before
    assert state.creations == []


def listed(state: SpotState, **query: str) -> list[str]:
    status, rows = send(state, "GET", f"/api/v2/orders/?{urlencode(query)}")
    assert status == 200, rows
    return [row["order_id"] for row in rows]


def test_a_list_is_an_array_of_summaries_the_last_changed_first(state: SpotState) -> None:
    _, rows = send(state, "GET", "/api/v2/orders/")

    assert rows == [order.summary() for order in state.orders.by_update()]
    assert [row["order_id"] for row in rows] == ["ORDER123456", "O2345678", "O1234567"]


def test_an_update_moves_an_order_to_the_front_of_the_list(state: SpotState) -> None:
    send(state, "POST", PATH, b'{"metadata": {}}')

    assert listed(state)[0] == EXAMPLE_ORDER_ID
    assert listed(state, updated_after="2030-01-01") == [EXAMPLE_ORDER_ID]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "canceled"}, ["O2345678"]),
        ({"status": "completed"}, []),
        ({"email": "robin.sample@example.com"}, ["ORDER123456", "O1234567"]),
        ({"last_name": "SAMPLE", "phone": "2025550147"}, ["ORDER123456", "O1234567"]),
        ({"first_name": "Rob"}, []),
        ({"created_before": "2023-01-01"}, ["O2345678", "O1234567"]),
        ({"updated_after": "2023-01-03"}, ["ORDER123456"]),
        ({"updated_before": "2023-01-01"}, ["O2345678", "O1234567"]),
        ({"results": "1", "offset": "1"}, ["O2345678"]),
        ({"results": "1", "offset": "1", "first_name": "robin"}, ["O1234567"]),
    ],
)
def test_a_list_holds_what_meets_every_filter(state: SpotState, query: dict[str, str], expected: list[str]) -> None:
    assert listed(state, **query) == expected


@pytest.mark.parametrize("query", [{"status": "lost"}, {"kit_type": "x"}, {"results": "101"}, {"updated_after": "x"}])
def test_a_bad_query_is_a_bad_request_that_names_it(state: SpotState, query: dict[str, str]) -> None:
    status, body = send(state, "GET", f"/api/v2/orders/?{urlencode(query)}")

    assert status == 400
    assert body["error"]["detail"].startswith(f"{next(iter(query))}: ")


def test_the_orders_to_start_with_can_be_named_or_counted() -> None:
    assert list(SpotState(orders=["A", "B"]).orders) == ["A", "B"]
    assert list(SpotState(orders=2).orders) == ["O0000001", "O0000002"]
    assert len(SpotState(orders=()).orders) == 0
    assert len(SpotState(kits=()).orders) == 3
