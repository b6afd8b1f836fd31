import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, cast

import pytest

from spotdx_async.testing import faults
from spotdx_async.testing.answers import Answer, json_answer

KIT = json_answer(200, {"kit_id": "A", "status": "preparing", "sample": {"status": "received"}})
NOT_FOUND = json_answer(404, {"error": {}})


def reshaped(fault: faults.Fault, answer: Answer | None = None) -> Answer:
    given = fault.reshape(answer)
    assert given is not None
    return given


@pytest.mark.parametrize(
    ("form", "content_type", "start"),
    [
        ("openapi", "application/json", b'{"error": {"status": 503, "type": "internal_server_error"'),
        ("guide", "application/json", b'{"error": {"code": 503, "type": "server_error", "details": ["'),
        ("html", "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        ("empty", None, b""),
    ],
)
def test_a_status_comes_in_four_forms(form: faults.FaultForm, content_type: str | None, start: bytes) -> None:
    fault = faults.status(503, form=form)

    answer = reshaped(fault)

    assert not fault.executes
    assert (answer.status, answer.content_type) == (503, content_type)
    assert answer.body.startswith(start)
    assert "Retry-After" not in answer.headers


def test_a_status_without_a_name_of_its_own_can_be_played() -> None:
    assert b"599 Error" in reshaped(faults.status(599, form="html")).body


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [
        (0, "0"),
        (2, "2"),
        (1.5, "1.5"),
        ("soon", "soon"),
        (datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))), "Wed, 02 Jan 2030 02:04:05 GMT"),
    ],
)
@pytest.mark.parametrize("form", ["openapi", "empty", "html"])
def test_retry_after_is_sent_as_given_and_a_datetime_as_an_http_date(
    retry_after: faults.RetryAfter, header: str, form: faults.FaultForm
) -> None:
    assert reshaped(faults.status(429, retry_after=retry_after, form=form)).headers["Retry-After"] == header


def test_a_date_ahead_counts_from_the_moment_of_playing_and_is_rounded_up() -> None:
    fault = faults.status(503, retry_after=faults.HttpDateAhead(90))

    before = datetime.now(UTC)
    sent = parsedate_to_datetime(reshaped(fault).headers["Retry-After"])
    after = datetime.now(UTC)

    assert before + timedelta(seconds=90) <= sent < after + timedelta(seconds=91)


def test_a_redirect_names_the_place_and_executes_nothing() -> None:
    fault = faults.redirect(307, location="http://127.0.0.1:1/")

    answer = reshaped(fault)

    assert not fault.executes
    assert (answer.status, answer.headers["Location"], answer.body) == (307, "http://127.0.0.1:1/", b"")


@pytest.mark.parametrize(("make", "executes"), [(faults.drop_before, False), (faults.drop_after, True)])
def test_a_drop_gives_no_answer(make: Callable[[], faults.Fault], *, executes: bool) -> None:
    fault = make()

    assert fault.executes is executes
    assert fault.reshape(KIT if executes else None) is None


def test_half_a_body_is_the_whole_answer_marked_to_be_cut() -> None:
    answer = reshaped(faults.half_body(), KIT)

    assert answer.is_cut
    assert answer.body == KIT.body


def test_slow_waits_before_and_a_slow_answer_after() -> None:
    slow, slow_answer = faults.slow(0.5), faults.slow_answer(0.5)

    assert (slow.executes, slow.wait_before_s, slow.wait_after_s) == (True, 0.5, 0)
    assert (slow_answer.executes, slow_answer.wait_before_s, slow_answer.wait_after_s) == (True, 0, 0.5)
    assert slow.reshape(KIT) is KIT


def test_an_unreadable_answer_is_a_page_under_200() -> None:
    fault = faults.unreadable()

    answer = reshaped(fault, KIT)

    assert fault.executes
    assert (answer.status, answer.content_type) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("value", [{}, [], [1, 2, 3], "text", 1, {"kit_id": "é" * 9}])
