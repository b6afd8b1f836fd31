import json
from datetime import UTC, datetime
from typing import Any

import pytest

from spotdx_async.testing.fake_orders import EXAMPLE_ORDER_ID
from spotdx_async.testing.fake_spot import SpotState

AUTHORIZATION = "Token test-token"
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


def test_the_orders_to_start_with_can_be_named_or_counted() -> None:
    assert list(SpotState(orders=["A", "B"]).orders) == ["A", "B"]
    assert list(SpotState(orders=2).orders) == ["O0000001", "O0000002"]
    assert len(SpotState(orders=()).orders) == 0
    assert len(SpotState(kits=()).orders) == 3
