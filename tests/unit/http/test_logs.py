import logging
from pathlib import Path
from typing import Any

import pytest

from spotdx_async._http.logs import log_breaker, log_pause, log_retry, log_unread, log_unsaved, quoted
from spotdx_async.errors import InvalidInputError, OutcomeUnknownError, ServerError

OPERATION = "POST /api/v2/kits/{kit_id}/"


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    return {name.removeprefix("spotdx_"): value for name, value in vars(record).items() if name.startswith("spotdx_")}


def test_a_retry_is_one_line_at_info_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "spotdx_async")

    log_retry(ServerError("x", status=503), operation=OPERATION, attempt=1, wait_s=0.254)

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("spotdx_async", logging.INFO)
    assert record.getMessage() == f"{OPERATION}: attempt 1 ended in ServerError (503); the next one in 0.25 s"
    assert fields_of(record) == {
        "event": "retry",
        "operation": OPERATION,
        "attempt": 1,
        "error": "ServerError",
        "status": 503,
        "wait_s": 0.254,
    }


def test_a_retry_without_a_status_tells_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "spotdx_async")

    log_retry(OutcomeUnknownError("x", reason="timeout"), operation=OPERATION, attempt=2, wait_s=1.0)

    assert "attempt 2 ended in OutcomeUnknownError (timeout)" in caplog.text
    assert fields_of(caplog.records[0])["reason"] == "timeout"


def test_a_retry_costs_nothing_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "spotdx_async")

    log_retry(ServerError("x", status=503), operation=OPERATION, attempt=1, wait_s=0.2)

    assert caplog.records == []


def test_an_object_that_cannot_be_read_is_one_line_at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "spotdx_async")

    log_unread(ServerError("the server answered 500: it failed", status=500, operation=OPERATION), noun="kits")

    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == (
        f"one of the kits that changed cannot be read: {OPERATION}: the server answered 500: it failed"
    )
    assert fields_of(record) == {"event": "feed", "operation": OPERATION, "error": "ServerError", "status": 500}


def test_a_file_that_cannot_be_saved_is_one_line_at_info_without_its_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "spotdx_async")
    place = Path("/reports/SPOT123456-R1.pdf")

    log_unsaved(InvalidInputError(f"{place} is a folder: name another file", operation=OPERATION), place=place)

    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == (
        f"the file of a report cannot be saved: {OPERATION}: its place is a folder: name another file"
    )
    assert fields_of(record) == {"event": "report", "operation": OPERATION, "error": "InvalidInputError"}


def test_a_pause_is_one_line_at_warning(caplog: pytest.LogCaptureFixture) -> None:
    log_pause(7.0)

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "a pause of 7.0 s" in record.getMessage()
    assert fields_of(record) == {"event": "pause", "wait_s": 7.0}


def test_a_gate_change_is_one_line_at_warning(caplog: pytest.LogCaptureFixture) -> None:
    log_breaker("closed")
    log_breaker("open", after_s=61.25)

    closed, opened = caplog.records
    assert {closed.levelno, opened.levelno} == {logging.WARNING}
    assert fields_of(closed) == {"event": "gate", "gate": "closed"}
    assert fields_of(opened) == {"event": "gate", "gate": "open", "wait_s": 61.25}
    assert "back after 61.2 s" in opened.getMessage()


def test_an_outage_names_the_server_and_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    log_breaker("closed", trouble="spot.example: connection refused")

    (record,) = caplog.records
    assert "unavailable (spot.example: connection refused): rows paused" in record.getMessage()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Kit id SPOT1 not found", "Kit id SPOT1 not found"),
        ("Łódź, 北京", "Łódź, 北京"),
        ("a\nb\r\x1b[31m\x00", "a\\nb\\r\\x1b[31m\\x00"),
        ("\u202eabc\u2028", "\\u202eabc\\u2028"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)
def test_what_steers_a_terminal_or_a_log_is_escaped(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_a_long_text_is_cut_at_200() -> None:
    assert quoted("x" * 200) == "x" * 200
    assert quoted("x" * 201) == "x" * 199 + "…"
    assert len(quoted("\x1b" * 10**6)) == 199 * 4 + 1