def test_broken_json_is_no_json_whatever_it_was(value: Any) -> None:
    answer = reshaped(faults.broken_json(), json_answer(200, value))

    assert (answer.status, answer.content_type, answer.is_cut) == (200, "application/json", False)
    with pytest.raises(ValueError, match=r"JSON|Expecting|decode|Unterminated|delimiter"):
        json.loads(answer.body)


def test_unknown_values_and_fields_come_in_a_kit() -> None:
    kit = json.loads(reshaped(faults.unknown_enum(), KIT).body)

    assert kit["status"] == faults.UNKNOWN_VALUE
    assert faults.UNKNOWN_FIELD in kit
    assert kit["kit_id"] == "A"


def test_unknown_values_and_fields_come_in_every_row_of_a_list() -> None:
    rows = json_answer(200, [{"kit_status": "a", "sample_status": "b"}, {"kit_id": "B"}])

    first, second = json.loads(reshaped(faults.unknown_enum(), rows).body)

    assert (first["kit_status"], first["sample_status"]) == (faults.UNKNOWN_VALUE, faults.UNKNOWN_VALUE)
    assert second.keys() == {"kit_id", faults.UNKNOWN_FIELD}


def test_unknown_values_leave_a_list_of_names_alone() -> None:
    assert json.loads(reshaped(faults.unknown_enum(), json_answer(200, ["a"])).body) == ["a"]


@pytest.mark.parametrize("value", [{"token": "a"}, {"data": {"result": "success"}}, {"patient_id": "a", "sex": "F"}])
def test_unknown_values_stand_only_where_there_is_a_status(value: dict[str, Any]) -> None:
    answer = json.loads(reshaped(faults.unknown_enum(), json_answer(200, value)).body)

    assert answer.pop(faults.UNKNOWN_FIELD)
    assert answer == value


@pytest.mark.parametrize("name", ["unreadable", "broken_json", "unknown_enum"])
def test_an_error_of_the_api_itself_stays_as_it_is(name: str) -> None:
    assert faults.named(name).reshape(NOT_FOUND) is NOT_FOUND


def test_a_body_can_be_anything() -> None:
    fault = faults.body(b"\x00", status=204, content_type=None, headers={"X-A": "b"}, executes=False)

    answer = reshaped(fault)

    assert not fault.executes
    assert (answer.status, answer.body, answer.content_type, answer.headers) == (204, b"\x00", None, {"X-A": "b"})


@pytest.mark.parametrize(
    "name",
    [
        "503",
        "429",
        *("drop_before", "drop_after", "half_body", "unreadable", "broken_json", "unknown_enum"),
        "redirect",
    ],
)
def test_a_short_name_makes_the_fault_of_that_name(name: str) -> None:
    assert faults.named(name).name == name


@pytest.mark.parametrize("name", ["", "drop", "slow", "50", "5030", "٥٠٣"])
def test_an_unknown_name_is_refused_with_the_list_of_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"a status such as '503', one of drop_before, drop_after, .*redirect"):
        faults.named(name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: faults.named("200"), "from 400 to 599"),
        (lambda: faults.status(399), "from 400 to 599"),
        (lambda: faults.status(600), "from 400 to 599"),
        (lambda: faults.status(cast("int", "503")), "from 400 to 599"),
        (lambda: faults.status(cast("int", True)), "from 400 to 599"),  # noqa: FBT003 - a boolean is the point
        (lambda: faults.status(503, form=cast("faults.FaultForm", "xml")), "openapi, guide, html, empty"),
        (lambda: faults.status(503, retry_after=datetime(2030, 1, 1)), "time zone"),  # noqa: DTZ001 - the point
        (lambda: faults.status(503, retry_after="1\r\nX: y"), "control character"),
        (lambda: faults.HttpDateAhead(float("inf")), "seconds must be a number"),
        (lambda: faults.redirect(200), "301, 302, 303, 307, 308"),
        (lambda: faults.slow(-1), "0 or more"),
        (lambda: faults.slow_answer(float("nan")), "0 or more"),
        (lambda: faults.slow(cast("float", "1")), "0 or more"),
        (lambda: faults.body(b"", status=100), "from 200 to 599"),
    ],
)
def test_a_bad_argument_is_refused_with_what_is_allowed(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
