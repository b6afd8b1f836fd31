import json
from typing import Any, cast

import pytest

from spotdx_async.testing.answers import ErrorForm
from spotdx_async.testing.requisitions import AddressForm
from spotdx_async.testing.routes import NOT_JSON
from spotdx_async.testing.state import SpotState


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "test-token",
        "Token",
        "Token ",
        "Token  test-token",
        "token test-token",
        "Bearer test-token",
        "Token other",
        "Token test-token ",
    ],
)
def test_only_the_word_token_one_space_and_an_accepted_token_are_admitted(authorization: str | None) -> None:
    state = SpotState()

    answer = state.execute(state.read("GET", "/api/v2/kit_types"), authorization)

    assert answer.status == 401
    assert json.loads(answer.body)["error"]["type"] == "unauthorized"


def test_any_of_several_tokens_is_admitted() -> None:
    state = SpotState(tokens=["old", "new"])

    assert state.admits("Token old")
    assert state.admits("Token new")


def test_a_wrong_token_is_told_before_a_wrong_path() -> None:
    state = SpotState()

    assert state.execute(state.read("GET", "/nowhere"), "Token other").status == 401
    assert state.execute(state.read("GET", "/nowhere"), "Token test-token").status == 404


def test_a_wrong_slash_is_not_found_and_not_redirected() -> None:
    state = SpotState()

    answer = state.execute(state.read("GET", "/api/v2/kits"), "Token test-token")

    assert answer.status == 404
    assert "Location" not in answer.headers
    assert "slash" in json.loads(answer.body)["error"]["detail"]


def test_a_call_is_read_with_its_decoded_query_and_json() -> None:
    call = SpotState().read("GET", "/api/v2/kits/?first_name=Jo%C3%A3o&phone=&phone=%2B1", b'{"a": 1}', index=4)

    assert call.query == {"first_name": "João", "phone": "+1"}
    assert call.body == {"a": 1}
    assert call.index == 4


@pytest.mark.parametrize(
    ("body", "expected"), [(b"", None), (b"null", None), (b"{", NOT_JSON), (b"Infinity", NOT_JSON), (b"\x80", NOT_JSON)]
)
def test_what_is_no_json_is_told_from_no_body(body: bytes, expected: Any) -> None:
    assert SpotState().read("POST", "/", body).body is expected


def test_the_kits_to_start_with_can_be_named_or_counted() -> None:
    assert list(SpotState(kits=["A", "B"]).kits) == ["A", "B"]
    assert list(SpotState(kits=2).kits) == ["SPOT000001", "SPOT000002"]
    assert len(SpotState(kits=()).kits) == 0


def test_without_a_ledger_an_update_is_executed_all_the_same() -> None:
    state = SpotState(kits=["A"], keep_ledger=False)

    state.execute(state.read("POST", "/api/v2/kits/A/", b'{"metadata": {"n": 1}}'), "Token test-token")

    assert state.ledger == []
    assert state.kits["A"].metadata == {"n": 1}


def test_an_unknown_error_form_is_refused() -> None:
    with pytest.raises(ValueError, match="error_form must be one of openapi, guide"):
        SpotState(error_form=cast("ErrorForm", "xml"))


def test_an_unknown_address_form_is_refused() -> None:
    with pytest.raises(ValueError, match="address_form must be one of plain, wrapped"):
        SpotState(address_form=cast("AddressForm", "xml"))


def test_the_patients_and_requisitions_to_start_with_can_be_named_or_counted() -> None:
    state = SpotState(patients=["p1"], requisitions=2)

    assert list(state.patients) == ["p1"]
    assert len(state.requisitions) == 2
    assert len(SpotState(requisitions=(), patients=0).patients) == 0


def test_an_update_is_stamped_with_the_time_of_day() -> None:
    state = SpotState(kits=["A"])

    state.execute(state.read("POST", "/api/v2/kits/A/", b'{"metadata": {}}'), "Token test-token")

    assert state.kits["A"].updated > state.kits["A"].created


@pytest.mark.parametrize("some", [-1, "SPOT1", b"SPOT1"])
def test_kits_are_given_by_their_ids_or_a_number(some: Any) -> None:
    with pytest.raises(ValueError, match="a list of their ids, or by a number of at least 0"):
        SpotState(kits=some)
