from typing import Any

import pytest

from spotdx_async.testing import OPERATIONS, ExpectedRequests, ReceivedRequest
from spotdx_async.testing.records import RequestLog
from spotdx_async.testing.state import SpotState


def received(*lines: str) -> list[ReceivedRequest]:
    log, state = RequestLog(), SpotState()
    for line in lines:
        method, target = line.split(" ")
        call = state.read(method, target, index=log.next_index)
        log.arrived(call, at_s=0, headers={}, connection=1)
    return log.records


GET, UPDATE, TYPES = "GET /api/v2/kits/SPOT1/", "POST /api/v2/kits/SPOT1/", "GET /api/v2/kit_types"


def test_nothing_expected_and_nothing_came_is_no_difference() -> None:
    assert ExpectedRequests().differences([]) == []


def test_the_order_does_not_matter_and_equal_operations_add_up() -> None:
    expected = ExpectedRequests()
    expected("kits.types")
    expected("kits.get")
    expected("GET /api/v2/kits/{kit_id}/", times=2)

    assert expected.differences(received(GET, TYPES, GET, GET)) == []


@pytest.mark.parametrize("requests", [[], [GET], [GET, GET]])
@pytest.mark.parametrize("is_last", [True, False])
def test_any_number_stays_any_number(requests: list[str], *, is_last: bool) -> None:
    expected = ExpectedRequests()
    for times in (1, None) if is_last else (None, 1):
        expected("kits.get", times=times)

    assert expected.differences(received(*requests)) == []


def test_every_difference_is_a_line_of_method_and_template() -> None:
    expected = ExpectedRequests()
    expected("orders.create")
    expected("kits.update_metadata", times=2)
    expected("kits.types", times=0)

    assert expected.differences(received(UPDATE, GET, TYPES, TYPES, "GET /SPOT1/")) == [
        "POST /api/v2/orders/ (orders.create): expected 1, came none",
        "POST /api/v2/kits/{kit_id}/ (kits.update_metadata): expected 2, came 1",
        "GET /api/v2/kit_types (kits.types): expected none, came 2",
        "GET /api/v2/kits/{kit_id}/ (kits.get): expected none, came 1",
        "GET of a path that no operation has: expected none, came 1",
    ]


@pytest.mark.parametrize("times", [-1, 1.5, True, "1"])
def test_what_is_no_number_of_times_is_refused(times: Any) -> None:
    with pytest.raises(ValueError, match="times must be a whole number from 0, or None for any number"):
        ExpectedRequests()("kits.get", times=times)


def test_an_unknown_operation_is_told_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown operation 'kits\.gte'") as caught:
        ExpectedRequests()("kits.gte")

    assert all(name in str(caught.value) for name in OPERATIONS)


def test_its_text_says_what_is_expected() -> None:
    expected = ExpectedRequests()
    assert repr(expected) == "<ExpectedRequests none>"

    expected("kits.types", times=2)
    assert repr(expected) == "<ExpectedRequests GET /api/v2/kit_types (kits.types): 2>"
