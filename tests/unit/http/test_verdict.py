"""What each answer and each trouble means, for what may be repeated and for what must not."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async._http import clock
from spotdx_async._http.messages import Action, Reply, Request, TransportFailure, Verdict
from spotdx_async._http.verdict import judge_decode_error, judge_failure, judge_reply, retry_after_s
from spotdx_async.errors import (
    AuthenticationError,
    BadRequestError,
    DecodeError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpotError,
    StatusError,
)

UPDATE = Request(operation="POST /kits/{kit_id}/", method="POST", path="/kits/x/", is_replay_safe=True)
CREATE = Request(operation="POST /orders/", method="POST", path="/orders/", is_replay_safe=False)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def status_error(verdict: Verdict) -> StatusError:
    assert isinstance(verdict.error, StatusError)
    return verdict.error


# Whole answers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
@pytest.mark.parametrize("request_", [UPDATE, CREATE])
def test_a_2xx_is_accepted(request_: Request, status: int) -> None:
    assert judge_reply(request_, reply(status, Retry_After="7")) == Verdict(Action.ACCEPT)


@pytest.mark.parametrize("status", [101, 199, 300, 301, 302, 303, 304, 307, 308, 399])
@pytest.mark.parametrize("request_", [UPDATE, CREATE])
def test_a_redirect_is_an_unknown_outcome(request_: Request, status: int) -> None:
    verdict = judge_reply(request_, reply(status, Location="https://canary.example/", Retry_After="7"))

    assert verdict.action is Action.RAISE
    assert isinstance(verdict.error, OutcomeUnknownError)
    assert (verdict.error.status, verdict.error.reason) == (status, "redirect")
    assert "canary" not in repr(verdict.error)


@pytest.mark.parametrize(
    ("status", "kind", "for_update", "for_create"),
    [
        (400, BadRequestError, Action.RAISE, Action.RAISE),
        (401, AuthenticationError, Action.RENEW_TOKEN, Action.RENEW_TOKEN),
        (402, StatusError, Action.RAISE, Action.RAISE),
        (403, PermissionDeniedError, Action.RAISE, Action.RAISE),
        (404, NotFoundError, Action.RAISE, Action.RAISE),
        (405, StatusError, Action.RAISE, Action.RAISE),
        (409, StatusError, Action.RAISE, Action.RAISE),
        (418, StatusError, Action.RAISE, Action.RAISE),
        (422, BadRequestError, Action.RAISE, Action.RAISE),
        (425, StatusError, Action.REPEAT, Action.RAISE),
        (429, RateLimitError, Action.REPEAT, Action.REPEAT),
        (451, StatusError, Action.RAISE, Action.RAISE),
        (499, StatusError, Action.RAISE, Action.RAISE),
    ],
)
def test_a_4xx_is_a_no_that_only_time_can_change(
    status: int, kind: type[StatusError], for_update: Action, for_create: Action
) -> None:
    for request, act in ((UPDATE, for_update), (CREATE, for_create)):
        verdict = judge_reply(request, reply(status))

        assert verdict.action is act
        assert type(verdict.error) is kind
        assert status_error(verdict).status == status
        assert verdict.is_throttle is (status == 429)


def test_a_408_may_come_from_what_stands_before_the_server() -> None:
    of_update, of_create = judge_reply(UPDATE, reply(408)), judge_reply(CREATE, reply(408))

    assert (of_update.action, type(of_update.error)) == (Action.REPEAT, StatusError)
    assert (of_create.action, type(of_create.error)) == (Action.RAISE, OutcomeUnknownError)
    assert of_update.may_be_executed
    assert of_create.may_be_executed


@pytest.mark.parametrize(
    ("status", "act"),
    [
        (500, Action.REPEAT),
        (501, Action.RAISE),
        (502, Action.REPEAT),
        (503, Action.REPEAT),
        (504, Action.REPEAT),
        (505, Action.RAISE),
        (520, Action.RAISE),
        (599, Action.RAISE),
        (600, Action.RAISE),
        (999, Action.RAISE),
    ],
)
def test_a_5xx_is_repeated_where_that_is_safe_and_unknown_where_not(status: int, act: Action) -> None:
    of_update, of_create = judge_reply(UPDATE, reply(status)), judge_reply(CREATE, reply(status))

    assert of_update.action is act
    assert type(of_update.error) is ServerError
    assert of_update.error.status == status
    assert of_create.action is Action.RAISE
    assert type(of_create.error) is OutcomeUnknownError
    assert (of_create.error.status, of_create.error.reason) == (status, "status")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_may_say_when(status: int) -> None:
    verdict = judge_reply(UPDATE, reply(status, Retry_After="7"))

    assert verdict.retry_after_s == status_error(verdict).retry_after_s == 7


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501, 520])
def test_a_final_no_names_no_time(status: int) -> None:
    verdict = judge_reply(UPDATE, reply(status, Retry_After="7"))

    assert verdict.retry_after_s is status_error(verdict).retry_after_s is None


def test_a_create_that_failed_still_passes_the_server_s_wish_to_wait_on() -> None:
    assert judge_reply(CREATE, reply(503, Retry_After="7")).retry_after_s == 7


@given(st.integers(100, 999), st.booleans(), st.binary(max_size=50), st.text(max_size=10))
def test_every_answer_has_a_verdict_that_can_be_acted_upon(
    status: int, is_replay_safe: bool, body: bytes, retry_after: str
) -> None:
    request = UPDATE if is_replay_safe else CREATE

    verdict = judge_reply(request, reply(status, body, Retry_After=retry_after))

    assert (verdict.error is None) == (verdict.action is Action.ACCEPT)
    assert verdict.action is not Action.REPEAT or is_replay_safe or status == 429


# Retry-After


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("007", 7),
        (" 7 ", 7),
        ("86400", 86400),
        ("999999999", 999999999),
        ("-5", None),
        ("+5", None),
        ("1.5", 2),
        ("1e3", None),
        ("1_000", None),
        ("0x10", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        (" ", None),
        ("7, 8", None),
        ("5.5", 6),
        ("5.0", 5),
        ("5.", None),
        (".5", None),
        ("7s", None),
        ("7\n8", None),
        ("\u0667", None),
        ("\u00b2", None),
        ("\uff17", None),
        ("\u0967", None),
        ("9" * 400, None),
        ("1" + "0" * 5000, None),
        (DATE[5:], None),
        (DATE.lower(), None),
        (DATE.replace("GMT", "PST"), None),
        (DATE.replace("GMT", "+0000"), None),
        (DATE + " ", 0),
        ("Fri, 30 Feb 2024 08:49:37 GMT", None),
        ("Sun, 00 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sun, \u0660\u0666 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_nothing_else(text: str, seconds: float | None) -> None:
    found = retry_after_s({"Retry-After": text})

    assert found == seconds
    assert found is None or type(found) is float


def test_without_the_header_nothing_is_asked() -> None:
    assert retry_after_s({}) is None


@pytest.mark.parametrize(("until", "seconds"), [(40, 3.0), (37, 0.0), (36, 0.0), (59, 22.0)])
def test_a_date_counts_from_the_answer_s_own_date(until: int, seconds: float) -> None:
    headers = {"Retry-After": DATE.replace(":37", f":{until}"), "Date": DATE}

    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 31 Feb 1994 08:49:37 GMT"])
def test_a_date_counts_from_the_wall_clock_where_the_answer_has_none(
    monkeypatch: pytest.MonkeyPatch, date: str | None
) -> None:
    monkeypatch.setattr(clock, "wall", lambda: datetime(1994, 11, 6, 8, 49, 30, tzinfo=UTC))
    headers = {"Retry-After": DATE} if date is None else {"Retry-After": DATE, "Date": date}

    assert retry_after_s(headers) == 7.0


def test_a_date_in_the_past_is_now() -> None:
    assert retry_after_s({"Retry-After": DATE}) == 0.0


def test_a_date_further_off_than_digits_can_say_is_a_broken_header() -> None:
    assert retry_after_s({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": DATE}) is None
    assert retry_after_s({"Retry-After": "Sun, 06 Nov 2022 08:49:37 GMT", "Date": DATE}) == 883612800


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)), st.integers(0, 10**6))  # noqa: DTZ001 - drawn, then made aware
def test_any_date_is_read_to_the_second(since: datetime, seconds: int) -> None:
    since = since.replace(tzinfo=UTC, microsecond=0)
    try:
        until = since + timedelta(seconds=seconds)
    except OverflowError:
        return
    headers = {"Retry-After": format_datetime(until, usegmt=True), "Date": format_datetime(since, usegmt=True)}

    assert retry_after_s(headers) == seconds


@given(st.text())
def test_no_header_text_breaks_the_reading(text: str) -> None:
    for headers in ({"Retry-After": text}, {"Retry-After": DATE, "Date": text}):
        found = retry_after_s(headers)
        assert found is None or found >= 0


# Error bodies


def error_body(**error: Any) -> bytes:
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("body", "kind", "details"),
    [
        (error_body(code=400, type="bad_request", details=["a: x", "b: y"]), "bad_request", ("a: x", "b: y")),
        (error_body(status=404, type="not_found", detail="Kit id Z not found"), "not_found", ("Kit id Z not found",)),
        (error_body(type="server_error"), "server_error", ()),
        (error_body(details=["x"]), None, ("x",)),
        (error_body(details="x"), None, ("x",)),
        (error_body(detail=["x", "y"]), None, ("x", "y")),
        (error_body(details=None, detail="x"), None, ("x",)),
        (error_body(details=[]), None, ()),
        (error_body(type=5, details=[1, None, "x", ["y"], {"z": 1}, True]), None, ("x", "y")),
        (error_body(type=None, detail=None), None, ()),
        (error_body(type=["a"], detail={"a": "b"}), None, ("a: b",)),
        (error_body(details=["", " \n", "x"], detail=""), None, ("x",)),
        (error_body(), None, ()),
        (b'{"error": null}', None, ()),
        (b"{}", None, ()),
        (b"[]", None, ()),
        (b'""', None, ()),
        (b"null", None, ()),
        (b"5", None, ()),
        (b"", None, ()),
        (b"<html><body>503</body></html>", None, ()),
        (b"\xff\xfe\x00", None, ()),
        (b'{"error": {"type": "x"', None, ()),
        (b'{"error":' * 100_000, None, ()),
        (b'{"error": {"details": ' + b"[" * 900 + b"]" * 900 + b"}}", None, ()),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
def test_the_server_s_words_are_read_from_either_form_and_never_shown(
    body: bytes, kind: str | None, details: tuple[str, ...]
) -> None:
    error = status_error(judge_reply(UPDATE, reply(400, body)))

    assert (error.type, error.details) == (kind, details)
    assert str(error) == f"the server answered 400: it found the request wrong{'; details says what' * bool(details)}"
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    ("status", "bare", "pointing"),
    [
        (400, "it found the request wrong", "; details says what"),
        (422, "it found the request wrong", "; details says what"),
        (403, "it does not allow this", "; details says why"),
        (401, "it does not accept the token", ""),
        (404, "it does not know this object", ""),
        (409, "it refused", ""),
        (503, "it failed", ""),
    ],
)
def test_the_text_points_to_the_details_only_where_there_are_any(status: int, bare: str, pointing: str) -> None:
    without = judge_reply(UPDATE, reply(status, b"<html>"))
    with_some = judge_reply(UPDATE, reply(status, b'{"detail": "no"}'))

    assert str(without.error) == f"the server answered {status}: {bare}"
    assert str(with_some.error) == f"the server answered {status}: {bare}{pointing}"


# Troubles


@pytest.mark.parametrize("request_", [UPDATE, CREATE])
@pytest.mark.parametrize("reason", ["refused", "dns", "tls", "connect", "timeout"])
def test_what_surely_did_not_arrive_is_repeated_whatever_it_is(request_: Request, reason: str) -> None:
    verdict = judge_failure(request_, TransportFailure(reason, "it failed", may_have_arrived=False))

    assert verdict.action is Action.REPEAT
    assert isinstance(verdict.error, NotSentError)
    assert verdict.error.reason == reason


@pytest.mark.parametrize("request_", [UPDATE, CREATE])
@pytest.mark.parametrize("reason", ["tls", "closed"])
def test_what_would_fail_again_is_not_repeated(request_: Request, reason: str) -> None:
    verdict = judge_failure(request_, TransportFailure(reason, "it failed", may_have_arrived=False, is_lasting=True))

    assert verdict.action is Action.RAISE
    assert isinstance(verdict.error, NotSentError)
    assert verdict.error.reason == reason


@pytest.mark.parametrize("reason", ["timeout", "dropped"])
@pytest.mark.parametrize("status", [None, 200])
def test_what_may_have_arrived_is_repeated_only_where_safe(reason: str, status: int | None) -> None:
    trouble = TransportFailure(reason, "it failed", may_have_arrived=True, status=status)

    of_update, of_create = judge_failure(UPDATE, trouble), judge_failure(CREATE, trouble)

    assert (of_update.action, of_create.action) == (Action.REPEAT, Action.RAISE)
    for verdict in (of_update, of_create):
        assert isinstance(verdict.error, OutcomeUnknownError)
        assert (verdict.error.reason, verdict.error.status) == (reason, status)
    assert "look before repeating" in str(of_create.error)


def test_an_answer_too_large_to_read_is_final() -> None:
    trouble = TransportFailure("too large", "too large", may_have_arrived=True, is_lasting=True, status=200)

    of_update, of_create = judge_failure(UPDATE, trouble), judge_failure(CREATE, trouble)

    assert (of_update.action, of_create.action) == (Action.RAISE, Action.RAISE)
    assert isinstance(of_update.error, DecodeError)
    assert of_update.error.outcome == "unknown"
    assert isinstance(of_create.error, OutcomeUnknownError)
    assert (of_create.error.reason, of_create.error.status) == ("unreadable", 200)


# A 2xx that is not what the contract says


@pytest.mark.parametrize("request_", [UPDATE, CREATE])
def test_json_of_another_shape_means_done(request_: Request) -> None:
    error = DecodeError("another shape", outcome="done", path="kit")

    assert judge_decode_error(request_, reply(200), error) == Verdict(Action.RAISE, error=error, may_be_executed=True)


def test_no_json_at_all_is_repeated_where_safe() -> None:
    error = DecodeError("not JSON", outcome="unknown")

    assert judge_decode_error(UPDATE, reply(200), error) == Verdict(Action.REPEAT, error=error, may_be_executed=True)


def test_no_json_at_all_after_a_create_is_an_unknown_outcome() -> None:
    verdict = judge_decode_error(CREATE, reply(201), DecodeError("not JSON", outcome="unknown"))

    assert verdict.action is Action.RAISE
    assert isinstance(verdict.error, OutcomeUnknownError)
    assert (verdict.error.reason, verdict.error.status) == ("unreadable", 201)


def test_no_verdict_holds_what_raised_it() -> None:
    verdicts: list[SpotError | None] = [
        judge_reply(UPDATE, reply(503)).error,
        judge_failure(CREATE, TransportFailure("dropped", "it failed", may_have_arrived=True)).error,
        judge_decode_error(CREATE, reply(200), DecodeError("x")).error,
    ]

    assert all(error is not None and error.__context__ is None for error in verdicts)
