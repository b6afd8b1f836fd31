import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from spotdx_async.testing.made_up import EXAMPLE_KIT_ID
from spotdx_async.testing.state import SpotState

AUTHORIZATION = "Token test-token"
PATH = f"/api/v2/kits/{EXAMPLE_KIT_ID}/"


@pytest.fixture
def state() -> SpotState:
    return SpotState(wall=lambda: datetime(2030, 1, 1, tzinfo=UTC))


def send(state: SpotState, method: str, target: str, body: bytes = b"") -> tuple[int, Any]:
    answer = state.execute(state.read(method, target, body), AUTHORIZATION)
    return answer.status, json.loads(answer.body)


def listed(state: SpotState, **query: str) -> list[str]:
    status, rows = send(state, "GET", f"/api/v2/kits/?{urlencode(query)}")
    assert status == 200, rows
    return [row["kit_id"] for row in rows]


def test_an_update_sets_the_metadata_and_answers_with_the_kit(state: SpotState) -> None:
    status, kit = send(state, "POST", PATH, b'{"metadata": {"cohort": "A"}}')

    assert status == 200
    assert kit["kit_id"] == EXAMPLE_KIT_ID
    assert "metadata" not in kit
    assert state.kits[EXAMPLE_KIT_ID].metadata == {"cohort": "A"}
    assert state.kits[EXAMPLE_KIT_ID].updated == "2030-01-01T00:00:00.000Z"


def test_an_update_replaces_the_whole_value(state: SpotState) -> None:
    send(state, "POST", PATH, b'{"metadata": {"a": 1, "b": {"c": [null]}}}')
    send(state, "POST", PATH, b'{"metadata": {"b": 2}}')

    assert state.kits[EXAMPLE_KIT_ID].metadata == {"b": 2}


def test_the_ledger_holds_the_executed_updates_in_order(state: SpotState) -> None:
    for index, body in enumerate((b'{"metadata": {"n": 1}}', b"{}", b'{"metadata": {"n": 2}}')):
        state.execute(state.read("POST", PATH, body, index=index), AUTHORIZATION)

    assert [(entry.kit_id, entry.metadata, entry.index) for entry in state.ledger] == [
        (EXAMPLE_KIT_ID, {"n": 1}, 0),
        (EXAMPLE_KIT_ID, {"n": 2}, 2),
    ]


def test_changing_a_kits_metadata_leaves_the_ledger_alone(state: SpotState) -> None:
    send(state, "POST", PATH, b'{"metadata": {"n": 1}}')

    state.kits[EXAMPLE_KIT_ID].metadata["n"] = 2

    assert state.ledger[0].metadata == {"n": 1}
    assert "n" not in repr(state.ledger[0]).partition("metadata")[2]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "metadata: Field is required"),
        (b"{}", "metadata: Field is required"),
        (b"[]", "metadata: Field is required"),
        (b'{"metadata": null}', "metadata: Must be an object"),
        (b'{"metadata": "A"}', "metadata: Must be an object"),
        (b'{"metadata": {', "The body is not JSON"),
        (b'{"metadata": {"x": NaN}}', "The body is not JSON"),
        (b'\xff\xfe{"metadata": {}}', "The body is not JSON"),
        (b"[" * 100_000, "The body is not JSON"),
    ],
)
def test_an_update_without_a_metadata_object_is_a_bad_request(state: SpotState, body: bytes, detail: str) -> None:
    assert send(state, "POST", PATH, body) == (
        400,
        {"error": {"status": 400, "type": "bad_request", "detail": detail}},
    )
    assert state.ledger == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_kit_is_not_found(state: SpotState, method: str) -> None:
    assert send(state, method, "/api/v2/kits/SPOTZZZZZZ/", b'{"metadata": {}}') == (
        404,
        {"error": {"status": 404, "type": "not_found", "detail": "Kit id SPOTZZZZZZ not found"}},
    )


