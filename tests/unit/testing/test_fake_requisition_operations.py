import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import pytest

from spotdx_async.testing.requisitions import EXAMPLE_REQUISITION_ID
from spotdx_async.testing.state import SpotState

PATH = "/api/v2/requisitions/"
NOW = "2030-01-01T00:00:00.000Z"
ADDRESS = {"street1": "1 Example Street", "city": "Springfield", "state": "CA", "country": "US", "zip": "00000"}
PATIENT: dict[str, Any] = {
    "first_name": "Kim",
    "last_name": "Sample",
    "email": "kim@example.com",
    "phone": "2025550148",
    "sex": "M",
    "date_of_birth": "2029-12-31",
    "address": ADDRESS,
}
REQUISITION: dict[str, Any] = {
    "barcode": "1",
    "panels": ["PANEL-123"],
    "account_number": "1",
    "lab": "CRL",
    "state_collected": "OH",
    "patient": PATIENT,
}


@pytest.fixture
def state() -> SpotState:
    return SpotState(wall=lambda: datetime(2030, 1, 1, tzinfo=UTC))


def send(state: SpotState, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    sent = b"" if body is None else json.dumps(body).encode()
    answer = state.execute(state.read(method, target, sent), "Token test-token")
    return answer.status, json.loads(answer.body)


def created(state: SpotState, **more: Any) -> Any:
    status, requisition = send(state, "POST", PATH, {**REQUISITION, **more})
    assert status == 200, requisition
    return requisition


def test_a_new_requisition_is_approved_at_once(state: SpotState) -> None:
    requisition = created(state)

    assert UUID(requisition.pop("requisition_id")).version == 4
    assert requisition == {
        **REQUISITION,
        "status": "approved",
        "events": [{"event": "created", "date": NOW}, {"event": "approved", "date": NOW}],
        "reports": [],
        "attributes": None,
        "metadata": None,
        "created": NOW,
        "updated": NOW,
    }


def test_a_new_requisition_can_be_got_and_goes_on_from_there(state: SpotState) -> None:
    requisition_id = created(state)["requisition_id"]

    state.requisitions[requisition_id].deliver()

    _, requisition = send(state, "GET", f"{PATH}{requisition_id}")
    assert (requisition["status"], requisition["events"][-1]["event"]) == ("delivered", "delivered")


@pytest.mark.parametrize("collected", ["NY", "ny"])
def test_a_requisition_from_a_state_without_testing_is_denied(state: SpotState, collected: str) -> None:
    requisition = created(state, state_collected=collected)

    assert requisition["status"] == "denied"
    assert [event["event"] for event in requisition["events"]] == ["created", "denied"]


def test_the_states_without_testing_can_be_changed(state: SpotState) -> None:
    state.states_without_testing = {"OH"}

    assert created(state)["status"] == "denied"
    assert created(state, barcode="2", state_collected="NY")["status"] == "approved"


def test_what_is_optional_comes_back_as_it_was_sent(state: SpotState) -> None:
    optional = {
        "tracking": {"tracking_number": None, "carrier": "ups"},
        "attributes": {"crl_slip_id": "A1", "crl_tier3_account_number": "ABCD1234"},
        "metadata": {"cohort": ["A"]},
    }

    requisition = created(state, **optional)

    assert {name: requisition[name] for name in optional} == optional
    assert state.requisitions[requisition["requisition_id"]].metadata == {"cohort": ["A"]}


def test_a_barcode_is_taken_once(state: SpotState) -> None:
    created(state)

    status, answer = send(state, "POST", PATH, REQUISITION)

    assert (status, answer["error"]["detail"]) == (400, "barcode: Must be globally unique")
    assert len(state.creations) == 1


@pytest.mark.parametrize("form", ["plain", "wrapped"])
def test_the_address_comes_in_the_form_of_the_fake(state: SpotState, form: Any) -> None:
    state.address_form = form

    requisition = created(state)
    _, got = send(state, "GET", f"{PATH}{requisition['requisition_id']}")

    assert requisition["patient"]["address"] == (ADDRESS if form == "plain" else {"address": ADDRESS})
    assert got == requisition
    assert send(state, "GET", f"{PATH}?first_name=kim")[1][0]["patient"] == PATIENT


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"barcode": ""}, ["barcode: Must be a string that is not empty"]),
        ({"panels": []}, ["panels: Must be an array that is not empty"]),
        ({"state_collected": "Ohio"}, ["state_collected: Must be two letters"]),
        (
            {"attributes": {"crl_slip_id": "12345678901"}},
            ["attributes.crl_slip_id: Must be 1 to 10 letters and digits"],
        ),
        ({"attributes": {"crl_slip_id": "A-1"}}, ["attributes.crl_slip_id: Must be 1 to 10 letters and digits"]),
        (
            {"attributes": {"crl_tier3_account_number": "1234567"}},
            ["attributes.crl_tier3_account_number: Must be exactly 8 letters and digits"],
        ),
        ({"tracking": {"carrier": "dhl"}}, ["tracking.carrier: Must be one of fedex, ups, usps"]),
        ({"tracking": None, "lab": 1}, ["lab: Must be a string that is not empty", "tracking: Must be an object"]),
        ({"patient": {**PATIENT, "sex": "X"}}, ["patient.sex: Must be one of M, F"]),
        ({"patient": {**PATIENT, "date_of_birth": "2030-01-02"}}, ["patient.date_of_birth: Must not be in the future"]),
        ({"patient": {**PATIENT, "address": {"address": ADDRESS}}}, None),
        ({"metadata": []}, ["metadata: Must be an object"]),
    ],
)
def test_a_refused_requisition_lists_every_fault_and_creates_nothing(
    state: SpotState, change: dict[str, Any], faults: list[str] | None
) -> None:
    state.error_form = "guide"

    status, answer = send(state, "POST", PATH, {**REQUISITION, **change})

    assert status == 400
    assert faults is None or answer["error"]["details"] == faults
    assert (len(state.requisitions), state.creations) == (3, [])


