import json
from datetime import UTC, datetime
from typing import Any

import pytest

from spotdx_async.testing.patients import EXAMPLE_PATIENT_ID
from spotdx_async.testing.state import SpotState

KIT_ID = "SPOT234567"
PATH = f"/api/v3/kits/{KIT_ID}/activate/?public_id={KIT_ID}"
KNOWN = {"patient_id": EXAMPLE_PATIENT_ID}
DETAILS = {
    "first_name": "Kim",
    "last_name": "Sample",
    "date_of_birth": "1990-01-01",
    "sex": "M",
    "street1": "1 Example Street",
    "city": "Springfield",
    "state": "CA",
    "zip": "00000",
    "email": "kim@example.com",
    "phone": "2025550148",
}


@pytest.fixture
def state() -> SpotState:
    return SpotState(wall=lambda: datetime(2030, 1, 1, tzinfo=UTC))


def send(state: SpotState, body: Any, target: str = PATH) -> tuple[int, Any]:
    answer = state.execute(state.read("POST", target, json.dumps(body).encode()), "Token test-token")
    value = json.loads(answer.body)
    return answer.status, value["error"]["detail"] if "error" in value else value


def test_a_kit_is_activated_for_a_known_patient(state: SpotState) -> None:
    assert send(state, {**KNOWN, "research_consent": True}) == (200, {"data": {"result": "success"}})

    kit = state.kits[KIT_ID]
    assert kit.registered_to == state.patients[EXAMPLE_PATIENT_ID].registrant()
    assert (kit.status, kit.updated) == ("registered", "2030-01-01T00:00:00.000Z")
    assert kit.document["events"][-1] == {"status": "registered", "created": "2030-01-01T00:00:00.000Z"}
    assert len(state.patients) == 1


def test_a_kit_is_activated_for_a_new_patient(state: SpotState) -> None:
    status, _ = send(state, {**DETAILS, "research_consent": False})

    registrant = state.kits[KIT_ID].registered_to
    patient = state.patients[registrant["patient_id"]]
    assert status == 200
    assert (registrant["first_name"], registrant["phone"]) == ("Kim", "2025550148")
    assert (patient.address["state"], patient.address["zip"]) == ("CA", "00000")
    assert "street1" not in patient.document
    assert "research_consent" not in patient.document


def test_an_activated_kit_goes_on_to_its_results(state: SpotState) -> None:
    send(state, KNOWN)

    state.kits[KIT_ID].collect()
    state.kits[KIT_ID].result()

    assert state.kits[KIT_ID].summary()["sample_status"] == "resulted"


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "public_id: Field is required"),
        ("?public_id=SPOT345678", "public_id: Must be the kit id of the path"),
        (f"?public_id={KIT_ID}&kit_id={KIT_ID}", "kit_id: Unknown parameter"),
    ],
)
def test_the_query_must_repeat_the_kit_id(state: SpotState, query: str, detail: str) -> None:
    assert send(state, KNOWN, PATH.partition("?")[0] + query) == (400, detail)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({**KNOWN, "first_name": "Kim"}, "first_name: Must not be given beside patient_id"),
        ({**KNOWN, "research_consent": "yes"}, "research_consent: Must be true or false"),
        ({"patient_id": None}, "patient_id: Must be a string that is not empty"),
        ({"email": "kim"}, "first_name: Field is required; last_name: Field is required; "),
        ({**DETAILS, "country": "US"}, "country: Unknown field"),
        ({**DETAILS, "date_of_birth": "2030-01-02"}, "date_of_birth: Must not be in the future"),
        ([], "first_name: Field is required; "),
    ],
)
def test_a_body_must_name_a_patient_in_one_way(state: SpotState, body: Any, detail: str) -> None:
    status, told = send(state, body)

    assert status == 400
    assert told.startswith(detail)
    assert (state.kits[KIT_ID].status, len(state.patients), state.creations) == ("preparing", 1, [])


def test_which_details_are_required_can_be_changed(state: SpotState) -> None:
    state.activation_requires = ("last_name", "phone")

    assert send(state, {"last_name": "Sample"}) == (400, "phone: Field is required")
    assert send(state, {"last_name": "Sample", "phone": "2025550148"})[0] == 200


def test_an_unknown_kit_or_patient_is_not_found(state: SpotState) -> None:
    unknown = "/api/v3/kits/SPOTZZZZZZ/activate/?public_id=SPOTZZZZZZ"

    assert send(state, KNOWN, unknown) == (404, "Kit id SPOTZZZZZZ not found")
    assert send(state, {"patient_id": "nobody"}) == (404, "Patient id nobody not found")


@pytest.mark.parametrize("status", ["registered", "canceled"])
def test_a_kit_that_is_registered_or_canceled_is_not_activated(state: SpotState, status: str) -> None:
    state.kits[KIT_ID].status = status

    assert send(state, DETAILS) == (400, f"Kit id {KIT_ID} cannot be activated: it is {status}")
    assert len(state.patients) == 1


def test_a_kit_is_activated_once(state: SpotState) -> None:
    assert [send(state, DETAILS)[0], send(state, DETAILS)[0]] == [200, 400]
    assert [creation.noun for creation in state.creations] == ["activation"]


def test_where_testing_is_not_allowed_the_activation_is_forbidden(state: SpotState) -> None:
    detail = "At-home testing is not available to residents of New York state"

    assert send(state, {**DETAILS, "state": "NY"}) == (403, detail)
    assert (state.kits[KIT_ID].status, len(state.patients), state.creations) == ("preparing", 1, [])


def test_the_states_without_testing_can_be_changed(state: SpotState) -> None:
    state.states_without_testing = {"CA"}

    assert send(state, DETAILS) == (403, "At-home testing is not available to residents of CA state")


def test_a_known_patients_state_counts_where_it_is_known(state: SpotState) -> None:
    state.patients.add("p1", address={"state": "ny"})

    assert send(state, {"patient_id": "p1"})[0] == 403
