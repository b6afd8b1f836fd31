"""What an answer that is no 2xx says: its reasons in all known forms, its request id, its headers, its body."""

import copy
import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from spotdx_async._http.logs import log_retry
from spotdx_async._http.messages import Reply, Request, TransportFailure
from spotdx_async._http.verdict import judge_decode_error, judge_failure, judge_reply
from spotdx_async.errors import DecodeError, OutcomeUnknownError, StatusError

UPDATE = Request(operation="POST /kits/{kit_id}/", method="POST", path="/kits/x/", is_replay_safe=True)
CREATE = Request(operation="POST /orders/", method="POST", path="/orders/", is_replay_safe=False)
NO_HEADERS: Mapping[str, str] = {}
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def refusal(
    body: bytes = b"", headers: dict[str, str] | CIMultiDict[str] | None = None, status: int = 400
) -> StatusError:
    error = judge_reply(UPDATE, Reply(status, headers or {}, body)).error
    assert isinstance(error, StatusError)
    return error


# Reasons

PROBLEM = {
    "type": "https://example.com/probs/zip",
    "title": "Your request is not valid.",
    "status": 422,
    "detail": "The address is wrong",
    "instance": "/requests/1",
}


@pytest.mark.parametrize(
    ("answer", "details"),
    [
        # RFC 9457, and its forerunner
        (PROBLEM, ("Your request is not valid.", "The address is wrong")),
        (
            {
                "title": "Invalid",
                "errors": [
                    {"detail": "must be five digits", "pointer": "#/recipient/address/zip"},
                    {"detail": "is required", "name": "first_name"},
                    {"detail": "a~b", "pointer": "/a~1b/m~0n"},
                ],
            },
            ("Invalid", "recipient.address.zip: must be five digits", "first_name: is required", "a/b.m~n: a~b"),
        ),
        ({"title": "Invalid", "errors": ["one", "two"]}, ("Invalid", "one", "two")),
        ({"title": "Bad", "invalid-params": [{"name": "age", "reason": "too low"}]}, ("Bad", "age: too low")),
        # Django REST framework
        ({"detail": "Not found."}, ("Not found.",)),
        ({"detail": "Given token not valid", "code": "token_not_valid"}, ("Given token not valid",)),
        ({"zip": ["Too short.", "No digits."]}, ("zip: Too short.", "zip: No digits.")),
        ({"recipient": {"address": {"zip": ["bad"]}}}, ("recipient.address.zip: bad",)),
        ({"non_field_errors": ["Both."], "zip": ["bad"]}, ("Both.", "zip: bad")),
        ({"recipient": {"non_field_errors": ["Both."]}}, ("recipient: Both.",)),
        ({"title": ["Required."], "message": ["Required."]}, ("title: Required.", "message: Required.")),
        ({"items": [{}, {"zip": ["bad"]}]}, ("items[1].zip: bad",)),
        ([{}, {"zip": ["bad"]}], ("[1].zip: bad",)),
        (["one", "two"], ("one", "two")),
        # Gateways and frameworks
        ({"message": "Forbidden"}, ("Forbidden",)),
        ({"Message": "User is not authorized"}, ("User is not authorized",)),
        ("plain", ("plain",)),
        ({"error": "text"}, ("text",)),
        ({"error": ["one", "two"]}, ("one", "two")),
        ({"errors": ["one", {"message": "two"}]}, ("one", "two")),
        ({"errors": {"email": ["taken"], "zip": "bad"}}, ("email: taken", "zip: bad")),
        ({"errors": [{"title": "Bad", "source": {"pointer": "/data/zip"}}]}, ("data.zip: Bad",)),
        ({"error": {"message": "no"}}, ("no",)),
        ({"error": {"code": 3, "message": "no", "details": [{"description": "d", "field": "f"}]}}, ("no", "f: d")),
        ({"error": "invalid_grant", "error_description": "expired"}, ("expired", "invalid_grant")),
        (
            {"detail": [{"loc": ["body", "kits", 0], "msg": "missing", "input": {"a": ["b"]}}]},
            ("body.kits.0: missing",),
        ),
        ({"statusCode": 400, "message": ["a", "b"], "error": "Bad Request"}, ("a", "b", "Bad Request")),
        # What says no reason
        ({"path": "/api/v2/kits/", "timestamp": "2024-02-09", "status": 500}, ()),
        ({"error": {"type": "x", "zip": ["y"]}, "more": ["z"]}, ()),
        ({"message": None, "detail": 5, "errors": [None, 1.5, True, {}, []]}, ()),
        ({"source": {"pointer": 7}, "name": [], "loc": [None]}, ()),
    ],
    ids=repr,
)
def test_the_reasons_are_read_from_the_forms_that_others_write(answer: Any, details: tuple[str, ...]) -> None:
    error = refusal(json.dumps(answer).encode())

    assert error.details == details


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("validation_error", "validation_error"),
        ("urn", "urn"),
        ("about:blank", None),
        ("https://example.com/probs/zip", None),
        ("/probs/zip", None),
        ("two words", None),
        ("line\n", None),
        ("", None),
        ("x" * 65, None),
        (["invalid"], None),
        (None, None),
    ],
)
def test_a_type_beside_the_reasons_is_taken_where_it_is_a_word(kind: Any, word: str | None) -> None:
    assert refusal(json.dumps({"type": kind}).encode()).type == word