@pytest.mark.parametrize("requisition_id", ["00000000-0000-4000-8000-000000000000", "R1"])
def test_an_unknown_requisition_is_not_found(state: SpotState, requisition_id: str) -> None:
    status, answer = send(state, "GET", f"{PATH}{requisition_id}")

    assert (status, answer["error"]["detail"]) == (404, f"Requisition id {requisition_id} not found")


def listed(state: SpotState, query: str) -> list[str]:
    status, rows = send(state, "GET", f"{PATH}?{query}")
    assert status == 200, rows
    return [row["requisition_id"] for row in rows]


def test_a_list_is_an_array_of_summaries_by_creation(state: SpotState) -> None:
    status, rows = send(state, "GET", PATH)

    assert status == 200
    assert rows == [requisition.summary() for requisition in state.requisitions.by_creation()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"lab": "The Lab"}, ["a"]),
        ({"lab": "the lab"}, []),
        ({"status": "denied"}, ["b"]),
        ({"status": "created"}, []),
        ({"email": "KIM@example.com"}, ["b"]),
        ({"first_name": "Robin", "phone": "2025550147"}, ["a"]),
        ({"created_before": "2023-01-01"}, ["a"]),
        ({"updated_after": "2024-01-01"}, ["b"]),
        ({"results": "1", "offset": "1"}, ["b"]),
    ],
)
def test_a_list_holds_what_meets_every_filter(query: dict[str, str], expected: list[str]) -> None:
    state = SpotState(requisitions=())
    state.requisitions.add("a", lab="The Lab")
    state.requisitions.add("b", created="2024-01-01T00:00:00Z", status="denied", patient=PATIENT)

    assert listed(state, urlencode(query, quote_via=quote)) == expected


def test_a_bad_query_is_a_bad_request_that_names_it(state: SpotState) -> None:
    for query in ("status=lost", "kit_type=x", "results=0"):
        status, answer = send(state, "GET", f"{PATH}?{query}")

        assert status == 400
        assert answer["error"]["detail"].startswith(f"{query.partition('=')[0]}: ")


def test_the_default_world_can_be_listed_by_lab(state: SpotState) -> None:
    assert EXAMPLE_REQUISITION_ID in listed(state, "lab=CRL")
