"""Every line of ``faults.toml`` is true, the file is whole, and the page is made of it."""

import pickle
import re
from collections import Counter

import pytest

from spotdx_async import BulkStopped, ConfigError, DecodeError, NotSentError, OutcomeUnknownError, SpotError

from .page import CLASSES, PAGE, Fault, Span, faults, groups, page
from .playing import Played, play

FAULTS = faults()
GROUPS = [
    "connect",
    "tls",
    "send",
    "wait",
    "headers",
    "body",
    "decode",
    "status",
    "rate limits",
    "token",
    "one after another",
    "cancellation",
    "clock",
    "input",
]
OPERATIONS = {
    "update": "POST /api/v2/kits/{kit_id}/",
    "create": "POST /api/v2/orders/",
    "bulk": "POST /api/v2/kits/{kit_id}/",
    "list": "GET /api/v2/kits/",
}
CASES = [
    pytest.param(fault, class_, id=f"{fault.id}-{class_}")
    for fault in FAULTS
    for class_ in CLASSES
    if not fault.lines[class_].reason
]


@pytest.mark.virtual_time
@pytest.mark.parametrize(("fault", "class_"), CASES)
async def test_a_line_is_true(fault: Fault, class_: str) -> None:
    line = fault.lines[class_]

    played = await play(fault, class_)

    assert (played.gets if played.gets in line.gets.split(" or ") else line.gets) == played.gets, played.logs
    assert (line.executed, line.sent, line.tries) == (
        _like(line.executed, played.executed),
        _like(line.sent, played.sent),
        _like(line.tries, played.tries),
    )
    if line.took_s is not None:
        assert round(played.took_s, 6) in line.took_s
    if line.retry_after_s is not None:
        assert [getattr(error, "retry_after_s", None) for error in played.errors] == [line.retry_after_s]
    _check_errors(played, OPERATIONS[class_])
    _check_what_may_be_executed(played, class_)
    _check_the_end(played, is_cancelled=bool(fault.cancel))


def _like(span: Span, number: float) -> Span:
    """The span where the number lies in it, else the number: a failure then shows both."""
    return span if number in span else Span(number, number)


def _check_errors(played: Played, operation: str) -> None:
    for error in played.errors:
        assert error.operation == operation
        assert error.elapsed_s >= 0
        assert (error.__cause__, error.__context__) == (None, None)
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.operation) == (type(error), str(error), operation)
        if not isinstance(error, BulkStopped):
            assert error.elapsed_s <= played.took_s
            if len(played.outcomes) <= 1:
                assert error.attempts == played.tries
    assert played.error is None or not isinstance(played.error, Exception) or isinstance(played.error, SpotError)


def _check_what_may_be_executed(played: Played, class_: str) -> None:
    """No error and no outcome says "not executed" of what the server's ledger has."""
    for error in played.errors:
        if isinstance(error, (OutcomeUnknownError, DecodeError)):
            assert error.may_be_executed
        if isinstance(error, (NotSentError, ConfigError)):
            assert not error.may_be_executed
    for outcome in played.outcomes:
        is_executed = f"/api/v2/kits/{outcome.key}/" in played.executed_paths
        assert not is_executed or outcome.state in {"ok", "unknown"}
        if outcome.error is not None:
            assert outcome.error.may_be_executed == (outcome.state in {"ok", "unknown"})
    # A list changes nothing, whatever was executed; the end of a run tells of the run, and its outcomes of the rows.
    if class_ not in {"list", "bulk"} and isinstance(played.error, SpotError):
        assert played.error.may_be_executed or not played.executed_paths


def _check_the_end(played: Played, *, is_cancelled: bool) -> None:
    assert played.stats is not None
    assert (played.stats.in_flight, played.stats.waiting) == (0, 0)
    assert played.works_again
    assert played.left_over == []
    assert played.loop_troubles == []
    if is_cancelled:
        assert played.ended_after_cancel_s == 0


# The file


def test_there_are_at_least_75_faults_with_names_of_their_own() -> None:
    assert len(FAULTS) >= 75
    assert [name for name, count in Counter(fault.id for fault in FAULTS).items() if count > 1] == []


def test_every_group_is_there_and_has_faults() -> None:
    assert [group.id for group in groups()] == GROUPS
    assert list(dict.fromkeys(fault.group for fault in FAULTS)) == GROUPS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_no_class_is_left_out_without_a_reason(fault: Fault) -> None:
    assert list(fault.lines) == list(CLASSES)
    for line in fault.lines.values():
        assert bool(line.gets) != bool(line.reason)
    assert any(line.gets for line in fault.lines.values())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_create_is_executed_once_at_most(fault: Fault) -> None:
    assert fault.lines["create"].executed.most <= 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_what_was_surely_not_executed_was_not(fault: Fault) -> None:
    for line in fault.lines.values():
        if re.search("NotSentError|InvalidInputError|ConfigError", line.gets):
            assert line.executed.most == 0


def test_the_page_is_the_file_s() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/matrix/page.py --write"
