"""What travels along the road: what its reprs hide, and reading a response's JSON."""

from typing import Any

import attrs
import pytest

from spotdx_async._http.messages import Action, AttemptState, Reply, Request, Response, TransportFailure, Verdict
from spotdx_async.errors import DecodeError, StatusError

OPERATION = "POST /api/v2/kits/{kit_id}/"


def response(body: bytes = b"{}", **changes: Any) -> Response:
    return attrs.evolve(
        Response(
            status=200,
            headers={"X-Canary": "canary"},
            body=body,
            attempts=2,
            elapsed_s=1.5,
            operation=OPERATION,
        ),
        **changes,
    )


@pytest.mark.parametrize(
    "message",
    [
        Request(
            operation=OPERATION,
            method="POST",
            path="/api/v2/kits/canary/",
            query="email=canary",
            body=b"canary",
        ),
        Reply(status=200, headers={"X-Canary": "canary"}, body=b"canary"),
        Verdict(Action.ACCEPT, value="canary"),
        Verdict(Action.RAISE, error=StatusError("no", details=("canary",), type="canary")),
        response(b"canary"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_no_repr_shows_an_id_a_query_a_header_or_a_body(message: object) -> None:
    assert "canary" not in f"{message!r}{message!s}".lower()


def test_a_repr_says_what_may_be_said() -> None:
    request = Request(operation=OPERATION, method="POST", path="/x", is_replay_safe=True)

    assert repr(request) == f"Request(operation={OPERATION!r}, is_replay_safe=True)"
    assert repr(response()) == "Response(status=200, attempts=2, elapsed_s=1.5)"
    assert "dropped" in repr(TransportFailure("dropped", "it broke", may_have_arrived=True))


def test_a_request_is_not_safe_to_repeat_unless_told() -> None:
    assert Request(operation="GET /x", method="GET", path="/x").is_replay_safe is False


def test_nothing_is_in_the_air_before_the_first_attempt() -> None:
    assert AttemptState().may_have_arrived is False


def test_a_response_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        response().body = b"other"  # type: ignore[misc]  # what is tested


def test_a_request_has_no_room_for_what_does_not_belong_to_it() -> None:
    with pytest.raises(AttributeError):
        Request(operation="GET /x", method="GET", path="/x").token = "x"  # type: ignore[attr-defined]  # what is tested


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"null", None),
        (b'{"a": [1, 2.5, "x"]}', {"a": [1, 2.5, "x"]}),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_a_response_s_json_is_exact(body: bytes, value: Any) -> None:
    assert response(body).json() == value


@pytest.mark.parametrize("body", [b"", b"<html>canary</html>", b"{", b"NaN", b"\xff", b"[" * 100_000])
def test_a_response_that_is_no_json_says_so_unseen(body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        response(body).json()

    error = caught.value
    assert (error.operation, error.attempts, error.elapsed_s) == (OPERATION, 2, 1.5)
    assert (error.outcome, error.path, error.raw) == ("unknown", "", None)
    assert (error.__cause__, error.__context__) == (None, None)
    assert "canary" not in repr(error)