def test_the_guides_error_form_can_be_played() -> None:
    state = SpotState(error_form="guide")

    assert send(state, "GET", "/api/v2/kits/SPOTZZZZZZ/") == (
        404,
        {"error": {"code": 404, "type": "not_found", "details": ["Kit id SPOTZZZZZZ not found"]}},
    )


def test_a_kit_is_answered_as_its_document_stands(state: SpotState) -> None:
    assert send(state, "GET", PATH) == (200, state.kits[EXAMPLE_KIT_ID].document)


def test_kit_types_are_an_array_of_names(state: SpotState) -> None:
    state.kit_types.append("health_kit_3")

    assert send(state, "GET", "/api/v2/kit_types") == (200, ["health_kit_1", "health_kit_2", "health_kit_3"])


def test_a_list_is_an_array_of_summaries_by_creation(state: SpotState) -> None:
    status, rows = send(state, "GET", "/api/v2/kits/")

    assert status == 200
    assert rows == [kit.summary() for kit in state.kits.by_creation()]
    assert [row["kit_id"] for row in rows] == ["SPOT123456", "SPOT234567", "SPOT345678"]


def test_pages_follow_one_another_without_a_gap() -> None:
    state = SpotState(kits=25)

    pages = [listed(state, offset=str(offset)) for offset in (0, 10, 20, 30)]

    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [kit_id for page in pages for kit_id in page] == list(state.kits)


def test_a_page_is_cut_from_the_filtered_list() -> None:
    state = SpotState(kits=())
    for number in range(6):
        state.kits.add(f"K{number}", type="odd" if number % 2 else "even")

    assert listed(state, kit_type="odd", results="2", offset="1") == ["K3", "K5"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"kit_type": "health_kit_2"}, ["SPOT345678"]),
        ({"kit_type": "nobody's"}, []),
        ({"has_order": "true"}, ["SPOT345678"]),
        ({"has_order": "false"}, ["SPOT123456", "SPOT234567"]),
        ({"kit_status": "preparing"}, ["SPOT123456", "SPOT234567"]),
        ({"kit_status": "pending"}, []),
        ({"sample_status": "awaiting_collection"}, ["SPOT123456"]),
        ({"email": "alice123@gmail.com"}, ["SPOT123456"]),
        ({"email": "alice123"}, []),
        ({"first_name": "Alice", "last_name": "Smith"}, ["SPOT123456"]),
        ({"first_name": "ALICE", "email": "Alice123@Gmail.com"}, ["SPOT123456"]),
        ({"first_name": "Alice", "last_name": "Jones"}, []),
        ({"phone": "1234567890"}, ["SPOT123456"]),
        ({"created_before": "2023-01-02"}, ["SPOT123456", "SPOT234567"]),
        ({"created_after": "2023-01-02"}, ["SPOT234567", "SPOT345678"]),
        ({"created_after": "2023-01-02", "created_before": "2023-01-02"}, ["SPOT234567"]),
        ({"updated_before": "2022-12-31"}, []),
        ({"updated_after": "2023-01-03"}, ["SPOT345678"]),
        ({"kit_status": "preparing", "has_order": "true"}, []),
    ],
)
def test_a_list_holds_what_meets_every_filter(state: SpotState, query: dict[str, str], expected: list[str]) -> None:
    assert listed(state, **query) == expected


def test_an_update_moves_the_date_that_lists_filter_by(state: SpotState) -> None:
    send(state, "POST", PATH, b'{"metadata": {}}')

    assert listed(state, updated_after="2030-01-01") == [EXAMPLE_KIT_ID]


@pytest.mark.parametrize(
    "query",
    [
        {"results": "0"},
        {"offset": "-1"},
        {"has_order": "maybe"},
        {"kit_status": "lost"},
        {"sample_status": ""},
        {"created_before": "yesterday"},
        {"kit_typ": "x"},
    ],
)
def test_a_bad_query_is_a_bad_request_that_names_it(state: SpotState, query: dict[str, str]) -> None:
    status, body = send(state, "GET", f"/api/v2/kits/?{urlencode(query)}")

    assert status == 400
    assert body["error"]["detail"].startswith(f"{next(iter(query))}: ")