def test_there_are_twenty_reasons_at_most() -> None:
    body = json.dumps({"zip": [f"reason {number}" for number in range(100_000)]}).encode()

    details = refusal(body[: 2**19] + b'"]}').details

    assert details == tuple(f"zip: reason {number}" for number in range(20))


def test_a_reason_is_cut_and_its_control_characters_are_escaped_the_field_s_too() -> None:
    body = json.dumps({"a\x1b\n" + "b" * 500: {"c": ["\x1b[2J" + "d" * 500]}}).encode()

    (reason,) = refusal(body).details

    assert reason.startswith("a\\x1b\\nbbb")
    assert "…: \\x1b[2Jddd" in reason
    assert reason.isprintable()
    assert len(reason) < 220


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (b'\xef\xbb\xbf{"detail": "no"}', ("no",)),
        (b'{"detail": "no \\ud800"}', ("no \\ud800",)),
        (b'{"detail": "no", "trace": 123456789012345678901234567890, "of": 1e400}', ("no",)),
        (b'{"\\ud800": ["no"]}', ("\\ud800: no",)),
    ],
)
def test_what_only_the_exact_reader_takes_loses_no_reason(body: bytes, details: tuple[str, ...]) -> None:
    assert refusal(body).details == details


@pytest.mark.parametrize(
    "body",
    [
        b'{"zip": ' * 900 + b'["deep"]' + b"}" * 900,
        b"[" * 900 + b'"deep"' + b"]" * 900,
        b'{"errors": [' * 400 + b'"deep"' + b"]}" * 400,
        b'{"error": {"details": ' * 100 + b'"deep"' + b"}}" * 100,
        b'{"detail": "' + b"x" * 2**20 + b'"}',
    ],
)
def test_a_body_too_deep_or_too_large_gives_no_reason(body: bytes) -> None:
    assert refusal(body).details == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "errors", "detail", "details", "message", "title", "loc", "source", "pointer"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
)


@given(JSON)
def test_no_json_breaks_the_reading_of_an_error(answer: Any) -> None:
    details = refusal(json.dumps(answer).encode()).details

    assert len(details) <= 20
    assert all(detail.strip() for detail in details)


# The request's id, the headers and the body


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({}, None),
        ({"X-Request-Id": "abc-1"}, "abc-1"),
        ({"x-request-id": " abc-1 "}, "abc-1"),
        ({"REQUEST-ID": "abc-1"}, "abc-1"),
        ({"X-Correlation-Id": "abc-1"}, "abc-1"),
        ({"X-Amzn-RequestId": "abc-1"}, "abc-1"),
        ({"CF-Ray": "7f-LHR"}, "7f-LHR"),
        ({"X-Cloud-Trace-Context": "105445aa/1;o=1"}, "105445aa/1;o=1"),
        ({"traceparent": "00-0af7-b7ad-01"}, "00-0af7-b7ad-01"),
        ({"traceparent": "last", "CF-Ray": "third", "Request-Id": "second", "X-Request-Id": "first"}, "first"),
        ({"traceparent": "last", "CF-Ray": "third", "Request-Id": "second"}, "second"),
        ({"X-Request-Id": "", "CF-Ray": "next"}, "next"),
        ({"X-Request-Id": "two words", "CF-Ray": "next"}, "next"),
        ({"X-Request-Id": "\x1b[2J", "CF-Ray": "n\u00fc"}, None),
        ({"X-Request-Id": "a\nb"}, None),
        ({"X-Request-Id": "x" * 201}, "x" * 200),
        ({"Set-Cookie": "session=1", "X-Api-Key": "key", "X-Other-Id": "1"}, None),
    ],
)
def test_the_request_s_id_is_the_first_of_the_known_headers(headers: dict[str, str], named: str | None) -> None:
    assert refusal(headers=headers).request_id == named


