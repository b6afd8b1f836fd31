import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from spotdx_async.testing.patients import EXAMPLE_PATIENT_ID
from spotdx_async.testing.state import SpotState

START = datetime(2030, 1, 1, tzinfo=UTC)
TOKENS = "/api/v2/tokens/patient_registration/"
PATIENT = {
    "first_name": "Kim",
    "last_name": "Sample",
    "email": "kim@example.com",
    "sex": "M",
    "date_of_birth": "2029-12-31",
}


@pytest.fixture
def state() -> SpotState:
    return SpotState(wall=lambda: START)


def send(state: SpotState, target: str, body: Any) -> tuple[int, Any]:
    answer = state.execute(state.read("POST", target, json.dumps(body).encode()), "Token test-token")
    return answer.status, json.loads(answer.body)


def minted(state: SpotState, **more: Any) -> str:
    status, answer = send(state, TOKENS, {"patient_id": EXAMPLE_PATIENT_ID, **more})
    assert status == 201, answer
    return str(answer["token"])


@pytest.mark.parametrize("phone", [{}, {"phone": "2025550148"}])
def test_a_new_patient_is_answered_with_an_id(state: SpotState, phone: dict[str, str]) -> None:
    status, patient = send(state, "/api/v2/patients/", {**PATIENT, **phone})

    patient_id = patient.pop("patient_id")
    assert (status, patient) == (200, {**PATIENT, **phone})
    assert UUID(patient_id).version == 4
    assert state.patients[patient_id].document == patient


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sex": "X"}, "sex: Must be one of M, F"),
        ({"date_of_birth": "31.12.2029"}, "date_of_birth: Must be a date, YYYY-MM-DD"),
        ({"date_of_birth": "2030-01-02"}, "date_of_birth: Must not be in the future"),
        ({"email": "kim"}, "email: Must be an e-mail address"),
        ({"phone": None}, "phone: Must be a string that is not empty"),
        ({"address": {}}, "address: Unknown field"),
    ],
)
def test_a_refused_patient_is_not_created(state: SpotState, change: dict[str, Any], fault: str) -> None:
    status, answer = send(state, "/api/v2/patients/", {**PATIENT, **change})

    assert (status, answer["error"]["detail"]) == (400, fault)
    assert (len(state.patients), state.creations) == (1, [])


def test_a_token_looks_like_a_jwt_and_each_is_another(state: SpotState) -> None:
    first, second = minted(state), minted(state)

    header, claims, _ = first.split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"typ": "JWT", "alg": "HS256"}
    read = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert (read["sub"], read["exp"] - read["iat"]) == ("patient_registration", 600)
    assert first != second


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 400, "patient_id: Field is required"),
        ({"patient_id": 1}, 400, "patient_id: Must be a string that is not empty"),
        (
            {"patient_id": EXAMPLE_PATIENT_ID, "kit_type": "x"},
            400,
            "kit_type: Must be one of health_kit_1, health_kit_2",
        ),
        ({"patient_id": "nobody"}, 404, "Patient id nobody not found"),
    ],
)
def test_a_token_for_nobody_is_not_minted(state: SpotState, body: Any, status: int, detail: str) -> None:
    answered, answer = send(state, TOKENS, body)

    assert (answered, answer["error"]["detail"]) == (status, detail)
    assert repr(state.registrations) == "<Registrations: 0>"


def test_a_token_gives_the_patient_once(state: SpotState) -> None:
    token = minted(state)

    assert state.redeem(token) is state.patients[EXAMPLE_PATIENT_ID]
    with pytest.raises(ValueError, match="has been used"):
        state.redeem(token)


def test_a_token_registers_a_kit(state: SpotState) -> None:
    patient = state.redeem(minted(state), "SPOT234567")

    kit = state.kits["SPOT234567"]
    assert (kit.status, kit.registered_to) == ("registered", patient.registrant())
    assert kit.document["type"] == "health_kit_1"


def test_a_kit_takes_on_the_kit_type_of_the_token(state: SpotState) -> None:
    state.redeem(minted(state, kit_type="health_kit_2"), "SPOT234567")

    assert state.kits["SPOT234567"].document["type"] == "health_kit_2"


@pytest.mark.parametrize(("minutes", "is_good"), [(10, True), (10.01, False)])
def test_a_token_lasts_ten_minutes(state: SpotState, minutes: float, *, is_good: bool) -> None:
    token = minted(state)

    state.wall = lambda: START + timedelta(minutes=minutes)

    if is_good:
        assert state.redeem(token).patient_id == EXAMPLE_PATIENT_ID
    else:
        with pytest.raises(ValueError, match="older than 10 minutes"):
            state.redeem(token)


def test_a_token_that_was_never_given_out_is_refused_and_not_shown(state: SpotState) -> None:
    with pytest.raises(ValueError, match="never issued") as caught:
        state.redeem("canary")

    assert "canary" not in str(caught.value)


def test_a_kit_that_cannot_be_registered_leaves_the_token_unused(state: SpotState) -> None:
    token = minted(state)
    state.kits["SPOT234567"].status = "registered"

    with pytest.raises(ValueError, match="registered once"):
        state.redeem(token, "SPOT234567")
    with pytest.raises(ValueError, match="no kit has this id"):
        state.redeem(token, "SPOTZZZZZZ")

    assert state.redeem(token, "SPOT345678").patient_id == EXAMPLE_PATIENT_ID


def test_a_token_of_a_patient_who_is_gone_is_refused(state: SpotState) -> None:
    token = minted(state)
    del state.patients[EXAMPLE_PATIENT_ID]

    with pytest.raises(ValueError, match="not among the fake's patients any more"):
        state.redeem(token)


def test_no_repr_shows_a_token_or_its_patient(state: SpotState) -> None:
    token = minted(state)

    text = repr([state.registrations, state.registrations.look_up(token, at=START), state.creations])

    assert token not in text
    assert EXAMPLE_PATIENT_ID not in text