def test_an_unknown_outcome_names_the_request_where_an_answer_came() -> None:
    headers = {"X-Request-Id": "abc-1"}
    errors = [
        judge_reply(CREATE, Reply(503, headers, b"")).error,
        judge_reply(CREATE, Reply(302, headers, b"")).error,
        judge_decode_error(CREATE, Reply(201, headers, b"<"), DecodeError("not JSON", outcome="unknown")).error,
    ]

    assert [error.request_id for error in errors if isinstance(error, OutcomeUnknownError)] == ["abc-1"] * 3
    without = judge_failure(CREATE, TransportFailure("dropped", "it failed", may_have_arrived=True)).error
    assert isinstance(without, OutcomeUnknownError)
    assert without.request_id is None


SAFE = {
    "Date": DATE,
    "Server": "nginx/1.25 (Ubuntu)",
    "Via": "1.1 varnish",
    "Retry-After": "7",
    "Content-Type": "application/problem+json",
    "Content-Length": "12",
    "Age": "0",
    "Allow": "GET, POST",
    "X-Cache": "Error from cloudfront",
    "X-Request-Id": "abc",
    "traceparent": "00-1-2-01",
    "RateLimit-Limit": "100",
    "RateLimit-Reset": "5",
    "X-RateLimit-Remaining": "0",
    "X-RateLimit-Limit-Minute": "60",
    "X-Rate-Limit-Reset": "9",
}
FORBIDDEN = (
    *("Set-Cookie", "Location", "WWW-Authenticate", "Authorization", "Proxy-Authenticate", "X-Api-Key", "Link"),
    *("X-RateLimit-Key", "RateLimit-User", "X-Request-Id-Of-Jane", "Content-Disposition", "X-Debug", "Cookie"),
)
UNSAFE = dict.fromkeys(FORBIDDEN, "canary")


def test_the_headers_are_those_of_the_allow_list() -> None:
    error = refusal(headers={**UNSAFE, **SAFE})

    assert error.headers == {name.lower(): value for name, value in SAFE.items()}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a b", {"server": "a b"}),
        (" a ", {"server": "a"}),
        ("x" * 300, {"server": "x" * 200}),
        ("", {}),
        ("a\tb", {}),
        ("a\x1b[2J", {}),
        ("n\u00fc", {}),
        ("a\udc80", {}),
    ],
)
def test_a_header_s_value_is_printable_ascii(value: str, kept: dict[str, str]) -> None:
    assert refusal(headers={"Server": value}).headers == kept


def test_of_a_header_that_comes_twice_the_first_is_kept() -> None:
    headers = CIMultiDict([("X-Request-ID", "one"), ("x-request-id", "two")])

    error = refusal(headers=headers)

    assert (error.request_id, error.headers) == ("one", {"x-request-id": "one"})


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 2**21])
def test_the_first_64_kb_of_the_body_are_kept_as_they_came(size: int) -> None:
    body = b"\xff" * size

    assert refusal(body).body == body[: 64 * 1024]


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20)))
def test_no_headers_break_the_reading(headers: dict[str, str]) -> None:
    error = refusal(headers=headers)

    assert all(value.isascii() and value.isprintable() for value in error.headers.values())


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 422, 429, 500, 503])
@pytest.mark.parametrize("request_", [UPDATE, CREATE])
def test_nothing_that_the_server_wrote_shows(request_: Request, status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    headers = {**UNSAFE, **dict.fromkeys(SAFE, "canary_kept"), "Retry-After": "7"}
    body = b'{"error": {"type": "canary_type", "details": ["canary_details"]}, "more": "canary_body"}'

    verdict = judge_reply(request_, Reply(status, headers, body))
    error = verdict.error
    log_retry(error, operation="GET /x", attempt=1, wait_s=1.0)

    assert error is not None
    logged = [repr(vars(record)) for record in caplog.records]
    assert logged
    for text in (str(error), repr(error), repr(error.args), repr(verdict), *logged):
        assert "canary" not in text
    for way in (error, copy.copy(error), copy.deepcopy(error)):
        written = pickle.dumps(way)
        assert b"canary_body" not in written
        # Of the forbidden headers not even the attributes know.
        assert "'canary'" not in repr(vars(pickle.loads(written)))
